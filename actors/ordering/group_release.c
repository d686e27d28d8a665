/* Parked events of a group that somebody has looked at: they are fetched from the partitions, page
 * by page, and given to the core, to be delivered again or given up. */
#include "actors/ordering/group_actor.h"

#include "runtime/base/ensure.h"
#include "runtime/runtime.h"

#include <stdlib.h>

enum { PAGE_EVENTS = 1000 };

void group_on_release(group_actor_t *self, const capstan_message_t *message)
{
    group_release_t request;
    capstan_err_t err = codec_decode(group_release_wire(), message->body, &request, NULL);
    if (err != CAPSTAN_OK) {
        capstan_reply_error(self->self, message, err, NULL);
        return;
    }
    release_t *release = calloc(1, sizeof *release);
    ENSURE(release);
    release->request = *message;
    release->request.body = (slice_t){0};
    release->discard = request.discard;
    release->all = request.key.size == 0;
    buffer_append(&release->key, request.key.data, request.key.size);
    release_t **link = &self->releases;
    while (*link) {
        link = &(*link)->next;
    }
    *link = release;
}

/* Answers the first one. */
void group_release_end(group_actor_t *self, capstan_err_t err)
{
    release_t *release = self->releases;
    self->releases = release->next;
    if (err != CAPSTAN_OK) {
        capstan_reply_error(self->self, &release->request, err, NULL);
    } else {
        buffer_t body = {0};
        codec_encode(parked_released_wire(), &release->result, &body);
        capstan_reply(self->self, &release->request, MESSAGE_parked_released, buffer_slice(&body));
        buffer_fini(&body);
    }
    buffer_fini(&release->key);
    free(release);
}

/* While a mark is under way or due, the partition does not know yet what is parked. */
static bool is_settled(const source_t *source)
{
    return source->mark_ask == 0 && source->parked.bytes.size == 0 &&
           source->unparked.bytes.size == 0;
}

void group_release_on(group_actor_t *self)
{
    release_t *release = self->releases;
    if (!release || release->ask > 0 || !group_is_placed(self) ||
        !is_settled(&self->sources[release->partition])) {
        return;
    }
    buffer_t body = {0};
    codec_encode(partition_parked_wire(),
                 &(partition_parked_t){.group = slice_text(self->group),
                                       .offset = release->offset,
                                       .events_max = PAGE_EVENTS},
                 &body);
    capstan_err_t err =
        capstan_ask_for(self->self, NULL, self->sources[release->partition].partition,
                        MESSAGE_partition_parked, buffer_slice(&body), GROUP_ASK_US, &release->ask);
    buffer_fini(&body);
    if (err != CAPSTAN_OK) {
        release->ask = 0;
        group_release_end(self, CAPSTAN_E_UNAVAILABLE);
    }
}

/* Given up is what failed; what was parked only because it stood behind it is delivered. */
static void release_event(group_actor_t *self, release_t *release, const parked_t *parked)
{
    uint64_t offset = 0;
    slice_t key;
    if (!event_place(parked->event, &offset, &key) ||
        (!release->all && !slice_equal(key, buffer_slice(&release->key)))) {
        return;
    }
    if (!release->discard || parked->behind) {
        if (group_replay(self->core, release->partition, parked->event, &self->effects) ==
            CAPSTAN_OK) {
            release->result.replayed++;
        }
        return;
    }
    if (group_discard(self->core, release->partition, parked->event) == CAPSTAN_OK) {
        outbox_add(&self->sources[release->partition].unparked, &offset, sizeof offset);
        release->result.discarded++;
    }
}

static void on_page(group_actor_t *self, release_t *release, const parked_page_t *page)
{
    codec_list_t list;
    parked_t parked;
    if (codec_list_open(parked_wire(), page->events, &list) != CAPSTAN_OK) {
        group_release_end(self, CAPSTAN_E_INTERNAL);
        return;
    }
    while (codec_list_next(&list, &parked)) {
        release_event(self, release, &parked);
    }
    group_take_effects(self);
    if (page->more) {
        release->offset = page->next_offset;
        return;
    }
    release->offset = 0;
    release->partition++;
    if (release->partition == self->count) {
        group_release_end(self, CAPSTAN_OK);
    }
}

bool group_release_answer(group_actor_t *self, const capstan_message_t *message)
{
    release_t *release = self->releases;
    parked_page_t page;
    if (!release || release->ask == 0 || release->ask != message->correlation) {
        return false;
    }
    release->ask = 0;
    if (message->kind == CAPSTAN_KIND_ERROR) {
        group_release_end(self, CAPSTAN_E_UNAVAILABLE);
    } else if (codec_decode(parked_page_wire(), message->body, &page, NULL) != CAPSTAN_OK) {
        group_release_end(self, CAPSTAN_E_INTERNAL);
    } else {
        on_page(self, release, &page);
    }
    return true;
}

/* A group that is new and is to begin elsewhere than with the first events. The partitions say
 * where that is, and whether the group has begun; then partition 0 stores the place in all of them,
 * before anybody is admitted. So a group begins once and in one place, whatever crashes meanwhile.
 *
 *   joining --partition_find--> all partitions --offsets--> mark --> partition 0: stored
 *                                                                      |
 *                     the group asks where it stands, as any other <---+ */
#include "actors/ordering/group_actor.h"

#include "actors/ordering/beginning.h"
#include "runtime/base/ensure.h"
#include "runtime/runtime.h"

#include <stdlib.h>

static void ask(group_actor_t *self, size_t partition, uint32_t message, slice_t body,
                uint64_t *ret_ask)
{
    if (capstan_ask_for(self->self, NULL, self->sources[partition].partition, message, body,
                        GROUP_ASK_US, ret_ask) != CAPSTAN_OK) {
        *ret_ask = 0;
        group_end(self, CAPSTAN_E_UNAVAILABLE);
    }
}

void group_take_beginning(group_actor_t *self, const group_stored_t *stored)
{
    codec_list_t list;
    position_t position;
    buffer_clear(&self->beginning);
    buffer_append(&self->beginning, stored->beginning.data, stored->beginning.size);
    for (size_t i = 0; i < self->count; i++) {
        self->sources[i].begin = 0; /* whatever was found for one who was refused */
    }
    if (codec_list_open(position_wire(), stored->places, &list) != CAPSTAN_OK) {
        return;
    }
    while (codec_list_next(&list, &position)) {
        if (position.partition < self->count) {
            self->sources[position.partition].begin = position.offset;
        }
    }
}

bool group_must_begin(const group_actor_t *self)
{
    return self->beginning.size == 0 && self->joining && self->joining->beginning.size > 0;
}

void group_begin(group_actor_t *self)
{
    buffer_t body = {0};
    self->begin = (begin_job_t){.left = self->count};
    for (size_t i = 0; i < self->count && !self->ended; i++) {
        buffer_clear(&body);
        beginning_ask(buffer_slice(&self->joining->beginning), i, slice_text(self->group), &body);
        ask(self, i, MESSAGE_partition_find, buffer_slice(&body), &self->sources[i].find_ask);
    }
    buffer_fini(&body);
}

static void store(group_actor_t *self)
{
    buffer_t places = {0};
    buffer_t mark = {0};
    buffer_t body = {0};
    codec_list_writer_t list = codec_list_begin(&places);
    for (size_t i = 0; i < self->count; i++) {
        codec_list_add(&list, position_wire(),
                       &(position_t){.partition = i, .offset = self->sources[i].begin});
    }
    codec_list_end(&list);
    codec_encode(group_mark_wire(),
                 &(group_mark_t){.group = slice_text(self->group),
                                 .beginning = buffer_slice(&self->joining->beginning),
                                 .places = buffer_slice(&places)},
                 &mark);
    codec_encode(partition_mark_wire(), &(partition_mark_t){.mark = buffer_slice(&mark)}, &body);
    ask(self, 0, MESSAGE_partition_mark, buffer_slice(&body), &self->begin.store_ask);
    buffer_fini(&places);
    buffer_fini(&mark);
    buffer_fini(&body);
}

/* Whoever else waits goes on with the next turn. */
static void refuse(group_actor_t *self, capstan_err_t err, const char *text)
{
    joining_t *joining = self->joining;
    self->joining = joining->next;
    capstan_reply_error(self->self, &joining->request, err, text);
    buffer_fini(&joining->beginning);
    free(joining);
    group_rest(self);
}

static void on_all_found(group_actor_t *self)
{
    joining_t *joining = self->joining;
    slice_t beginning = buffer_slice(&joining->beginning);
    if (self->begin.too_far) {
        refuse(self, CAPSTAN_E_INVALID, beginning_too_far);
    } else if (beginning_is_of_group(beginning) && !self->begin.known) {
        refuse(self, CAPSTAN_E_INVALID, "from_group: the topic has no such group");
    } else if (!self->begin.begun) {
        store(self);
    } else if (beginning_binds(beginning)) {
        refuse(self, CAPSTAN_E_START_DIFFERS, NULL);
    } else {
        buffer_clear(&joining->beginning);
        group_rest(self);
    }
}

static void on_found(group_actor_t *self, source_t *source, const capstan_message_t *message)
{
    partition_found_t found = {0};
    capstan_err_t err = message->kind == CAPSTAN_KIND_ERROR
                            ? message_failure(message)
                            : codec_decode(partition_found_wire(), message->body, &found, NULL);
    if (err != CAPSTAN_OK && err != CAPSTAN_E_INVALID) {
        group_end(self, err);
        return;
    }
    source->begin = found.offset;
    self->begin.too_far |= err == CAPSTAN_E_INVALID;
    self->begin.known |= found.known;
    self->begin.begun |= found.begun;
    if (--self->begin.left == 0) {
        on_all_found(self);
    }
}

bool group_begin_answer(group_actor_t *self, const capstan_message_t *message)
{
    if (self->begin.store_ask > 0 && self->begin.store_ask == message->correlation) {
        self->begin.store_ask = 0;
        if (message->kind == CAPSTAN_KIND_ERROR) {
            group_end(self, message_failure(message));
        } else {
            group_rest(self);
        }
        return true;
    }
    for (size_t i = 0; i < self->count && self->begin.left > 0; i++) {
        source_t *source = &self->sources[i];
        if (source->find_ask > 0 && source->find_ask == message->correlation) {
            source->find_ask = 0;
            on_found(self, source, message);
            return true;
        }
    }
    return false;
}

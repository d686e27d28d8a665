/* A group and its partitions: where it stands, what comes next, and what is completed. */
#include "actors/ordering/group_actor.h"

#include "actors/ordering/partition_groups.h"
#include "runtime/base/ensure.h"
#include "runtime/runtime.h"

#include <stdlib.h>

enum { FIELD_OFFSET = 1 }; /* of event */

void outbox_add(outbox_t *self, const void *data, size_t size)
{
    buffer_append(&self->bytes, data, size);
}

static void outbox_sent(outbox_t *self)
{
    if (self->sent > 0) { /* an outbox that was never used has no memory */
        memmove(self->bytes.data, self->bytes.data + self->sent, self->bytes.size - self->sent);
        self->bytes.size -= self->sent;
        self->sent = 0;
    }
}

static void ask(group_actor_t *self, const source_t *source, const wire_record_t *message,
                const void *value, uint64_t *ret_ask)
{
    buffer_t body = {0};
    codec_encode(message, value, &body);
    capstan_err_t err = capstan_ask_for(self->self, NULL, source->partition, message->id,
                                        buffer_slice(&body), GROUP_ASK_US, ret_ask);
    buffer_fini(&body);
    if (err != CAPSTAN_OK) {
        *ret_ask = 0;
        group_end(self, CAPSTAN_E_UNAVAILABLE);
    }
}

/* --- where it stands ------------------------------------------------------------------------- */

static void ask_place(group_actor_t *self, size_t partition)
{
    self->sources[partition].placed = false;
    ask(self, &self->sources[partition], partition_group_wire(),
        &(partition_group_t){.group = slice_text(self->group)},
        &self->sources[partition].place_ask);
}

void group_ask_places(group_actor_t *self)
{
    ask_place(self, 0);
}

/* Its answer has the policy, without which there is no core, and where the group began; the others
 * are asked then. */
static void begin(group_actor_t *self, const group_stored_t *first)
{
    group_take_policy(self, first->policy);
    group_limits_t limits = group_limits_of(self);
    self->core = group_new(&limits);
    for (size_t i = 0; i < self->barrier_count; i++) {
        group_add_barrier(self->core, self->barriers + i * self->count);
    }
    for (size_t i = 1; i < self->count && !self->ended; i++) {
        ask_place(self, i);
    }
}

bool group_is_placed(const group_actor_t *self)
{
    for (size_t i = 0; i < self->count; i++) {
        if (!self->sources[i].placed) {
            return false;
        }
    }
    return self->core;
}

static void place(group_actor_t *self, uint32_t partition, const group_stored_t *stored)
{
    completed_t completed = {0};
    codec_list_t list;
    waiting_key_t waiting;
    uint64_t begun = self->sources[partition].begin;
    if (completed_decode(&completed, stored->done) != CAPSTAN_OK ||
        codec_list_open(waiting_key_wire(), stored->waiting, &list) != CAPSTAN_OK) {
        completed_fini(&completed);
        group_end(self, CAPSTAN_E_INTERNAL);
        return;
    }
    bool told = begun == 0 || completed_has(&completed, begun);
    if (!told) {
        completed_add(&completed, 1, begun);
    }
    group_place(self->core, partition, &completed, stored->lsn);
    group_place_parked(self->core, partition, stored->parked, stored->parked_bytes);
    while (codec_list_next(&list, &waiting)) {
        group_place_waiting(self->core, partition, waiting.key);
    }
    if (!told) { /* the next mark says so to the partition */
        group_forget_mark(self->core, partition);
    }
    completed_fini(&completed);
    self->sources[partition].placed = true;
}

/* --- reading --------------------------------------------------------------------------------- */

void group_open_reads(group_actor_t *self)
{
    for (size_t i = 0; i < self->count && !self->ended; i++) {
        uint32_t partition = (uint32_t)self->next;
        source_t *source = &self->sources[partition];
        self->next = (self->next + 1) % self->count;
        if (source->read_ask > 0 || !source->placed || !group_wants(self->core, partition)) {
            continue;
        }
        group_place_t place = group_read_place(self->core, partition);
        ask(self, source, partition_read_wire(),
            &(partition_read_t){
                .lsn = place.lsn, .offset = place.offset, .bytes_max = GROUP_READ_BYTES},
            &source->read_ask);
    }
}

static void on_events(group_actor_t *self, uint32_t partition, const capstan_message_t *message)
{
    partition_events_t events;
    capstan_err_t err = codec_decode(partition_events_wire(), message->body, &events, NULL);
    err = err ? err
              : group_read(self->core,
                           &(group_stretch_t){.partition = partition,
                                              .events = events.deliver,
                                              .sizes = events.sizes,
                                              .lsn_next = events.lsn_next},
                           &self->effects);
    if (err != CAPSTAN_OK) {
        group_end(self, CAPSTAN_E_INTERNAL);
        return;
    }
    group_take_effects(self);
}

/* --- storing --------------------------------------------------------------------------------- */

/* Returns how many bytes of the outbox are in it. */
static size_t encode_parked(const outbox_t *parked, buffer_t *out)
{
    codec_list_writer_t list = codec_list_begin(out);
    size_t size;
    size_t at = 0;
    while (at < parked->bytes.size && at < GROUP_MARK_BYTES) {
        memcpy(&size, parked->bytes.data + at, sizeof size);
        codec_list_add_raw(&list, slice_of(parked->bytes.data + at + sizeof size, size));
        at += sizeof size + size;
    }
    codec_list_end(&list);
    return at;
}

static void encode_unparked(const outbox_t *unparked, uint64_t partition, buffer_t *out)
{
    codec_list_writer_t list = codec_list_begin(out);
    uint64_t offset;
    for (size_t at = 0; at < unparked->bytes.size; at += sizeof offset) {
        memcpy(&offset, unparked->bytes.data + at, sizeof offset);
        codec_list_add(&list, position_wire(),
                       &(position_t){.partition = partition, .first = offset, .offset = offset});
    }
    codec_list_end(&list);
}

/* What was acknowledged is said no later than what was parked after it: otherwise a crash between
 * the two would leave a parked event on record that can be replayed before it. */
static bool send_mark(group_actor_t *self, uint32_t partition)
{
    source_t *source = &self->sources[partition];
    const completed_t nothing = {0};
    const completed_t *done = &nothing;
    uint64_t lsn = 0;
    buffer_t lists[4] = {{0}};
    bool policy = partition == 0 && group_policy_to_store(self, &lists[3]);
    source->parked.sent = encode_parked(&source->parked, &lists[1]);
    bool all = source->parked.sent == source->parked.bytes.size;
    bool completed = group_take_mark(self->core, partition, all, &done, &lsn);
    bool any = completed || policy || source->parked.sent > 0 || source->unparked.bytes.size > 0;
    if (any) {
        completed_encode(done, partition, &lists[0]);
        encode_unparked(&source->unparked, partition, &lists[2]);
        buffer_t mark = {0};
        codec_encode(group_mark_wire(),
                     &(group_mark_t){.group = slice_text(self->group),
                                     .lsn = lsn,
                                     .done = buffer_slice(&lists[0]),
                                     .parked = buffer_slice(&lists[1]),
                                     .unparked = buffer_slice(&lists[2]),
                                     .policy = buffer_slice(&lists[3])},
                     &mark);
        source->unparked.sent = source->unparked.bytes.size;
        source->owed.sent = source->owed.bytes.size;
        ask(self, source, partition_mark_wire(), &(partition_mark_t){.mark = buffer_slice(&mark)},
            &source->mark_ask);
        buffer_fini(&mark);
    }
    for (size_t i = 0; i < 4; i++) {
        buffer_fini(&lists[i]);
    }
    return any;
}

/* Each mark costs a commit and tells members: where many do a little each, that is more than their
 * deliveries cost. Nobody waits for it but a crash, which delivers a few events more again; when
 * somebody does, it goes at once. */
static bool may_wait(const group_actor_t *self)
{
    return self->members && !self->closing && !self->stopping && !self->set && !self->releases;
}

void group_send_marks(group_actor_t *self)
{
    bool any = false;
    if (self->pacing && may_wait(self)) {
        return;
    }
    for (size_t i = 0; i < self->count && !self->ended && !self->retrying; i++) {
        if (self->sources[i].placed && self->sources[i].mark_ask == 0) {
            any |= send_mark(self, (uint32_t)i);
        }
    }
    if (any && !self->pacing) {
        self->pacing = true;
        capstan_timer_start(self->self, GROUP_PACE_US, &self->pacing);
    }
}

bool group_is_stored(const group_actor_t *self)
{
    for (size_t i = 0; i < self->count; i++) {
        const source_t *source = &self->sources[i];
        if (source->mark_ask > 0 || source->owed.bytes.size > 0 || source->parked.bytes.size > 0 ||
            source->unparked.bytes.size > 0) {
            return false;
        }
    }
    return true;
}

static void forget_mark(group_actor_t *self, uint32_t partition)
{
    const buffer_t *waiting = &self->sources[partition].parked.bytes;
    size_t size;
    group_forget_mark(self->core, partition);
    for (size_t at = 0; at < waiting->size; at += sizeof size + size) {
        parked_t parked;
        uint64_t offset;
        memcpy(&size, waiting->data + at, sizeof size);
        slice_t record = slice_of(waiting->data + at + sizeof size, size);
        if (codec_decode(parked_wire(), record, &parked, NULL) == CAPSTAN_OK &&
            codec_peek_uint(parked.event, FIELD_OFFSET, &offset)) {
            group_wait_for_record(self->core, partition, offset);
        }
    }
}

static void on_marked(group_actor_t *self, uint32_t partition, const capstan_message_t *message)
{
    source_t *source = &self->sources[partition];
    if (message->kind == CAPSTAN_KIND_ERROR) {
        /* A disk that is full or fails is no reason to send members away: what they acknowledged
         * is stored when the partition has recovered. */
        if (capstan_err_retry(message_failure(message)) != CAPSTAN_RETRY_LATER) {
            group_end(self, CAPSTAN_E_UNAVAILABLE);
            return;
        }
        forget_mark(self, partition);
        source->parked.sent = source->unparked.sent = source->owed.sent = 0;
        if (!self->retrying) {
            self->retrying = true;
            capstan_timer_start(self->self, GROUP_RETRY_US, &self->retrying);
        }
        return;
    }
    group_mark_stored(self->core, partition);
    for (size_t at = 0; at < source->owed.sent; at += sizeof(owed_t)) {
        owed_t owed;
        memcpy(&owed, source->owed.bytes.data + at, sizeof owed);
        member_t *member = group_find_member(self, owed.member);
        if (member) {
            member->stored += owed.events;
        }
    }
    outbox_sent(&source->parked);
    outbox_sent(&source->unparked);
    outbox_sent(&source->owed);
    if (partition == 0 && group_policy_stored(self)) {
        group_rest(self); /* it begins anew, by the new rules */
    }
}

void group_confirm(group_actor_t *self)
{
    buffer_t body = {0};
    for (member_t *member = self->members; member; member = member->next) {
        if (member->told == member->stored) {
            continue;
        }
        buffer_clear(&body);
        codec_encode(acknowledged_wire(),
                     &(acknowledged_t){.subscription = member->number, .events = member->stored},
                     &body);
        (void)!actor_send(self->self, member->session,
                          &(send_options_t){.message = MESSAGE_acknowledged,
                                            .kind = CAPSTAN_KIND_EVENT,
                                            .always = true},
                          buffer_slice(&body));
        member->told = member->stored;
    }
    buffer_fini(&body);
}

/* --- answers --------------------------------------------------------------------------------- */

static void on_placed(group_actor_t *self, uint32_t partition, const capstan_message_t *message)
{
    group_stored_t stored;
    if (message->kind == CAPSTAN_KIND_ERROR) {
        group_end(self, message_failure(message));
    } else if (codec_decode(group_stored_wire(), message->body, &stored, NULL) != CAPSTAN_OK) {
        group_end(self, CAPSTAN_E_INTERNAL);
    } else if (partition > 0) {
        place(self, partition, &stored);
    } else {
        group_take_beginning(self, &stored);
        if (group_must_begin(self)) {
            group_begin(self);
            return;
        }
        begin(self, &stored);
        place(self, partition, &stored);
    }
}

static void on_read(group_actor_t *self, uint32_t partition, const capstan_message_t *message)
{
    if (message->kind != CAPSTAN_KIND_ERROR) {
        on_events(self, partition, message);
    } else if (message_failure(message) != CAPSTAN_E_TIMEOUT) { /* nothing came: it asks again */
        group_end(self, message_failure(message));
    }
}

void group_on_answer(group_actor_t *self, const capstan_message_t *message)
{
    for (uint32_t i = 0; i < self->count && self->awake; i++) {
        source_t *source = &self->sources[i];
        if (source->mark_ask == message->correlation) {
            source->mark_ask = 0;
            on_marked(self, i, message);
        } else if (source->read_ask == message->correlation) {
            source->read_ask = 0;
            on_read(self, i, message);
        } else if (source->place_ask == message->correlation) {
            source->place_ask = 0;
            on_placed(self, i, message);
        } else {
            continue;
        }
        return;
    }
}

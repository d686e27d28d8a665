/* Another number of partitions for a topic that is used.
 *
 * What is stored stays where it is. From a barrier on, the offset at which each partition ended, a
 * key's events go to the partition that the new number picks, which is told before what was
 * accepted of the key, so that it is numbered on without a hole, and what was taken once is not
 * taken again. A group reads behind the barrier once it has completed everything up to it, wherever
 * it stands: so nobody is waited for but the partitions themselves.
 *
 *   mark `moving` --> STARTING: new partitions recover
 *                 --> STOPPING: routers forget the way, and wait for the new one; partitions take
 *                     no publish, and say where they end
 *                 --> GIVING, INHERITING: what goes with the keys, page by page
 *                 --> MARKING: the barrier and the new number: from here on it is so
 *                 --> CLOSING: groups and looks end, and are asked for again by their members
 *                 --> ENDING: partitions go on, and so does everybody who waited
 *
 * A crash, a failure, or MOVE_LOOK_US in which nothing comes forward, before the barrier is on
 * disk, calls it off: nothing was said that would not be true. New partitions then have streams
 * that nobody reads, which the next try goes on with, and which the topic's end removes. */
#include "actors/ordering/topics_move.h"

#include "actors/ordering/ordering_events.h"
#include "runtime/base/ensure.h"
#include "runtime/base/key_partition.h"
#include "runtime/runtime.h"
#include "runtime/telemetry/log.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    STEP_STOP = 1, /* of partition_move */
    STEP_GIVE = 2,
    STEP_INHERIT = 3,
    STEP_GO_ON = 4,
    MOVE_LOOK_US = 5000000,
};

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* --- those who wait -------------------------------------------------------------------------- */

void move_defer(topics_t *self, topic_t *topic, const capstan_message_t *message)
{
    size_t count = 0;
    deferred_t **link = &topic->deferred;
    for (; *link; link = &(*link)->next) {
        count++;
    }
    if (count == TOPIC_WAITERS_MAX) {
        capstan_reply_error(self->self, message, CAPSTAN_E_UNAVAILABLE, NULL);
        return;
    }
    deferred_t *deferred = malloc(sizeof *deferred + message->body.size);
    ENSURE(deferred);
    *deferred = (deferred_t){.message = *message};
    if (message->body.size > 0) {
        memcpy(deferred->body, message->body.data, message->body.size);
    }
    deferred->message.body = slice_of(deferred->body, message->body.size);
    *link = deferred;
}

static void serve_deferred(topics_t *self, topic_t *topic)
{
    deferred_t *deferred = topic->deferred;
    topic->deferred = NULL;
    while (deferred) {
        deferred_t *next = deferred->next;
        topics_on_request(self, &deferred->message);
        free(deferred);
        deferred = next;
    }
}

static size_t find_router(const topics_t *self, capstan_ref_t router)
{
    size_t i = 0;
    while (i < self->router_count && !capstan_ref_equal(self->routers[i], router)) {
        i++;
    }
    return i;
}

void move_add_router(topics_t *self, capstan_ref_t router)
{
    if (find_router(self, router) < self->router_count ||
        capstan_monitor(self->self, router) != CAPSTAN_OK) {
        return;
    }
    self->routers = realloc(self->routers, (self->router_count + 1) * sizeof *self->routers);
    ENSURE(self->routers);
    self->routers[self->router_count++] = router;
}

void move_remove_router(topics_t *self, capstan_ref_t router)
{
    size_t place = find_router(self, router);
    if (place < self->router_count) {
        self->routers[place] = self->routers[--self->router_count];
    }
}

/* What they send meanwhile waits with them, in the order in which it came. */
static void tell_routers(topics_t *self, const topic_t *topic)
{
    buffer_t body = {0};
    codec_encode(topic_moved_wire(), &(topic_moved_t){.topic = slice_text(topic->name)}, &body);
    for (size_t i = 0; i < self->router_count; i++) {
        (void)!actor_send(self->self, self->routers[i],
                          &(send_options_t){.message = MESSAGE_topic_moved,
                                            .kind = CAPSTAN_KIND_EVENT,
                                            .always = true},
                          buffer_slice(&body));
    }
    buffer_fini(&body);
}

/* --- asking ---------------------------------------------------------------------------------- */

static void finish(topics_t *self, topic_t *topic);

static capstan_err_t ask(topics_t *self, topic_t *topic, uint64_t partition,
                         const partition_move_t *request)
{
    topic_move_t *move = topic->move;
    buffer_t body = {0};
    codec_encode(partition_move_wire(), request, &body);
    capstan_err_t err =
        capstan_ask_for(self->self, NULL, topic->refs[partition], MESSAGE_partition_move,
                        buffer_slice(&body), TOPICS_ASK_US, &move->asks[partition]);
    buffer_fini(&body);
    if (err == CAPSTAN_OK) {
        move->left++;
    } else {
        move->asks[partition] = 0;
    }
    return err;
}

/* One that does not hear it has failed, and begins anew, or is asked for its state in vain. */
static void tell_to_go_on(topics_t *self, topic_t *topic)
{
    partition_move_t go_on = {.step = STEP_GO_ON, .partitions = topic->settings.partitions};
    for (uint64_t i = 0; i < topic->made; i++) {
        if (!capstan_ref_is_null(topic->refs[i])) {
            (void)ask(self, topic, i, &go_on);
        }
    }
}

static void end(topics_t *self, topic_t *topic)
{
    topic_move_t *move = topic->move;
    move->step = MOVE_ENDING;
    tell_to_go_on(self, topic);
    if (move->left == 0) {
        finish(self, topic);
    }
}

static void forget_asks(topics_t *self, topic_move_t *move)
{
    for (size_t i = 0; i < TOPIC_PARTITIONS_MAX; i++) {
        capstan_cancel(self->self, move->asks[i]);
        move->asks[i] = 0;
    }
    move->left = 0;
}

static void call_off(topics_t *self, topic_t *topic, const char *text)
{
    topic_move_t *move = topic->move;
    forget_asks(self, move);
    move->err = CAPSTAN_E_NOT_REPARTITIONED;
    snprintf(move->text, sizeof move->text, "%s", text);
    LOG(ordering, repartition_called_off, log_string("topic", topic->name),
        log_string("reason", move->text));
    end(self, topic);
}

static void fail(topics_t *self, topic_t *topic, uint64_t partition, capstan_err_t err)
{
    char text[TOPIC_TEXT_BYTES];
    snprintf(text, sizeof text, "partition %" PRIu64 " cannot take part: %s", partition,
             capstan_err_text(err));
    call_off(self, topic, text);
}

static void finish(topics_t *self, topic_t *topic)
{
    topic_move_t *move = topic->move;
    if (move->err != CAPSTAN_OK) {
        capstan_reply_error(self->self, &move->request, move->err, move->text);
    } else {
        LOG(ordering, topic_repartitioned, log_string("topic", topic->name),
            log_uint("before", move->before), log_uint("partitions", move->after));
        topics_reply_info(self, &move->request, topic->name, &topic->settings, false);
    }
    capstan_err_t failed = move->failed;
    free(move);
    topic->move = NULL;
    topics_launch(self, topic); /* what has failed meanwhile */
    if (failed != CAPSTAN_OK) {
        topic->phase = TOPIC_FAILED;
        topic->failed = failed;
        topics_serve_waiters(self, topic);
    } else if (topic->phase == TOPIC_STARTING) {
        topics_become_ready(self, topic);
    }
    serve_deferred(self, topic);
}

/* --- steps ----------------------------------------------------------------------------------- */

/* A partition that has never been one is told what the others know of producers and event time. */
static void tell_new_ones(topics_t *self, topic_t *topic)
{
    topic_move_t *move = topic->move;
    buffer_t records = {0};
    codec_list_writer_t list = codec_list_begin(&records);
    size_t position = 0;
    for (const producer_epoch_t *known; (known = map_next(&topic->producers, &position));) {
        if (known->epoch > 0) {
            codec_list_add(&list, inherited_wire(),
                           &(inherited_t){.producer = slice_of(known->name, known->size),
                                          .producer_epoch = known->epoch});
        }
    }
    if (move->watermark_known) {
        codec_list_add(&list, inherited_wire(),
                       &(inherited_t){.watermark_us = move->watermark_us, .watermark_known = true});
    }
    codec_list_end(&list);
    move->step = MOVE_INHERITING;
    capstan_err_t err = CAPSTAN_OK;
    for (uint64_t i = topic->count; i < move->after && err == CAPSTAN_OK; i++) {
        err = ask(self, topic, i,
                  &(partition_move_t){.step = STEP_INHERIT, .records = buffer_slice(&records)});
    }
    buffer_fini(&records);
    if (err != CAPSTAN_OK) {
        fail(self, topic, topic->count, err);
    }
}

static void give_on(topics_t *self, topic_t *topic)
{
    topic_move_t *move = topic->move;
    if (move->source == move->before) {
        move->step = MOVE_MARKING;
        marks_add(self, &(topic_mark_job_t){.kind = MARK_MOVED, .topic = topic});
        return;
    }
    move->step = MOVE_GIVING;
    capstan_err_t err =
        ask(self, topic, move->source,
            &(partition_move_t){
                .step = STEP_GIVE, .partitions = move->after, .position = move->position});
    if (err != CAPSTAN_OK) {
        fail(self, topic, move->source, err);
    }
}

static void stop_when_ready(topics_t *self, topic_t *topic)
{
    topic_move_t *move = topic->move;
    for (uint64_t i = 0; i < larger(topic->count, move->after); i++) {
        if (!topic->ready[i]) {
            return;
        }
    }
    move->step = MOVE_STOPPING;
    topic->phase = TOPIC_MOVING;
    tell_routers(self, topic);
    for (uint64_t i = 0; i < topic->count; i++) {
        capstan_err_t err = ask(self, topic, i, &(partition_move_t){.step = STEP_STOP});
        if (err != CAPSTAN_OK) {
            fail(self, topic, i, err);
            return;
        }
    }
}

static void hand_over(topics_t *self, topic_t *topic)
{
    if (topic->count < topic->move->after) {
        tell_new_ones(self, topic);
    } else {
        give_on(self, topic);
    }
}

static uint64_t common_divisor(uint64_t a, uint64_t b)
{
    while (b > 0) {
        uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* Whether some key may go from one partition to the other. */
static bool may_pass(const topic_move_t *move, uint64_t from, uint64_t to)
{
    uint64_t divisor = common_divisor(move->before, move->after);
    return from != to && from % divisor == to % divisor;
}

/* An id does not tell its event's key: each goes wherever such a key may. */
static bool ids_have_room(topics_t *self, topic_t *topic)
{
    char text[TOPIC_TEXT_BYTES];
    topic_move_t *move = topic->move;
    for (uint64_t to = 0; to < move->after; to++) {
        uint64_t ids = to < move->before ? move->ids[to] : 0;
        for (uint64_t from = 0; from < move->before; from++) {
            ids += may_pass(move, from, to) ? move->ids[from] : 0;
        }
        if (ids > self->settings->ids_max) {
            snprintf(text, sizeof text,
                     "partition %" PRIu64 " would have to remember %" PRIu64
                     " ids of events, and ordering.ids_max is %" PRIu64
                     ": raise it, choose a multiple of the present number, or wait until fewer "
                     "are within id_window_ms",
                     to, ids, self->settings->ids_max);
            call_off(self, topic, text);
            return false;
        }
    }
    return true;
}

/* A delayed event would be put in order where its key no longer is. */
static void on_stopped(topics_t *self, topic_t *topic, uint64_t partition,
                       const partition_moved_t *moved)
{
    char text[TOPIC_TEXT_BYTES];
    topic_move_t *move = topic->move;
    if (moved->scheduled > 0) {
        snprintf(text, sizeof text,
                 "partition %" PRIu64 ": %" PRIu64 " delayed events wait for their time: wait for "
                 "it too, or cancel them",
                 partition, moved->scheduled);
        call_off(self, topic, text);
        return;
    }
    move->offsets[partition] = moved->offset;
    move->ids[partition] = moved->ids;
    if (moved->watermark_known &&
        (!move->watermark_known || moved->watermark_us < move->watermark_us)) {
        move->watermark_known = true;
        move->watermark_us = moved->watermark_us;
    }
    if (move->left == 0 && ids_have_room(self, topic)) {
        hand_over(self, topic);
    }
}

/* --- what goes with the keys ----------------------------------------------------------------- */

typedef struct share {
    buffer_t records;
    codec_list_writer_t list;
} share_t;

static void add_to_share(share_t *share, slice_t record)
{
    if (share->records.size == 0) {
        share->list = codec_list_begin(&share->records);
    }
    codec_list_add_raw(&share->list, record);
}

static void hand_out(const topic_move_t *move, share_t *shares, uint64_t from, slice_t record)
{
    enum { FIELD_KEY = 3 }; /* of `inherited` */
    slice_t key;
    if (codec_peek_slice(record, FIELD_KEY, &key)) {
        add_to_share(&shares[key_partition(key, move->after)], record);
        return;
    }
    for (uint64_t to = 0; to < move->after; to++) {
        if (may_pass(move, from, to)) {
            add_to_share(&shares[to], record);
        }
    }
}

static void on_given(topics_t *self, topic_t *topic, const partition_moved_t *moved)
{
    topic_move_t *move = topic->move;
    uint64_t from = move->source;
    share_t *shares = calloc(move->after, sizeof *shares);
    codec_list_t list;
    ENSURE(shares);
    capstan_err_t err = codec_list_open(inherited_wire(), moved->records, &list);
    for (slice_t record; err == CAPSTAN_OK && codec_list_next_raw(&list, &record);) {
        hand_out(move, shares, from, record);
    }
    move->step = MOVE_INHERITING;
    move->source += !moved->more;
    move->position = moved->more ? moved->position : 0;
    for (uint64_t i = 0; i < move->after; i++) {
        if (err == CAPSTAN_OK && shares[i].records.size > 0) {
            codec_list_end(&shares[i].list);
            err = ask(self, topic, i,
                      &(partition_move_t){.step = STEP_INHERIT,
                                          .records = buffer_slice(&shares[i].records)});
        }
        buffer_fini(&shares[i].records);
    }
    free(shares);
    if (err != CAPSTAN_OK) {
        fail(self, topic, from, err);
    } else if (move->left == 0) {
        give_on(self, topic);
    }
}

/* --- answers and events ---------------------------------------------------------------------- */

static void on_moved(topics_t *self, topic_t *topic, uint64_t partition,
                     const capstan_message_t *message)
{
    topic_move_t *move = topic->move;
    partition_moved_t moved;
    if (move->step == MOVE_ENDING) {
        if (move->left == 0) {
            finish(self, topic);
        }
        return;
    }
    capstan_err_t err = message->kind == CAPSTAN_KIND_ERROR
                            ? message_failure(message)
                            : codec_decode(partition_moved_wire(), message->body, &moved, NULL);
    if (err != CAPSTAN_OK) {
        fail(self, topic, partition, err);
    } else if (move->step == MOVE_STOPPING) {
        on_stopped(self, topic, partition, &moved);
    } else if (move->step == MOVE_GIVING) {
        on_given(self, topic, &moved);
    } else if (move->left == 0) {
        give_on(self, topic);
    }
}

bool move_answer(topics_t *self, const capstan_message_t *message)
{
    for (size_t i = 0; i < self->count; i++) {
        topic_move_t *move = self->list[i]->move;
        for (uint64_t k = 0; move && k < self->list[i]->made; k++) {
            if (move->asks[k] > 0 && move->asks[k] == message->correlation) {
                move->asks[k] = 0;
                move->left--;
                move->progress = true;
                on_moved(self, self->list[i], k, message);
                return true;
            }
        }
    }
    return false;
}

void move_on_ready(topics_t *self, topic_t *topic, uint64_t partition, capstan_err_t err)
{
    topic_move_t *move = topic->move;
    move->progress = true;
    if (err != CAPSTAN_OK && partition < topic->count) {
        move->failed = err;
    }
    if (err != CAPSTAN_OK && move->step < MOVE_MARKING) {
        fail(self, topic, partition, err);
    } else if (move->step == MOVE_STARTING) {
        stop_when_ready(self, topic);
    }
}

/* Started again it takes no publish either, if that is so now. */
void move_on_down(topics_t *self, topic_t *topic, uint64_t partition)
{
    bool lives = partition < larger(topic->count, topic->move->after);
    capstan_err_t err = lives ? topic_spawn(self, topic, partition) : CAPSTAN_OK;
    if (topic->move->step < MOVE_MARKING) {
        fail(self, topic, partition, err ? err : CAPSTAN_E_GONE);
    }
}

void move_on_closed(topics_t *self)
{
    for (size_t i = 0; i < self->count; i++) {
        topic_t *topic = self->list[i];
        if (topic->move && topic->move->step == MOVE_CLOSING &&
            !topics_has_subscribers(self, topic)) {
            end(self, topic);
            return;
        }
    }
}

/* --- begin and end --------------------------------------------------------------------------- */

void move_begin(topics_t *self, topic_t *topic, const topic_mark_job_t *job)
{
    topic_move_t *move = calloc(1, sizeof *move);
    ENSURE(move);
    move->request = job->request;
    move->before = topic->settings.partitions;
    move->after = job->partitions;
    move->step = MOVE_STARTING;
    topic->move = move;
    topic_grow(topic, move->after);
    capstan_timer_start(self->self, MOVE_LOOK_US, &self->routers);
    capstan_err_t err = CAPSTAN_OK;
    uint64_t i = topic->count;
    for (; i < move->after && err == CAPSTAN_OK; i++) {
        /* There may be one from a change that was called off. */
        err = capstan_ref_is_null(topic->refs[i]) ? topic_spawn(self, topic, i) : CAPSTAN_OK;
    }
    if (err != CAPSTAN_OK) {
        fail(self, topic, i - 1, err);
    } else {
        stop_when_ready(self, topic);
    }
}

void move_look(topics_t *self)
{
    bool again = false;
    for (size_t i = 0; i < self->count; i++) {
        topic_move_t *move = self->list[i]->move;
        if (!move || move->step >= MOVE_MARKING) {
            continue;
        }
        if (!move->progress) {
            call_off(self, self->list[i], "a partition does not answer: look at the node's disk");
        } else {
            move->progress = false;
            again = true;
        }
    }
    if (again) {
        capstan_timer_start(self->self, MOVE_LOOK_US, &self->routers);
    }
}

void move_marked(topics_t *self, topic_t *topic, capstan_err_t err)
{
    topic_move_t *move = topic->move;
    if (err != CAPSTAN_OK) {
        move->err = err;
        snprintf(move->text, sizeof move->text, "it could not be stored: %s",
                 capstan_err_text(err));
        end(self, topic);
        return;
    }
    topic_add_barrier(topic, move->after, move->offsets);
    move->step = MOVE_CLOSING;
    topics_send_away(self, topic, CAPSTAN_E_REPARTITIONED);
    move_on_closed(self);
}

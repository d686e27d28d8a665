/* Keys that are in the store only, as the partition's actor sees them: whatever names such a key
 * waits until the key's row was looked up, and so does all that names keys and comes behind it, so
 * that what came in an order is handled in that order.
 *
 * One question is under way at a time, for the rows of all that had gathered when it was asked; its
 * answer serves them all, and what came meanwhile is the next one's. So there are as many questions
 * as the reader can answer, each the larger the longer it takes. Between a question and its answer
 * nothing is evicted: what was in memory when it was asked still is.
 *
 * What waits is bounded by the credit of those who sent it, as what waits for the disk is. When a
 * question fails, all of them hear UNAVAILABLE and send again, or STORE_CORRUPT: a row that cannot
 * be read stays so, and which of them wants it is not known. */
#include "actors/ordering/partition_parts.h"

#include "actors/ordering/ordering_events.h"
#include "actors/ordering/ordering_metrics.h"
#include "actors/ordering/partition_cold.h"
#include "runtime/base/ensure.h"
#include "runtime/runtime.h"
#include "runtime/telemetry/log.h"

#include <stdlib.h>
#include <string.h>

enum {
    STEP_INHERIT = 3, /* of partition_move */
    EVICT_US = 1000,  /* between two turns of an idle partition that frees memory */
    ROUNDS_MAX = 4,   /* of those that want nothing, in a turn */
    SERVED_MAX = 64,  /* messages, by one question */
};

/* --- what names keys ------------------------------------------------------------------------- */

/* The list of rows that are wanted; NULL: only whether one is. */
typedef struct wanted {
    codec_list_writer_t *list;
    bool any;
} wanted_t;

static void want(partition_actor_t *self, slice_t producer, slice_t key, wanted_t *wanted)
{
    if (!partition_wants(self->core, producer, key)) {
        return;
    }
    wanted->any = true;
    if (wanted->list) {
        buffer_t name = {0};
        partition_row_name(producer, key, &name);
        codec_list_add(wanted->list, snapshot_row_wire(),
                       &(snapshot_row_t){.key = buffer_slice(&name)});
        buffer_fini(&name);
    }
}

static void want_record(partition_actor_t *self, uint32_t record, slice_t data, wanted_t *wanted)
{
    slice_t producer;
    slice_t key;
    if (partition_record_key(record, data, &producer, &key)) {
        want(self, producer, key, wanted);
    }
}

static void want_inherited(partition_actor_t *self, slice_t body, wanted_t *wanted)
{
    partition_move_t move;
    codec_list_t list;
    if (codec_decode(partition_move_wire(), body, &move, NULL) || move.step != STEP_INHERIT ||
        codec_list_open(inherited_wire(), move.records, &list)) {
        return;
    }
    for (slice_t record; codec_list_next_raw(&list, &record);) {
        want_record(self, RECORD_inherited, record, wanted);
    }
}

static void want_published(partition_actor_t *self, slice_t body, wanted_t *wanted)
{
    enum { PUBLISH_KEY = 2, PUBLISH_PRODUCER = 3 };
    publishes_t publishes;
    uint64_t sequence;
    slice_t publish;
    slice_t producer;
    slice_t key;
    if (codec_decode(publishes_wire(), body, &publishes, NULL) != CAPSTAN_OK) {
        return;
    }
    while (publishes_next(&publishes.rows, &sequence, &publish)) {
        if (codec_peek_slice(publish, PUBLISH_PRODUCER, &producer) &&
            codec_peek_slice(publish, PUBLISH_KEY, &key)) {
            want(self, producer, key, wanted);
        }
    }
}

/* What is malformed names nothing, and is refused when it is handled. */
static void want_all(partition_actor_t *self, const capstan_message_t *message, wanted_t *wanted)
{
    partition_skip_t skip;
    if (message->message == MESSAGE_publishes) {
        want_published(self, message->body, wanted);
    } else if (message->message == MESSAGE_partition_move) {
        want_inherited(self, message->body, wanted);
    } else if (codec_decode(partition_skip_wire(), message->body, &skip, NULL) == CAPSTAN_OK) {
        want_record(self, RECORD_skip, skip.skip, wanted);
    }
}

static bool names_keys(const capstan_message_t *message)
{
    enum { FIELD_STEP = 1 };
    uint64_t step;
    return message->message == MESSAGE_publishes || message->message == MESSAGE_partition_skip ||
           (message->message == MESSAGE_partition_move &&
            codec_peek_uint(message->body, FIELD_STEP, &step) && step == STEP_INHERIT);
}

/* --- waiting --------------------------------------------------------------------------------- */

bool lookups_take(partition_actor_t *self, const capstan_message_t *message)
{
    lookups_t *lookups = &self->lookups;
    if (self->phase != PARTITION_READY || (!lookups->first && partition_cold(self->core) == 0) ||
        (message->kind != CAPSTAN_KIND_REQUEST && message->message != MESSAGE_publishes) ||
        !names_keys(message) || (self->stopped && message->message == MESSAGE_publishes)) {
        return false; /* the last are refused */
    }
    wanted_t wanted = {0};
    if (!lookups->first) {
        want_all(self, message, &wanted);
        if (!wanted.any) {
            return false;
        }
        lookups->last = &lookups->first;
    }
    lookup_waiter_t *waiter = malloc(sizeof *waiter + message->body.size);
    ENSURE(waiter);
    *waiter = (lookup_waiter_t){.message = *message};
    if (message->body.size > 0) {
        memcpy(waiter->body, message->body.data, message->body.size);
    }
    waiter->message.body = slice_of(waiter->body, message->body.size);
    *lookups->last = waiter;
    lookups->last = &waiter->next;
    return true;
}

static lookup_waiter_t *take_first(lookups_t *self)
{
    lookup_waiter_t *waiter = self->first;
    self->first = waiter->next;
    self->served -= self->served > 0;
    return waiter;
}

static capstan_err_t ask_rows(partition_actor_t *self, const buffer_t *rows, uint64_t *ret_ask)
{
    buffer_t body = {0};
    codec_encode(snapshot_get_wire(),
                 &(snapshot_get_t){.stream = self->stream, .rows = buffer_slice(rows)}, &body);
    capstan_err_t err = capstan_ask_for(self->self, NULL, self->reader, MESSAGE_snapshot_get,
                                        buffer_slice(&body), PARTITION_ASK_US, ret_ask);
    buffer_fini(&body);
    return err;
}

static void serve(partition_actor_t *self)
{
    lookups_t *lookups = &self->lookups;
    while (lookups->served > 0 && self->phase == PARTITION_READY) {
        lookup_waiter_t *waiter = take_first(lookups);
        partition_handle(self, &waiter->message);
        free(waiter);
    }
}

static void go_on_in(partition_actor_t *self, int64_t after_us)
{
    lookups_t *lookups = &self->lookups;
    if (!lookups->retrying) {
        lookups->retrying = true;
        capstan_timer_start(self->self, after_us, &lookups->retrying);
    }
}

/* Asks for what all of them want, or serves them when that is nothing. False: it has to wait. */
static bool serve_next(partition_actor_t *self)
{
    lookups_t *lookups = &self->lookups;
    buffer_t rows = {0};
    codec_list_writer_t list = codec_list_begin(&rows);
    wanted_t wanted = {.list = &list};
    size_t served = 0;
    for (const lookup_waiter_t *waiter = lookups->first; waiter && served < SERVED_MAX;
         waiter = waiter->next, served++) {
        want_all(self, &waiter->message, &wanted);
    }
    codec_list_end(&list);
    if (wanted.any && ask_rows(self, &rows, &lookups->ask) != CAPSTAN_OK) {
        lookups->ask = 0; /* the reader is behind by a whole mailbox */
        go_on_in(self, PARTITION_RETRY_US);
    } else {
        lookups->served = served;
        METRIC_ADD(ordering, keys_looked_up, wanted.any ? list.count : 0);
    }
    buffer_fini(&rows);
    if (!wanted.any) {
        serve(self);
    }
    return !wanted.any;
}

/* As far as a turn may go; the next one goes on. */
static void serve_others(partition_actor_t *self)
{
    const lookups_t *lookups = &self->lookups;
    int rounds = 0;
    while (lookups->first && self->phase == PARTITION_READY && rounds < ROUNDS_MAX) {
        if (!serve_next(self)) {
            return;
        }
        rounds++;
    }
    if (lookups->first && self->phase == PARTITION_READY) {
        go_on_in(self, 0);
    }
}

/* Not while rows are given: they would be others. */
static void evict(partition_actor_t *self)
{
    lookups_t *lookups = &self->lookups;
    if (lookups->given.size == 0 && partition_evict(self->core) && !lookups->timed) {
        lookups->timed = true; /* what is left is not left until somebody comes */
        capstan_timer_start(self->self, EVICT_US, lookups);
    }
}

static void count(partition_actor_t *self)
{
    lookups_t *lookups = &self->lookups;
    partition_figures_t figures = partition_figures(self->core);
    uint64_t resident = figures.keys - figures.keys_cold;
    METRIC_ADD(ordering, keys_resident, (int64_t)(resident - lookups->resident));
    METRIC_ADD(ordering, keys_evicted, figures.evicted - lookups->evicted);
    lookups->resident = resident;
    lookups->evicted = figures.evicted;
}

void lookups_turn_end(partition_actor_t *self)
{
    lookups_t *lookups = &self->lookups;
    if (lookups->ask == 0) {
        serve(self);
        evict(self);
        if (!lookups->retrying) {
            serve_others(self);
        }
    }
    if (self->phase == PARTITION_READY) {
        count(self);
    }
}

/* --- answers --------------------------------------------------------------------------------- */

static capstan_err_t warm_all(partition_actor_t *self, const capstan_message_t *message)
{
    snapshot_rows_t rows;
    codec_list_t list;
    snapshot_row_t row;
    capstan_err_t err = CAPSTAN_OK;
    if (message->message != MESSAGE_snapshot_rows) {
        return message_failure(message);
    }
    err = codec_decode(snapshot_rows_wire(), message->body, &rows, NULL);
    err = err ? err : codec_list_open(snapshot_row_wire(), rows.rows, &list);
    while (err == CAPSTAN_OK && codec_list_next(&list, &row)) {
        err = partition_warm(self->core, row.key, row.value);
    }
    return err ? err : list.fault.err;
}

static void fail(partition_actor_t *self, capstan_err_t err)
{
    LOG(ordering, lookup_failed, log_string("topic", self->topic),
        log_uint("partition", self->index), log_error(err));
    lookups_refuse(self, err == CAPSTAN_E_STORE_CORRUPT ? err : CAPSTAN_E_UNAVAILABLE);
}

static void give(partition_actor_t *self, const capstan_message_t *message);

bool lookups_answer(partition_actor_t *self, const capstan_message_t *message)
{
    lookups_t *lookups = &self->lookups;
    if (lookups->give_ask > 0 && message->correlation == lookups->give_ask) {
        lookups->give_ask = 0;
        give(self, message);
        return true;
    }
    if (lookups->ask == 0 || message->correlation != lookups->ask) {
        return false;
    }
    lookups->ask = 0;
    capstan_err_t err = warm_all(self, message);
    if (err != CAPSTAN_OK) {
        fail(self, err);
    }
    return true;
}

void lookups_refuse(partition_actor_t *self, capstan_err_t err)
{
    lookups_t *lookups = &self->lookups;
    capstan_cancel(self->self, lookups->ask);
    lookups->ask = 0;
    while (lookups->first) {
        lookup_waiter_t *waiter = take_first(lookups);
        partition_refuse(self, &waiter->message, err);
        free(waiter);
    }
}

void lookups_forget(partition_actor_t *self, capstan_err_t err)
{
    lookups_t *lookups = &self->lookups;
    lookups_refuse(self, err);
    lookups_give_end(self);
    buffer_clear(&lookups->page);
    METRIC_ADD(ordering, keys_resident, -(int64_t)lookups->resident);
    lookups->resident = lookups->evicted = 0;
}

void lookups_fini(partition_actor_t *self)
{
    lookups_t *lookups = &self->lookups;
    while (lookups->first) {
        free(take_first(lookups));
    }
    METRIC_ADD(ordering, keys_resident, -(int64_t)lookups->resident);
    buffer_fini(&lookups->given);
    buffer_fini(&lookups->page);
}

/* --- recovery -------------------------------------------------------------------------------- */

capstan_err_t lookups_for_page(partition_actor_t *self, const capstan_message_t *message,
                               uint64_t *ret_ask)
{
    journal_records_t records;
    codec_list_t list;
    journal_record_t record;
    *ret_ask = 0;
    if (partition_cold(self->core) == 0) {
        return CAPSTAN_OK;
    }
    capstan_err_t err = codec_decode(journal_records_wire(), message->body, &records, NULL);
    err = err ? err : codec_list_open(journal_record_wire(), records.records, &list);
    if (err != CAPSTAN_OK) {
        return CAPSTAN_E_STORE_CORRUPT;
    }
    buffer_t rows = {0};
    codec_list_writer_t writer = codec_list_begin(&rows);
    wanted_t wanted = {.list = &writer};
    while (codec_list_next(&list, &record)) {
        want_record(self, (uint32_t)record.kind, record.data, &wanted);
    }
    codec_list_end(&writer);
    if (wanted.any) {
        METRIC_ADD(ordering, keys_looked_up, writer.count);
        buffer_clear(&self->lookups.page);
        buffer_append(&self->lookups.page, message->body.data, message->body.size);
        err = ask_rows(self, &rows, ret_ask);
    }
    buffer_fini(&rows);
    return err;
}

capstan_err_t lookups_page(partition_actor_t *self, const capstan_message_t *message,
                           capstan_message_t *ret_page)
{
    *ret_page = (capstan_message_t){.kind = CAPSTAN_KIND_REPLY,
                                    .message = MESSAGE_journal_records,
                                    .body = buffer_slice(&self->lookups.page)};
    return warm_all(self, message);
}

/* --- to other partitions --------------------------------------------------------------------- */

void lookups_give(partition_actor_t *self, const capstan_message_t *message,
                  const partition_move_t *move)
{
    lookups_t *lookups = &self->lookups;
    lookups->giving = *message;
    lookups->giving.body = (slice_t){0};
    lookups->give_partitions = move->partitions;
    buffer_t body = {0};
    codec_encode(snapshot_read_wire(),
                 &(snapshot_read_t){.stream = self->stream,
                                    .after = buffer_slice(&lookups->given),
                                    .bytes_max = PARTITION_MOVE_BYTES},
                 &body);
    capstan_err_t err = capstan_ask_for(self->self, NULL, self->reader, MESSAGE_snapshot_read,
                                        buffer_slice(&body), PARTITION_ASK_US, &lookups->give_ask);
    buffer_fini(&body);
    if (err != CAPSTAN_OK) {
        lookups->give_ask = 0;
        capstan_reply_error(self->self, message, CAPSTAN_E_UNAVAILABLE, NULL);
    }
}

void lookups_give_begin(partition_actor_t *self)
{
    buffer_clear(&self->lookups.given);
    buffer_append(&self->lookups.given, PARTITION_KEY_ROWS, sizeof PARTITION_KEY_ROWS - 1);
}

void lookups_give_end(partition_actor_t *self)
{
    capstan_cancel(self->self, self->lookups.give_ask);
    self->lookups.give_ask = 0;
    buffer_clear(&self->lookups.given);
}

static capstan_err_t add_given(partition_actor_t *self, const capstan_message_t *message,
                               codec_list_writer_t *records, bool *ret_more)
{
    lookups_t *lookups = &self->lookups;
    partition_share_t share = {.index = self->index,
                               .before = self->topic_settings.partitions,
                               .after = lookups->give_partitions};
    snapshot_rows_t rows;
    codec_list_t list;
    snapshot_row_t row;
    buffer_t record = {0};
    capstan_err_t err =
        message->message == MESSAGE_snapshot_rows ? CAPSTAN_OK : message_failure(message);
    err = err ? err : codec_decode(snapshot_rows_wire(), message->body, &rows, NULL);
    err = err ? err : codec_list_open(snapshot_row_wire(), rows.rows, &list);
    *ret_more = err == CAPSTAN_OK && !rows.end;
    while (err == CAPSTAN_OK && codec_list_next(&list, &row)) {
        if (!partition_owns_key_row(row.key)) {
            *ret_more = false;
            break;
        }
        buffer_clear(&record);
        err = partition_give_row(self->core, &share, row.key, row.value, &record);
        if (record.size > 0) {
            codec_list_add_raw(records, buffer_slice(&record));
        }
        buffer_clear(&lookups->given);
        buffer_append(&lookups->given, row.key.data, row.key.size);
    }
    buffer_fini(&record);
    return err ? err : list.fault.err;
}

static void give(partition_actor_t *self, const capstan_message_t *message)
{
    buffer_t records = {0};
    partition_moved_t moved = {.position = LOOKUPS_GIVE};
    codec_list_writer_t list = codec_list_begin(&records);
    capstan_err_t err = add_given(self, message, &list, &moved.more);
    codec_list_end(&list);
    moved.records = buffer_slice(&records);
    if (err != CAPSTAN_OK) {
        capstan_reply_error(self->self, &self->lookups.giving, CAPSTAN_E_UNAVAILABLE, NULL);
    } else {
        moves_give_reply(self, &self->lookups.giving, &moved);
    }
    if (err != CAPSTAN_OK || !moved.more) {
        lookups_give_end(self);
    }
    buffer_fini(&records);
}

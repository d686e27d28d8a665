/* One partition of a topic.
 *
 * Accepts   publishes (from sessions), partition_read, partition_find, partition_group,
 *           partition_mark, partition_parked, partition_epoch, partition_set, partition_remove,
 *           partition_skip, partition_gaps, partition_cancel, partition_erase, partition_move,
 *           partition_status; answers of the journal and its reader.
 * Replies   partition_events, partition_found, group_stored, parked_page, gap_skipped, gap_page,
 *           scheduled_cancelled, partition_moved, done, partition_report.
 * Sends     outcomes to sessions, partition_ready to topics, journal_append, snapshot_write,
 *           stream_open, stream_remove, journal_truncate, journal_read, snapshot_read,
 *           snapshot_get.
 *
 * Durable: everything that was answered. A crash loses what was gathered and not committed; nobody
 * was told of it, so producers send it again.
 *
 * What the core wants appended is gathered and sent as one append per turn, with at most two under
 * way. The core is ahead of the disk by that much. When an append is refused, the core knows things
 * that the store does not: it is thrown away with every answer that waits, and rebuilt from the
 * store. That is one code path for a full disk, a lost epoch and a commit in doubt. */
#include "actors/ordering/partition_parts.h"

#include "actors/ordering/ordering_events.h"
#include "actors/ordering/ordering_metrics.h"
#include "runtime/base/ensure.h"
#include "runtime/base/key_partition.h"
#include "runtime/runtime.h"
#include "runtime/telemetry/log.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

static void take_settings(partition_actor_t *self, const topic_settings_t *topic)
{
    const ordering_settings_t *node = self->settings;
    topic_settings_t own = topic_settings_copy(topic);
    topic_settings_fini(&self->topic_settings);
    self->topic_settings = own;
    self->limits.mode = (sequence_mode_t)topic->sequence;
    self->limits.held_items_max = node->held_items_max;
    self->limits.held_bytes_max = node->held_bytes_max;
    self->limits.key_held_items_max = node->key_held_items_max;
    self->limits.hold_us_max = (int64_t)node->hold_ms_max * 1000;
    self->limits.resident_keys_max = node->resident_keys_max;
    self->limits.skips_max = node->skips_max;
    self->limits.ids_max = node->ids_max;
    self->limits.scheduled_items_max = node->scheduled_items_max;
    self->limits.scheduled_bytes_max = node->scheduled_bytes_max;
    self->limits.gap_timeout_us = (int64_t)topic->gap_timeout_ms * 1000;
    self->limits.late_policy = (late_policy_t)topic->late_policy;
    self->limits.lateness_us = (int64_t)topic->lateness_ms * 1000;
    self->limits.watermark_step_us = PARTITION_WATERMARK_STEP_US;
    self->limits.idle_us = (int64_t)topic->idle_ms * 1000;
    self->limits.id_window_us = (int64_t)topic->id_window_ms * 1000;
    if (self->core) {
        partition_limit(self->core, &self->limits);
    }
    retention_configure(self);
    payloads_configure(self);
    compaction_configure(self);
}

static capstan_err_t init(capstan_actor_t *actor, void *argument)
{
    const partition_arguments_t *arguments = argument;
    partition_actor_t *self = calloc(1, sizeof *self);
    ENSURE(self);
    capstan_actor_set_state(actor, self);
    self->self = actor;
    ENSURE(strlen(arguments->topic) <= PARTITION_TOPIC_MAX);
    memcpy(self->topic, arguments->topic, strlen(arguments->topic) + 1);
    self->index = arguments->index;
    self->settings = arguments->settings;
    self->topics = arguments->topics;
    self->journal = arguments->journal;
    self->reader = arguments->reader;
    self->stopped = arguments->stopped;
    self->due_timer_us = INT64_MAX;
    randombytes_buf(self->limits.hash_seed, sizeof self->limits.hash_seed);
    take_settings(self, arguments->topic_settings);
    recovery_start(self);
    return CAPSTAN_OK;
}

static void destroy(capstan_actor_t *actor)
{
    partition_actor_t *self = capstan_actor_state(actor);
    if (!self) {
        return;
    }
    gaps_forget(self);
    lookups_fini(self);
    partition_destroy(&self->core);
    partition_effects_fini(&self->effects);
    buffer_fini(&self->row_after);
    buffer_fini(&self->gathered);
    buffer_fini(&self->skipped);
    answers_fini(&self->answers);
    outcome_groups_fini(&self->outcomes);
    tail_fini(&self->tail);
    read_back_fini(&self->back);
    log_index_fini(&self->log_index);
    reads_fini(self);
    finds_fini(self);
    erasures_fini(self);
    partition_groups_fini(&self->groups);
    payload_schema_destroy(&self->schema);
    compaction_keys_fini(&self->compaction.keys);
    topic_settings_fini(&self->topic_settings);
    free(self);
}

/* --- gathering and appending ----------------------------------------------------------------- */

uint64_t partition_gather(partition_actor_t *self, uint32_t record, slice_t data)
{
    if (self->gathered.size == 0) {
        self->gather = codec_list_begin(&self->gathered);
    }
    journal_record_add(&self->gather, &(journal_record_t){.kind = record, .data = data});
    self->records_since_snapshot++;
    return ++self->lsn_next;
}

static bool answers_at_once(const partition_actor_t *self)
{
    return self->topic_settings.durability == DURABILITY_ACCEPTED;
}

static void send_append(partition_actor_t *self)
{
    codec_list_end(&self->gather);
    buffer_t body = {0};
    codec_encode(journal_append_wire(),
                 &(journal_append_t){.stream = self->stream,
                                     .epoch = self->epoch,
                                     .lsn = self->lsn_sent,
                                     .records = buffer_slice(&self->gathered)},
                 &body);
    size_t place = self->append_asks[0] ? 1 : 0;
    self->backlog_bytes[place] = self->gathered.size;
    capstan_err_t err =
        capstan_ask(self->self, self->journal, MESSAGE_journal_append, buffer_slice(&body),
                    PARTITION_ASK_US, &self->append_asks[place]);
    buffer_fini(&body);
    if (err != CAPSTAN_OK) {
        /* The journal is behind by a whole mailbox: the answers to what is under way come first,
         * and each of them ends in a turn that tries again. */
        ENSURE(err == CAPSTAN_E_MAILBOX_FULL || err == CAPSTAN_E_GONE);
        self->append_asks[place] = 0;
        if (self->appends == 0) {
            capstan_timer_start(self->self, PARTITION_RETRY_US, NULL);
        }
        return;
    }
    self->appends++;
    tail_seal(&self->tail, self->lsn_sealed, self->lsn_next);
    self->lsn_sealed = self->lsn_next;
    self->lsn_sent = self->lsn_next;
    buffer_clear(&self->gathered);
}

static capstan_message_t request_of(const answer_t *answer)
{
    return (capstan_message_t){
        .kind = CAPSTAN_KIND_REQUEST, .sender = answer->to, .correlation = answer->correlation};
}

static void encode_group_stored(const partition_actor_t *self, const answer_t *answer,
                                buffer_t *body)
{
    buffer_t done = {0};
    buffer_t waiting = {0};
    group_stored_t stored = {.partition = self->index};
    if (answer->value > 0) {
        partition_groups_describe(&self->groups.list[answer->value - 1], &done, &waiting, &stored);
    } else if (log_index_first(&self->log_index) > 1) {
        completed_t expired = {.frontier = log_index_first(&self->log_index) - 1};
        completed_encode(&expired, self->index, &done);
        stored.done = buffer_slice(&done);
    }
    codec_encode(group_stored_wire(), &stored, body);
    buffer_fini(&done);
    buffer_fini(&waiting);
}

static void reply_request(partition_actor_t *self, const answer_t *answer)
{
    capstan_message_t request = request_of(answer);
    buffer_t body = {0};
    if (answer->reply == MESSAGE_gap_skipped) {
        gaps_reply(self, &request);
        return;
    }
    if (answer->reply == MESSAGE_partition_moved) {
        moves_reply(self, &request);
        return;
    }
    if (answer->reply == MESSAGE_group_stored) {
        encode_group_stored(self, answer, &body);
    } else if (answer->reply == MESSAGE_scheduled_cancelled) {
        codec_encode(scheduled_cancelled_wire(), &(scheduled_cancelled_t){.events = answer->value},
                     &body);
    }
    capstan_reply(self->self, &request, answer->reply, buffer_slice(&body));
    buffer_fini(&body);
}

/* The one place where a publish gets its outcome. */
static void answer_publish(partition_actor_t *self, const answer_t *answer)
{
    METRIC_ADD(ordering, events_stored, answer->result == EVENT_STORED);
    METRIC_ADD(ordering, events_duplicate, answer->result == EVENT_DUPLICATE);
    METRIC_ADD(ordering, events_held, answer->result == EVENT_HELD);
    METRIC_ADD(ordering, events_rejected, answer->result == EVENT_REJECTED);
    METRIC_ADD(ordering, events_diverted, answer->result == EVENT_DIVERTED);
    METRIC_ADD(ordering, events_dropped, answer->result == EVENT_DROPPED);
    outcome_groups_add(&self->outcomes, answer);
}

/* Taken, and not on disk. */
static uint64_t backlog(const partition_actor_t *self)
{
    uint64_t bytes = self->gathered.size;
    for (size_t i = 0; i < PARTITION_APPENDS_MAX; i++) {
        bytes += self->append_asks[i] > 0 ? self->backlog_bytes[i] : 0;
    }
    return bytes;
}

/* One that waits for its time is on disk when it is answered: it may wait for long. */
static void owe(partition_actor_t *self, const answer_t *answer, bool scheduled)
{
    if (answers_at_once(self) && !scheduled && self->answers.publishes == 0 &&
        backlog(self) < PARTITION_ACCEPTED_BYTES) {
        answer_publish(self, answer);
    } else {
        answers_add(&self->answers, answer);
    }
}

static void release_answers(partition_actor_t *self)
{
    answer_t answer;
    while (answers_take(&self->answers, self->lsn_committed, &answer)) {
        if (answer.result > 0) {
            answer_publish(self, &answer);
        } else {
            reply_request(self, &answer);
        }
    }
}

/* --- a refused append ------------------------------------------------------------------------ */

static void refuse_answers(partition_actor_t *self, capstan_err_t err)
{
    answer_t answer;
    while (answers_take(&self->answers, UINT64_MAX, &answer)) {
        if (answer.result > 0) {
            answer.result = EVENT_REJECTED;
            answer.err = err;
            answer_publish(self, &answer);
        } else {
            capstan_message_t request = request_of(&answer);
            capstan_reply_error(self->self, &request, err, NULL);
        }
    }
}

/* Retryable to the producers, whatever it is to us: the event may well be taken after the rebuild.
 */
static capstan_err_t outward(capstan_err_t err)
{
    return err == CAPSTAN_E_STORE_FULL ? err : CAPSTAN_E_UNAVAILABLE;
}

void partition_drop(partition_actor_t *self, capstan_err_t err)
{
    for (size_t i = 0; i < PARTITION_APPENDS_MAX; i++) {
        capstan_cancel(self->self, self->append_asks[i]);
        self->append_asks[i] = 0;
    }
    self->appends = 0;
    capstan_cancel(self->self, self->truncate_ask);
    self->truncate_ask = 0;
    refuse_answers(self, err);
    finds_refuse(self, err);
    erasures_refuse(self, err);
    compaction_forget(self);
    buffer_clear(&self->gathered);
    snapshot_forget(self);
    gaps_forget(self);
    lookups_forget(self, err);
    self->steady = false;
    partition_destroy(&self->core);
    tail_fini(&self->tail);
    read_back_fini(&self->back);
}

static void break_down(partition_actor_t *self, capstan_err_t err)
{
    LOG(ordering, append_refused, log_string("topic", self->topic),
        log_uint("partition", self->index), log_error(err));
    METRIC_ADD(ordering, appends_refused, 1);
    self->broken = outward(err);
    uint64_t accepted = self->tail.offset_committed - self->tail.offset_stored;
    self->phase = PARTITION_BROKEN;
    partition_drop(self, self->broken);
    if (accepted > 0) {
        /* Others have seen them, and will not find them again: they must not go on where they
         * stand. */
        METRIC_ADD(ordering, events_accepted_lost, accepted);
        reads_refuse(self, self->broken);
        capstan_actor_exit(self->self, err);
        return;
    }
    capstan_timer_start(self->self, PARTITION_RETRY_US, NULL);
}

static bool append_answer(partition_actor_t *self, const capstan_message_t *message)
{
    size_t place = 0;
    while (place < PARTITION_APPENDS_MAX && self->append_asks[place] != message->correlation) {
        place++;
    }
    if (place == PARTITION_APPENDS_MAX) {
        return false;
    }
    self->append_asks[place] = 0;
    self->appends--;
    journal_appended_t appended = {0};
    if (message->message == MESSAGE_journal_appended &&
        codec_decode(journal_appended_wire(), message->body, &appended, NULL) == CAPSTAN_OK) {
        self->lsn_committed = appended.lsn_next;
        tail_commit(&self->tail, self->lsn_committed);
        release_answers(self);
        reads_wake(self);
        finds_wake(self);
        retention_continue(self);
        erasures_go_on(self);
    } else {
        break_down(self, message_failure(message));
    }
    return true;
}

/* --- requests -------------------------------------------------------------------------------- */

void partition_take_effects(partition_actor_t *self, const capstan_message_t *message)
{
    for (size_t i = 0; i < self->effects.count; i++) {
        const partition_effect_t *effect = &self->effects.list[i];
        if (effect->kind == PARTITION_APPEND) {
            slice_t data = slice_of(self->effects.bytes.data + effect->data_at, effect->data_size);
            uint64_t lsn = partition_gather(self, effect->record, data) - 1;
            if (effect->offset > 0) {
                tail_add(&self->tail, effect->offset, data);
                log_index_add(&self->log_index, effect->offset, lsn, data.size);
            } else if (effect->record == RECORD_skip) {
                gaps_note_skip(self, data);
            }
        } else {
            owe(self,
                &(answer_t){.to = message->sender,
                            .correlation = message->correlation,
                            .lsn = self->lsn_next,
                            .result = effect->result,
                            .err = effect->err},
                effect->scheduled);
        }
    }
    partition_effects_clear(&self->effects);
}

typedef struct arrival {
    uint64_t number; /* its sender's, for the answer */
    slice_t body;
    publish_t publish;
    capstan_err_t err;   /* it cannot be read */
    uint64_t place;      /* of its key */
    uint64_t partitions; /* by which its sender picked this one; 0: not known */
} arrival_t;

/* A publish may have been sent on its way when there was another number of partitions. */
static bool takes(const partition_actor_t *self, const arrival_t *arrival)
{
    uint64_t partitions = self->topic_settings.partitions;
    return !self->stopped && (arrival->partitions == partitions ||
                              key_partition(arrival->publish.key, partitions) == self->index);
}

/* Whether it may go to the core. */
static capstan_err_t check_arrival(partition_actor_t *self, const arrival_t *arrival)
{
    const publish_t *publish = &arrival->publish;
    if (arrival->body.size > self->topic_settings.event_bytes_max) {
        METRIC_ADD(ordering, events_too_large, 1);
        return CAPSTAN_E_TOO_LARGE;
    }
    capstan_err_t err = arrival->err ? arrival->err : payloads_check(self, publish);
    if (err != CAPSTAN_OK) {
        return err;
    }
    if (publish->producer_epoch > 0 &&
        publish->producer_epoch > partition_epoch_known(self->core, publish->producer)) {
        return CAPSTAN_E_EPOCH_UNKNOWN;
    }
    /* Sent again, it finds its partition. */
    return takes(self, arrival) ? CAPSTAN_OK : CAPSTAN_E_UNAVAILABLE;
}

/* `from` is whom to answer, and by which number. */
static void take_arrival(partition_actor_t *self, int64_t now_us, const capstan_message_t *from,
                         const arrival_t *arrival)
{
    answer_t refusal = {.to = from->sender,
                        .correlation = from->correlation,
                        .lsn = self->lsn_next,
                        .result = EVENT_REJECTED,
                        .err = check_arrival(self, arrival)};
    if (refusal.err != CAPSTAN_OK) {
        owe(self, &refusal, false);
        return;
    }
    partition_publish(self->core, now_us, 0, &arrival->publish, &self->effects);
    partition_take_effects(self, from);
}

/* A number of them at once, so that the memory of one's key comes while others are read. False when
 * there is none left. */
static bool take_some(partition_actor_t *self, int64_t now_us, capstan_message_t *from,
                      publishes_t *publishes)
{
    enum { AT_ONCE = 16 };
    arrival_t some[AT_ONCE];
    size_t count = 0;
    while (count < AT_ONCE &&
           publishes_next(&publishes->rows, &some[count].number, &some[count].body)) {
        arrival_t *arrival = &some[count++];
        arrival->partitions = publishes->partitions;
        arrival->err = publish_decode(arrival->body, &arrival->publish);
        arrival->place = arrival->err ? 0
                                      : partition_fetch_place(self->core, arrival->publish.producer,
                                                              arrival->publish.key);
    }
    for (size_t i = 0; i < count; i++) {
        partition_fetch_key(self->core, some[i].place);
    }
    for (size_t i = 0; i < count; i++) {
        from->correlation = some[i].number;
        take_arrival(self, now_us, from, &some[i]);
    }
    return count > 0;
}

static void on_publishes(partition_actor_t *self, const capstan_message_t *message)
{
    publishes_t publishes;
    capstan_message_t from = *message;
    int64_t now_us = capstan_utc_us(self->self);
    if (self->phase != PARTITION_READY) {
        bool known = self->phase == PARTITION_BROKEN || self->phase == PARTITION_REMOVING;
        self->heard = true;
        partition_refuse(self, message, known ? self->broken : CAPSTAN_E_UNAVAILABLE);
        return;
    }
    if (codec_decode(publishes_wire(), message->body, &publishes, NULL) != CAPSTAN_OK) {
        return;
    }
    log_index_taken(&self->log_index, now_us);
    while (take_some(self, now_us, &from, &publishes)) {
    }
}

/* What is not on disk yet could go back in a crash: a group is told of it once it is. */
static void on_group(partition_actor_t *self, const capstan_message_t *message)
{
    partition_group_t request;
    capstan_err_t err = codec_decode(partition_group_wire(), message->body, &request, NULL);
    if (err != CAPSTAN_OK) {
        capstan_reply_error(self->self, message, err, NULL);
        return;
    }
    const stored_group_t *group = partition_groups_find(&self->groups, request.group);
    answers_add(&self->answers,
                &(answer_t){.to = message->sender,
                            .correlation = message->correlation,
                            .lsn = self->lsn_next,
                            .reply = MESSAGE_group_stored,
                            .value = group ? (uint64_t)(group - self->groups.list) + 1 : 0});
}

static void on_mark(partition_actor_t *self, const capstan_message_t *message)
{
    partition_mark_t request;
    capstan_err_t err = codec_decode(partition_mark_wire(), message->body, &request, NULL);
    err = err ? err : partition_groups_apply(&self->groups, request.mark);
    (void)partition_groups_expire(&self->groups, log_index_first(&self->log_index) - 1);
    if (err != CAPSTAN_OK) {
        capstan_reply_error(self->self, message, err, NULL);
        return;
    }
    partition_gather(self, RECORD_group_mark, request.mark);
    answers_add(&self->answers, &(answer_t){.to = message->sender,
                                            .correlation = message->correlation,
                                            .lsn = self->lsn_next,
                                            .reply = MESSAGE_done});
}

static void on_parked(partition_actor_t *self, const capstan_message_t *message)
{
    partition_parked_t request;
    capstan_err_t err = codec_decode(partition_parked_wire(), message->body, &request, NULL);
    if (err != CAPSTAN_OK) {
        capstan_reply_error(self->self, message, err, NULL);
        return;
    }
    buffer_t events = {0};
    buffer_t body = {0};
    parked_page_t page = {.partition = self->index};
    const stored_group_t *group = partition_groups_find(&self->groups, request.group);
    if (group) {
        page.next_partition = self->index;
        page.next_offset = partition_groups_parked(group, request.offset, request.events_max,
                                                   PARTITION_PARKED_BYTES, &events, &page.more);
        page.events = buffer_slice(&events);
    }
    codec_encode(parked_page_wire(), &page, &body);
    capstan_reply(self->self, message, MESSAGE_parked_page, buffer_slice(&body));
    buffer_fini(&events);
    buffer_fini(&body);
}

static void on_epoch(partition_actor_t *self, const capstan_message_t *message)
{
    partition_epoch_t request;
    capstan_err_t err = codec_decode(partition_epoch_wire(), message->body, &request, NULL);
    if (err != CAPSTAN_OK) {
        capstan_reply_error(self->self, message, err, NULL);
        return;
    }
    partition_fence(self->core, request.producer, request.producer_epoch, &self->effects);
    partition_take_effects(self, message);
    answers_add(&self->answers, &(answer_t){.to = message->sender,
                                            .correlation = message->correlation,
                                            .lsn = self->lsn_next,
                                            .reply = MESSAGE_done});
}

/* At any time: what is being rebuilt goes by them too. */
static void on_set(partition_actor_t *self, const capstan_message_t *message)
{
    partition_set_t request;
    char text[TOPIC_TEXT_BYTES];
    topic_change_t change = {0};
    capstan_err_t err = codec_decode(partition_set_wire(), message->body, &request, NULL);
    err = err ? err : topic_change_decode(&change, request.settings, text);
    if (err != CAPSTAN_OK) {
        capstan_reply_error(self->self, message, err, NULL);
    } else {
        topic_settings_t settings = topic_change_apply(&self->topic_settings, &change);
        take_settings(self, &settings);
        topic_settings_fini(&settings);
        capstan_reply(self->self, message, MESSAGE_done, (slice_t){0});
    }
    topic_change_fini(&change);
}

static void on_status(partition_actor_t *self, const capstan_message_t *message)
{
    enum { GAPS = 16 };
    gap_t gaps[GAPS];
    buffer_t groups = {0};
    partition_groups_list(&self->groups, &groups);
    partition_figures_t figures = partition_figures(self->core);
    size_t count = partition_gaps(self->core, gaps, GAPS);
    buffer_t list_bytes = {0};
    codec_list_writer_t list = codec_list_begin(&list_bytes);
    for (size_t i = 0; i < count; i++) {
        codec_list_add(&list, gap_wire(), &gaps[i]);
    }
    codec_list_end(&list);
    buffer_t body = {0};
    codec_encode(partition_report_wire(),
                 &(partition_report_t){
                     .partition = self->index,
                     .offset_next = figures.offset_next,
                     .keys = figures.keys,
                     .held_items = figures.held_items,
                     .held_bytes = figures.held_bytes,
                     .gaps = figures.gaps,
                     .oldest_gap_us = figures.oldest_gap_us,
                     .accepted = figures.accepted,
                     .duplicates = figures.duplicates,
                     .rejected = figures.rejected,
                     .gap_list = buffer_slice(&list_bytes),
                     .groups = buffer_slice(&groups),
                     .diverted = figures.diverted,
                     .gaps_filled = figures.filled,
                     .skips = figures.skips,
                     .watermark_us = figures.watermark_us != INT64_MIN ? figures.watermark_us : 0,
                     .watermark_known = figures.watermark_us != INT64_MIN,
                     .late = figures.late_delivered + figures.late_diverted + figures.late_dropped,
                     .offset_first = log_index_first(&self->log_index),
                     .bytes = self->log_index.bytes - self->log_index.begin.bytes,
                     .scheduled_items = figures.scheduled_items,
                     .scheduled_bytes = figures.scheduled_bytes,
                     .scheduled_due_us = figures.scheduled_due_us,
                 },
                 &body);
    capstan_reply(self->self, message, MESSAGE_partition_report, buffer_slice(&body));
    buffer_fini(&list_bytes);
    buffer_fini(&groups);
    buffer_fini(&body);
}

static void on_request(partition_actor_t *self, const capstan_message_t *message)
{
    if (message->message == MESSAGE_partition_remove) {
        removal_start(self, message);
    } else if (self->phase == PARTITION_REMOVING) {
        capstan_reply_error(self->self, message, CAPSTAN_E_UNKNOWN_TOPIC, NULL);
    } else if (message->message == MESSAGE_partition_read) {
        reads_add(self, message);
    } else if (message->message == MESSAGE_partition_set) {
        on_set(self, message);
    } else if (message->message == MESSAGE_partition_move) {
        moves_on_step(self, message);
    } else if (self->phase != PARTITION_READY) {
        capstan_reply_error(self->self, message, CAPSTAN_E_UNAVAILABLE, NULL);
    } else if (message->message == MESSAGE_partition_find) {
        finds_add(self, message);
    } else if (message->message == MESSAGE_partition_group) {
        on_group(self, message);
    } else if (message->message == MESSAGE_partition_mark) {
        on_mark(self, message);
    } else if (message->message == MESSAGE_partition_parked) {
        on_parked(self, message);
    } else if (message->message == MESSAGE_partition_skip) {
        gaps_on_skip(self, message);
    } else if (message->message == MESSAGE_partition_gaps) {
        gaps_on_list(self, message);
    } else if (message->message == MESSAGE_partition_erase) {
        erasures_add(self, message);
    } else if (message->message == MESSAGE_partition_cancel) {
        gaps_on_cancel(self, message);
    } else if (message->message == MESSAGE_partition_epoch) {
        on_epoch(self, message);
    } else if (message->message == MESSAGE_partition_status) {
        on_status(self, message);
    } else {
        capstan_reply_error(self->self, message, CAPSTAN_E_UNKNOWN_MESSAGE, NULL);
    }
}

void partition_handle(partition_actor_t *self, const capstan_message_t *message)
{
    if (message->message == MESSAGE_publishes) {
        on_publishes(self, message);
    } else {
        on_request(self, message);
    }
}

void partition_refuse(partition_actor_t *self, const capstan_message_t *message, capstan_err_t err)
{
    answer_t refusal = {.to = message->sender, .result = EVENT_REJECTED, .err = err};
    publishes_t publishes;
    slice_t body;
    if (message->message != MESSAGE_publishes) {
        capstan_reply_error(self->self, message, err, NULL);
    } else if (codec_decode(publishes_wire(), message->body, &publishes, NULL) == CAPSTAN_OK) {
        while (publishes_next(&publishes.rows, &refusal.correlation, &body)) {
            answer_publish(self, &refusal);
        }
    }
}

static capstan_err_t receive(capstan_actor_t *actor, const capstan_message_t *message)
{
    partition_actor_t *self = capstan_actor_state(actor);
    if (lookups_take(self, message)) {
        return CAPSTAN_OK;
    }
    if (message->message == MESSAGE_publishes || message->kind == CAPSTAN_KIND_REQUEST) {
        partition_handle(self, message);
    } else if (!recovery_answer(self, message) && !append_answer(self, message) &&
               !reads_answer(self, message) && !finds_answer(self, message) &&
               !removal_answer(self, message) && !retention_answer(self, message) &&
               !lookups_answer(self, message) && !erasures_answer(self, message) &&
               !compaction_answer(self, message)) {
        (void)snapshot_answer(self, message);
    }
    return CAPSTAN_OK;
}

static void cancelled(capstan_actor_t *actor, capstan_ref_t sender, uint64_t correlation)
{
    reads_cancel(capstan_actor_state(actor), sender, correlation);
    finds_cancel(capstan_actor_state(actor), sender, correlation);
}

static bool is_stored(const partition_actor_t *self)
{
    return self->phase != PARTITION_READY || backlog(self) == 0;
}

/* What was answered before it was on disk goes there first. */
static void stop(capstan_actor_t *actor)
{
    partition_actor_t *self = capstan_actor_state(actor);
    self->stopping = true;
    if (!answers_at_once(self) || is_stored(self)) {
        capstan_actor_exit(actor, CAPSTAN_OK);
    }
}

static void turn_end(capstan_actor_t *actor)
{
    partition_actor_t *self = capstan_actor_state(actor);
    if (self->phase == PARTITION_READY) {
        lookups_turn_end(self);
    }
    if (self->phase == PARTITION_READY) {
        if (answers_at_once(self) && self->tail.open) {
            tail_seal(&self->tail, self->lsn_sealed, self->lsn_next);
            self->lsn_sealed = self->lsn_next;
            tail_reveal(&self->tail);
            reads_wake(self);
        }
        release_answers(self); /* duplicates of what is on disk need no append */
        if (self->gathered.size > 0 && self->appends < PARTITION_APPENDS_MAX) {
            send_append(self);
        }
        snapshot_continue(self);
        gaps_turn_end(self);
    }
    if (self->stopping && is_stored(self)) {
        capstan_actor_exit(actor, CAPSTAN_OK);
    }
    outcome_groups_send(&self->outcomes, actor);
}

static void timer(capstan_actor_t *actor, uint64_t number, void *cookie)
{
    (void)number;
    partition_actor_t *self = capstan_actor_state(actor);
    if (cookie == &self->retention_runs) {
        retention_tick(self);
    } else if (cookie == &self->compaction) {
        compaction_tick(self);
    } else if (cookie == &self->lookups) {
        self->lookups.timed = false;
    } else if (cookie == &self->lookups.retrying) {
        self->lookups.retrying = false;
    } else if (self->removed) {
        removal_linger(self);
    } else if (cookie) {
        gaps_expire(self);
    } else if (self->phase == PARTITION_BROKEN) {
        LOG(ordering, partition_reloading, log_string("topic", self->topic),
            log_uint("partition", self->index));
        recovery_start(self);
    }
}

const capstan_behaviour_t partition_behaviour = {
    .name = "partition",
    .init = init,
    .receive = receive,
    .cancelled = cancelled,
    .timer = timer,
    .stop = stop,
    .turn_end = turn_end,
    .destroy = destroy,
};

/* The topics of a node.
 *
 * Accepts   topic_ensure, topic_alter, topic_describe, topic_delete, topic_erase, scheduled_cancel,
 * producer_open, subscribe, parked_list, parked_release, group_define, gap_list, gap_declare,
 * gap_force (for peers), topic_resolve, ordering_status, topics_settle, partition_ready, down;
 * answers of the journal, its reader, the partitions and the groups. Replies   topic_info,
 * topic_described, producer_opened, parked_page, parked_released, group_defined, topic_route,
 * ordering_report, done; `subscribed` is replied by who then delivers. Sends   topic_moved to those
 * who have resolved a topic.
 *
 * Durable: the topics and the producers' epochs, in a stream of their own; an answer follows the
 * commit. A crash loses nothing that was answered.
 *
 * A request for a topic whose partitions are recovering waits in the topic. Marks are appended one
 * at a time: topics are made rarely, and one place to fail is enough. */
#include "actors/ordering/topics_relay.h"

#include "actors/ordering/group.h"
#include "actors/ordering/ordering_events.h"
#include "actors/ordering/subscription_actor.h"
#include "actors/ordering/topics_move.h"
#include "runtime/base/ensure.h"
#include "runtime/runtime.h"
#include "runtime/runtime_messages.h"
#include "runtime/telemetry/log.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BOOT_SHIFT = 32 }; /* of numbers of subscriptions */

void topics_ask(topics_t *self, capstan_ref_t target, const wire_record_t *message,
                const void *body)
{
    buffer_t bytes = {0};
    codec_encode(message, body, &bytes);
    /* Nobody's in particular: what is appended must not be cut short with whoever wanted it. */
    capstan_err_t err = capstan_ask_for(self->self, NULL, target, message->id, buffer_slice(&bytes),
                                        TOPICS_ASK_US, &self->ask);
    buffer_fini(&bytes);
    if (err != CAPSTAN_OK) {
        self->ask = 0;
        self->placed = false;
        capstan_timer_start(self->self, TOPICS_RETRY_US, NULL);
    }
}

void topics_reply(topics_t *self, const capstan_message_t *request, const wire_record_t *message,
                  const void *body)
{
    buffer_t bytes = {0};
    codec_encode(message, body, &bytes);
    capstan_reply(self->self, request, message->id, buffer_slice(&bytes));
    buffer_fini(&bytes);
}

/* --- answering those who wait for a topic ---------------------------------------------------- */

static void reply_route(topics_t *self, const topic_t *topic, const capstan_message_t *request)
{
    buffer_t refs = {0};
    codec_list_writer_t list = codec_list_begin(&refs);
    for (uint64_t i = 0; i < topic->settings.partitions; i++) {
        codec_list_add(&list, partition_ref_wire(), &(partition_ref_t){.actor = topic->refs[i]});
    }
    codec_list_end(&list);
    topics_reply(
        self, request, topic_route_wire(),
        &(topic_route_t){.topic = slice_text(topic->name), .partitions = buffer_slice(&refs)});
    buffer_fini(&refs);
}

void topics_reply_info(topics_t *self, const capstan_message_t *request, const char *topic,
                       const topic_settings_t *settings, bool created)
{
    buffer_t list = {0};
    topic_settings_encode(settings, &list);
    topics_reply(self, request, topic_info_wire(),
                 &(topic_info_t){.topic = slice_text(topic),
                                 .partitions = settings->partitions,
                                 .sequence = settings->sequence,
                                 .created = created,
                                 .settings = buffer_slice(&list)});
    buffer_fini(&list);
}

static void confirm(topics_t *self, const topic_t *topic, const topic_waiter_t *waiter)
{
    char text[TOPIC_TEXT_BYTES];
    const char *other = topic_change_differs(&topic->settings, &waiter->wanted);
    if (!other) {
        topics_reply_info(self, &waiter->request, topic->name, &topic->settings, waiter->created);
        return;
    }
    snprintf(text, sizeof text, "the topic exists with another definition: %s differs", other);
    capstan_reply_error(self->self, &waiter->request, CAPSTAN_E_TOPIC_DIFFERS, text);
}

static void serve_waiter(topics_t *self, const topic_t *topic, topic_waiter_t *waiter)
{
    if (topic->phase == TOPIC_FAILED) {
        capstan_reply_error(self->self, &waiter->request, topic->failed, NULL);
    } else if (waiter->request.message == MESSAGE_topic_resolve) {
        reply_route(self, topic, &waiter->request);
    } else {
        confirm(self, topic, waiter);
    }
    topic_change_fini(&waiter->wanted);
}

void topics_serve_waiters(topics_t *self, topic_t *topic)
{
    for (size_t i = 0; i < topic->waiter_count; i++) {
        serve_waiter(self, topic, &topic->waiters[i]);
    }
    topic->waiter_count = 0;
}

/* Takes what the waiter wants. */
static void wait_for(topics_t *self, topic_t *topic, topic_waiter_t *waiter)
{
    if (topic->phase == TOPIC_READY || topic->phase == TOPIC_FAILED) {
        serve_waiter(self, topic, waiter);
        return;
    }
    if (topic->waiter_count == TOPIC_WAITERS_MAX) {
        capstan_reply_error(self->self, &waiter->request, CAPSTAN_E_UNAVAILABLE, NULL);
        topic_change_fini(&waiter->wanted);
        return;
    }
    topic->waiters = realloc(topic->waiters, (topic->waiter_count + 1) * sizeof *topic->waiters);
    ENSURE(topic->waiters);
    topic->waiters[topic->waiter_count] = *waiter;
    topic->waiters[topic->waiter_count++].request.body = (slice_t){0};
}

static void serve_settler(topics_t *self)
{
    capstan_err_t failed = self->damaged;
    if (self->settler.kind == 0 || (!self->loaded && !failed)) {
        return;
    }
    for (size_t i = 0; i < self->count; i++) {
        topic_phase_t phase = self->list[i]->phase;
        if (phase == TOPIC_FAILED) {
            failed = self->list[i]->failed;
        } else if (phase != TOPIC_READY && phase != TOPIC_DELETING) {
            return;
        }
    }
    if (failed != CAPSTAN_OK) {
        capstan_reply_error(self->self, &self->settler, failed, NULL);
    } else {
        capstan_reply(self->self, &self->settler, MESSAGE_done, (slice_t){0});
    }
    self->settler.kind = 0;
}

void topics_launch(topics_t *self, topic_t *topic)
{
    capstan_err_t err = topic_start(self, topic);
    if (err != CAPSTAN_OK) {
        topic->phase = TOPIC_FAILED;
        topic->failed = err;
        topics_serve_waiters(self, topic);
    }
}

void topics_become_ready(topics_t *self, topic_t *topic)
{
    for (uint64_t i = 0; i < topic->count; i++) {
        if (!topic->ready[i]) {
            return;
        }
    }
    topic->phase = TOPIC_READY;
    topics_serve_waiters(self, topic);
    serve_settler(self);
}

static void on_ready(topics_t *self, const capstan_message_t *message)
{
    partition_ready_t ready;
    if (codec_decode(partition_ready_wire(), message->body, &ready, NULL) != CAPSTAN_OK) {
        return;
    }
    for (size_t i = 0; i < self->count; i++) {
        topic_t *topic = self->list[i];
        if (ready.partition >= topic->made || topic->phase == TOPIC_DELETING ||
            !capstan_ref_equal(topic->refs[ready.partition], message->sender)) {
            continue;
        }
        topic->ready[ready.partition] = ready.error == 0;
        if (topic->move) {
            move_on_ready(self, topic, ready.partition, (capstan_err_t)ready.error);
        } else if (ready.error > 0 && ready.partition < topic->count) {
            topic->phase = TOPIC_FAILED;
            topic->failed = (capstan_err_t)ready.error;
            topics_serve_waiters(self, topic);
            serve_settler(self);
        } else {
            topics_become_ready(self, topic);
        }
        return;
    }
}

/* --- loading --------------------------------------------------------------------------------- */

static void open_stream(topics_t *self)
{
    topics_ask(
        self, self->journal, stream_open_wire(),
        &(stream_open_t){.concern = slice_text("ordering"), .instance = slice_text("topics")});
}

static capstan_err_t load_barrier(topic_t *topic, const topic_mark_t *mark)
{
    codec_list_t list;
    position_t place;
    uint64_t offsets[TOPIC_PARTITIONS_MAX] = {0};
    if (codec_list_open(position_wire(), mark->barrier, &list) || list.left != topic->count ||
        topic->barrier_count == GROUP_BARRIERS_MAX) {
        return CAPSTAN_E_STORE_CORRUPT;
    }
    while (codec_list_next(&list, &place)) {
        if (place.partition >= topic->count) {
            return CAPSTAN_E_STORE_CORRUPT;
        }
        offsets[place.partition] = place.offset;
    }
    topic_add_barrier(topic, mark->partitions, offsets);
    return list.fault.err;
}

static capstan_err_t apply_mark(topics_t *self, const topic_mark_t *mark,
                                const topic_settings_t *settings)
{
    char text[TOPIC_TEXT_BYTES];
    topic_t *topic = topics_find(self, mark->topic);
    if (!topic && mark->deletion == 0 && topic_settings_check(settings, text) == CAPSTAN_OK) {
        topics_add(self, mark->topic, settings);
    } else if (!topic) {
        return CAPSTAN_E_STORE_CORRUPT;
    } else if (mark->deletion == 1) {
        topic->phase = TOPIC_DELETING;
    } else if (mark->deletion == 2) {
        topics_remove(self, topic);
    } else if (mark->barrier.size > 0) {
        return load_barrier(topic, mark);
    } else if (mark->moving <= TOPIC_PARTITIONS_MAX &&
               topic_settings_may_become(&topic->settings, settings, true, text) == CAPSTAN_OK) {
        topic_settings_fini(&topic->settings);
        topic->settings = topic_settings_copy(settings);
        topic_grow(topic, mark->moving);
    } else {
        return CAPSTAN_E_STORE_CORRUPT;
    }
    return CAPSTAN_OK;
}

/* The last one of a topic tells its settings. */
static capstan_err_t load_topic(topics_t *self, slice_t data)
{
    char text[TOPIC_TEXT_BYTES];
    topic_mark_t mark;
    topic_change_t change = {0};
    const topic_settings_t initial = topic_settings_initial();
    capstan_err_t err = CAPSTAN_E_STORE_CORRUPT;
    if (!codec_decode(topic_mark_wire(), data, &mark, NULL) && topic_name_is_valid(mark.topic) &&
        (mark.settings.size == 0 || !topic_change_decode(&change, mark.settings, text)) &&
        !topic_change_set(&change, "partitions", mark.partitions, text) &&
        !topic_change_set(&change, "sequence", mark.sequence, text)) {
        topic_settings_t settings = topic_change_apply(&initial, &change);
        err = apply_mark(self, &mark, &settings);
        topic_settings_fini(&settings);
    }
    topic_change_fini(&change);
    return err;
}

static capstan_err_t load_record(topics_t *self, const journal_record_t *record)
{
    epoch_mark_t epoch;
    if (record->kind == RECORD_topic_mark) {
        return load_topic(self, record->data);
    }
    if (record->kind == RECORD_epoch_mark &&
        codec_decode(epoch_mark_wire(), record->data, &epoch, NULL) == CAPSTAN_OK) {
        topic_t *topic = topics_find(self, epoch.topic);
        if (topic) {
            topic_producer(self, topic, epoch.producer)->epoch = epoch.producer_epoch;
            return CAPSTAN_OK;
        }
    }
    return CAPSTAN_E_STORE_CORRUPT;
}

/* The horizon may have been raised since the window was set. */
static void warn_of_window(const topics_t *self, const topic_t *topic)
{
    char text[TOPIC_TEXT_BYTES];
    uint64_t horizon_ms = self->settings->retry_horizon_ms;
    if (topic_settings_check_window(&topic->settings, horizon_ms, text) != CAPSTAN_OK) {
        LOG(ordering, id_window_short, log_string("topic", topic->name),
            log_uint("id_window_ms", topic->settings.id_window_ms),
            log_uint("retry_horizon_ms", horizon_ms));
    }
}

static void read_on(topics_t *self)
{
    if (self->lsn_read < self->lsn_next) {
        topics_ask(self, self->reader, journal_read_wire(),
                   &(journal_read_t){.stream = self->stream,
                                     .lsn = self->lsn_read,
                                     .bytes_max = PARTITION_READ_BYTES});
        return;
    }
    self->loaded = true;
    for (size_t i = 0; i < self->count; i++) {
        if (self->list[i]->phase == TOPIC_DELETING) {
            delete_begin(self, self->list[i], NULL);
        } else {
            warn_of_window(self, self->list[i]);
            topics_launch(self, self->list[i]);
        }
    }
    serve_settler(self);
    marks_run(self);
}

static capstan_err_t on_records(topics_t *self, const capstan_message_t *message)
{
    journal_records_t records;
    codec_list_t list;
    journal_record_t record;
    capstan_err_t err = codec_decode(journal_records_wire(), message->body, &records, NULL);
    err = err ? err : codec_list_open(journal_record_wire(), records.records, &list);
    while (err == CAPSTAN_OK && codec_list_next(&list, &record)) {
        err = load_record(self, &record);
    }
    if (err != CAPSTAN_OK || list.fault.err != CAPSTAN_OK || records.lsn_next <= records.lsn) {
        return CAPSTAN_E_STORE_CORRUPT;
    }
    self->lsn_read = records.lsn_next;
    read_on(self);
    return CAPSTAN_OK;
}

/* Also after a failed append: where the stream stands is asked anew, and tells whether the mark
 * landed, because nobody else writes here and the journal has read our append before. */
static capstan_err_t on_opened(topics_t *self, const capstan_message_t *message)
{
    stream_opened_t opened;
    capstan_err_t err = codec_decode(stream_opened_wire(), message->body, &opened, NULL);
    if (err != CAPSTAN_OK) {
        return err;
    }
    bool landed = opened.lsn_next > self->lsn_next;
    self->stream = opened.stream;
    self->epoch = opened.epoch;
    self->lsn_next = opened.lsn_next;
    self->placed = true;
    if (self->loaded) {
        err = self->doubt;
        self->doubt = CAPSTAN_OK;
        if (err != CAPSTAN_OK) {
            marks_finish(self, landed ? CAPSTAN_OK : err);
        }
    } else {
        self->lsn_read = self->lsn_read ? self->lsn_read : opened.lsn_first;
        read_on(self);
    }
    return CAPSTAN_OK;
}

/* While the stream's place was known, the question that failed was an append. Refused, it changed
 * nothing; without an answer it may have. The next try is not made at once: what fails, a full disk
 * for example, would fail again as fast as messages travel. */
static void lose_place(topics_t *self, capstan_err_t err)
{
    bool appending = self->placed && self->loaded;
    self->placed = false;
    if (appending && err == CAPSTAN_E_TIMEOUT) {
        self->doubt = err;
    } else if (appending) {
        marks_finish(self, err);
    }
    /* A store that cannot even be asked: nobody waits for it, except the one whose mark may have
     * landed. */
    while (!appending && self->loaded && self->doubt == CAPSTAN_OK && self->job_head) {
        marks_finish(self, err);
    }
    capstan_timer_start(self->self, TOPICS_RETRY_US, NULL);
}

static void on_own_answer(topics_t *self, const capstan_message_t *message)
{
    journal_appended_t appended;
    capstan_err_t err = CAPSTAN_E_INTERNAL;
    self->ask = 0;
    if (message->kind == CAPSTAN_KIND_ERROR) {
        err = message_failure(message);
    } else if (message->message == MESSAGE_stream_opened) {
        err = on_opened(self, message);
    } else if (message->message == MESSAGE_journal_records) {
        err = on_records(self, message);
    } else if (message->message == MESSAGE_journal_appended) {
        err = codec_decode(journal_appended_wire(), message->body, &appended, NULL);
        if (err == CAPSTAN_OK) {
            self->lsn_next = appended.lsn_next;
            marks_finish(self, CAPSTAN_OK);
        }
    }
    if (err == CAPSTAN_E_STORE_CORRUPT && !self->loaded) {
        LOG(ordering, topics_damaged, log_error(err));
        self->damaged = err; /* until someone repairs the store; everyone who asks is told */
        serve_settler(self);
    } else if (err != CAPSTAN_OK) {
        lose_place(self, err);
    } else if (self->ask == 0) {
        marks_run(self);
    }
}

/* --- requests -------------------------------------------------------------------------------- */

/* What a topic_ensure asks for; `text` says what is wrong with it. */
static capstan_err_t read_ensure(slice_t body, topic_ensure_t *ret_request, topic_change_t *change,
                                 char text[TOPIC_TEXT_BYTES])
{
    capstan_err_t err = codec_decode(topic_ensure_wire(), body, ret_request, NULL);
    if (err == CAPSTAN_OK && !topic_name_is_valid(ret_request->topic)) {
        snprintf(text, TOPIC_TEXT_BYTES,
                 "topic: 1 to 128 letters, digits, dots, dashes and underscores");
        err = CAPSTAN_E_INVALID;
    }
    if (err == CAPSTAN_OK && ret_request->partitions > 0) {
        err = topic_change_set(change, "partitions", ret_request->partitions, text);
    }
    if (err == CAPSTAN_OK && ret_request->sequence > 0) {
        err = topic_change_set(change, "sequence", ret_request->sequence, text);
    }
    return err == CAPSTAN_OK && ret_request->settings.size > 0
               ? topic_change_decode(change, ret_request->settings, text)
               : err;
}

void topics_ensure(topics_t *self, slice_t name, topic_waiter_t *waiter)
{
    char text[TOPIC_TEXT_BYTES] = "";
    topic_t *topic = topics_find(self, name);
    if (topic) {
        wait_for(self, topic, waiter);
        return;
    }
    topic_settings_t initial = topic_settings_initial();
    initial.partitions = self->settings->partitions;
    topic_settings_t settings = topic_change_apply(&initial, &waiter->wanted);
    capstan_err_t err = topic_settings_check(&settings, text);
    err =
        err ? err : topic_settings_check_window(&settings, self->settings->retry_horizon_ms, text);
    if (err == CAPSTAN_OK && self->count >= self->settings->topics_max) {
        err = CAPSTAN_E_LIMIT;
        snprintf(text, sizeof text,
                 "ordering.topics_max topics exist: raise it, or use an existing topic");
    }
    if (err != CAPSTAN_OK) {
        capstan_reply_error(self->self, &waiter->request, err, text);
        topic_change_fini(&waiter->wanted);
        topic_settings_fini(&settings);
        return;
    }
    waiter->created = true;
    topic = topics_add(self, name, &settings);
    topic_settings_fini(&settings);
    wait_for(self, topic, waiter);
    marks_add(self, &(topic_mark_job_t){.kind = MARK_MADE, .topic = topic});
}

static void on_ensure(topics_t *self, const capstan_message_t *message)
{
    topic_ensure_t request;
    char text[TOPIC_TEXT_BYTES] = "";
    topic_waiter_t waiter = {.request = *message};
    capstan_err_t err = read_ensure(message->body, &request, &waiter.wanted, text);
    if (err == CAPSTAN_OK) {
        topics_ensure(self, request.topic, &waiter);
    } else {
        capstan_reply_error(self->self, message, err, *text ? text : NULL);
        topic_change_fini(&waiter.wanted);
    }
}

/* The number of partitions is changed alone; while it is, nobody waits to change it again. */
static void alter(topics_t *self, topic_mark_job_t *job)
{
    const char *other = topic_change_differs(&job->topic->settings, &job->change);
    if (other && strcmp(other, "partitions") == 0 && topic_change_is_only(&job->change, other)) {
        job->kind = MARK_MOVING;
        job->partitions = job->change.values.partitions;
    }
    marks_add(self, job);
}

static void on_alter(topics_t *self, const capstan_message_t *message)
{
    topic_alter_t request;
    char text[TOPIC_TEXT_BYTES] = "";
    topic_mark_job_t job = {.kind = MARK_ALTERED, .request = *message};
    capstan_err_t err = codec_decode(topic_alter_wire(), message->body, &request, NULL);
    err = err ? err : topic_change_decode(&job.change, request.settings, text);
    if (err != CAPSTAN_OK) {
        capstan_reply_error(self->self, message, err, *text ? text : NULL);
    } else {
        job.topic = topics_find(self, request.topic);
        bool again =
            job.topic && job.topic->move && topic_change_is_only(&job.change, "partitions");
        job.topic = again ? job.topic : topics_ready(self, message, request.topic);
    }
    job.force = request.force;
    job.request.body = (slice_t){0};
    if (job.topic) {
        alter(self, &job);
    } else {
        topic_change_fini(&job.change);
    }
}

static topic_t *existing(topics_t *self, const capstan_message_t *message, slice_t name)
{
    topic_t *topic = topics_find(self, name);
    if (!topic || topic->phase == TOPIC_DELETING) {
        capstan_reply_error(self->self, message, CAPSTAN_E_UNKNOWN_TOPIC, NULL);
        return NULL;
    }
    return topic;
}

static void on_resolve(topics_t *self, const capstan_message_t *message)
{
    topic_resolve_t request;
    if (codec_decode(topic_resolve_wire(), message->body, &request, NULL) != CAPSTAN_OK) {
        capstan_reply_error(self->self, message, CAPSTAN_E_MALFORMED, NULL);
        return;
    }
    topic_t *topic = existing(self, message, request.topic);
    if (topic) {
        move_add_router(self, message->sender);
        wait_for(self, topic, &(topic_waiter_t){.request = *message});
    }
}

topic_t *topics_ready(topics_t *self, const capstan_message_t *message, slice_t name)
{
    topic_t *topic = existing(self, message, name);
    if (topic && topic->phase == TOPIC_MOVING) {
        move_defer(self, topic, message);
        return NULL;
    }
    if (topic && topic->phase != TOPIC_READY) {
        capstan_err_t err = topic->phase == TOPIC_FAILED ? topic->failed : CAPSTAN_E_UNAVAILABLE;
        capstan_reply_error(self->self, message, err, NULL);
        return NULL;
    }
    return topic;
}

static void on_producer_open(topics_t *self, const capstan_message_t *message)
{
    producer_open_t request;
    capstan_err_t err = codec_decode(producer_open_wire(), message->body, &request, NULL);
    if (err == CAPSTAN_OK &&
        (request.producer.size == 0 || request.producer.size > PRODUCER_NAME_MAX)) {
        err = CAPSTAN_E_INVALID;
    }
    if (err != CAPSTAN_OK) {
        capstan_reply_error(self->self, message, err, "producer: 1 to 128 bytes of UTF-8");
        return;
    }
    topic_t *topic = topics_ready(self, message, request.topic);
    if (!topic) {
        return;
    }
    producer_epoch_t *producer = topic_producer(self, topic, request.producer);
    topic_mark_job_t job = {.kind = MARK_EPOCH,
                            .topic = topic,
                            .producer = producer,
                            .epoch = producer->epoch,
                            .request = *message};
    job.request.body = (slice_t){0};
    if (producer->epoch > 0 && !request.take_over) {
        spread_epoch(self, &job);
        return;
    }
    job.epoch++;
    for (const topic_mark_job_t *other = self->job_head; other; other = other->next) {
        job.epoch =
            other->producer == producer && other->epoch >= job.epoch ? other->epoch + 1 : job.epoch;
    }
    marks_add(self, &job);
}

/* A subscription has ended, or a partition has failed: a failed partition is started again, and
 * rebuilds itself from the store. */
static void on_down(topics_t *self, const capstan_message_t *message)
{
    down_t down;
    if (codec_decode(down_wire(), message->body, &down, NULL) != CAPSTAN_OK) {
        return;
    }
    if (topics_subscriber_down(self, &down)) {
        move_on_closed(self);
        return;
    }
    move_remove_router(self, down.actor);
    for (size_t i = 0; i < self->count; i++) {
        topic_t *topic = self->list[i];
        for (uint64_t k = 0; k < topic->made; k++) {
            if (capstan_ref_equal(topic->refs[k], down.actor)) {
                topic->refs[k] = (capstan_ref_t){0};
                topic->ready[k] = false;
                if (topic->move) {
                    move_on_down(self, topic, k);
                } else if (topic->phase == TOPIC_DELETING) {
                    delete_continue(self);
                } else if (k < topic->count) {
                    topics_launch(self, topic);
                }
                return;
            }
        }
    }
}

/* --- the actor ------------------------------------------------------------------------------- */

void topics_on_request(topics_t *self, const capstan_message_t *message)
{
    if (message->message == MESSAGE_topics_settle) {
        self->settler = *message;
        self->settler.body = (slice_t){0};
        serve_settler(self);
    } else if (!self->loaded) {
        capstan_reply_error(self->self, message,
                            self->damaged ? self->damaged : CAPSTAN_E_UNAVAILABLE, NULL);
    } else if (message->message == MESSAGE_topic_ensure) {
        on_ensure(self, message);
    } else if (message->message == MESSAGE_topic_alter) {
        on_alter(self, message);
    } else if (message->message == MESSAGE_topic_delete) {
        topics_on_delete(self, message);
    } else if (message->message == MESSAGE_topic_describe) {
        describe_start(self, message);
    } else if (message->message == MESSAGE_topic_resolve) {
        on_resolve(self, message);
    } else if (message->message == MESSAGE_producer_open) {
        on_producer_open(self, message);
    } else if (message->message == MESSAGE_subscribe) {
        topics_on_subscribe(self, message);
    } else if (message->message == MESSAGE_parked_list) {
        topics_on_parked_list(self, message);
    } else if (message->message == MESSAGE_parked_release) {
        topics_on_parked_release(self, message);
    } else if (message->message == MESSAGE_topic_erase) {
        topics_on_erase(self, message);
    } else if (message->message == MESSAGE_scheduled_cancel) {
        topics_on_cancel(self, message);
    } else if (message->message == MESSAGE_group_define) {
        topics_on_group_define(self, message);
    } else if (message->message == MESSAGE_ordering_status) {
        status_start(self, message);
    } else if (!topics_on_gaps(self, message)) {
        capstan_reply_error(self->self, message, CAPSTAN_E_UNKNOWN_MESSAGE, NULL);
    }
}

static capstan_err_t receive(capstan_actor_t *actor, const capstan_message_t *message)
{
    topics_t *self = capstan_actor_state(actor);
    if (message->kind == CAPSTAN_KIND_REQUEST) {
        topics_on_request(self, message);
    } else if (message->message == MESSAGE_partition_ready) {
        on_ready(self, message);
    } else if (message->message == MESSAGE_down) {
        on_down(self, message);
    } else if (self->ask > 0 && message->correlation == self->ask) {
        on_own_answer(self, message);
    } else if (!spread_answer(self, message) && !topics_relay_answer(self, message) &&
               !move_answer(self, message) && !delete_answer(self, message)) {
        (void)status_answer(self, message);
    }
    return CAPSTAN_OK;
}

static void timer(capstan_actor_t *actor, uint64_t number, void *cookie)
{
    (void)number;
    topics_t *self = capstan_actor_state(actor);
    if (cookie == &self->deletes) {
        delete_continue(self);
    } else if (cookie == &self->routers) {
        move_look(self);
    } else if (self->ask == 0) {
        open_stream(self);
    }
}

static capstan_err_t init(capstan_actor_t *actor, void *argument)
{
    const topics_arguments_t *arguments = argument;
    topics_t *self = calloc(1, sizeof *self);
    ENSURE(self);
    capstan_actor_set_state(actor, self);
    self->self = actor;
    self->settings = arguments->settings;
    self->journal = arguments->journal;
    self->reader = arguments->reader;
    uint64_t boot = arguments->boot ? arguments->boot : node_boot(capstan_actor_node(actor));
    self->subscription_last = boot << BOOT_SHIFT;
    randombytes_buf(self->seed, sizeof self->seed);
    open_stream(self);
    return CAPSTAN_OK;
}

static void destroy(capstan_actor_t *actor)
{
    topics_t *self = capstan_actor_state(actor);
    if (!self) {
        return;
    }
    marks_fini(self);
    spreads_fini(self);
    deletes_fini(self);
    status_fini(self);
    topics_fini(self);
    topics_subscribers_fini(self);
    topics_relays_fini(self);
    free(self->routers);
    free(self);
}

const capstan_behaviour_t topics_behaviour = {
    .name = "topics", .init = init, .receive = receive, .timer = timer, .destroy = destroy};

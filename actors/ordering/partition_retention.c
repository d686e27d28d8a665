/* Retention: what a partition keeps no longer, by the settings of its topic.
 *
 *   a place of the index    a snapshot     the record          the journal
 *   before which all is --> that covers -> `log_place`      -> truncates
 *   to go                   the place      is on disk
 *
 * The record moves the beginning: nobody is given what lies before it from then on, and recovery
 * goes on with truncating when a crash came in between. Numbers of sequences are kept in the
 * snapshot, so that a duplicate of what was removed is recognised all the same. */
#include "actors/ordering/partition_parts.h"

#include "actors/ordering/ordering_events.h"
#include "actors/ordering/ordering_metrics.h"
#include "runtime/runtime.h"
#include "runtime/telemetry/log.h"

enum {
    TICK_US_MIN = 50000,
    TICK_US_MAX = 1000000,
    STEPS = 16, /* places of the index in the time, or the bytes, that are kept */
    GRAIN_BYTES_MIN = 4096,
    COMPACTION_GRAIN_BYTES = 256 << 10,
    HOLDS_GROUPS = 1, /* retention_holds */
};

static uint64_t within(uint64_t value, uint64_t least, uint64_t most)
{
    return value < least ? least : value > most ? most : value;
}

static bool has_retention(const partition_actor_t *self)
{
    return self->topic_settings.retention_ms > 0 || self->topic_settings.retention_bytes > 0;
}

static int64_t step_us(const partition_actor_t *self)
{
    uint64_t kept_ms = self->topic_settings.retention_ms;
    uint64_t us = kept_ms > 0 ? kept_ms * 1000 / STEPS : TICK_US_MAX;
    return (int64_t)within(us, TICK_US_MIN, UINT64_MAX);
}

static void start_timer(partition_actor_t *self)
{
    self->retention_runs = true;
    int64_t us = step_us(self);
    capstan_timer_start(self->self, us < TICK_US_MAX ? us : TICK_US_MAX, &self->retention_runs);
}

static uint64_t finer(uint64_t a, uint64_t b)
{
    return a == 0 || (b > 0 && b < a) ? b : a;
}

/* Places where either of the two may want to end. */
static void refine(partition_actor_t *self)
{
    const topic_settings_t *topic = &self->topic_settings;
    uint64_t bytes = topic->retention_bytes;
    uint64_t us = topic->retention_ms > 0 ? (uint64_t)step_us(self) : 0;
    bytes = bytes > 0 ? within(bytes / STEPS, GRAIN_BYTES_MIN, LOG_INDEX_BYTES) : 0;
    if (compaction_is_wanted(self)) {
        uint64_t lag_us = topic->compaction_lag_ms * 1000;
        bytes = finer(bytes, COMPACTION_GRAIN_BYTES);
        us = finer(us, lag_us > 0 ? within(lag_us / STEPS, TICK_US_MIN, UINT64_MAX) : 0);
    }
    log_index_refine(&self->log_index, bytes, (int64_t)us);
}

void retention_configure(partition_actor_t *self)
{
    refine(self);
    if (has_retention(self) && !self->retention_runs) {
        start_timer(self);
    }
}

/* --- how far --------------------------------------------------------------------------------- */

/* Groups that have stored nothing yet are known by what they read. */
uint64_t retention_offset_held(const partition_actor_t *self)
{
    uint64_t held = UINT64_MAX;
    if (self->topic_settings.retention_holds != HOLDS_GROUPS) {
        return held;
    }
    for (size_t i = 0; i < self->groups.count; i++) {
        uint64_t next = self->groups.list[i].completed.frontier + 1;
        held = next < held ? next : held;
    }
    for (const parked_read_t *read = self->parked; read; read = read->next) {
        bool grouped = read->read.subscription == 0;
        held = grouped && read->cursor.offset + 1 < held ? read->cursor.offset + 1 : held;
    }
    return held;
}

static log_cut_t what_goes(const partition_actor_t *self)
{
    const topic_settings_t *topic = &self->topic_settings;
    int64_t kept_us = (int64_t)topic->retention_ms * 1000;
    return (log_cut_t){
        .time_us = kept_us > 0 ? capstan_utc_us(self->self) - kept_us : INT64_MIN,
        .bytes = topic->retention_bytes > 0 ? topic->retention_bytes : UINT64_MAX,
        .offset_max = retention_offset_held(self),
        .lsn_max = UINT64_MAX,
    };
}

/* A snapshot is what allows to truncate; it makes the end of the log a place, too, which is what is
 * wanted when even the newest event is to go. */
static bool wants_snapshot(const partition_actor_t *self, const log_cut_t *cut)
{
    log_place_t place = log_index_cut(&self->log_index, cut);
    uint64_t offset_next = partition_figures(self->core).offset_next;
    const log_index_t *index = &self->log_index;
    uint64_t last = index->count > 0 ? index->list[index->count - 1].offset : index->begin.offset;
    bool all = index->bytes > index->begin.bytes && index->time_us <= cut->time_us &&
               last < offset_next && offset_next <= cut->offset_max;
    return all || place.lsn > self->snapshot_done;
}

/* --- removing -------------------------------------------------------------------------------- */

static void begin(partition_actor_t *self, const log_place_t *place)
{
    uint64_t first = log_index_first(&self->log_index);
    if (place->offset <= first) {
        return;
    }
    log_index_begin(&self->log_index, place);
    uint64_t unread = partition_groups_expire(&self->groups, place->offset - 1);
    METRIC_ADD(ordering, events_expired, place->offset - first);
    METRIC_ADD(ordering, events_expired_unread, unread);
    if (unread > 0) {
        LOG(ordering, groups_passed, log_string("topic", self->topic),
            log_uint("partition", self->index), log_uint("events", unread));
    }
}

capstan_err_t retention_load(partition_actor_t *self, slice_t data)
{
    log_place_t place;
    if (codec_decode(log_place_wire(), data, &place, NULL) != CAPSTAN_OK) {
        return CAPSTAN_E_STORE_CORRUPT;
    }
    log_index_begin(&self->log_index, &place);
    (void)partition_groups_expire(&self->groups, log_index_first(&self->log_index) - 1);
    return CAPSTAN_OK;
}

static void truncate(partition_actor_t *self)
{
    uint64_t lsn = self->log_index.begin.lsn;
    if (self->truncate_ask > 0 || lsn <= self->truncated || lsn > self->snapshot_done ||
        self->lsn_committed < self->begin_recorded) {
        return;
    }
    buffer_t body = {0};
    codec_encode(journal_truncate_wire(),
                 &(journal_truncate_t){.stream = self->stream, .epoch = self->epoch, .lsn = lsn},
                 &body);
    if (capstan_ask_for(self->self, NULL, self->journal, MESSAGE_journal_truncate,
                        buffer_slice(&body), PARTITION_ASK_US, &self->truncate_ask) != CAPSTAN_OK) {
        self->truncate_ask = 0; /* the next tick tries again */
    } else {
        self->truncating = lsn;
    }
    buffer_fini(&body);
}

static void run(partition_actor_t *self)
{
    if (self->phase != PARTITION_READY) {
        return;
    }
    log_cut_t cut = what_goes(self);
    self->snapshot_wanted = self->snapshot_wanted || wants_snapshot(self, &cut);
    cut.lsn_max = self->snapshot_done;
    log_place_t place = log_index_cut(&self->log_index, &cut);
    if (place.offset > 0 && self->truncate_ask == 0) {
        buffer_t record = {0};
        codec_encode(log_place_wire(), &place, &record);
        self->begin_recorded = partition_gather(self, RECORD_log_place, buffer_slice(&record));
        buffer_fini(&record);
        begin(self, &place);
    }
    truncate(self);
}

void retention_tick(partition_actor_t *self)
{
    if (has_retention(self)) {
        run(self);
        start_timer(self);
    } else {
        self->retention_runs = false;
    }
}

void retention_continue(partition_actor_t *self)
{
    truncate(self);
}

bool retention_answer(partition_actor_t *self, const capstan_message_t *message)
{
    if (self->truncate_ask == 0 || message->correlation != self->truncate_ask) {
        return false;
    }
    self->truncate_ask = 0;
    if (message->message == MESSAGE_journal_truncated) {
        self->truncated = self->truncating;
    }
    return true;
}

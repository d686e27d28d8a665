#include "tests/simulation/schedule_world.h"

#include "runtime/base/ensure.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static const int64_t utc_base = INT64_C(1700000000000000);

enum {
    STEPS_MAX = 200000,
    CHUNK_BYTES_MAX = 4000,
    APPENDS_MAX = 2, /* under way, as the shell has it */
    KILLS_PER_MILLE = 6,
    FUTURE_US = 200000,
};

void schedule_fail(schedule_world_t *self, const char *predicate, const char *format, ...)
{
    if (self->failed) {
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(self->failure, sizeof self->failure, format, arguments);
    va_end(arguments);
    self->failed = predicate;
}

static void trace(const schedule_world_t *self, const char *what, size_t count)
{
    if (self->trace) {
        printf("%10" PRId64 " us  %s %zu\n", self->now_us - utc_base, what, count);
    }
}

size_t schedule_index(slice_t key)
{
    size_t index = 0;
    for (size_t i = 0; i < key.size; i++) {
        index = index * 10 + (size_t)(((const char *)key.data)[i] - '0');
    }
    ENSURE(key.size > 0 && index < SCHEDULE_EVENTS);
    return index;
}

size_t schedule_payload(size_t index, uint8_t ret_bytes[SCHEDULE_PAYLOAD_MAX])
{
    random_source_t random = {.state = index};
    size_t size = random_below(&random, SCHEDULE_PAYLOAD_MAX);
    for (size_t i = 0; i < size; i++) {
        ret_bytes[i] = (uint8_t)random_next(&random);
    }
    return size;
}

/* ---- records ---- */

static sim_record_t *add_record(sim_records_t *self, uint64_t kind, slice_t key, slice_t data)
{
    if (self->count == self->capacity) {
        self->capacity = self->capacity > 0 ? self->capacity * 2 : 16;
        self->list = realloc(self->list, self->capacity * sizeof *self->list);
        ENSURE(self->list);
    }
    sim_record_t *record = &self->list[self->count++];
    *record = (sim_record_t){.kind = kind};
    buffer_append(&record->key, key.data, key.size);
    buffer_append(&record->data, data.data, data.size);
    return record;
}

static void free_record(sim_record_t *record)
{
    buffer_fini(&record->key);
    buffer_fini(&record->data);
}

static void free_records(sim_records_t *self)
{
    for (size_t i = 0; i < self->count; i++) {
        free_record(&self->list[i]);
    }
    free(self->list);
    *self = (sim_records_t){0};
}

/* ---- the disk ---- */

static void put_row(schedule_world_t *self, const sim_record_t *row)
{
    sim_records_t *rows = &self->rows;
    slice_t key = buffer_slice(&row->key);
    for (size_t i = 0; i < rows->count; i++) {
        if (slice_equal(buffer_slice(&rows->list[i].key), key)) {
            free_record(&rows->list[i]);
            rows->list[i] = rows->list[--rows->count];
            break;
        }
    }
    if (row->data.size > 0) {
        add_record(rows, 0, key, buffer_slice(&row->data));
    }
}

static void note_on_disk(schedule_world_t *self, const sim_record_t *record)
{
    event_t event;
    scheduled_mark_t mark;
    slice_t data = buffer_slice(&record->data);
    if (record->kind == RECORD_scheduled_mark &&
        codec_decode(scheduled_mark_wire(), data, &mark, NULL) == CAPSTAN_OK) {
        data = mark.event;
    } else if (record->kind != RECORD_event) {
        return;
    }
    ENSURE(codec_decode(event_wire(), data, &event, NULL) == CAPSTAN_OK);
    self->events[schedule_index(event.key)].on_disk = true;
}

/* The whole write, or nothing of it. */
static void write_to_disk(schedule_world_t *self, const sim_write_t *write)
{
    for (size_t i = 0; i < write->records.count; i++) {
        const sim_record_t *record = &write->records.list[i];
        if (write->chunk) {
            put_row(self, record);
        } else {
            add_record(&self->log, record->kind, (slice_t){0}, buffer_slice(&record->data));
            note_on_disk(self, record);
        }
    }
    self->snapshot_lsn = write->chunk && write->last ? write->snapshot_lsn : self->snapshot_lsn;
}

static void drop_first_write(schedule_world_t *self)
{
    free_records(&self->writes[0].records);
    self->write_count--;
    memmove(self->writes, self->writes + 1, self->write_count * sizeof self->writes[0]);
}

/* ---- the shell ---- */

static void load(schedule_world_t *self)
{
    capstan_err_t err = CAPSTAN_OK;
    self->core = partition_new(&self->limits);
    for (size_t i = 0; i < self->rows.count && !err; i++) {
        err = partition_load_row(self->core, buffer_slice(&self->rows.list[i].key),
                                 buffer_slice(&self->rows.list[i].data));
    }
    for (size_t i = self->snapshot_lsn; i < self->log.count && !err; i++) {
        err = partition_load_record(self->core, (uint32_t)self->log.list[i].kind,
                                    buffer_slice(&self->log.list[i].data));
    }
    if (err) {
        schedule_fail(self, "O10", "recovery says %s", capstan_err_name(err));
    }
    self->lsn_next = self->log.count;
    predicate_of_recovery(self);
}

/* What was not on disk is gone, and whoever waits for an answer hears none. */
static void forget(schedule_world_t *self)
{
    partition_destroy(&self->core);
    partition_effects_clear(&self->effects);
    free_records(&self->gathered);
    while (self->write_count > 0) {
        drop_first_write(self);
    }
    self->answer_count = 0;
    self->pass_runs = false;
}

static void add_answer(schedule_world_t *self, size_t event, event_result_t result)
{
    if (self->answer_count == self->answer_capacity) {
        self->answer_capacity = self->answer_capacity > 0 ? self->answer_capacity * 2 : 16;
        self->answers = realloc(self->answers, self->answer_capacity * sizeof *self->answers);
        ENSURE(self->answers);
    }
    self->answers[self->answer_count++] =
        (sim_answer_t){.event = event, .lsn = self->lsn_next, .result = result};
}

static void take_effects(schedule_world_t *self, size_t event)
{
    for (size_t i = 0; i < self->effects.count; i++) {
        const partition_effect_t *effect = &self->effects.list[i];
        if (effect->kind == PARTITION_ANSWER) {
            add_answer(self, event, effect->result);
            continue;
        }
        slice_t data = slice_of(self->effects.bytes.data + effect->data_at, effect->data_size);
        predicate_of_append(self, effect->record, data);
        self->figures.released += i > 0 && effect->record == RECORD_event &&
                                  self->effects.list[i - 1].record == RECORD_scheduled_end;
        add_record(&self->gathered, effect->record, (slice_t){0}, data);
        self->lsn_next++;
    }
    partition_effects_clear(&self->effects);
    const char *fault = partition_check(self->core);
    if (fault) {
        schedule_fail(self, strncmp(fault, "O5", 2) == 0 ? "O5" : "O12", "%s", fault);
    }
}

static void answer(schedule_world_t *self)
{
    size_t told = 0;
    while (told < self->answer_count && self->answers[told].lsn <= self->log.count) {
        const sim_answer_t *one = &self->answers[told++];
        predicate_of_answer(self, one);
        sim_event_t *event = &self->events[one->event];
        event->cancelled = event->cancelled || one->result == 0;
        event->answered = event->answered || (one->result > 0 && one->result != EVENT_REJECTED);
    }
    self->answer_count -= told;
    if (told > 0) {
        memmove(self->answers, &self->answers[told], self->answer_count * sizeof *self->answers);
    }
}

/* ---- steps ---- */

static void choose_time(schedule_world_t *self, sim_event_t *event)
{
    if (!event->sent && random_chance(&self->dice, 700)) {
        event->due_us = self->now_us + random_between(&self->dice, -10000, FUTURE_US);
        event->due_us -= event->due_us % 1000; /* so that some come due together */
    }
}

static void publish(schedule_world_t *self, size_t index)
{
    char key[8];
    uint8_t payload[SCHEDULE_PAYLOAD_MAX];
    sim_event_t *event = &self->events[index];
    choose_time(self, event);
    snprintf(key, sizeof key, "%zu", index);
    publish_t message = {.key = slice_text(key),
                         .producer = slice_text(event->number > 0 ? "scanner" : ""),
                         .sequence = event->number,
                         .time_us = utc_base + (int64_t)index,
                         .payload = slice_of(payload, schedule_payload(index, payload)),
                         .not_before_us = event->due_us};
    partition_figures_t before = partition_figures(self->core);
    partition_publish(self->core, self->now_us, index, &message, &self->effects);
    const partition_effect_t *last = &self->effects.list[self->effects.count - 1];
    bool refused = last->result == EVENT_REJECTED;
    if (refused &&
        (last->err != CAPSTAN_E_LIMIT ||
         (before.scheduled_items < self->limits.scheduled_items_max &&
          before.scheduled_bytes + 3 * SCHEDULE_PAYLOAD_MAX <= self->limits.scheduled_bytes_max))) {
        schedule_fail(self, "O5", "event %zu is refused with %s, and there is room", index,
                      capstan_err_name(last->err));
    }
    event->sent = true;
    event->refused = refused;
    self->figures.full += refused;
    take_effects(self, index);
}

static void publish_some(schedule_world_t *self)
{
    for (uint64_t i = 1 + random_below(&self->dice, 5); i > 0; i--) {
        size_t index = random_below(&self->dice, self->sent + 1);
        index = index < SCHEDULE_EVENTS ? index : SCHEDULE_EVENTS - 1;
        if (random_chance(&self->dice, 600)) {
            index = self->sent < SCHEDULE_EVENTS ? self->sent : index;
        }
        const sim_event_t *event = &self->events[index];
        if (!event->sent || event->refused || event->number > 0) {
            publish(self, index);
        }
        self->sent += index == self->sent;
    }
}

static void cancel(schedule_world_t *self)
{
    char key[8];
    size_t index = random_below(&self->dice, self->sent + 1);
    index = index < SCHEDULE_EVENTS ? index : SCHEDULE_EVENTS - 1;
    const sim_event_t *event = &self->events[index];
    bool by_id = event->number > 0 && random_chance(&self->dice, 500);
    snprintf(key, sizeof key, "%zu", index);
    partition_cancel_t request = {.key = slice_text(key),
                                  .producer = slice_text(by_id ? "scanner" : ""),
                                  .sequence = by_id ? event->number : 0};
    if (partition_cancel_scheduled(self->core, self->now_us, &request, &self->effects) > 0) {
        self->figures.cancelled++;
        take_effects(self, index);
        add_answer(self, index, 0);
    }
}

static void expire(schedule_world_t *self)
{
    uint64_t released = self->figures.released;
    partition_expire(self->core, self->now_us, &self->effects);
    take_effects(self, 0);
    trace(self, "released", self->figures.released - released);
}

static size_t appends(const schedule_world_t *self)
{
    size_t count = 0;
    for (size_t i = 0; i < self->write_count; i++) {
        count += !self->writes[i].chunk;
    }
    return count;
}

static void send_append(schedule_world_t *self)
{
    if (self->gathered.count > 0 && appends(self) < APPENDS_MAX) {
        self->writes[self->write_count++] = (sim_write_t){.records = self->gathered};
        self->gathered = (sim_records_t){0};
    }
}

static void add_row(void *context, slice_t key, slice_t value)
{
    add_record(context, 0, key, value);
}

/* With nothing gathered: what the core knows is ahead of the chunk in the queue. */
static void send_chunk(schedule_world_t *self)
{
    bool under_way = self->write_count > appends(self);
    if (self->gathered.count > 0 || under_way) {
        return;
    }
    if (!self->pass_runs) {
        self->pass_runs = true;
        self->pass_lsn = self->lsn_next;
    }
    sim_write_t *write = &self->writes[self->write_count++];
    *write = (sim_write_t){.chunk = true, .snapshot_lsn = self->pass_lsn};
    size_t bytes_max = 1 + random_below(&self->dice, CHUNK_BYTES_MAX);
    write->last = partition_save(self->core, bytes_max, add_row, &write->records);
}

static void give_up_snapshot(schedule_world_t *self)
{
    self->pass_runs = false;
    partition_touch_all(self->core);
}

static void commit(schedule_world_t *self)
{
    if (self->write_count == 0) {
        return;
    }
    sim_write_t *write = &self->writes[0];
    if (random_chance(&self->dice, 30)) {
        self->figures.refusals++;
        trace(self, write->chunk ? "a chunk is refused" : "an append is refused", 0);
        if (write->chunk) {
            give_up_snapshot(self);
            drop_first_write(self);
        } else {
            forget(self);
            load(self);
        }
        return;
    }
    write_to_disk(self, write);
    if (write->chunk && write->last) {
        self->figures.snapshots++;
        self->pass_runs = false;
        partition_saved(self->core);
    }
    drop_first_write(self);
    answer(self);
}

static void pass_time(schedule_world_t *self)
{
    self->now_us += random_between(&self->dice, 0, 600);
    if (random_chance(&self->dice, 20)) {
        self->now_us += random_between(&self->dice, -5000, 20000);
    }
}

static void kill_node(schedule_world_t *self)
{
    if (self->write_count > 0 && random_chance(&self->dice, 500)) {
        write_to_disk(self, &self->writes[0]); /* and nobody hears of it */
    }
    self->figures.kills++;
    trace(self, "killed, with a log of", self->log.count);
    forget(self);
    self->now_us += random_between(&self->dice, 0, 50000);
    load(self);
}

static void step(schedule_world_t *self)
{
    pass_time(self);
    switch (random_below(&self->dice, 8)) {
    case 0:
    case 1:
        publish_some(self);
        break;
    case 2:
        expire(self);
        if (random_chance(&self->dice, 100)) {
            cancel(self);
        }
        break;
    case 3:
    case 4:
        send_append(self);
        break;
    case 5:
        send_chunk(self);
        break;
    default:
        commit(self);
        break;
    }
    if (random_chance(&self->dice, KILLS_PER_MILLE)) {
        kill_node(self);
    }
}

/* ---- the run ---- */

static void make_events(schedule_world_t *self)
{
    for (size_t i = 0; i < SCHEDULE_EVENTS; i++) {
        self->events[i].number = random_chance(&self->dice, 600) ? i + 1 : 0;
    }
}

schedule_world_t *schedule_world_new(uint64_t seed, bool trace_it)
{
    schedule_world_t *self = calloc(1, sizeof *self);
    ENSURE(self);
    self->dice.state = seed ^ UINT64_C(0x9e3779b97f4a7c15);
    self->now_us = utc_base;
    self->trace = trace_it;
    random_source_t *dice = &self->dice;
    self->limits = (partition_limits_t){
        .mode = SEQUENCE_ARRIVAL,
        .id_window_us = INT64_C(1000000000000),
        .ids_max = 100000,
        .scheduled_items_max = (uint64_t)random_between(dice, 10, 400),
        .scheduled_bytes_max = (uint64_t)random_between(dice, 2000, 40000),
        .late_policy = (late_policy_t)random_between(dice, LATE_OFF, LATE_DROP),
        .lateness_us = random_between(dice, 0, 60), /* an event's time is its index */
        .watermark_step_us = random_between(dice, 1, 8),
        .idle_us = random_between(dice, 1000, 200000),
    };
    for (size_t i = 0; i < sizeof self->limits.hash_seed; i++) {
        self->limits.hash_seed[i] = (uint8_t)random_next(dice);
    }
    make_events(self);
    load(self);
    return self;
}

static bool all_answered(const schedule_world_t *self)
{
    for (size_t i = 0; i < SCHEDULE_EVENTS; i++) {
        const sim_event_t *event = &self->events[i];
        bool lost = event->number == 0 && event->sent && !event->refused; /* its answer, perhaps */
        if (!event->answered && !lost) {
            return false;
        }
    }
    return true;
}

static bool is_at_rest(const schedule_world_t *self)
{
    return self->sent == SCHEDULE_EVENTS && all_answered(self) && self->answer_count == 0 &&
           self->gathered.count == 0 && self->write_count == 0 &&
           partition_due_us(self->core) == INT64_MAX;
}

void schedule_world_run(schedule_world_t *self)
{
    size_t steps = 0;
    while (!self->failed && !is_at_rest(self)) {
        step(self);
        if (++steps > STEPS_MAX) {
            schedule_fail(self, "O12", "the run does not come to rest");
        }
    }
    if (!self->failed) {
        kill_node(self);
        expire(self);
    }
    predicate_of_log(self, !self->failed);
}

void schedule_world_destroy(schedule_world_t **self_p)
{
    schedule_world_t *self = *self_p;
    forget(self);
    partition_effects_fini(&self->effects);
    free_records(&self->log);
    free_records(&self->rows);
    free(self->answers);
    free(self);
    *self_p = NULL;
}

#include "actors/ordering/partition_schedule.h"

#include "actors/ordering/erase.h"
#include "actors/ordering/partition_ids.h"
#include "actors/ordering/partition_time.h"
#include "runtime/base/ensure.h"

#include <stdlib.h>

enum {
    RELEASED_AT_ONCE = 1000,
    RELEASED_BYTES = 1 << 20,
    NUMBER_BYTES = 8,
};

#define NUMBER_MAX (UINT64_MAX / 2)

/* Farther away is a mistake in the unit, on either side. */
static const int64_t away_us_max = INT64_C(10) * 366 * 86400 * 1000000;

/* --- the heap and the maps ------------------------------------------------------------------- */

static bool comes_before(const schedule_t *self, size_t a, size_t b)
{
    const scheduled_t *left = self->due[a];
    const scheduled_t *right = self->due[b];
    return left->due_us != right->due_us ? left->due_us < right->due_us
                                         : left->number < right->number;
}

static void swap(schedule_t *self, size_t a, size_t b)
{
    scheduled_t *one = self->due[a];
    self->due[a] = self->due[b];
    self->due[b] = one;
    self->due[a]->heap_at = a;
    self->due[b]->heap_at = b;
}

static void sift(schedule_t *self, size_t at)
{
    while (at > 0 && comes_before(self, at, (at - 1) / 2)) {
        swap(self, at, (at - 1) / 2);
        at = (at - 1) / 2;
    }
    for (;;) {
        size_t child = at * 2 + 1;
        if (child >= self->count) {
            return;
        }
        if (child + 1 < self->count && comes_before(self, child + 1, child)) {
            child++;
        }
        if (!comes_before(self, child, at)) {
            return;
        }
        swap(self, at, child);
        at = child;
    }
}

static void heap_add(schedule_t *self, scheduled_t *one)
{
    if (self->count == self->capacity) {
        self->capacity = self->capacity > 0 ? self->capacity * 2 : 16;
        self->due = realloc(self->due, self->capacity * sizeof(scheduled_t *));
        ENSURE(self->due);
    }
    one->heap_at = self->count;
    self->due[self->count++] = one;
    sift(self, one->heap_at);
}

static void heap_remove(schedule_t *self, const scheduled_t *one)
{
    size_t at = one->heap_at;
    size_t last = --self->count;
    if (at != last) {
        swap(self, at, last);
        sift(self, at);
    }
}

typedef struct id_wanted {
    slice_t producer;
    uint64_t sequence;
} id_wanted_t;

static bool number_is(const void *value, const void *wanted)
{
    return ((const scheduled_t *)value)->number == *(const uint64_t *)wanted;
}

static bool id_is(const void *value, const void *wanted)
{
    const scheduled_t *one = value;
    const id_wanted_t *want = wanted;
    return one->sequence == want->sequence &&
           slice_equal(slice_of(one->producer, one->row.name_size), want->producer);
}

static uint64_t number_hash(const partition_t *self, uint64_t number)
{
    return siphash13(self->limits.hash_seed, number, (slice_t){0});
}

static uint64_t id_hash(const partition_t *self, const scheduled_t *one)
{
    return siphash13(self->limits.hash_seed, one->sequence,
                     slice_of(one->producer, one->row.name_size));
}

static scheduled_t *find(const partition_t *self, uint64_t number)
{
    return map_find(&self->schedule->by_number, number_hash(self, number), number_is, &number);
}

bool schedule_has_id(const partition_t *self, slice_t producer, uint64_t sequence)
{
    uint64_t hash = siphash13(self->limits.hash_seed, sequence, producer);
    id_wanted_t wanted = {producer, sequence};
    return map_find(&self->schedule->by_id, hash, id_is, &wanted) != NULL;
}

static slice_t record_of(const scheduled_t *one)
{
    return slice_of(one->data, one->size);
}

static void take_data(scheduled_t *one, slice_t record)
{
    free(one->data);
    one->data = malloc(record.size);
    ENSURE(one->data);
    memcpy(one->data, record.data, record.size);
    one->size = record.size;
}

/* `event` is what `record` says. */
static void put(partition_t *self, uint64_t number, const event_t *event, slice_t record)
{
    schedule_t *schedule = self->schedule;
    scheduled_t *one = calloc(1, sizeof *one + event->producer.size);
    ENSURE(one);
    one->row = (row_t){.kind = ROW_SCHEDULED, .name_size = (uint32_t)event->producer.size};
    one->number = number;
    one->due_us = event->not_before_us;
    one->sequence = event->sequence;
    if (event->producer.size > 0) {
        memcpy(one->producer, event->producer.data, event->producer.size);
    }
    take_data(one, record);
    heap_add(schedule, one);
    map_add(&schedule->by_number, number_hash(self, number), one);
    if (id_is_wanted(self, event->producer, event->sequence) &&
        !schedule_has_id(self, event->producer, event->sequence)) {
        one->has_id = true;
        map_add(&schedule->by_id, id_hash(self, one), one);
    }
    schedule->bytes += one->size;
    schedule->number_next = number >= schedule->number_next ? number + 1 : schedule->number_next;
    row_changed(self, &one->row);
}

/* Its row is still to be deleted, which a store that refuses it must be told again. */
static void take_out(partition_t *self, scheduled_t *one)
{
    schedule_t *schedule = self->schedule;
    heap_remove(schedule, one);
    map_remove(&schedule->by_number, number_hash(self, one->number), one);
    if (one->has_id) {
        map_remove(&schedule->by_id, id_hash(self, one), one);
    }
    schedule->bytes -= one->size;
    free(one->data);
    one->data = NULL;
    one->size = 0;
    one->gone = true;
    one->gone_next = schedule->gone;
    schedule->gone = one;
    row_changed(self, &one->row);
}

/* --- what comes, and what is due ------------------------------------------------------------- */

capstan_err_t schedule_check(const partition_t *self, int64_t now_us, const publish_t *event)
{
    int64_t due_us = event->not_before_us;
    if (due_us == 0) {
        return CAPSTAN_OK;
    }
    bool sound =
        due_us > UINT32_MAX && due_us >= now_us - away_us_max && due_us <= now_us + away_us_max;
    return self->limits.mode == SEQUENCE_ARRIVAL && sound ? CAPSTAN_OK : CAPSTAN_E_NOT_DELAYABLE;
}

capstan_err_t schedule_add(partition_t *self, slice_t record, partition_effects_t *effects)
{
    const schedule_t *schedule = self->schedule;
    event_t event;
    if (schedule->count >= self->limits.scheduled_items_max ||
        schedule->bytes + record.size > self->limits.scheduled_bytes_max) {
        return CAPSTAN_E_LIMIT;
    }
    ENSURE(event_decode(record, &event) == CAPSTAN_OK);
    const scheduled_mark_t mark = {.number = schedule->number_next, .event = record};
    size_t data_at = effects->bytes.size;
    codec_encode(scheduled_mark_wire(), &mark, &effects->bytes);
    partition_add_append(effects, RECORD_scheduled_mark, data_at, 0);
    put(self, mark.number, &event, record);
    self->schedule->scheduled++;
    return CAPSTAN_OK;
}

void schedule_figures(const partition_t *self, partition_figures_t *figures)
{
    const schedule_t *schedule = self->schedule;
    figures->ids += schedule->by_id.count;
    figures->scheduled_items = schedule->count;
    figures->scheduled_bytes = schedule->bytes;
    figures->scheduled_due_us = schedule->count > 0 ? schedule->due[0]->due_us : 0;
    figures->scheduled = schedule->scheduled;
    figures->released = schedule->released;
    figures->cancelled = schedule->cancelled;
}

int64_t schedule_due_us(const partition_t *self)
{
    return self->schedule->count > 0 ? self->schedule->due[0]->due_us : INT64_MAX;
}

static void remember_id(partition_t *self, slice_t producer, uint64_t sequence, int64_t now_us)
{
    if (id_is_wanted(self, producer, sequence) && !id_is_known(self, producer, sequence)) {
        id_add(self, producer, sequence, now_us);
    }
}

/* It is put in order as if it came now: judged by its own time, and remembered by its id. */
static void release(partition_t *self, scheduled_t *one, int64_t now_us,
                    partition_effects_t *effects)
{
    event_t event;
    ENSURE(event_decode(record_of(one), &event) == CAPSTAN_OK);
    const publish_t timed = {.time_us = event.time_us};
    event_mark_t mark = time_judge(self, now_us, &timed);
    size_t data_at = effects->bytes.size;
    codec_encode(scheduled_end_wire(), &(scheduled_end_t){.number = one->number}, &effects->bytes);
    partition_add_append(effects, RECORD_scheduled_end, data_at, 0);
    data_at = effects->bytes.size;
    event.offset = partition_take_offset(self);
    event.accepted_us = now_us;
    event.diverted = mark.diverted;
    event.late = mark.late;
    if (mark.diverted == DIVERTED_DROPPED) {
        event.payload = event.headers = event.content_type = (slice_t){0};
    }
    event_encode(&event, &effects->bytes);
    partition_add_append(effects, RECORD_event, data_at, event.offset);
    time_take(self, NULL, now_us, &timed, mark, effects);
    remember_id(self, event.producer, event.sequence, now_us);
    take_out(self, one); /* and with it the bytes that `event` points to */
    self->schedule->released++;
}

void schedule_release(partition_t *self, int64_t now_us, partition_effects_t *effects)
{
    size_t bytes = effects->bytes.size;
    for (size_t i = 0; i < RELEASED_AT_ONCE && effects->bytes.size - bytes < RELEASED_BYTES &&
                       schedule_due_us(self) <= now_us;
         i++) {
        release(self, self->schedule->due[0], now_us, effects);
    }
}

/* Its id stays known, so that its sender, which may not have heard of it, cannot send it again. */
static void cancel(partition_t *self, scheduled_t *one, int64_t now_us,
                   partition_effects_t *effects)
{
    slice_t producer = slice_of(one->producer, one->row.name_size);
    size_t data_at = effects->bytes.size;
    codec_encode(scheduled_end_wire(),
                 &(scheduled_end_t){.number = one->number,
                                    .cancelled_us = now_us,
                                    .producer = producer,
                                    .sequence = one->sequence},
                 &effects->bytes);
    partition_add_append(effects, RECORD_scheduled_end, data_at, 0);
    remember_id(self, producer, one->sequence, now_us);
    take_out(self, one);
    self->schedule->cancelled++;
}

static bool is_of(const scheduled_t *one, const partition_cancel_t *request)
{
    enum { FIELD_KEY = 2 };
    slice_t key;
    id_wanted_t wanted = {request->producer, request->sequence};
    return codec_peek_slice(record_of(one), FIELD_KEY, &key) && slice_equal(key, request->key) &&
           (request->producer.size == 0 || id_is(one, &wanted));
}

uint64_t partition_cancel_scheduled(partition_t *self, int64_t now_us,
                                    const partition_cancel_t *request, partition_effects_t *effects)
{
    const schedule_t *schedule = self->schedule;
    scheduled_t **list = calloc(schedule->count + 1, sizeof(scheduled_t *));
    ENSURE(list);
    size_t count = 0;
    for (size_t i = 0; i < schedule->count; i++) { /* a heap moves while it is taken from */
        if (is_of(schedule->due[i], request)) {
            list[count++] = schedule->due[i];
        }
    }
    for (size_t i = 0; i < count; i++) {
        cancel(self, list[i], now_us, effects);
    }
    free(list);
    return count;
}

void partition_erase_scheduled(partition_t *self, slice_t key)
{
    schedule_t *schedule = self->schedule;
    buffer_t left = {0};
    for (size_t i = 0; i < schedule->count; i++) {
        scheduled_t *one = schedule->due[i];
        if (!erase_concerns(record_of(one), key)) {
            continue;
        }
        buffer_clear(&left);
        ENSURE(erase_event(record_of(one), &left) == CAPSTAN_OK);
        schedule->bytes -= one->size;
        take_data(one, buffer_slice(&left));
        schedule->bytes += one->size;
        row_changed(self, &one->row);
    }
    buffer_fini(&left);
}

/* --- recovery and snapshot ------------------------------------------------------------------- */

static void raise_to(uint64_t *bound, uint64_t value)
{
    *bound = value > *bound ? value : *bound;
}

/* What was answered is kept, whatever the limits are now. */
static capstan_err_t load(partition_t *self, uint64_t number, slice_t record)
{
    event_t event;
    if (number == 0 || number > NUMBER_MAX || event_decode(record, &event) || event.offset != 0 ||
        event.not_before_us == 0 || event.key.size == 0 || event.key.size > KEY_BYTES_MAX ||
        event.producer.size > PRODUCER_BYTES_MAX || self->limits.mode != SEQUENCE_ARRIVAL) {
        return CAPSTAN_E_STORE_CORRUPT;
    }
    put(self, number, &event, record);
    raise_to(&self->found.scheduled_items_max, self->schedule->count);
    raise_to(&self->found.scheduled_bytes_max, self->schedule->bytes);
    return CAPSTAN_OK;
}

/* One that has ended before the rows were saved comes back, and ends again behind. */
capstan_err_t schedule_load(partition_t *self, slice_t data)
{
    scheduled_mark_t mark;
    if (codec_decode(scheduled_mark_wire(), data, &mark, NULL)) {
        return CAPSTAN_E_STORE_CORRUPT;
    }
    return find(self, mark.number) ? CAPSTAN_OK : load(self, mark.number, mark.event);
}

capstan_err_t schedule_load_end(partition_t *self, slice_t data)
{
    scheduled_end_t mark;
    if (codec_decode(scheduled_end_wire(), data, &mark, NULL) || mark.number > NUMBER_MAX ||
        mark.producer.size > PRODUCER_BYTES_MAX) {
        return CAPSTAN_E_STORE_CORRUPT;
    }
    raise_to(&self->schedule->number_next, mark.number + 1);
    scheduled_t *one = find(self, mark.number);
    if (one) {
        take_out(self, one);
    }
    if (mark.cancelled_us != 0 && id_is_wanted(self, mark.producer, mark.sequence)) {
        id_load(self, mark.producer, mark.sequence, mark.cancelled_us);
    }
    return CAPSTAN_OK;
}

capstan_err_t schedule_load_row(partition_t *self, slice_t key, slice_t value)
{
    const uint8_t *bytes = key.data;
    uint64_t number = 0;
    if (key.size != NUMBER_BYTES) {
        return CAPSTAN_E_STORE_CORRUPT;
    }
    for (size_t i = 0; i < NUMBER_BYTES; i++) {
        number = number << 8 | bytes[i];
    }
    return find(self, number) ? CAPSTAN_E_STORE_CORRUPT : load(self, number, value);
}

void schedule_save(scheduled_t *one, uint8_t kind, buffer_t *row_key, buffer_t *row_value)
{
    buffer_append(row_key, &kind, 1);
    for (int shift = 56; shift >= 0; shift -= 8) {
        buffer_append(row_key, &(uint8_t){(uint8_t)(one->number >> shift)}, 1);
    }
    if (!one->gone) {
        buffer_append(row_value, one->data, one->size);
    }
    one->deleted = one->gone;
}

void schedule_saved(partition_t *self)
{
    scheduled_t **link = &self->schedule->gone;
    while (*link) {
        scheduled_t *one = *link;
        if (one->deleted) {
            *link = one->gone_next;
            free(one);
        } else {
            link = &one->gone_next;
        }
    }
}

void schedule_touch(partition_t *self)
{
    for (size_t i = 0; i < self->schedule->count; i++) {
        row_changed(self, &self->schedule->due[i]->row);
    }
    for (scheduled_t *one = self->schedule->gone; one; one = one->gone_next) {
        one->deleted = false;
        row_changed(self, &one->row);
    }
}

const char *schedule_fault(const partition_t *self)
{
    const schedule_t *schedule = self->schedule;
    uint64_t bytes = 0;
    for (size_t i = 0; i < schedule->count; i++) {
        const scheduled_t *one = schedule->due[i];
        if (one->heap_at != i || one->gone || (i > 0 && comes_before(schedule, i, (i - 1) / 2))) {
            return "O12: the first scheduled event is known";
        }
        bytes += one->size;
    }
    if (schedule->count != schedule->by_number.count || bytes != schedule->bytes) {
        return "O12: scheduled events are counted";
    }
    if (schedule->count > self->found.scheduled_items_max ||
        schedule->bytes > self->found.scheduled_bytes_max) {
        return "O5: scheduled events are within their bounds";
    }
    return NULL;
}

void schedule_init(partition_t *self)
{
    self->schedule = calloc(1, sizeof *self->schedule);
    ENSURE(self->schedule);
    self->schedule->number_next = 1;
}

void schedule_fini(partition_t *self)
{
    schedule_t *schedule = self->schedule;
    for (scheduled_t *one = schedule->gone, *next; one; one = next) {
        next = one->gone_next;
        free(one);
    }
    for (size_t i = 0; i < schedule->count; i++) {
        free(schedule->due[i]->data);
        free(schedule->due[i]);
    }
    free(schedule->due);
    map_fini(&schedule->by_number);
    map_fini(&schedule->by_id);
    free(schedule);
}

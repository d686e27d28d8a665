#include "actors/ordering/partition_time.h"

#include "runtime/base/ensure.h"

#include <stdlib.h>

static bool is_judged(const partition_t *self)
{
    return self->limits.late_policy > LATE_OFF;
}

static int64_t no_later_than(int64_t time_us, int64_t now_us)
{
    return time_us < now_us ? time_us : now_us;
}

event_mark_t time_judge(const partition_t *self, int64_t now_us, const publish_t *event)
{
    static const event_mark_t marks[] = {[LATE_DELIVER] = {.late = true},
                                         [LATE_DIVERT] = {.diverted = DIVERTED_LATE},
                                         [LATE_DROP] = {.diverted = DIVERTED_DROPPED}};
    bool late =
        is_judged(self) && event->time_us != 0 && self->watermark_us != INT64_MIN &&
        no_later_than(event->time_us, now_us) < self->watermark_us - self->limits.lateness_us;
    return late ? marks[self->limits.late_policy] : (event_mark_t){0};
}

static int seen_first(const void *a, const void *b)
{
    int64_t left = (*(watermark_source_t *const *)a)->seen_us;
    int64_t right = (*(watermark_source_t *const *)b)->seen_us;
    return (left > right) - (left < right);
}

static bool is_to_be_added(const watermark_source_t *source)
{
    return source->seen_us != 0 && source->heap_at == 0;
}

/* They were loaded in the order of names and of the log; they are put in that in which they were
 * seen. */
static void take_loaded(partition_t *self)
{
    watermark_source_t **all = calloc(self->producers.count + 1, sizeof(watermark_source_t *));
    ENSURE(all);
    size_t count = 0;
    size_t position = 0;
    for (producer_t *producer; (producer = map_next(&self->producers, &position));) {
        if (is_to_be_added(&producer->source)) {
            all[count++] = &producer->source;
        }
    }
    if (is_to_be_added(&self->arrivals)) {
        all[count++] = &self->arrivals;
    }
    qsort(all, count, sizeof(watermark_source_t *), seen_first);
    for (size_t i = 0; i < count; i++) {
        watermark_add(&self->sources, all[i]);
    }
    free(all);
    self->sources_loaded = false;
}

static void set_watermark(partition_t *self, int64_t watermark_us)
{
    self->watermark_us = watermark_us;
    row_changed(self, &self->row);
}

/* The watermark moves in steps that are on record: rows may be newer than the log that is replayed
 * behind them, and an event must not be judged by what came after it. */
static void time_see(partition_t *self, producer_t *producer, int64_t time_us, int64_t now_us,
                     partition_effects_t *effects)
{
    if (!is_judged(self) || time_us == 0) {
        return;
    }
    if (self->sources_loaded) {
        take_loaded(self);
    }
    int64_t come_us = watermark_see(&self->sources, producer ? &producer->source : &self->arrivals,
                                    no_later_than(time_us, now_us), now_us, self->limits.idle_us);
    row_changed(self, producer ? &producer->row : &self->row);
    if (come_us == INT64_MIN || (self->watermark_us != INT64_MIN &&
                                 come_us - self->watermark_us < self->limits.watermark_step_us)) {
        return;
    }
    set_watermark(self, come_us);
    size_t data_at = effects->bytes.size;
    codec_encode(watermark_mark_wire(), &(watermark_mark_t){.watermark_us = come_us},
                 &effects->bytes);
    partition_add_append(effects, RECORD_watermark_mark, data_at, 0);
}

void time_take(partition_t *self, producer_t *producer, int64_t now_us, const publish_t *event,
               event_mark_t mark, partition_effects_t *effects)
{
    self->late[LATE_DELIVER] += mark.late;
    self->late[LATE_DIVERT] += mark.diverted == DIVERTED_LATE;
    self->late[LATE_DROP] += mark.diverted == DIVERTED_DROPPED;
    time_see(self, producer, event->time_us, now_us, effects);
}

void time_load(partition_t *self, producer_t *producer, int64_t time_us, int64_t seen_us,
               bool from_log)
{
    if (time_us != 0 && seen_us != 0) {
        if (from_log) {
            row_changed(self, producer ? &producer->row : &self->row);
        }
        watermark_load(producer ? &producer->source : &self->arrivals,
                       no_later_than(time_us, seen_us), seen_us);
        self->sources_loaded = true;
    }
}

capstan_err_t time_load_mark(partition_t *self, slice_t data)
{
    watermark_mark_t mark;
    if (codec_decode(watermark_mark_wire(), data, &mark, NULL)) {
        return CAPSTAN_E_STORE_CORRUPT;
    }
    time_raise(self, mark.watermark_us);
    return CAPSTAN_OK;
}

void time_raise(partition_t *self, int64_t watermark_us)
{
    if (watermark_us > self->watermark_us) {
        set_watermark(self, watermark_us);
    }
}

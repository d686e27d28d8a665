/* Event time in a partition: which events are late, and how far it has come. Internal to the
 * partition's core. */
#ifndef ORDERING_PARTITION_TIME_H
#define ORDERING_PARTITION_TIME_H

#include "actors/ordering/partition_state.h"

/* What an event is marked with because of its time. */
typedef struct event_mark {
    diversion_t diverted;
    bool late;
} event_mark_t;

event_mark_t time_judge(const partition_t *self, int64_t now_us, const publish_t *event);
/* The event is taken: it moves event time, and is counted if it is late. `producer` is NULL in
 * arrival topics. */
void time_take(partition_t *self, producer_t *producer, int64_t now_us, const publish_t *event,
               event_mark_t mark, partition_effects_t *effects);
/* It was, as a row or the log says. */
void time_load(partition_t *self, producer_t *producer, int64_t time_us, int64_t seen_us,
               bool from_log);
/* The record `watermark_mark`. STORE_CORRUPT. */
CAPSTAN_MUST_CHECK capstan_err_t time_load_mark(partition_t *self, slice_t data);
/* Event time has come so far, at least. */
void time_raise(partition_t *self, int64_t watermark_us);

#endif

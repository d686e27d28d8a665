/* Who leaves memory. A saga whose row says what it is stands in a queue; when more than
 * saga.resident_max are in memory, those that have stood longest, have not changed since and need
 * not be there leave it. Nobody does while something is being read that could bring back an older
 * row. */
#include "actors/saga/saga_shell.h"

#include "actors/saga/saga_metrics.h"
#include "runtime/base/ensure.h"

#include <stdlib.h>

enum { EVICTION_STEP = 4096 }; /* in one turn */

/* Whether the row says what it is; one that has changed since will be written again. */
static bool is_as_written(const saga_shell_t *self, const resting_t *resting)
{
    const saga_t *saga = coordinator_get(self->core, resting->number);
    return saga && saga_sequence(saga) == resting->sequence;
}

/* Drops what is out of date, so that the queue is not longer than what is in memory. */
static void compact(saga_shell_t *self)
{
    rows_t *rows = &self->rows;
    size_t end = 0;
    for (size_t i = rows->resting_first; i < rows->resting_end; i++) {
        if (is_as_written(self, &rows->resting[i])) {
            rows->resting[end++] = rows->resting[i];
        }
    }
    rows->resting_first = 0;
    rows->resting_end = end;
}

void eviction_add(saga_shell_t *self, const resting_t *resting)
{
    rows_t *rows = &self->rows;
    if (rows->resting_end == rows->resting_capacity) {
        compact(self);
        if (rows->resting_end >= rows->resting_capacity / 2) {
            rows->resting_capacity = 2 * rows->resting_capacity + 256;
            rows->resting = realloc(rows->resting, rows->resting_capacity * sizeof *rows->resting);
            ENSURE(rows->resting);
        }
    }
    rows->resting[rows->resting_end++] = *resting;
}

void rows_rests(saga_shell_t *self, uint64_t number)
{
    const saga_t *saga = coordinator_get(self->core, number);
    if (saga) {
        eviction_add(self, &(resting_t){.number = number, .sequence = saga_sequence(saga)});
    }
}

bool eviction_wants(const saga_shell_t *self)
{
    const rows_t *rows = &self->rows;
    return rows->gone_stored ||
           (rows->resting_first < rows->resting_end &&
            coordinator_figures(self->core).resident > self->settings->resident_max);
}

void eviction_turn_end(saga_shell_t *self)
{
    rows_t *rows = &self->rows;
    int64_t until_us = capstan_utc_us(self->self) + ROWS_DUE_AHEAD_US + ROWS_DUE_EVERY_US / 2;
    if (self->lookups.reads > 0) {
        return;
    }
    forget_turn_end(self);
    for (size_t i = 0; i < EVICTION_STEP && eviction_wants(self); i++) {
        const resting_t *resting = &rows->resting[rows->resting_first++];
        if (is_as_written(self, resting) &&
            coordinator_may_evict(self->core, resting->number, until_us)) {
            stored_ids_add(self, saga_begin_of(coordinator_get(self->core, resting->number))->id);
            coordinator_evict(self->core, resting->number);
            METRIC_ADD(saga, evicted, 1);
        }
    }
}

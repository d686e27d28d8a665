/* What happens by itself: a heap of the sagas whose time comes, and schedules. */
#include "actors/saga/coordinator_internal.h"

#include <stdlib.h>
#include <time.h>

/* --- the heap -------------------------------------------------------------------------------- */

static void put(coordinator_t *self, size_t at, entry_t *entry)
{
    self->heap[at] = entry;
    entry->heap_at = at + 1;
}

static void rise(coordinator_t *self, size_t at, entry_t *entry)
{
    while (at > 0 && self->heap[(at - 1) / 2]->due_us > entry->due_us) {
        put(self, at, self->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    put(self, at, entry);
}

static void sink(coordinator_t *self, size_t at, entry_t *entry)
{
    for (;;) {
        size_t child = 2 * at + 1;
        if (child + 1 < self->heap_count &&
            self->heap[child + 1]->due_us < self->heap[child]->due_us) {
            child++;
        }
        if (child >= self->heap_count || self->heap[child]->due_us >= entry->due_us) {
            break;
        }
        put(self, at, self->heap[child]);
        at = child;
    }
    put(self, at, entry);
}

void heap_remove(coordinator_t *self, entry_t *entry)
{
    if (entry->heap_at == 0) {
        return;
    }
    size_t at = entry->heap_at - 1;
    entry_t *last = self->heap[--self->heap_count];
    entry->heap_at = 0;
    if (last != entry) {
        sink(self, at, last);
        rise(self, last->heap_at - 1, last);
    }
}

void heap_update(coordinator_t *self, entry_t *entry)
{
    int64_t due_us = saga_due_us(entry->saga);
    if (entry->heap_at > 0 && entry->due_us == due_us) {
        return;
    }
    heap_remove(self, entry);
    entry->due_us = due_us;
    if (due_us == INT64_MAX) {
        return;
    }
    if (self->heap_count == self->heap_capacity) {
        self->heap_capacity = self->heap_capacity > 0 ? 2 * self->heap_capacity : 64;
        self->heap = realloc(self->heap, self->heap_capacity * sizeof(entry_t *));
        ENSURE(self->heap);
    }
    self->heap_count++;
    rise(self, self->heap_count - 1, entry);
}

/* --- schedules ------------------------------------------------------------------------------- */

static void start_scheduled(coordinator_t *self, size_t index, int64_t now_us, uint64_t dice,
                            coordinator_effects_t *effects)
{
    known_plan_t *known = &self->plans[index];
    const plan_t *plan = known->plan;
    time_t seconds = (time_t)(known->schedule_us / 1000000);
    struct tm when;
    char id[PLAN_NAME_MAX + 32];
    const saga_t *saga;
    bool created;
    gmtime_r(&seconds, &when);
    int size = snprintf(id, sizeof id, "%.*s@%04d-%02d-%02dT%02d:%02dZ", (int)plan->name.size,
                        (const char *)plan->name.data, when.tm_year + 1900, when.tm_mon + 1,
                        when.tm_mday, when.tm_hour, when.tm_min);
    known->schedule_us = schedule_next(plan->schedule, now_us);
    capstan_err_t err = coordinator_start(self, now_us,
                                          &(coordinator_start_t){.definition = plan->name,
                                                                 .version = plan->version,
                                                                 .id = slice_of(id, (size_t)size),
                                                                 .dice = dice},
                                          &saga, &created, effects);
    self->figures.ignored += err != CAPSTAN_OK; /* too many wait: this time is left out */
}

static bool is_scheduled(const known_plan_t *known)
{
    return known->newest && known->plan->schedule.size > 0;
}

/* --- time ------------------------------------------------------------------------------------ */

/* When the rate lets the next one begin that nothing else holds back. */
static int64_t turn_due_us(const coordinator_t *self, const known_plan_t *known)
{
    const entry_t *entry = known->first_waiting;
    if (known->plan->starts_per_minute == 0) {
        return INT64_MAX; /* turns come with what others do */
    }
    while (entry && !turn_may_begin(self, known, entry->key, known->start_us)) {
        entry = entry->next_waiting;
    }
    return entry ? known->start_us : INT64_MAX;
}

int64_t coordinator_due_us(const coordinator_t *self)
{
    int64_t due_us = self->heap_count > 0 ? self->heap[0]->due_us : INT64_MAX;
    for (size_t i = 0; i < self->plan_count; i++) {
        const known_plan_t *known = &self->plans[i];
        if (is_scheduled(known) && known->schedule_us < due_us) {
            due_us = known->schedule_us;
        }
        int64_t turn_us = turn_due_us(self, known);
        due_us = turn_us < due_us ? turn_us : due_us;
    }
    return due_us;
}

void coordinator_time(coordinator_t *self, int64_t now_us, uint64_t dice, size_t count_max,
                      coordinator_effects_t *effects)
{
    for (size_t i = 0; i < self->plan_count; i++) {
        if (is_scheduled(&self->plans[i]) && self->plans[i].schedule_us <= now_us) {
            start_scheduled(self, i, now_us, dice + i, effects);
        }
    }
    for (size_t i = 0; i < count_max && self->heap_count > 0 && self->heap[0]->due_us <= now_us;
         i++) {
        coordinator_apply(self, now_us, self->heap[0],
                          (saga_input_t){.kind = SAGA_INPUT_time, .dice = dice + i}, effects);
        coordinator_work(self, now_us, dice + i, effects);
    }
    coordinator_work(self, now_us, dice, effects);
}

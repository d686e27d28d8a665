/* Who may begin: locks of keys, and how many of a definition run or begin. */
#include "actors/saga/coordinator_internal.h"

enum { MINUTE_US = 60 * 1000 * 1000 };

/* Of the same definition and key, whatever its version; neither waiting nor ended. */
static bool is_locked(const coordinator_t *self, const plan_t *plan, slice_t key)
{
    for (const entry_t *entry = entry_first_of_key(self, key); entry; entry = entry->next_of_key) {
        bool asleep = !saga_plan(entry->saga) && !saga_has_ended(entry->saga); /* perhaps it does */
        if ((entry->counted || asleep) &&
            slice_equal(saga_begin_of(entry->saga)->definition, plan->name)) {
            return true;
        }
    }
    return false;
}

static bool has_lock(const plan_t *plan, slice_t key)
{
    return plan->lock && key.size > 0;
}

bool turn_may_begin(const coordinator_t *self, const known_plan_t *known, slice_t key,
                    int64_t now_us)
{
    const plan_t *plan = known->plan;
    return (plan->running_max == 0 || known->running < plan->running_max) &&
           (plan->starts_per_minute == 0 || known->start_us <= now_us) &&
           !(has_lock(plan, key) && is_locked(self, plan, key));
}

static bool waits_of_key(const known_plan_t *known, slice_t key)
{
    const entry_t *entry = known->first_waiting;
    while (entry && !slice_equal(entry->key, key)) {
        entry = entry->next_waiting;
    }
    return entry != NULL;
}

bool turn_is_free(const coordinator_t *self, const known_plan_t *known, slice_t key, int64_t now_us)
{
    const plan_t *plan = known->plan;
    bool others_wait = plan->running_max > 0 || plan->starts_per_minute > 0
                           ? known->waiting > 0
                           : has_lock(plan, key) && waits_of_key(known, key);
    return !others_wait && turn_may_begin(self, known, key, now_us);
}

/* Numbers ascend, but for those that recovery finds in any order. */
void turn_wait(known_plan_t *known, entry_t *entry)
{
    entry_t **place = &known->first_waiting;
    if (known->last_waiting && known->last_waiting->number < entry->number) {
        place = &known->last_waiting->next_waiting;
    }
    while (*place && (*place)->number < entry->number) {
        place = &(*place)->next_waiting;
    }
    entry->next_waiting = *place;
    *place = entry;
    if (!entry->next_waiting) {
        known->last_waiting = entry;
    }
    entry->waiting = true;
    known->waiting++;
}

static void stop_waiting(known_plan_t *known, entry_t *entry)
{
    entry_t *before = NULL;
    entry_t **place = &known->first_waiting;
    while (*place != entry) {
        before = *place;
        place = &before->next_waiting;
    }
    *place = entry->next_waiting;
    known->last_waiting = known->last_waiting == entry ? before : known->last_waiting;
    entry->next_waiting = NULL;
    entry->waiting = false;
    known->waiting--;
}

void turn_begin(known_plan_t *known, entry_t *entry, int64_t now_us)
{
    uint64_t per_minute = known->plan->starts_per_minute;
    entry->counted = true;
    known->running++;
    if (per_minute > 0) {
        int64_t from_us = known->start_us > now_us ? known->start_us : now_us;
        known->start_us = from_us + MINUTE_US / (int64_t)per_minute;
    }
}

void turn_leave(coordinator_t *self, entry_t *entry)
{
    known_plan_t *known = entry_plan(self, entry);
    if (entry->waiting) {
        stop_waiting(known, entry);
    }
    if (entry->counted) {
        entry->counted = false;
        known->running--;
    }
}

void turns_give(coordinator_t *self, known_plan_t *known, int64_t now_us,
                coordinator_effects_t *effects)
{
    entry_t *next;
    for (entry_t *entry = known->first_waiting; entry; entry = next) {
        const plan_t *plan = known->plan;
        next = entry->next_waiting;
        if ((plan->running_max > 0 && known->running >= plan->running_max) ||
            (plan->starts_per_minute > 0 && known->start_us > now_us)) {
            return;
        }
        if (turn_may_begin(self, known, entry->key, now_us)) {
            stop_waiting(known, entry);
            turn_begin(known, entry, now_us);
            coordinator_apply(self, now_us, entry, (saga_input_t){.kind = SAGA_INPUT_turn},
                              effects);
        }
    }
}

/* What the files of the coordinator's core share. */
#ifndef SAGA_COORDINATOR_INTERNAL_H
#define SAGA_COORDINATOR_INTERNAL_H

#include "actors/saga/coordinator.h"
#include "runtime/base/ensure.h"
#include "runtime/base/map.h"

/* A resident saga.
 *
 *   by number, by id: maps          by key: a map to the first of its key, then next_of_key
 *   heap: by due_us                 changed: a list, oldest change first
 *   waiting: the list of its plan, ascending numbers */
typedef struct entry {
    saga_t *saga;
    uint64_t number;
    slice_t id; /* points into the saga, as the key does */
    slice_t key;
    uint64_t parent;
    struct entry *next_of_key;
    int64_t due_us;
    size_t heap_at; /* its place, plus 1; 0: it is not in the heap */
    bool changed;
    struct entry *next_changed;
    bool waiting;
    bool counted; /* in `running` of its plan */
    struct entry *next_waiting;
} entry_t;

/* A plan, and who waits for it. */
typedef struct known_plan {
    plan_t *plan;
    bool newest;
    uint64_t running; /* neither waiting nor ended */
    uint64_t waiting;
    entry_t *first_waiting;
    entry_t *last_waiting;
    int64_t start_us; /* `starts_per_minute` lets the next one begin then */
    int64_t schedule_us;
} known_plan_t;

/* What is still to be done of a call: it is not done at once, so that no saga hears something while
 * it is hearing something else. */
typedef enum chore_kind {
    CHORE_START_CHILD,
    CHORE_CANCEL_CHILD,
    CHORE_TELL_PARENT, /* of a child that has ended */
} chore_kind_t;

typedef struct chore {
    chore_kind_t kind;
    uint64_t number; /* of the parent; CHORE_TELL_PARENT: of the child */
    uint64_t task;
    slice_t definition;
    uint64_t version;
    slice_t input; /* owned */
    bool again;    /* it was perhaps started before */
} chore_t;

struct coordinator {
    uint8_t seed[16];
    known_plan_t *plans;
    size_t plan_count;
    map_t by_number;
    map_t by_id;
    map_t by_key;
    entry_t **heap;
    size_t heap_count;
    size_t heap_capacity;
    entry_t *first_changed;
    entry_t *last_changed;
    coordinator_mark_t mark;
    chore_t *chores;
    size_t chore_count;
    size_t chore_capacity;
    saga_effects_t saga_effects;
    coordinator_figures_t figures;
};

/* --- coordinator.c ---------------------------------------------------------------------------- */

entry_t *entry_get(const coordinator_t *self, uint64_t number);
entry_t *entry_find(const coordinator_t *self, slice_t id);
entry_t *entry_first_of_key(const coordinator_t *self, slice_t key);
entry_t *entry_add(coordinator_t *self, saga_t *saga);
void entry_remove(coordinator_t *self, entry_t *entry);
void entry_touch(coordinator_t *self, entry_t *entry);
void mark_time(coordinator_t *self, int64_t time_us);
known_plan_t *known_plan(const coordinator_t *self, slice_t name, uint64_t version);
known_plan_t *entry_plan(const coordinator_t *self, const entry_t *entry);
void coordinator_append(coordinator_effects_t *effects, const wire_record_t *record,
                        const void *value);
void coordinator_emit(coordinator_effects_t *effects, const coordinator_effect_t *effect,
                      slice_t data);

typedef struct begin_options {
    known_plan_t *plan;
    int64_t now_us;
    slice_t id;
    slice_t input;
    slice_t key;
    int64_t deadline_us; /* UTC; 0: none */
    const entry_t *parent;
    uint64_t parent_task;
    slice_t place;
    slice_t taken;
    slice_t origin;
} begin_options_t;
/* Makes a saga and writes its beginning. */
entry_t *coordinator_begin(coordinator_t *self, const begin_options_t *options,
                           coordinator_effects_t *effects);
/* Applies an input that the saga accepts. */
void coordinator_apply(coordinator_t *self, int64_t now_us, entry_t *entry, saga_input_t input,
                       coordinator_effects_t *effects);
/* Sends what is under way of a saga once more, to one participant, or everything (NULL). */
void coordinator_pass_again(coordinator_t *self, const entry_t *entry, const slice_t *participant,
                            coordinator_effects_t *effects);
/* Sends what the saga's last step wants, and sees how it stands. */
void coordinator_follow(coordinator_t *self, entry_t *entry, saga_phase_t before,
                        coordinator_effects_t *effects);

/* --- coordinator_children.c ------------------------------------------------------------------- */

void chore_add(coordinator_t *self, const chore_t *chore);
/* Does all chores. */
void coordinator_work(coordinator_t *self, int64_t now_us, uint64_t dice,
                      coordinator_effects_t *effects);

/* --- coordinator_turns.c ---------------------------------------------------------------------- */

/* Whether one of the plan and key may begin at once. */
bool turn_is_free(const coordinator_t *self, const known_plan_t *plan, slice_t key, int64_t now_us);
/* The same, whoever else waits. */
bool turn_may_begin(const coordinator_t *self, const known_plan_t *plan, slice_t key,
                    int64_t now_us);
void turn_wait(known_plan_t *plan, entry_t *entry);
void turn_leave(coordinator_t *self, entry_t *entry);
/* One that begins, or has ended, is counted. */
void turn_begin(known_plan_t *plan, entry_t *entry, int64_t now_us);
void turn_end(known_plan_t *plan, entry_t *entry);
/* Lets those begin that may. */
void turns_give(coordinator_t *self, known_plan_t *plan, int64_t now_us,
                coordinator_effects_t *effects);

/* --- coordinator_time.c ------------------------------------------------------------------------
 */

void heap_update(coordinator_t *self, entry_t *entry);
void heap_remove(coordinator_t *self, entry_t *entry);

#endif

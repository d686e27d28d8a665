/* The core of a coordinator: many sagas, who may begin, whom time, events and answers are for.
 * Pure: no clock, socket, thread, SQL, log or random number; time and dice are arguments, effects
 * go into the caller's buffer.
 *
 *   start, event --> [waits for a lock or its turn] --> saga --commands--> participants
 *   answers, time, signals, people ------------------->  |
 *   child's end -------------------------------------->  |--> another saga (child)
 *
 * Everything that changes a saga is a record, in the effects, before what it leads to: the caller
 * appends the records of a call with one write, and lets commands and answers out when that is on
 * disk. Records are `saga_definition`, `saga_begin` and `saga_input`; applying them again in their
 * order, to nothing or to sagas loaded from rows that are newer, gives the same state.
 *
 * Sagas are resident, or only rows of the snapshot. The core knows the resident ones: whoever calls
 * it with an id or key that is not resident has looked it up and loaded what there is
 * (coordinator_load). What may leave memory says coordinator_may_evict: one that waits for a lock
 * or its turn, holds a lock, counts against `running_max`, or has something under way may not.
 *
 * Invariants (coordinator_check evaluates them, with saga_check of each):
 *  - of one definition and key with `lock` one saga is neither waiting nor ended;
 *  - no more than `running_max` of a definition are;
 *  - those that wait begin in the order in which they came, as far as their locks are free;
 *  - an instance whose plan is unknown is never advanced (S12). */
#ifndef SAGA_COORDINATOR_H
#define SAGA_COORDINATOR_H

#include "actors/saga/saga.h"

typedef enum coordinator_effect_kind {
    COORDINATOR_APPEND,  /* a record: `record` and its bytes */
    COORDINATOR_COMMAND, /* for `participant`: bytes are a record `saga_command` */
    COORDINATOR_LOOK_UP, /* the child `id` (bytes) of saga `number`: load it if it exists, then call
                            coordinator_child with its parent and task */
    COORDINATOR_RESTS,   /* saga `number` has ended or is parked now: who waits for it hears so */
    COORDINATOR_ALERT,   /* saga `number` is parked */
} coordinator_effect_kind_t;

typedef struct coordinator_effect {
    coordinator_effect_kind_t kind;
    uint32_t record;
    uint64_t number;
    uint64_t task;
    size_t data_at; /* in `bytes` of the same effects */
    size_t data_size;
    slice_t participant; /* of the plan: lives as long as that */
} coordinator_effect_t;

typedef struct coordinator_effects {
    coordinator_effect_t *list;
    size_t count;
    size_t capacity;
    buffer_t bytes;
} coordinator_effects_t;

void coordinator_effects_clear(coordinator_effects_t *self);
void coordinator_effects_fini(coordinator_effects_t *self);

typedef struct coordinator coordinator_t;

/* `seed` is of the map of ids and keys, which are strangers' bytes. */
coordinator_t *coordinator_new(const uint8_t seed[16]);
void coordinator_destroy(coordinator_t **self_p);

/* --- definitions ----------------------------------------------------------------------------- */

/* The plan is taken, also on failure. The same once more is CAPSTAN_OK and appends nothing.
 * Errors: DEFINITION_CONFLICT. */
CAPSTAN_MUST_CHECK capstan_err_t coordinator_define(coordinator_t *self, int64_t now_us,
                                                    plan_t *plan, bool *ret_created,
                                                    coordinator_effects_t *effects);
/* Version 0: the newest. NULL: unknown. */
const plan_t *coordinator_plan(const coordinator_t *self, slice_t name, uint64_t version);
/* In the order in which they became known; NULL at the end. */
const plan_t *coordinator_plan_at(const coordinator_t *self, size_t index);

/* --- what happens ---------------------------------------------------------------------------- */

typedef struct coordinator_start {
    slice_t definition;
    uint64_t version; /* 0: the newest */
    slice_t id;
    slice_t input;       /* a checked map; empty: none */
    slice_t key;         /* empty: as the definition says */
    int64_t deadline_us; /* from now on; 0: as the definition says */
    slice_t place;       /* record `saga_place`: the event that starts it; empty: none */
    slice_t taken;       /* of a fork: what saga_taken_before wrote; empty: nothing */
    slice_t origin;      /* of a fork: id of the saga that it is forked from */
    uint64_t dice;
} coordinator_start_t;

/* Whether a saga that is nobody's child may have it. */
bool coordinator_id_is_valid(slice_t id);
/* Starts a saga, or finds the one that was started so (S11). Errors: UNKNOWN_DEFINITION, SAGA_ID,
 * SAGA_CONFLICT, SAGA_WAITING_FULL, and value_check_map's; INVALID: the key. */
CAPSTAN_MUST_CHECK capstan_err_t coordinator_start(coordinator_t *self, int64_t now_us,
                                                   const coordinator_start_t *start,
                                                   const saga_t **ret_saga, bool *ret_created,
                                                   coordinator_effects_t *effects);

/* An input for a resident saga: an answer, a signal, what a person wants. `input->sequence` and
 * `at_us` are filled in here. Errors: UNKNOWN_SAGA, UNKNOWN_DEFINITION (its plan is absent), those
 * of saga_accepts: then nothing changed. */
CAPSTAN_MUST_CHECK capstan_err_t coordinator_input(coordinator_t *self, int64_t now_us,
                                                   const saga_input_t *input,
                                                   coordinator_effects_t *effects);
/* An answer of a participant, of the saga and task that it names. Errors: as above; INVALID: it
 * cannot be (status, phase, an unchecked value, the wrong id). */
CAPSTAN_MUST_CHECK capstan_err_t coordinator_result(coordinator_t *self, int64_t now_us,
                                                    uint64_t dice,
                                                    const participant_result_t *result,
                                                    coordinator_effects_t *effects);

typedef struct coordinator_event {
    slice_t topic;
    uint64_t partition;
    uint64_t offset;
    slice_t key;     /* of the event: the business key */
    slice_t payload; /* msgpack, checked */
    uint64_t dice;
} coordinator_event_t;

/* An event of an ordered topic: starts those whose definitions say so, and is given to those of its
 * key that await it. Heard twice, it changes nothing the second time. Errors: LIMIT,
 * SAGA_WAITING_FULL: some have not got it, give it again later. */
CAPSTAN_MUST_CHECK capstan_err_t coordinator_event(coordinator_t *self, int64_t now_us,
                                                   const coordinator_event_t *event,
                                                   coordinator_effects_t *effects);
/* Whether a plan starts by, or awaits, events of the topic. `*position` is 0 at first. */
bool coordinator_next_topic(const coordinator_t *self, size_t *position, slice_t *ret_topic);

/* What is due: time of sagas, schedules, turns that a rate held back. At most `count_max` inputs;
 * what is left stays due. */
void coordinator_time(coordinator_t *self, int64_t now_us, uint64_t dice, size_t count_max,
                      coordinator_effects_t *effects);
int64_t coordinator_due_us(const coordinator_t *self);

/* The child of a task was looked up (COORDINATOR_LOOK_UP). */
void coordinator_child(coordinator_t *self, int64_t now_us, uint64_t dice, uint64_t parent,
                       uint64_t task, coordinator_effects_t *effects);

/* What is under way, once more: after recovery for all (NULL), or for a participant that has come
 * (back). */
void coordinator_resend(coordinator_t *self, int64_t now_us, uint64_t dice,
                        const slice_t *participant, coordinator_effects_t *effects);

/* --- who is there ---------------------------------------------------------------------------- */

const saga_t *coordinator_find(const coordinator_t *self, slice_t id);
const saga_t *coordinator_get(const coordinator_t *self, uint64_t number);
/* Resident ones, in no order; `*position` is 0 at first, NULL at the end. */
const saga_t *coordinator_next(const coordinator_t *self, size_t *position);

/* What is kept once, beside the rows: so that no number and no scheduled time is given twice. */
typedef struct coordinator_mark {
    uint64_t number_next;
    int64_t time_us; /* the newest that anything was written at */
} coordinator_mark_t;
coordinator_mark_t coordinator_mark(const coordinator_t *self);

/* --- recovery and rows ----------------------------------------------------------------------- */

/* A row of the snapshot: record `saga_state`. Its plan may be unknown: then it is kept as it is,
 * shown, and not advanced. Loading what is resident changes nothing. Errors: STORE_CORRUPT. */
CAPSTAN_MUST_CHECK capstan_err_t coordinator_load(coordinator_t *self, slice_t record);
/* A record of the log. One that a row knows already changes nothing. Errors: STORE_CORRUPT;
 * UNKNOWN_SAGA: an input of a saga that is not resident: load its row and say it again, or if there
 * is none leave it out, since it was forgotten; SAGA_DEFINITION and others of plan_read: a
 * definition that this program does not accept, whose sagas stay as they are. */
CAPSTAN_MUST_CHECK capstan_err_t coordinator_load_record(coordinator_t *self, uint32_t record,
                                                         slice_t data);
/* Recovery is over: locks and turns are worked out, children are looked for. */
void coordinator_loaded(coordinator_t *self, int64_t now_us, coordinator_mark_t mark);

/* The next saga that has changed since it was last handed out; NULL: none. */
const saga_t *coordinator_take_changed(coordinator_t *self);
void coordinator_touch(coordinator_t *self, uint64_t number); /* its row could not be written */
/* Whether it may leave memory once its row is on disk: nothing moves it but time after `until_us`,
 * events, signals and people. */
bool coordinator_may_evict(const coordinator_t *self, uint64_t number, int64_t until_us);
void coordinator_evict(coordinator_t *self, uint64_t number);

typedef struct coordinator_figures {
    uint64_t resident;
    uint64_t waiting;
    uint64_t running;
    uint64_t started; /* since the process started, as the others */
    uint64_t completed;
    uint64_t compensated;
    uint64_t cancelled;
    uint64_t parked;
    uint64_t inputs;
    uint64_t ignored; /* answers that changed nothing */
    uint64_t bytes;   /* of memory, about */
} coordinator_figures_t;

coordinator_figures_t coordinator_figures(const coordinator_t *self);

/* NULL, or the name of an invariant that does not hold. */
const char *coordinator_check(const coordinator_t *self);

#endif

/* What a supervisor decides: which child is started, stopped, delayed or given up, and when. A pure
 * core: steps over (state, input, now, random word), whose effects the caller carries out.
 *
 *   caller's children:  child <--> child <--> child     in the order of their start
 *                       head         ^         tail
 *                                 opening (one_for_one: the first that has not been up once)
 *
 * The caller allocates the children and embeds this core's part in them. Each EFFECT_START must be
 * followed by one SUPERVISION_ENDED, sooner or later, and by at most one SUPERVISION_STARTED before
 * it. The news may cross with an EFFECT_STOP.
 *
 * Order. A child is started for the first time when all before it have been up. With one_for_all
 * and rest_for_one it never starts unless all before it run or are over; with one_for_one restarts
 * are independent. Stops go from the last child to the first, one at a time: the next hears `stop`
 * when the one before has ended.
 *
 * First start. When that of one of the first children fails, the supervisor does not come up: it
 * stops those that have started, and ends with the child's error. A child that is added later is
 * forgotten then, and who asked for it is told.
 *
 * Delay. The first restart comes after min to 2 min, the next after 2 min to 4 min, and so on; from
 * the doubled value at max on, after half of max to max. A child that ran for window_us begins anew
 * at min. Those that are started again together wait for the delay of the one that failed; one that
 * failed besides waits for its own, too.
 *
 * Budget. A child is restarted for its own sake at most restarts_max times within any window_us;
 * the failure beyond that makes the supervisor stop all children and end with RESTART_LIMIT.
 *
 * News. The first failure of a child that ran well is told (EFFECT_FAILED), the second in a row
 * once more (EFFECT_LOOP), those that follow are not, until it ran for window_us. */
#ifndef RUNTIME_SUPERVISION_H
#define RUNTIME_SUPERVISION_H

#include <capstan/supervisor.h>
#include <stddef.h>

typedef enum child_state {
#define CHILD_STATE(name, meaning) CHILD_##name,
#include "runtime/supervision_states.def"
    CHILD_STATE_COUNT
} child_state_t;

typedef enum child_input {
#define CHILD_INPUT(name, meaning) CHILD_INPUT_##name,
#include "runtime/supervision_states.def"
    CHILD_INPUT_COUNT
} child_input_t;

typedef enum supervisor_state {
#define SUPERVISOR_STATE(name, meaning) SUPERVISOR_##name,
#include "runtime/supervision_states.def"
    SUPERVISOR_STATE_COUNT
} supervisor_state_t;

typedef enum supervisor_input {
#define SUPERVISOR_INPUT(name, meaning) SUPERVISOR_INPUT_##name,
#include "runtime/supervision_states.def"
    SUPERVISOR_INPUT_COUNT
} supervisor_input_t;

typedef struct supervision_limits {
    capstan_restart_t restart;
    uint32_t restarts_max; /* 0: the first failure escalates */
    int64_t window_us;     /* 1 and up, as are the next two */
    int64_t backoff_us_min;
    int64_t backoff_us_max; /* at least the minimum */
} supervision_limits_t;

/* The core's part of a child. The caller sets `limits`; the rest starts out as zero. */
typedef struct supervision_child {
    supervision_limits_t limits;
    uint64_t starts; /* incarnations so far */

    struct supervision_child *previous;
    struct supervision_child *next;
    uint64_t order;
    child_state_t state; /* changed by child_step only */
    bool asked_for;      /* added later: its first failure is told to who asked, and ends it */
    bool was_up;
    bool leaving;      /* it is stopped in order to be forgotten */
    bool restarting;   /* its next start counts against its budget */
    uint32_t failures; /* in a row */
    int64_t up_us;     /* since when its incarnation is up; INT64_MAX: it is not */
    int64_t due_us;    /* not to be started before */
    int64_t *restarts; /* ring of restarts_max: when it was restarted for its own sake */
    uint64_t restart_count;
} supervision_child_t;

typedef struct supervision {
    capstan_strategy_t strategy;
    supervisor_state_t state; /* changed by supervisor_step only */
    supervision_child_t *head;
    supervision_child_t *tail;
    supervision_child_t *opening;
    supervision_child_t *halting; /* all behind it that are to stop have ended */
    uint64_t regroup_from;        /* REGROUPING: the order of the first child of the group */
    uint64_t order_last;
    capstan_err_t reason; /* why it gave up; OK: it did not */
    bool ready;
    uint64_t child_steps[CHILD_STATE_COUNT][CHILD_INPUT_COUNT]; /* how often each row was taken */
    uint64_t supervisor_steps[SUPERVISOR_STATE_COUNT][SUPERVISOR_INPUT_COUNT];
} supervision_t;

typedef struct supervision_input {
    enum supervision_kind {
        SUPERVISION_BEGIN,   /* once, after supervision_add of the first children */
        SUPERVISION_ADD,     /* a further `child`; forgotten at once when the supervisor ends */
        SUPERVISION_STARTED, /* the init of `child` has succeeded */
        SUPERVISION_ENDED,   /* `child` has ended, with `reason` */
        SUPERVISION_DUE,     /* the EFFECT_WAIT of `child` is over; one too many does no harm */
        SUPERVISION_REMOVE,  /* `child` is to be stopped and forgotten */
        SUPERVISION_STOP,
    } kind;
    supervision_child_t *child;
    capstan_err_t reason;
    int64_t now_us;
    uint64_t random;
} supervision_input_t;

typedef struct supervision_effect {
    enum {
        EFFECT_START,
        EFFECT_STOP,
        EFFECT_WAIT,      /* SUPERVISION_DUE is wanted after `wait_us`; replaces an earlier one */
        EFFECT_FORGET,    /* the child belongs to the caller again; `reason`: how it ended */
        EFFECT_FAILED,    /* for the log; `wait_us` until its restart, 0: there is none */
        EFFECT_LOOP,      /* for the log */
        EFFECT_LIMIT,     /* for the log: `child` failed with `reason` once too often */
        EFFECT_UNSTARTED, /* for the log: its first start failed with `reason` */
        EFFECT_READY,     /* once: the first children have all been up */
        EFFECT_END,       /* last: no child is left, the supervisor ends with `reason` */
    } kind;
    supervision_child_t *child; /* NULL for READY and END */
    capstan_err_t reason;
    int64_t wait_us;
} supervision_effect_t;

/* The caller's; a zeroed one is empty. Effects are appended. */
typedef struct supervision_effects {
    supervision_effect_t *list;
    size_t count;
    size_t capacity;
} supervision_effects_t;

/* Adds one of the first children, before SUPERVISION_BEGIN. */
void supervision_add(supervision_t *self, supervision_child_t *child);
void supervision_step(supervision_t *self, const supervision_input_t *input,
                      supervision_effects_t *effects);
/* Frees what the core keeps of a child that it has been told to forget, or of any at the end. */
void supervision_child_fini(supervision_child_t *child);
/* How long a child waits after its failure number `failures` in a row, 1 and up. */
int64_t supervision_delay_us(const supervision_limits_t *limits, uint32_t failures,
                             uint64_t random);

#endif

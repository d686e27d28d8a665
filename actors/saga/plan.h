/* A plan: a definition, read and checked, in the form that the cores work with. Immutable, and
 * shared by the sagas of its version.
 *
 * The nodes are a tree, kept as the definition lists them: each before its children, and a child
 * after all that its elder siblings contain.
 *
 *   0 sequence            parent none, first 1, next none
 *   1   step reserve      parent 0,    first none, next 2
 *   2   await             parent 0,    first 3, next none
 *   3     branch event    parent 2,    first 4, next 5
 *   4       step charge   parent 3
 *   5     branch timeout  parent 2,    first 6
 *   6       end undone    parent 5
 *
 * What the kinds mean:
 *  - sequence: its children one after another. The first node is one.
 *  - parallel: all children at once; it succeeds with the last one.
 *  - step: an action of a participant. `class` compensatable: it has a compensation; pivot: from it
 *    on there is no way back, there is one at most on each way through; retriable: behind the
 *    pivot, tried until it succeeds; read: no effect, nothing to compensate.
 *  - choice: the first branch whose test holds (one without a test always does); without any it
 *    succeeds at once.
 *  - loop: its children, one after another, again and again while its test holds, `count_max`
 *    rounds at most: the round after that fails the saga with LOOP_EXHAUSTED.
 *  - sleep: goes on after `sleep_ms`, by the clock, whatever happens meanwhile.
 *  - await: the branch whose event or signal comes first, or whose time is up. What came before it
 *    was awaited is kept and taken in its order. The payload is the value of the await's name.
 *  - each: its children once for every element of a list, which they see as `item`; it succeeds
 * when `needed` have, the others are dropped (those in doubt compensated); it fails when too many
 *    have failed.
 *  - child: another saga, with the id of this one, a slash and the task's number. It succeeds when
 *    the child is completed, with its values as the result; it fails when that was compensated.
 *  - branch: of a choice or an await; its children one after another.
 *  - end: ends the saga with an outcome; with `undo` by compensation. */
#ifndef SAGA_PLAN_H
#define SAGA_PLAN_H

#include "actors/saga/saga_messages.h"
#include "actors/saga/value.h"

enum {
    PLAN_NODES_MAX = 1000,
    PLAN_DEPTH_MAX = 12,
    PLAN_NAME_MAX = 64,
    PLAN_BYTES_MAX = 256 * 1024,
    PLAN_ATTRIBUTES_MAX = 8,
};
/* No node; no enumerator, which ISO C keeps within int. */
#define PLAN_NONE UINT32_MAX
/* Ten years: no duration is longer. */
#define PLAN_MS_MAX (INT64_C(3650) * 24 * 60 * 60 * 1000)

typedef enum plan_kind {
    PLAN_SEQUENCE = 1,
    PLAN_PARALLEL = 2,
    PLAN_STEP = 3,
    PLAN_CHOICE = 4,
    PLAN_LOOP = 5,
    PLAN_SLEEP = 6,
    PLAN_AWAIT = 7,
    PLAN_EACH = 8,
    PLAN_CHILD = 9,
    PLAN_BRANCH = 10,
    PLAN_END = 11,
} plan_kind_t;

typedef enum plan_class {
    PLAN_COMPENSATABLE = 1,
    PLAN_PIVOT = 2,
    PLAN_RETRIABLE = 3,
    PLAN_READ = 4,
} plan_class_t;

typedef enum plan_source {
    PLAN_EVENT = 1,
    PLAN_SIGNAL = 2,
    PLAN_TIMEOUT = 3,
} plan_source_t;

typedef enum plan_undo_order {
    PLAN_UNDO_REVERSE = 1,
    PLAN_UNDO_PARALLEL = 2,
} plan_undo_order_t;

typedef struct plan_retry {
    int64_t initial_us;
    uint32_t factor_percent;
    int64_t max_us;
    uint64_t attempts_max;
    uint32_t jitter_percent;
    slice_t final; /* LIST of saga_word */
} plan_retry_t;

typedef struct plan_node {
    plan_kind_t kind;
    uint32_t parent;
    uint32_t first; /* child */
    uint32_t next;  /* sibling */
    slice_t name;
    plan_class_t class;
    slice_t participant;
    slice_t action;
    slice_t compensation;
    slice_t input; /* template; empty: the saga's input */
    plan_retry_t retry;
    int64_t attempt_us;
    int64_t step_us; /* 0: no bound */
    value_test_t test;
    uint64_t count_max;
    int64_t sleep_us;
    plan_source_t source;
    slice_t topic;
    slice_t signal;
    slice_t list;
    uint64_t needed; /* 0: all */
    uint64_t width_max;
    slice_t definition;
    uint64_t version; /* 0: newest */
    slice_t outcome;
    bool undo;
    uint64_t line; /* in its file; 0: unknown */
} plan_node_t;

typedef struct plan {
    slice_t record; /* its `saga_definition`; slices point into it, or to constants */
    slice_t name;
    uint64_t version;
    plan_node_t *nodes;
    uint32_t count;
    int64_t deadline_us; /* 0: none, as the next one */
    int64_t undo_deadline_us;
    plan_undo_order_t undo_order;
    plan_retry_t undo_retry;
    slice_t key; /* path; empty: none */
    bool lock;
    uint64_t waiting_max;
    slice_t start_topic;
    value_test_t start_test;
    slice_t schedule;
    uint64_t running_max; /* 0: no bound, as the next one */
    uint64_t starts_per_minute;
    uint32_t priority;
    slice_t attribute_names[PLAN_ATTRIBUTES_MAX];
    slice_t attribute_paths[PLAN_ATTRIBUTES_MAX];
    uint32_t attributes;
    int64_t retention_us; /* 0: the node's */
    slice_t outcome;
} plan_t;

/* What is wrong with a definition. */
typedef struct plan_fault {
    uint64_t line;     /* of the node in its file; 0: unknown */
    const char *field; /* of saga_definition, where no node is meant; NULL: unknown */
    char text[512];    /* which node, what, and what to do */
} plan_fault_t;

/* Reads and checks a record `saga_definition`, which is copied. What cannot be safe is refused: a
 * compensatable step without a compensation, or behind the pivot; a second pivot; a pivot inside
 * parallel, each or loop; a retriable step before the pivot, or, where there is none, before or
 * beside a compensatable one; a loop or each without a bound; an end inside parallel or each, or
 * with undo behind the pivot, or with something behind it; an await without branches, or with two
 * timeouts; an event awaited without a key; a path to what is not known there (plan_scopes.c);
 * names twice; a schedule that is none; figures out of their range; fields that a kind does not
 * have. Errors: SAGA_DEFINITION, MALFORMED and the codec's, TOO_LARGE, NO_MEMORY; `ret_fault` says
 * what is wrong. */
CAPSTAN_MUST_CHECK capstan_err_t plan_read(slice_t definition, plan_t **ret_plan,
                                           plan_fault_t *ret_fault);
void plan_destroy(plan_t **self_p);

/* Reads a definition from YAML (docs/sagas.md has the form) and appends the record
 * `saga_definition`, which plan_read has accepted. `file` is the name used in messages.
 * Errors: SAGA_DEFINITION; `ret_fault->text` then begins with `file:line: `. */
CAPSTAN_MUST_CHECK capstan_err_t definition_from_yaml(slice_t text, const char *file, buffer_t *out,
                                                      plan_fault_t *ret_fault);

/* The next time, after `after_us`, at which a schedule starts one; UTC microseconds. INT64_MAX:
 * never. The schedule is one that plan_read has accepted: five fields as in a crontab, `minute hour
 * day month weekday`, each `*` or a list of numbers and ranges, and behind `*` or a range a step
 * (`1-31/2`); there is a time that fits. Where neither day nor weekday begins with `*`, one of them
 * has to fit. */
int64_t schedule_next(slice_t schedule, int64_t after_us);
bool schedule_valid(slice_t schedule);

#endif

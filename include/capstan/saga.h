/* Sagas: work in several steps that different participants do, and that has its effect as a whole
 * or not at all. docs/sagas.md says what a definition can contain, participant.h how a program does
 * the work of steps.
 *
 * A program whose node has its topics open (topic.h) has sagas too, in the same store. Peers reach
 * them as the actor `saga`, by the messages 0x100 to 0x110 (docs/protocol.md); the functions here
 * send the same ones. They are called from threads that are no cell, and block.
 *
 *   static const capstan_saga_step_t steps[] = {
 *       {.name = "reserve", .participant = "stock", .action = "reserve", .compensation =
 * "release"},
 *       {.name = "charge", .participant = "bank", .action = "charge", .kind = CAPSTAN_STEP_PIVOT},
 *       {.name = "send", .participant = "stock", .action = "send", .kind = CAPSTAN_STEP_RETRIABLE},
 *   };
 *   err = capstan_saga_define_steps(node, "order", 1, steps, 3, text, sizeof text);
 *   err = capstan_saga_start(node, &(capstan_saga_start_t){.definition = "order", .id = "4711"},
 *                            NULL);
 *   err = capstan_saga_result(node, "4711", 60000000, &end);
 *   ... end.state == CAPSTAN_SAGA_COMPLETED ...
 *   capstan_saga_end_fini(&end);
 *
 * Errors of all of them: UNSUPPORTED (the topics are not open), UNAVAILABLE (sagas are being
 * recovered: ask again), the store's, STOPPING, TIMEOUT. */
#ifndef CAPSTAN_SAGA_H
#define CAPSTAN_SAGA_H

#include <capstan/node.h>

/* --- definitions ----------------------------------------------------------------------------- */

typedef enum capstan_step_kind {
    CAPSTAN_STEP_COMPENSATABLE = 0, /* its compensation undoes it */
    CAPSTAN_STEP_PIVOT = 2,         /* behind it nothing is undone any more */
    CAPSTAN_STEP_RETRIABLE = 3,     /* tried until it succeeds */
    CAPSTAN_STEP_READ = 4,          /* it has no effect */
} capstan_step_kind_t;

/* A step; 0 and NULL stand for what docs/sagas.md says. */
typedef struct capstan_saga_step {
    const char *name; /* its result is found under it */
    const char *participant;
    const char *action;
    const char *compensation; /* of a compensatable step */
    capstan_step_kind_t kind;
    capstan_slice_t input; /* msgpack, in which texts that begin with $ are paths; empty: the
                              saga's input */
    uint64_t attempts_max;
    int64_t attempt_timeout_us;
} capstan_saga_step_t;

/* Makes a definition known whose steps follow one another. The same once more changes nothing.
 * `ret_text` (may be NULL, with size 0) says what is wrong. Errors: SAGA_DEFINITION, INVALID,
 * DEFINITION_CONFLICT (the version exists with another content). */
CAPSTAN_API CAPSTAN_MUST_CHECK capstan_err_t capstan_saga_define_steps(
    capstan_node_t *node, const char *name, uint64_t version, const capstan_saga_step_t *steps,
    size_t count, char *ret_text, size_t text_size);

/* The same of a definition in YAML, which may contain everything; `file` is its name in messages.
 */
CAPSTAN_API CAPSTAN_MUST_CHECK capstan_err_t capstan_saga_define(capstan_node_t *node,
                                                                 const char *yaml, const char *file,
                                                                 char *ret_text, size_t text_size);

/* --- sagas ----------------------------------------------------------------------------------- */

typedef struct capstan_saga_start {
    const char *definition;
    uint64_t version;      /* 0: the newest */
    const char *id;        /* 1 to 256 bytes of UTF-8 without `/` */
    capstan_slice_t input; /* a msgpack map, at most 256 KiB; may be empty */
    const char *key;       /* business key; NULL: as the definition says */
    int64_t deadline_us;   /* from now on; 0: as the definition says */
} capstan_saga_start_t;

/* Starts a saga; returns when that is on disk. The same id with the same definition and input is
 * that saga: `ret_created` (may be NULL) says whether this call made it. Errors:
 * UNKNOWN_DEFINITION, SAGA_ID, SAGA_CONFLICT (the id belongs to another one), SAGA_WAITING_FULL,
 * INVALID (the key), FIELD_TYPE and others (the input). */
CAPSTAN_API CAPSTAN_MUST_CHECK capstan_err_t capstan_saga_start(capstan_node_t *node,
                                                                const capstan_saga_start_t *start,
                                                                bool *ret_created);

typedef enum capstan_saga_state {
    CAPSTAN_SAGA_WAITING = 1, /* for the lock of its key, or for its turn */
    CAPSTAN_SAGA_RUNNING = 2,
    CAPSTAN_SAGA_COMPENSATING = 3,
    CAPSTAN_SAGA_COMPLETED = 4,
    CAPSTAN_SAGA_COMPENSATED = 5,
    CAPSTAN_SAGA_PARKED = 6, /* cannot go on without a person */
    CAPSTAN_SAGA_CANCELLED = 7,
} capstan_saga_state_t;

/* How a saga stands. */
typedef struct capstan_saga_end {
    capstan_saga_state_t state;
    char outcome[65]; /* label; "": none */
    char reason[257]; /* why it was compensated or does not go on; cut off */
    void *values;     /* the results by the names of steps, a msgpack map; owned */
    size_t values_size;
} capstan_saga_end_t;

/* Waits until the saga has ended or is parked, for `timeout_us` at most; 0: says at once how it
 * stands. Errors: UNKNOWN_SAGA, TIMEOUT (it goes on). */
CAPSTAN_API CAPSTAN_MUST_CHECK capstan_err_t capstan_saga_result(capstan_node_t *node,
                                                                 const char *id, int64_t timeout_us,
                                                                 capstan_saga_end_t *ret_end);
CAPSTAN_API void capstan_saga_end_fini(capstan_saga_end_t *self);

/* Gives a saga a signal; returns when that is on disk. `value` is msgpack of at most 64 KiB, or
 * empty. One that was given under a token (may be NULL) changes nothing when it is given again.
 * Errors: UNKNOWN_SAGA, SAGA_ENDED, INVALID, LIMIT (too many wait). */
CAPSTAN_API CAPSTAN_MUST_CHECK capstan_err_t capstan_saga_signal(capstan_node_t *node,
                                                                 const char *id, const char *signal,
                                                                 capstan_slice_t value,
                                                                 const char *token);

typedef enum capstan_saga_operation {
    CAPSTAN_SAGA_CANCEL = 1, /* what was done is compensated */
    CAPSTAN_SAGA_PAUSE = 2,  /* nothing new is begun */
    CAPSTAN_SAGA_RESUME = 3,
    CAPSTAN_SAGA_RETRY = 4, /* of one that is parked: what is stuck is tried again */
    CAPSTAN_SAGA_SKIP = 5,  /* what is stuck counts as done */
    CAPSTAN_SAGA_COMPLETE = 6,
    CAPSTAN_SAGA_ABANDON = 8, /* given up as it is, without compensation */
} capstan_saga_operation_t;

/* Does something to a saga; returns when that is on disk. `reason` is on record; SKIP, COMPLETE and
 * ABANDON want one, otherwise it may be NULL. Errors: UNKNOWN_SAGA, SAGA_ENDED, SAGA_STATE,
 * PIVOT_PASSED, INVALID. */
CAPSTAN_API CAPSTAN_MUST_CHECK capstan_err_t capstan_saga_operate(
    capstan_node_t *node, const char *id, capstan_saga_operation_t operation, const char *reason);
/* CAPSTAN_SAGA_CANCEL. */
CAPSTAN_API CAPSTAN_MUST_CHECK capstan_err_t capstan_saga_cancel(capstan_node_t *node,
                                                                 const char *id,
                                                                 const char *reason);

#endif

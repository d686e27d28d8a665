/* Supervisors: actors that start other actors, their children, in order, start them again when they
 * end, and stop them in reverse order.
 *
 *   static const capstan_child_t children[] = {
 *       {.behaviour = &store, .spawn = {.name = "store"}},
 *       {.behaviour = &shop, .spawn = {.name = "shop"}, .restarts_max = 20},
 *   };
 *   err = capstan_node_supervisor_spawn(
 *       node, &(capstan_supervisor_options_t){.strategy = CAPSTAN_REST_FOR_ONE,
 *                                             .children = children, .child_count = 2},
 *       &(capstan_spawn_options_t){.name = "shop-tree"}, &ref);
 *
 * A child that is started again is a new actor with a new reference: a message to the old one is
 * answered GONE, and users find the one that runs now by its name (capstan_resolve). It comes back
 * on the cell where it was. What it knew is gone, unless it stored it.
 *
 * Start: the next child is started when the one before it has come up, that is when its init has
 * succeeded or, of a supervisor, when all its children have been up. When the first start of one
 * of them fails, the supervisor stops those that have started and ends with that error: what is
 * wrong from the beginning is told to who started it all. A start that fails later is tried again.
 *
 * Restart: after a delay, between the shortest and twice that at first, doubled with each further
 * failure up to the longest, drawn at random so that not all return at the same instant. A child
 * that ran for the window begins anew. More restarts within the window than the budget allows, and
 * the supervisor gives up: it stops its children and ends with RESTART_LIMIT, which is a failure of
 * its own to the supervisor above.
 *
 * Stop: the last child hears `stop` first, the next when that has ended; one that takes too long is
 * ended between two of its handlers. When a supervisor itself is ended that way, or fails, its
 * children end at once, with LINKED; those that trap exits hear a `down` of it and should end. */
#ifndef CAPSTAN_SUPERVISOR_H
#define CAPSTAN_SUPERVISOR_H

#include <capstan/node.h>

/* Who is started again when a child ends that is to be started again. The others are stopped in
 * reverse order first, and started in order together with it. */
typedef enum capstan_strategy {
    CAPSTAN_ONE_FOR_ONE,  /* only that child */
    CAPSTAN_ONE_FOR_ALL,  /* all children */
    CAPSTAN_REST_FOR_ONE, /* that child and those that were started after it */
} capstan_strategy_t;

/* When a child is started again for its own sake. */
typedef enum capstan_restart {
    CAPSTAN_RESTART_PERMANENT, /* whenever it ends */
    CAPSTAN_RESTART_TRANSIENT, /* when it fails; after a normal end only with its group */
    CAPSTAN_RESTART_TEMPORARY, /* never: its end is forgotten */
} capstan_restart_t;

enum {
    CAPSTAN_RESTARTS_MAX = 10000,       /* the largest budget */
    CAPSTAN_RESTARTS_NONE = 0x7fffffff, /* a budget of none: the first failure is one too many */
};

typedef struct capstan_child {
    const capstan_behaviour_t *behaviour; /* must live as long as the supervisor */
    /* How it is spawned. The name is required; `argument` is given to every incarnation and must
     * live as long as the supervisor; `monitor` and `link` have no effect. */
    capstan_spawn_options_t spawn;
    capstan_restart_t restart;
    uint32_t restarts_max;  /* within the window; 0: 5 */
    int64_t window_us;      /* 0: 60 s */
    int64_t backoff_us_min; /* shortest delay; 0: 100 ms */
    int64_t backoff_us_max; /* longest delay; 0: 30 s, or the shortest if that is longer */
    int64_t stop_us; /* how long it may take to stop; 0: 5 s, of a supervisor as long as it takes;
                        below 0: it is ended without hearing `stop` */
} capstan_child_t;

typedef struct capstan_supervisor_options {
    capstan_strategy_t strategy;
    const capstan_child_t *children; /* the first ones, in the order of their start; copied */
    size_t child_count;
} capstan_supervisor_options_t;

/* The behaviour of a supervisor, whose argument is a capstan_supervisor_options_t: for supervisors
 * among the children of another one. */
CAPSTAN_API extern const capstan_behaviour_t capstan_supervisor_behaviour;

/* Starts a supervisor, from inside a handler; `spawn` as in capstan_spawn (its argument has no
 * effect). On the caller's own cell its children are being started when this returns; elsewhere
 * `options` must live until its init has run. Errors: those of capstan_spawn; INVALID, EXISTS (a
 * child's specification: see capstan_supervisor_start_child). */
CAPSTAN_API CAPSTAN_MUST_CHECK capstan_err_t
capstan_supervisor_spawn(capstan_actor_t *self, const capstan_supervisor_options_t *options,
                         const capstan_spawn_options_t *spawn, capstan_ref_t *ret_ref);

/* The same from a thread that is no cell; returns when all its first children have been up. Blocks.
 * Errors: as above; of the first child whose start failed; RESTART_LIMIT; STOPPING. */
CAPSTAN_API CAPSTAN_MUST_CHECK capstan_err_t
capstan_node_supervisor_spawn(capstan_node_t *self, const capstan_supervisor_options_t *options,
                              const capstan_spawn_options_t *spawn, capstan_ref_t *ret_ref);

/* Asks a supervisor for a further child, behind those that it has. The answer, for which
 * capstan_supervisor_answer is made, comes when the child has come up, or says why its first start
 * failed: then it is forgotten. The strings of `child` are copied.
 * Errors: those of capstan_ask. Answers: INVALID (no behaviour or valid name, a negative limit, a
 * longest delay below the shortest, a budget above CAPSTAN_RESTARTS_MAX), EXISTS (a child has the
 * name, or an actor of another supervisor), STOPPING, or the error of its init. */
CAPSTAN_API CAPSTAN_MUST_CHECK capstan_err_t capstan_supervisor_start_child(
    capstan_actor_t *self, capstan_ref_t supervisor, const capstan_child_t *child,
    int64_t timeout_us, uint64_t *ret_correlation);

/* Asks a supervisor to stop the child of that name and to forget it. Its siblings stay. The answer
 * comes when it has ended. Answers: NOT_FOUND, STOPPING (somebody else has asked before). */
CAPSTAN_API CAPSTAN_MUST_CHECK capstan_err_t
capstan_supervisor_stop_child(capstan_actor_t *self, capstan_ref_t supervisor, const char *name,
                              int64_t timeout_us, uint64_t *ret_correlation);

/* What the answer to one of the two says: OK or the error; of a child that was started, `ret_child`
 * (may be NULL) is its first incarnation. */
CAPSTAN_API CAPSTAN_MUST_CHECK capstan_err_t
capstan_supervisor_answer(const capstan_message_t *answer, capstan_ref_t *ret_child);

/* The same from a thread that is no cell. They block until the answer. */
CAPSTAN_API CAPSTAN_MUST_CHECK capstan_err_t capstan_node_supervisor_start_child(
    capstan_node_t *self, capstan_ref_t supervisor, const capstan_child_t *child,
    int64_t timeout_us, capstan_ref_t *ret_child);
CAPSTAN_API CAPSTAN_MUST_CHECK capstan_err_t capstan_node_supervisor_stop_child(
    capstan_node_t *self, capstan_ref_t supervisor, const char *name, int64_t timeout_us);

#endif

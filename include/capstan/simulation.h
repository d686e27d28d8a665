/* A simulator for actors: several nodes on one thread, in virtual time, with everything that goes
 * wrong in a network of machines. What an actor does is not changed for it; the code of the runtime
 * that runs it is the one that runs it on threads.
 *
 *   static capstan_err_t start(capstan_simulation_t *world, uint32_t node, void *context)
 *   {
 *       ... capstan_node_spawn(capstan_simulation_node(world, node), ...)
 *   }
 *
 *   static void scenario(capstan_simulation_t *world, void *context)
 *   {
 *       const capstan_simulation_node_t bank = {.name = "bank", .start = start};
 *       const capstan_simulation_faults_t faults = {.loss = 10, .crash_every_us = 2000000};
 *       capstan_simulation_add_node(world, &bank);
 *       capstan_simulation_set_faults(world, &faults);
 *       capstan_simulation_run(world, 10000000);
 *       ... if (lost > 0) capstan_simulation_fail(world, "no_loss", "%d are lost", lost);
 *   }
 *
 *   int main(int count, char **arguments)
 *   {
 *       return capstan_simulation_main(count, arguments,
 *                                      &(capstan_simulation_check_t){.scenario = scenario});
 *   }
 *
 * A run is a row of decisions: how late a cell's turn comes, which packet is lost, when a node
 * crashes. Each has a usual value, 0, and each is drawn from the seed by what it is about and not
 * by when it is asked for, so that two runs of one seed are the same bit for bit, and a run can be
 * repeated with only some of its decisions. capstan_simulation_check does that with a run that
 * failed: it leaves out what the failure does not need and prints the short schedule that is left.
 * This holds as long as the scenario and its actors ask nobody else than the simulation for time
 * (capstan_now_us, capstan_utc_us) and chance (capstan_simulation_choose), start no threads, and
 * decide nothing by addresses of memory.
 *
 * What the runtime promises within a node holds here too. Between nodes a message is as safe as a
 * datagram: it may be lost, come twice, late or out of order, unless the faults say otherwise; one
 * that arrives at a node, and finds its actor ended or the node restarted, is answered GONE.
 *
 * All functions are for the thread that made the world; those that run it are not for handlers. */
#ifndef CAPSTAN_SIMULATION_H
#define CAPSTAN_SIMULATION_H

#include <capstan/buffer.h>
#include <capstan/node.h>
#include <stdio.h>

typedef struct capstan_simulation capstan_simulation_t;

enum {
    CAPSTAN_SIMULATION_NODES_MAX = 32,
    CAPSTAN_SIMULATION_STREAMS_MAX = 4096,
};

/* --- a world --------------------------------------------------------------------------------- */

typedef struct capstan_simulation_options {
    uint64_t seed;
    const char *schedule;  /* decisions of an earlier run; all others are the usual ones. NULL: they
                              are drawn from the seed */
    int64_t spread_us_max; /* how late a turn or a batch may be; 0: 200 */
    uint64_t steps_max;    /* a run that takes more has failed; 0: 10,000,000 */
    FILE *trace;           /* where each step is told; NULL: nowhere */
} capstan_simulation_options_t;

/* NULL options are the defaults. Errors: INVALID (the schedule cannot be read), NO_MEMORY. */
CAPSTAN_API CAPSTAN_MUST_CHECK capstan_err_t capstan_simulation_new(
    const capstan_simulation_options_t *options, capstan_simulation_t **ret_simulation);
/* Ends all nodes as in a crash, for good: the states of their actors are freed, and what they used
 * may go. */
CAPSTAN_API void capstan_simulation_end(capstan_simulation_t *self);
CAPSTAN_API void capstan_simulation_destroy(capstan_simulation_t **self_p);

/* Starts the node's first actors, by capstan_node_spawn and what else a thread may call. Runs when
 * the node is added and after each crash, when the node has a new boot number and its disk what was
 * on it. The node does not crash meanwhile. An error is a failure of the run. */
typedef capstan_err_t capstan_simulation_start_fn(capstan_simulation_t *self, uint32_t node,
                                                  void *context);

typedef struct capstan_simulation_node {
    const char *name; /* by which actors of other nodes find its actors: 1 to 31 bytes, no ':';
                         copied */
    capstan_simulation_start_fn *start;
    void *context;
    capstan_node_options_t options; /* id, boot, spin_us and host_cell have no effect; workers
                                       0: 2 */
} capstan_simulation_node_t;

/* Adds a node and starts it; returns its number: 0, 1, 2 ... */
CAPSTAN_API uint32_t capstan_simulation_add_node(capstan_simulation_t *self,
                                                 const capstan_simulation_node_t *node);
/* The node itself, for all that capstan/node.h offers to a thread; NULL while it is down. It is
 * gone after its crash. */
CAPSTAN_API capstan_node_t *capstan_simulation_node(capstan_simulation_t *self, uint32_t node);

/* The world of a simulated node, and the node's number in it: so code below an actor can tell that
 * its disk, say, is the simulation's. NULL for a real node. */
CAPSTAN_API capstan_simulation_t *capstan_simulation_of(const capstan_node_t *node,
                                                        uint32_t *ret_node);

/* Actors find those of other nodes by `node:name` in capstan_resolve, here and nowhere else yet;
 * this is the same for the test. The reference can be used on every node. NOT_FOUND also when the
 * node is down. */
CAPSTAN_API CAPSTAN_MUST_CHECK capstan_err_t capstan_simulation_resolve(capstan_simulation_t *self,
                                                                        const char *name,
                                                                        capstan_ref_t *ret_ref);

/* --- running --------------------------------------------------------------------------------- */

/* Runs for that long in virtual time. False when the run has failed. */
CAPSTAN_API bool capstan_simulation_run(capstan_simulation_t *self, int64_t time_us);
/* Runs until nothing is under way and no cell has anything to do but wait for a timer, for at most
 * `time_us`; false when it has not come to rest, or the run has failed. */
CAPSTAN_API bool capstan_simulation_rest(capstan_simulation_t *self, int64_t time_us);
/* One step: a turn of a cell, an arrival, a fault. False when there is none, or the run has
 * failed. */
CAPSTAN_API bool capstan_simulation_step(capstan_simulation_t *self);

/* Virtual time since the world was made, which no node's clock shows exactly. Also in handlers, as
 * are the four below. */
CAPSTAN_API int64_t capstan_simulation_now_us(const capstan_simulation_t *self);
/* A decision of the scenario: a number below `limit`, drawn from the seed; usually 0. Each stream
 * has a row of decisions of its own: with one for each actor that decides, a schedule can be cut in
 * one place without changing the others. */
CAPSTAN_API uint64_t capstan_simulation_choose(capstan_simulation_t *self, uint32_t stream,
                                               uint64_t limit);
/* Says that a predicate does not hold. The first failure counts; the run ends. */
CAPSTAN_API void capstan_simulation_fail(capstan_simulation_t *self, const char *predicate,
                                         const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Mixes a word into the hash of the run: what a test wants to see repeated too. */
CAPSTAN_API void capstan_simulation_mix(capstan_simulation_t *self, uint64_t word);
/* Writes a line into the trace, when there is one. */
CAPSTAN_API void capstan_simulation_tell(capstan_simulation_t *self, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* "predicate: why", or NULL. */
CAPSTAN_API const char *capstan_simulation_failure(const capstan_simulation_t *self);
/* Equal for two runs that took the same steps with the same messages. */
CAPSTAN_API uint64_t capstan_simulation_hash(const capstan_simulation_t *self);

/* What there was so far. A run with too little in it proves nothing. */
typedef struct capstan_simulation_figures {
    uint64_t steps;
    uint64_t turns;
    uint64_t messages; /* handled by actors */
    uint64_t packets;  /* sent to other nodes */
    uint64_t lost;     /* packets of those */
    uint64_t crashes;
    uint64_t kills;
    uint64_t cuts;
    uint64_t pauses;
} capstan_simulation_figures_t;
CAPSTAN_API capstan_simulation_figures_t
capstan_simulation_figures(const capstan_simulation_t *self);

/* Calls a function later, between two steps. It may run the world, unless it observes. */
typedef void capstan_simulation_call_fn(capstan_simulation_t *self, void *context);
CAPSTAN_API void capstan_simulation_at(capstan_simulation_t *self, int64_t at_us,
                                       capstan_simulation_call_fn *call, void *context);
/* Calls a predicate after each step, or each time the world has come to rest. It looks, and calls
 * capstan_simulation_fail. */
typedef enum capstan_simulation_when {
    CAPSTAN_SIMULATION_EACH_STEP,
    CAPSTAN_SIMULATION_AT_REST
} capstan_simulation_when_t;
CAPSTAN_API void capstan_simulation_watch(capstan_simulation_t *self,
                                          capstan_simulation_when_t when,
                                          capstan_simulation_call_fn *predicate, void *context);

/* --- faults ---------------------------------------------------------------------------------- */

/* What goes wrong from now on. All zero, as in the beginning: nothing. `every` is the mean time
 * between two, of each node, 10 ms or more; 0: never. */
typedef struct capstan_simulation_faults {
    uint32_t loss;          /* of a thousand packets between nodes; the same below */
    uint32_t duplicate;     /* come twice */
    uint32_t reorder;       /* are overtaken by later ones */
    int64_t delay_us_max;   /* how long a packet takes, beside the usual 100 us */
    int64_t cut_every_us;   /* some nodes are cut off from the others (of the world, not a node) */
    int64_t cut_us_max;     /* for how long; 0: 1 s */
    int64_t crash_every_us; /* a node loses power */
    int64_t down_us_max;    /* and starts again after that; 0: 1 s */
    int64_t kill_every_us;  /* some actor is ended with KILLED */
    int64_t pause_every_us; /* a node stands still while its clocks go on */
    int64_t pause_us_max;   /* for how long; 0: 1 s */
    int64_t utc_every_us;   /* the UTC clock jumps, forward or back */
    int64_t utc_us_max;     /* by how much; 0: 10 s */
    uint32_t
        drift_ppm_max; /* how much faster or slower a node's monotonic clock is, of all its life */
    uint32_t disk_errors; /* of a thousand calls of a disk fail with STORE_IO */
} capstan_simulation_faults_t;
CAPSTAN_API void capstan_simulation_set_faults(capstan_simulation_t *self,
                                               const capstan_simulation_faults_t *faults);
/* No more faults: cuts and pauses end, nodes that are down start. What follows has to come right.
 */
CAPSTAN_API void capstan_simulation_heal(capstan_simulation_t *self);

/* The faults one by one. In a handler, its own node's crash waits for the end of the turn. */
CAPSTAN_API void capstan_simulation_crash(capstan_simulation_t *self, uint32_t node,
                                          int64_t down_us);
CAPSTAN_API void capstan_simulation_cut(capstan_simulation_t *self, uint32_t nodes, /* bit n: n */
                                        int64_t time_us);
CAPSTAN_API void capstan_simulation_pause(capstan_simulation_t *self, uint32_t node,
                                          int64_t time_us);
CAPSTAN_API void capstan_simulation_step_utc(capstan_simulation_t *self, uint32_t node,
                                             int64_t by_us);
/* In a handler, which never returns: its cell is taken over as node.h says, at once. Whatever the
 * handler holds is lost, as the thread that still holds it would be. Returns, and does nothing,
 * when no turn runs: in the `destroy` of actors whose node crashes. */
CAPSTAN_API void capstan_simulation_hang(capstan_actor_t *self);
/* No fault: the node stops in order (capstan_node_stop) within `time_us` of its own clock and stays
 * down until capstan_simulation_heal. What it leaves behind is a failure of M4. */
CAPSTAN_API void capstan_simulation_stop(capstan_simulation_t *self, uint32_t node,
                                         int64_t time_us);

/* --- disks ----------------------------------------------------------------------------------- */

/* Files of a node by name. What was written is read back at once, and outlives a crash when a later
 * sync of the file has succeeded. Of what was not synced a crash leaves a beginning: nothing,
 * everything, or up to some byte in the middle of a write. Names have 1 to 63 bytes. Also in
 * handlers and `start`. Errors: STORE_IO, STORE_FULL (64 files, or 64 MiB in one), INVALID (the
 * name). */
CAPSTAN_API CAPSTAN_MUST_CHECK capstan_err_t capstan_simulation_disk_append(
    capstan_simulation_t *self, uint32_t node, const char *file, capstan_slice_t bytes);
/* Replaces all that is in the file. */
CAPSTAN_API CAPSTAN_MUST_CHECK capstan_err_t capstan_simulation_disk_write(
    capstan_simulation_t *self, uint32_t node, const char *file, capstan_slice_t bytes);
/* Takes its time: the calling cell's next turn comes later. Errors: STORE_IO, NOT_FOUND. */
CAPSTAN_API CAPSTAN_MUST_CHECK capstan_err_t
capstan_simulation_disk_sync(capstan_simulation_t *self, uint32_t node, const char *file);
/* Appends what is in the file to `out`. Errors: STORE_IO, NOT_FOUND. */
CAPSTAN_API CAPSTAN_MUST_CHECK capstan_err_t capstan_simulation_disk_read(
    capstan_simulation_t *self, uint32_t node, const char *file, capstan_buffer_t *out);

/* --- many seeds ------------------------------------------------------------------------------ */

/* Makes its nodes, runs, says what failed, and ends the world if what its actors use goes with it.
 */
typedef void capstan_simulation_scenario_fn(capstan_simulation_t *self, void *context);

typedef struct capstan_simulation_check {
    capstan_simulation_scenario_fn *scenario;
    void *context;
    capstan_simulation_options_t options; /* of each world; with a schedule only that one is run */
    uint64_t seed;                        /* the first one */
    uint64_t seeds;                       /* how many; 0: 100 */
    uint32_t shrink_runs_max;             /* for finding a short schedule; 0: 500 */
    FILE *out;                            /* what happened, for people; NULL: stdout */
} capstan_simulation_check_t;

/* Runs the scenario with one seed after the other, every 64th twice to see that it is the same, up
 * to the first that fails. Then runs that seed again with fewer and fewer of its decisions, and
 * prints "seed N: PREDICATE does not hold: why", the shortest schedule that was found, and how to
 * run it again. A failure that a few faults cause is cut down to these; one that needs all that
 * came before stays long. The scenario is called for each run, and makes its own state anew.
 * Returns how many seeds passed: all of them, or fewer. */
CAPSTAN_API uint64_t capstan_simulation_check(const capstan_simulation_check_t *check);

/* The same as a program: --seeds N, --seed S, --schedule "TEXT", --trace, --help. Returns the exit
 * status: 0, 1 when a seed failed, 2 for a wrong command line. */
CAPSTAN_API int capstan_simulation_main(int count, char **arguments,
                                        const capstan_simulation_check_t *check);

#endif

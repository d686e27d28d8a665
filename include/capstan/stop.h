/* How a node stops.
 *
 *   intake   nothing new is let in: capstan_node_spawn and capstan_node_ask are refused (STOPPING),
 *            and actors that let in work from outside hear `stop_intake`
 *   drain    what was let in is worked off, until no message is under way and no handler runs
 *   commit   actors hear `stop`, and end when they have finished what they must: those that the
 *            host started one after the other, newest first, and then whatever these had started
 *   close    the last messages are accounted for; threads, sockets and the context end
 *
 * Each phase has a deadline of its own within that of the stop. When intake, drain or one actor's
 * commit is late, the log names who is, and the stop goes on with the next: a part that hangs does
 * not keep the others from finishing. */
#ifndef CAPSTAN_STOP_H
#define CAPSTAN_STOP_H

#include <stdint.h>

/* How long each phase may take, microseconds; 0: the share of the whole stop that stands behind. */
typedef struct capstan_stop_times {
    int64_t intake_us; /* an eighth */
    int64_t drain_us;  /* a quarter */
    int64_t commit_us; /* half */
    int64_t close_us;  /* all that is left */
} capstan_stop_times_t;

/* Told the name of an actor, cell or socket that did not end in time. */
typedef void capstan_late_fn(void *context, const char *name);

#endif

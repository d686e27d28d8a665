/* Supervisors: actors that start other actors in order, start them again when they end, and stop
 * them in reverse order. */
#ifndef CAPSTAN_SUPERVISOR_H
#define CAPSTAN_SUPERVISOR_H

#include <capstan/actor.h>

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

#endif

/* Makes the list of decisions of a failing run short: leaves out what the failure does not need and
 * makes what is left small. Delta debugging (Zeller and Hildebrandt, "Simplifying and isolating
 * failure-inducing input"), first by kind, since most kinds do not matter. A pure core. */
#ifndef SIMULATION_SHRINK_H
#define SIMULATION_SHRINK_H

#include "runtime/simulation/decisions.h"

/* Runs with these decisions and no others; true when it fails in the same way. */
typedef bool shrink_fails_fn(void *context, const decision_t *decisions, size_t count);

typedef struct shrink {
    shrink_fails_fn *fails;
    void *context;
    uint32_t runs_left; /* counts down; when it is 0 the list stays as it is */
} shrink_t;

/* `decisions` fails as it is; returns how many of them are left, in their order, at its beginning.
 */
size_t shrink_decisions(shrink_t *self, decision_t *decisions, size_t count);

#endif

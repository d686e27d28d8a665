/* What must always hold, as predicates over the history of a run: the log on the disk, and the
 * facts that were recorded. Each is named after its line in the list of invariants. A predicate
 * that does not hold calls world_fail with its name. */
#ifndef TESTS_ORDERING_PREDICATES_H
#define TESTS_ORDERING_PREDICATES_H

#include "tests/simulation/ordering_world.h"

/* Between any two steps: M1. */
void predicate_at_cut(world_t *world);
/* When the server has recovered: its state is what the log says (O3). */
void predicate_after_recovery(world_t *world);
/* After the run. Predicates about completeness are left out when the run was broken off. */
void predicates_judge(world_t *world);
/* The part of it that is about groups: O1, O2, O3, O8, O9. */
void predicates_of_groups(world_t *world, bool complete);

#endif

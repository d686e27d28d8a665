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

/* ordering_room.c: before an event is published, whether it could be held. */
bool predicate_has_room(const world_t *world, const publish_t *publish);

/* ordering_index.c: at any time, whether the index finds what is in the log on the disk (O10). */
void predicate_of_index(world_t *world);
/* ordering_compaction.c: at any time, of what is on the disk (O10). */
void predicate_of_compaction(world_t *world);
/* The offset of the last event before the first that was taken at `time_us` or later; 0: none. By
 * the index, and the log behind its place. */
uint64_t index_find(const sim_shell_t *shell, int64_t time_us);

#endif

/* The compaction of the log in the simulated world. */
#ifndef TESTS_ORDERING_COMPACTION_H
#define TESTS_ORDERING_COMPACTION_H

#include "actors/ordering/compaction.h"
#include "tests/simulation/ordering_actors.h"

typedef struct sim_compaction {
    bool wanted;
    bool runs;
    size_t mark; /* durable: the log before it is clean */
    size_t at;
    size_t end;
    compaction_keys_t keys;
} sim_compaction_t;

/* What a record says now. */
slice_t disk_says(const disk_record_t *record);

/* Some records of a run, the next one of the last run, or the first of another. */
void compaction_step(world_t *world);
/* The run that is under way is forgotten. */
void compaction_crash(world_t *world);

#endif

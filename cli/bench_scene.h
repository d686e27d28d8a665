/* What the benchmarks of pools share: a pool, and before it a server that is a stub. It lets
 * everybody in, answers each statement with no rows, and does nothing else, so that the pool is
 * measured and not a database. */
#ifndef CLI_BENCH_SCENE_H
#define CLI_BENCH_SCENE_H

#include "include/capstan/pool.h"

typedef struct pool_stub pool_stub_t;

typedef struct pool_scene {
    pool_stub_t *stub;
    capstan_node_t *node;
    capstan_pool_t *pool;
} pool_scene_t;

typedef struct pool_scene_options {
    uint32_t size;
    uint32_t idle_min;
    int64_t connect_ms; /* so long the stub takes to let somebody in */
} pool_scene_options_t;

/* One connection of the pool stands. stderr says what is wrong. */
CAPSTAN_MUST_CHECK capstan_err_t pool_scene_open(pool_scene_t *self,
                                                 const pool_scene_options_t *options);
/* Returns `err` if that is an error, else its own. */
CAPSTAN_MUST_CHECK capstan_err_t pool_scene_close(pool_scene_t *self, capstan_err_t err);

/* From now on the stub neither reads nor writes nor accepts, and closes nothing: the kernel still
 * takes connections and bytes, up to its limits, as when a network swallows packets. */
void pool_scene_swallow(pool_scene_t *self);
/* It serves whoever connects from now on. Who did before hears nothing ever again: TCP would try
 * again, but after a time that nobody knows. */
void pool_scene_pass(pool_scene_t *self);

#endif

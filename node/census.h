/* The actors of a node as rows of a table, each by itself or those of a name and cell as one. A
 * pure core: it is fed one actor after the other, and keeps a bounded number of rows, so that a
 * million actors cost time but no memory. */
#ifndef NODE_CENSUS_H
#define NODE_CENSUS_H

#include "runtime/base/json_writer.h"
#include "runtime/runtime.h"

enum {
    CENSUS_ROWS = 256,      /* of a report that names no limit */
    CENSUS_ROWS_MAX = 2048, /* the report is one message */
    CENSUS_GROUPS_MAX = 4096,
};

typedef enum actor_sort {
#define ACTOR_SORT(number, name, key, meaning) ACTOR_SORT_##name = (number),
#include "node/actor_sorts.def"
#undef ACTOR_SORT
} actor_sort_t;

typedef struct census_options {
    bool each;       /* no grouping */
    uint64_t sort;   /* actor_sort_t; others are as `rate` */
    uint64_t limit;  /* rows; 0: CENSUS_ROWS */
    bool with_times; /* rows say what handlers took */
} census_options_t;

typedef struct census census_t;

census_t *census_new(const census_options_t *options);
void census_destroy(census_t **self_p);

/* An actor_figures_fn; `self` is the census. */
void census_add(void *self, const actor_figures_t *figures);

/* Two members of an object: "actors", the rows that come first in the order, and "actors_total",
 * with all actors that were added and how many are in no row ("hidden"). */
void census_emit(census_t *self, json_writer_t *json);

#endif

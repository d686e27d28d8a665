/* The table of `capstan top`: what two reports of a node, one after the other, say about its
 * actors. A pure core: it reads reports (the JSON of actors_report) and writes lines of text.
 *
 *   report --top_table_take--> rows, with rates since the report before --top_table_print--> lines
 */
#ifndef CLI_TOP_TABLE_H
#define CLI_TOP_TABLE_H

#include "node/census.h"
#include "runtime/base/buffer.h"

#include <jansson.h>
#include <stdint.h>

typedef struct top_row {
    char name[64];
    char cell[32];
    uint64_t slot; /* each actor is a row: which one; else 0, as is the generation */
    uint64_t generation;
    uint64_t count; /* actors */
    uint64_t delivered;
    uint64_t depth; /* messages in flight */
    int64_t age_us; /* of the oldest of them */
    uint64_t busy_ns;
    uint64_t runs;
    uint64_t dropped;
    uint64_t restarts;
    /* Since the report before. Negative: not known. */
    double rate;    /* messages delivered per second */
    double turn_us; /* mean time of a run of handlers */
    double busy;    /* share of one core */
} top_row_t;

typedef struct top_table {
    char node[128];
    int64_t uptime_us;
    bool each;
    top_row_t total; /* of all actors, also of those without a row */
    uint64_t hidden; /* actors without a row */
    top_row_t *rows;
    size_t count;
} top_table_t;

/* Takes the next report. MALFORMED: it is none, and the table is as it was. */
CAPSTAN_MUST_CHECK capstan_err_t top_table_take(top_table_t *self, const json_t *report);
void top_table_fini(top_table_t *self);

/* Orders the rows by what they show. */
void top_table_sort(top_table_t *self, actor_sort_t sort);

/* A line about the node, then (when `keys`) one about the keys, a heading, and the rows, at most
 * `lines` in all and `width` columns each; 0 is no bound. */
typedef struct top_view {
    actor_sort_t sort;
    size_t width; /* at least 40 */
    size_t lines;
    bool keys;
} top_view_t;
void top_table_print(const top_table_t *self, const top_view_t *view, buffer_t *out);

/* One JSON object. */
void top_table_emit(const top_table_t *self, json_writer_t *json);

#endif

/* The fault injector of `capstan feed`: leaves rows out, doubles them and sends them in another
 * order. Every decision is a function of the seed and the row's number, so that a run can be
 * repeated, and changing one fault does not change the others.
 *
 * Reordering gives each pushed row a key: its number plus a random 0 to `reorder`, and hands the
 * rows out by ascending key, of equal keys the newest first. A row therefore moves at most
 * `reorder` places, whatever the others do: none before n - reorder can be behind it, none after n
 * + reorder before it. The keys in use span reorder + 1 numbers, so the window is a ring of that
 * many stacks.
 *
 * Used by one thread. */
#ifndef CLI_FEED_FAULTS_H
#define CLI_FEED_FAULTS_H

#include <stdbool.h>
#include <stdint.h>

/* Embedded as the first member of what is reordered. */
typedef struct feed_link {
    struct feed_link *next;
} feed_link_t;

/* A queue of links: first in, first out. */
typedef struct feed_queue {
    feed_link_t *first;
    feed_link_t *last;
    uint64_t count;
} feed_queue_t;

void feed_queue_push(feed_queue_t *self, feed_link_t *link);
/* NULL when it is empty. */
feed_link_t *feed_queue_pop(feed_queue_t *self);

typedef struct feed_faults_options {
    uint64_t seed;
    uint64_t reorder; /* places */
    double duplicate; /* share, 0 to 1 */
    double drop;      /* share, 0 to 1 */
} feed_faults_options_t;

typedef struct feed_fate {
    bool drop;
    bool duplicate;
} feed_fate_t;

typedef struct feed_faults feed_faults_t;

feed_faults_t *feed_faults_new(const feed_faults_options_t *options);
/* What is still in the window is the caller's to pop first. */
void feed_faults_destroy(feed_faults_t **self_p);

/* What happens to row `number` of the input, from 1. */
feed_fate_t feed_faults_decide(const feed_faults_t *self, uint64_t number);

/* Puts a row into the window and moves those whose turn has come to `out`. */
void feed_faults_push(feed_faults_t *self, feed_link_t *link, feed_queue_t *out);
/* Empties the window, in order. */
void feed_faults_flush(feed_faults_t *self, feed_queue_t *out);

#endif

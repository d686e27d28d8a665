/* What of a partition waits until rows of keys are looked up. Internal to ordering/. */
#ifndef ORDERING_PARTITION_LOOKUPS_H
#define ORDERING_PARTITION_LOOKUPS_H

#include "runtime/base/buffer.h"

#include <capstan/actor.h>

/* A message that is handled later. */
typedef struct lookup_waiter {
    struct lookup_waiter *next;
    capstan_message_t message; /* its body follows */
    uint8_t body[];
} lookup_waiter_t;

/*   first -> waiter -> waiter -> waiter -> waiter   in the order in which they came
 *            '--- served, once `ask` --'
 *                is answered                          */
typedef struct lookups {
    lookup_waiter_t *first;
    lookup_waiter_t **last;
    size_t served;
    uint64_t ask;             /* under way; 0: none */
    capstan_message_t giving; /* a step of partition_move that reads rows; kind 0: none */
    uint64_t give_ask;
    uint64_t give_partitions; /* that there will be */
    buffer_t given;           /* name of the last row that was read for it */
    buffer_t page;            /* of the log, which recovery applies once it has the rows */
    bool timed;               /* a timer runs, with all this as its cookie: more is to be evicted */
    bool retrying;            /* a timer runs, with this as its cookie: those who wait are due */
    uint64_t resident;        /* keys that this partition has added to the metric */
    uint64_t evicted;         /* of the core's, counted so far */
} lookups_t;

#endif

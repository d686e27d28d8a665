/* A row of the input on its way to the node. It is one allocation, released with free(). */
#ifndef CLI_FEED_ROW_H
#define CLI_FEED_ROW_H

#include "cli/feed_faults.h"
#include "runtime/base/slice.h"

#include <capstan/error.h>
#include <stddef.h>
#include <stdint.h>

/* What a row and its injected copy know of each other. */
typedef struct feed_pair {
    unsigned references;
    bool stored; /* one of the two was counted as stored */
} feed_pair_t;

/* A place in a ring with a head. */
typedef struct feed_ring {
    struct feed_ring *next;
    struct feed_ring *previous;
} feed_ring_t;

typedef struct feed_row {
    feed_link_t link;  /* in the window or in the retry queue */
    feed_ring_t ring;  /* of the unanswered */
    feed_pair_t *pair; /* NULL: it has no copy */
    uint64_t line;
    uint64_t sequence;     /* 0: none */
    int64_t time_us;       /* 0: none */
    int64_t not_before_us; /* 0: none */
    uint64_t connection;   /* on which it was sent */
    capstan_err_t refusal; /* the last one */
    bool copy;             /* the injected one of a pair */
    bool resent;           /* it was unanswered when the connection was lost */
    uint32_t key_size;
    uint32_t payload_size;
    uint8_t bytes[]; /* key, payload */
} feed_row_t;

static inline feed_row_t *feed_row_of(feed_link_t *link)
{
    return (feed_row_t *)((char *)link - offsetof(feed_row_t, link));
}

static inline feed_row_t *feed_row_of_ring(feed_ring_t *ring)
{
    return (feed_row_t *)((char *)ring - offsetof(feed_row_t, ring));
}

static inline slice_t feed_row_key(const feed_row_t *self)
{
    return slice_of(self->bytes, self->key_size);
}

static inline slice_t feed_row_payload(const feed_row_t *self)
{
    return slice_of(self->bytes + self->key_size, self->payload_size);
}

#endif

/* Where a look, or a group that is new, begins to read: what a `subscribe` says about it, and what
 * each partition is asked to find the place. Pure. */
#ifndef ORDERING_BEGINNING_H
#define ORDERING_BEGINNING_H

#include "actors/ordering/ordering_messages.h"
#include "runtime/base/buffer.h"

typedef enum begin_from {
    FROM_EARLIEST = 1, /* or behind an offset */
    FROM_LATEST = 2,
    FROM_TIME = 3,
    FROM_GROUP = 4,
} begin_from_t;

/* Writes the record `beginning`, the same bytes for the same place; nothing for the usual one, the
 * first event of each partition. Returns NULL, or what is wrong with the request. */
const char *beginning_of(const subscribe_t *request, uint64_t partitions, int64_t now_us,
                         buffer_t *out);

/* What a partition means that answers INVALID. */
extern const char beginning_too_far[];

/* True when it is meant for this very group; `latest` is for one that is new, and says nothing
 * about one that has begun. */
bool beginning_binds(slice_t record);
/* True when it begins where another group stands. */
bool beginning_is_of_group(slice_t record);

/* Writes the body of partition_find. `beginner`: the group that begins; empty: a look. */
void beginning_ask(slice_t record, uint64_t partition, slice_t beginner, buffer_t *out);

#endif

/* A stretch of a partition that was read back from the journal, kept for whoever asks for the same
 * events a little later: groups that fall behind their partition's memory do so together, and each
 * row of the log that is read costs its check and several copies. */
#ifndef ORDERING_READ_BACK_H
#define ORDERING_READ_BACK_H

#include "actors/ordering/ordering_messages.h"

typedef struct read_back {
    uint64_t offset_before; /* it has the events behind this one */
    uint64_t offset_last;   /* up to this one; the same: it is empty */
    uint64_t lsn_next;      /* from here every later one is found */
    buffer_t events;        /* a LIST */
    buffer_t sizes;         /* of each event (uint32_t) */
    uint32_t passed_over;   /* reads since the last one that it served */
} read_back_t;

/* Takes what the buffers of `stretch` own, instead of what was kept before. */
void read_back_keep(read_back_t *self, read_back_t *stretch);
void read_back_fini(read_back_t *self);

static inline bool read_back_covers(const read_back_t *self, uint64_t offset)
{
    return offset >= self->offset_before && offset < self->offset_last;
}

/* The events behind this one, which it covers: two slices, good until the next call. Those in front
 * of them are let go: whoever asks for them later is not close behind. */
void read_back_from(read_back_t *self, uint64_t offset, slice_t *ret_events, slice_t *ret_sizes);

/* A read was served otherwise. After many of them it lets go of its memory. */
void read_back_pass_over(read_back_t *self);

#endif

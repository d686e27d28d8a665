/* The newest events of a partition, in memory, encoded as they are stored and delivered.
 *
 *   segment        segment        segment (open: gathers the next append)
 *   +----------+   +----------+   +------
 *   | 17 18 19 |   | 20 21    |   | 22 ...
 *   +----------+   +----------+   +------
 *    oldest         committed
 *
 * A segment is what one append accepted; it can be read once that append is on disk, or, if that is
 * how the topic wants it, once it is on its way there. The oldest segments are let go when the
 * whole is over its bound, and what they hold is on disk. */
#ifndef ORDERING_TAIL_H
#define ORDERING_TAIL_H

#include "actors/ordering/ordering_messages.h"

typedef struct tail_segment {
    struct tail_segment *next;
    uint64_t offset_first;
    uint64_t count;
    uint64_t lsn_first;  /* reading from here finds every event of the segment */
    uint64_t lsn_next;   /* and from here every later one */
    uint32_t *positions; /* of each event in `bytes` */
    size_t position_capacity;
    buffer_t bytes;
} tail_segment_t;

typedef struct tail {
    tail_segment_t *head;
    tail_segment_t *last;
    tail_segment_t *open;  /* the newest of the list, NULL when nothing was gathered */
    uint64_t offset_first; /* of the oldest event held; offset_next when none is */
    uint64_t offset_next;
    uint64_t offset_committed; /* up to here events can be read */
    uint64_t offset_stored;    /* up to here they are on disk */
    size_t bytes;              /* of memory, of the sealed segments */
    size_t bytes_max;
} tail_t;

void tail_init(tail_t *self, uint64_t offset_next, size_t bytes_max);
void tail_fini(tail_t *self);

/* Adds an accepted event to the open segment. */
void tail_add(tail_t *self, uint64_t offset, slice_t event);
/* The open segment goes into an append that takes the lsns [first, next). */
void tail_seal(tail_t *self, uint64_t lsn_first, uint64_t lsn_next);
/* Everything below this lsn is on disk, and can be read. */
void tail_commit(tail_t *self, uint64_t lsn_next);
/* What is sealed can be read, though it is not on disk. */
void tail_reveal(tail_t *self);

/* Lets go of the segments that hold no event behind `offset`, as far as they are on disk. */
void tail_let_go(tail_t *self, uint64_t offset);

/* Of events of the key nothing is left but what orders them. */
void tail_erase(tail_t *self, slice_t key);

/* Where a reader stands, and what it gets. */
typedef struct tail_cursor {
    uint64_t lsn;
    uint64_t offset; /* of the last event read */
} tail_cursor_t;

/* True when the event behind the cursor is in memory, whether committed or not. */
bool tail_covers(const tail_t *self, uint64_t offset);
/* Adds committed events behind the cursor to the list, at least one if there is one, otherwise
 * about `bytes_max`, and the size of each to `sizes` (uint32_t); moves the cursor. Returns how
 * many.
 */
uint64_t tail_read(const tail_t *self, tail_cursor_t *cursor, size_t bytes_max,
                   codec_list_writer_t *list, buffer_t *sizes);

#endif

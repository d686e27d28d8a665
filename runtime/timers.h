/* Timers of one cell: a binary heap over a table of entries, so that a timer is started and
 * cancelled in O(log n) and fires in exact order. Pure: time is an argument.
 *
 * A timer's number is (generation << 32 | heap << 25 | index + 1), so that those of two heaps
 * differ too; a number that has fired or was cancelled is never valid again within four billion
 * uses of its entry. */
#ifndef RUNTIME_TIMERS_H
#define RUNTIME_TIMERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct timer_entry {
    int64_t when_us;
    uint64_t order; /* ties fire in the order in which they were started */
    void *owner;
    void *cookie;
    uint32_t generation;
    uint32_t place; /* in the heap; UINT32_MAX when the entry is free */
    uint32_t next_free;
} timer_entry_t;

typedef struct timers {
    timer_entry_t *entries;
    uint32_t *heap;
    size_t count;    /* running timers */
    size_t capacity; /* of both arrays */
    uint32_t free_head;
    uint64_t order;
    uint32_t heap_bits; /* of each number */
} timers_t;

enum { TIMERS_INDEX_BITS = 25, TIMERS_HEAPS_MAX = 1 << (32 - TIMERS_INDEX_BITS) };

/* `heap` < TIMERS_HEAPS_MAX is for its numbers only. */
void timers_init(timers_t *self, uint32_t heap);
void timers_fini(timers_t *self);

uint64_t timers_start(timers_t *self, int64_t when_us, void *owner, void *cookie);
/* True when it was running. */
bool timers_cancel(timers_t *self, uint64_t timer);

/* When the next one is due; INT64_MAX when there is none. */
int64_t timers_next_us(const timers_t *self);

/* Takes the oldest timer that is due at `now_us`; false when there is none. */
bool timers_take(timers_t *self, int64_t now_us, uint64_t *ret_timer, void **ret_owner,
                 void **ret_cookie);

/* Takes the timer of an owner that was started first; 0 when there is none. O(n). */
uint64_t timers_take_of(timers_t *self, const void *owner, int64_t *ret_when_us, void **ret_cookie);

/* Cancels all timers of an owner: O(n), for the rare end of one that has many. */
void timers_cancel_owner(timers_t *self, const void *owner);

#endif

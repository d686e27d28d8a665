/* A bounded queue of pointers: any number of producers, one consumer, no lock.
 *
 * Each slot has a ticket. A slot is free for the producer of position p when its ticket is p, and
 * filled for the consumer when its ticket is p + 1; the consumer then sets it to p + capacity.
 * Tickets are released by the one who fills or empties and acquired by the other, which orders
 * the pointer (and what it points to) between them. */
#ifndef BASE_RING_H
#define BASE_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct ring_slot {
    _Atomic uint64_t ticket;
    void *item;
} ring_slot_t;

typedef struct ring {
    ring_slot_t *slots;
    uint64_t mask;
    _Alignas(64) _Atomic uint64_t tail; /* next position to fill; producers */
    _Alignas(64) uint64_t head;         /* next position to empty; consumer only */
} ring_t;

/* `capacity` is a power of two. False when there is no memory. */
bool ring_init(ring_t *self, size_t capacity);
void ring_fini(ring_t *self);

/* Any thread. False when the ring is full. */
bool ring_push(ring_t *self, void *item);
/* The consumer. NULL when the ring is empty. */
void *ring_pop(ring_t *self);
/* The consumer. */
bool ring_is_empty(const ring_t *self);

#endif

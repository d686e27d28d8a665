#include "runtime/base/ring.h"

#include "runtime/base/ensure.h"

#include <stdlib.h>

bool ring_init(ring_t *self, size_t capacity)
{
    ENSURE(capacity > 0 && (capacity & (capacity - 1)) == 0);
    self->slots = malloc(capacity * sizeof *self->slots);
    if (!self->slots) {
        return false;
    }
    for (size_t i = 0; i < capacity; i++) {
        atomic_init(&self->slots[i].ticket, i);
        self->slots[i].item = NULL;
    }
    self->mask = capacity - 1;
    self->head = 0;
    atomic_init(&self->tail, 0);
    return true;
}

void ring_fini(ring_t *self)
{
    free(self->slots);
    self->slots = NULL;
}

bool ring_push(ring_t *self, void *item)
{
    uint64_t position = atomic_load_explicit(&self->tail, memory_order_relaxed);
    for (;;) {
        ring_slot_t *slot = &self->slots[position & self->mask];
        uint64_t ticket = atomic_load_explicit(&slot->ticket, memory_order_acquire);
        if (ticket == position) {
            if (atomic_compare_exchange_weak_explicit(&self->tail, &position, position + 1,
                                                      memory_order_relaxed, memory_order_relaxed)) {
                slot->item = item;
                atomic_store_explicit(&slot->ticket, position + 1, memory_order_release);
                return true;
            }
        } else if (ticket < position) {
            return false;
        } else {
            position = atomic_load_explicit(&self->tail, memory_order_relaxed);
        }
    }
}

void *ring_pop(ring_t *self)
{
    ring_slot_t *slot = &self->slots[self->head & self->mask];
    if (atomic_load_explicit(&slot->ticket, memory_order_acquire) != self->head + 1) {
        return NULL;
    }
    void *item = slot->item;
    atomic_store_explicit(&slot->ticket, self->head + self->mask + 1, memory_order_release);
    self->head++;
    return item;
}

bool ring_is_empty(const ring_t *self)
{
    const ring_slot_t *slot = &self->slots[self->head & self->mask];
    return atomic_load_explicit(&slot->ticket, memory_order_acquire) != self->head + 1;
}

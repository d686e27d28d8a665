#include "actors/ordering/tickets.h"

#include "runtime/base/ensure.h"

#include <stdlib.h>

/* word: generation, and the state in the lowest two bits.
 * number: generation, and the place in the lowest sixteen. */
enum { STATE_FREE, STATE_ISSUED, STATE_HELD, STATE_CLAIMED, STATE_BITS = 2, PLACE_BITS = 16 };

static uint64_t word_of(uint64_t number, uint64_t state)
{
    return number >> PLACE_BITS << STATE_BITS | state;
}

bool tickets_init(tickets_t *self, uint32_t count)
{
    ENSURE(count > 0 && count <= TICKETS_MAX);
    *self = (tickets_t){.count = count, .free_count = count};
    self->words = calloc(count, sizeof *self->words);
    self->free = calloc(count, sizeof *self->free);
    if (!self->words || !self->free) {
        tickets_fini(self);
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        atomic_init(&self->words[i], 1 << STATE_BITS | STATE_FREE);
        self->free[i] = i;
    }
    return true;
}

void tickets_fini(tickets_t *self)
{
    free(self->words);
    free(self->free);
    *self = (tickets_t){0};
}

uint64_t tickets_issue(tickets_t *self)
{
    if (self->free_count == 0) {
        return 0;
    }
    uint32_t place = self->free[self->free_first];
    self->free_first = (self->free_first + 1) % self->count;
    self->free_count--;
    _Atomic uint64_t *word = &self->words[place];
    uint64_t generation = atomic_load_explicit(word, memory_order_relaxed) >> STATE_BITS;
    atomic_store_explicit(word, generation << STATE_BITS | STATE_ISSUED, memory_order_relaxed);
    return generation << PLACE_BITS | place;
}

void tickets_end(tickets_t *self, uint64_t number)
{
    _Atomic uint64_t *word = &self->words[ticket_place(number)];
    uint64_t now = atomic_load_explicit(word, memory_order_relaxed);
    ENSURE(now >> STATE_BITS == number >> PLACE_BITS);
    /* An exchange: a claim that comes in between is of no use to anybody. */
    now = atomic_exchange_explicit(word, word_of(number, STATE_FREE) + (1 << STATE_BITS),
                                   memory_order_relaxed);
    ENSURE(now != word_of(number, STATE_FREE));
    self->free[(self->free_first + self->free_count) % self->count] = ticket_place(number);
    self->free_count++;
}

static bool change(tickets_t *self, uint64_t number, uint64_t from, uint64_t to)
{
    uint64_t expected = word_of(number, from);
    return ticket_place(number) < self->count &&
           atomic_compare_exchange_strong_explicit(&self->words[ticket_place(number)], &expected,
                                                   word_of(number, to), memory_order_relaxed,
                                                   memory_order_relaxed);
}

void tickets_hand_out(tickets_t *self, uint64_t number)
{
    ENSURE(change(self, number, STATE_ISSUED, STATE_HELD));
}

bool tickets_claim(tickets_t *self, uint64_t number)
{
    return change(self, number, STATE_HELD, STATE_CLAIMED);
}

void tickets_unclaim(tickets_t *self, uint64_t number)
{
    (void)change(self, number, STATE_CLAIMED, STATE_HELD);
}

bool tickets_is_claimed(const tickets_t *self, uint64_t number)
{
    return ticket_place(number) < self->count &&
           atomic_load_explicit(&self->words[ticket_place(number)], memory_order_relaxed) ==
               word_of(number, STATE_CLAIMED);
}

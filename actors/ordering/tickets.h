/* The numbers under which a consumer's events are acknowledged, from any thread: a table of
 * tickets, of which an event that is in hand has one.
 *
 *          issue           hand_out         claim            end
 *   FREE ----------> ISSUED -------> HELD ----------> CLAIMED -------> FREE, with the next
 *     ^                |              | ^---unclaim-----'              generation
 *     `------end-------+-----end------'
 *
 * The owner, one thread, issues and ends tickets; any thread claims one, which only one can do, and
 * only while it is held. So whoever acknowledges twice, or what is taken back, hears so at once.
 *
 * A word per ticket: its state, and its generation, which makes a number of an earlier event one of
 * nobody. Relaxed order is enough: the word guards nothing but itself; what is said about an event
 * goes to the owner in a message, which is ordered behind the claim by its own means. */
#ifndef ORDERING_TICKETS_H
#define ORDERING_TICKETS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TICKETS_MAX = 65536 };

typedef struct tickets {
    uint32_t count;
    _Atomic uint64_t *words;
    /* The owner's: places that are free, of which those at the front have been so longest. */
    uint32_t *free;
    uint32_t free_first;
    uint32_t free_count;
} tickets_t;

/* 1 to TICKETS_MAX. False: there is no memory. */
bool tickets_init(tickets_t *self, uint32_t count);
void tickets_fini(tickets_t *self);

/* The owner. A number is never 0 and never issued again; 0: all are taken. */
uint64_t tickets_issue(tickets_t *self);
/* The owner: the event goes to somebody who may acknowledge it from now on. */
void tickets_hand_out(tickets_t *self, uint64_t number);
/* The owner: whatever its state, the number is nobody's from now on. */
void tickets_end(tickets_t *self, uint64_t number);

/* Any thread. */
bool tickets_claim(tickets_t *self, uint64_t number);
void tickets_unclaim(tickets_t *self, uint64_t number);
bool tickets_is_claimed(const tickets_t *self, uint64_t number);

/* The place of a number in the table. */
static inline uint32_t ticket_place(uint64_t number)
{
    return (uint32_t)number & (TICKETS_MAX - 1);
}

#endif

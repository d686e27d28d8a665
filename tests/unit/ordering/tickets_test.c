/* Tickets: issued by one, claimed by any thread, once. */
#include "actors/ordering/tickets.h"

#include <criterion/criterion.h>
#include <pthread.h>

enum { COUNT = 4, ROUNDS = 1000, CLAIMERS = 3 };

Test(tickets, are_claimed_once_and_only_after_they_were_handed_out)
{
    tickets_t tickets;
    cr_assert(tickets_init(&tickets, COUNT));
    uint64_t number = tickets_issue(&tickets);
    cr_assert_neq(number, 0);
    cr_assert_not(tickets_claim(&tickets, number), "it was not handed out");
    tickets_hand_out(&tickets, number);
    cr_assert_not(tickets_is_claimed(&tickets, number));
    cr_assert(tickets_claim(&tickets, number));
    cr_assert(tickets_is_claimed(&tickets, number));
    cr_assert_not(tickets_claim(&tickets, number));
    tickets_unclaim(&tickets, number);
    cr_assert(tickets_claim(&tickets, number));
    tickets_end(&tickets, number);
    cr_assert_not(tickets_is_claimed(&tickets, number));
    tickets_unclaim(&tickets, number); /* too late: it changes nothing */
    cr_assert_not(tickets_claim(&tickets, number));
    tickets_fini(&tickets);
}

Test(tickets, refuse_numbers_that_are_none)
{
    tickets_t tickets;
    cr_assert(tickets_init(&tickets, COUNT));
    uint64_t number = tickets_issue(&tickets);
    tickets_hand_out(&tickets, number);
    cr_assert_not(tickets_claim(&tickets, 0));
    cr_assert_not(tickets_claim(&tickets, UINT64_MAX));
    cr_assert_not(tickets_claim(&tickets, number + COUNT), "no such place");
    cr_assert_not(tickets_claim(&tickets, number + TICKETS_MAX), "a generation to come");
    cr_assert_not(tickets_is_claimed(&tickets, number + COUNT));
    tickets_fini(&tickets);
}

Test(tickets, are_never_issued_twice_and_run_out)
{
    tickets_t tickets;
    uint64_t numbers[COUNT];
    uint64_t seen[ROUNDS];
    cr_assert(tickets_init(&tickets, COUNT));
    for (size_t i = 0; i < COUNT; i++) {
        numbers[i] = tickets_issue(&tickets);
    }
    cr_assert_eq(tickets_issue(&tickets), 0);
    for (size_t i = 0; i < ROUNDS; i++) {
        tickets_end(&tickets, numbers[i % COUNT]);
        numbers[i % COUNT] = seen[i] = tickets_issue(&tickets);
        for (size_t k = 0; k < i; k++) {
            cr_assert_neq(seen[k], seen[i]);
        }
    }
    tickets_fini(&tickets);
}

typedef struct claimer {
    tickets_t *tickets;
    _Atomic uint64_t *current;
    uint64_t claimed;
} claimer_t;

static void *claim(void *argument)
{
    claimer_t *self = argument;
    uint64_t number;
    while ((number = atomic_load(self->current)) != UINT64_MAX) {
        self->claimed += tickets_claim(self->tickets, number);
    }
    return NULL;
}

Test(tickets, go_to_one_of_many_threads)
{
    tickets_t tickets;
    _Atomic uint64_t current = 0;
    claimer_t claimers[CLAIMERS];
    pthread_t threads[CLAIMERS];
    uint64_t sum = 0;
    cr_assert(tickets_init(&tickets, 1));
    for (size_t i = 0; i < CLAIMERS; i++) {
        claimers[i] = (claimer_t){.tickets = &tickets, .current = &current};
        cr_assert_eq(pthread_create(&threads[i], NULL, claim, &claimers[i]), 0);
    }
    for (size_t i = 0; i < ROUNDS; i++) {
        uint64_t number = tickets_issue(&tickets);
        tickets_hand_out(&tickets, number);
        atomic_store(&current, number);
        while (!tickets_is_claimed(&tickets, number)) {
        }
        tickets_end(&tickets, number);
    }
    atomic_store(&current, UINT64_MAX);
    for (size_t i = 0; i < CLAIMERS; i++) {
        pthread_join(threads[i], NULL);
        sum += claimers[i].claimed;
    }
    cr_assert_eq(sum, ROUNDS);
    tickets_fini(&tickets);
}

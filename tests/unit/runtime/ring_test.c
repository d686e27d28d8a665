/* The ring for foreign threads: bounded, and nothing lost or doubled between several producers. */
#include "runtime/base/ring.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>
#include <stdint.h>

Test(ring, refuses_what_does_not_fit_and_hands_out_in_order)
{
    ring_t ring;
    cr_assert(ring_init(&ring, 4));
    for (int round = 0; round < 10; round++) {
        for (uintptr_t i = 1; i <= 4; i++) {
            cr_assert(ring_push(&ring, (void *)i));
        }
        cr_assert(!ring_push(&ring, (void *)5));
        for (uintptr_t i = 1; i <= 4; i++) {
            cr_assert(!ring_is_empty(&ring));
            cr_assert_eq((uintptr_t)ring_pop(&ring), i);
        }
        cr_assert(ring_is_empty(&ring));
        cr_assert_null(ring_pop(&ring));
    }
    ring_fini(&ring);
}

enum { PRODUCERS = 4, EACH = 50000 };

typedef struct producer {
    ring_t *ring;
    uintptr_t number;
} producer_t;

static void *produce(void *argument)
{
    const producer_t *producer = argument;
    for (uintptr_t i = 1; i <= EACH; i++) {
        while (!ring_push(producer->ring, (void *)(producer->number << 32 | i))) {
            sched_yield();
        }
    }
    return NULL;
}

Test(ring, keeps_each_producers_order_between_threads)
{
    ring_t ring;
    pthread_t threads[PRODUCERS];
    producer_t producers[PRODUCERS];
    uintptr_t last[PRODUCERS] = {0};
    cr_assert(ring_init(&ring, 64));
    for (uintptr_t i = 0; i < PRODUCERS; i++) {
        producers[i] = (producer_t){.ring = &ring, .number = i};
        cr_assert_eq(pthread_create(&threads[i], NULL, produce, &producers[i]), 0);
    }
    for (int left = PRODUCERS * EACH; left > 0;) {
        uintptr_t item = (uintptr_t)ring_pop(&ring);
        if (!item) {
            sched_yield();
            continue;
        }
        cr_assert_eq(item & UINT32_MAX, last[item >> 32] + 1);
        last[item >> 32]++;
        left--;
    }
    for (int i = 0; i < PRODUCERS; i++) {
        pthread_join(threads[i], NULL);
    }
    cr_assert(ring_is_empty(&ring));
    ring_fini(&ring);
}

/* The timers of a cell: exact order, cancellation, and numbers that are never valid again. */
#include "runtime/timers.h"

#include <criterion/criterion.h>
#include <stdlib.h>

static int owner;
static int other;

Test(timers, fire_in_the_order_of_their_times_and_ties_in_the_order_of_their_start)
{
    timers_t timers;
    timers_init(&timers, 3);
    static const int64_t times[] = {50, 10, 30, 10, 40, 30, 10};
    static const size_t expected[] = {1, 3, 6, 2, 5, 4, 0};
    for (size_t i = 0; i < 7; i++) {
        timers_start(&timers, times[i], &owner, (void *)i);
    }
    uint64_t timer;
    void *who;
    void *cookie;
    cr_assert(!timers_take(&timers, 9, &timer, &who, &cookie));
    for (size_t i = 0; i < 7; i++) {
        cr_assert_eq(timers_next_us(&timers), times[expected[i]]);
        cr_assert(timers_take(&timers, 50, &timer, &who, &cookie));
        cr_assert_eq((size_t)cookie, expected[i]);
    }
    cr_assert(!timers_take(&timers, INT64_MAX, &timer, &who, &cookie));
    timers_fini(&timers);
}

Test(timers, are_not_cancelled_by_a_number_that_has_fired)
{
    timers_t timers;
    timers_init(&timers, 3);
    uint64_t first = timers_start(&timers, 1, &owner, NULL);
    uint64_t timer;
    void *who;
    void *cookie;
    cr_assert(timers_take(&timers, 1, &timer, &who, &cookie));
    cr_assert_eq(timer, first);
    uint64_t second = timers_start(&timers, 2, &owner, NULL);
    cr_assert_neq(second, first);
    cr_assert(!timers_cancel(&timers, first));
    cr_assert(!timers_cancel(&timers, 0));
    cr_assert(!timers_cancel(&timers, UINT64_MAX));
    cr_assert(timers_cancel(&timers, second));
    cr_assert_eq(timers_next_us(&timers), INT64_MAX);
    timers_fini(&timers);
}

/* Against the simplest possible model: an array that is searched. */
Test(timers, agree_with_a_searched_array_through_random_starts_and_cancels)
{
    enum { COUNT = 500, ROUNDS = 20000 };
    struct {
        int64_t when_us;
        uint64_t timer;
        uint64_t order;
    } model[COUNT] = {0};
    timers_t timers;
    timers_init(&timers, 3);
    uint64_t order = 0;
    unsigned int seed = 7;
    for (int round = 0; round < ROUNDS; round++) {
        size_t i = (size_t)rand_r(&seed) % COUNT;
        if (model[i].timer == 0) {
            model[i].when_us = rand_r(&seed) % 1000;
            model[i].order = ++order;
            model[i].timer = timers_start(&timers, model[i].when_us, &owner, (void *)i);
        } else if (rand_r(&seed) % 3 == 0) {
            cr_assert(timers_cancel(&timers, model[i].timer));
            model[i].timer = 0;
        } else {
            size_t least = COUNT;
            for (size_t k = 0; k < COUNT; k++) {
                bool earlier = least == COUNT || model[k].when_us < model[least].when_us ||
                               (model[k].when_us == model[least].when_us &&
                                model[k].order < model[least].order);
                if (model[k].timer > 0 && earlier) {
                    least = k;
                }
            }
            uint64_t timer;
            void *who;
            void *cookie;
            cr_assert(timers_take(&timers, 1000, &timer, &who, &cookie));
            cr_assert_eq((size_t)cookie, least);
            model[least].timer = 0;
        }
    }
    timers_fini(&timers);
}

Test(timers, of_one_owner_are_cancelled_together)
{
    timers_t timers;
    timers_init(&timers, 3);
    for (int64_t i = 0; i < 20; i++) {
        timers_start(&timers, i, i % 2 ? &owner : &other, NULL);
    }
    timers_cancel_owner(&timers, &owner);
    uint64_t timer;
    void *who;
    void *cookie;
    for (int i = 0; i < 10; i++) {
        cr_assert(timers_take(&timers, 20, &timer, &who, &cookie));
        cr_assert_eq(who, &other);
    }
    cr_assert(!timers_take(&timers, 20, &timer, &who, &cookie));
    timers_fini(&timers);
}

Test(timers, are_taken_from_one_heap_to_another_in_the_order_of_their_start)
{
    enum { COUNT = 20 };
    timers_t from;
    timers_t to;
    uint64_t numbers[COUNT];
    timers_init(&from, 3);
    timers_init(&to, 4);
    for (int i = 0; i < COUNT; i++) {
        numbers[i] = timers_start(&from, 1000 - i, i % 2 ? &owner : &other, &numbers[i]);
    }
    for (int i = 1; i < COUNT; i += 2) {
        int64_t when_us;
        void *cookie;
        cr_assert_eq(timers_take_of(&from, &owner, &when_us, &cookie), numbers[i]);
        cr_assert_eq(when_us, 1000 - i);
        cr_assert_eq(cookie, &numbers[i]);
        uint64_t now = timers_start(&to, when_us, &owner, cookie);
        cr_assert_neq(now, numbers[i]);
        cr_assert(!timers_cancel(&to, numbers[i])); /* it is another heap's number */
        cr_assert(!timers_cancel(&from, now));
    }
    int64_t when_us;
    void *cookie;
    cr_assert_eq(timers_take_of(&from, &owner, &when_us, &cookie), 0);
    cr_assert_eq(timers_next_us(&from), 1000 - (COUNT - 2));
    cr_assert_eq(timers_next_us(&to), 1000 - (COUNT - 1));
    timers_fini(&from);
    timers_fini(&to);
}

/* When the memory watchdog closes every connection, and when it opens the listener again. */
#include "brokers/gateway/memory_guard.h"

#include <criterion/criterion.h>

enum { MAX = 6400, QUARTER = MAX / 4 };

/* A reset that leaves `left` at once. Returns the checks until the listener opens. */
static unsigned reset(memory_guard_t *self, uint64_t before, uint64_t left)
{
    unsigned checks = 1;
    memory_guard_close(self, before);
    while (!memory_guard_has_settled(self, left)) {
        checks++;
    }
    return checks;
}

Test(memory_guard, resets_above_the_maximum_and_not_at_it)
{
    memory_guard_t guard = {.bytes_max = MAX};
    cr_assert(!memory_guard_is_over(&guard, 0));
    cr_assert(!memory_guard_is_over(&guard, MAX));
    cr_assert(memory_guard_is_over(&guard, MAX + 1));
}

Test(memory_guard, resets_again_as_soon_as_memory_that_a_reset_freed_is_filled_again)
{
    memory_guard_t guard = {.bytes_max = MAX};
    for (int i = 0; i < 10; i++) {
        cr_assert(memory_guard_is_over(&guard, MAX + 1));
        reset(&guard, MAX + 1, MAX / 2);
        cr_assert(!memory_guard_is_over(&guard, MAX));
    }
}

Test(memory_guard, does_not_reset_again_for_what_a_reset_did_not_free)
{
    memory_guard_t guard = {.bytes_max = MAX};
    cr_assert(memory_guard_is_over(&guard, 2 * MAX));
    reset(&guard, 2 * MAX, 2 * MAX);
    for (int i = 0; i < 1000; i++) {
        cr_assert(!memory_guard_is_over(&guard, 2 * MAX + (uint64_t)(i % QUARTER)));
    }
    cr_assert(memory_guard_is_over(&guard, 2 * MAX + QUARTER));
}

Test(memory_guard, holds_the_maximum_again_once_the_memory_has_fallen)
{
    memory_guard_t guard = {.bytes_max = MAX};
    reset(&guard, 2 * MAX, 2 * MAX);
    cr_assert(!memory_guard_is_over(&guard, MAX + 1));
    cr_assert(!memory_guard_is_over(&guard, MAX / 2));
    cr_assert(memory_guard_is_over(&guard, MAX + 1));
}

Test(memory_guard, a_process_that_needs_about_the_maximum_is_not_reset_at_every_step_over_it)
{
    memory_guard_t guard = {.bytes_max = MAX};
    cr_assert(memory_guard_is_over(&guard, MAX + 1));
    reset(&guard, MAX + 1, MAX - 1);
    for (int i = 0; i < 1000; i++) {
        cr_assert(!memory_guard_is_over(&guard, i % 2 ? MAX - 1 : MAX + 100));
    }
}

/* A stranger fills at every speed beside memory of every size that no reset frees. */
Test(memory_guard, bounds_what_a_stranger_fills_and_how_often_all_are_cut_off)
{
    for (uint64_t base = 0; base <= 2 * MAX; base += 100) {
        for (uint64_t speed = 1; speed <= MAX; speed = speed * 3 + 1) {
            memory_guard_t guard = {.bytes_max = MAX};
            uint64_t filled = 0;
            uint64_t total = 0;
            uint64_t resets = 0;
            for (int check = 0; check < 500; check++) {
                filled += speed;
                total += speed;
                uint64_t bound = base + QUARTER > MAX ? base + QUARTER : MAX;
                cr_assert_leq(base + filled, bound + (base > MAX && resets == 0 ? MAX : 0) + speed);
                if (memory_guard_is_over(&guard, base + filled)) {
                    reset(&guard, base + filled, base);
                    filled = 0;
                    resets++;
                }
            }
            /* The first may be for `base` alone; each other one is for a quarter. */
            cr_assert_leq(resets, 1 + total / QUARTER);
        }
    }
}

Test(memory_guard, keeps_closed_while_the_memory_falls_but_not_for_ever)
{
    memory_guard_t guard = {.bytes_max = MAX};
    cr_assert_eq(reset(&guard, 2 * MAX, 100), MEMORY_GUARD_CLOSED_MIN);
    unsigned checks = 0;
    uint64_t resident = 1000000;
    memory_guard_close(&guard, resident);
    do {
        checks++;
        resident -= checks <= 7 ? 100000 : 1;
    } while (!memory_guard_has_settled(&guard, resident));
    cr_assert_eq(checks, 8u);
    resident = 100000000;
    checks = 0;
    memory_guard_close(&guard, resident);
    do {
        checks++;
        resident -= resident / 10;
    } while (!memory_guard_has_settled(&guard, resident));
    cr_assert_eq(checks, MEMORY_GUARD_CLOSED_MAX);
}

/* The filter of keys that are in the store only. */
#include "runtime/base/key_filter.h"
#include "runtime/base/map.h"

#include <criterion/criterion.h>

static uint64_t hash_of(uint64_t number)
{
    return siphash13((const uint8_t *)"fifteen bytes..", number, (slice_t){0});
}

Test(key_filter, is_empty_at_first)
{
    key_filter_t self = {0};
    cr_assert_not(key_filter_has(&self, 0));
    cr_assert_not(key_filter_has(&self, hash_of(1)));
    cr_assert_eq(key_filter_bytes(&self), 0);
    key_filter_fini(&self);
}

Test(key_filter, forgets_none_and_takes_few_others_for_one_of_its_own)
{
    enum { COUNT = 1000000 };
    key_filter_t self = {0};
    for (uint64_t i = 0; i < COUNT; i++) {
        key_filter_add(&self, hash_of(i));
        cr_assert_leq(key_filter_bytes(&self), 4 * i + 16384);
    }
    for (uint64_t i = 0; i < COUNT; i++) {
        cr_assert(key_filter_has(&self, hash_of(i)));
    }
    size_t taken = 0;
    for (uint64_t i = COUNT; i < 2 * COUNT; i++) {
        taken += key_filter_has(&self, hash_of(i));
    }
    cr_assert_lt(taken, COUNT / 50, "%zu", taken);
    key_filter_fini(&self);
}

/* A key that goes and comes back is in it once. */
Test(key_filter, does_not_grow_by_what_it_has)
{
    key_filter_t self = {0};
    for (uint64_t i = 0; i < 100000; i++) {
        key_filter_add(&self, hash_of(i % 4000));
    }
    cr_assert_eq(key_filter_bytes(&self), 8192);
    key_filter_fini(&self);
}

#include "runtime/base/map.h"

#include <criterion/criterion.h>
#include <sodium.h>
#include <stdlib.h>

static bool number_is(const void *value, const void *wanted)
{
    return *(const uint64_t *)value == *(const uint64_t *)wanted;
}

Test(map, finds_what_was_added_and_nothing_else)
{
    enum { COUNT = 10000 };
    static uint64_t numbers[COUNT];
    map_t map = {0};
    uint64_t absent = COUNT;
    cr_assert_null(map_find(&map, 1, number_is, &absent));
    for (uint64_t i = 0; i < COUNT; i++) {
        numbers[i] = i;
        map_add(&map, i / 7, &numbers[i]); /* seven values share each hash */
    }
    for (uint64_t i = 0; i < COUNT; i++) {
        cr_assert_eq(map_find(&map, i / 7, number_is, &i), &numbers[i]);
    }
    cr_assert_null(map_find(&map, 0, number_is, &absent));
    cr_assert_eq(map.count, COUNT);
    map_fini(&map);
}

/* So many that the slots lie in large pages. */
Test(map, finds_each_of_very_many)
{
    enum { COUNT = 300000 };
    static uint64_t numbers[COUNT];
    const uint8_t seed[16] = {1};
    map_t map = {0};
    for (uint64_t i = 0; i < COUNT; i++) {
        numbers[i] = i;
        map_add(&map, siphash13(seed, i, (slice_t){0}), &numbers[i]);
    }
    for (uint64_t i = 0; i < COUNT; i++) {
        map_prefetch(&map, siphash13(seed, i, (slice_t){0}));
        cr_assert_eq(map_find(&map, siphash13(seed, i, (slice_t){0}), number_is, &i), &numbers[i]);
    }
    uint64_t absent = COUNT;
    cr_assert_null(map_find(&map, siphash13(seed, absent, (slice_t){0}), number_is, &absent));
    map_fini(&map);
}

/* Few hashes, at the end of the slots: runs of values that go round the end, with holes. */
Test(map, forgets_what_is_removed_and_keeps_the_others)
{
    enum { COUNT = 200, CHANGES = 20000 };
    static uint64_t numbers[COUNT];
    bool there[COUNT] = {false};
    map_t map = {0};
    uint64_t random = 1;
    size_t count = 0;
    for (int change = 0; change < CHANGES; change++) {
        random = random * UINT64_C(6364136223846793005) + 1;
        uint64_t i = (random >> 33) % COUNT;
        uint64_t hash = UINT64_MAX - i % 10;
        numbers[i] = i;
        if (there[i]) {
            map_remove(&map, hash, &numbers[i]);
        } else {
            map_add(&map, hash, &numbers[i]);
        }
        there[i] = !there[i];
        count += there[i] ? 1 : SIZE_MAX;
        for (uint64_t k = i % 10; k < COUNT; k += 10) {
            const uint64_t *found = map_find(&map, hash, number_is, &k);
            cr_assert_eq(found, there[k] ? &numbers[k] : NULL);
        }
    }
    cr_assert_eq(map.count, count);
    map_fini(&map);
}

Test(map, walks_every_value_once)
{
    uint64_t numbers[100];
    bool seen[100] = {false};
    map_t map = {0};
    for (uint64_t i = 0; i < 100; i++) {
        numbers[i] = i;
        map_add(&map, i * 16, &numbers[i]);
    }
    size_t position = 0;
    size_t count = 0;
    for (uint64_t *value; (value = map_next(&map, &position)); count++) {
        cr_assert_not(seen[*value]);
        seen[*value] = true;
    }
    cr_assert_eq(count, 100);
    map_fini(&map);
}

/* libsodium has SipHash-2-4 only. The code differs from 1-3 in two numbers. */
Test(map, siphash_agrees_with_an_independent_one)
{
    uint8_t seed[crypto_shorthash_KEYBYTES];
    uint8_t input[8 + 100];
    for (size_t i = 0; i < sizeof seed; i++) {
        seed[i] = (uint8_t)(i * 37 + 1);
    }
    for (size_t i = 0; i < sizeof input; i++) {
        input[i] = (uint8_t)(i * 101 + 7);
    }
    uint64_t prefix;
    memcpy(&prefix, input, sizeof prefix);
    for (size_t size = 0; size <= 100; size++) {
        uint8_t wanted[crypto_shorthash_BYTES];
        crypto_shorthash(wanted, input, 8 + size, seed);
        uint64_t hash = siphash24(seed, prefix, slice_of(input + 8, size));
        cr_assert_eq(memcmp(wanted, &hash, sizeof hash), 0, "%zu bytes", size);
        cr_assert_neq(siphash13(seed, prefix, slice_of(input + 8, size)), hash);
    }
}

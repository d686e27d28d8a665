/* How far event time has come, over sources that go on, fall behind, fall silent and come back. */
#include "actors/ordering/watermark.h"

#include <criterion/criterion.h>
#include <stdlib.h>

enum { IDLE = 1000 };

Test(watermark, is_the_smallest_time_of_the_sources)
{
    watermark_t self = {0};
    watermark_source_t a = {0};
    watermark_source_t b = {0};
    cr_assert_eq(watermark_see(&self, &a, 50, 1, IDLE), 50);
    cr_assert_eq(watermark_see(&self, &b, 20, 2, IDLE), 20);
    cr_assert_eq(watermark_see(&self, &a, 90, 3, IDLE), 20);
    cr_assert_eq(watermark_see(&self, &b, 10, 4, IDLE), 20); /* a source never goes back */
    cr_assert_eq(watermark_see(&self, &b, 70, 5, IDLE), 70);
    watermark_fini(&self);
}

Test(watermark, does_not_wait_for_a_source_that_is_silent)
{
    watermark_t self = {0};
    watermark_source_t a = {0};
    watermark_source_t b = {0};
    watermark_see(&self, &a, 50, 1, IDLE);
    watermark_see(&self, &b, 20, 2, IDLE);
    cr_assert_eq(watermark_see(&self, &a, 90, 2 + IDLE, IDLE), 20);
    cr_assert_eq(watermark_see(&self, &a, 95, 3 + IDLE, IDLE), 95);
    cr_assert_eq(watermark_see(&self, &b, 30, 4 + IDLE, IDLE), 30);
    watermark_fini(&self);
}

Test(watermark, sources_of_the_store_count_once_they_are_added)
{
    watermark_t self = {0};
    watermark_source_t a = {0};
    watermark_source_t b = {0};
    watermark_load(&a, 50, 7);
    watermark_load(&a, 40, 9);
    cr_assert_eq(a.time_us, 50);
    cr_assert_eq(a.seen_us, 9);
    watermark_add(&self, &a);
    cr_assert_eq(watermark_see(&self, &b, 80, 10, IDLE), 50);
    cr_assert_eq(watermark_see(&self, &b, 80, 10 + IDLE, IDLE), 80);
    watermark_fini(&self);
}

/* Against a walk over all sources, with clocks that step back now and then. */
Test(watermark, agrees_with_a_plain_search)
{
    enum { SOURCES = 40, STEPS = 20000 };
    static watermark_source_t sources[SOURCES];
    static bool live[SOURCES];
    watermark_t self = {0};
    uint32_t random = 1;
    int64_t now = 1;
    for (int i = 0; i < STEPS; i++) {
        random = random * 1664525 + 1013904223;
        size_t at = (random >> 8) % SOURCES;
        int64_t time = (int64_t)(random >> 16) % 1000 + i / 4;
        now += (random >> 4) % 64 == 0 ? -50 : (int64_t)(random >> 5) % 60;
        int64_t come = watermark_see(&self, &sources[at], time, now, IDLE);
        int64_t least = INT64_MAX;
        live[at] = true;
        for (size_t k = 0; k < SOURCES; k++) {
            live[k] = live[k] && now - sources[k].seen_us <= IDLE;
            least = live[k] && sources[k].time_us < least ? sources[k].time_us : least;
        }
        cr_assert_eq(come, least);
    }
    watermark_fini(&self);
}

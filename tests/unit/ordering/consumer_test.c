/* The core of a consumer: which handler gets what, and what is given up with it. */
#include "actors/ordering/consumer.h"

#include <criterion/criterion.h>
#include <stdio.h>

enum { TICKETS = 64, HANDLERS = 3, MAX = 16 };

typedef struct world {
    tickets_t tickets;
    consumer_t *consumer;
    uint64_t offset;
    consumer_event_t taken[MAX];
} world_t;

static void begin(world_t *self, group_mode_t mode)
{
    static const uint8_t seed[16] = {7};
    *self = (world_t){.offset = 0};
    cr_assert(tickets_init(&self->tickets, TICKETS));
    self->consumer = consumer_new(&self->tickets, HANDLERS, seed);
    consumer_set_mode(self->consumer, mode);
}

static void finish(world_t *self)
{
    consumer_destroy(&self->consumer);
    cr_assert_eq(self->tickets.free_count, TICKETS, "each ticket has ended");
    tickets_fini(&self->tickets);
}

static void add_to(world_t *self, uint32_t partition, const char *keys)
{
    for (; *keys; keys++) {
        buffer_t record = {0};
        codec_encode(event_wire(), &(event_t){.offset = ++self->offset, .key = slice_of(keys, 1)},
                     &record);
        cr_assert(consumer_add(self->consumer, partition, 0, buffer_slice(&record)));
        buffer_fini(&record);
    }
}

/* One event per character, which is its key; offsets count from 1. */
static void add(world_t *self, const char *keys)
{
    add_to(self, 0, keys);
}

/* The offsets that a handler gets are these. */
static void expect(world_t *self, uint32_t handler, size_t max, const char *offsets)
{
    char text[128] = "";
    size_t count = consumer_take(self->consumer, handler, max, self->taken);
    for (size_t i = 0, at = 0; i < count; i++) {
        at += (size_t)snprintf(text + at, sizeof text - at, "%s%llu", i > 0 ? " " : "",
                               (unsigned long long)self->taken[i].offset);
    }
    cr_assert_str_eq(text, offsets);
}

Test(consumer, gives_a_key_to_one_handler_at_a_time)
{
    world_t world;
    begin(&world, GROUP_BY_KEY);
    add(&world, "aabc");
    expect(&world, 1, 1, "1");
    expect(&world, 2, 1, "3");
    expect(&world, 3, MAX, "4");
    add(&world, "ab");
    consumer_release(world.consumer, 3);
    expect(&world, 3, MAX, "");
    consumer_release(world.consumer, 1);
    expect(&world, 3, MAX, "2 5");
    consumer_release(world.consumer, 2);
    expect(&world, 2, MAX, "6");
    finish(&world);
}

Test(consumer, gives_batches_of_whole_keys_in_turn)
{
    world_t world;
    begin(&world, GROUP_BY_KEY);
    add(&world, "abababc");
    expect(&world, 1, 4, "1 3 5 2");
    expect(&world, 2, 4, "7");
    consumer_release(world.consumer, 1);
    expect(&world, 1, 4, "4 6");
    finish(&world);
}

Test(consumer, takes_partitions_or_events_for_keys_as_the_group_does)
{
    world_t world;
    begin(&world, GROUP_BY_PARTITION);
    add_to(&world, 0, "ab");
    add_to(&world, 1, "ab");
    expect(&world, 1, 1, "1");
    expect(&world, 2, MAX, "3 4");
    finish(&world);
    begin(&world, GROUP_UNORDERED);
    add(&world, "aaa");
    expect(&world, 1, 1, "1");
    expect(&world, 2, 1, "2");
    consumer_reject(world.consumer, world.taken[0].ticket);
    cr_assert_eq(consumer_figures(world.consumer).held, 2);
    finish(&world);
}

Test(consumer, gives_up_all_of_a_key_when_one_is_rejected)
{
    world_t world;
    begin(&world, GROUP_BY_KEY);
    add(&world, "aaabaa");
    expect(&world, 1, 2, "1 2");
    uint64_t first = world.taken[0].ticket;
    uint64_t second = world.taken[1].ticket;
    consumer_done(world.consumer, first);
    cr_assert_null(consumer_find(world.consumer, first));
    consumer_reject(world.consumer, second);
    cr_assert_null(consumer_find(world.consumer, second));
    cr_assert_not(tickets_claim(&world.tickets, second));
    consumer_figures_t figures = consumer_figures(world.consumer);
    cr_assert_eq(figures.held, 1);
    cr_assert_eq(figures.waiting, 1);
    world.offset = 1;
    add(&world, "a"); /* 2 comes again, while the handler has the key */
    expect(&world, 2, MAX, "4");
    consumer_release(world.consumer, 1);
    expect(&world, 1, MAX, "2");
    finish(&world);
}

Test(consumer, keeps_keys_from_others_while_their_handlers_run)
{
    world_t world;
    begin(&world, GROUP_BY_KEY);
    add(&world, "ab");
    expect(&world, 1, 1, "1");
    consumer_forget(world.consumer);
    cr_assert_eq(consumer_figures(world.consumer).held, 0);
    cr_assert_eq(consumer_figures(world.consumer).bytes, 0);
    world.offset = 0;
    add(&world, "ab");
    expect(&world, 2, MAX, "2");
    consumer_release(world.consumer, 1);
    expect(&world, 1, MAX, "1");
    finish(&world);
}

Test(consumer, refuses_what_is_no_event_and_more_than_there_are_tickets)
{
    world_t world;
    begin(&world, GROUP_BY_KEY);
    cr_assert_not(consumer_add(world.consumer, 0, 0, slice_of("\x80", 1)));
    cr_assert_not(consumer_add(world.consumer, 0, 0, (slice_t){0}));
    for (int i = 0; i < TICKETS; i++) {
        add(&world, "a");
    }
    buffer_t record = {0};
    codec_encode(event_wire(), &(event_t){.offset = 1, .key = slice_of("a", 1)}, &record);
    cr_assert_not(consumer_add(world.consumer, 0, 0, buffer_slice(&record)));
    buffer_fini(&record);
    finish(&world);
}

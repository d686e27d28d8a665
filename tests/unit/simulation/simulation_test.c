/* The simulator runs the runtime's own code: what actors do on threads they do here, and again in
 * the same way from the same seed. */
#include <criterion/criterion.h>
#include <capstan/simulation.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum {
    MESSAGE_ping = 0x8000,
    MESSAGE_pong,
    MESSAGE_go,
    TIMEOUT_US = 50000,
    EVERY_US = 10000,
};

/* What the actors of a world tell the test. */
typedef struct record {
    capstan_simulation_t *world;
    uint64_t asked;
    uint64_t answered;
    uint64_t timed_out;
    uint64_t gone;
    uint64_t freed;
    uint64_t started;
} record_t;

static capstan_err_t echo_receive(capstan_actor_t *self, const capstan_message_t *message)
{
    capstan_reply(self, message, MESSAGE_pong, message->body);
    return CAPSTAN_OK;
}

static const capstan_behaviour_t echo = {.name = "echo", .receive = echo_receive};

static capstan_err_t start_echo(capstan_simulation_t *world, uint32_t node, void *context)
{
    record_t *record = context;
    capstan_ref_t ref;
    record->started++;
    return capstan_node_spawn(capstan_simulation_node(world, node), &echo,
                              &(capstan_spawn_options_t){.name = "echo"}, &ref);
}

static capstan_err_t asker_init(capstan_actor_t *self, void *argument)
{
    capstan_actor_set_state(self, argument);
    capstan_timer_start(self, EVERY_US, NULL);
    return CAPSTAN_OK;
}

static void asker_timer(capstan_actor_t *self, uint64_t timer, void *cookie)
{
    record_t *record = capstan_actor_state(self);
    capstan_ref_t peer;
    uint64_t correlation;
    (void)timer;
    (void)cookie;
    capstan_timer_start(self, EVERY_US, NULL);
    if (capstan_resolve(self, "server:echo", &peer) == CAPSTAN_OK &&
        capstan_ask(self, peer, MESSAGE_ping, capstan_slice_text("ping"), TIMEOUT_US,
                    &correlation) == CAPSTAN_OK) {
        record->asked++;
    }
}

static capstan_err_t asker_receive(capstan_actor_t *self, const capstan_message_t *message)
{
    record_t *record = capstan_actor_state(self);
    capstan_err_t err = CAPSTAN_OK;
    (void)capstan_message_is_error(message, &err, NULL);
    record->answered += err == CAPSTAN_OK;
    record->timed_out += err == CAPSTAN_E_TIMEOUT;
    record->gone += err == CAPSTAN_E_GONE;
    return CAPSTAN_OK;
}

static void asker_destroy(capstan_actor_t *self)
{
    record_t *record = capstan_actor_state(self);
    record->freed++;
}

static const capstan_behaviour_t asker = {.name = "asker",
                                          .init = asker_init,
                                          .receive = asker_receive,
                                          .timer = asker_timer,
                                          .destroy = asker_destroy};

static capstan_err_t start_asker(capstan_simulation_t *world, uint32_t node, void *context)
{
    capstan_ref_t ref;
    return capstan_node_spawn(capstan_simulation_node(world, node), &asker,
                              &(capstan_spawn_options_t){.argument = context}, &ref);
}

static void make_pair(record_t *record, uint64_t seed)
{
    *record = (record_t){0};
    capstan_err_t err =
        capstan_simulation_new(&(capstan_simulation_options_t){.seed = seed}, &record->world);
    cr_assert_eq(err, CAPSTAN_OK);
    capstan_simulation_add_node(
        record->world,
        &(capstan_simulation_node_t){.name = "server", .start = start_echo, .context = record});
    capstan_simulation_add_node(
        record->world,
        &(capstan_simulation_node_t){.name = "client", .start = start_asker, .context = record});
}

Test(simulation, answers_asks_between_two_nodes)
{
    record_t record;
    make_pair(&record, 1);
    cr_assert(capstan_simulation_run(record.world, 1000000));
    cr_assert_geq(record.asked, 90);
    cr_assert_geq(record.answered + 1, record.asked);
    capstan_simulation_destroy(&record.world);
    cr_assert_eq(record.freed, 1);
}

Test(simulation, runs_the_same_from_the_same_seed)
{
    uint64_t hashes[3];
    const uint64_t seeds[3] = {7, 7, 8};
    for (size_t i = 0; i < 3; i++) {
        record_t record;
        make_pair(&record, seeds[i]);
        capstan_simulation_set_faults(record.world, &(capstan_simulation_faults_t){
                                                        .loss = 50,
                                                        .duplicate = 50,
                                                        .reorder = 50,
                                                        .delay_us_max = 2000,
                                                        .drift_ppm_max = 100,
                                                        .crash_every_us = 500000,
                                                        .cut_every_us = 500000,
                                                        .pause_every_us = 500000,
                                                        .utc_every_us = 500000,
                                                        .kill_every_us = 500000,
                                                    });
        cr_assert(capstan_simulation_run(record.world, 5000000), "%s",
                  capstan_simulation_failure(record.world));
        hashes[i] = capstan_simulation_hash(record.world);
        cr_assert_gt(record.answered, 0);
        capstan_simulation_destroy(&record.world);
    }
    cr_assert_eq(hashes[0], hashes[1]);
    cr_assert_neq(hashes[0], hashes[2]);
}

Test(simulation, counts_what_its_actors_handle)
{
    record_t record;
    make_pair(&record, 1);
    cr_assert(capstan_simulation_run(record.world, 1000000));
    capstan_simulation_figures_t figures = capstan_simulation_figures(record.world);
    cr_assert_geq(figures.messages, 2 * record.answered);
    cr_assert_geq(figures.packets, 2 * record.answered);
    cr_assert_eq(figures.lost, 0);
    cr_assert_eq(figures.crashes + figures.kills + figures.cuts + figures.pauses, 0);
    capstan_simulation_destroy(&record.world);
}

Test(simulation, loses_what_is_under_way_when_a_node_crashes)
{
    record_t record;
    make_pair(&record, 1);
    cr_assert(capstan_simulation_run(record.world, 1000000));
    capstan_simulation_crash(record.world, 0, 300000);
    cr_assert_null(capstan_simulation_node(record.world, 0));
    cr_assert(capstan_simulation_run(record.world, 1000000));
    cr_assert_not_null(capstan_simulation_node(record.world, 0));
    cr_assert_eq(record.started, 2);
    uint64_t before = record.answered;
    cr_assert(capstan_simulation_run(record.world, 1000000));
    cr_assert_gt(record.answered, before);
    capstan_simulation_destroy(&record.world);
}

Test(simulation, lets_asks_time_out_while_nodes_are_cut_off)
{
    record_t record;
    make_pair(&record, 1);
    capstan_simulation_cut(record.world, 1, 500000);
    cr_assert(capstan_simulation_run(record.world, 500000));
    cr_assert_eq(record.answered, 0);
    cr_assert_gt(record.timed_out, 0);
    cr_assert(capstan_simulation_run(record.world, 500000));
    cr_assert_gt(record.answered, 0);
    capstan_simulation_destroy(&record.world);
}

static void crash_server(capstan_simulation_t *world, void *context)
{
    (void)context;
    capstan_simulation_crash(world, 0, 1000);
}

static capstan_err_t silent_receive(capstan_actor_t *self, const capstan_message_t *message)
{
    (void)self;
    (void)message;
    return CAPSTAN_OK;
}

static capstan_err_t start_silent(capstan_simulation_t *world, uint32_t node, void *context)
{
    static const capstan_behaviour_t silent = {.name = "silent", .receive = silent_receive};
    return capstan_node_spawn(capstan_simulation_node(world, node), &silent, NULL, context);
}

Test(simulation, tells_a_test_that_asks_a_node_when_it_crashes)
{
    capstan_simulation_t *world;
    capstan_ref_t ref;
    cr_assert_eq(capstan_simulation_new(NULL, &world), CAPSTAN_OK);
    capstan_simulation_add_node(
        world,
        &(capstan_simulation_node_t){.name = "server", .start = start_silent, .context = &ref});
    capstan_simulation_at(world, 100000, crash_server, NULL);
    cr_assert_eq(capstan_node_ask(capstan_simulation_node(world, 0), ref, MESSAGE_ping,
                                  (capstan_slice_t){0}, 10000000, NULL, NULL),
                 CAPSTAN_E_STOPPING);
    cr_assert_eq(capstan_simulation_now_us(world), 100000);
    capstan_simulation_destroy(&world);
}

Test(simulation, stops_a_node_in_order_and_starts_it_again_when_it_heals)
{
    record_t record;
    make_pair(&record, 1);
    cr_assert(capstan_simulation_run(record.world, 100000));
    capstan_simulation_stop(record.world, 1, 1000000);
    cr_assert_null(capstan_simulation_node(record.world, 1));
    cr_assert_eq(record.freed, 1);
    capstan_simulation_heal(record.world);
    cr_assert(capstan_simulation_run(record.world, 100000));
    cr_assert_not_null(capstan_simulation_node(record.world, 1));
    cr_assert_null(capstan_simulation_failure(record.world));
    capstan_simulation_destroy(&record.world);
}

static capstan_err_t start_far_timer(capstan_actor_t *self, void *argument)
{
    (void)argument;
    capstan_timer_start(self, INT64_C(3600000000), NULL);
    return CAPSTAN_OK;
}

static void do_nothing(capstan_actor_t *self, uint64_t timer, void *cookie)
{
    (void)self;
    (void)timer;
    (void)cookie;
}

static void stop_never(capstan_actor_t *self)
{
    (void)self;
}

static capstan_err_t start_stubborn(capstan_simulation_t *world, uint32_t node, void *context)
{
    static const capstan_behaviour_t stubborn = {.name = "stubborn",
                                                 .init = start_far_timer,
                                                 .receive = silent_receive,
                                                 .timer = do_nothing,
                                                 .stop = stop_never};
    return capstan_node_spawn(capstan_simulation_node(world, node), &stubborn, NULL, context);
}

/* The only step that is planned is an hour away: the stop must not wait for it. */
Test(simulation, ends_a_stop_at_its_deadline_when_nothing_happens_before)
{
    capstan_simulation_t *world;
    capstan_ref_t ref;
    cr_assert_eq(capstan_simulation_new(NULL, &world), CAPSTAN_OK);
    capstan_simulation_add_node(
        world,
        &(capstan_simulation_node_t){.name = "server", .start = start_stubborn, .context = &ref});
    int64_t began_us = capstan_simulation_now_us(world);
    capstan_simulation_stop(world, 0, 1000000);
    cr_assert_not_null(strstr(capstan_simulation_failure(world), "M4: stubborn"));
    int64_t took_us = capstan_simulation_now_us(world) - began_us;
    cr_assert(took_us <= 1001000, "%" PRId64, took_us);
    capstan_simulation_destroy(&world);
}

/* --- many seeds ------------------------------------------------------------------------------ */

static void expects_no_timeout(capstan_simulation_t *world, void *context)
{
    record_t *record = context;
    *record = (record_t){.world = world};
    capstan_simulation_add_node(
        world,
        &(capstan_simulation_node_t){.name = "server", .start = start_echo, .context = record});
    capstan_simulation_add_node(
        world,
        &(capstan_simulation_node_t){.name = "client", .start = start_asker, .context = record});
    capstan_simulation_set_faults(world,
                                  &(capstan_simulation_faults_t){.loss = 10, .delay_us_max = 500});
    (void)!capstan_simulation_run(world, 1000000);
    if (record->timed_out > 0) {
        capstan_simulation_fail(world, "answers", "%" PRIu64 " asks have no answer",
                                record->timed_out);
    }
    capstan_simulation_end(world);
}

static void check_into(char *text, size_t size, const capstan_simulation_check_t *check,
                       uint64_t *ret_passed)
{
    capstan_simulation_check_t mine = *check;
    mine.out = tmpfile();
    cr_assert_not_null(mine.out);
    *ret_passed = capstan_simulation_check(&mine);
    rewind(mine.out);
    size_t used = fread(text, 1, size - 1, mine.out);
    text[used] = 0;
    fclose(mine.out);
}

Test(simulation, finds_a_failing_seed_and_the_one_fault_that_it_needs)
{
    char text[4000];
    char schedule[200];
    record_t record;
    uint64_t passed;
    capstan_simulation_check_t check = {
        .scenario = expects_no_timeout, .context = &record, .seed = 1, .seeds = 50};
    check_into(text, sizeof text, &check, &passed);
    cr_assert_lt(passed, 50);
    cr_assert_not_null(strstr(text, "answers does not hold: "), "%s", text);
    cr_assert_not_null(strstr(text, " 1 are left:\n  loss of node "), "%s", text);

    const char *begin = strstr(text, "--schedule \"");
    cr_assert_not_null(begin, "%s", text);
    begin += strlen("--schedule \"");
    snprintf(schedule, sizeof schedule, "%.*s", (int)strcspn(begin, "\""), begin);
    check.options.schedule = schedule;
    check_into(text, sizeof text, &check, &passed);
    cr_assert_eq(passed, 0);
    cr_assert_not_null(strstr(text, "answers does not hold: 1 asks have no answer\n"), "%s", text);
}

static void counts_its_runs(capstan_simulation_t *world, void *context)
{
    uint64_t *runs = context;
    capstan_simulation_mix(world, ++*runs);
}

Test(simulation, notices_a_scenario_that_does_not_repeat_itself)
{
    char text[4000];
    uint64_t runs = 0;
    uint64_t passed;
    check_into(text, sizeof text,
               &(capstan_simulation_check_t){
                   .scenario = counts_its_runs, .context = &runs, .seed = 1, .seeds = 100},
               &passed);
    cr_assert_eq(passed, 63, "seed 64 is run twice");
    cr_assert_not_null(strstr(text, "seed 64: repeatable does not hold"), "%s", text);
}

Test(simulation, refuses_a_schedule_that_cannot_be_read)
{
    capstan_simulation_t *world = NULL;
    cr_assert_eq(
        capstan_simulation_new(&(capstan_simulation_options_t){.schedule = "1 nonsense"}, &world),
        CAPSTAN_E_INVALID);
    cr_assert_null(world);
}

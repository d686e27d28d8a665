/* Goal: a handler that does not return costs its actor, and nobody else anything. The gate opens
 * only when a test wants the old thread back. */
#include "runtime/node_internal.h"
#include "runtime/runtime_metrics.h"
#include "tests/integration/runtime/log_kit.h"

#include <capstan/keyed.h>
#include <capstan/supervisor.h>
#include <criterion/criterion.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>

enum {
    MESSAGE_count = 0x9000, /* request or event */
    MESSAGE_wait,           /* for the gate; then it tells itself, and notes what came of it */
    MESSAGE_talk,           /* tells itself again and again until the gate opens */
    MESSAGE_leave,          /* ends its thread */
    MESSAGE_die,
    MESSAGE_watch,       /* body: an order_t; monitors the target, and tells it the message */
    MESSAGE_flood,       /* body: two references: to ask to wait, and to flood with both */
    MESSAGE_spawn_stuck, /* spawns on its own cell one whose init waits */
    HUNG_MS = 30,
    MANY = 500,
    STOP_US = 60000000,
    CLOSE_US = 2000000,
};

static sem_t gate;
static _Atomic int came_back; /* handlers that the gate let go on */
static _Atomic int refused;   /* of them, those whose calls failed with CELL_HUNG */
static _Atomic int downs;
static _Atomic int down_reason;
static _Atomic int answers; /* errors that asks ended with */
static _Atomic int answer_err;
static _Atomic int stops;
static _Atomic int timers;
static _Atomic int starts;

static void wait_at_gate(capstan_actor_t *self)
{
    while (sem_wait(&gate) != 0) {
    }
    sem_post(&gate);
    capstan_err_t err = capstan_tell(self, capstan_actor_ref(self), MESSAGE_count, (slice_t){0});
    atomic_fetch_add(&refused, err == CAPSTAN_E_CELL_HUNG && capstan_now_us(self) > 0);
    capstan_actor_exit(self, CAPSTAN_OK);
    atomic_fetch_add(&came_back, 1);
}

static void talk(capstan_actor_t *self)
{
    while (sem_trywait(&gate) != 0) {
        (void)!capstan_tell(self, capstan_actor_ref(self), MESSAGE_count, (slice_t){0});
    }
    sem_post(&gate);
    atomic_fetch_add(&came_back, 1);
}

static capstan_ref_t ref_in(const capstan_message_t *message, size_t place)
{
    capstan_ref_t ref;
    cr_assert_geq(message->body.size, (place + 1) * sizeof ref);
    memcpy(&ref, (const uint8_t *)message->body.data + place * sizeof ref, sizeof ref);
    return ref;
}

typedef struct order {
    capstan_ref_t target;
    uint32_t message; /* 0: none */
} order_t;

static capstan_err_t watch(capstan_actor_t *self, const capstan_message_t *message)
{
    order_t order;
    cr_assert_eq(message->body.size, sizeof order);
    memcpy(&order, message->body.data, sizeof order);
    capstan_err_t err = capstan_monitor(self, order.target);
    return err || order.message == 0
               ? err
               : capstan_tell(self, order.target, order.message, (slice_t){0});
}

/* All of it leaves the cell at the end of the turn: the first sees nothing before it is all sent.
 */
static void flood(capstan_actor_t *self, capstan_ref_t stuck, capstan_ref_t neighbour)
{
    uint64_t correlation;
    cr_assert_eq(capstan_ask(self, stuck, MESSAGE_wait, (slice_t){0}, STOP_US, &correlation),
                 CAPSTAN_OK);
    for (int i = 0; i < MANY; i++) {
        cr_assert_eq(capstan_tell(self, stuck, MESSAGE_count, (slice_t){0}), CAPSTAN_OK);
        cr_assert_eq(capstan_tell(self, neighbour, MESSAGE_count, (slice_t){0}), CAPSTAN_OK);
    }
}

static capstan_err_t wait_in_init(capstan_actor_t *self, void *argument)
{
    (void)argument;
    wait_at_gate(self);
    return CAPSTAN_OK;
}

static capstan_err_t take(capstan_actor_t *self, const capstan_message_t *message)
{
    (void)self;
    (void)message;
    return CAPSTAN_OK;
}

static const capstan_behaviour_t stuck_behaviour = {
    .name = "stuck", .init = wait_in_init, .receive = take};

static void note_down(capstan_err_t reason)
{
    atomic_store(&down_reason, (int)reason);
    atomic_fetch_add(&downs, 1);
}

static void note_answer(capstan_err_t err)
{
    atomic_store(&answer_err, (int)err);
    atomic_fetch_add(&answers, 1);
}

static capstan_err_t receive(capstan_actor_t *self, const capstan_message_t *message)
{
    capstan_ref_t ref;
    capstan_err_t err;
    _Atomic int *count = capstan_actor_state(self);
    if (capstan_message_is_down(message, &ref, &err)) {
        note_down(err);
        return CAPSTAN_OK;
    }
    if (capstan_message_is_error(message, &err, NULL)) {
        note_answer(err);
        return CAPSTAN_OK;
    }
    switch (message->message) {
    case MESSAGE_count:
        atomic_fetch_add(count, 1);
        capstan_reply(self, message, MESSAGE_count, (slice_t){0});
        return CAPSTAN_OK;
    case MESSAGE_wait:
        wait_at_gate(self);
        return CAPSTAN_OK;
    case MESSAGE_talk:
        talk(self);
        return CAPSTAN_OK;
    case MESSAGE_leave:
        pthread_exit(NULL);
    case MESSAGE_watch:
        return watch(self, message);
    case MESSAGE_flood:
        flood(self, ref_in(message, 0), ref_in(message, 1));
        return CAPSTAN_OK;
    case MESSAGE_spawn_stuck:
        return capstan_spawn(self, &stuck_behaviour, NULL, &ref);
    default:
        return CAPSTAN_E_INTERNAL;
    }
}

static void tick(capstan_actor_t *self, uint64_t timer, void *cookie)
{
    (void)timer;
    atomic_fetch_add(&timers, 1);
    capstan_timer_start(self, 1000, cookie);
}

static capstan_err_t init(capstan_actor_t *self, void *argument)
{
    capstan_actor_set_state(self, argument);
    capstan_timer_start(self, 1000, NULL);
    return CAPSTAN_OK;
}

static void stop(capstan_actor_t *self)
{
    atomic_fetch_add(&stops, 1);
    capstan_actor_exit(self, CAPSTAN_OK);
}

static void stop_at_gate(capstan_actor_t *self)
{
    wait_at_gate(self);
}

static const capstan_behaviour_t worker_behaviour = {
    .name = "worker", .init = init, .receive = receive, .timer = tick, .stop = stop};
static const capstan_behaviour_t unstoppable_behaviour = {
    .name = "unstoppable", .receive = receive, .stop = stop_at_gate};
static const capstan_behaviour_t sticky_behaviour = {
    .name = "sticky", .receive = receive, .destroy = stop_at_gate};

/* --- the stage ------------------------------------------------------------------------------- */

typedef struct stage {
    FILE *log;
    capstan_node_t *node;
    capstan_ref_t victim; /* on the cell "bob", as is the next one */
    capstan_ref_t neighbour;
    capstan_ref_t other; /* on another cell */
    _Atomic int victim_count;
    _Atomic int neighbour_count;
    _Atomic int other_count;
} stage_t;

static capstan_ref_t spawn(const stage_t *stage, const capstan_behaviour_t *behaviour,
                           const char *name, const char *cell, void *argument)
{
    capstan_ref_t ref;
    cr_assert_eq(capstan_node_spawn(
                     stage->node, behaviour,
                     &(capstan_spawn_options_t){.name = name, .cell = cell, .argument = argument},
                     &ref),
                 CAPSTAN_OK);
    return ref;
}

static void open_stage(stage_t *stage, capstan_node_options_t options)
{
    *stage = (stage_t){.log = log_kit_open()};
    options.hung_ms = HUNG_MS;
    cr_assert_eq(sem_init(&gate, 0, 0), 0);
    cr_assert_eq(capstan_node_new(&options, &stage->node), CAPSTAN_OK);
    stage->victim = spawn(stage, &worker_behaviour, "victim", "bob", &stage->victim_count);
    stage->neighbour = spawn(stage, &worker_behaviour, "neighbour", "bob", &stage->neighbour_count);
    stage->other = spawn(stage, &worker_behaviour, "other", "eve", &stage->other_count);
}

static void await(const _Atomic int *count, int wanted)
{
    while (atomic_load(count) < wanted) {
        sched_yield();
    }
}

static void await_metric(size_t row, int64_t wanted)
{
    while (metric_value(&runtime_metrics, row) != wanted) {
        sched_yield();
    }
}

static void close_stage(stage_t *stage)
{
    sem_post(&gate);
    cr_assert_eq(capstan_node_stop(&stage->node, STOP_US, NULL, NULL), CAPSTAN_OK);
    sem_destroy(&gate);
    fclose(stage->log);
}

static void tell(const stage_t *stage, capstan_ref_t target, uint32_t message)
{
    cr_assert_eq(capstan_node_tell(stage->node, target, message, (slice_t){0}), CAPSTAN_OK);
}

/* The other one watches the target, which gets the message behind that. */
static void watch_and_tell(const stage_t *stage, capstan_ref_t target, uint32_t message)
{
    order_t order = {.target = target, .message = message};
    cr_assert_eq(
        capstan_node_tell(stage->node, stage->other, MESSAGE_watch, slice_of(&order, sizeof order)),
        CAPSTAN_OK);
}

/* What was sent before it to the actor has been handled. */
static capstan_err_t count(const stage_t *stage, capstan_ref_t target)
{
    return capstan_node_ask(stage->node, target, MESSAGE_count, (slice_t){0}, STOP_US, NULL, NULL);
}

static void expect_takeover(const stage_t *stage, const char *state, const char *actor,
                            const char *handler)
{
    json_t *line = log_kit_next(stage->log, "runtime.cell_taken_over");
    cr_assert_str_eq(log_kit_text(line, "cell"), "bob");
    cr_assert_str_eq(log_kit_text(line, "state"), state);
    cr_assert_str_eq(log_kit_text(line, "actor"), actor);
    cr_assert_str_eq(log_kit_text(line, "handler"), handler);
    json_decref(line);
}

static mailbox_account_t account_of(const stage_t *stage, capstan_ref_t ref)
{
    return mailbox_account(&node_slot(stage->node, ref.slot)->mailbox);
}

static void expect_neighbour_unharmed(const stage_t *stage)
{
    int ticks = atomic_load(&timers);
    cr_assert_eq(count(stage, stage->neighbour), CAPSTAN_OK);
    mailbox_account_t account = account_of(stage, stage->neighbour);
    cr_assert_eq(account.dropped_all, 0);
    cr_assert_eq(account.delivered, (uint64_t)atomic_load(&stage->neighbour_count));
    await(&timers, ticks + 10);
}

/* --- what a hang costs ----------------------------------------------------------------------- */

static void expect_one_victim(bool strict)
{
    stage_t stage;
    open_stage(&stage, (capstan_node_options_t){.strict_wire = strict});
    watch_and_tell(&stage, stage.victim, 0);
    const capstan_ref_t flooded[] = {stage.victim, stage.neighbour};
    cr_assert_eq(capstan_node_tell(stage.node, stage.other, MESSAGE_flood,
                                   slice_of(flooded, sizeof flooded)),
                 CAPSTAN_OK);
    expect_takeover(&stage, "hung", "victim", "receive");
    await(&downs, 1);
    await(&answers, 1);
    cr_assert_eq(atomic_load(&down_reason), CAPSTAN_E_CELL_HUNG);
    cr_assert_eq(atomic_load(&answer_err), CAPSTAN_E_GONE);
    cr_assert_eq(count(&stage, stage.neighbour), CAPSTAN_OK);
    cr_assert_eq(atomic_load(&stage.neighbour_count), MANY + 1);
    expect_neighbour_unharmed(&stage);
    cr_assert_eq(capstan_node_tell(stage.node, stage.victim, MESSAGE_count, (slice_t){0}),
                 CAPSTAN_E_GONE);
    mailbox_account_t account = account_of(&stage, stage.victim);
    cr_assert_eq(account.dropped[DROP_cell_hung], MANY);
    cr_assert_eq(account.sent, account.delivered + MANY);
    cr_assert_eq(metric_value(&runtime_metrics, METRIC_runtime_threads_lost), 1);
    spawn(&stage, &worker_behaviour, "victim", "bob", &stage.victim_count); /* the name is free */
    close_stage(&stage);
    cr_assert_eq(atomic_load(&refused), 1);
    cr_assert_eq(atomic_load(&downs), 1);
    cr_assert_eq(atomic_load(&answers), 1);
    cr_assert_eq(metric_value(&runtime_metrics, METRIC_runtime_threads_lost), 0);
}

Test(takeover, costs_the_actor_and_its_messages_and_nobody_else_anything)
{
    expect_one_victim(false);
}

Test(takeover, does_so_under_strict_wire_too)
{
    expect_one_victim(true);
}

Test(takeover, of_a_handler_that_calls_the_runtime_without_end)
{
    stage_t stage;
    open_stage(&stage, (capstan_node_options_t){.mailbox_messages = 16});
    tell(&stage, stage.victim, MESSAGE_talk);
    expect_takeover(&stage, "hung", "victim", "receive");
    expect_neighbour_unharmed(&stage);
    sem_post(&gate);
    await(&came_back, 1);
    await_metric(METRIC_runtime_threads_lost, 0);
    expect_neighbour_unharmed(&stage);
    close_stage(&stage);
}

Test(takeover, happens_again_while_older_threads_still_hang)
{
    stage_t stage;
    open_stage(&stage, (capstan_node_options_t){.boot = 1});
    for (int i = 0; i < 3; i++) {
        tell(&stage, stage.victim, MESSAGE_wait);
        expect_takeover(&stage, "hung", "victim", "receive");
        expect_neighbour_unharmed(&stage);
        stage.victim = spawn(&stage, &worker_behaviour, "victim", "bob", &stage.victim_count);
    }
    cr_assert_eq(metric_value(&runtime_metrics, METRIC_runtime_threads_lost), 3);
    sem_post(&gate);
    await_metric(METRIC_runtime_threads_lost, 0);
    cr_assert_eq(atomic_load(&refused), 3);
    close_stage(&stage);
}

Test(takeover, ends_a_spawner_with_whom_it_spawned_on_its_cell)
{
    stage_t stage;
    open_stage(&stage, (capstan_node_options_t){.boot = 1});
    watch_and_tell(&stage, stage.victim, MESSAGE_spawn_stuck);
    expect_takeover(&stage, "hung", "stuck", "init");
    await(&downs, 1);
    expect_neighbour_unharmed(&stage);
    close_stage(&stage);
}

Test(takeover, in_an_init_is_the_failure_of_the_spawn)
{
    stage_t stage;
    capstan_ref_t ref;
    open_stage(&stage, (capstan_node_options_t){.boot = 1});
    cr_assert_eq(capstan_node_spawn(stage.node, &stuck_behaviour,
                                    &(capstan_spawn_options_t){.cell = "bob"}, &ref),
                 CAPSTAN_E_CELL_HUNG);
    expect_neighbour_unharmed(&stage);
    close_stage(&stage);
}

Test(takeover, finishes_an_end_whose_destroy_does_not_return)
{
    stage_t stage;
    open_stage(&stage, (capstan_node_options_t){.boot = 1});
    capstan_ref_t sticky = spawn(&stage, &sticky_behaviour, "sticky", "bob", NULL);
    watch_and_tell(&stage, sticky, MESSAGE_die);
    json_decref(log_kit_next(stage.log, "runtime.cell_taken_over"));
    await(&downs, 1);
    cr_assert_eq(atomic_load(&down_reason), CAPSTAN_E_INTERNAL);
    expect_neighbour_unharmed(&stage);
    close_stage(&stage);
}

/* --- who starts again ------------------------------------------------------------------------ */

/* The second start hangs. */
static capstan_err_t start_slowly(capstan_actor_t *self, void *argument)
{
    if (atomic_fetch_add(&starts, 1) == 1) {
        wait_at_gate(self);
    }
    capstan_actor_set_state(self, argument);
    return CAPSTAN_OK;
}

Test(takeover, lets_a_supervisor_start_again_whose_init_or_handler_hangs)
{
    static const capstan_behaviour_t slow = {
        .name = "slow", .init = start_slowly, .receive = receive};
    stage_t stage;
    open_stage(&stage, (capstan_node_options_t){.boot = 1});
    const capstan_child_t children[] = {
        {.behaviour = &worker_behaviour,
         .spawn = {.name = "sibling", .argument = &stage.other_count}},
        {.behaviour = &slow,
         .spawn = {.name = "slow", .argument = &stage.victim_count},
         .backoff_us_min = 1000},
    };
    const capstan_supervisor_options_t options = {.children = children, .child_count = 2};
    capstan_ref_t slow_ref;
    capstan_ref_t before;
    capstan_ref_t sibling;
    capstan_ref_t supervisor =
        spawn(&stage, &capstan_supervisor_behaviour, "supervisor", "bob", (void *)&options);
    cr_assert_eq(capstan_node_resolve(stage.node, "slow", &before), CAPSTAN_OK);
    cr_assert_eq(capstan_node_resolve(stage.node, "sibling", &sibling), CAPSTAN_OK);
    tell(&stage, before, MESSAGE_die);
    expect_takeover(&stage, "hung", "slow", "init");
    await(&starts, 3);
    while (capstan_node_resolve(stage.node, "slow", &slow_ref) != CAPSTAN_OK ||
           count(&stage, slow_ref) != CAPSTAN_OK) {
        sched_yield();
    }
    tell(&stage, slow_ref, MESSAGE_wait);
    expect_takeover(&stage, "hung", "slow", "receive");
    await(&starts, 4);
    cr_assert_eq(count(&stage, sibling), CAPSTAN_OK);
    cr_assert_neq(count(&stage, supervisor), CAPSTAN_E_GONE);
    expect_neighbour_unharmed(&stage);
    close_stage(&stage);
}

/* --- keyed actors ---------------------------------------------------------------------------- */

static _Atomic int keyed_hangs; /* what the next one does: starts, handles, is saved */

enum { HANGS_NOT, HANGS_IN_INIT, HANGS_IN_SAVE };

static capstan_err_t keyed_init(capstan_actor_t *self, void *argument)
{
    const capstan_keyed_start_t *start = argument;
    int expected = HANGS_IN_INIT;
    uint64_t hash = start->key.size;
    if (atomic_compare_exchange_strong(&keyed_hangs, &expected, HANGS_NOT)) {
        wait_at_gate(self);
        for (size_t i = 0; i < start->saved.size; i++) { /* it is still there */
            hash += ((const uint8_t *)start->saved.data)[i];
        }
    }
    capstan_actor_set_state(self, start->argument);
    return hash > 0 ? CAPSTAN_OK : CAPSTAN_E_INTERNAL;
}

static capstan_err_t keyed_save(capstan_actor_t *self, void **ret_data, size_t *ret_size)
{
    int expected = HANGS_IN_SAVE;
    if (atomic_compare_exchange_strong(&keyed_hangs, &expected, HANGS_NOT)) {
        wait_at_gate(self);
        return CAPSTAN_E_INTERNAL;
    }
    *ret_size = 8;
    *ret_data = calloc(1, *ret_size);
    return *ret_data ? CAPSTAN_OK : CAPSTAN_E_NO_MEMORY;
}

static capstan_err_t count_key(const stage_t *stage, const capstan_keyed_t *keyed, const char *key)
{
    return capstan_node_keyed_ask(stage->node, keyed, slice_text(key), MESSAGE_count, (slice_t){0},
                                  STOP_US, NULL, NULL);
}

Test(takeover, leaves_the_keeper_of_a_keyed_actor_that_hangs)
{
    static const capstan_behaviour_t behaviour = {
        .name = "keyed", .init = keyed_init, .receive = receive};
    stage_t stage;
    capstan_keyed_t *keyed;
    _Atomic int handled = 0;
    open_stage(&stage, (capstan_node_options_t){.workers = 1});
    cr_assert_eq(capstan_keyed_new(stage.node,
                                   &(capstan_keyed_options_t){.name = "kind",
                                                              .behaviour = &behaviour,
                                                              .argument = &handled,
                                                              .save = keyed_save,
                                                              .rest_us = 2000},
                                   &keyed),
                 CAPSTAN_OK);
    for (int round = 0; round < 2; round++) { /* for the first time, and from saved bytes */
        atomic_store(&keyed_hangs, HANGS_IN_INIT);
        cr_assert_eq(count_key(&stage, keyed, "a"), CAPSTAN_E_GONE);
        cr_assert_eq(count_key(&stage, keyed, "a"), CAPSTAN_OK);
        while (capstan_keyed_figures(keyed).awake > 0) {
            sched_yield();
        }
    }
    atomic_store(&keyed_hangs, HANGS_IN_SAVE);
    cr_assert_eq(count_key(&stage, keyed, "b"), CAPSTAN_OK);
    while (atomic_load(&keyed_hangs) != HANGS_NOT || capstan_keyed_figures(keyed).awake > 0) {
        sched_yield();
    }
    cr_assert_eq(
        capstan_node_keyed_tell(stage.node, keyed, slice_text("a"), MESSAGE_wait, (slice_t){0}),
        CAPSTAN_OK);
    await_metric(METRIC_runtime_threads_lost, 4);
    cr_assert_eq(count_key(&stage, keyed, "a"), CAPSTAN_OK);
    cr_assert_eq(count_key(&stage, keyed, "b"), CAPSTAN_OK);
    close_stage(&stage);
    cr_assert_eq(atomic_load(&refused), 4);
}

/* --- dead threads, and cells that cannot be taken over --------------------------------------- */

Test(takeover, of_a_cell_whose_thread_a_handler_has_ended)
{
    stage_t stage;
    open_stage(&stage, (capstan_node_options_t){.hung_stays = true});
    watch_and_tell(&stage, stage.victim, MESSAGE_leave);
    expect_takeover(&stage, "dead", "victim", "receive");
    await(&downs, 1);
    cr_assert_eq(atomic_load(&down_reason), CAPSTAN_E_CELL_HUNG);
    expect_neighbour_unharmed(&stage);
    close_stage(&stage);
}

static void *let_go(void *argument)
{
    const stage_t *stage = argument;
    json_t *line = log_kit_next(stage->log, "runtime.cell_kept");
    cr_assert_str_eq(log_kit_text(line, "cell"), "host");
    cr_assert_str_eq(log_kit_text(line, "why"), "the host's thread runs it");
    json_decref(line);
    sem_post(&gate);
    return NULL;
}

Test(takeover, of_the_hosts_cell_is_not_possible_and_told)
{
    stage_t stage;
    pthread_t releaser;
    _Atomic int handled = 0;
    open_stage(&stage, (capstan_node_options_t){.host_cell = "host"});
    capstan_ref_t guest = spawn(&stage, &worker_behaviour, "guest", "host", &handled);
    cr_assert_eq(pthread_create(&releaser, NULL, let_go, &stage), 0);
    tell(&stage, guest, MESSAGE_wait);
    while (atomic_load(&came_back) == 0) {
        capstan_node_dispatch(stage.node);
    }
    pthread_join(releaser, NULL);
    cr_assert_eq(atomic_load(&refused), 0);
    close_stage(&stage);
}

/* --- stops ----------------------------------------------------------------------------------- */

static void note_late(void *context, const char *name)
{
    _Atomic int *named = context;
    atomic_fetch_add(named, strcmp(name, "bob") == 0);
}

Test(takeover, leaves_a_thread_that_a_stop_names_and_waits_for)
{
    stage_t stage;
    _Atomic int named = 0;
    open_stage(&stage, (capstan_node_options_t){.stop = {.close_us = CLOSE_US}});
    tell(&stage, stage.victim, MESSAGE_wait);
    expect_takeover(&stage, "hung", "victim", "receive");
    cr_assert_eq(capstan_node_stop(&stage.node, STOP_US, note_late, &named),
                 CAPSTAN_E_STOP_TIMEOUT);
    cr_assert_eq(atomic_load(&named), 1);
    cr_assert_eq(atomic_load(&came_back), 0);
    close_stage(&stage);
    cr_assert_eq(atomic_load(&refused), 1);
}

Test(takeover, in_a_stop_lets_the_others_hear_of_it)
{
    stage_t stage;
    _Atomic int named = 0;
    open_stage(&stage, (capstan_node_options_t){.stop = {.close_us = CLOSE_US}});
    spawn(&stage, &unstoppable_behaviour, "unstoppable", "bob", NULL);
    cr_assert_eq(capstan_node_stop(&stage.node, STOP_US, note_late, &named),
                 CAPSTAN_E_STOP_TIMEOUT);
    cr_assert_eq(atomic_load(&stops), 3);
    cr_assert_eq(atomic_load(&named), 1);
    close_stage(&stage);
}

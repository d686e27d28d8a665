/* Supervisors on real threads: order of start and stop, restarts, escalation, further children, and
 * children that fail in every way. Every scene is played on one cell and on several, with messages
 * within a cell passed by pointer and with strict_wire. */
#include "runtime/runtime.h"
#include "runtime/runtime_messages.h"

#include <criterion/criterion.h>
#include <capstan/supervisor.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    MESSAGE_die = 0x8000, /* it fails */
    MESSAGE_leave,        /* it ends normally */
    MESSAGE_ping,         /* request */
    MESSAGE_try,          /* request to a client: see try_receive */
    WAIT_US = 60000000,
    TRACE_BYTES = 4096,
};

/* What a child is like. Its small letter stands in the trace when its init has succeeded, its
 * capital when it is gone. */
typedef struct member {
    char letter;
    _Atomic int init_failures; /* how many more there will be */
    bool fails_in_stop;
    bool ignores_stop;
    bool cuts_loose; /* it tries to leave its supervisor */
} member_t;

static _Atomic char letters[TRACE_BYTES];
static _Atomic size_t letter_count;

static void note(char letter)
{
    size_t place = atomic_fetch_add(&letter_count, 1);
    cr_assert_lt(place, TRACE_BYTES - 1);
    atomic_store(&letters[place], letter);
}

static void forget_trace(void)
{
    atomic_store(&letter_count, 0);
    for (size_t i = 0; i < TRACE_BYTES; i++) {
        atomic_store(&letters[i], 0);
    }
}

/* What has been noted so far. */
static const char *trace(void)
{
    static char text[TRACE_BYTES];
    size_t size = 0;
    while ((text[size] = atomic_load(&letters[size])) != 0) {
        size++;
    }
    return text;
}

static capstan_err_t init(capstan_actor_t *self, void *argument)
{
    member_t *member = argument;
    if (atomic_fetch_sub(&member->init_failures, 1) > 0) {
        capstan_timer_start(self, 1, NULL); /* to be seen to go with it */
        return CAPSTAN_E_STORE_IO;
    }
    atomic_store(&member->init_failures, 0);
    note(member->letter);
    capstan_actor_set_state(self, member);
    return CAPSTAN_OK;
}

static capstan_err_t receive(capstan_actor_t *self, const capstan_message_t *message)
{
    if (message->message == MESSAGE_die) {
        return CAPSTAN_E_INTERNAL;
    }
    if (message->message == MESSAGE_leave) {
        capstan_actor_exit(self, CAPSTAN_OK);
    }
    capstan_reply(self, message, MESSAGE_ping, (slice_t){0});
    return CAPSTAN_OK;
}

static void timer(capstan_actor_t *self, uint64_t number, void *cookie)
{
    (void)self;
    (void)number;
    (void)cookie;
    cr_assert_fail("the timer of an actor whose init failed");
}

static void stop(capstan_actor_t *self)
{
    const member_t *member = capstan_actor_state(self);
    if (!member->ignores_stop) {
        capstan_actor_exit(self, member->fails_in_stop ? CAPSTAN_E_STORE_IO : CAPSTAN_OK);
    }
}

static void destroy(capstan_actor_t *self)
{
    const member_t *member = capstan_actor_state(self);
    if (member) {
        note((char)(member->letter - 'a' + 'A'));
    }
}

static const capstan_behaviour_t member_behaviour = {.name = "member",
                                                     .init = init,
                                                     .receive = receive,
                                                     .timer = timer,
                                                     .stop = stop,
                                                     .destroy = destroy};

/* --- the stage ------------------------------------------------------------------------------- */

static capstan_node_t *node;
static bool several_cells;
static member_t a = {.letter = 'a'};
static member_t b = {.letter = 'b'};
static member_t c = {.letter = 'c'};

/* Goes through a scene in every arrangement. */
static void play(void (*act)(void))
{
    for (int i = 0; i < 4; i++) {
        a = (member_t){.letter = 'a'};
        b = (member_t){.letter = 'b'};
        c = (member_t){.letter = 'c'};
        forget_trace();
        several_cells = i & 1;
        cr_assert_eq(capstan_node_new(&(capstan_node_options_t){.strict_wire = i & 2}, &node),
                     CAPSTAN_OK);
        act();
        cr_assert_eq(capstan_node_stop(&node, WAIT_US, NULL, NULL), CAPSTAN_OK);
    }
}

/* A child that returns at once, as often as it takes, and whose name is its letter. */
static capstan_child_t child_of(member_t *member)
{
    static char names[26][2];
    static const char *const cells[] = {"one", "two", "three"};
    char *name = names[member->letter - 'a'];
    name[0] = member->letter;
    return (capstan_child_t){
        .behaviour = &member_behaviour,
        .spawn = {.name = name,
                  .cell = several_cells ? cells[member->letter % 3] : NULL,
                  .argument = member},
        .restarts_max = CAPSTAN_RESTARTS_MAX,
        .backoff_us_min = 1,
        .backoff_us_max = 2,
    };
}

static capstan_err_t try_to_start(capstan_strategy_t strategy, const capstan_child_t *children,
                                  size_t count, capstan_ref_t *ret_ref)
{
    return capstan_node_supervisor_spawn(
        node,
        &(capstan_supervisor_options_t){
            .strategy = strategy, .children = children, .child_count = count},
        &(capstan_spawn_options_t){.name = "tree", .cell = "tree"}, ret_ref);
}

static capstan_ref_t start(capstan_strategy_t strategy, const capstan_child_t *children,
                           size_t count)
{
    capstan_ref_t ref;
    cr_assert_eq(try_to_start(strategy, children, count, &ref), CAPSTAN_OK);
    return ref;
}

static capstan_ref_t start_abc(capstan_strategy_t strategy)
{
    const capstan_child_t children[] = {child_of(&a), child_of(&b), child_of(&c)};
    return start(strategy, children, 3);
}

static capstan_err_t ping(capstan_ref_t ref)
{
    void *body;
    size_t size;
    capstan_err_t err =
        capstan_node_ask(node, ref, MESSAGE_ping, (slice_t){0}, WAIT_US, &body, &size);
    if (err == CAPSTAN_OK) {
        free(body);
    }
    return err;
}

/* The incarnation that answers now, other than `old`. */
static capstan_ref_t await_other(const char *name, capstan_ref_t old)
{
    capstan_ref_t ref;
    while (capstan_node_resolve(node, name, &ref) != CAPSTAN_OK || capstan_ref_equal(ref, old) ||
           ping(ref) != CAPSTAN_OK) {
        sched_yield();
    }
    return ref;
}

static capstan_ref_t resolve(const char *name)
{
    return await_other(name, (capstan_ref_t){0});
}

static void tell(capstan_ref_t ref, uint32_t message)
{
    cr_assert_eq(capstan_node_tell(node, ref, message, (slice_t){0}), CAPSTAN_OK);
}

static void await_gone(capstan_ref_t ref)
{
    while (ping(ref) != CAPSTAN_E_GONE) {
        sched_yield();
    }
}

static void await_trace(const char *wanted)
{
    while (strlen(trace()) < strlen(wanted)) {
        sched_yield();
    }
    cr_assert_str_eq(trace(), wanted);
}

static void stop_node(void)
{
    cr_assert_eq(capstan_node_stop(&node, WAIT_US, NULL, NULL), CAPSTAN_OK);
}

static void count_actor(void *context, const actor_figures_t *figures)
{
    *(size_t *)context += strcmp(figures->name, ".port") != 0;
}

static size_t live_actors(void)
{
    size_t count = 0;
    node_figures(node, count_actor, &count);
    return count;
}

/* --- order and strategies -------------------------------------------------------------------- */

static void start_and_stop(void)
{
    start_abc(CAPSTAN_ONE_FOR_ONE);
    cr_assert_str_eq(trace(), "abc", "all are up when the call returns");
    stop_node();
    cr_assert_str_eq(trace(), "abcCBA");
}

Test(supervisor, starts_its_children_in_order_and_stops_them_in_reverse)
{
    play(start_and_stop);
}

static void restart_one(void)
{
    start_abc(CAPSTAN_ONE_FOR_ONE);
    capstan_ref_t old = resolve("b");
    tell(old, MESSAGE_die);
    capstan_ref_t now = await_other("b", old);
    cr_assert_str_eq(trace(), "abcBb");
    cr_assert_eq(ping(old), CAPSTAN_E_GONE);
    tell(now, MESSAGE_leave);
    await_other("b", now);
    cr_assert_str_eq(trace(), "abcBbBb", "a permanent child returns also after a normal end");
}

Test(supervisor, starts_a_child_that_ended_again_with_a_new_reference)
{
    play(restart_one);
}

static void restart_all(void)
{
    start_abc(CAPSTAN_ONE_FOR_ALL);
    tell(resolve("b"), MESSAGE_die);
    await_trace("abcBCAabc");
}

Test(supervisor, starts_all_children_again_when_one_fails)
{
    play(restart_all);
}

static void restart_rest(void)
{
    start_abc(CAPSTAN_REST_FOR_ONE);
    tell(resolve("b"), MESSAGE_die);
    await_trace("abcBCbc");
}

Test(supervisor, starts_the_rest_again_when_one_fails)
{
    play(restart_rest);
}

static void end_each_kind(void)
{
    capstan_child_t children[] = {child_of(&a), child_of(&b), child_of(&c)};
    children[0].restart = CAPSTAN_RESTART_TRANSIENT;
    children[1].restart = CAPSTAN_RESTART_TEMPORARY;
    start(CAPSTAN_ONE_FOR_ONE, children, 3);
    capstan_ref_t old = resolve("a");
    tell(old, MESSAGE_die);
    old = await_other("a", old);
    tell(old, MESSAGE_leave);
    await_gone(old);
    tell(resolve("b"), MESSAGE_die);
    await_trace("abcAaAB");
    old = resolve("c");
    tell(old, MESSAGE_die); /* whoever would return has had its time */
    await_other("c", old);
    cr_assert_str_eq(trace(), "abcAaABCc");
    cr_assert_eq(live_actors(), 2);
}

Test(supervisor, starts_transient_and_temporary_children_again_only_when_it_should)
{
    play(end_each_kind);
}

static void find_restarts(void *context, const actor_figures_t *figures)
{
    actor_figures_t *wanted = context;
    if (strcmp(figures->name, wanted->name) == 0) {
        *wanted = *figures;
    }
}

static void return_to_the_cell(void)
{
    capstan_child_t child = child_of(&a);
    child.spawn.cell = NULL;
    child.spawn.placement = CAPSTAN_PLACE_SPREAD;
    start(CAPSTAN_ONE_FOR_ONE, &child, 1);
    capstan_ref_t ref = resolve("a");
    actor_figures_t figures = {.name = "a"};
    node_figures(node, find_restarts, &figures);
    const char *cell = figures.cell;
    cr_assert_eq(figures.restarts, 0);
    for (uint32_t i = 1; i <= 5; i++) {
        tell(ref, MESSAGE_die);
        ref = await_other("a", ref);
        figures = (actor_figures_t){.name = "a"};
        node_figures(node, find_restarts, &figures);
        cr_assert_str_eq(figures.cell, cell);
        cr_assert_eq(figures.restarts, i);
    }
}

Test(supervisor, brings_a_child_back_to_its_cell_and_counts_how_often)
{
    play(return_to_the_cell);
}

/* --- children that fail ---------------------------------------------------------------------- */

static void fail_in_init(void)
{
    atomic_store(&b.init_failures, 3);
    start_abc(CAPSTAN_REST_FOR_ONE);
    cr_assert_str_eq(trace(), "abc");
}

Test(supervisor, waits_for_a_child_whose_init_fails_for_a_while)
{
    play(fail_in_init);
}

static void fail_in_init_for_ever(void)
{
    capstan_child_t children[] = {child_of(&a), child_of(&b), child_of(&c)};
    capstan_ref_t ref;
    children[1].restarts_max = 4;
    atomic_store(&b.init_failures, INT32_MAX);
    cr_assert_eq(try_to_start(CAPSTAN_ONE_FOR_ONE, children, 3, &ref), CAPSTAN_E_RESTART_LIMIT);
    cr_assert_str_eq(trace(), "aA");
    while (live_actors() > 0) {
        sched_yield();
    }
    cr_assert_eq(INT32_MAX - atomic_load(&b.init_failures), 5, "the first start and its budget");
    cr_assert_eq(capstan_node_resolve(node, "b", &ref), CAPSTAN_E_NOT_FOUND);
    atomic_store(&b.init_failures, 0);
    start_abc(CAPSTAN_ONE_FOR_ONE); /* its name and theirs are free */
}

Test(supervisor, gives_up_when_an_init_fails_for_ever_and_leaves_nothing)
{
    play(fail_in_init_for_ever);
}

static void fail_in_every_message(void)
{
    capstan_child_t children[] = {child_of(&a), child_of(&b)};
    children[1].restarts_max = 20;
    start(CAPSTAN_ONE_FOR_ONE, children, 2);
    capstan_ref_t ref = resolve("b");
    for (int i = 0; i < 20; i++) {
        tell(ref, MESSAGE_die);
        ref = await_other("b", ref);
    }
    tell(ref, MESSAGE_die);
    while (live_actors() > 0) {
        sched_yield();
    }
    cr_assert_eq(trace()[strlen(trace()) - 1], 'A', "its sibling was stopped");
}

Test(supervisor, gives_up_when_a_child_fails_in_every_message)
{
    play(fail_in_every_message);
}

static void fail_in_stop(void)
{
    b.fails_in_stop = true;
    c.ignores_stop = true;
    capstan_child_t children[] = {child_of(&a), child_of(&b), child_of(&c)};
    children[2].stop_us = 1000;
    start(CAPSTAN_ONE_FOR_ALL, children, 3);
    tell(resolve("a"), MESSAGE_die);
    await_trace("abcACBabc");
    stop_node();
    cr_assert_str_eq(trace(), "abcACBabcCBA");
}

Test(supervisor, gets_past_children_that_fail_or_resist_when_they_are_stopped)
{
    play(fail_in_stop);
}

static void stop_without_asking(void)
{
    c.ignores_stop = true;
    capstan_child_t child = child_of(&c);
    child.stop_us = -1;
    start(CAPSTAN_ONE_FOR_ONE, &child, 1);
    stop_node();
    cr_assert_str_eq(trace(), "cC");
}

Test(supervisor, ends_a_child_that_is_given_no_time_to_stop)
{
    play(stop_without_asking);
}

static capstan_err_t cut_loose(capstan_actor_t *self, const capstan_message_t *message)
{
    if (message->message == MESSAGE_die) {
        return CAPSTAN_E_INTERNAL;
    }
    capstan_ref_t supervisor;
    cr_assert_eq(capstan_resolve(self, "tree", &supervisor), CAPSTAN_OK);
    capstan_unlink(self, supervisor);
    capstan_demonitor(self, supervisor);
    cr_assert_eq(capstan_tell(self, supervisor, MESSAGE_started, (slice_t){0}), CAPSTAN_OK);
    capstan_reply(self, message, MESSAGE_ping, (slice_t){0});
    return CAPSTAN_OK;
}

static void unlink_from_the_supervisor(void)
{
    static const capstan_behaviour_t behaviour = {.name = "loose", .receive = cut_loose};
    capstan_child_t child = child_of(&a);
    child.behaviour = &behaviour;
    start(CAPSTAN_ONE_FOR_ONE, &child, 1);
    capstan_ref_t old = resolve("a");
    tell(old, MESSAGE_die);
    await_other("a", old);
}

Test(supervisor, is_not_confused_by_a_child_that_tries_to_cut_loose)
{
    play(unlink_from_the_supervisor);
}

/* --- the log --------------------------------------------------------------------------------- */

static size_t count_lines(const char *text, const char *what)
{
    size_t count = 0;
    for (const char *at = text; (at = strstr(at, what)); at++) {
        count++;
    }
    return count;
}

Test(supervisor, tells_a_crash_loop_in_three_lines)
{
    int file = memfd_create("stderr", MFD_CLOEXEC);
    int before = dup(STDERR_FILENO);
    cr_assert(file >= 0 && before >= 0 && dup2(file, STDERR_FILENO) >= 0);
    cr_assert_eq(capstan_node_new(NULL, &node), CAPSTAN_OK);
    capstan_child_t child = child_of(&a);
    child.restarts_max = 500;
    atomic_store(&a.init_failures, INT32_MAX);
    capstan_ref_t ref;
    capstan_err_t err = try_to_start(CAPSTAN_ONE_FOR_ONE, &child, 1, &ref);
    stop_node();
    dup2(before, STDERR_FILENO);
    cr_assert_eq(err, CAPSTAN_E_RESTART_LIMIT);
    static char text[65536];
    cr_assert_geq(pread(file, text, sizeof text - 1, 0), 0);
    cr_assert_eq(count_lines(text, "runtime.child_failed"), 1, "%s", text);
    cr_assert_eq(count_lines(text, "runtime.child_loops"), 1, "%s", text);
    cr_assert_eq(count_lines(text, "runtime.restart_limit"), 1, "%s", text);
    cr_assert_eq(count_lines(text, "\n"), 3, "%s", text);
}

/* --- supervisors of supervisors -------------------------------------------------------------- */

static capstan_child_t supervisor_of(const char *name, const capstan_supervisor_options_t *options)
{
    return (capstan_child_t){
        .behaviour = &capstan_supervisor_behaviour,
        .spawn = {.name = name,
                  .cell = several_cells ? name : NULL,
                  .argument = (void *)(uintptr_t)options},
        .restarts_max = 2,
        .backoff_us_min = 1,
        .backoff_us_max = 2,
    };
}

static void nest(void)
{
    capstan_child_t inner_children[] = {child_of(&a), child_of(&b)};
    const capstan_supervisor_options_t inner = {
        .strategy = CAPSTAN_ONE_FOR_ALL, .children = inner_children, .child_count = 2};
    inner_children[1].restarts_max = CAPSTAN_RESTARTS_NONE;
    capstan_child_t children[] = {supervisor_of("inner", &inner), child_of(&c)};
    start(CAPSTAN_ONE_FOR_ONE, children, 2);
    cr_assert_str_eq(trace(), "abc", "the inner one has started when its children are up");
    capstan_ref_t ref = resolve("b");
    for (int i = 0; i < 2; i++) {
        tell(ref, MESSAGE_die); /* the inner one gives up, and is started again */
        ref = await_other("b", ref);
    }
    cr_assert_str_eq(trace(), "abcBAabBAab");
    tell(ref, MESSAGE_die); /* the outer one gives up as well */
    while (live_actors() > 0) {
        sched_yield();
    }
    cr_assert_str_eq(trace(), "abcBAabBAabBAC");
}

Test(supervisor, hands_a_failure_up_when_it_gives_up)
{
    play(nest);
}

/* An actor that kills whom it is told to kill. */
static capstan_err_t kill(capstan_actor_t *self, const capstan_message_t *message)
{
    capstan_ref_t victim;
    memcpy(&victim, message->body.data, sizeof victim);
    (void)!capstan_stop(self, victim, 0);
    capstan_reply(self, message, MESSAGE_ping, (slice_t){0});
    return CAPSTAN_OK;
}

static void kill_now(capstan_ref_t victim)
{
    static const capstan_behaviour_t behaviour = {.name = "killer", .receive = kill};
    capstan_ref_t killer;
    void *body;
    size_t size;
    cr_assert_eq(
        capstan_node_spawn(node, &behaviour, &(capstan_spawn_options_t){.cell = "killer"}, &killer),
        CAPSTAN_OK);
    cr_assert_eq(capstan_node_ask(node, killer, MESSAGE_die, (slice_t){&victim, sizeof victim},
                                  WAIT_US, &body, &size),
                 CAPSTAN_OK);
    free(body);
}

static void kill_a_supervisor(void)
{
    capstan_child_t inner_children[] = {child_of(&a), child_of(&b)};
    const capstan_supervisor_options_t inner = {.children = inner_children, .child_count = 2};
    capstan_child_t children[] = {supervisor_of("inner", &inner)};
    children[0].restarts_max = CAPSTAN_RESTARTS_MAX;
    capstan_ref_t tree = start(CAPSTAN_ONE_FOR_ONE, children, 1);
    capstan_ref_t old = resolve("b");
    capstan_ref_t supervisor;
    cr_assert_eq(capstan_node_resolve(node, "inner", &supervisor), CAPSTAN_OK);
    kill_now(supervisor);
    await_gone(old);
    old = await_other("b", old);
    kill_now(tree); /* nobody starts this one again: everything below goes with it */
    while (live_actors() > 2) {
        sched_yield();
    }
    cr_assert_eq(ping(old), CAPSTAN_E_GONE);
    start_abc(CAPSTAN_ONE_FOR_ONE);
}

Test(supervisor, takes_its_children_with_it_when_it_is_killed)
{
    play(kill_a_supervisor);
}

/* --- further children ------------------------------------------------------------------------ */

static void add_and_remove(void)
{
    capstan_child_t child = child_of(&a);
    capstan_ref_t tree = start(CAPSTAN_ONE_FOR_ONE, &child, 1);
    capstan_ref_t ref;
    capstan_child_t further = child_of(&b);
    cr_assert_eq(capstan_node_supervisor_start_child(node, tree, &further, WAIT_US, &ref),
                 CAPSTAN_OK);
    cr_assert_eq(ping(ref), CAPSTAN_OK);
    cr_assert(capstan_ref_equal(ref, resolve("b")));
    tell(ref, MESSAGE_die);
    await_other("b", ref);
    cr_assert_eq(capstan_node_supervisor_start_child(node, tree, &further, WAIT_US, &ref),
                 CAPSTAN_E_EXISTS);
    cr_assert_eq(capstan_node_supervisor_stop_child(node, tree, "b", WAIT_US), CAPSTAN_OK);
    cr_assert_eq(capstan_node_supervisor_stop_child(node, tree, "b", WAIT_US), CAPSTAN_E_NOT_FOUND);
    cr_assert_eq(capstan_node_supervisor_start_child(node, tree, &further, WAIT_US, &ref),
                 CAPSTAN_OK);
    cr_assert_eq(capstan_node_supervisor_stop_child(node, tree, "a", WAIT_US), CAPSTAN_OK);
    stop_node();
    cr_assert_str_eq(trace(), "abBbBbAB");
}

Test(supervisor, starts_further_children_and_stops_single_ones_when_asked)
{
    play(add_and_remove);
}

static void refuse_children(void)
{
    capstan_ref_t tree = start(CAPSTAN_ONE_FOR_ONE, NULL, 0);
    capstan_ref_t ref;
    atomic_store(&a.init_failures, INT32_MAX);
    capstan_child_t child = child_of(&a);
    cr_assert_eq(capstan_node_supervisor_start_child(node, tree, &child, WAIT_US, &ref),
                 CAPSTAN_E_STORE_IO, "its init's error");
    child = child_of(&b);
    child.spawn.name = "tree";
    cr_assert_eq(capstan_node_supervisor_start_child(node, tree, &child, WAIT_US, &ref),
                 CAPSTAN_E_EXISTS, "an actor has this name");
    capstan_child_t wrong[10];
    for (size_t i = 0; i < 10; i++) {
        wrong[i] = child_of(&b);
    }
    static const capstan_behaviour_t deaf = {.name = "deaf"};
    wrong[0].behaviour = NULL;
    wrong[1].behaviour = &deaf;
    wrong[2].spawn.name = NULL;
    wrong[3].spawn.name = "no/name";
    wrong[4].restart = (capstan_restart_t)3;
    wrong[5].restarts_max = CAPSTAN_RESTARTS_MAX + 1;
    wrong[6].window_us = -1;
    wrong[7].backoff_us_min = -1;
    wrong[8].backoff_us_min = 3;
    wrong[9].spawn.name = "a-name-of-sixty-four-bytes-which-is-one-more-than-a-name-can-have";
    for (size_t i = 0; i < 10; i++) {
        cr_assert_eq(capstan_node_supervisor_start_child(node, tree, &wrong[i], WAIT_US, &ref),
                     CAPSTAN_E_INVALID, "number %zu", i);
    }
    cr_assert_eq(capstan_node_supervisor_stop_child(node, tree, "", WAIT_US), CAPSTAN_E_NOT_FOUND);
    cr_assert_eq(ping(tree), CAPSTAN_E_UNKNOWN_MESSAGE);
    cr_assert_eq(live_actors(), 1);
}

Test(supervisor, says_why_it_does_not_start_a_child)
{
    play(refuse_children);
}

/* Has a child started, and another stopped, and says how that went. */
typedef struct client {
    capstan_child_t child;
    capstan_ref_t tree;
    capstan_message_t request;
    int answers;
} client_t;

static capstan_err_t try_receive(capstan_actor_t *self, const capstan_message_t *message)
{
    client_t *client = capstan_actor_state(self);
    uint64_t ask;
    capstan_ref_t ref = {0};
    if (message->message == MESSAGE_try) {
        client->request = *message;
        return capstan_supervisor_start_child(self, client->tree, &client->child, WAIT_US, &ask);
    }
    cr_assert_eq(capstan_supervisor_answer(message, &ref), CAPSTAN_OK);
    client->answers++;
    if (client->answers == 1) {
        cr_assert(!capstan_ref_is_null(ref));
        return capstan_supervisor_stop_child(self, client->tree, client->child.spawn.name, WAIT_US,
                                             &ask);
    }
    capstan_reply(self, &client->request, MESSAGE_ping, (slice_t){0});
    return CAPSTAN_OK;
}

static capstan_err_t try_init(capstan_actor_t *self, void *argument)
{
    client_t *client = argument;
    capstan_actor_set_state(self, client);
    const capstan_child_t child = child_of(&a);
    return capstan_supervisor_spawn(
        self, &(capstan_supervisor_options_t){.children = &child, .child_count = 1},
        &(capstan_spawn_options_t){.name = "tree"}, &client->tree);
}

static void ask_from_an_actor(void)
{
    static const capstan_behaviour_t behaviour = {
        .name = "client", .init = try_init, .receive = try_receive};
    client_t client = {.child = child_of(&b)};
    capstan_ref_t ref;
    void *body;
    size_t size;
    cr_assert_eq(
        capstan_node_spawn(node, &behaviour,
                           &(capstan_spawn_options_t){.cell = "client", .argument = &client}, &ref),
        CAPSTAN_OK);
    cr_assert_eq(capstan_node_ask(node, ref, MESSAGE_try, (slice_t){0}, WAIT_US, &body, &size),
                 CAPSTAN_OK);
    free(body);
    resolve("a");
    cr_assert_eq(client.answers, 2);
}

Test(supervisor, answers_actors_that_ask_for_children)
{
    play(ask_from_an_actor);
}

/* --- the node stops -------------------------------------------------------------------------- */

static void stop_while_it_starts(void)
{
    capstan_child_t child = child_of(&a);
    child.backoff_us_min = child.backoff_us_max = WAIT_US;
    atomic_store(&a.init_failures, INT32_MAX);
    capstan_ref_t ref;
    cr_assert_eq(
        capstan_node_spawn(
            node, &capstan_supervisor_behaviour,
            &(capstan_spawn_options_t){
                .cell = "tree",
                .argument = &(capstan_supervisor_options_t){.children = &child, .child_count = 1}},
            &ref),
        CAPSTAN_OK);
    stop_node();
    cr_assert_str_eq(trace(), "");
}

Test(supervisor, can_be_stopped_while_its_first_child_does_not_come_up)
{
    play(stop_while_it_starts);
}

/* Its sibling, behind it, keeps the supervisor waiting while it fails. */
static void fail_while_the_node_stops(void)
{
    b.ignores_stop = true;
    capstan_child_t children[] = {child_of(&a), child_of(&b)};
    children[1].stop_us = INT64_MAX;
    start(CAPSTAN_ONE_FOR_ONE, children, 2);
    capstan_ref_t first = resolve("a");
    capstan_ref_t second = resolve("b");
    capstan_err_t err = capstan_node_stop(&node, 20000, NULL, NULL);
    cr_assert_eq(err, CAPSTAN_E_STOP_TIMEOUT);
    tell(first, MESSAGE_die);
    await_gone(first);
    tell(second, MESSAGE_leave);
    stop_node();
    cr_assert_str_eq(trace(), "abAB");
}

Test(supervisor, starts_nobody_again_while_it_stops)
{
    play(fail_while_the_node_stops);
}

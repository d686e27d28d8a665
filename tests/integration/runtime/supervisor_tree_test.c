/* Supervisors of supervisors, children that are added and removed while they run, and a node that
 * stops in the middle of it. */
#include "tests/integration/runtime/tree_kit.h"

#include <stdlib.h>

enum { MESSAGE_try = 0x8100 }; /* request to a client: see try_receive */

/* --- supervisors of supervisors -------------------------------------------------------------- */

static capstan_child_t supervisor_of(const char *name, const capstan_supervisor_options_t *options)
{
    return (capstan_child_t){
        .behaviour = &capstan_supervisor_behaviour,
        .spawn = {.name = name,
                  .cell = tree.several_cells ? name : NULL,
                  .argument = (void *)(uintptr_t)options},
        .restarts_max = 2,
        .backoff_us_min = 1,
        .backoff_us_max = 2,
    };
}

static void nest(void)
{
    capstan_child_t inner_children[] = {tree_child(&tree.a), tree_child(&tree.b)};
    const capstan_supervisor_options_t inner = {
        .strategy = CAPSTAN_ONE_FOR_ALL, .children = inner_children, .child_count = 2};
    inner_children[1].restarts_max = CAPSTAN_RESTARTS_NONE;
    capstan_child_t children[] = {supervisor_of("inner", &inner), tree_child(&tree.c)};
    tree_start(CAPSTAN_ONE_FOR_ONE, children, 2);
    cr_assert_str_eq(tree_trace(), "abc", "the inner one has started when its children are up");
    capstan_ref_t ref = tree_resolve("b");
    for (int i = 0; i < 2; i++) {
        tree_tell(ref, MESSAGE_die); /* the inner one gives up, and is started again */
        ref = tree_await_other("b", ref);
    }
    cr_assert_str_eq(tree_trace(), "abcBAabBAab");
    tree_tell(ref, MESSAGE_die); /* the outer one gives up as well */
    tree_await_nobody();
    cr_assert_str_eq(tree_trace(), "abcBAabBAabBAC");
}

Test(supervisor_tree, hands_a_failure_up_when_it_gives_up)
{
    tree_play(nest);
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
    cr_assert_eq(capstan_node_spawn(tree.node, &behaviour,
                                    &(capstan_spawn_options_t){.cell = "killer"}, &killer),
                 CAPSTAN_OK);
    cr_assert_eq(capstan_node_ask(tree.node, killer, MESSAGE_die, (slice_t){&victim, sizeof victim},
                                  WAIT_US, &body, &size),
                 CAPSTAN_OK);
    free(body);
}

static void kill_a_supervisor(void)
{
    capstan_child_t inner_children[] = {tree_child(&tree.a), tree_child(&tree.b)};
    const capstan_supervisor_options_t inner = {.children = inner_children, .child_count = 2};
    capstan_child_t children[] = {supervisor_of("inner", &inner)};
    children[0].restarts_max = CAPSTAN_RESTARTS_MAX;
    capstan_ref_t top = tree_start(CAPSTAN_ONE_FOR_ONE, children, 1);
    capstan_ref_t old = tree_resolve("b");
    capstan_ref_t supervisor;
    cr_assert_eq(capstan_node_resolve(tree.node, "inner", &supervisor), CAPSTAN_OK);
    kill_now(supervisor);
    tree_await_gone(old);
    old = tree_await_other("b", old);
    kill_now(top); /* nobody starts this one again: everything below goes with it */
    while (tree_actors() > 2) {
        sched_yield();
    }
    cr_assert_eq(tree_ping(old), CAPSTAN_E_GONE);
    tree_start_abc(CAPSTAN_ONE_FOR_ONE);
}

Test(supervisor_tree, takes_its_children_with_it_when_it_is_killed)
{
    tree_play(kill_a_supervisor);
}

/* --- further children ------------------------------------------------------------------------ */

static void add_and_remove(void)
{
    capstan_child_t child = tree_child(&tree.a);
    capstan_ref_t top = tree_start(CAPSTAN_ONE_FOR_ONE, &child, 1);
    capstan_ref_t ref;
    capstan_child_t further = tree_child(&tree.b);
    cr_assert_eq(capstan_node_supervisor_start_child(tree.node, top, &further, WAIT_US, &ref),
                 CAPSTAN_OK);
    cr_assert_eq(tree_ping(ref), CAPSTAN_OK);
    cr_assert(capstan_ref_equal(ref, tree_resolve("b")));
    tree_tell(ref, MESSAGE_die);
    tree_await_other("b", ref);
    cr_assert_eq(capstan_node_supervisor_start_child(tree.node, top, &further, WAIT_US, &ref),
                 CAPSTAN_E_EXISTS);
    cr_assert_eq(capstan_node_supervisor_stop_child(tree.node, top, "b", WAIT_US), CAPSTAN_OK);
    cr_assert_eq(capstan_node_supervisor_stop_child(tree.node, top, "b", WAIT_US),
                 CAPSTAN_E_NOT_FOUND);
    cr_assert_eq(capstan_node_supervisor_start_child(tree.node, top, &further, WAIT_US, &ref),
                 CAPSTAN_OK);
    cr_assert_eq(capstan_node_supervisor_stop_child(tree.node, top, "a", WAIT_US), CAPSTAN_OK);
    tree_stop_node();
    cr_assert_str_eq(tree_trace(), "abBbBbAB");
}

Test(supervisor_tree, starts_further_children_and_stops_single_ones_when_asked)
{
    tree_play(add_and_remove);
}

static void refuse_children(void)
{
    capstan_ref_t top = tree_start(CAPSTAN_ONE_FOR_ONE, NULL, 0);
    capstan_ref_t ref;
    atomic_store(&tree.a.init_failures, INT32_MAX);
    capstan_child_t child = tree_child(&tree.a);
    cr_assert_eq(capstan_node_supervisor_start_child(tree.node, top, &child, WAIT_US, &ref),
                 CAPSTAN_E_STORE_IO, "its init's error");
    child = tree_child(&tree.b);
    child.spawn.name = "tree";
    cr_assert_eq(capstan_node_supervisor_start_child(tree.node, top, &child, WAIT_US, &ref),
                 CAPSTAN_E_EXISTS, "an actor has this name");
    capstan_child_t wrong[10];
    for (size_t i = 0; i < 10; i++) {
        wrong[i] = tree_child(&tree.b);
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
        cr_assert_eq(capstan_node_supervisor_start_child(tree.node, top, &wrong[i], WAIT_US, &ref),
                     CAPSTAN_E_INVALID, "number %zu", i);
    }
    cr_assert_eq(capstan_node_supervisor_stop_child(tree.node, top, "", WAIT_US),
                 CAPSTAN_E_NOT_FOUND);
    cr_assert_eq(tree_ping(top), CAPSTAN_E_UNKNOWN_MESSAGE);
    cr_assert_eq(tree_actors(), 1);
}

Test(supervisor_tree, says_why_it_does_not_start_a_child)
{
    tree_play(refuse_children);
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
    const capstan_child_t child = tree_child(&tree.a);
    return capstan_supervisor_spawn(
        self, &(capstan_supervisor_options_t){.children = &child, .child_count = 1},
        &(capstan_spawn_options_t){.name = "tree"}, &client->tree);
}

static void ask_from_an_actor(void)
{
    static const capstan_behaviour_t behaviour = {
        .name = "client", .init = try_init, .receive = try_receive};
    client_t client = {.child = tree_child(&tree.b)};
    capstan_ref_t ref;
    void *body;
    size_t size;
    cr_assert_eq(
        capstan_node_spawn(tree.node, &behaviour,
                           &(capstan_spawn_options_t){.cell = "client", .argument = &client}, &ref),
        CAPSTAN_OK);
    cr_assert_eq(capstan_node_ask(tree.node, ref, MESSAGE_try, (slice_t){0}, WAIT_US, &body, &size),
                 CAPSTAN_OK);
    free(body);
    tree_resolve("a");
    cr_assert_eq(client.answers, 2);
}

Test(supervisor_tree, answers_actors_that_ask_for_children)
{
    tree_play(ask_from_an_actor);
}

/* --- the node stops -------------------------------------------------------------------------- */

static capstan_err_t init_late(capstan_actor_t *self, void *argument)
{
    (void)argument;
    actor_defer_started(self);
    return CAPSTAN_OK;
}

static capstan_err_t init_starter(capstan_actor_t *self, void *argument)
{
    capstan_ref_t ref;
    return capstan_supervisor_spawn(self, argument, &(capstan_spawn_options_t){.cell = "tree"},
                                    &ref);
}

/* The first child never says that it has come up. */
static void stop_while_it_starts(void)
{
    static const capstan_behaviour_t late = {
        .name = "late", .init = init_late, .receive = tree_member_receive};
    static const capstan_behaviour_t starter = {
        .name = "starter", .init = init_starter, .receive = tree_member_receive};
    capstan_child_t children[] = {tree_child(&tree.a), tree_child(&tree.b)};
    children[0].behaviour = &late;
    capstan_supervisor_options_t options = {.children = children, .child_count = 2};
    capstan_ref_t ref;
    cr_assert_eq(capstan_node_spawn(tree.node, &starter,
                                    &(capstan_spawn_options_t){.argument = &options}, &ref),
                 CAPSTAN_OK);
    tree_resolve("a");
    tree_stop_node();
    cr_assert_str_eq(tree_trace(), "", "the second one was never started");
}

Test(supervisor_tree, can_be_stopped_while_its_first_child_does_not_come_up)
{
    tree_play(stop_while_it_starts);
}

static void nest_what_does_not_come_up(void)
{
    capstan_child_t inner_children[] = {tree_child(&tree.a), tree_child(&tree.b)};
    const capstan_supervisor_options_t inner = {.children = inner_children, .child_count = 2};
    capstan_child_t children[] = {tree_child(&tree.c), supervisor_of("inner", &inner)};
    capstan_ref_t ref;
    atomic_store(&tree.b.init_failures, 1);
    cr_assert_eq(tree_try(CAPSTAN_ONE_FOR_ONE, children, 2, &ref), CAPSTAN_E_STORE_IO);
    tree_await_nobody();
    cr_assert_str_eq(tree_trace(), "caAC");
}

Test(supervisor_tree, tells_the_error_of_a_first_init_up_to_who_started_the_tree)
{
    tree_play(nest_what_does_not_come_up);
}

/* Its sibling, behind it, keeps the supervisor waiting while it fails. */
static void fail_while_the_node_stops(void)
{
    tree.b.ignores_stop = true;
    capstan_child_t children[] = {tree_child(&tree.a), tree_child(&tree.b)};
    children[1].stop_us = INT64_MAX;
    tree_start(CAPSTAN_ONE_FOR_ONE, children, 2);
    capstan_ref_t first = tree_resolve("a");
    capstan_ref_t second = tree_resolve("b");
    capstan_err_t err = capstan_node_stop(&tree.node, 20000, NULL, NULL);
    cr_assert_eq(err, CAPSTAN_E_STOP_TIMEOUT);
    tree_tell(first, MESSAGE_die);
    tree_await_trace("abA"); /* questions are refused during a stop */
    tree_tell(second, MESSAGE_leave);
    tree_stop_node();
    cr_assert_str_eq(tree_trace(), "abAB");
}

Test(supervisor_tree, starts_nobody_again_while_it_stops)
{
    tree_play(fail_while_the_node_stops);
}

#include "tests/integration/runtime/tree_kit.h"

#include <stdlib.h>

enum { TRACE_BYTES = 4096 };

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

const char *tree_trace(void)
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

capstan_err_t tree_member_receive(capstan_actor_t *self, const capstan_message_t *message)
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
                                                     .receive = tree_member_receive,
                                                     .timer = timer,
                                                     .stop = stop,
                                                     .destroy = destroy};

/* --- the stage ------------------------------------------------------------------------------- */

tree_t tree;

void tree_play(void (*act)(void))
{
    for (int i = 0; i < 4; i++) {
        tree.a = (member_t){.letter = 'a'};
        tree.b = (member_t){.letter = 'b'};
        tree.c = (member_t){.letter = 'c'};
        forget_trace();
        tree.several_cells = i & 1;
        cr_assert_eq(capstan_node_new(&(capstan_node_options_t){.strict_wire = i & 2}, &tree.node),
                     CAPSTAN_OK);
        act();
        cr_assert_eq(capstan_node_stop(&tree.node, WAIT_US, NULL, NULL), CAPSTAN_OK);
    }
}

capstan_child_t tree_child(member_t *member)
{
    static char names[26][2];
    static const char *const cells[] = {"one", "two", "three"};
    char *name = names[member->letter - 'a'];
    name[0] = member->letter;
    return (capstan_child_t){
        .behaviour = &member_behaviour,
        .spawn = {.name = name,
                  .cell = tree.several_cells ? cells[member->letter % 3] : NULL,
                  .argument = member},
        .restarts_max = CAPSTAN_RESTARTS_MAX,
        .backoff_us_min = 1,
        .backoff_us_max = 2,
    };
}

capstan_err_t tree_try(capstan_strategy_t strategy, const capstan_child_t *children, size_t count,
                       capstan_ref_t *ret_ref)
{
    return capstan_node_supervisor_spawn(
        tree.node,
        &(capstan_supervisor_options_t){
            .strategy = strategy, .children = children, .child_count = count},
        &(capstan_spawn_options_t){.name = "tree", .cell = "tree"}, ret_ref);
}

capstan_ref_t tree_start(capstan_strategy_t strategy, const capstan_child_t *children, size_t count)
{
    capstan_ref_t ref;
    cr_assert_eq(tree_try(strategy, children, count, &ref), CAPSTAN_OK);
    return ref;
}

capstan_ref_t tree_start_abc(capstan_strategy_t strategy)
{
    const capstan_child_t children[] = {tree_child(&tree.a), tree_child(&tree.b),
                                        tree_child(&tree.c)};
    return tree_start(strategy, children, 3);
}

capstan_err_t tree_ping(capstan_ref_t ref)
{
    void *body;
    size_t size;
    capstan_err_t err =
        capstan_node_ask(tree.node, ref, MESSAGE_ping, (slice_t){0}, WAIT_US, &body, &size);
    if (err == CAPSTAN_OK) {
        free(body);
    }
    return err;
}

capstan_ref_t tree_await_other(const char *name, capstan_ref_t old)
{
    capstan_ref_t ref;
    while (capstan_node_resolve(tree.node, name, &ref) != CAPSTAN_OK ||
           capstan_ref_equal(ref, old) || tree_ping(ref) != CAPSTAN_OK) {
        sched_yield();
    }
    return ref;
}

capstan_ref_t tree_resolve(const char *name)
{
    return tree_await_other(name, (capstan_ref_t){0});
}

void tree_tell(capstan_ref_t ref, uint32_t message)
{
    cr_assert_eq(capstan_node_tell(tree.node, ref, message, (slice_t){0}), CAPSTAN_OK);
}

void tree_await_gone(capstan_ref_t ref)
{
    while (tree_ping(ref) != CAPSTAN_E_GONE) {
        sched_yield();
    }
}

void tree_await_trace(const char *wanted)
{
    while (strlen(tree_trace()) < strlen(wanted)) {
        sched_yield();
    }
    cr_assert_str_eq(tree_trace(), wanted);
}

void tree_stop_node(void)
{
    cr_assert_eq(capstan_node_stop(&tree.node, WAIT_US, NULL, NULL), CAPSTAN_OK);
}

static void count_actor(void *context, const actor_figures_t *figures)
{
    *(size_t *)context += strcmp(figures->name, ".port") != 0;
}

size_t tree_actors(void)
{
    size_t count = 0;
    node_figures(tree.node, count_actor, &count);
    return count;
}

void tree_await_nobody(void)
{
    while (tree_actors() > 0) {
        sched_yield();
    }
}

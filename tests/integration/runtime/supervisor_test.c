/* Supervisors on real threads: order of start and stop, restarts, giving up, what the log says, and
 * children that fail in every way. */
#include "runtime/runtime_messages.h"
#include "runtime/telemetry/log.h"
#include "tests/integration/runtime/tree_kit.h"

#include <sys/mman.h>
#include <unistd.h>

/* --- order and strategies -------------------------------------------------------------------- */

static void start_and_stop(void)
{
    tree_start_abc(CAPSTAN_ONE_FOR_ONE);
    cr_assert_str_eq(tree_trace(), "abc", "all are up when the call returns");
    tree_stop_node();
    cr_assert_str_eq(tree_trace(), "abcCBA");
}

Test(supervisor, starts_its_children_in_order_and_stops_them_in_reverse)
{
    tree_play(start_and_stop);
}

static void restart_one(void)
{
    tree_start_abc(CAPSTAN_ONE_FOR_ONE);
    capstan_ref_t old = tree_resolve("b");
    tree_tell(old, MESSAGE_die);
    capstan_ref_t now = tree_await_other("b", old);
    cr_assert_str_eq(tree_trace(), "abcBb");
    cr_assert_eq(tree_ping(old), CAPSTAN_E_GONE);
    tree_tell(now, MESSAGE_leave);
    tree_await_other("b", now);
    cr_assert_str_eq(tree_trace(), "abcBbBb", "a permanent child returns also after a normal end");
}

Test(supervisor, starts_a_child_that_ended_again_with_a_new_reference)
{
    tree_play(restart_one);
}

static void restart_all(void)
{
    tree_start_abc(CAPSTAN_ONE_FOR_ALL);
    tree_tell(tree_resolve("b"), MESSAGE_die);
    tree_await_trace("abcBCAabc");
}

Test(supervisor, starts_all_children_again_when_one_fails)
{
    tree_play(restart_all);
}

static void restart_rest(void)
{
    tree_start_abc(CAPSTAN_REST_FOR_ONE);
    tree_tell(tree_resolve("b"), MESSAGE_die);
    tree_await_trace("abcBCbc");
}

Test(supervisor, starts_the_rest_again_when_one_fails)
{
    tree_play(restart_rest);
}

static void end_each_kind(void)
{
    capstan_child_t children[] = {tree_child(&tree.a), tree_child(&tree.b), tree_child(&tree.c)};
    children[0].restart = CAPSTAN_RESTART_TRANSIENT;
    children[1].restart = CAPSTAN_RESTART_TEMPORARY;
    tree_start(CAPSTAN_ONE_FOR_ONE, children, 3);
    capstan_ref_t old = tree_resolve("a");
    tree_tell(old, MESSAGE_die);
    old = tree_await_other("a", old);
    tree_tell(old, MESSAGE_leave);
    tree_await_gone(old);
    tree_tell(tree_resolve("b"), MESSAGE_die);
    tree_await_trace("abcAaAB");
    old = tree_resolve("c");
    tree_tell(old, MESSAGE_die); /* whoever would return has had its time */
    tree_await_other("c", old);
    cr_assert_str_eq(tree_trace(), "abcAaABCc");
    cr_assert_eq(tree_actors(), 2);
}

Test(supervisor, starts_transient_and_temporary_children_again_only_when_it_should)
{
    tree_play(end_each_kind);
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
    capstan_child_t child = tree_child(&tree.a);
    child.spawn.cell = NULL;
    child.spawn.placement = CAPSTAN_PLACE_SPREAD;
    tree_start(CAPSTAN_ONE_FOR_ONE, &child, 1);
    capstan_ref_t ref = tree_resolve("a");
    actor_figures_t figures = {.name = "a"};
    node_figures(tree.node, find_restarts, &figures);
    const char *cell = figures.cell;
    cr_assert_eq(figures.restarts, 0);
    for (uint32_t i = 1; i <= 5; i++) {
        tree_tell(ref, MESSAGE_die);
        ref = tree_await_other("a", ref);
        figures = (actor_figures_t){.name = "a"};
        node_figures(tree.node, find_restarts, &figures);
        cr_assert_str_eq(figures.cell, cell);
        cr_assert_eq(figures.restarts, i);
    }
}

Test(supervisor, brings_a_child_back_to_its_cell_and_counts_how_often)
{
    tree_play(return_to_the_cell);
}

/* --- children that fail ---------------------------------------------------------------------- */

static void fail_in_later_inits(void)
{
    tree_start_abc(CAPSTAN_REST_FOR_ONE);
    atomic_store(&tree.b.init_failures, 3);
    tree_tell(tree_resolve("b"), MESSAGE_die);
    tree_await_trace("abcBCbc");
    cr_assert_eq(atomic_load(&tree.b.init_failures), 0);
}

Test(supervisor, tries_again_when_the_init_of_one_that_returns_fails)
{
    tree_play(fail_in_later_inits);
}

static void fail_in_the_first_init(void)
{
    capstan_child_t children[] = {tree_child(&tree.a), tree_child(&tree.b), tree_child(&tree.c)};
    capstan_ref_t ref;
    atomic_store(&tree.b.init_failures, 1);
    cr_assert_eq(tree_try(CAPSTAN_ONE_FOR_ONE, children, 3, &ref), CAPSTAN_E_STORE_IO);
    tree_await_nobody();
    cr_assert_str_eq(tree_trace(), "aA");
    cr_assert_eq(capstan_node_resolve(tree.node, "b", &ref), CAPSTAN_E_NOT_FOUND);
    tree_start_abc(CAPSTAN_ONE_FOR_ONE); /* the names are free */
}

Test(supervisor, does_not_come_up_when_a_first_init_fails_and_leaves_nothing)
{
    tree_play(fail_in_the_first_init);
}

static void fail_in_init_for_ever(void)
{
    capstan_child_t children[] = {tree_child(&tree.a), tree_child(&tree.b), tree_child(&tree.c)};
    children[1].restarts_max = 4;
    tree_start(CAPSTAN_ONE_FOR_ONE, children, 3);
    atomic_store(&tree.b.init_failures, INT32_MAX);
    tree_tell(tree_resolve("b"), MESSAGE_die);
    tree_await_nobody();
    cr_assert_eq(INT32_MAX - atomic_load(&tree.b.init_failures), 4, "its budget");
    cr_assert_str_eq(tree_trace(), "abcBCA");
}

Test(supervisor, gives_up_when_an_init_fails_for_ever)
{
    tree_play(fail_in_init_for_ever);
}

static void fail_in_every_message(void)
{
    capstan_child_t children[] = {tree_child(&tree.a), tree_child(&tree.b)};
    children[1].restarts_max = 20;
    tree_start(CAPSTAN_ONE_FOR_ONE, children, 2);
    capstan_ref_t ref = tree_resolve("b");
    for (int i = 0; i < 20; i++) {
        tree_tell(ref, MESSAGE_die);
        ref = tree_await_other("b", ref);
    }
    tree_tell(ref, MESSAGE_die);
    tree_await_nobody();
    cr_assert_eq(tree_trace()[strlen(tree_trace()) - 1], 'A', "its sibling was stopped");
}

Test(supervisor, gives_up_when_a_child_fails_in_every_message)
{
    tree_play(fail_in_every_message);
}

static void fail_in_stop(void)
{
    tree.b.fails_in_stop = true;
    tree.c.ignores_stop = true;
    capstan_child_t children[] = {tree_child(&tree.a), tree_child(&tree.b), tree_child(&tree.c)};
    children[2].stop_us = 1000;
    tree_start(CAPSTAN_ONE_FOR_ALL, children, 3);
    tree_tell(tree_resolve("a"), MESSAGE_die);
    tree_await_trace("abcACBabc");
    tree_stop_node();
    cr_assert_str_eq(tree_trace(), "abcACBabcCBA");
}

Test(supervisor, gets_past_children_that_fail_or_resist_when_they_are_stopped)
{
    tree_play(fail_in_stop);
}

static void stop_without_asking(void)
{
    tree.c.ignores_stop = true;
    capstan_child_t child = tree_child(&tree.c);
    child.stop_us = -1;
    tree_start(CAPSTAN_ONE_FOR_ONE, &child, 1);
    tree_stop_node();
    cr_assert_str_eq(tree_trace(), "cC");
}

Test(supervisor, ends_a_child_that_is_given_no_time_to_stop)
{
    tree_play(stop_without_asking);
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
    capstan_child_t child = tree_child(&tree.a);
    child.behaviour = &behaviour;
    tree_start(CAPSTAN_ONE_FOR_ONE, &child, 1);
    capstan_ref_t old = tree_resolve("a");
    tree_tell(old, MESSAGE_die);
    tree_await_other("a", old);
}

Test(supervisor, is_not_confused_by_a_child_that_tries_to_cut_loose)
{
    tree_play(unlink_from_the_supervisor);
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

/* Reads the log until its last line is `last`. */
static const char *read_log(int file, const char *last)
{
    static char text[65536];
    ssize_t size;
    do {
        sched_yield();
        size = pread(file, text, sizeof text - 1, 0);
        cr_assert_geq(size, 0);
        text[size] = 0;
    } while (!strstr(text, last));
    return text;
}

Test(supervisor, tells_a_crash_loop_in_three_lines)
{
    static log_event_t last = {.concern = "test", .name = "last", .listed = ATOMIC_FLAG_INIT};
    int file = memfd_create("log", MFD_CLOEXEC);
    cr_assert_geq(file, 0);
    log_redirect(file, LOG_FORMAT_JSON);
    tree.a = (member_t){.letter = 'a'};
    capstan_child_t child = tree_child(&tree.a);
    child.restarts_max = 500;
    cr_assert_eq(capstan_node_new(NULL, &tree.node), CAPSTAN_OK);
    tree_start(CAPSTAN_ONE_FOR_ONE, &child, 1);
    atomic_store(&tree.a.init_failures, INT32_MAX);
    tree_tell(tree_resolve("a"), MESSAGE_die);
    tree_await_nobody();
    tree_stop_node();
    log_write(&last, (const log_field_t[]){LOG_END});
    const char *text = read_log(file, "test.last");
    cr_assert_eq(count_lines(text, "runtime.child_failed"), 1, "%s", text);
    cr_assert_eq(count_lines(text, "runtime.child_loops"), 1, "%s", text);
    cr_assert_eq(count_lines(text, "runtime.restart_limit"), 1, "%s", text);
    /* A slow build's long turns are reported too. */
    size_t stalls = count_lines(text, "runtime.cell_");
    cr_assert_eq(count_lines(text, "\"event\"") - stalls, 4, "%s", text);
}

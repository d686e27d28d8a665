/* Goal: what status and top are told of an actor is what it does: how long its oldest message has
 * waited, also while its handler does not return, and what its handlers take. */
#include "runtime/base/clock.h"
#include "runtime/runtime.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    MESSAGE_wait = 0x8000, /* does not return until the test says so */
    MESSAGE_work,          /* takes WORK_NS */
    MESSAGE_nothing,
    WORK_NS = 3000000,
    STOP_US = 60000000,
};

static capstan_node_t *node;
static capstan_ref_t worker;
static int entered; /* eventfds */
static int released;

static void signal_fd(int fd)
{
    uint64_t one = 1;
    cr_assert_eq(write(fd, &one, sizeof one), (ssize_t)sizeof one);
}

static void wait_fd(int fd)
{
    uint64_t value;
    (void)!read(fd, &value, sizeof value);
}

static capstan_err_t receive(capstan_actor_t *self, const capstan_message_t *message)
{
    (void)self;
    if (message->message == MESSAGE_wait) {
        uint64_t one = 1;
        (void)!write(entered, &one, sizeof one);
        wait_fd(released);
    } else if (message->message == MESSAGE_work) {
        int64_t until_ns = clock_ns(CLOCK_MONOTONIC) + WORK_NS;
        while (clock_ns(CLOCK_MONOTONIC) < until_ns) {
        }
    }
    return CAPSTAN_OK;
}

static void start(void)
{
    static const capstan_behaviour_t behaviour = {.name = "worker", .receive = receive};
    entered = eventfd(0, 0);
    released = eventfd(0, 0);
    cr_assert_eq(capstan_node_new(NULL, &node), CAPSTAN_OK);
    cr_assert_eq(
        capstan_node_spawn(node, &behaviour, &(capstan_spawn_options_t){.cell = "cell"}, &worker),
        CAPSTAN_OK);
}

static void stop(void)
{
    cr_assert_eq(capstan_node_stop(&node, STOP_US, NULL, NULL), CAPSTAN_OK);
    close(entered);
    close(released);
}

static void tell(uint32_t message)
{
    cr_assert_eq(capstan_node_tell(node, worker, message, (slice_t){0}), CAPSTAN_OK);
}

static void take_worker(void *context, const actor_figures_t *figures)
{
    if (strcmp(figures->name, "worker") == 0) {
        *(actor_figures_t *)context = *figures;
    }
}

static actor_figures_t look(void)
{
    actor_figures_t figures = {.in_flight = UINT64_MAX};
    node_figures(node, take_worker, &figures);
    cr_assert_neq(figures.in_flight, UINT64_MAX);
    return figures;
}

/* Until everything is handled. */
static actor_figures_t look_at_rest(void)
{
    actor_figures_t figures;
    while ((figures = look()).in_flight > 0) {
        poll(NULL, 0, 1);
    }
    return figures;
}

Test(figures, tell_how_long_the_oldest_message_waits_for_a_handler_that_does_not_return)
{
    start();
    tell(MESSAGE_wait);
    wait_fd(entered);
    for (int i = 0; i < 5; i++) {
        tell(MESSAGE_nothing);
    }
    int64_t before_us = clock_us(CLOCK_MONOTONIC);
    actor_figures_t first = look();
    cr_assert_eq(first.in_flight, 5);
    actor_figures_t later;
    do {
        later = look();
    } while (later.age_us < first.age_us + 2000); /* it grows, as time does */
    int64_t passed_us = clock_us(CLOCK_MONOTONIC) - before_us;
    cr_assert(later.age_us - first.age_us <= passed_us + 1);
    signal_fd(released);
    actor_figures_t rest = look_at_rest();
    cr_assert_eq(rest.age_us, 0);
    cr_assert_eq(rest.account.delivered, 6);
    stop();
}

Test(figures, tell_what_handlers_take_while_somebody_watches)
{
    start();
    tell(MESSAGE_work);
    actor_figures_t unwatched = look_at_rest();
    cr_assert_eq(unwatched.runs, 0);
    cr_assert_eq(unwatched.busy_ns, 0);
    node_watch(node, STOP_US);
    actor_figures_t before;
    do { /* the cell hears of it at the beginning of a turn */
        tell(MESSAGE_nothing);
        before = look_at_rest();
    } while (before.runs == 0);
    tell(MESSAGE_work);
    actor_figures_t after;
    do { /* it is charged when the handler has returned */
        after = look_at_rest();
    } while (after.busy_ns < before.busy_ns + WORK_NS);
    cr_assert(after.runs > before.runs);
    stop();
}

static void count_one(void *context, const actor_figures_t *figures)
{
    (void)figures;
    ++*(uint32_t *)context;
}

Test(figures, are_told_in_pieces_that_leave_out_nobody)
{
    enum { ACTORS = 5000, PIECE = 700 };
    static const capstan_behaviour_t behaviour = {.name = "many", .receive = receive};
    start();
    for (int i = 0; i < ACTORS; i++) {
        capstan_ref_t ref;
        cr_assert_eq(
            capstan_node_spawn(node, &behaviour, &(capstan_spawn_options_t){.cell = "cell"}, &ref),
            CAPSTAN_OK);
    }
    uint32_t whole = 0;
    uint32_t pieces = 0;
    uint32_t place = 0;
    node_figures(node, count_one, &whole);
    cr_assert(whole > ACTORS);
    do {
        place = node_figures_from(node, place, PIECE, count_one, &pieces);
    } while (place > 0);
    cr_assert_eq(pieces, whole);
    stop();
}

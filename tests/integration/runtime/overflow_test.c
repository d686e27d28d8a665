/* What becomes of messages that do not fit: each policy, the priority lane, dead letters, and that
 * senders who wait for each other do not wait for ever. With and without strict_wire. */
#include "runtime/cell.h"

#include <criterion/criterion.h>
#include <capstan/node.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

enum {
    MESSAGE_number = 0x8000, /* body: a uint64_t */
    MESSAGE_report,          /* request: answered with the state */
    MESSAGE_open,            /* the gate: from now on it handles what waits */
    MESSAGE_start,
    STOP_US = 60000000,
    MAILBOX = 16,
};

typedef struct state {
    capstan_ref_t target;
    uint64_t next; /* to send */
    uint64_t goal;
    uint64_t burst; /* sent per handler */
    uint64_t received;
    uint64_t disorder;
    uint64_t last;
    uint64_t full; /* sends that were refused */
    uint64_t letters;
    uint64_t numbers[64]; /* the first ones that came */
    bool priority;
    bool use_spread;
} state_t;

static capstan_err_t init(capstan_actor_t *self, void *argument)
{
    state_t *state = malloc(sizeof *state);
    *state = *(const state_t *)argument;
    capstan_actor_set_state(self, state);
    return CAPSTAN_OK;
}

static void destroy(capstan_actor_t *self)
{
    free(capstan_actor_state(self));
}

static void report(capstan_actor_t *self, const capstan_message_t *message)
{
    capstan_reply(self, message, MESSAGE_report,
                  (capstan_slice_t){capstan_actor_state(self), sizeof(state_t)});
}

/* Sends its goal's numbers in bursts, each after a message to itself. */
static capstan_err_t source_receive(capstan_actor_t *self, const capstan_message_t *message)
{
    state_t *state = capstan_actor_state(self);
    if (message->message == MESSAGE_report) {
        report(self, message);
        return CAPSTAN_OK;
    }
    for (uint64_t i = 0; i < state->burst && state->next < state->goal; i++) {
        capstan_slice_t body = {&state->next, sizeof state->next};
        capstan_err_t err = state->priority && state->next == state->goal - 1
                                ? capstan_tell_priority(self, state->target, MESSAGE_number, body)
                                : capstan_tell(self, state->target, MESSAGE_number, body);
        state->full += err == CAPSTAN_E_MAILBOX_FULL;
        if (err == CAPSTAN_E_MAILBOX_FULL && !state->use_spread) {
            break;
        }
        state->next++;
    }
    return state->next < state->goal
               ? capstan_tell(self, capstan_actor_ref(self), MESSAGE_start, (capstan_slice_t){0})
               : CAPSTAN_OK;
}

static capstan_err_t sink_receive(capstan_actor_t *self, const capstan_message_t *message)
{
    state_t *state = capstan_actor_state(self);
    capstan_dead_letter_t letter;
    if (message->message == MESSAGE_report) {
        report(self, message);
    } else if (message->message == MESSAGE_number) {
        uint64_t number;
        memcpy(&number, message->body.data, sizeof number);
        if (state->received < sizeof state->numbers / sizeof state->numbers[0]) {
            state->numbers[state->received] = number;
        }
        state->disorder += state->received > 0 && number != state->last + 1;
        state->last = number;
        state->received++;
    } else if (capstan_message_is_dead_letter(message, &letter)) {
        state->letters++;
        state->disorder += letter.message != MESSAGE_number || letter.size != 8 ||
                           letter.reason.size != 8 ||
                           memcmp(letter.reason.data, "overflow", 8) != 0;
    } else if (message->message == MESSAGE_start) {
        return capstan_dead_letters_subscribe(self);
    }
    return CAPSTAN_OK;
}

static const capstan_behaviour_t source_behaviour = {
    .name = "source", .init = init, .receive = source_receive, .destroy = destroy};
static const capstan_behaviour_t sink_behaviour = {
    .name = "sink", .init = init, .receive = sink_receive, .destroy = destroy};

static capstan_node_t *start(bool strict)
{
    capstan_node_t *node;
    cr_assert_eq(capstan_node_new(&(capstan_node_options_t){.strict_wire = strict}, &node),
                 CAPSTAN_OK);
    return node;
}

static void stop(capstan_node_t *node)
{
    cr_assert_eq(capstan_node_stop(&node, STOP_US, NULL, NULL), CAPSTAN_OK);
}

static uint32_t mailbox = MAILBOX;

static capstan_ref_t spawn(capstan_node_t *node, const capstan_behaviour_t *behaviour,
                           const char *cell, const state_t *state, capstan_overflow_t overflow)
{
    capstan_ref_t ref;
    cr_assert_eq(capstan_node_spawn(node, behaviour,
                                    &(capstan_spawn_options_t){.cell = cell,
                                                               .argument = (void *)(uintptr_t)state,
                                                               .mailbox_messages = mailbox,
                                                               .overflow = overflow},
                                    &ref),
                 CAPSTAN_OK);
    return ref;
}

static state_t ask(capstan_node_t *node, capstan_ref_t ref)
{
    void *body;
    size_t size;
    capstan_err_t err;
    while ((err = capstan_node_ask(node, ref, MESSAGE_report, (capstan_slice_t){0}, STOP_US, &body,
                                   &size)) == CAPSTAN_E_MAILBOX_FULL) {
        sched_yield();
    }
    cr_assert_eq(err, CAPSTAN_OK);
    state_t state;
    memcpy(&state, body, sizeof state);
    free(body);
    return state;
}

static void tell(capstan_node_t *node, capstan_ref_t ref, uint32_t message)
{
    while (capstan_node_tell(node, ref, message, (capstan_slice_t){0}) == CAPSTAN_E_MAILBOX_FULL) {
        sched_yield();
    }
}

/* One burst on one cell: the sink handles nothing in between, so that all but the mailbox's size
 * overflows. */
static state_t flood(capstan_overflow_t overflow, bool strict, bool priority, state_t *ret_source)
{
    enum { BURST = 50 };
    capstan_node_t *node = start(strict);
    capstan_ref_t sink = spawn(node, &sink_behaviour, "one", &(state_t){.next = 0}, overflow);
    capstan_ref_t letters = spawn(node, &sink_behaviour, "two", &(state_t){.next = 0}, 0);
    tell(node, letters, MESSAGE_start);
    ask(node, letters);
    capstan_ref_t source = spawn(node, &source_behaviour, "one",
                                 &(state_t){.target = sink,
                                            .goal = BURST,
                                            .burst = BURST,
                                            .priority = priority,
                                            .use_spread = true},
                                 0);
    tell(node, source, MESSAGE_start);
    *ret_source = ask(node, source);
    state_t state = ask(node, sink);
    /* The letters travel from cell to cell, and each is refused where there is no room. */
    state_t collected = ask(node, letters);
    cr_assert_eq(collected.disorder, 0);
    cr_assert_eq(collected.letters > 0, overflow == CAPSTAN_OVERFLOW_DROP_NEWEST ||
                                            overflow == CAPSTAN_OVERFLOW_DROP_OLDEST);
    stop(node);
    return state;
}

Test(overflow, refuses_drops_the_newest_or_drops_the_oldest)
{
    for (int strict = 0; strict < 2; strict++) {
        state_t source;
        state_t sink = flood(CAPSTAN_OVERFLOW_FAIL, strict, false, &source);
        cr_assert_eq(source.full, 50 - MAILBOX);
        cr_assert_eq(sink.received, MAILBOX);
        sink = flood(CAPSTAN_OVERFLOW_DROP_NEWEST, strict, false, &source);
        cr_assert_eq(source.full, 0);
        cr_assert_eq(sink.received, MAILBOX);
        cr_assert_eq(sink.last, MAILBOX - 1);
        sink = flood(CAPSTAN_OVERFLOW_DROP_OLDEST, strict, false, &source);
        cr_assert_eq(source.full, 0);
        cr_assert_eq(sink.received, MAILBOX);
        cr_assert_eq(sink.numbers[0], 50 - MAILBOX);
        cr_assert_eq(sink.last, 49);
    }
}

Test(overflow, lets_the_priority_lane_overtake)
{
    for (int strict = 0; strict < 2; strict++) {
        state_t source;
        state_t sink = flood(CAPSTAN_OVERFLOW_DROP_OLDEST, strict, true, &source);
        cr_assert_eq(sink.numbers[0], 49);
        cr_assert_eq(sink.numbers[1], 50 - MAILBOX);
    }
}

/* Nothing is lost, nothing is refused and the order stays, however much more is sent than fits. */
static void park_and_go_on(uint64_t goal)
{
    for (int kind = 0; kind < 4; kind++) {
        capstan_node_t *node = start(kind % 2 == 1);
        capstan_ref_t sink =
            spawn(node, &sink_behaviour, "one", &(state_t){.next = 0}, CAPSTAN_OVERFLOW_PARK);
        capstan_ref_t source = spawn(node, &source_behaviour, kind < 2 ? "one" : "two",
                                     &(state_t){.target = sink, .goal = goal, .burst = 100}, 0);
        tell(node, source, MESSAGE_start);
        state_t state = {0};
        while (state.received < goal) {
            state = ask(node, sink);
        }
        cr_assert_eq(state.disorder, 0);
        cr_assert_eq(ask(node, source).full, 0);
        stop(node);
    }
}

Test(overflow, parks_the_sender_until_there_is_room)
{
    park_and_go_on(20000);
}

/* If the sender were not told, each message would wait for the retry timer, a second. */
Test(overflow, parks_the_sender_before_a_mailbox_of_one_message, .timeout = 60)
{
    mailbox = 1;
    park_and_go_on(500);
}

Test(overflow, refuses_a_parked_sender_beyond_its_bound)
{
    capstan_node_t *node = start(false);
    capstan_ref_t sink =
        spawn(node, &sink_behaviour, "one", &(state_t){.next = 0}, CAPSTAN_OVERFLOW_PARK);
    enum { GOAL = MAILBOX + PARKED_MESSAGES_MAX + 10 };
    capstan_ref_t source =
        spawn(node, &source_behaviour, "one",
              &(state_t){.target = sink, .goal = GOAL, .burst = GOAL, .use_spread = true}, 0);
    tell(node, source, MESSAGE_start);
    cr_assert_eq(ask(node, source).full, 10);
    cr_assert_eq(ask(node, sink).received, MAILBOX + PARKED_MESSAGES_MAX);
    stop(node);
}

/* An actor that ends while its messages wait leaves them to be delivered. */
static capstan_err_t leave_receive(capstan_actor_t *self, const capstan_message_t *message)
{
    state_t *state = capstan_actor_state(self);
    (void)message;
    for (; state->next < state->goal; state->next++) {
        if (capstan_tell(self, state->target, MESSAGE_number,
                         (capstan_slice_t){&state->next, sizeof state->next}) != CAPSTAN_OK) {
            return CAPSTAN_E_INTERNAL;
        }
    }
    capstan_actor_exit(self, CAPSTAN_OK);
    return CAPSTAN_OK;
}

Test(overflow, delivers_what_an_ended_sender_had_parked)
{
    static const capstan_behaviour_t leaving = {
        .name = "leaving", .init = init, .receive = leave_receive, .destroy = destroy};
    for (int kind = 0; kind < 4; kind++) {
        capstan_node_t *node = start(kind % 2 == 1);
        capstan_ref_t sink =
            spawn(node, &sink_behaviour, "one", &(state_t){.next = 0}, CAPSTAN_OVERFLOW_PARK);
        capstan_ref_t source = spawn(node, &leaving, kind < 2 ? "one" : "two",
                                     &(state_t){.target = sink, .goal = 200}, 0);
        tell(node, source, MESSAGE_start);
        state_t state = {0};
        while (state.received < 200) {
            state = ask(node, sink);
        }
        cr_assert_eq(state.disorder, 0);
        stop(node);
    }
}

/* M5. A circle of actors that park their senders, each passing on twice what it gets until there
 * was enough: every mailbox is full, everyone would wait for everyone. All the same it comes to an
 * end.
 */
typedef struct circle_state {
    capstan_ref_t next;
    uint64_t handled;
    uint64_t refused;
} circle_state_t;

static capstan_err_t circle_init(capstan_actor_t *self, void *argument)
{
    (void)argument;
    capstan_actor_set_state(self, calloc(1, sizeof(circle_state_t)));
    return CAPSTAN_OK;
}

static capstan_err_t circle_receive(capstan_actor_t *self, const capstan_message_t *message)
{
    circle_state_t *state = capstan_actor_state(self);
    if (message->message == MESSAGE_report) {
        capstan_reply(self, message, MESSAGE_report, (capstan_slice_t){state, sizeof *state});
    } else if (message->message == MESSAGE_open) {
        memcpy(&state->next, message->body.data, sizeof state->next);
    } else {
        uint64_t left;
        memcpy(&left, message->body.data, sizeof left);
        state->handled++;
        left--;
        for (int i = 0; left > 0 && i < 2; i++) {
            state->refused += capstan_tell(self, state->next, MESSAGE_number,
                                           (capstan_slice_t){&left, sizeof left}) != CAPSTAN_OK;
        }
    }
    return CAPSTAN_OK;
}

static circle_state_t ask_circle(capstan_node_t *node, capstan_ref_t ref)
{
    void *body;
    size_t size;
    while (capstan_node_ask(node, ref, MESSAGE_report, (capstan_slice_t){0}, STOP_US, &body,
                            &size) != CAPSTAN_OK) {
        sched_yield();
    }
    circle_state_t state;
    memcpy(&state, body, sizeof state);
    free(body);
    return state;
}

static void sum_in_flight(void *context, const actor_figures_t *figures)
{
    *(uint64_t *)context += figures->in_flight;
}

static void run_circle(bool strict, uint32_t cells)
{
    enum { CIRCLE = 5, DEPTH = 24 };
    static const capstan_behaviour_t behaviour = {
        .name = "circle", .init = circle_init, .receive = circle_receive, .destroy = destroy};
    static const char *const names[] = {"a", "b", "c"};
    capstan_node_t *node = start(strict);
    capstan_ref_t refs[CIRCLE];
    for (int i = 0; i < CIRCLE; i++) {
        refs[i] = spawn(node, &behaviour, names[(uint32_t)i % cells], NULL, CAPSTAN_OVERFLOW_PARK);
    }
    for (int i = 0; i < CIRCLE; i++) {
        cr_assert_eq(capstan_node_tell(node, refs[i], MESSAGE_open,
                                       (capstan_slice_t){&refs[(i + 1) % CIRCLE], sizeof refs[0]}),
                     CAPSTAN_OK);
        ask_circle(node, refs[i]);
    }
    uint64_t depth = DEPTH;
    for (int i = 0; i < CIRCLE; i++) {
        while (capstan_node_tell(node, refs[i], MESSAGE_number,
                                 (capstan_slice_t){&depth, sizeof depth}) != CAPSTAN_OK) {
            sched_yield();
        }
    }
    uint64_t handled = 0;
    uint64_t refused = 0;
    uint64_t in_flight = 1;
    while (in_flight > 0) {
        handled = refused = in_flight = 0;
        for (int i = 0; i < CIRCLE; i++) {
            circle_state_t state = ask_circle(node, refs[i]);
            handled += state.handled;
            refused += state.refused;
        }
        node_figures(node, sum_in_flight, &in_flight);
    }
    cr_assert_gt(handled, CIRCLE * MAILBOX);
    cr_assert_gt(refused, 0, "the circle was never full");
    stop(node);
}

Test(overflow, never_lets_parked_senders_wait_for_each_other_for_ever)
{
    for (uint32_t cells = 1; cells <= 3; cells++) {
        run_circle(false, cells);
        run_circle(true, cells);
    }
}

/* A message for which half of the mailbox is too little waits until it is empty; one that is larger
 * than the mailbox does not wait at all. */
static capstan_err_t large_receive(capstan_actor_t *self, const capstan_message_t *message)
{
    state_t *state = capstan_actor_state(self);
    static const char bytes[100000];
    if (message->message == MESSAGE_report) {
        report(self, message);
        return CAPSTAN_OK;
    }
    for (; state->next < state->goal; state->next++) {
        capstan_err_t err =
            capstan_tell(self, state->target, MESSAGE_open, (capstan_slice_t){bytes, state->burst});
        state->full += err == CAPSTAN_E_MAILBOX_FULL;
    }
    return CAPSTAN_OK;
}

static capstan_err_t count_receive(capstan_actor_t *self, const capstan_message_t *message)
{
    state_t *state = capstan_actor_state(self);
    if (message->message == MESSAGE_report) {
        report(self, message);
    } else {
        state->received++;
    }
    return CAPSTAN_OK;
}

Test(overflow, parks_large_messages_until_the_mailbox_is_empty)
{
    enum { GOAL = 20, SMALL = 60000, LARGE = 70000, BYTES = 66000 };
    static const capstan_behaviour_t large = {
        .name = "large", .init = init, .receive = large_receive, .destroy = destroy};
    static const capstan_behaviour_t counter = {
        .name = "counter", .init = init, .receive = count_receive, .destroy = destroy};
    state_t empty = {.next = 0};
    for (int kind = 0; kind < 4; kind++) {
        capstan_node_t *node = start(kind % 2 == 1);
        capstan_ref_t sink;
        cr_assert_eq(
            capstan_node_spawn(node, &counter,
                               &(capstan_spawn_options_t){.cell = "one",
                                                          .argument = &empty,
                                                          .mailbox_bytes = BYTES,
                                                          .overflow = CAPSTAN_OVERFLOW_PARK},
                               &sink),
            CAPSTAN_OK);
        const char *cell = kind < 2 ? "one" : "two";
        const state_t fits = {.target = sink, .goal = GOAL, .burst = SMALL};
        const state_t too_large = {.target = sink, .goal = GOAL, .burst = LARGE};
        capstan_ref_t first = spawn(node, &large, cell, &fits, 0);
        capstan_ref_t second = spawn(node, &large, cell, &too_large, 0);
        tell(node, first, MESSAGE_start);
        tell(node, second, MESSAGE_start);
        cr_assert_eq(ask(node, second).full, GOAL);
        while (ask(node, sink).received < GOAL) {
        }
        cr_assert_eq(ask(node, first).full, 0);
        stop(node);
    }
}

/* Goal: a trace goes where its messages go, within a cell and between cells, and nowhere else; its
 * handler runs are recorded with who called whom. Each test runs with messages passed by pointer
 * and with strict_wire. */
#include "runtime/runtime_metrics.h"
#include "runtime/telemetry/spans.h"

#include <capstan/trace.h>
#include <criterion/criterion.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

enum {
    MESSAGE_begin = 0x8000, /* the first actor asks the second one, with a body of that size */
    MESSAGE_question,
    MESSAGE_answer,
    MESSAGE_plain, /* asks for what context there is: none */
    MESSAGE_later, /* starts a timer and waits for the turn's end */
    MESSAGE_spawn,
    MESSAGE_many,
    MESSAGE_switch,
    WAIT_US = 60000000,
};

static capstan_trace_t parent = {.trace_id = "0123456789abcdef",
                                 .span_id = {1, 2, 3, 4, 5, 6, 7, 8},
                                 .flags = CAPSTAN_TRACE_SAMPLED};

/* What the actors saw; read when the request that led to it is answered. */
static struct {
    capstan_trace_t question;
    capstan_trace_t answer;
    size_t body_size;
    bool body_is_right;
    bool had_none;
    bool at_init;
    int later; /* contexts at the turn's end and in a timer */
    capstan_message_t request;
} seen;

static capstan_node_t *node;
static capstan_ref_t first;
static capstan_ref_t second;
static uint8_t body[300000];

static bool is_same_trace(const capstan_trace_t *a, const capstan_trace_t *b)
{
    return memcmp(a->trace_id, b->trace_id, sizeof a->trace_id) == 0 && a->flags == b->flags;
}

static capstan_err_t second_receive(capstan_actor_t *self, const capstan_message_t *message)
{
    const capstan_trace_t *trace = capstan_trace_current(self);
    seen.had_none = trace == NULL;
    if (trace) {
        seen.question = *trace;
    }
    seen.body_size = message->body.size;
    seen.body_is_right =
        message->body.size == 0 || memcmp(message->body.data, body, message->body.size) == 0;
    capstan_reply(self, message, MESSAGE_answer, message->body);
    return CAPSTAN_OK;
}

static capstan_err_t note_init(capstan_actor_t *self, void *argument)
{
    (void)argument;
    const capstan_trace_t *trace = capstan_trace_current(self);
    seen.at_init = trace && is_same_trace(trace, &parent);
    return CAPSTAN_OK;
}

static capstan_err_t ignore(capstan_actor_t *self, const capstan_message_t *message)
{
    (void)self;
    (void)message;
    return CAPSTAN_OK;
}

static void ask_second(capstan_actor_t *self, const capstan_message_t *message)
{
    uint32_t size;
    uint64_t ask;
    memcpy(&size, message->body.data, sizeof size);
    seen.request = *message;
    cr_assert_eq(
        capstan_ask(self, second, MESSAGE_question, (capstan_slice_t){body, size}, WAIT_US, &ask),
        CAPSTAN_OK);
}

static void first_switch(capstan_actor_t *self)
{
    capstan_trace_t other = parent;
    other.trace_id[0] ^= 1;
    capstan_trace_continue(self, &parent);
    capstan_trace_t own = *capstan_trace_current(self);
    capstan_trace_start(self); /* there is one: it goes on */
    cr_assert_eq(memcmp(capstan_trace_current(self), &own, sizeof own), 0);
    capstan_trace_continue(self, &other);
    cr_assert(is_same_trace(capstan_trace_current(self), &other));
    capstan_trace_continue(self, &(capstan_trace_t){.flags = 1}); /* none at all */
    cr_assert(is_same_trace(capstan_trace_current(self), &other));
}

static capstan_err_t first_receive(capstan_actor_t *self, const capstan_message_t *message)
{
    const capstan_trace_t *trace = capstan_trace_current(self);
    if (message->message == MESSAGE_answer) {
        seen.answer = trace ? *trace : (capstan_trace_t){0};
        capstan_reply(self, &seen.request, MESSAGE_answer, (capstan_slice_t){0});
        return CAPSTAN_OK;
    }
    seen.had_none = trace == NULL;
    if (message->message == MESSAGE_begin) {
        capstan_trace_continue(self, &parent);
        ask_second(self, message);
        return CAPSTAN_OK;
    }
    if (message->message == MESSAGE_plain) {
        ask_second(self, message);
        return CAPSTAN_OK;
    }
    if (message->message == MESSAGE_later) {
        capstan_trace_continue(self, &parent);
        seen.request = *message;
        return CAPSTAN_OK;
    }
    if (message->message == MESSAGE_spawn) {
        static const capstan_behaviour_t child = {
            .name = "child", .init = note_init, .receive = ignore};
        capstan_ref_t ref;
        capstan_trace_continue(self, &parent);
        capstan_trace_t before = *capstan_trace_current(self);
        cr_assert_eq(capstan_spawn(self, &child, NULL, &ref), CAPSTAN_OK);
        cr_assert_eq(memcmp(capstan_trace_current(self), &before, sizeof before), 0);
    } else if (message->message == MESSAGE_many) {
        for (int i = 0; i < SPANS_MAX + 100; i++) {
            capstan_trace_continue(self, &parent);
        }
    } else if (message->message == MESSAGE_switch) {
        first_switch(self);
    }
    capstan_reply(self, message, MESSAGE_answer, (capstan_slice_t){0});
    return CAPSTAN_OK;
}

static void first_turn_end(capstan_actor_t *self)
{
    seen.later += capstan_trace_current(self) != NULL;
    if (seen.request.message == MESSAGE_later) {
        capstan_timer_start(self, 1, NULL);
    }
}

static void first_timer(capstan_actor_t *self, uint64_t timer, void *cookie)
{
    (void)timer;
    (void)cookie;
    seen.later += capstan_trace_current(self) != NULL;
    seen.request.message = 0;
    capstan_reply(self, &seen.request, MESSAGE_answer, (capstan_slice_t){0});
}

static void start(bool strict, uint32_t sample)
{
    static const capstan_behaviour_t first_behaviour = {.name = "first",
                                                        .receive = first_receive,
                                                        .turn_end = first_turn_end,
                                                        .timer = first_timer};
    static const capstan_behaviour_t second_behaviour = {.name = "second",
                                                         .receive = second_receive};
    memset(&seen, 0, sizeof seen);
    cr_assert_eq(
        capstan_node_new(&(capstan_node_options_t){.strict_wire = strict, .trace_sample = sample},
                         &node),
        CAPSTAN_OK);
    cr_assert_eq(capstan_node_spawn(node, &first_behaviour,
                                    &(capstan_spawn_options_t){.cell = "one"}, &first),
                 CAPSTAN_OK);
    cr_assert_eq(capstan_node_spawn(node, &second_behaviour,
                                    &(capstan_spawn_options_t){.cell = strict ? "two" : "one"},
                                    &second),
                 CAPSTAN_OK);
}

static void stop(void)
{
    cr_assert_eq(capstan_node_stop(&node, WAIT_US, NULL, NULL), CAPSTAN_OK);
}

static void ask_first(uint32_t message, uint32_t size)
{
    void *reply;
    size_t reply_size;
    cr_assert_eq(capstan_node_ask(node, first, message, (capstan_slice_t){&size, sizeof size},
                                  WAIT_US, &reply, &reply_size),
                 CAPSTAN_OK);
    free(reply);
}

/* A span is recorded when its handler has returned; whoever it answered may be here before. */
static void take_spans(capstan_span_t *spans, size_t wanted)
{
    size_t count = 0;
    while (count < wanted) {
        count += capstan_spans_take(node, spans + count, wanted - count);
        sched_yield();
    }
    cr_assert_eq(capstan_spans_take(node, spans + count, 1), 0);
}

static const capstan_span_t *find_span(const capstan_span_t *spans, size_t count, const char *actor,
                                       uint32_t message)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(spans[i].actor, actor) == 0 && spans[i].message == message) {
            return &spans[i];
        }
    }
    cr_assert(false, "no span of %s for message %x", actor, message);
    return NULL;
}

static bool is_child(const capstan_span_t *span, const uint8_t *parent_id)
{
    return memcmp(span->parent_id, parent_id, sizeof span->parent_id) == 0 &&
           memcmp(span->trace.span_id, parent_id, sizeof span->parent_id) != 0;
}

/* The three runs of one ask: first asks, second answers, first hears. */
static void check_spans(void)
{
    capstan_span_t spans[8];
    size_t count = 3;
    take_spans(spans, count);
    const capstan_span_t *asked = find_span(spans, count, "first", 0);
    const capstan_span_t *answered = find_span(spans, count, "second", MESSAGE_question);
    const capstan_span_t *heard = find_span(spans, count, "first", MESSAGE_answer);
    cr_assert(is_child(asked, parent.span_id));
    cr_assert(is_child(answered, asked->trace.span_id));
    cr_assert(is_child(heard, answered->trace.span_id));
    for (size_t i = 0; i < count; i++) {
        cr_assert(is_same_trace(&spans[i].trace, &parent));
        cr_assert(spans[i].duration_ns >= 0 && spans[i].started_us > 0 && !spans[i].failed);
    }
    cr_assert_eq(memcmp(&answered->trace, &seen.question, sizeof seen.question), 0);
    cr_assert_eq(memcmp(&heard->trace, &seen.answer, sizeof seen.answer), 0);
}

Test(trace, goes_with_asks_and_replies_of_any_size)
{
    /* Around the sizes where the head of a body grows. */
    static const uint32_t sizes[] = {0, 1, 255, 256, 65535, 65536, sizeof body};
    for (size_t i = 0; i < sizeof body; i++) {
        body[i] = (uint8_t)(i * 7);
    }
    for (int strict = 0; strict < 2; strict++) {
        start(strict, 0);
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
            ask_first(MESSAGE_begin, sizes[i]);
            cr_assert_eq(seen.body_size, sizes[i]);
            cr_assert(seen.body_is_right);
            check_spans();
        }
        stop();
    }
}

Test(trace, is_in_no_message_that_follows_from_none)
{
    for (int strict = 0; strict < 2; strict++) {
        start(strict, 0);
        ask_first(MESSAGE_plain, 1);
        cr_assert(seen.had_none);
        ask_first(MESSAGE_begin, 1);
        cr_assert(!seen.had_none);
        ask_first(MESSAGE_plain, 1); /* by actors that had one before */
        cr_assert(seen.had_none);
        capstan_span_t spans[8];
        take_spans(spans, 3);
        stop();
    }
}

Test(trace, ends_with_its_handler_and_is_in_no_timer_and_no_end_of_a_turn)
{
    start(false, 0);
    ask_first(MESSAGE_later, 0);
    stop();
    cr_assert_eq(seen.later, 0);
}

Test(trace, is_what_an_actor_begins_in_that_is_spawned_on_the_same_cell)
{
    start(false, 0);
    ask_first(MESSAGE_spawn, 0);
    cr_assert(seen.at_init);
    stop();
}

Test(trace, can_be_exchanged_within_a_handler)
{
    start(false, 0);
    ask_first(MESSAGE_switch, 0);
    capstan_span_t spans[8];
    take_spans(spans, 2);
    stop();
}

Test(trace, begins_at_what_comes_from_outside_when_it_is_sampled)
{
    for (int strict = 0; strict < 2; strict++) {
        start(strict, 1000000);
        ask_first(MESSAGE_plain, 1);
        capstan_span_t spans[8];
        size_t count = 3;
        take_spans(spans, count);
        static const uint8_t none[8];
        const capstan_span_t *root = find_span(spans, count, "first", MESSAGE_plain);
        cr_assert(is_child(root, none));
        cr_assert(
            is_child(find_span(spans, count, "second", MESSAGE_question), root->trace.span_id));
        cr_assert_eq(root->trace.flags, CAPSTAN_TRACE_SAMPLED);
        stop();
    }
}

Test(trace, that_is_not_sampled_is_carried_and_not_recorded)
{
    parent.flags = 0;
    for (int strict = 0; strict < 2; strict++) {
        start(strict, 0);
        ask_first(MESSAGE_begin, 1);
        cr_assert(is_same_trace(&seen.question, &parent));
        cr_assert(is_same_trace(&seen.answer, &parent));
        cr_assert_neq(memcmp(seen.question.span_id, parent.span_id, sizeof parent.span_id), 0);
        capstan_span_t span;
        cr_assert_eq(capstan_spans_take(node, &span, 1), 0);
        stop();
    }
    cr_assert_eq(metric_value(&runtime_metrics, METRIC_runtime_spans), 0);
}

Test(trace, keeps_a_bounded_number_of_spans_and_counts_the_others)
{
    start(false, 0);
    ask_first(MESSAGE_many, 0);
    int64_t recorded = metric_value(&runtime_metrics, METRIC_runtime_spans);
    cr_assert_eq(recorded, SPANS_MAX + 100);
    cr_assert_eq(metric_value(&runtime_metrics, METRIC_runtime_spans_lost), 100);
    static capstan_span_t spans[SPANS_MAX + 100];
    cr_assert_eq(capstan_spans_take(node, spans, 10), 10);
    cr_assert_eq(capstan_spans_take(node, spans, SPANS_MAX + 100), SPANS_MAX - 10);
    stop();
}

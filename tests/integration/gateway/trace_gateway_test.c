/* Goal: a trace comes in from a peer, goes on through the node, and goes out with the answer; what
 * is no context is ignored. */
#include "gateway_kit.h"

#include <capstan/trace.h>

static const capstan_trace_t theirs = {.trace_id = "a trace of peers",
                                       .span_id = {8, 7, 6, 5, 4, 3, 2, 1},
                                       .flags = CAPSTAN_TRACE_SAMPLED};

static raw_peer_t peer;
static capstan_span_t spans[64];
static size_t span_count;

static void start(void)
{
    kit_start();
    raw_open(&peer);
    raw_greet(&peer, "tracer", 1);
}

static void stop(void)
{
    raw_close(&peer);
    kit_stop();
}

static void add_request(slice_t trace)
{
    buffer_t body = {0};
    codec_encode(topic_ensure_wire(), &(topic_ensure_t){.topic = slice_text("x")}, &body);
    raw_add(&peer,
            &(envelope_t){.message = MESSAGE_topic_ensure,
                          .kind = CAPSTAN_KIND_REQUEST,
                          .correlation = 1,
                          .trace = trace},
            buffer_slice(&body));
    buffer_fini(&body);
}

static envelope_t ask(slice_t trace)
{
    envelope_t envelope;
    slice_t body;
    add_request(trace);
    raw_send(&peer, NULL);
    raw_receive(&peer, &envelope, &body);
    cr_assert_eq(envelope.message, MESSAGE_topic_info);
    return envelope;
}

/* Waits until so many spans are recorded since the last call. */
static void take_spans(size_t count)
{
    span_count = 0;
    for (int i = 0; span_count < count; i++) {
        cr_assert_lt(i, KIT_WAIT_MS);
        span_count += capstan_spans_take(kit.node, spans + span_count, 64 - span_count);
        poll(NULL, 0, 1);
    }
    cr_assert_eq(span_count, count);
}

/* The n-th span of that actor. */
static const capstan_span_t *span_of(const char *actor, size_t n)
{
    for (size_t i = 0; i < span_count; i++) {
        if (strcmp(spans[i].actor, actor) == 0 && n-- == 0) {
            cr_assert_eq(memcmp(spans[i].trace.trace_id, theirs.trace_id, 16), 0);
            return &spans[i];
        }
    }
    cr_assert(false, "%s has no such span", actor);
    return NULL;
}

static bool is_child(const capstan_span_t *span, const capstan_trace_t *of)
{
    return memcmp(span->parent_id, of->span_id, sizeof span->parent_id) == 0;
}

Test(trace_gateway, goes_on_inside_and_goes_out_with_the_answer)
{
    start();
    envelope_t answer = ask(slice_of(&theirs, sizeof theirs));
    take_spans(3);
    const capstan_span_t *gateway = span_of("gateway", 0);
    const capstan_span_t *topics = span_of("topics", 0);
    const capstan_span_t *session = span_of("session", 0);
    cr_assert(is_child(gateway, &theirs));
    cr_assert(is_child(topics, &gateway->trace));
    cr_assert(is_child(session, &topics->trace));
    cr_assert_eq(gateway->message, MESSAGE_topic_ensure);
    cr_assert_eq(answer.trace.size, sizeof session->trace);
    cr_assert_eq(memcmp(answer.trace.data, &session->trace, sizeof session->trace), 0);
    cr_assert_eq(answer.flags, WIRE_KIND_FLAG_SAMPLED);
    stop();
}

Test(trace_gateway, of_a_peer_that_does_not_sample_is_passed_on_unrecorded)
{
    start();
    capstan_trace_t quiet = theirs;
    quiet.flags = 0;
    envelope_t answer = ask(slice_of(&quiet, sizeof quiet));
    cr_assert_eq(answer.trace.size, sizeof quiet);
    cr_assert_eq(memcmp(answer.trace.data, quiet.trace_id, sizeof quiet.trace_id), 0);
    cr_assert_eq(answer.flags, 0);
    cr_assert_eq(capstan_spans_take(kit.node, spans, 64), 0);
    stop();
}

Test(trace_gateway, ignores_what_is_no_context)
{
    capstan_trace_t no_trace = theirs;
    capstan_trace_t no_span = theirs;
    memset(no_trace.trace_id, 0, sizeof no_trace.trace_id);
    memset(no_span.span_id, 0, sizeof no_span.span_id);
    const uint8_t longer[26] = "twenty-six bytes are many";
    const slice_t wrong[] = {{0},
                             slice_of(&theirs, 1),
                             slice_of(&theirs, sizeof theirs - 1),
                             slice_of(longer, sizeof longer),
                             slice_of(&no_trace, sizeof no_trace),
                             slice_of(&no_span, sizeof no_span)};
    start();
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        envelope_t answer = ask(wrong[i]);
        cr_assert_eq(answer.trace.size, 0, "%zu", i);
        cr_assert_eq(answer.flags, 0);
    }
    cr_assert_eq(capstan_spans_take(kit.node, spans, 64), 0);
    stop();
}

static void add_publish(slice_t trace)
{
    buffer_t body = {0};
    codec_encode(publish_wire(),
                 &(publish_t){.topic = slice_text("loans"),
                              .key = slice_text("k"),
                              .payload = slice_text("v")},
                 &body);
    raw_add(&peer,
            &(envelope_t){.message = MESSAGE_publish, .kind = CAPSTAN_KIND_EVENT, .trace = trace},
            buffer_slice(&body));
    buffer_fini(&body);
}

/* The first events of a topic wait until it is resolved; the one between has no context, and must
 * not get one of its neighbours'. */
Test(trace_gateway, goes_with_each_event_to_its_partition)
{
    start();
    capstan_trace_t second = theirs;
    second.span_id[0] ^= 1;
    add_publish(slice_of(&theirs, sizeof theirs));
    add_publish((slice_t){0});
    add_publish(slice_of(&second, sizeof second));
    raw_send(&peer, NULL);
    kit_wait(&kit.seen.published, 3);
    /* Each event: the gateway when it came, the gateway when it went on, the partition. The first
     * one's topic was asked for in its trace: topics, and the gateway hearing it. */
    take_spans(8);
    const capstan_trace_t *came[] = {&span_of("gateway", 0)->trace, &span_of("gateway", 1)->trace};
    cr_assert(is_child(span_of("gateway", 0), &theirs));
    cr_assert(is_child(span_of("gateway", 1), &second));
    cr_assert(is_child(span_of("topics", 0), came[0]));
    for (size_t i = 0; i < 2; i++) {
        const capstan_span_t *went = span_of("gateway", 3 + i);
        cr_assert(is_child(went, came[i]));
        cr_assert(is_child(span_of("partition", i), &went->trace));
    }
    add_publish(slice_of(&theirs, sizeof theirs));
    raw_send(&peer, NULL);
    take_spans(2);
    cr_assert(is_child(span_of("partition", 0), &span_of("gateway", 0)->trace));
    stop();
}

/* The core of a session's link: credit, sequences, and answers that come in any order. */
#include "brokers/gateway/session.h"

#include <criterion/criterion.h>

static session_t *new_session(uint64_t messages, uint64_t bytes)
{
    return session_new(
        &(session_limits_t){.messages_window = messages, .bytes_window = bytes, .silence_us = 3000},
        1000);
}

static void take(session_t *self, uint64_t count, size_t bytes)
{
    for (uint64_t i = 0; i < count; i++) {
        uint64_t sequence;
        cr_assert_eq(session_take(self, bytes, &sequence), CAPSTAN_OK);
    }
}

static void answer(session_t *self, uint64_t first, uint64_t last, uint64_t result)
{
    session_answer(self, &(outcome_t){.first = first,
                                      .last = last,
                                      .result = result,
                                      .error = result == SESSION_REJECTED ? 101 : 0});
}

/* Reads the next outcomes message into `ret`; returns the number of ranges. */
static size_t read_outcomes(session_t *self, outcome_t *ret, size_t count)
{
    buffer_t body = {0};
    size_t ranges = 0;
    if (session_write_outcomes(self, &body)) {
        outcomes_t outcomes;
        codec_list_t list;
        cr_assert_eq(codec_decode(outcomes_wire(), buffer_slice(&body), &outcomes, NULL),
                     CAPSTAN_OK);
        cr_assert_eq(codec_list_open(outcome_wire(), outcomes.list, &list), CAPSTAN_OK);
        outcome_t range;
        while (codec_list_next(&list, &range)) {
            cr_assert_lt(ranges, count);
            ret[ranges++] = range;
        }
        cr_assert_eq(list.fault.err, CAPSTAN_OK);
    }
    buffer_fini(&body);
    return ranges;
}

Test(session, numbers_what_it_takes_from_one)
{
    session_t *self = new_session(10, 1000);
    for (uint64_t i = 1; i <= 10; i++) {
        uint64_t sequence;
        cr_assert_eq(session_take(self, 1, &sequence), CAPSTAN_OK);
        cr_assert_eq(sequence, i);
    }
    session_destroy(&self);
    cr_assert_null(self);
}

Test(session, refuses_messages_beyond_the_grant)
{
    session_t *self = new_session(100, 1000000);
    link_header_t header = session_header(self, 0);
    cr_assert_eq(header.credit_messages, 100u);
    take(self, 100, 1);
    uint64_t sequence = 77;
    cr_assert_eq(session_take(self, 1, &sequence), CAPSTAN_E_NO_CREDIT);
    cr_assert_eq(sequence, 77u);
    session_settle(self, 1);
    cr_assert_eq(session_header(self, 0).credit_messages, 101u);
    take(self, 1, 1);
    cr_assert_eq(session_take(self, 1, &sequence), CAPSTAN_E_NO_CREDIT);
    session_destroy(&self);
}

Test(session, refuses_bytes_beyond_the_grant)
{
    session_t *self = new_session(100, 1000);
    take(self, 1, 999);
    take(self, 1, 5000); /* the last one may overrun */
    uint64_t sequence;
    cr_assert_eq(session_take(self, 0, &sequence), CAPSTAN_E_NO_CREDIT);
    session_settle(self, 1);
    cr_assert_eq(session_take(self, 0, &sequence), CAPSTAN_E_NO_CREDIT);
    session_settle(self, 2);
    cr_assert_eq(session_header(self, 0).credit_bytes, 1000u + 5999u);
    take(self, 1, 10);
    session_destroy(&self);
}

Test(session, merges_answers_of_any_order_into_ascending_ranges)
{
    session_t *self = new_session(1000, 100000);
    take(self, 100, 1);
    answer(self, 51, 60, SESSION_STORED);
    answer(self, 1, 1, SESSION_STORED);
    answer(self, 3, 50, SESSION_STORED);
    answer(self, 2, 2, SESSION_STORED);
    answer(self, 62, 62, SESSION_REJECTED);
    answer(self, 61, 61, SESSION_DUPLICATE);
    answer(self, 70, 70, SESSION_HELD);
    outcome_t ranges[8];
    cr_assert_eq(read_outcomes(self, ranges, 8), 4);
    cr_assert(ranges[0].first == 1 && ranges[0].last == 60 && ranges[0].result == 1);
    cr_assert(ranges[1].first == 61 && ranges[1].last == 61 && ranges[1].result == 2);
    cr_assert(ranges[2].first == 62 && ranges[2].last == 62 && ranges[2].error == 101);
    cr_assert(ranges[3].first == 70 && ranges[3].last == 70 && ranges[3].result == 3);
    cr_assert_eq(read_outcomes(self, ranges, 8), 0, "each is told once");
    cr_assert_eq(session_figures(self).open, 38u);
    session_destroy(&self);
}

Test(session, leaves_answers_to_what_is_not_open_alone)
{
    session_t *self = new_session(1000, 100000);
    take(self, 10, 1);
    answer(self, 1, 5, SESSION_STORED);
    outcome_t ranges[4];
    cr_assert_eq(read_outcomes(self, ranges, 4), 1);
    answer(self, 1, 5, SESSION_REJECTED);
    answer(self, 0, UINT64_MAX, SESSION_STORED);
    answer(self, 9, 3, SESSION_STORED);
    answer(self, 400, 500, SESSION_STORED);
    cr_assert_eq(read_outcomes(self, ranges, 4), 1);
    cr_assert(ranges[0].first == 6 && ranges[0].last == 10);
    cr_assert_gt(session_figures(self).stray, 0u);
    session_settle(self, 3);
    cr_assert_eq(session_header(self, 0).credit_messages, 1010u);
    session_destroy(&self);
}

Test(session, makes_a_silent_peer_hear_of_its_grant)
{
    session_t *self = new_session(100, 1000000);
    (void)session_header(self, 0);
    take(self, 100, 1);
    for (uint64_t i = 1; i < 25; i++) {
        session_settle(self, i);
        cr_assert(!session_grant_is_due(self), "at %llu", (unsigned long long)i);
    }
    session_settle(self, 25);
    cr_assert(session_grant_is_due(self));
    cr_assert_eq(session_header(self, 0).credit_messages, 125u);
    cr_assert(!session_grant_is_due(self));
    session_destroy(&self);
}

Test(session, takes_the_largest_grant_of_the_peer_whatever_was_lost)
{
    session_t *self = new_session(100, 1000000);
    cr_assert(!session_may_deliver(self));
    link_header_t header = {.credit_messages = 2, .credit_bytes = 100};
    cr_assert_eq(session_on_batch(self, 2000, &header), CAPSTAN_OK);
    cr_assert(session_may_deliver(self));
    cr_assert_eq(session_deliver(self, 60), 1u);
    cr_assert_eq(session_deliver(self, 60), 2u);
    cr_assert(!session_may_deliver(self));
    header = (link_header_t){.credit_messages = 1, .credit_bytes = 50}; /* older */
    cr_assert_eq(session_on_batch(self, 2000, &header), CAPSTAN_OK);
    cr_assert(!session_may_deliver(self));
    header = (link_header_t){.credit_messages = 9, .credit_bytes = 120};
    cr_assert_eq(session_on_batch(self, 2000, &header), CAPSTAN_OK);
    cr_assert(!session_may_deliver(self), "bytes are used up");
    header = (link_header_t){.credit_messages = 9, .credit_bytes = 121};
    cr_assert_eq(session_on_batch(self, 2000, &header), CAPSTAN_OK);
    cr_assert(session_may_deliver(self));
    session_destroy(&self);
}

Test(session, refuses_a_batch_that_skips_a_sequence)
{
    session_t *self = new_session(100, 1000000);
    cr_assert_eq(session_on_batch(self, 0, &(link_header_t){.sequence = 1}), CAPSTAN_OK);
    cr_assert_eq(session_on_batch(self, 0, &(link_header_t){.sequence = 2}), CAPSTAN_E_MALFORMED);
    take(self, 5, 1);
    cr_assert_eq(session_on_batch(self, 0, &(link_header_t){.sequence = 0}), CAPSTAN_OK);
    cr_assert_eq(session_on_batch(self, 0, &(link_header_t){.sequence = 6}), CAPSTAN_OK);
    cr_assert_eq(session_on_batch(self, 0, &(link_header_t){.sequence = 5}), CAPSTAN_E_MALFORMED);
    session_destroy(&self);
}

Test(session, is_silent_when_nothing_came_for_its_time)
{
    session_t *self = new_session(100, 1000000);
    cr_assert(!session_is_silent(self, 3999));
    cr_assert(session_is_silent(self, 4000));
    cr_assert_eq(session_on_batch(self, 3999, &(link_header_t){0}), CAPSTAN_OK);
    cr_assert(!session_is_silent(self, 6998));
    cr_assert(session_is_silent(self, 6999));
    session_destroy(&self);
}

/* A random link: every message is answered exactly once, with its own result, in ascending ranges,
 * and the peer is never granted more than the window beyond the oldest unanswered one. */
Test(session, tells_every_answer_exactly_once_in_random_runs)
{
    enum { MESSAGES = 20000, WINDOW = 700 };
    static uint8_t results[MESSAGES + 1];
    static uint8_t told[MESSAGES + 1];
    static uint64_t open[WINDOW];
    uint64_t seed = 42;
    session_t *self = new_session(WINDOW, 1 << 30);
    uint64_t sent = 0;
    uint64_t answered = 0;
    size_t open_count = 0;
    while (answered < MESSAGES) {
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        uint64_t draw = seed >> 33;
        uint64_t granted = session_header(self, 0).credit_messages;
        for (uint64_t i = 0; i < draw % 97 && sent < granted && sent < MESSAGES; i++) {
            uint64_t sequence;
            cr_assert_eq(session_take(self, 10, &sequence), CAPSTAN_OK);
            cr_assert_eq(sequence, ++sent);
            open[open_count++] = sequence;
            cr_assert_leq(open_count, WINDOW);
        }
        for (uint64_t i = 0; i < (draw >> 8) % 97 && open_count > 0; i++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            size_t pick = (seed >> 33) % open_count;
            uint64_t sequence = open[pick];
            open[pick] = open[--open_count];
            results[sequence] = (uint8_t)(1 + (seed >> 40) % 4);
            if ((seed >> 50) % 16 == 0) { /* a request */
                session_settle(self, sequence);
                told[sequence]++;
                answered++;
            } else {
                answer(self, sequence, sequence, results[sequence]);
            }
        }
        static outcome_t ranges[SESSION_RANGES_MAX];
        size_t count = read_outcomes(self, ranges, SESSION_RANGES_MAX);
        for (size_t i = 0; i < count; i++) {
            cr_assert(i == 0 || ranges[i].first > ranges[i - 1].last);
            for (uint64_t s = ranges[i].first; s <= ranges[i].last; s++) {
                cr_assert_eq(ranges[i].result, results[s]);
                cr_assert_eq(told[s]++, 0);
                answered++;
            }
        }
    }
    cr_assert_eq(session_figures(self).open, 0u);
    cr_assert_eq(session_figures(self).stray, 0u);
    cr_assert_eq(session_header(self, 0).credit_messages, (uint64_t)MESSAGES + WINDOW);
    session_destroy(&self);
}

Test(session, tells_many_ranges_in_several_messages)
{
    enum { MESSAGES = 3 * SESSION_RANGES_MAX };
    session_t *self = new_session(MESSAGES, 1 << 30);
    take(self, MESSAGES, 1);
    for (uint64_t i = 1; i <= MESSAGES; i++) {
        answer(self, i, i, i % 2 ? SESSION_STORED : SESSION_DUPLICATE);
    }
    static outcome_t ranges[SESSION_RANGES_MAX];
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(read_outcomes(self, ranges, SESSION_RANGES_MAX), SESSION_RANGES_MAX);
    }
    cr_assert_eq(read_outcomes(self, ranges, SESSION_RANGES_MAX), 0);
    cr_assert_eq(session_figures(self).open, 0u);
    session_destroy(&self);
}

Test(session, gives_credit_back_for_a_settled_row_between_what_is_open)
{
    session_t *self = new_session(8, 1000);
    take(self, 6, 10);
    session_settle_range(self, 2, 4);
    cr_assert_eq(session_figures(self).open, 6u, "the first one is open");
    session_settle(self, 1);
    cr_assert_eq(session_figures(self).open, 2u);
    cr_assert_eq(session_header(self, 0).credit_messages, 12u);
    outcome_t range;
    cr_assert_eq(read_outcomes(self, &range, 1), 0u, "nobody is told");
    session_settle_range(self, 5, 6);
    cr_assert_eq(session_figures(self).open, 0u);
    session_destroy(&self);
}

/* The calls of a cell: an ask ends once, a request is found while it waits for its answer, and what
 * was asked on its behalf hangs on it. */
#include "runtime/calls.h"

#include <criterion/criterion.h>

typedef struct bench {
    timers_t timers;
    calls_t calls;
    party_t asker;
    party_t server;
} bench_t;

static void begin(bench_t *self)
{
    timers_init(&self->timers, 3);
    calls_init(&self->calls, &self->timers);
    party_init(&self->asker, self);
    party_init(&self->server, self);
}

static void end(bench_t *self)
{
    calls_fini(&self->calls);
    timers_fini(&self->timers);
}

static uint64_t ask(bench_t *self, int64_t deadline_us, uint32_t request)
{
    return calls_ask(&self->calls, &self->asker,
                     &(ask_terms_t){.deadline_us = deadline_us, .request = request});
}

static uint32_t queue(bench_t *self, uint64_t correlation, int64_t deadline_us, int64_t now_us)
{
    return calls_queue(&self->calls, &self->server,
                       &(capstan_message_t){.kind = CAPSTAN_KIND_REQUEST,
                                            .sender = {.slot = 7, .generation = 1},
                                            .correlation = correlation,
                                            .deadline_us = deadline_us},
                       now_us);
}

static uint32_t find(const bench_t *self, uint64_t correlation)
{
    return calls_find_request(&self->calls, (capstan_ref_t){.slot = 7, .generation = 1},
                              correlation);
}

static void cancel(bench_t *self, uint64_t correlation)
{
    calls_cancel(&self->calls, (capstan_ref_t){.slot = 7, .generation = 1}, correlation);
}

Test(calls, end_an_ask_exactly_once)
{
    bench_t bench;
    begin(&bench);
    uint64_t first = ask(&bench, 10, CALLS_NONE);
    uint64_t second = ask(&bench, 20, CALLS_NONE);
    cr_assert_neq(first, second);
    ask_t ended;
    cr_assert(calls_end(&bench.calls, first, &ended));
    cr_assert(!calls_end(&bench.calls, first, &ended));
    cr_assert_null(calls_find(&bench.calls, first));
    cr_assert_not_null(calls_find(&bench.calls, second));
    cr_assert_eq(timers_next_us(&bench.timers), 20, "its deadline ended with it");
    uint64_t third = ask(&bench, 30, CALLS_NONE);
    cr_assert_neq(third, first, "the entry is used again, the number is not");
    cr_assert(!calls_end(&bench.calls, first, &ended));
    static const uint64_t strange[] = {0, UINT64_MAX, 1, (uint64_t)1 << 32};
    for (size_t i = 0; i < sizeof strange / sizeof strange[0]; i++) {
        cr_assert(!calls_end(&bench.calls, strange[i], &ended));
    }
    end(&bench);
}

Test(calls, know_all_that_a_party_asked)
{
    enum { ASKS = 1000 };
    bench_t bench;
    begin(&bench);
    uint64_t asks[ASKS];
    for (size_t i = 0; i < ASKS; i++) {
        asks[i] = ask(&bench, (int64_t)i, CALLS_NONE);
    }
    ask_t ended;
    for (size_t i = 0; i < ASKS; i += 3) {
        cr_assert(calls_end(&bench.calls, asks[i], &ended));
        cr_assert_eq(ended.party, &bench.asker);
    }
    size_t count = 0;
    for (uint64_t one; (one = calls_ask_of(&bench.calls, &bench.asker)) > 0; count++) {
        cr_assert(calls_end(&bench.calls, one, &ended));
    }
    cr_assert_eq(count, ASKS - (ASKS + 2) / 3);
    cr_assert_eq(timers_next_us(&bench.timers), INT64_MAX);
    end(&bench);
}

Test(calls, drop_a_request_that_is_cancelled_before_it_is_read)
{
    bench_t bench;
    begin(&bench);
    uint32_t kept = queue(&bench, 1, 0, 0);
    uint32_t dropped = queue(&bench, 2, 0, 0);
    cancel(&bench, 2);
    cancel(&bench, 2);
    cancel(&bench, 3);
    cr_assert(!calls_has_cancelled(&bench.calls), "nobody works on it, so nobody is told");
    cr_assert(calls_begin(&bench.calls, kept));
    cr_assert(!calls_begin(&bench.calls, dropped));
    cr_assert_eq(find(&bench, 2), CALLS_NONE);
    cr_assert_eq(find(&bench, 1), kept);
    end(&bench);
}

Test(calls, tell_once_of_a_cancelled_request_that_is_worked_on)
{
    bench_t bench;
    begin(&bench);
    uint32_t requests[4];
    for (uint64_t i = 0; i < 4; i++) {
        requests[i] = queue(&bench, i + 1, 0, 0);
        cr_assert(calls_begin(&bench.calls, requests[i]));
    }
    cancel(&bench, 3);
    cancel(&bench, 1);
    cancel(&bench, 3);
    cancel(&bench, 4);
    calls_forget(&bench.calls, requests[0]); /* answered before it was told */
    cr_assert(calls_has_cancelled(&bench.calls));
    cr_assert_eq(calls_take_cancelled(&bench.calls), requests[2]);
    cr_assert_eq(find(&bench, 3), CALLS_NONE, "an answer would not find it any more");
    cr_assert_eq(calls_take_cancelled(&bench.calls), requests[3]);
    cr_assert_eq(calls_take_cancelled(&bench.calls), CALLS_NONE);
    calls_forget(&bench.calls, requests[2]);
    calls_forget(&bench.calls, requests[3]);
    cr_assert_eq(calls_request_of(&bench.server), requests[1]);
    end(&bench);
}

Test(calls, hang_what_is_asked_on_behalf_of_a_request_on_it)
{
    bench_t bench;
    begin(&bench);
    uint32_t request = queue(&bench, 1, 0, 0);
    cr_assert(calls_begin(&bench.calls, request));
    uint64_t children[3];
    for (size_t i = 0; i < 3; i++) {
        children[i] = ask(&bench, 10, request);
    }
    ask_t ended;
    cr_assert(calls_end(&bench.calls, children[1], &ended));
    cr_assert_eq(calls_child_of(&bench.calls, request), children[2]);
    cr_assert(calls_end(&bench.calls, children[2], &ended));
    cr_assert_eq(calls_child_of(&bench.calls, request), children[0]);
    calls_forget(&bench.calls, request);
    cr_assert_not_null(calls_find(&bench.calls, children[0]), "an answer does not end it");
    uint32_t other = queue(&bench, 2, 0, 0);
    cr_assert_eq(calls_child_of(&bench.calls, other), 0, "the entry begins anew");
    cr_assert(calls_end(&bench.calls, children[0], &ended));
    end(&bench);
}

Test(calls, forget_unanswered_requests_when_their_time_has_passed_and_room_is_needed)
{
    enum { MANY = 100000 };
    bench_t bench;
    begin(&bench);
    for (uint64_t i = 1; i <= MANY; i++) {
        int64_t now_us = (int64_t)i * 10000;
        uint32_t request = queue(&bench, i, now_us + 1000000, now_us);
        cr_assert(calls_begin(&bench.calls, request));
        cr_assert_eq(find(&bench, i), request);
    }
    cr_assert_leq(bench.calls.request_capacity, 512u,
                  "200 at a time wait, or may still be cancelled");
    cr_assert_neq(find(&bench, MANY), CALLS_NONE);
    cr_assert_eq(find(&bench, 1), CALLS_NONE);
    end(&bench);
}

Test(calls, register_no_request_that_wants_no_answer)
{
    bench_t bench;
    begin(&bench);
    cr_assert_eq(queue(&bench, 0, 0, 0), CALLS_NONE);
    cr_assert_eq(calls_queue(&bench.calls, &bench.server,
                             &(capstan_message_t){.kind = CAPSTAN_KIND_REQUEST, .correlation = 5},
                             0),
                 CALLS_NONE);
    cr_assert_eq(calls_request_of(&bench.server), CALLS_NONE);
    end(&bench);
}

/* Over a network a message may come twice. What is forgotten with the answer to the first one must
 * not be the second one, whose message is still to be read. */
Test(calls, keep_apart_a_request_that_came_twice)
{
    bench_t bench;
    begin(&bench);
    uint32_t first = queue(&bench, 3, 0, 0);
    cr_assert(calls_begin(&bench.calls, first));
    uint32_t second = queue(&bench, 3, 0, 0);
    cr_assert_neq(first, second);
    cr_assert_eq(find(&bench, 3), first);
    calls_forget(&bench.calls, find(&bench, 3));
    cr_assert_eq(find(&bench, 3), CALLS_NONE, "the second one is not worked on yet");
    cr_assert(calls_begin(&bench.calls, second));
    cr_assert_eq(find(&bench, 3), second);
    calls_forget(&bench.calls, second);
    cr_assert_eq(calls_request_of(&bench.server), CALLS_NONE);
    end(&bench);
}

Test(calls, cancel_a_request_that_came_twice_as_one)
{
    bench_t bench;
    begin(&bench);
    uint32_t first = queue(&bench, 3, 0, 0);
    cr_assert(calls_begin(&bench.calls, first));
    uint32_t second = queue(&bench, 3, 0, 0);
    cancel(&bench, 3);
    cr_assert(!calls_begin(&bench.calls, second), "it is withdrawn");
    cr_assert_eq(calls_take_cancelled(&bench.calls), first);
    cr_assert_eq(calls_take_cancelled(&bench.calls), CALLS_NONE);
    calls_forget(&bench.calls, first);
    cr_assert_eq(calls_request_of(&bench.server), CALLS_NONE);
    end(&bench);
}

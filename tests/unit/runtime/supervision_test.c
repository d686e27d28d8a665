/* The supervision core, one rule at a time. Effects are compared as text: "stop c, start a". The
 * random word is 0, so that every delay is the shortest of its range. */
#include "runtime/supervision.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

enum { CHILDREN = 4, MIN_US = 10, MAX_US = 100, WINDOW_US = 1000 };

static supervision_t core;
static supervision_child_t children[CHILDREN];
static supervision_effects_t effects;
static int64_t now_us = 1000;
static char told[256];

static supervision_child_t *const a = &children[0];
static supervision_child_t *const b = &children[1];
static supervision_child_t *const c = &children[2];
static supervision_child_t *const d = &children[3]; /* added later */

static const char *effect_name(const supervision_effect_t *effect)
{
    static const char *const names[] = {
        [EFFECT_START] = "start",         [EFFECT_STOP] = "stop",     [EFFECT_WAIT] = "wait",
        [EFFECT_FORGET] = "forget",       [EFFECT_FAILED] = "failed", [EFFECT_LOOP] = "loop",
        [EFFECT_LIMIT] = "limit",         [EFFECT_READY] = "ready",   [EFFECT_END] = "end",
        [EFFECT_UNSTARTED] = "unstarted",
    };
    return names[effect->kind];
}

/* Takes a step, and writes down its effects: for WAIT how long, for END why. */
static void feed(supervision_input_t input)
{
    input.now_us = now_us;
    effects.count = 0;
    supervision_step(&core, &input, &effects);
    size_t used = 0;
    told[0] = 0;
    for (size_t i = 0; i < effects.count; i++) {
        const supervision_effect_t *effect = &effects.list[i];
        used += (size_t)snprintf(told + used, sizeof told - used, "%s%s", i > 0 ? ", " : "",
                                 effect_name(effect));
        if (effect->child) {
            used += (size_t)snprintf(told + used, sizeof told - used, " %c",
                                     (char)('a' + (effect->child - children)));
        }
        if (effect->kind == EFFECT_WAIT) {
            used +=
                (size_t)snprintf(told + used, sizeof told - used, " %ld", (long)effect->wait_us);
        } else if (effect->kind == EFFECT_END) {
            used += (size_t)snprintf(told + used, sizeof told - used, " %d", effect->reason);
        }
    }
}

#define EXPECT(text) cr_assert_str_eq(told, text)

static void started(supervision_child_t *child)
{
    feed((supervision_input_t){.kind = SUPERVISION_STARTED, .child = child});
}

static void ended(supervision_child_t *child, capstan_err_t reason)
{
    feed((supervision_input_t){.kind = SUPERVISION_ENDED, .child = child, .reason = reason});
}

static void failed(supervision_child_t *child)
{
    ended(child, CAPSTAN_E_INTERNAL);
}

static void due(supervision_child_t *child, int64_t after_us)
{
    now_us += after_us;
    feed((supervision_input_t){.kind = SUPERVISION_DUE, .child = child});
}

static void tell(enum supervision_kind kind, supervision_child_t *child)
{
    feed((supervision_input_t){.kind = kind, .child = child});
}

/* Three children a, b, c that are up. */
static void begin(capstan_strategy_t strategy)
{
    core.strategy = strategy;
    for (supervision_child_t *child = children; child < children + CHILDREN; child++) {
        child->limits = (supervision_limits_t){.restarts_max = 3,
                                               .window_us = WINDOW_US,
                                               .backoff_us_min = MIN_US,
                                               .backoff_us_max = MAX_US};
    }
    supervision_add(&core, a);
    supervision_add(&core, b);
    supervision_add(&core, c);
    tell(SUPERVISION_BEGIN, NULL);
    EXPECT("start a");
    started(a);
    EXPECT("start b");
    started(b);
    EXPECT("start c");
    started(c);
    EXPECT("ready");
}

static void finish(void)
{
    for (supervision_child_t *child = children; child < children + CHILDREN; child++) {
        supervision_child_fini(child);
    }
    free(effects.list);
}

Test(supervision, starts_in_order_and_stops_in_reverse_one_at_a_time)
{
    begin(CAPSTAN_ONE_FOR_ONE);
    tell(SUPERVISION_STOP, NULL);
    EXPECT("stop c");
    tell(SUPERVISION_STOP, NULL);
    EXPECT("");
    ended(c, CAPSTAN_E_KILLED);
    EXPECT("forget c, stop b");
    failed(a);
    EXPECT("forget a");
    ended(b, CAPSTAN_OK);
    EXPECT("forget b, end 0");
    cr_assert_eq(core.state, SUPERVISOR_STOPPED);
    finish();
}

Test(supervision, does_not_come_up_when_a_first_start_fails)
{
    core.strategy = CAPSTAN_ONE_FOR_ONE;
    a->limits = b->limits = (supervision_limits_t){
        .restarts_max = 3, .window_us = 1, .backoff_us_min = MIN_US, .backoff_us_max = MAX_US};
    supervision_add(&core, a);
    supervision_add(&core, b);
    tell(SUPERVISION_BEGIN, NULL);
    started(a);
    EXPECT("start b");
    failed(b);
    EXPECT("unstarted b, forget b, stop a");
    ended(a, CAPSTAN_OK);
    char text[64];
    snprintf(text, sizeof text, "forget a, end %d", CAPSTAN_E_INTERNAL);
    EXPECT(text);
    finish();
}

Test(supervision, waits_with_the_next_start_for_one_that_ended_while_it_came_up)
{
    core.strategy = CAPSTAN_ONE_FOR_ONE;
    a->limits = b->limits = (supervision_limits_t){
        .restarts_max = 3, .window_us = 1, .backoff_us_min = MIN_US, .backoff_us_max = MAX_US};
    supervision_add(&core, a);
    supervision_add(&core, b);
    tell(SUPERVISION_BEGIN, NULL);
    ended(a, CAPSTAN_OK);
    EXPECT("failed a, wait a 10");
    due(a, MIN_US);
    EXPECT("start a");
    started(a);
    EXPECT("start b");
    finish();
}

Test(supervision, restarts_one_for_one_after_a_delay)
{
    begin(CAPSTAN_ONE_FOR_ONE);
    failed(b);
    EXPECT("failed b, wait b 10");
    failed(a);
    EXPECT("failed a, wait a 10");
    due(b, MIN_US);
    EXPECT("start b");
    due(a, 0);
    EXPECT("start a");
    due(a, 0);
    EXPECT("");
    finish();
}

Test(supervision, restarts_one_for_all_in_order_after_stopping_in_reverse)
{
    begin(CAPSTAN_ONE_FOR_ALL);
    failed(b);
    EXPECT("failed b, stop c");
    ended(c, CAPSTAN_OK);
    EXPECT("stop a");
    due(b, MIN_US);
    EXPECT("");
    ended(a, CAPSTAN_E_INTERNAL);
    EXPECT("start a");
    started(a);
    EXPECT("start b");
    started(b);
    EXPECT("start c");
    finish();
}

Test(supervision, restarts_rest_for_one_from_the_failed_child_on)
{
    begin(CAPSTAN_REST_FOR_ONE);
    failed(b);
    EXPECT("failed b, stop c");
    ended(c, CAPSTAN_OK);
    EXPECT("wait b 10");
    due(b, MIN_US);
    EXPECT("start b");
    started(b);
    EXPECT("start c");
    finish();
}

Test(supervision, widens_a_group_when_an_earlier_child_fails_meanwhile)
{
    begin(CAPSTAN_REST_FOR_ONE);
    failed(c);
    EXPECT("failed c, wait c 10");
    failed(a);
    EXPECT("failed a, stop b");
    ended(b, CAPSTAN_OK);
    EXPECT("wait a 10");
    due(a, MIN_US);
    EXPECT("start a");
    finish();
}

Test(supervision, restarts_each_kind_of_child_only_when_it_should)
{
    begin(CAPSTAN_ONE_FOR_ONE);
    b->limits.restart = CAPSTAN_RESTART_TRANSIENT;
    c->limits.restart = CAPSTAN_RESTART_TEMPORARY;
    failed(c);
    EXPECT("failed c, forget c");
    failed(b);
    EXPECT("failed b, wait b 10");
    due(b, MIN_US);
    started(b);
    ended(b, CAPSTAN_OK);
    EXPECT("forget b");
    ended(a, CAPSTAN_OK);
    EXPECT("failed a, wait a 10");
    finish();
}

Test(supervision, starts_a_transient_child_that_is_over_again_with_its_group)
{
    begin(CAPSTAN_ONE_FOR_ALL);
    a->limits.restart = CAPSTAN_RESTART_TRANSIENT;
    c->limits.restart = CAPSTAN_RESTART_TEMPORARY;
    ended(a, CAPSTAN_OK);
    EXPECT("");
    failed(b);
    EXPECT("failed b, stop c");
    ended(c, CAPSTAN_OK);
    EXPECT("forget c, wait a 10");
    due(a, MIN_US);
    EXPECT("start a");
    finish();
}

Test(supervision, doubles_the_delay_up_to_its_maximum_and_resets_it_after_a_good_run)
{
    static const int64_t waits[] = {10, 20, 40, 50, 50};
    begin(CAPSTAN_ONE_FOR_ONE);
    a->limits.restarts_max = 100;
    for (size_t i = 0; i < 5; i++) {
        char text[64];
        snprintf(text, sizeof text, "%swait a %ld",
                 i == 0   ? "failed a, "
                 : i == 1 ? "loop a, "
                          : "",
                 (long)waits[i]);
        failed(a);
        EXPECT(text);
        due(a, waits[i]);
        EXPECT("start a");
        started(a);
    }
    now_us += WINDOW_US;
    failed(a);
    EXPECT("failed a, wait a 10");
    finish();
}

Test(supervision, keeps_every_delay_within_its_bounds)
{
    const supervision_limits_t limits = {.backoff_us_min = 3, .backoff_us_max = INT64_MAX / 2};
    for (uint32_t failures = 1; failures < 100; failures++) {
        int64_t shortest = supervision_delay_us(&limits, failures, 0);
        int64_t some = supervision_delay_us(&limits, failures, UINT64_MAX / 3);
        cr_assert(shortest >= 3 && shortest <= some && some <= INT64_MAX / 2);
        cr_assert(failures > 20 || shortest == INT64_C(3) << (failures - 1));
    }
    const supervision_limits_t fixed = {.backoff_us_min = 7, .backoff_us_max = 7};
    cr_assert_eq(supervision_delay_us(&fixed, 9, UINT64_MAX), 7);
}

static void fail_and_return(supervision_child_t *child)
{
    failed(child);
    due(child, MAX_US);
    started(child);
}

Test(supervision, gives_up_when_a_child_fails_beyond_its_budget)
{
    begin(CAPSTAN_ONE_FOR_ONE);
    for (int i = 0; i < 3; i++) {
        fail_and_return(b);
    }
    failed(b);
    EXPECT("limit b, stop c");
    ended(c, CAPSTAN_OK);
    EXPECT("forget c, forget b, stop a");
    tell(SUPERVISION_STOP, NULL);
    EXPECT("");
    tell(SUPERVISION_ADD, d);
    EXPECT("forget d");
    ended(a, CAPSTAN_OK);
    char text[64];
    snprintf(text, sizeof text, "forget a, end %d", CAPSTAN_E_RESTART_LIMIT);
    EXPECT(text);
    cr_assert_eq(core.state, SUPERVISOR_ESCALATED);
    finish();
}

Test(supervision, forgets_restarts_that_lie_a_window_back)
{
    begin(CAPSTAN_ONE_FOR_ONE);
    for (int i = 0; i < 10; i++) {
        fail_and_return(b);
        cr_assert_eq(b->state, CHILD_RUNNING);
        now_us += WINDOW_US / 3;
    }
    b->limits.restarts_max = 0;
    failed(b);
    EXPECT("limit b, stop c");
    finish();
}

Test(supervision, tells_who_asked_for_a_child_why_it_did_not_come_up)
{
    begin(CAPSTAN_ONE_FOR_ONE);
    tell(SUPERVISION_ADD, d);
    EXPECT("start d");
    failed(d);
    EXPECT("forget d");
    cr_assert_eq(effects.list[0].reason, CAPSTAN_E_INTERNAL);
    finish();
}

Test(supervision, stops_and_forgets_a_child_that_is_removed_and_leaves_its_siblings)
{
    begin(CAPSTAN_ONE_FOR_ALL);
    tell(SUPERVISION_ADD, d);
    EXPECT("start d");
    started(d);
    tell(SUPERVISION_REMOVE, b);
    EXPECT("stop b");
    failed(b);
    EXPECT("forget b");
    tell(SUPERVISION_STOP, NULL);
    EXPECT("stop d");
    finish();
}

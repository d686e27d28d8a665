/* Retries in virtual time: which errors, how often, when, and how many when everything fails. */
#include <capstan/retry.h>

#include "runtime/simulation/random.h"

#include <criterion/criterion.h>

static capstan_retry_budget_t budget_of(const capstan_retry_options_t *options)
{
    capstan_retry_budget_t budget;
    cr_assert_eq(capstan_retry_budget_init(&budget, options, 0), CAPSTAN_OK);
    return budget;
}

static capstan_verdict_t fail_at(capstan_retry_budget_t *budget, capstan_attempts_t *attempts,
                                 int64_t now_us, uint64_t random, int64_t *ret_delay_us)
{
    return capstan_retry(
        budget, attempts,
        &(capstan_failure_t){.err = CAPSTAN_E_UNAVAILABLE, .now_us = now_us, .random = random},
        ret_delay_us);
}

Test(retry, is_for_errors_that_may_pass_and_no_others)
{
    static const struct {
        capstan_err_t err;
        capstan_retry_t retry;
    } rows[] = {
#define ERROR(name, number, retry_class, text, remedy)                                             \
    {CAPSTAN_E_##name, CAPSTAN_RETRY_##retry_class},
#include <capstan/errors.def>
#undef ERROR
        {CAPSTAN_OK, CAPSTAN_RETRY_NEVER},
        {(capstan_err_t)59999, CAPSTAN_RETRY_NEVER},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        capstan_retry_budget_t budget = budget_of(NULL);
        capstan_attempts_t attempts = {0};
        int64_t delay_us = -1;
        capstan_verdict_t verdict =
            capstan_retry(&budget, &attempts, &(capstan_failure_t){.err = rows[i].err}, &delay_us);
        bool again = rows[i].retry == CAPSTAN_RETRY_LATER;
        cr_assert_eq(verdict, again ? CAPSTAN_VERDICT_RETRY : CAPSTAN_VERDICT_PERMANENT);
        cr_assert_eq(delay_us == -1, !again, "outputs stay untouched");
    }
}

Test(retry, ends_after_as_many_attempts_as_a_call_may_have)
{
    capstan_retry_budget_t budget = budget_of(&(capstan_retry_options_t){.attempts_max = 3});
    capstan_attempts_t attempts = {0};
    int64_t delay_us;
    cr_assert_eq(fail_at(&budget, &attempts, 0, 0, &delay_us), CAPSTAN_VERDICT_RETRY);
    cr_assert_eq(fail_at(&budget, &attempts, 0, 0, &delay_us), CAPSTAN_VERDICT_RETRY);
    cr_assert_eq(fail_at(&budget, &attempts, 0, 0, &delay_us), CAPSTAN_VERDICT_ATTEMPTS);
    cr_assert_eq(attempts.retries, 2u);
}

static void check_delays(capstan_jitter_t jitter)
{
    enum { RUNS = 20000, RETRIES = 10, FIRST_US = 1000, MAX_US = 60000 };
    random_source_t random = {.state = jitter + 1};
    int64_t sum_us[RETRIES] = {0};
    for (int run = 0; run < RUNS; run++) {
        capstan_retry_budget_t budget =
            budget_of(&(capstan_retry_options_t){.attempts_max = RETRIES + 1,
                                                 .delay_us_first = FIRST_US,
                                                 .delay_us_max = MAX_US,
                                                 .jitter = jitter});
        capstan_attempts_t attempts = {0};
        int64_t before_us = FIRST_US;
        for (int i = 0; i < RETRIES; i++) {
            int64_t delay_us;
            int64_t full_us = FIRST_US << i < MAX_US ? FIRST_US << i : MAX_US;
            cr_assert_eq(fail_at(&budget, &attempts, 0, random_next(&random), &delay_us),
                         CAPSTAN_VERDICT_RETRY);
            if (jitter == CAPSTAN_JITTER_FULL) {
                cr_assert(delay_us >= 0 && delay_us <= full_us);
            } else {
                cr_assert(delay_us >= FIRST_US && delay_us <= MAX_US && delay_us <= before_us * 3);
            }
            before_us = delay_us;
            sum_us[i] += delay_us;
        }
    }
    /* Full jitter is uniform: its mean is half of the limit, within 2 %. */
    for (int i = 0; i < RETRIES && jitter == CAPSTAN_JITTER_FULL; i++) {
        int64_t full_us = FIRST_US << i < MAX_US ? FIRST_US << i : MAX_US;
        int64_t twice_mean_us = 2 * sum_us[i] / RUNS;
        cr_assert(twice_mean_us > full_us - full_us / 50 && twice_mean_us < full_us + full_us / 50);
    }
    cr_assert_gt(sum_us[RETRIES - 1], 5 * sum_us[0], "delays grow");
}

Test(retry, waits_longer_each_time_and_never_in_step_with_others)
{
    check_delays(CAPSTAN_JITTER_FULL);
    check_delays(CAPSTAN_JITTER_DECORRELATED);
}

Test(retry, takes_the_whole_range_of_its_randomness)
{
    capstan_retry_options_t longest = {.delay_us_first = INT64_C(3600000000), .attempts_max = 100};
    capstan_retry_budget_t budget = budget_of(&longest);
    capstan_attempts_t attempts = {0};
    int64_t delay_us;
    cr_assert_eq(fail_at(&budget, &attempts, 0, UINT64_MAX, &delay_us), CAPSTAN_VERDICT_RETRY);
    cr_assert_eq(delay_us, INT64_C(3600000000));
    cr_assert_eq(fail_at(&budget, &attempts, 0, 0, &delay_us), CAPSTAN_VERDICT_RETRY);
    cr_assert_eq(delay_us, 0);
    longest.jitter = CAPSTAN_JITTER_DECORRELATED;
    budget = budget_of(&longest);
    cr_assert_eq(fail_at(&budget, &attempts, 0, UINT64_MAX, &delay_us), CAPSTAN_VERDICT_RETRY);
    cr_assert_eq(delay_us, INT64_C(3600000000));
}

Test(retry, is_never_scheduled_beyond_the_deadline)
{
    random_source_t random = {.state = 7};
    int made = 0;
    int refused = 0;
    for (int run = 0; run < 100000; run++) {
        capstan_retry_budget_t budget = budget_of(&(capstan_retry_options_t){
            .jitter = run % 2 ? CAPSTAN_JITTER_FULL : CAPSTAN_JITTER_DECORRELATED});
        capstan_attempts_t attempts = {0};
        int64_t now_us = random_between(&random, 1, INT64_MAX / 4);
        int64_t deadline_us = now_us + random_between(&random, -10, 1000000);
        int64_t delay_us;
        capstan_retry_budget_t before = budget;
        capstan_verdict_t verdict =
            capstan_retry(&budget, &attempts,
                          &(capstan_failure_t){.err = CAPSTAN_E_TIMEOUT,
                                               .now_us = now_us,
                                               .deadline_us = deadline_us,
                                               .random = random_next(&random)},
                          &delay_us);
        if (verdict == CAPSTAN_VERDICT_RETRY) {
            cr_assert_lt(now_us + delay_us, deadline_us);
            made++;
        } else {
            cr_assert_eq(verdict, CAPSTAN_VERDICT_DEADLINE);
            cr_assert_eq(budget.tokens, before.tokens, "a retry that is not made costs nothing");
            refused++;
        }
    }
    cr_assert(made > 1000 && refused > 1000);
}

/* --- the budget ------------------------------------------------------------------------------ */

/* How many of `calls`, each of which fails for ever, are made again; spread evenly over a time. */
static uint64_t retries_of(const capstan_retry_options_t *options, uint64_t calls,
                           int64_t duration_us)
{
    capstan_retry_budget_t budget = budget_of(options);
    uint64_t retries = 0;
    for (uint64_t i = 0; i < calls; i++) {
        capstan_attempts_t attempts = {0};
        int64_t delay_us;
        int64_t now_us = (int64_t)(i * (uint64_t)duration_us / calls);
        capstan_retry_earn(&budget);
        while (fail_at(&budget, &attempts, now_us, i * UINT64_C(0x9e3779b97f4a7c15), &delay_us) ==
               CAPSTAN_VERDICT_RETRY) {
            retries++;
        }
    }
    return retries;
}

Test(retry, costs_a_share_of_the_calls_when_everything_fails)
{
    /* A million calls at one instant: 20 % of them, and what one second earns. */
    cr_assert_eq(retries_of(NULL, 1000000, 0), 200000u + 10u);
    cr_assert_eq(retries_of(&(capstan_retry_options_t){.share_per_mille = 50,
                                                       .per_second_min = CAPSTAN_RETRY_NONE},
                            1000000, 0),
                 50000u);
    cr_assert_eq(retries_of(&(capstan_retry_options_t){.share_per_mille = CAPSTAN_RETRY_NONE,
                                                       .per_second_min = CAPSTAN_RETRY_NONE},
                            1000000, 1000000000),
                 0u);
}

Test(retry, earns_its_minimum_by_time_alone_to_the_token)
{
    /* 7 a second does not divide a microsecond: what is left of a token must not get lost, however
     * often one looks. 1,000 seconds, looked at a million times. */
    uint64_t made = retries_of(
        &(capstan_retry_options_t){.share_per_mille = CAPSTAN_RETRY_NONE, .per_second_min = 7},
        1000000, 1000000000);
    cr_assert(made >= 7006 && made <= 7007, "%lu", (unsigned long)made);
}

Test(retry, saves_up_no_more_than_its_maximum)
{
    capstan_retry_budget_t budget = budget_of(
        &(capstan_retry_options_t){.saved_max = 25, .attempts_max = 1000, .per_second_min = 1});
    for (int i = 0; i < 100000; i++) {
        capstan_retry_earn(&budget);
    }
    capstan_attempts_t attempts = {0};
    int64_t delay_us;
    uint64_t made = 0;
    while (fail_at(&budget, &attempts, INT64_MAX / 2, 0, &delay_us) == CAPSTAN_VERDICT_RETRY) {
        made++;
    }
    cr_assert_eq(made, 25u);
    cr_assert_eq(fail_at(&budget, &attempts, 0, 0, &delay_us), CAPSTAN_VERDICT_BUDGET,
                 "a clock that goes back earns nothing");
}

Test(retry, refuses_options_that_are_out_of_range)
{
    static const capstan_retry_options_t wrong[] = {
        {.share_per_mille = 1001},
        {.per_second_min = 1000001},
        {.delay_us_first = -1},
        {.delay_us_first = 10, .delay_us_max = 9},
        {.delay_us_max = INT64_C(3600000001)},
        {.delay_us_first = INT64_MAX},
        {.jitter = (capstan_jitter_t)2},
    };
    capstan_retry_budget_t budget = budget_of(NULL);
    capstan_retry_budget_t before = budget;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        cr_assert_eq(capstan_retry_budget_init(&budget, &wrong[i], 0), CAPSTAN_E_INVALID);
        cr_assert_eq(memcmp(&budget, &before, sizeof budget), 0);
    }
}

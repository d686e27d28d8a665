#include <capstan/retry.h>

#include "runtime/base/clock.h"

#include <stdbool.h>

enum {
    TOKENS = 1000, /* of one retry */
    SHARE_PER_MILLE = 200,
    SHARE_PER_MILLE_MAX = 1000,
    PER_SECOND_MIN = 10,
    PER_SECOND_MAX = 1000000,
    SAVED_MAX = 100,
    ATTEMPTS_MAX = 4,
    DELAY_US_FIRST = 50000,
    DELAY_US_MAX = 10000000,
};

static const int64_t HOUR_US = INT64_C(3600000000);

static uint32_t choose(uint32_t value, uint32_t otherwise)
{
    return value == CAPSTAN_RETRY_NONE ? 0 : value == 0 ? otherwise : value;
}

static void fill_defaults(capstan_retry_options_t *options)
{
    options->share_per_mille = choose(options->share_per_mille, SHARE_PER_MILLE);
    options->per_second_min = choose(options->per_second_min, PER_SECOND_MIN);
    options->saved_max = options->saved_max ? options->saved_max : SAVED_MAX;
    options->attempts_max = options->attempts_max ? options->attempts_max : ATTEMPTS_MAX;
    options->delay_us_first = options->delay_us_first ? options->delay_us_first : DELAY_US_FIRST;
    if (options->delay_us_max == 0) {
        options->delay_us_max =
            options->delay_us_first > DELAY_US_MAX ? options->delay_us_first : DELAY_US_MAX;
    }
}

static bool is_valid(const capstan_retry_options_t *options)
{
    return options->share_per_mille <= SHARE_PER_MILLE_MAX &&
           options->per_second_min <= PER_SECOND_MAX && options->delay_us_first > 0 &&
           options->delay_us_first <= options->delay_us_max && options->delay_us_max <= HOUR_US &&
           options->jitter <= CAPSTAN_JITTER_DECORRELATED;
}

static void add_tokens(capstan_retry_budget_t *self, uint64_t tokens)
{
    uint64_t most = (uint64_t)self->options.saved_max * TOKENS;
    self->tokens = most - self->tokens < tokens ? most : self->tokens + tokens;
}

capstan_err_t capstan_retry_budget_init(capstan_retry_budget_t *self,
                                        const capstan_retry_options_t *options, int64_t now_us)
{
    capstan_retry_options_t use = options ? *options : (capstan_retry_options_t){0};
    fill_defaults(&use);
    if (!is_valid(&use)) {
        return CAPSTAN_E_INVALID;
    }
    *self = (capstan_retry_budget_t){.options = use, .earned_us = now_us};
    add_tokens(self, (uint64_t)use.per_second_min * TOKENS);
    return CAPSTAN_OK;
}

void capstan_retry_earn(capstan_retry_budget_t *self)
{
    add_tokens(self, self->options.share_per_mille);
}

static void earn_by_time(capstan_retry_budget_t *self, int64_t now_us)
{
    if (now_us <= self->earned_us) {
        return;
    }
    int64_t passed_us = now_us - self->earned_us;
    uint64_t counted_us = (uint64_t)(passed_us < HOUR_US ? passed_us : HOUR_US); /* no overflow */
    self->earned_us = now_us;
    self->earned += counted_us * self->options.per_second_min * TOKENS;
    add_tokens(self, self->earned / 1000000);
    self->earned %= 1000000;
}

/* 0 .. limit, both included; limit < 2^32. */
static int64_t spread(uint64_t random, int64_t limit_us)
{
    return (int64_t)(((random >> 32) * ((uint64_t)limit_us + 1)) >> 32);
}

static int64_t next_delay(const capstan_retry_options_t *options,
                          const capstan_attempts_t *attempts, uint64_t random)
{
    int64_t first_us = options->delay_us_first;
    int64_t limit_us = first_us;
    if (options->jitter == CAPSTAN_JITTER_FULL) {
        for (uint32_t i = 0; i < attempts->retries && limit_us < options->delay_us_max; i++) {
            limit_us *= 2;
        }
        return spread(random, limit_us < options->delay_us_max ? limit_us : options->delay_us_max);
    }
    int64_t before_us = attempts->delay_us > first_us ? attempts->delay_us : first_us;
    limit_us = before_us * 3 < options->delay_us_max ? before_us * 3 : options->delay_us_max;
    return first_us + spread(random, limit_us - first_us);
}

capstan_verdict_t capstan_retry(capstan_retry_budget_t *self, capstan_attempts_t *attempts,
                                const capstan_failure_t *failure, int64_t *ret_delay_us)
{
    if (capstan_err_retry(failure->err) != CAPSTAN_RETRY_LATER) {
        return CAPSTAN_VERDICT_PERMANENT;
    }
    if (attempts->retries + 1 >= self->options.attempts_max) {
        return CAPSTAN_VERDICT_ATTEMPTS;
    }
    int64_t delay_us = next_delay(&self->options, attempts, failure->random);
    if (failure->deadline_us > 0 &&
        clock_add_us(failure->now_us, delay_us) >= failure->deadline_us) {
        return CAPSTAN_VERDICT_DEADLINE;
    }
    earn_by_time(self, failure->now_us);
    if (self->tokens < TOKENS) {
        return CAPSTAN_VERDICT_BUDGET;
    }
    self->tokens -= TOKENS;
    attempts->retries++;
    attempts->delay_us = delay_us;
    *ret_delay_us = delay_us;
    return CAPSTAN_VERDICT_RETRY;
}

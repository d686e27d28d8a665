/* Whether and when a call that failed is made again.
 *
 * Three things bound retries. The error: only one whose retry class is LATER (errors.def) can end
 * otherwise next time. The deadline: a retry that could not begin before it is not made. And a
 * budget that the calls of one caller to one callee share: when everything fails, retries are a
 * fixed share of the calls instead of a multiple of them, so that they do not keep an overloaded
 * callee down (the idea is that of Finagle's RetryBudget and of gRPC's retry throttling). Delays
 * grow exponentially and are spread by jitter (Brooker, "Exponential Backoff And Jitter").
 *
 * Everything here is arithmetic on the caller's structs: it never blocks, knows no clock and draws
 * no random numbers. A budget belongs to one actor or thread.
 *
 *   static capstan_err_t receive(capstan_actor_t *self, const capstan_message_t *message)
 *   ...
 *       int64_t delay_us;
 *       capstan_verdict_t verdict =
 *           capstan_retry(&state->budget, &call->attempts,
 *                         &(capstan_failure_t){.err = err, .now_us = capstan_now_us(self),
 *                                              .deadline_us = call->deadline_us,
 *                                              .random = next_random(state)}, &delay_us);
 *       if (verdict == CAPSTAN_VERDICT_RETRY) {
 *           capstan_timer_start(self, delay_us, call);
 *       } else {
 *           give_up(self, call, err);
 *       } */
#ifndef CAPSTAN_RETRY_H
#define CAPSTAN_RETRY_H

#include <capstan/error.h>
#include <stdint.h>

/* For a share or a minimum of none at all; 0 is the default. */
#define CAPSTAN_RETRY_NONE UINT32_MAX

typedef enum capstan_jitter {
    CAPSTAN_JITTER_FULL,         /* between 0 and the delay that doubles with each retry */
    CAPSTAN_JITTER_DECORRELATED, /* between the first delay and three times the one before */
} capstan_jitter_t;

typedef struct capstan_retry_options {
    uint32_t share_per_mille; /* retries earned by 1,000 calls, at most 1000; 0: 200 */
    uint32_t per_second_min;  /* retries earned per second without any call; 0: 10 */
    uint32_t saved_max;       /* earned retries that are kept for later; 0: 100 */
    uint32_t attempts_max;    /* times one call is made, the first included; 0: 4 */
    int64_t delay_us_first;   /* 0: 50 ms */
    int64_t delay_us_max;     /* at most an hour; 0: 10 s, or the first delay if that is longer */
    capstan_jitter_t jitter;
} capstan_retry_options_t;

/* What the calls share. The members are private; kept here so that it can be embedded. */
typedef struct capstan_retry_budget {
    capstan_retry_options_t options;
    uint64_t tokens;   /* thousandths of a retry */
    uint64_t earned;   /* millionths of a token, of what time earns */
    int64_t earned_us; /* until when */
} capstan_retry_budget_t;

/* What is remembered of one call; zeroed when it begins. */
typedef struct capstan_attempts {
    uint32_t retries; /* made, or scheduled */
    int64_t delay_us; /* the last one */
} capstan_attempts_t;

typedef struct capstan_failure {
    capstan_err_t err;
    int64_t now_us;
    int64_t deadline_us; /* of the call, on the clock of now_us; 0: none */
    uint64_t random;     /* 64 fresh random bits */
} capstan_failure_t;

typedef enum capstan_verdict {
    CAPSTAN_VERDICT_RETRY,     /* after the delay */
    CAPSTAN_VERDICT_PERMANENT, /* the same call would fail again */
    CAPSTAN_VERDICT_ATTEMPTS,  /* it was made as often as it may be */
    CAPSTAN_VERDICT_DEADLINE,  /* it could not be made before its deadline */
    CAPSTAN_VERDICT_BUDGET,    /* too many calls fail */
} capstan_verdict_t;

/* Begins with what one second earns. NULL options are the defaults. INVALID: a value is out of its
 * range, or the first delay is longer than the longest. */
CAPSTAN_API CAPSTAN_MUST_CHECK capstan_err_t capstan_retry_budget_init(
    capstan_retry_budget_t *self, const capstan_retry_options_t *options, int64_t now_us);

/* A call is made for the first time: it earns its share of a retry. */
CAPSTAN_API void capstan_retry_earn(capstan_retry_budget_t *self);

/* A call has failed. With RETRY it is to be made again `*ret_delay_us` from now, and the budget has
 * paid for it; with any other verdict nothing changed, and the error is final. */
CAPSTAN_API CAPSTAN_MUST_CHECK capstan_verdict_t capstan_retry(capstan_retry_budget_t *self,
                                                               capstan_attempts_t *attempts,
                                                               const capstan_failure_t *failure,
                                                               int64_t *ret_delay_us);

#endif

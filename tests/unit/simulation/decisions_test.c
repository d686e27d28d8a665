/* Decisions depend on the seed and on what they are about, and can be written down and repeated. */
#include "runtime/simulation/decisions.h"
#include "runtime/simulation/shrink.h"

#include <criterion/criterion.h>
#include <string.h>

enum { TAKEN = 200 };

static const odds_t often = {.per_million = 500000, .max = 9};

static void take_all(decisions_t *self, uint64_t *ret_values)
{
    for (size_t i = 0; i < TAKEN; i++) {
        ret_values[i] = decisions_take(self, DECISION_delay, 1, 2, often);
    }
}

Test(decisions, do_not_depend_on_what_else_is_decided)
{
    decisions_t alone;
    decisions_t beside;
    uint64_t values[TAKEN];
    uint64_t zeros = 0;
    decisions_init(&alone, 7);
    decisions_init(&beside, 7);
    take_all(&alone, values);
    for (size_t i = 0; i < TAKEN; i++) {
        (void)decisions_take(&beside, DECISION_delay, 2, 1, often);
        (void)decisions_take(&beside, DECISION_loss, 1, 2, often);
        cr_assert_eq(decisions_take(&beside, DECISION_delay, 1, 2, often), values[i]);
        cr_assert_leq(values[i], often.max);
        zeros += values[i] == 0;
    }
    cr_assert_gt(zeros, TAKEN / 4);
    cr_assert_lt(zeros, TAKEN * 3 / 4);
    decisions_fini(&alone);
    decisions_fini(&beside);
}

Test(decisions, differ_from_seed_to_seed)
{
    uint64_t values[2][TAKEN];
    for (uint64_t seed = 0; seed < 2; seed++) {
        decisions_t self;
        decisions_init(&self, seed);
        take_all(&self, values[seed]);
        decisions_fini(&self);
    }
    cr_assert_neq(memcmp(values[0], values[1], sizeof values[0]), 0);
}

Test(decisions, come_again_from_their_text)
{
    decisions_t first;
    decisions_t again;
    uint64_t values[2][TAKEN];
    buffer_t text = {0};
    decisions_init(&first, 7);
    take_all(&first, values[0]);
    decisions_print(7, first.taken, first.taken_count, &text);
    buffer_append(&text, "", 1);
    decisions_init(&again, 0);
    cr_assert_eq(decisions_parse(&again, (const char *)text.data), CAPSTAN_OK);
    cr_assert_eq(again.seed, 7);
    take_all(&again, values[1]);
    cr_assert_eq(memcmp(values[0], values[1], sizeof values[0]), 0);
    cr_assert_eq(decisions_take(&again, DECISION_loss, 1, 2, often), 0, "it was not planned");
    buffer_fini(&text);
    decisions_fini(&first);
    decisions_fini(&again);
}

Test(decisions, that_are_given_again_keep_within_what_is_possible)
{
    decisions_t self;
    decisions_init(&self, 0);
    cr_assert_eq(decisions_parse(&self, "3 loss.0.1.1=1000 loss.0.1.3=1"), CAPSTAN_OK);
    const odds_t once = {.per_million = 1, .max = 1};
    cr_assert_eq(decisions_take(&self, DECISION_loss, 0, 1, once), 1);
    cr_assert_eq(decisions_take(&self, DECISION_loss, 0, 1, once), 0);
    cr_assert_eq(decisions_take(&self, DECISION_loss, 0, 1, once), 1);
    decisions_fini(&self);
}

Test(decisions, refuse_a_text_that_is_no_schedule)
{
    static const char *const texts[] = {"",
                                        "x",
                                        "-1",
                                        "1x",
                                        "1 ",
                                        "1 loss",
                                        "1 loss.0.1",
                                        "1 loss.0.1.",
                                        "1 loss.0.1.1",
                                        "1 loss.0.1.1=",
                                        "1 loss.0.1.1=x",
                                        "1 lost.0.1.1=1",
                                        "1 loss.4096.1.1=1",
                                        "1 loss.0.1.4294967296=1",
                                        "1 loss.0.1.1=99999999999999999999",
                                        "1 loss.0.1.1=1,"};
    decisions_t self;
    decisions_init(&self, 5);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        bool blank_at_end = strcmp(texts[i], "1 ") == 0;
        cr_assert_eq(decisions_parse(&self, texts[i]),
                     blank_at_end ? CAPSTAN_OK : CAPSTAN_E_INVALID, "%s", texts[i]);
        cr_assert_eq(self.seed, blank_at_end ? 1 : self.seed);
    }
    decisions_fini(&self);
}

/* --- shrinking ------------------------------------------------------------------------------- */

typedef struct needed {
    uint64_t runs;
    uint64_t value_min; /* of both decisions below */
} needed_t;

/* Fails when the loss number 40 and the crash number 70 are there. */
static bool needs_two(void *context, const decision_t *decisions, size_t count)
{
    needed_t *self = context;
    bool loss = false;
    bool crash = false;
    self->runs++;
    for (size_t i = 0; i < count; i++) {
        uint32_t ordinal = (uint32_t)decisions[i].site;
        bool large = decisions[i].value >= self->value_min;
        loss |= decision_kind(decisions[i]) == DECISION_loss && ordinal == 40 && large;
        crash |= decision_kind(decisions[i]) == DECISION_crash && ordinal == 70 && large;
    }
    return loss && crash;
}

static size_t take_many(decisions_t *self)
{
    static const odds_t always = {.per_million = 1000000, .max = 1000000};
    decisions_init(self, 1);
    for (size_t i = 0; i < TAKEN; i++) {
        (void)decisions_take(self, DECISION_delay, 0, 1, always);
        (void)decisions_take(self, DECISION_loss, 0, 1, always);
        (void)decisions_take(self, DECISION_crash, 0, 0, always);
    }
    return self->taken_count;
}

Test(shrink, leaves_what_a_failure_needs_and_makes_it_small)
{
    decisions_t self;
    needed_t needed = {.value_min = 3};
    size_t count = take_many(&self);
    shrink_t shrink = {.fails = needs_two, .context = &needed, .runs_left = 500};
    cr_assert_eq(shrink_decisions(&shrink, self.taken, count), 2);
    cr_assert_eq(decision_kind(self.taken[0]), DECISION_loss);
    cr_assert_eq(decision_kind(self.taken[1]), DECISION_crash);
    for (size_t i = 0; i < 2; i++) {
        cr_assert(self.taken[i].value >= 3 && self.taken[i].value < 6);
    }
    cr_assert_eq(needed.runs + shrink.runs_left, 500);
    decisions_fini(&self);
}

Test(shrink, keeps_a_failing_list_when_its_runs_are_used_up)
{
    for (uint32_t runs = 0; runs < 40; runs++) {
        decisions_t self;
        needed_t needed = {.value_min = 1};
        size_t count = take_many(&self);
        shrink_t shrink = {.fails = needs_two, .context = &needed, .runs_left = runs};
        count = shrink_decisions(&shrink, self.taken, count);
        cr_assert_leq(needed.runs, runs);
        cr_assert(needs_two(&needed, self.taken, count));
        decisions_fini(&self);
    }
}

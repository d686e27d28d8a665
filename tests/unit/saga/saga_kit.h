/* A saga on a bench: its core alone, with what it sends as text. */
#ifndef SAGA_KIT_H
#define SAGA_KIT_H

#include "actors/saga/saga.h"

#include <criterion/criterion.h>
#include <stdio.h>

enum { SECOND_US = 1000000 };

/* A saga, and what it wants done, as text: "2+a" is task 2 called, "2-ua" undone, "2?" settled,
 * "2>child" started, "2x" its child cancelled. */
typedef struct bench {
    plan_t *plan;
    saga_t *saga;
    saga_effects_t effects;
    char sent[512];
    int64_t now_us;
} bench_t;

static inline void take_effects(bench_t *self)
{
    size_t at = strlen(self->sent);
    for (size_t i = 0; i < self->effects.count; i++) {
        const saga_effect_t *effect = &self->effects.list[i];
        const char *sign = effect->kind == SAGA_START_CHILD    ? ">"
                           : effect->kind == SAGA_CANCEL_CHILD ? "x"
                           : effect->phase == PHASE_ACT        ? "+"
                           : effect->phase == PHASE_UNDO       ? "-"
                                                               : "?";
        slice_t what = effect->kind == SAGA_START_CHILD ? effect->definition
                       : effect->phase == PHASE_SETTLE  ? (slice_t){0}
                                                        : effect->action;
        at +=
            (size_t)snprintf(self->sent + at, sizeof self->sent - at, "%u%s%.*s ",
                             (unsigned)effect->task, sign, (int)what.size, (const char *)what.data);
    }
    self->effects.count = 0;
    const char *fault = saga_check(self->saga);
    cr_assert(!fault, "%s", fault);
}

static inline void open_saga(bench_t *self, slice_t input, slice_t taken)
{
    self->saga = saga_new(self->plan,
                          &(saga_begin_t){.number = 1,
                                          .id = slice_text("x"),
                                          .definition = self->plan->name,
                                          .version = 1,
                                          .at_us = self->now_us,
                                          .input = input,
                                          .taken = taken},
                          &self->effects);
    take_effects(self);
}

static inline void begin_with(bench_t *self, slice_t input, const char *yaml)
{
    buffer_t record = {0};
    plan_fault_t fault = {0};
    capstan_err_t err = definition_from_yaml(slice_text(yaml), "test", &record, &fault);
    cr_assert_eq(err, CAPSTAN_OK, "%s", fault.text);
    *self = (bench_t){.now_us = SECOND_US};
    cr_assert_eq(plan_read(buffer_slice(&record), &self->plan, &fault), CAPSTAN_OK);
    buffer_fini(&record);
    open_saga(self, input, (slice_t){0});
}

static inline void begin(bench_t *self, const char *yaml)
{
    begin_with(self, (slice_t){0}, yaml);
}

/* A fork of `from` that begins at the task, of a plan which `from` or another bench owns. */
static inline void fork_from(bench_t *self, plan_t *plan, const bench_t *from, uint64_t task)
{
    buffer_t taken = {0};
    *self = (bench_t){.plan = plan, .now_us = from->now_us};
    cr_assert_eq(saga_taken_before(from->saga, task, plan, &taken), CAPSTAN_OK);
    open_saga(self, saga_begin_of(from->saga)->input, buffer_slice(&taken));
    buffer_fini(&taken);
}

static inline void end(bench_t *self)
{
    saga_destroy(&self->saga);
    plan_destroy(&self->plan);
    saga_effects_fini(&self->effects);
}

/* Forgets what was sent before. */
static inline capstan_err_t hear(bench_t *self, saga_input_t input)
{
    input.number = 1;
    input.at_us = self->now_us;
    input.sequence = saga_sequence(self->saga) + 1;
    capstan_err_t err = saga_accepts(self->saga, &input);
    self->sent[0] = 0;
    if (!err) {
        saga_apply(self->saga, &input, &self->effects);
        take_effects(self);
    }
    return err;
}

static inline capstan_err_t answer(bench_t *self, uint64_t task, command_phase_t phase,
                                   saga_input_kind_t kind)
{
    return hear(self, (saga_input_t){.task = task, .phase = phase, .kind = kind});
}

static inline void expect(bench_t *self, uint64_t task, command_phase_t phase,
                          saga_input_kind_t kind, const char *sent)
{
    cr_assert_eq(answer(self, task, phase, kind), CAPSTAN_OK);
    cr_assert_str_eq(self->sent, sent);
}

static inline void person(bench_t *self, saga_input_kind_t kind, const char *sent)
{
    cr_assert_eq(hear(self, (saga_input_t){.kind = kind}), CAPSTAN_OK);
    cr_assert_str_eq(self->sent, sent);
}

/* Time passes until something is due. */
static inline void pass_time(bench_t *self)
{
    cr_assert_lt(saga_due_us(self->saga), INT64_MAX);
    self->now_us = saga_due_us(self->saga);
    cr_assert_eq(hear(self, (saga_input_t){.kind = SAGA_INPUT_time}), CAPSTAN_OK);
}

static inline void expect_phase(const bench_t *self, saga_phase_t phase)
{
    cr_assert_eq(saga_phase(self->saga), phase, "it is in state %d", (int)saga_phase(self->saga));
}

#define HEAD "saga: s\nversion: 1\nsteps:\n"
#define STEP(name)                                                                                 \
    "  - {step: " name ", participant: p, action: " name ", compensation: u" name "}\n"
#define ONCE(name)                                                                                 \
    "  - {step: " name ", participant: p, action: " name ", compensation: u" name                  \
    ", attempt_timeout: 1s, retry: {attempts: 1}}\n"
#define PIVOT(name)                                                                                \
    "  - {step: " name ", participant: p, action: " name                                           \
    ", class: pivot, attempt_timeout: 1s, retry: {attempts: 1}}\n"
#define RETRIABLE(name)                                                                            \
    "  - {step: " name ", participant: p, action: " name                                           \
    ", class: retriable, attempt_timeout: 1s, retry: {attempts: 1}}\n"

#endif

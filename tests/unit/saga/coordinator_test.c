/* Many sagas: who begins, what they hear, children, and what recovery makes of the records. */
#include "actors/saga/coordinator.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

enum { SECOND_US = 1000000 };

static const uint8_t seed[16] = {1};

/* A coordinator, what it wrote, and what it sent last. */
typedef struct bench {
    coordinator_t *core;
    coordinator_effects_t effects;
    buffer_t log; /* u32 record, u32 size, bytes */
    buffer_t sent;
    int64_t now_us;
} bench_t;

static plan_t *plan_of(const char *yaml)
{
    buffer_t record = {0};
    plan_fault_t fault = {0};
    plan_t *plan = NULL;
    capstan_err_t err = definition_from_yaml(slice_text(yaml), "test", &record, &fault);
    cr_assert_eq(err, CAPSTAN_OK, "%s", fault.text);
    err = plan_read(buffer_slice(&record), &plan, &fault);
    cr_assert_eq(err, CAPSTAN_OK, "%s", fault.text);
    buffer_fini(&record);
    return plan;
}

static void keep_record(bench_t *self, const coordinator_effect_t *effect)
{
    uint32_t head[2] = {effect->record, (uint32_t)effect->data_size};
    buffer_append(&self->log, head, sizeof head);
    buffer_append(&self->log, self->effects.bytes.data + effect->data_at, effect->data_size);
}

/* Commands as text: "id/task action" with a sign for the phase, one per line. */
static void note_command(bench_t *self, const coordinator_effect_t *effect)
{
    char line[256];
    saga_command_t command;
    slice_t data = {self->effects.bytes.data + effect->data_at, effect->data_size};
    cr_assert_eq(codec_decode(saga_command_wire(), data, &command, NULL), CAPSTAN_OK);
    int size =
        snprintf(line, sizeof line, "%.*s.%u%c%.*s ", (int)command.saga.size,
                 (const char *)command.saga.data, (unsigned)command.task, " +-?"[command.phase],
                 (int)command.action.size, (const char *)command.action.data);
    buffer_append(&self->sent, line, (size_t)size);
}

static void take_effects(bench_t *self)
{
    for (size_t i = 0; i < self->effects.count; i++) {
        const coordinator_effect_t *effect = &self->effects.list[i];
        if (effect->kind == COORDINATOR_APPEND) {
            keep_record(self, effect);
        } else if (effect->kind == COORDINATOR_COMMAND) {
            note_command(self, effect);
        }
    }
    coordinator_effects_clear(&self->effects);
    const char *fault = coordinator_check(self->core);
    cr_assert(!fault, "%s", fault);
}

static void open_bench(bench_t *self)
{
    *self = (bench_t){.core = coordinator_new(seed), .now_us = SECOND_US};
}

static void close_bench(bench_t *self)
{
    coordinator_destroy(&self->core);
    coordinator_effects_fini(&self->effects);
    buffer_fini(&self->log);
    buffer_fini(&self->sent);
}

static void define(bench_t *self, const char *yaml)
{
    bool created;
    cr_assert_eq(
        coordinator_define(self->core, self->now_us, plan_of(yaml), &created, &self->effects),
        CAPSTAN_OK);
    take_effects(self);
}

static capstan_err_t try_start(bench_t *self, const char *definition, const char *id,
                               const char *key)
{
    const saga_t *saga;
    bool created;
    coordinator_start_t start = {
        .definition = slice_text(definition), .id = slice_text(id), .key = slice_text(key)};
    capstan_err_t err =
        coordinator_start(self->core, self->now_us, &start, &saga, &created, &self->effects);
    take_effects(self);
    return err;
}

static void start(bench_t *self, const char *definition, const char *id, const char *key)
{
    cr_assert_eq(try_start(self, definition, id, key), CAPSTAN_OK);
}

static void expect_sent(bench_t *self, const char *wanted)
{
    buffer_append(&self->sent, "", 1);
    cr_assert_str_eq((const char *)self->sent.data, wanted);
    buffer_clear(&self->sent);
}

static uint64_t number_of(const bench_t *self, const char *id)
{
    const saga_t *saga = coordinator_find(self->core, slice_text(id));
    cr_assert(saga, "%s", id);
    return saga_begin_of(saga)->number;
}

typedef struct reply {
    uint64_t task;
    uint64_t phase;
    uint64_t attempt;
    uint64_t status;
} reply_t;

static capstan_err_t reply(bench_t *self, const char *id, reply_t reply)
{
    participant_result_t result = {.number = number_of(self, id),
                                   .task = reply.task,
                                   .phase = reply.phase,
                                   .attempt = reply.attempt,
                                   .status = reply.status,
                                   .saga = slice_text(id)};
    capstan_err_t err = coordinator_result(self->core, self->now_us, 7, &result, &self->effects);
    take_effects(self);
    return err;
}

static void expect_done(bench_t *self, const char *id, uint64_t task)
{
    cr_assert_eq(reply(self, id, (reply_t){task, PHASE_ACT, 1, 1}), CAPSTAN_OK);
}

static void expect_phase(const bench_t *self, const char *id, saga_phase_t phase)
{
    cr_assert_eq(saga_phase(coordinator_find(self->core, slice_text(id))), phase);
}

/* Another coordinator, from the records alone. */
static void recover(bench_t *self)
{
    coordinator_destroy(&self->core);
    self->core = coordinator_new(seed);
    for (size_t at = 0; at < self->log.size;) {
        uint32_t head[2];
        memcpy(head, self->log.data + at, sizeof head);
        slice_t data = {self->log.data + at + sizeof head, head[1]};
        cr_assert_eq(coordinator_load_record(self->core, head[0], data), CAPSTAN_OK);
        at += sizeof head + head[1];
    }
    coordinator_loaded(self->core, self->now_us, (coordinator_mark_t){.number_next = 1});
    take_effects(self);
    coordinator_resend(self->core, self->now_us, 1, NULL, &self->effects);
    take_effects(self);
}

static const char three_steps[] = "saga: order\n"
                                  "version: 1\n"
                                  "steps:\n"
                                  "  - {step: a, participant: p, action: a, compensation: ua}\n"
                                  "  - {step: b, participant: p, action: b, compensation: ub}\n"
                                  "  - {step: c, participant: p, action: c, compensation: uc}\n";

Test(coordinator, takes_the_steps_one_after_the_other)
{
    bench_t bench;
    open_bench(&bench);
    define(&bench, three_steps);
    start(&bench, "order", "x", "");
    expect_sent(&bench, "x.2+a ");
    expect_done(&bench, "x", 2);
    expect_sent(&bench, "x.3+b ");
    cr_assert_eq(reply(&bench, "x", (reply_t){2, PHASE_ACT, 1, 1}), CAPSTAN_E_SAGA_STATE);
    expect_done(&bench, "x", 3);
    expect_done(&bench, "x", 4);
    expect_phase(&bench, "x", SAGA_COMPLETED);
    close_bench(&bench);
}

Test(coordinator, compensates_in_reverse_order_what_landed_and_what_is_in_doubt)
{
    bench_t bench;
    open_bench(&bench);
    define(&bench, three_steps);
    start(&bench, "order", "x", "");
    expect_done(&bench, "x", 2);
    expect_done(&bench, "x", 3);
    buffer_clear(&bench.sent);
    cr_assert_eq(coordinator_input(bench.core, bench.now_us,
                                   &(saga_input_t){.number = 1, .kind = SAGA_INPUT_cancel},
                                   &bench.effects),
                 CAPSTAN_OK);
    take_effects(&bench);
    expect_sent(&bench, "x.4-uc ");
    cr_assert_eq(reply(&bench, "x", (reply_t){4, PHASE_UNDO, 1, 1}), CAPSTAN_OK);
    expect_sent(&bench, "x.3-ub ");
    recover(&bench);
    expect_sent(&bench, "x.3-ub ");
    cr_assert_eq(reply(&bench, "x", (reply_t){3, PHASE_UNDO, 1, 1}), CAPSTAN_OK);
    cr_assert_eq(reply(&bench, "x", (reply_t){2, PHASE_UNDO, 1, 1}), CAPSTAN_OK);
    expect_phase(&bench, "x", SAGA_COMPENSATED);
    close_bench(&bench);
}

Test(coordinator, knows_an_id_again)
{
    bench_t bench;
    open_bench(&bench);
    define(&bench, three_steps);
    start(&bench, "order", "x", "");
    start(&bench, "order", "x", "");
    expect_sent(&bench, "x.2+a ");
    cr_assert_eq(try_start(&bench, "order", "x", "other"), CAPSTAN_E_SAGA_CONFLICT);
    cr_assert_eq(try_start(&bench, "order", "", ""), CAPSTAN_E_SAGA_ID);
    cr_assert_eq(try_start(&bench, "order", "a/b", ""), CAPSTAN_E_SAGA_ID);
    cr_assert_eq(try_start(&bench, "nothing", "y", ""), CAPSTAN_E_UNKNOWN_DEFINITION);
    close_bench(&bench);
}

Test(coordinator, lets_one_of_a_key_run_and_the_others_follow_in_order)
{
    bench_t bench;
    open_bench(&bench);
    define(&bench, "saga: one\n"
                   "version: 1\n"
                   "lock: true\n"
                   "key: input.k\n"
                   "steps:\n"
                   "  - {step: a, participant: p, action: a, compensation: ua}\n");
    start(&bench, "one", "x", "k");
    start(&bench, "one", "y", "k");
    start(&bench, "one", "z", "k");
    start(&bench, "one", "w", "other");
    expect_sent(&bench, "x.2+a w.2+a ");
    recover(&bench);
    buffer_clear(&bench.sent);
    expect_phase(&bench, "y", SAGA_WAITING);
    expect_done(&bench, "x", 2);
    expect_sent(&bench, "y.2+a ");
    expect_done(&bench, "y", 2);
    expect_sent(&bench, "z.2+a ");
    close_bench(&bench);
}

Test(coordinator, tells_a_parent_how_its_child_ended)
{
    bench_t bench;
    open_bench(&bench);
    define(&bench, three_steps);
    define(&bench, "saga: parent\n"
                   "version: 1\n"
                   "steps:\n"
                   "  - {child: c, saga: order, participant: p, compensation: undo}\n"
                   "  - {step: last, participant: p, action: last, compensation: ulast}\n");
    start(&bench, "parent", "x", "");
    expect_sent(&bench, "x/2.2+a ");
    expect_done(&bench, "x/2", 2);
    expect_done(&bench, "x/2", 3);
    buffer_clear(&bench.sent);
    recover(&bench);
    expect_sent(&bench, "x/2.4+c ");
    expect_done(&bench, "x/2", 4);
    expect_sent(&bench, "x.3+last ");
    expect_done(&bench, "x", 3);
    expect_phase(&bench, "x", SAGA_COMPLETED);
    close_bench(&bench);
}

Test(coordinator, refuses_a_child_that_would_wait_for_its_own_parent)
{
    bench_t bench;
    open_bench(&bench);
    define(&bench, "saga: one\n"
                   "version: 1\n"
                   "lock: true\n"
                   "key: input.k\n"
                   "steps:\n"
                   "  - {child: c, saga: one, participant: p, compensation: undo}\n");
    start(&bench, "one", "x", "k");
    expect_phase(&bench, "x", SAGA_COMPENSATED);
    slice_t reason = saga_row(coordinator_find(bench.core, slice_text("x"))).reason;
    cr_assert(slice_equal(reason, slice_text("c: CHILD_LOCKED")));
    close_bench(&bench);
}

static capstan_err_t give_signal(bench_t *self, const char *token)
{
    capstan_err_t err = coordinator_input(self->core, self->now_us,
                                          &(saga_input_t){.number = 1,
                                                          .kind = SAGA_INPUT_signal,
                                                          .error = slice_text("go"),
                                                          .text = slice_text(token)},
                                          &self->effects);
    take_effects(self);
    return err;
}

Test(coordinator, knows_the_token_of_a_signal_again_after_the_end_too)
{
    bench_t bench;
    open_bench(&bench);
    define(&bench, "saga: s\n"
                   "version: 1\n"
                   "steps:\n"
                   "  - await: go\n"
                   "    any:\n"
                   "      - signal: go\n"
                   "        steps:\n"
                   "          - end: {outcome: gone}\n");
    start(&bench, "s", "x", "");
    cr_assert_eq(give_signal(&bench, "t"), CAPSTAN_OK);
    expect_phase(&bench, "x", SAGA_COMPLETED);
    cr_assert_eq(give_signal(&bench, "t"), CAPSTAN_E_EXISTS);
    cr_assert_eq(give_signal(&bench, "u"), CAPSTAN_E_SAGA_ENDED);
    close_bench(&bench);
}

Test(coordinator, starts_no_scheduled_time_twice_though_the_clock_steps_back)
{
    enum { MINUTE_US = 60 * SECOND_US };
    bench_t bench;
    open_bench(&bench);
    define(&bench, "saga: s\n"
                   "version: 1\n"
                   "schedule: \"* * * * *\"\n"
                   "steps:\n"
                   "  - {step: a, participant: p, action: a, compensation: ua}\n");
    bench.now_us = coordinator_due_us(bench.core);
    cr_assert_eq(bench.now_us, MINUTE_US);
    coordinator_time(bench.core, bench.now_us, 1, 10, &bench.effects);
    take_effects(&bench);
    expect_sent(&bench, "s@1970-01-01T00:01Z.2+a ");
    expect_done(&bench, "s@1970-01-01T00:01Z", 2);
    bench.now_us -= SECOND_US;
    recover(&bench);
    cr_assert_eq(coordinator_due_us(bench.core), 2 * MINUTE_US);
    close_bench(&bench);
}

Test(coordinator, retries_when_time_is_up_and_gives_up_in_the_end)
{
    bench_t bench;
    open_bench(&bench);
    define(&bench, "saga: s\n"
                   "version: 1\n"
                   "steps:\n"
                   "  - step: a\n"
                   "    participant: p\n"
                   "    action: a\n"
                   "    compensation: ua\n"
                   "    attempt_timeout: 1s\n"
                   "    retry: {initial: 1s, attempts: 2}\n");
    start(&bench, "s", "x", "");
    for (int i = 0; i < 3; i++) {
        bench.now_us = coordinator_due_us(bench.core);
        coordinator_time(bench.core, bench.now_us, 3, 10, &bench.effects);
        take_effects(&bench);
    }
    expect_sent(&bench, "x.2+a x.2+a x.2-ua ");
    expect_phase(&bench, "x", SAGA_COMPENSATING);
    close_bench(&bench);
}

static void hear(bench_t *self, uint64_t offset, const char *payload)
{
    coordinator_event_t event = {.topic = slice_text("t"),
                                 .offset = offset,
                                 .key = slice_text("k"),
                                 .payload = slice_text(payload)};
    cr_assert_eq(coordinator_event(self->core, self->now_us, &event, &self->effects), CAPSTAN_OK);
    take_effects(self);
}

Test(coordinator, starts_by_an_event_and_goes_on_with_those_of_its_key)
{
    bench_t bench;
    open_bench(&bench);
    define(&bench, "saga: s\n"
                   "version: 1\n"
                   "start: {topic: t, when: event.n == 1}\n"
                   "steps:\n"
                   "  - await: next\n"
                   "    any:\n"
                   "      - event: {topic: t, when: event.n == 2}\n"
                   "        steps:\n"
                   "          - {step: a, participant: p, action: a, compensation: ua}\n");
    hear(&bench, 1, "\x81\xa1n\x03");
    hear(&bench, 2, "\x81\xa1n\x01");
    hear(&bench, 2, "\x81\xa1n\x01");
    hear(&bench, 3, "\x81\xa1n\x03");
    expect_sent(&bench, "");
    hear(&bench, 4, "\x81\xa1n\x02");
    hear(&bench, 4, "\x81\xa1n\x02");
    expect_sent(&bench, "s:k@0.2.4+a ");
    expect_done(&bench, "s:k@0.2", 4);
    expect_phase(&bench, "s:k@0.2", SAGA_COMPLETED);
    close_bench(&bench);
}

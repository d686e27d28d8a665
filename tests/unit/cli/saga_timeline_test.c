/* Goal: whoever looks at a saga sees what it is, what it waits for, and what it has done in which
 * order, whatever it is doing. */
#include "cli/saga_timeline.h"

#include "actors/saga/saga.h"
#include "tests/unit/cli/definition_kit.h"

#include <criterion/criterion.h>
#include <stdlib.h>

/* 2026-01-31T12:00:00Z */
#define T0 INT64_C(1769860800000000)
#define S  INT64_C(1000000)

typedef struct sample {
    saga_state_t state;
    const saga_task_t *tasks;
    size_t count;
    bool unknown; /* its definition is not known */
} sample_t;

static void encode(const sample_t *sample, buffer_t *out)
{
    buffer_t begin = {0};
    buffer_t tasks = {0};
    buffer_t state = {0};
    buffer_t definition = {0};
    saga_state_t record = sample->state;
    codec_encode(saga_begin_wire(),
                 &(saga_begin_t){.number = 5,
                                 .id = slice_text("order-17"),
                                 .definition = slice_text("order"),
                                 .version = 2,
                                 .at_us = T0,
                                 .key = slice_text("17"),
                                 .deadline_us = T0 + 3600 * S},
                 &begin);
    codec_list_writer_t list = codec_list_begin(&tasks);
    for (size_t i = 0; i < sample->count; i++) {
        codec_list_add(&list, saga_task_wire(), &sample->tasks[i]);
    }
    codec_list_end(&list);
    record.begin = buffer_slice(&begin);
    record.tasks = buffer_slice(&tasks);
    codec_encode(saga_state_wire(), &record, &state);
    if (!sample->unknown) {
        definition_kit_definition(&definition);
    }
    codec_encode(
        saga_shown_wire(),
        &(saga_shown_t){.state = buffer_slice(&state), .definition = buffer_slice(&definition)},
        out);
    buffer_fini(&begin);
    buffer_fini(&tasks);
    buffer_fini(&state);
    buffer_fini(&definition);
}

static void expect(const sample_t *sample, const char *golden)
{
    buffer_t body = {0};
    saga_view_t view;
    char *text = NULL;
    size_t size = 0;
    encode(sample, &body);
    cr_assert_eq(saga_view_read(buffer_slice(&body), &view), CAPSTAN_OK);
    FILE *out = open_memstream(&text, &size);
    cr_assert_not_null(out);
    saga_timeline_print(&view, T0 + 10 * S, out);
    fclose(out);
    cr_expect_str_eq(text, golden);
    free(text);
    saga_view_fini(&view);
    buffer_fini(&body);
}

Test(saga_timeline, shows_the_tree_of_tasks_and_what_is_waited_for)
{
    static const saga_task_t tasks[] = {
        {.number = 1, .node = 0, .state = TASK_OPEN, .opened_us = T0},
        {.number = 2,
         .node = 1,
         .parent = 1,
         .state = TASK_DONE,
         .attempt = 2,
         .opened_us = T0,
         .ended_us = T0 + 1500000},
        {.number = 3, .node = 2, .parent = 1, .state = TASK_OPEN, .opened_us = T0 + 2 * S},
        {.number = 4,
         .node = 3,
         .parent = 3,
         .state = TASK_CALLING,
         .attempt = 1,
         .opened_us = T0 + 2 * S,
         .due_us = T0 + 12 * S},
        {.number = 5,
         .node = 4,
         .parent = 3,
         .state = TASK_BACKOFF,
         .attempt = 3,
         .opened_us = T0 + 2 * S,
         .due_us = T0 + 11 * S,
         .error = {"BUSY", 4},
         .text = {"no\nroute", 8}},
    };
    expect(&(sample_t){.state = {.state = SAGA_RUNNING}, .tasks = tasks, .count = 5},
           "saga        order-17\n"
           "definition  order 2\n"
           "state       RUNNING: goes forward\n"
           "key         17\n"
           "started     2026-01-31T12:00:00.000Z\n"
           "deadline    2026-01-31T13:00:00.000Z\n"
           "waits for   task 4 step invoice: participant books to do invoice, attempt 1, until "
           "2026-01-31T12:00:12.000Z\n"
           "            task 5 step route: its next attempt, at 2026-01-31T12:00:11.000Z\n"
           "\n"
           "task  node              state    attempts  started  took        error\n"
           "   1  sequence          OPEN               +0ms     10s so far  \n"
           "   2    step reserve    DONE            2  +0ms     1.5s        \n"
           "   3    parallel        OPEN               +2s      8s so far   \n"
           "   4      step invoice  CALLING         1  +2s      8s so far   \n"
           "   5      step route    BACKOFF         3  +2s      8s so far   BUSY: no\\nroute\n");
}

Test(saga_timeline, says_what_an_await_would_take)
{
    static const saga_task_t tasks[] = {
        {.number = 9,
         .node = 7,
         .state = TASK_OPEN,
         .opened_us = T0,
         .due_us = T0 + INT64_C(86400) * S},
    };
    expect(
        &(sample_t){.state = {.state = SAGA_RUNNING, .paused = true}, .tasks = tasks, .count = 1},
        "saga        order-17\n"
        "definition  order 2\n"
        "state       RUNNING: goes forward; paused\n"
        "key         17\n"
        "started     2026-01-31T12:00:00.000Z\n"
        "deadline    2026-01-31T13:00:00.000Z\n"
        "waits for   a person: `capstan saga resume order-17`\n"
        "            task 9 await approval: signal approve, or 2026-02-01T12:00:00.000Z\n"
        "\n"
        "task  node            state  attempts  started  took\n"
        "   9  await approval  OPEN             +0ms     10s so far\n");
}

Test(saga_timeline, says_what_a_person_has_to_do)
{
    static const saga_task_t tasks[] = {
        {.number = 1,
         .node = 15,
         .state = TASK_DONE,
         .attempt = 1,
         .opened_us = T0,
         .ended_us = T0 + S},
        {.number = 2,
         .node = 16,
         .state = TASK_STUCK,
         .attempt = 10,
         .opened_us = T0 + S,
         .error = {"GONE", 4}},
    };
    expect(&(sample_t){.state = {.state = SAGA_PARKED,
                                 .pivot = true,
                                 .reason = slice_text("task 2 is exhausted")},
                       .tasks = tasks,
                       .count = 2},
           "saga        order-17\n"
           "definition  order 2\n"
           "state       PARKED: cannot go on without a person; its pivot has landed\n"
           "reason      task 2 is exhausted\n"
           "key         17\n"
           "started     2026-01-31T12:00:00.000Z\n"
           "deadline    2026-01-31T13:00:00.000Z\n"
           "waits for   task 2 child ship: a person: `capstan saga retry order-17 --task 2`, or "
           "skip\n"
           "\n"
           "task  node         state  attempts  started  took       error\n"
           "   1  step charge  DONE          1  +0ms     1s         \n"
           "   2  child ship   STUCK        10  +1s      9s so far  GONE\n");
}

Test(saga_timeline, shows_one_that_has_ended_and_whose_definition_is_unknown)
{
    static const saga_task_t tasks[] = {
        {.number = 1, .node = 0, .state = TASK_UNDONE, .opened_us = T0, .ended_us = T0 + 65 * S},
    };
    expect(&(sample_t){.state = {.state = SAGA_COMPENSATED,
                                 .outcome = slice_text("rejected"),
                                 .ended_us = T0 + 65 * S},
                       .tasks = tasks,
                       .count = 1,
                       .unknown = true},
           "saga        order-17\n"
           "definition  order 2 (not known at this node: it does not go on)\n"
           "state       COMPENSATED: every effect has been undone\n"
           "outcome     rejected\n"
           "key         17\n"
           "started     2026-01-31T12:00:00.000Z\n"
           "ended       2026-01-31T12:01:05.000Z (took 1m5s)\n"
           "deadline    2026-01-31T13:00:00.000Z\n"
           "\n"
           "task  node    state   attempts  started  took\n"
           "   1  node 0  UNDONE            +0ms     1m5s\n");
}

Test(saga_timeline, waits_for_no_more_lines_than_one_reads)
{
    saga_task_t tasks[25];
    char *text = NULL;
    size_t size = 0;
    buffer_t body = {0};
    saga_view_t view;
    for (size_t i = 0; i < 25; i++) {
        tasks[i] = (saga_task_t){.number = i + 1, .node = 3, .state = TASK_CALLING, .attempt = 1};
    }
    encode(&(sample_t){.state = {.state = SAGA_RUNNING}, .tasks = tasks, .count = 25}, &body);
    cr_assert_eq(saga_view_read(buffer_slice(&body), &view), CAPSTAN_OK);
    FILE *out = open_memstream(&text, &size);
    saga_waits_print(&view, 2, out);
    fclose(out);
    cr_expect(strstr(text, "            and 23 more\n"), "%s", text);
    free(text);
    saga_view_fini(&view);
    buffer_fini(&body);
}

Test(saga_timeline, is_not_made_of_what_cannot_be_a_saga)
{
    static const saga_task_t twice[] = {{.number = 2, .state = TASK_OPEN},
                                        {.number = 2, .state = TASK_OPEN}};
    static const saga_task_t own_parent[] = {{.number = 2, .parent = 2, .state = TASK_OPEN},
                                             {.number = 3, .parent = 9, .state = TASK_OPEN}};
    buffer_t body = {0};
    saga_view_t view;
    encode(&(sample_t){.state = {.state = 99}, .tasks = twice, .count = 2}, &body);
    cr_expect_eq(saga_view_read(buffer_slice(&body), &view), CAPSTAN_E_MALFORMED);
    cr_expect_neq(saga_view_read(slice_text("x"), &view), CAPSTAN_OK);
    buffer_clear(&body);
    encode(&(sample_t){.state = {.state = 99}, .tasks = own_parent, .count = 2}, &body);
    cr_assert_eq(saga_view_read(buffer_slice(&body), &view), CAPSTAN_OK);
    cr_expect(view.first == 0 && view.tasks[0].next == 1 && view.tasks[0].first == SAGA_VIEW_NONE);
    saga_view_fini(&view);
    buffer_fini(&body);
}

/* Sagas of a program that hosts a node: the public calls alone. */
#include "tests/integration/journal/store_fixture.h"

#include <capstan/participant.h>
#include <capstan/saga.h>
#include <capstan/topic.h>
#include <sqlite3.h>

#define CALLS_US INT64_C(20000000)

/* What a program writes for a durable saga of three steps, with the participant that does them. */
static const capstan_saga_step_t steps[] = {
    {.name = "reserve", .participant = "shop", .action = "reserve", .compensation = "release"},
    {.name = "charge", .participant = "shop", .action = "charge", .kind = CAPSTAN_STEP_PIVOT},
    {.name = "send", .participant = "shop", .action = "send", .kind = CAPSTAN_STEP_RETRIABLE},
};

static capstan_err_t work(void *context, const capstan_command_t *command, capstan_answer_t *answer)
{
    if (command->saga.size == 6 && command->action.size == 6) { /* broken cannot be charged */
        capstan_answer_failed_for_good(answer, "NO_MONEY", "there is no money");
    }
    ++*(int *)context; /* ... sqlite3_exec(command->db, ...) */
    return CAPSTAN_OK;
}

static capstan_saga_end_t order(capstan_node_t *node, const char *id, char *text, size_t size)
{
    capstan_saga_end_t end = {0};
    capstan_err_t err = capstan_saga_define_steps(node, "order", 1, steps, 3, text, size);
    err = err ? err
              : capstan_saga_start(node, &(capstan_saga_start_t){.definition = "order", .id = id},
                                   NULL);
    err = err ? err : capstan_saga_result(node, id, CALLS_US, &end);
    cr_assert_eq(err, CAPSTAN_OK, "%s", text);
    return end;
}

Test(saga_calls, three_steps_are_a_table_and_a_function)
{
    fixture_t fixture;
    capstan_node_t *node;
    capstan_participant_t *participant = NULL;
    char text[512] = "";
    char path[128];
    int handled = 0;
    fixture_folder(&fixture);
    snprintf(path, sizeof path, "%s-shop", fixture.path);
    cr_assert_eq(capstan_node_new(&(capstan_node_options_t){.log_fd = -1}, &node), CAPSTAN_OK);
    cr_assert_eq(
        capstan_saga_start(node, &(capstan_saga_start_t){.definition = "order", .id = "a"}, NULL),
        CAPSTAN_E_UNSUPPORTED);
    cr_assert_eq(capstan_topics_open(node, &(capstan_topics_options_t){.path = fixture.path}, text,
                                     sizeof text),
                 CAPSTAN_OK, "%s", text);
    capstan_participant_options_t options = {.name = "shop", .handle = work, .context = &handled};
    cr_assert_eq(capstan_participant_start(node, &options, &participant, text, sizeof text),
                 CAPSTAN_OK);
    capstan_saga_end_t end = order(node, "good", text, sizeof text);
    cr_assert_eq(end.state, CAPSTAN_SAGA_COMPLETED);
    cr_assert_str_eq(end.outcome, "completed");
    capstan_saga_end_fini(&end);
    end = order(node, "broken", text, sizeof text);
    cr_assert_eq(end.state, CAPSTAN_SAGA_COMPENSATED);
    cr_assert(end.reason[0]);
    capstan_saga_end_fini(&end);
    cr_assert_eq(handled, 3 + 3);
    cr_assert_eq(capstan_saga_result(node, "nobody", 0, &end), CAPSTAN_E_UNKNOWN_SAGA);
    cr_assert_eq(capstan_saga_cancel(node, "good", NULL), CAPSTAN_E_SAGA_ENDED);
    cr_assert_eq(capstan_saga_signal(node, "good", "", (capstan_slice_t){0}, NULL),
                 CAPSTAN_E_INVALID);
    cr_assert_eq(capstan_node_stop(&node, CALLS_US, NULL, NULL), CAPSTAN_OK);
    cr_assert_eq(capstan_participant_stop(&participant, CALLS_US), CAPSTAN_OK);
    fixture_fini(&fixture);
}

Test(saga_calls, a_definition_that_is_wrong_is_named)
{
    fixture_t fixture;
    capstan_node_t *node;
    char text[512] = "";
    capstan_saga_step_t step = {.name = "a", .participant = "p", .action = "a"};
    fixture_folder(&fixture);
    cr_assert_eq(capstan_node_new(&(capstan_node_options_t){.log_fd = -1}, &node), CAPSTAN_OK);
    cr_assert_eq(capstan_topics_open(node, &(capstan_topics_options_t){.path = fixture.path}, text,
                                     sizeof text),
                 CAPSTAN_OK, "%s", text);
    cr_assert_eq(capstan_saga_define_steps(node, "bad", 1, &step, 1, text, sizeof text),
                 CAPSTAN_E_SAGA_DEFINITION);
    cr_assert(strstr(text, "compensation"), "%s", text);
    cr_assert_eq(capstan_saga_define(node, "saga: x\nversion: 1\n", "x.yaml", text, sizeof text),
                 CAPSTAN_E_SAGA_DEFINITION);
    cr_assert(strstr(text, "x.yaml:"), "%s", text);
    step.compensation = "b";
    cr_assert_eq(capstan_saga_define_steps(node, "x", 1, &step, 1, text, sizeof text), CAPSTAN_OK);
    cr_assert_eq(capstan_saga_define_steps(node, "x", 1, &step, 1, text, sizeof text), CAPSTAN_OK);
    step.compensation = "c";
    cr_assert_eq(capstan_saga_define_steps(node, "x", 1, &step, 1, text, sizeof text),
                 CAPSTAN_E_DEFINITION_CONFLICT);
    cr_assert_eq(capstan_node_stop(&node, CALLS_US, NULL, NULL), CAPSTAN_OK);
    fixture_fini(&fixture);
}

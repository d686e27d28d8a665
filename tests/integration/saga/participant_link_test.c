/* A participant in a process of its own, over tcp; here its thread and its node share the test's
 * process. */
#include "participant_kit.h"

#include <capstan/gateway.h>
#include <poll.h>
#include <stdio.h>

static participant_kit_t kit;
static _Atomic bool over;
static pthread_t thread;
static char endpoint[512];

enum { ACT = INBOX_PHASE_ACT, UNDO = INBOX_PHASE_UNDO, SETTLE = INBOX_PHASE_SETTLE };

static void *serve(void *argument)
{
    (void)argument;
    while (!atomic_load(&over)) {
        capstan_participant_poll(kit.participant, 10000);
    }
    return NULL;
}

static void connect_participant(void)
{
    uint64_t opened = atomic_load(&kit.opened);
    kit.options.endpoint = endpoint;
    cr_assert_eq(
        capstan_participant_connect(&kit.options, &kit.participant, kit.text, sizeof kit.text),
        CAPSTAN_OK, "%s", kit.text);
    atomic_store(&over, false);
    cr_assert_eq(pthread_create(&thread, NULL, serve, NULL), 0);
    cr_assert(kit_await(&kit.opened, opened + 1));
}

static void disconnect_participant(void)
{
    atomic_store(&over, true);
    pthread_join(thread, NULL);
    kit_stop_participant(&kit);
}

static void start(void)
{
    kit_open(&kit);
    cr_assert_eq(capstan_gateway_open(kit.node,
                                      &(capstan_gateway_options_t){.endpoint = "tcp://127.0.0.1:0"},
                                      endpoint, sizeof endpoint),
                 CAPSTAN_OK, "%s", endpoint);
    kit_start_coordinator(&kit);
    connect_participant();
}

Test(participant_link, does_commands_over_tcp)
{
    start();
    for (uint64_t attempt = 1; attempt <= 3; attempt++) {
        kit_result_t result = kit_command(&kit, 5, ACT, attempt, KIT_DO);
        cr_assert_eq(result.result.status, INBOX_ANSWER_DONE);
        cr_assert_eq(result.value[0], 5);
    }
    cr_assert_eq(kit_command(&kit, 6, UNDO, 1, KIT_DO).result.status, INBOX_ANSWER_DONE);
    disconnect_participant();
    connect_participant();
    cr_assert_eq(kit_command(&kit, 6, ACT, 1, KIT_DO).result.status, INBOX_ANSWER_NEVER);
    cr_assert_eq(kit_command(&kit, 5, UNDO, 1, KIT_DO).result.status, INBOX_ANSWER_DONE);
    cr_assert_eq(kit_ledger(&kit, 5, ACT), 1);
    cr_assert_eq(kit_ledger(&kit, 5, UNDO), 1);
    cr_assert_eq(kit_ledger(&kit, 6, ACT), 0);
    disconnect_participant();
    kit_close(&kit);
}

/* The handler asks others through the same peer meanwhile, and the command comes again. */
Test(participant_link, says_that_it_is_busy_while_a_handler_runs)
{
    start();
    saga_command_t command = kit_make(1, ACT, 1, KIT_ASK);
    kit_send(&kit, 1, &command, 1);
    cr_assert(kit_await(&kit.waiting, 1));
    command.attempt = 2;
    saga_command_t both[] = {command, kit_make(2, ACT, 1, KIT_DO)};
    kit_send(&kit, 1, both, 2);
    cr_assert(kit_await(&kit.answered, 1));
    cr_assert_eq(kit.results[0].result.status, INBOX_ANSWER_BUSY);
    cr_assert_eq(kit.results[0].result.attempt, 2u);
    atomic_store(&kit.go, true);
    cr_assert(kit_await(&kit.answered, 4));
    for (size_t i = 1; i < 4; i++) {
        cr_assert_eq(kit.results[i].result.status, INBOX_ANSWER_DONE);
    }
    cr_assert_eq(kit_ledger(&kit, 1, ACT), 1);
    cr_assert_eq(kit_ledger(&kit, 2, ACT), 1);
    disconnect_participant();
    kit_close(&kit);
}

/* Many large lists: credit runs in both directions. */
Test(participant_link, takes_more_than_is_granted_at_once)
{
    enum { LISTS = 200, PER_LIST = 50 };
    start();
    saga_command_t commands[PER_LIST];
    for (uint64_t i = 0; i < LISTS; i++) {
        for (uint64_t k = 0; k < PER_LIST; k++) {
            commands[k] = kit_make(1000 + i * PER_LIST + k, ACT, 1, KIT_DO);
        }
        kit_send(&kit, 1, commands, PER_LIST);
    }
    cr_assert(kit_await(&kit.answered, LISTS * PER_LIST));
    cr_assert_eq(atomic_load(&kit.handled), (uint64_t)LISTS * PER_LIST);
    disconnect_participant();
    kit_close(&kit);
}

Test(participant_link, says_why_it_cannot_connect)
{
    kit_open(&kit);
    kit.options.endpoint = "nonsense";
    cr_assert_eq(
        capstan_participant_connect(&kit.options, &kit.participant, kit.text, sizeof kit.text),
        CAPSTAN_E_INVALID);
    cr_assert(strstr(kit.text, "nonsense"), "%s", kit.text);
    kit_close(&kit);
}

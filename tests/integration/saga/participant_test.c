/* A participant in the process of its node, against a coordinator that sends what it likes. */
#include "participant_kit.h"

#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static participant_kit_t kit;

enum { ACT = INBOX_PHASE_ACT, UNDO = INBOX_PHASE_UNDO, SETTLE = INBOX_PHASE_SETTLE };

static void start(void)
{
    kit_open(&kit);
    kit_start_coordinator(&kit);
    kit_start_participant(&kit);
}

static void finish(void)
{
    kit_stop_participant(&kit);
    kit_close(&kit);
}

static void expect(uint64_t task, uint64_t phase, uint64_t attempt, kit_order_t order,
                   inbox_answer_t status)
{
    kit_result_t result = kit_command(&kit, task, phase, attempt, order);
    cr_assert_eq(result.result.status, (uint64_t)status, "task %d phase %d attempt %d: %d",
                 (int)task, (int)phase, (int)attempt, (int)result.result.status);
}

static void expect_failure(uint64_t task, kit_order_t order, inbox_answer_t status,
                           const char *word)
{
    kit_result_t result = kit_command(&kit, task, ACT, 1, order);
    cr_assert_eq(result.result.status, (uint64_t)status, "%d", (int)result.result.status);
    cr_assert_str_eq(result.word, word);
    cr_assert_eq(kit_ledger(&kit, task, ACT), 0);
}

Test(participant, does_a_command_once_and_answers_each)
{
    start();
    for (uint64_t attempt = 1; attempt <= 5; attempt++) {
        kit_result_t result = kit_command(&kit, 7, ACT, attempt, KIT_DO);
        cr_assert_eq(result.result.status, INBOX_ANSWER_DONE);
        cr_assert_eq(result.value_size, 1u);
        cr_assert_eq(result.value[0], 7);
    }
    cr_assert_eq(atomic_load(&kit.handled), 1u);
    cr_assert_eq(kit_ledger(&kit, 7, ACT), 1);
    expect(7, UNDO, 1, KIT_DO, INBOX_ANSWER_DONE);
    expect(7, UNDO, 2, KIT_DO, INBOX_ANSWER_DONE);
    expect(7, ACT, 6, KIT_DO, INBOX_ANSWER_DONE);
    cr_assert_eq(kit_ledger(&kit, 7, ACT), 1);
    cr_assert_eq(kit_ledger(&kit, 7, UNDO), 1);
    finish();
}

Test(participant, does_nothing_that_was_undone_or_settled_before)
{
    start();
    expect(1, UNDO, 1, KIT_DO, INBOX_ANSWER_DONE);
    expect(1, ACT, 1, KIT_DO, INBOX_ANSWER_NEVER);
    expect(2, SETTLE, 1, KIT_DO, INBOX_ANSWER_NEVER);
    expect(2, ACT, 1, KIT_DO, INBOX_ANSWER_NEVER);
    kit_stop_participant(&kit);
    kit_start_participant(&kit); /* the tombstones are on disk */
    expect(1, ACT, 2, KIT_DO, INBOX_ANSWER_NEVER);
    expect(2, ACT, 2, KIT_DO, INBOX_ANSWER_NEVER);
    cr_assert_eq(atomic_load(&kit.handled), 0u);
    finish();
}

Test(participant, undoes_what_a_handler_wrote_that_did_not_succeed)
{
    start();
    expect_failure(1, KIT_FAIL, INBOX_ANSWER_FAILED, "LATER");
    expect_failure(2, KIT_ERROR, INBOX_ANSWER_FAILED, "NOT_FOUND");
    expect_failure(3, KIT_LARGE, INBOX_ANSWER_FAILED, "RESULT");
    expect_failure(4, KIT_NO_MSGPACK, INBOX_ANSWER_FAILED, "RESULT");
    for (uint64_t task = 1; task <= 4; task++) { /* the next attempt runs */
        expect(task, ACT, 2, KIT_DO, INBOX_ANSWER_DONE);
        cr_assert_eq(kit_ledger(&kit, task, ACT), 1);
    }
    expect_failure(5, KIT_FAIL_GOOD, INBOX_ANSWER_FINAL, "BROKE");
    expect(5, ACT, 2, KIT_DO, INBOX_ANSWER_FINAL);
    expect(5, UNDO, 1, KIT_DO, INBOX_ANSWER_DONE);
    cr_assert_eq(kit_ledger(&kit, 5, ACT), 0);
    finish();
}

static off_t log_bytes(void)
{
    char path[96];
    struct stat log;
    snprintf(path, sizeof path, "%s-wal", kit.path);
    return stat(path, &log) == 0 ? log.st_size : 0;
}

Test(participant, commits_into_a_log_that_has_room)
{
    start();
    off_t reserved = log_bytes();
    cr_assert_gt(reserved, 16 << 20); /* what 4096 pages take */
    for (uint64_t task = 1; task <= 32; task++) {
        expect(task, ACT, 1, KIT_DO, INBOX_ANSWER_DONE);
    }
    cr_assert_eq(log_bytes(), reserved);
    finish();
}

Test(participant, lets_no_handler_end_its_transaction)
{
    start();
    expect(1, ACT, 1, KIT_COMMIT, INBOX_ANSWER_DONE);
    cr_assert_eq(atomic_load(&kit.denied), 2);
    cr_assert_eq(kit_ledger(&kit, 1, ACT), 1);
    finish();
}

Test(participant, refuses_a_stale_epoch_also_after_a_restart)
{
    start();
    atomic_store(&kit.epoch, 5);
    expect(1, ACT, 1, KIT_DO, INBOX_ANSWER_DONE);
    atomic_store(&kit.epoch, 4);
    expect(2, ACT, 1, KIT_DO, INBOX_ANSWER_REFUSED);
    kit_stop_participant(&kit);
    kit_start_participant(&kit); /* what an old coordinator says to its opening changes nothing */
    expect(2, ACT, 1, KIT_DO, INBOX_ANSWER_REFUSED);
    expect(1, ACT, 1, KIT_DO, INBOX_ANSWER_REFUSED);
    cr_assert_eq(kit_ledger(&kit, 2, ACT), 0);
    atomic_store(&kit.epoch, 5);
    expect(2, ACT, 1, KIT_DO, INBOX_ANSWER_DONE);
    finish();
}

Test(participant, hears_from_its_opening_which_epoch_counts)
{
    kit_open(&kit);
    kit_start_coordinator(&kit);
    atomic_store(&kit.epoch, 9);
    kit_start_participant(&kit);
    saga_command_t settle = kit_make(3, SETTLE, 1, KIT_DO);
    kit_send(&kit, 8, &settle, 1);
    cr_assert(kit_await(&kit.answered, 1));
    cr_assert_eq(kit.results[0].result.status, INBOX_ANSWER_REFUSED);
    finish();
}

Test(participant, goes_on_after_garbage)
{
    start();
    static const char *const bodies[] = {"", "\xc1", "\x80", "\x82\x01\x01\x02\x91\xc0",
                                         "\x82\x01\x01\x02\xdd\xff\xff\xff\xff"};
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        kit_send_bytes(&kit, slice_text(bodies[i]));
    }
    saga_command_t wrong = kit_make(1, 9, 1, KIT_DO);
    kit_send(&kit, 1, &wrong, 1);
    cr_assert(kit_await(&kit.answered, 1));
    cr_assert_eq(kit.results[0].result.status, INBOX_ANSWER_FAILED);
    cr_assert_str_eq(kit.results[0].word, "INVALID");
    cr_assert_geq(atomic_load(&kit.troubles), 1u);
    expect(1, ACT, 1, KIT_DO, INBOX_ANSWER_DONE);
    cr_assert_eq(atomic_load(&kit.trouble), (int)CAPSTAN_OK);
    finish();
}

/* One command finds no room, which makes SQLite end the transaction of all. The others are done in
 * ones of their own; that one is not answered. */
static capstan_err_t open_small(void *context, struct sqlite3 *db)
{
    (void)context;
    return sqlite3_exec(db,
                        "CREATE TABLE IF NOT EXISTS ledger (saga, task, phase);"
                        "PRAGMA cache_size = 10; PRAGMA max_page_count = 40",
                        NULL, NULL, NULL) == SQLITE_OK
               ? CAPSTAN_OK
               : CAPSTAN_E_STORE_IO;
}

Test(participant, is_not_held_up_by_a_command_that_fills_the_disk)
{
    kit_open(&kit);
    kit.options.open = open_small;
    kit_start_coordinator(&kit);
    kit_start_participant(&kit);
    saga_command_t commands[8];
    for (uint64_t i = 0; i < 8; i++) {
        commands[i] = kit_make(200 + i, ACT, 1, i == 3 ? KIT_FILL : KIT_DO);
    }
    kit_send(&kit, 1, commands, 8);
    cr_assert(kit_await(&kit.answered, 7));
    for (size_t i = 0; i < 7; i++) {
        cr_assert_neq(kit.results[i].result.task, 203u);
        cr_assert_eq(kit.results[i].result.status, INBOX_ANSWER_DONE);
    }
    cr_assert_eq(kit_ledger(&kit, 203, ACT), 0);
    cr_assert_eq(kit_ledger(&kit, 204, ACT), 1);
    cr_assert_geq(atomic_load(&kit.troubles), 1u);
    finish();
}

/* The whole inbox is full: nothing is answered but by who sends again when there is room. */
static _Atomic bool roomy;

static capstan_err_t handle_in_little_room(void *context, const capstan_command_t *command,
                                           capstan_answer_t *answer)
{
    (void)context;
    sqlite3_exec(command->db,
                 atomic_load(&roomy) ? "PRAGMA max_page_count = 100000"
                                     : "PRAGMA max_page_count = 1",
                 NULL, NULL, NULL);
    /* Committing it takes pages that there are not. */
    int result = sqlite3_exec(command->db, "INSERT INTO ledger VALUES (zeroblob(40000), 0, 0)",
                              NULL, NULL, NULL);
    if (result != SQLITE_OK) {
        return CAPSTAN_E_STORE_FULL;
    }
    capstan_answer_done(answer, slice_of(NULL, 0));
    return CAPSTAN_OK;
}

Test(participant, answers_nothing_that_a_full_disk_did_not_take)
{
    kit_open(&kit);
    kit.options.handle = handle_in_little_room;
    kit_start_coordinator(&kit);
    kit_start_participant(&kit);
    saga_command_t command = kit_make(201, ACT, 1, KIT_DO);
    kit_send(&kit, 1, &command, 1);
    cr_assert(kit_await(&kit.troubles, 1));
    int trouble = atomic_load(&kit.trouble);
    cr_assert_eq(trouble, (int)CAPSTAN_E_STORE_FULL, "%d", trouble);
    cr_assert_eq(atomic_load(&kit.answered), 0u);
    atomic_store(&roomy, true);
    kit_send(&kit, 1, &command, 1);
    cr_assert(kit_await(&kit.answered, 1));
    cr_assert_eq(kit.results[0].result.status, INBOX_ANSWER_DONE);
    cr_assert_eq(atomic_load(&kit.trouble), (int)CAPSTAN_OK);
    finish();
}

Test(participant, looks_for_the_next_coordinator)
{
    kit_open(&kit);
    cr_assert_eq(capstan_participant_start(kit.node, &kit.options, &kit.participant, kit.text,
                                           sizeof kit.text),
                 CAPSTAN_OK);
    kit_start_coordinator(&kit); /* it comes later */
    cr_assert(kit_await(&kit.opened, 1));
    expect(1, ACT, 1, KIT_DO, INBOX_ANSWER_DONE);
    finish();
}

Test(participant, is_stopped_behind_what_it_had_taken)
{
    start();
    saga_command_t commands[50];
    for (uint64_t i = 0; i < 50; i++) {
        commands[i] = kit_make(i + 1, ACT, 1, i == 0 ? KIT_WAIT : KIT_DO);
    }
    kit_send(&kit, 1, commands, 50);
    cr_assert(kit_await(&kit.waiting, 1));
    cr_assert_eq(capstan_participant_stop(&kit.participant, 20000), CAPSTAN_E_TIMEOUT);
    cr_assert_not_null(kit.participant);
    atomic_store(&kit.go, true);
    kit_stop_participant(&kit);
    cr_assert(kit_await(&kit.answered, 50));
    for (uint64_t i = 1; i <= 50; i++) {
        cr_assert_eq(kit_ledger(&kit, i, ACT), 1);
    }
    kit_close(&kit);
}

/* What came while a handler ran is more than one transaction takes, and ends within a list. */
Test(participant, does_more_than_one_transaction_takes)
{
    enum { LISTS = 35, PER_LIST = 700 };
    static saga_command_t commands[PER_LIST];
    start();
    commands[0] = kit_make(1, ACT, 1, KIT_WAIT);
    kit_send(&kit, 1, commands, 1);
    cr_assert(kit_await(&kit.waiting, 1));
    for (uint64_t i = 0; i < LISTS; i++) {
        for (uint64_t k = 0; k < PER_LIST; k++) {
            commands[k] = kit_make(1000 + i * PER_LIST + k, ACT, 1, KIT_DO);
        }
        kit_send(&kit, 1, commands, PER_LIST);
    }
    atomic_store(&kit.go, true);
    cr_assert(kit_await(&kit.answered, 1 + LISTS * PER_LIST));
    cr_assert_eq(atomic_load(&kit.handled), 1u + LISTS * PER_LIST);
    cr_assert_eq(kit_ledger(&kit, 1000 + LISTS * PER_LIST - 1, ACT), 1);
    finish();
}

Test(participant, is_ended_by_the_node_behind_what_it_had_taken)
{
    start();
    saga_command_t commands[50];
    for (uint64_t i = 0; i < 50; i++) {
        commands[i] = kit_make(i + 1, ACT, 1, KIT_DO);
    }
    kit_send(&kit, 1, commands, 50);
    cr_assert_eq(capstan_node_stop(&kit.node, KIT_US, NULL, NULL), CAPSTAN_OK);
    for (uint64_t i = 1; i <= 50; i++) {
        cr_assert_eq(kit_ledger(&kit, i, ACT), 1);
    }
    cr_assert_eq(capstan_participant_stop(&kit.participant, KIT_US), CAPSTAN_OK);
    cr_assert_eq(capstan_node_new(&(capstan_node_options_t){.log_fd = -1}, &kit.node), CAPSTAN_OK);
    kit_close(&kit);
}

Test(participant, forgets_what_is_older_than_its_retention)
{
    kit_open(&kit);
    kit.options.retention_us = 1000;
    kit_start_coordinator(&kit);
    kit_start_participant(&kit);
    for (uint64_t task = 100; task < 300; task++) {
        expect(task, ACT, 1, KIT_DO, INBOX_ANSWER_DONE);
    }
    poll(NULL, 0, 2);
    for (int i = 0; i < 40; i++) { /* rounds of a few rows each */
        expect(99, SETTLE, 1, KIT_DO, INBOX_ANSWER_NEVER);
        poll(NULL, 0, 2);
    }
    expect(100, ACT, 1, KIT_DO, INBOX_ANSWER_DONE);
    cr_assert_eq(kit_ledger(&kit, 100, ACT), 2); /* it was a first one again */
    finish();
}

Test(participant, keeps_what_its_retention_covers)
{
    start();
    for (int round = 0; round < 3; round++) {
        for (uint64_t task = 1; task <= 60; task++) {
            expect(task, ACT, 1, KIT_DO, INBOX_ANSWER_DONE);
        }
    }
    cr_assert_eq(atomic_load(&kit.handled), 60u);
    finish();
}

Test(participant, in_memory_forgets_with_its_end)
{
    kit_open(&kit);
    kit.options.path = NULL;
    kit_start_coordinator(&kit);
    kit_start_participant(&kit);
    expect(200, ACT, 1, KIT_DO, INBOX_ANSWER_DONE);
    expect(200, ACT, 2, KIT_DO, INBOX_ANSWER_DONE);
    cr_assert_eq(atomic_load(&kit.handled), 1u);
    kit_stop_participant(&kit);
    kit_start_participant(&kit);
    expect(200, ACT, 3, KIT_DO, INBOX_ANSWER_DONE);
    cr_assert_eq(atomic_load(&kit.handled), 2u);
    finish();
}

Test(participant, is_refused_with_options_that_are_none)
{
    kit_open(&kit);
    capstan_participant_options_t wrong[6];
    for (size_t i = 0; i < 6; i++) {
        wrong[i] = kit.options;
    }
    wrong[0].name = "";
    wrong[1].name = "a/b";
    wrong[2].handle = NULL;
    wrong[3].window = 10001;
    wrong[4].retention_us = -1;
    wrong[5].path = ":memory:";
    for (size_t i = 0; i < 6; i++) {
        cr_assert_eq(capstan_participant_start(kit.node, &wrong[i], &kit.participant, kit.text,
                                               sizeof kit.text),
                     CAPSTAN_E_INVALID, "%zu", i);
        cr_assert_neq(kit.text[0], 0);
    }
    kit.options.path = "/nowhere/at/all.db";
    cr_assert_neq(capstan_participant_start(kit.node, &kit.options, &kit.participant, kit.text,
                                            sizeof kit.text),
                  CAPSTAN_OK);
    cr_assert(strstr(kit.text, "/nowhere/at/all.db"), "%s", kit.text);
    kit.options.path = kit.folder;
    cr_assert_neq(capstan_participant_start(kit.node, &kit.options, &kit.participant, NULL, 0),
                  CAPSTAN_OK);
    cr_assert_eq(capstan_node_stop(&kit.node, KIT_US, NULL, NULL), CAPSTAN_OK);
    rmdir(kit.folder);
}

/* --- at random ------------------------------------------------------------------------------- */

static uint32_t roll(uint64_t *seed, uint32_t below)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*seed >> 33) % below;
}

/* Lists of duplicates, compensations that come first, orders that fail; restarts in between. The
 * predicates are checked where effects and answers are seen, and in the end in the ledger. */
Test(participant, keeps_its_rules_at_random)
{
    enum { LISTS = 400, PER_LIST = 30 };
    static const kit_order_t orders[] = {KIT_DO,   KIT_DO,        KIT_DO,
                                         KIT_FAIL, KIT_FAIL_GOOD, KIT_ERROR};
    uint64_t seed = 42;
    uint64_t sent = 0;
    start();
    for (int i = 0; i < LISTS; i++) {
        saga_command_t commands[PER_LIST];
        for (int k = 0; k < PER_LIST; k++) {
            commands[k] = kit_make(1 + roll(&seed, KIT_TASKS), 1 + roll(&seed, 3),
                                   1 + roll(&seed, 4), orders[roll(&seed, 6)]);
        }
        kit_send(&kit, 1, commands, PER_LIST);
        sent += PER_LIST;
        if (roll(&seed, 20) == 0) {
            cr_assert(kit_await(&kit.answered, sent));
            kit_stop_participant(&kit);
            kit_start_participant(&kit);
        }
    }
    cr_assert(kit_await(&kit.answered, sent));
    for (uint64_t task = 1; task <= KIT_TASKS; task++) {
        cr_assert_eq(kit_ledger(&kit, task, ACT), (int)kit.seen[task].effects);
        cr_assert_eq(kit_ledger(&kit, task, UNDO), (int)kit.seen[task].undos);
    }
    finish();
}

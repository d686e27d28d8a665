/* Sagas of a node: real store, real topics, a participant of the test's own. */
#include "tests/integration/saga/saga_kit.h"

#include <poll.h>

static const char order_yaml[] = "saga: order\n"
                                 "version: 1\n"
                                 "key: input.n\n"
                                 "attributes: {n: input.n}\n"
                                 "steps:\n"
                                 "  - step: reserve\n"
                                 "    participant: shop\n"
                                 "    action: do_reserve\n"
                                 "    compensation: do_release\n"
                                 "  - step: charge\n"
                                 "    participant: shop\n"
                                 "    action: do_charge\n"
                                 "    class: pivot\n"
                                 "  - step: send\n"
                                 "    participant: shop\n"
                                 "    action: do_send\n"
                                 "    class: retriable\n";

static const char fails_yaml[] = "saga: fails\n"
                                 "version: 1\n"
                                 "steps:\n"
                                 "  - step: one\n"
                                 "    participant: shop\n"
                                 "    action: do_one\n"
                                 "    compensation: do_undo_one\n"
                                 "  - step: two\n"
                                 "    participant: shop\n"
                                 "    action: do_two\n"
                                 "    compensation: do_undo_two\n"
                                 "  - step: three\n"
                                 "    participant: shop\n"
                                 "    action: fail_three\n"
                                 "    compensation: do_undo_three\n";

static const char mute_yaml[] = "saga: mute\n"
                                "version: 1\n"
                                "steps:\n"
                                "  - step: one\n"
                                "    participant: shop\n"
                                "    action: mute_one\n"
                                "    compensation: do_undo_one\n"
                                "    attempt_timeout: 1h\n";

static const char waits_yaml[] = "saga: waits\n"
                                 "version: 1\n"
                                 "key: input.n\n"
                                 "steps:\n"
                                 "  - await: go\n"
                                 "    any:\n"
                                 "      - signal: go\n"
                                 "      - timeout: 1d\n"
                                 "  - step: one\n"
                                 "    participant: shop\n"
                                 "    action: do_one\n"
                                 "    compensation: do_undo_one\n";

static const char stuck_yaml[] = "saga: stuck\n"
                                 "version: 1\n"
                                 "steps:\n"
                                 "  - step: one\n"
                                 "    participant: shop\n"
                                 "    action: do_one\n"
                                 "    class: pivot\n"
                                 "  - step: two\n"
                                 "    participant: shop\n"
                                 "    action: fail_two\n"
                                 "    class: retriable\n";

Test(saga_actor, a_saga_goes_through_its_steps_and_says_its_results)
{
    sagas_t sagas;
    capstan_saga_end_t end;
    bool created = false;
    sagas_init(&sagas);
    sagas_start(&sagas);
    sagas_define(&sagas, order_yaml);
    sagas_worker(&sagas, "shop", 0);
    cr_assert_eq(sagas_begin(&sagas, "order", "a", 1), CAPSTAN_OK);
    cr_assert_eq(capstan_saga_result(sagas.node, "a", SAGAS_US, &end), CAPSTAN_OK);
    cr_assert_eq(end.state, CAPSTAN_SAGA_COMPLETED);
    cr_assert_str_eq(end.outcome, "completed");
    slice_t value;
    cr_assert_gt(end.values_size, 5);
    (void)value;
    capstan_saga_end_fini(&end);
    /* The same id with the same input is that saga; with another, or another definition, not. */
    cr_assert_eq(sagas_begin(&sagas, "order", "a", 1), CAPSTAN_OK);
    cr_assert_eq(sagas_begin(&sagas, "order", "a", 2), CAPSTAN_E_SAGA_CONFLICT);
    sagas_define(&sagas, fails_yaml);
    cr_assert_eq(sagas_begin(&sagas, "fails", "a", 1), CAPSTAN_E_SAGA_CONFLICT);
    cr_assert_eq(sagas_begin(&sagas, "order", "", 1), CAPSTAN_E_SAGA_ID);
    cr_assert_eq(sagas_begin(&sagas, "order", "a/b", 1), CAPSTAN_E_SAGA_ID);
    cr_assert_eq(sagas_begin(&sagas, "nothing", "b", 1), CAPSTAN_E_UNKNOWN_DEFINITION);
    cr_assert_eq(capstan_saga_start(sagas.node,
                                    &(capstan_saga_start_t){.definition = "fails", .id = "c"},
                                    &created),
                 CAPSTAN_OK);
    cr_assert(created);
    cr_assert_eq(sagas_seen(&sagas, "a", "do_reserve"), 1);
    cr_assert_eq(sagas_seen(&sagas, "a", "do_send"), 1);
    sagas_stop(&sagas);
    sagas_fini(&sagas);
}

Test(saga_actor, a_step_that_fails_for_good_undoes_what_was_done_in_reverse_order)
{
    sagas_t sagas;
    sagas_init(&sagas);
    sagas_start(&sagas);
    sagas_define(&sagas, fails_yaml);
    sagas_worker(&sagas, "shop", 0);
    cr_assert_eq(sagas_begin(&sagas, "fails", "a", 1), CAPSTAN_OK);
    cr_assert_eq(sagas_rest(&sagas, "a"), CAPSTAN_SAGA_COMPENSATED);
    static const char *const wanted[] = {"do_one", "do_two", "fail_three", "do_undo_two",
                                         "do_undo_one"};
    cr_assert_eq(atomic_load(&sagas.seen_count), 5);
    for (size_t i = 0; i < 5; i++) {
        cr_assert_str_eq(sagas.seen[i].action, wanted[i]);
    }
    sagas_stop(&sagas);
    sagas_fini(&sagas);
}

Test(saga_actor, what_is_under_way_goes_on_after_a_restart_under_the_same_identity)
{
    enum { COUNT = 50 };
    sagas_t sagas;
    char id[16];
    sagas_init(&sagas);
    sagas.settings.snapshot_records = 20; /* some are rows by then, some are in the log */
    sagas_start(&sagas);
    sagas_define(&sagas, mute_yaml);
    sagas_worker(&sagas, "shop", 10);
    for (int i = 0; i < COUNT; i++) {
        snprintf(id, sizeof id, "s%d", i);
        cr_assert_eq(sagas_begin(&sagas, "mute", id, i), CAPSTAN_OK);
    }
    sagas_await_seen(&sagas, "", "mute_one", 10);
    poll(NULL, 0, 20);
    cr_assert_eq(sagas_seen(&sagas, "", "mute_one"), 10, "the window bounds what is out");
    uint64_t epoch = atomic_load(&sagas.epoch);
    sagas_stop(&sagas);
    sagas_start(&sagas);
    atomic_store(&sagas.speaks, true);
    sagas_worker(&sagas, "shop", 10);
    cr_assert_gt(atomic_load(&sagas.epoch), epoch);
    for (int i = 0; i < COUNT; i++) {
        snprintf(id, sizeof id, "s%d", i);
        cr_assert_eq(sagas_rest(&sagas, id), CAPSTAN_SAGA_COMPLETED, "%s", id);
    }
    for (size_t i = 0; i < atomic_load(&sagas.seen_count); i++) {
        cr_assert_eq(sagas.seen[i].attempt, 1);
        cr_assert_eq(sagas.seen[i].phase, PHASE_ACT);
    }
    cr_assert_eq(sagas_seen(&sagas, "", "mute_one"), COUNT + 10);
    sagas_stop(&sagas);
    sagas_fini(&sagas);
}

Test(saga_actor, sagas_that_rest_leave_memory_and_are_found_again_by_id_and_key)
{
    enum { COUNT = 300 };
    sagas_t sagas;
    char id[16];
    sagas_init(&sagas);
    sagas.settings.resident_max = 10;
    sagas.settings.snapshot_records = 16;
    sagas_start(&sagas);
    sagas_define(&sagas, waits_yaml);
    sagas_worker(&sagas, "shop", 0);
    for (int i = 0; i < COUNT; i++) {
        snprintf(id, sizeof id, "s%d", i);
        cr_assert_eq(sagas_begin(&sagas, "waits", id, i), CAPSTAN_OK);
    }
    cr_assert_eq(sagas_count(&sagas, &(saga_filter_t){.state = SAGA_RUNNING}), COUNT);
    sagas_stop(&sagas);
    sagas_start(&sagas); /* none is in memory now */
    sagas_worker(&sagas, "shop", 0);
    for (int i = 0; i < COUNT; i += 3) {
        snprintf(id, sizeof id, "s%d", i);
        cr_assert_eq(sagas_begin(&sagas, "waits", id, i), CAPSTAN_OK, "it is known still");
        cr_assert_eq(sagas_begin(&sagas, "waits", id, i + 1), CAPSTAN_E_SAGA_CONFLICT);
        cr_assert_eq(capstan_saga_signal(sagas.node, id, "go", (slice_t){0}, "t"), CAPSTAN_OK);
        cr_assert_eq(sagas_rest(&sagas, id), CAPSTAN_SAGA_COMPLETED);
        cr_assert_eq(capstan_saga_signal(sagas.node, id, "go", (slice_t){0}, NULL),
                     CAPSTAN_E_SAGA_ENDED);
    }
    cr_assert_eq(capstan_saga_signal(sagas.node, "nobody", "go", (slice_t){0}, NULL),
                 CAPSTAN_E_UNKNOWN_SAGA);
    cr_assert_eq(sagas_count(&sagas, &(saga_filter_t){.state = SAGA_RUNNING}), COUNT * 2 / 3);
    cr_assert_eq(sagas_count(&sagas, &(saga_filter_t){.outcome = slice_text("completed")}),
                 COUNT / 3);
    sagas_stop(&sagas);
    sagas_fini(&sagas);
}

Test(saga_actor, pages_are_exact_and_newest_first)
{
    enum { COUNT = 120 };
    sagas_t sagas;
    char id[16];
    sagas_init(&sagas);
    sagas_start(&sagas);
    sagas_define(&sagas, order_yaml);
    sagas_worker(&sagas, "shop", 0);
    for (int i = 0; i < COUNT; i++) {
        snprintf(id, sizeof id, "s%d", i);
        cr_assert_eq(sagas_begin(&sagas, "order", id, i), CAPSTAN_OK);
    }
    cr_assert_eq(sagas_rest(&sagas, id), CAPSTAN_SAGA_COMPLETED);
    uint64_t before = 0;
    uint64_t last = UINT64_MAX;
    size_t rows = 0;
    do {
        saga_list_t request = {.before = before, .count_max = 50};
        saga_page_t page;
        codec_list_t list;
        saga_row_t row;
        cr_assert_eq(sagas_ask(&sagas, saga_list_wire(), &request, saga_page_wire(), &page),
                     CAPSTAN_OK);
        cr_assert_eq(codec_list_open(saga_row_wire(), page.sagas, &list), CAPSTAN_OK);
        for (; codec_list_next(&list, &row); rows++) {
            cr_assert_lt(row.number, last);
            last = row.number;
        }
        before = page.before;
    } while (before > 0);
    cr_assert_eq(rows, COUNT);
    saga_filter_t one = {.attribute = slice_text("n"), .value = slice_text("7")};
    cr_assert_eq(sagas_count(&sagas, &one), 1);
    saga_filter_t all = {.key = slice_text("7"),
                         .definition = slice_text("order"),
                         .version = 1,
                         .attribute = slice_text("n"),
                         .value = slice_text("7"),
                         .outcome = slice_text("completed"),
                         .state = SAGA_COMPLETED,
                         .since_us = 1};
    cr_assert_eq(sagas_count(&sagas, &all), 1);
    all.state = SAGA_PARKED;
    cr_assert_eq(sagas_count(&sagas, &all), 0);
    sagas_stop(&sagas);
    sagas_fini(&sagas);
}

Test(saga_actor, garbage_of_participants_and_strangers_changes_nothing)
{
    static const char odd_yaml[] = "saga: odd\n"
                                   "version: 1\n"
                                   "steps:\n"
                                   "  - step: one\n"
                                   "    participant: shop\n"
                                   "    action: odd_one\n"
                                   "    compensation: do_undo\n"
                                   "  - step: two\n"
                                   "    participant: bank\n"
                                   "    action: mute_two\n"
                                   "    compensation: do_undo\n"
                                   "    attempt_timeout: 1h\n";
    sagas_t sagas;
    sagas_init(&sagas);
    sagas_start(&sagas);
    sagas_define(&sagas, odd_yaml);
    sagas_worker(&sagas, "shop", 0);
    sagas_worker(&sagas, "bank", 0);
    cr_assert_eq(sagas_begin(&sagas, "odd", "a", 1), CAPSTAN_OK);
    sagas_await_seen(&sagas, "a", "mute_two", 1);
    /* A stranger says that the second step is done: it is not heard. */
    buffer_t results = {0};
    buffer_t body = {0};
    codec_list_writer_t list = codec_list_begin(&results);
    codec_list_add(&list, participant_result_wire(),
                   &(participant_result_t){.number = sagas.seen[0].number,
                                           .task = sagas.seen[1].task,
                                           .phase = PHASE_ACT,
                                           .attempt = 1,
                                           .status = 1,
                                           .saga = slice_text("a")});
    codec_list_end(&list);
    codec_encode(participant_results_wire(),
                 &(participant_results_t){.results = buffer_slice(&results)}, &body);
    cr_assert_eq(
        capstan_node_tell(sagas.node, sagas.saga, MESSAGE_participant_results, buffer_slice(&body)),
        CAPSTAN_OK);
    cr_assert_eq(capstan_node_tell(sagas.node, sagas.saga, MESSAGE_participant_results,
                                   slice_text("garbage")),
                 CAPSTAN_OK);
    poll(NULL, 0, 20);
    cr_assert_eq(sagas_now(&sagas, "a"), CAPSTAN_SAGA_RUNNING);
    atomic_store(&sagas.speaks, true);
    sagas_worker(&sagas, "bank", 0); /* what is under way comes again */
    sagas_await(&sagas, "a", CAPSTAN_SAGA_RUNNING);
    buffer_fini(&results);
    buffer_fini(&body);
    sagas_stop(&sagas);
    sagas_fini(&sagas);
}

Test(saga_actor, the_commands_of_a_worker_that_goes_come_to_another_one)
{
    enum { COUNT = 40 };
    sagas_t sagas;
    char id[16];
    sagas_init(&sagas);
    sagas_start(&sagas);
    sagas_define(&sagas, mute_yaml);
    capstan_ref_t first = sagas_worker(&sagas, "shop", 0);
    sagas_worker(&sagas, "shop", 0);
    for (int i = 0; i < COUNT; i++) {
        snprintf(id, sizeof id, "s%d", i);
        cr_assert_eq(sagas_begin(&sagas, "mute", id, i), CAPSTAN_OK);
    }
    sagas_await_seen(&sagas, "", "mute_one", COUNT);
    atomic_store(&sagas.speaks, true);
    sagas_worker(&sagas, "shop", 0);
    sagas_end_worker(&sagas, first);
    size_t completed = 0;
    sagas_await_seen(&sagas, "", "mute_one", COUNT + 1);
    for (int i = 0; i < COUNT; i++) {
        snprintf(id, sizeof id, "s%d", i);
        completed += sagas_now(&sagas, id) == CAPSTAN_SAGA_COMPLETED;
    }
    cr_assert_gt(completed, 0, "those of the first");
    cr_assert_lt(completed, COUNT, "those of the second are out there still");
    sagas_stop(&sagas);
    sagas_fini(&sagas);
}

Test(saga_actor, people_look_after_sagas_one_by_one_and_by_a_filter)
{
    enum { COUNT = 30 };
    sagas_t sagas;
    char id[16];
    sagas_init(&sagas);
    sagas.settings.resident_max = 0;
    sagas.settings.snapshot_records = 16;
    sagas_start(&sagas);
    sagas_define(&sagas, stuck_yaml);
    sagas_worker(&sagas, "shop", 0);
    for (int i = 0; i < COUNT; i++) {
        snprintf(id, sizeof id, "s%d", i);
        cr_assert_eq(sagas_begin(&sagas, "stuck", id, i), CAPSTAN_OK);
        cr_assert_eq(sagas_rest(&sagas, id), CAPSTAN_SAGA_PARKED);
    }
    cr_assert_eq(capstan_saga_cancel(sagas.node, "s0", NULL), CAPSTAN_E_SAGA_STATE, "it is parked");
    cr_assert_eq(capstan_saga_operate(sagas.node, "s0", CAPSTAN_SAGA_SKIP, NULL), CAPSTAN_E_INVALID,
                 "it wants a reason");
    cr_assert_eq(capstan_saga_operate(sagas.node, "s0", CAPSTAN_SAGA_SKIP, "by hand"), CAPSTAN_OK);
    cr_assert_eq(sagas_rest(&sagas, "s0"), CAPSTAN_SAGA_COMPLETED);
    cr_assert_eq(capstan_saga_operate(sagas.node, "s1", CAPSTAN_SAGA_ABANDON, "it is over"),
                 CAPSTAN_OK);
    cr_assert_eq(sagas_rest(&sagas, "s1"), CAPSTAN_SAGA_CANCELLED);
    buffer_t filter = {0};
    codec_encode(saga_filter_wire(), &(saga_filter_t){.state = SAGA_PARKED}, &filter);
    saga_operate_t operate = {.operation = 6,
                              .filter = buffer_slice(&filter),
                              .reason = slice_text("all by hand"),
                              .outcome = slice_text("by_hand"),
                              .dry_run = true};
    for (int round = 0; round < 2; round++) {
        saga_operated_t operated;
        codec_list_t list;
        saga_operation_t one;
        size_t count = 0;
        cr_assert_eq(
            sagas_ask(&sagas, saga_operate_wire(), &operate, saga_operated_wire(), &operated),
            CAPSTAN_OK);
        cr_assert_eq(codec_list_open(saga_operation_wire(), operated.sagas, &list), CAPSTAN_OK);
        for (; codec_list_next(&list, &one); count++) {
            cr_assert_eq(one.error, CAPSTAN_OK);
        }
        cr_assert_eq(count, COUNT - 2);
        cr_assert_eq(sagas_count(&sagas, &(saga_filter_t){.state = SAGA_PARKED}),
                     operate.dry_run ? COUNT - 2 : 0);
        operate.dry_run = false;
    }
    cr_assert_eq(sagas_count(&sagas, &(saga_filter_t){.outcome = slice_text("by_hand")}),
                 COUNT - 2);
    buffer_fini(&filter);
    sagas_stop(&sagas);
    sagas_fini(&sagas);
}

static void complete_one(sagas_t *sagas)
{
    sagas_init(sagas);
    sagas_start(sagas);
    sagas_define(sagas, order_yaml);
    sagas_worker(sagas, "shop", 0);
    cr_assert_eq(sagas_begin(sagas, "order", "a", 5), CAPSTAN_OK);
    cr_assert_eq(sagas_rest(sagas, "a"), CAPSTAN_SAGA_COMPLETED);
}

Test(saga_actor, a_fork_begins_with_the_same_input_under_a_new_id)
{
    sagas_t sagas;
    saga_operated_t operated;
    complete_one(&sagas);
    saga_operate_t fork = {.operation = 7, .id = slice_text("a"), .id_new = slice_text("b")};
    cr_assert_eq(sagas_ask(&sagas, saga_operate_wire(), &fork, saga_operated_wire(), &operated),
                 CAPSTAN_OK);
    cr_assert_eq(sagas_rest(&sagas, "b"), CAPSTAN_SAGA_COMPLETED);
    cr_assert_eq(sagas_begin(&sagas, "order", "b", 5), CAPSTAN_OK, "it has the same input");
    cr_assert_eq(sagas_count(&sagas, &(saga_filter_t){.key = slice_text("5")}), 2);
    sagas_stop(&sagas);
    sagas_fini(&sagas);
}

/* Its first step is not done again; what it cannot begin with is said. */
Test(saga_actor, a_fork_begins_at_a_task)
{
    static const struct {
        uint64_t task;
        uint64_t version;
        capstan_err_t err;
    } wrong[] = {{99, 0, CAPSTAN_E_NOT_FOUND}, {3, 9, CAPSTAN_E_UNKNOWN_DEFINITION}};
    sagas_t sagas;
    saga_operated_t operated;
    saga_shown_t shown;
    saga_state_t state;
    saga_begin_t begin;
    saga_task_t task;
    codec_list_t tasks;
    complete_one(&sagas);
    saga_operate_t fork = {.operation = 7, .id = slice_text("a"), .id_new = slice_text("b")};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        fork.task = wrong[i].task;
        fork.version = wrong[i].version;
        cr_assert_eq(sagas_ask(&sagas, saga_operate_wire(), &fork, saga_operated_wire(), &operated),
                     wrong[i].err);
    }
    fork.task = 3;
    fork.version = 0;
    for (int i = 0; i < 2; i++) { /* the second time it is there already */
        cr_assert_eq(sagas_ask(&sagas, saga_operate_wire(), &fork, saga_operated_wire(), &operated),
                     CAPSTAN_OK);
    }
    cr_assert_eq(sagas_rest(&sagas, "b"), CAPSTAN_SAGA_COMPLETED);
    cr_assert_eq(sagas_ask(&sagas, saga_show_wire(), &(saga_show_t){.id = slice_text("b")},
                           saga_shown_wire(), &shown),
                 CAPSTAN_OK);
    cr_assert_eq(codec_decode(saga_state_wire(), shown.state, &state, NULL), CAPSTAN_OK);
    cr_assert_eq(codec_decode(saga_begin_wire(), state.begin, &begin, NULL), CAPSTAN_OK);
    cr_assert(slice_equal(begin.origin, slice_text("a")));
    cr_assert_eq(codec_list_open(saga_task_wire(), state.tasks, &tasks), CAPSTAN_OK);
    while (codec_list_next(&tasks, &task)) {
        cr_assert_eq(task.attempt, task.number > 2, "task %d", (int)task.number);
    }
    sagas_stop(&sagas);
    sagas_fini(&sagas);
}

Test(saga_actor, those_that_have_ended_are_forgotten_and_their_ids_are_free)
{
    sagas_t sagas;
    sagas_init(&sagas);
    sagas.settings.retention_ms = 1;
    sagas.settings.snapshot_ms = 10;
    sagas_start(&sagas);
    sagas_define(&sagas, order_yaml);
    sagas_define(&sagas, waits_yaml);
    sagas_worker(&sagas, "shop", 0);
    cr_assert_eq(sagas_begin(&sagas, "order", "a", 5), CAPSTAN_OK);
    cr_assert_eq(sagas_begin(&sagas, "waits", "w", 5), CAPSTAN_OK);
    cr_assert_eq(sagas_rest(&sagas, "a"), CAPSTAN_SAGA_COMPLETED);
    capstan_err_t err = CAPSTAN_OK;
    for (int i = 0; i < 10000 && err != CAPSTAN_E_UNKNOWN_SAGA; i++) {
        capstan_saga_end_t end;
        err = capstan_saga_result(sagas.node, "a", 0, &end);
        if (!err) {
            capstan_saga_end_fini(&end);
            poll(NULL, 0, 2);
        }
    }
    cr_assert_eq(err, CAPSTAN_E_UNKNOWN_SAGA);
    cr_assert_eq(sagas_now(&sagas, "w"), CAPSTAN_SAGA_RUNNING);
    cr_assert_eq(sagas_begin(&sagas, "order", "a", 6), CAPSTAN_OK, "the id is free");
    sagas_stop(&sagas);
    sagas_start(&sagas);
    cr_assert_eq(sagas_now(&sagas, "w"), CAPSTAN_SAGA_RUNNING);
    sagas_stop(&sagas);
    sagas_fini(&sagas);
}

Test(saga_actor, those_whose_time_comes_are_read_again_after_a_restart)
{
    static const char sleeps_yaml[] = "saga: sleeps\n"
                                      "version: 1\n"
                                      "steps:\n"
                                      "  - sleep: 300ms\n"
                                      "  - step: one\n"
                                      "    participant: shop\n"
                                      "    action: do_one\n"
                                      "    compensation: do_undo_one\n";
    enum { COUNT = 100 };
    sagas_t sagas;
    char id[16];
    sagas_init(&sagas);
    sagas_start(&sagas);
    sagas_define(&sagas, sleeps_yaml);
    for (int i = 0; i < COUNT; i++) {
        snprintf(id, sizeof id, "s%d", i);
        cr_assert_eq(sagas_begin(&sagas, "sleeps", id, i), CAPSTAN_OK);
    }
    cr_assert_eq(sagas_count(&sagas, &(saga_filter_t){0}), COUNT);
    sagas_stop(&sagas);
    sagas_start(&sagas);
    sagas_worker(&sagas, "shop", 0);
    sagas_await_seen(&sagas, "", "do_one", COUNT); /* nobody asks for them by their ids */
    cr_assert_eq(sagas_rest(&sagas, "s0"), CAPSTAN_SAGA_COMPLETED);
    sagas_stop(&sagas);
    sagas_fini(&sagas);
}

Test(saga_actor, a_child_that_is_under_way_in_a_restart_moves_its_parent)
{
    static const char parent_yaml[] = "saga: parent\n"
                                      "version: 1\n"
                                      "steps:\n"
                                      "  - child: sub\n"
                                      "    saga: mute\n"
                                      "    participant: shop\n"
                                      "    compensation: do_call_back\n"
                                      "  - step: last\n"
                                      "    participant: shop\n"
                                      "    action: do_last\n"
                                      "    compensation: do_undo_last\n";
    sagas_t sagas;
    sagas_init(&sagas);
    sagas.settings.resident_max = 0;
    sagas.settings.snapshot_records = 16;
    sagas_start(&sagas);
    sagas_define(&sagas, mute_yaml);
    sagas_define(&sagas, parent_yaml);
    sagas_worker(&sagas, "shop", 0);
    cr_assert_eq(sagas_begin(&sagas, "parent", "p", 1), CAPSTAN_OK);
    sagas_await_seen(&sagas, "", "mute_one", 1);
    cr_assert_eq(sagas_count(&sagas, &(saga_filter_t){0}), 2);
    sagas_stop(&sagas);
    sagas_start(&sagas);
    atomic_store(&sagas.speaks, true);
    sagas_worker(&sagas, "shop", 0);
    cr_assert_eq(sagas_rest(&sagas, "p"), CAPSTAN_SAGA_COMPLETED);
    cr_assert_eq(sagas_seen(&sagas, "p", "do_last"), 1);
    cr_assert_eq(sagas_count(&sagas, &(saga_filter_t){.state = SAGA_COMPLETED}), 2);
    sagas_stop(&sagas);
    sagas_fini(&sagas);
}

Test(saga_actor, nothing_of_a_paused_saga_leaves_until_it_is_resumed)
{
    static const char slow_yaml[] = "saga: slow\n"
                                    "version: 1\n"
                                    "steps:\n"
                                    "  - step: one\n"
                                    "    participant: shop\n"
                                    "    action: mute_one\n"
                                    "    compensation: do_undo_one\n"
                                    "    attempt_timeout: 300ms\n";
    sagas_t sagas;
    sagas_init(&sagas);
    sagas_start(&sagas);
    sagas_define(&sagas, slow_yaml);
    sagas_define(&sagas, order_yaml);
    sagas_worker(&sagas, "shop", 1);
    cr_assert_eq(sagas_begin(&sagas, "slow", "a", 1), CAPSTAN_OK);
    sagas_await_seen(&sagas, "a", "mute_one", 1);
    cr_assert_eq(sagas_begin(&sagas, "order", "b", 1), CAPSTAN_OK);
    cr_assert_eq(sagas_begin(&sagas, "order", "c", 1), CAPSTAN_OK);
    cr_assert_eq(capstan_saga_operate(sagas.node, "b", CAPSTAN_SAGA_PAUSE, NULL), CAPSTAN_OK);
    atomic_store(&sagas.speaks, true);
    cr_assert_eq(sagas_rest(&sagas, "a"), CAPSTAN_SAGA_COMPLETED); /* its attempt has expired */
    cr_assert_eq(sagas_rest(&sagas, "c"), CAPSTAN_SAGA_COMPLETED);
    cr_assert_eq(sagas_seen(&sagas, "b", "do_reserve"), 0);
    cr_assert_eq(capstan_saga_operate(sagas.node, "b", CAPSTAN_SAGA_RESUME, NULL), CAPSTAN_OK);
    cr_assert_eq(sagas_rest(&sagas, "b"), CAPSTAN_SAGA_COMPLETED);
    sagas_stop(&sagas);
    sagas_fini(&sagas);
}

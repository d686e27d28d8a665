/* Sagas on a disk that fills up, and with rows that cannot be read. */
#include "tests/integration/saga/saga_kit.h"
#include "tests/kit/vfs_powerloss.h"

#include <poll.h>
#include <sqlite3.h>

static const char order_yaml[] = "saga: order\n"
                                 "version: 1\n"
                                 "steps:\n"
                                 "  - step: one\n"
                                 "    participant: shop\n"
                                 "    action: do_one\n"
                                 "    compensation: do_undo_one\n"
                                 "  - step: two\n"
                                 "    participant: shop\n"
                                 "    action: do_two\n"
                                 "    compensation: do_undo_two\n";

static const char waits_yaml[] = "saga: waits\n"
                                 "version: 1\n"
                                 "steps:\n"
                                 "  - await: go\n"
                                 "    any:\n"
                                 "      - signal: go\n";

/* Starts sagas with large inputs until it is refused; returns how many were taken. */
static int begin_until_refused(sagas_t *self, capstan_err_t *ret_err)
{
    static uint8_t input[60000] = {0x81, 0xa1, 'x', 0xc5, (59994 >> 8) & 0xff, 59994 & 0xff};
    for (int i = 0; i < 2000; i++) {
        char id[16];
        snprintf(id, sizeof id, "s%d", i);
        *ret_err = capstan_saga_start(
            self->node,
            &(capstan_saga_start_t){
                .definition = "order", .id = id, .input = slice_of(input, sizeof input)},
            NULL);
        if (*ret_err != CAPSTAN_OK) {
            return i;
        }
    }
    return 2000;
}

Test(saga_faults, a_full_disk_refuses_and_sagas_go_on_when_there_is_room)
{
    enum { CAPACITY = 4 << 20 };
    sagas_t sagas;
    char id[16];
    capstan_err_t err = CAPSTAN_OK;
    sagas_init(&sagas);
    powerloss_t *disk = powerloss_new("sagas");
    sagas.vfs = "sagas";
    sagas_start(&sagas);
    sagas_define(&sagas, order_yaml);
    sagas_worker(&sagas, "shop", 0);
    powerloss_set_capacity(disk, powerloss_used(disk) + CAPACITY);
    int taken = begin_until_refused(&sagas, &err);
    cr_assert_lt(taken, 2000);
    cr_assert_eq(capstan_err_retry(err), CAPSTAN_RETRY_LATER, "%s", capstan_err_name(err));
    powerloss_set_capacity(disk, UINT64_MAX / 2);
    for (int i = 0; i < 5000 && sagas_begin(&sagas, "order", "after", 1) != CAPSTAN_OK; i++) {
        poll(NULL, 0, 4);
    }
    cr_assert_eq(sagas_rest(&sagas, "after"), CAPSTAN_SAGA_COMPLETED, "by itself");
    for (int i = 0; i < taken; i++) {
        snprintf(id, sizeof id, "s%d", i);
        cr_assert_eq(sagas_rest(&sagas, id), CAPSTAN_SAGA_COMPLETED, "%s", id);
    }
    sagas_stop(&sagas);
    sagas_start(&sagas);
    for (int i = 0; i < taken; i++) {
        snprintf(id, sizeof id, "s%d", i);
        cr_assert_eq(sagas_now(&sagas, id), CAPSTAN_SAGA_COMPLETED, "%s", id);
    }
    cr_assert_eq(sagas_count(&sagas, &(saga_filter_t){.state = SAGA_COMPLETED}),
                 (uint64_t)taken + 1);
    sagas_stop(&sagas);
    sagas_fini(&sagas);
    powerloss_destroy(&disk);
}

Test(saga_faults, no_command_leaves_before_its_intent_is_on_disk)
{
    sagas_t sagas;
    sagas_init(&sagas);
    powerloss_t *disk = powerloss_new("sagas");
    sagas.vfs = "sagas";
    sagas_start(&sagas);
    sagas_define(&sagas, order_yaml);
    sagas_worker(&sagas, "shop", 0);
    powerloss_fail_syncs(disk, true);
    capstan_err_t err = sagas_begin(&sagas, "order", "a", 1);
    cr_assert_eq(capstan_err_retry(err), CAPSTAN_RETRY_LATER, "%s", capstan_err_name(err));
    poll(NULL, 0, 30);
    cr_assert_eq(atomic_load(&sagas.seen_count), 0);
    powerloss_fail_syncs(disk, false);
    for (int i = 0; i < 5000 && sagas_begin(&sagas, "order", "a", 1) != CAPSTAN_OK; i++) {
        poll(NULL, 0, 4);
    }
    cr_assert_eq(sagas_rest(&sagas, "a"), CAPSTAN_SAGA_COMPLETED);
    cr_assert_eq(atomic_load(&sagas.seen_count), 2);
    sagas_stop(&sagas);
    sagas_fini(&sagas);
    powerloss_destroy(&disk);
}

/* Rewrites rows of the snapshot as the store does, while no node has it. */
static void change_rows(const sagas_t *self, uint8_t kind, slice_t value)
{
    store_t *store = NULL;
    store_identity_t identity;
    stream_opened_t stream;
    snapshot_rows_t rows;
    codec_list_t list;
    snapshot_row_t row;
    buffer_t read = {0};
    buffer_t write = {0};
    store_options_t options = {.path = self->fixture.path};
    cr_assert_eq(store_open(&options, &store, NULL, 0), CAPSTAN_OK);
    cr_assert_eq(store_claim(store, 1, slice_text("test"), &identity), CAPSTAN_OK);
    cr_assert_eq(store_stream_open(store, slice_text("saga"), slice_text("0"), &stream),
                 CAPSTAN_OK);
    cr_assert_eq(
        store_snapshot_read(
            store, &(snapshot_read_t){.stream = stream.stream, .bytes_max = 1 << 20}, &read, &rows),
        CAPSTAN_OK);
    cr_assert_eq(codec_list_open(snapshot_row_wire(), rows.rows, &list), CAPSTAN_OK);
    codec_list_writer_t writer = codec_list_begin(&write);
    while (codec_list_next(&list, &row)) {
        if (*(const uint8_t *)row.key.data == kind) {
            row.value = value;
            row.terms = value.size > 0 ? row.terms : (slice_t){0};
            codec_list_add(&writer, snapshot_row_wire(), &row);
            break;
        }
    }
    codec_list_end(&writer);
    cr_assert_eq(store_begin(store), CAPSTAN_OK);
    cr_assert_eq(store_snapshot_write(store, &(snapshot_write_t){.stream = stream.stream,
                                                                 .epoch = stream.epoch,
                                                                 .lsn = stream.snapshot_lsn,
                                                                 .rows = buffer_slice(&write)}),
                 CAPSTAN_OK);
    cr_assert_eq(store_commit(store), CAPSTAN_OK);
    store_close(&store);
    buffer_fini(&read);
    buffer_fini(&write);
}

static void settle(sagas_t *self)
{
    (void)sagas_count(self, &(saga_filter_t){0}); /* everything is in rows */
    (void)sagas_count(self, &(saga_filter_t){0}); /* and the log behind is empty */
    sagas_stop(self);
}

Test(saga_faults, a_row_that_cannot_be_read_is_left_alone_and_stops_nobody)
{
    sagas_t sagas;
    capstan_saga_end_t end;
    sagas_init(&sagas);
    sagas_start(&sagas);
    sagas_define(&sagas, waits_yaml);
    cr_assert_eq(sagas_begin(&sagas, "waits", "a", 1), CAPSTAN_OK);
    cr_assert_eq(sagas_begin(&sagas, "waits", "b", 1), CAPSTAN_OK);
    settle(&sagas);
    change_rows(&sagas, 's', slice_text("garbage")); /* of the oldest */
    sagas_start(&sagas);
    cr_assert_eq(capstan_saga_result(sagas.node, "a", 0, &end), CAPSTAN_E_STORE_CORRUPT);
    cr_assert_eq(sagas_begin(&sagas, "waits", "a", 1), CAPSTAN_E_STORE_CORRUPT);
    cr_assert_eq(capstan_saga_signal(sagas.node, "b", "go", (slice_t){0}, NULL), CAPSTAN_OK);
    cr_assert_eq(sagas_rest(&sagas, "b"), CAPSTAN_SAGA_COMPLETED);
    sagas_stop(&sagas);
    sagas_fini(&sagas);
}

Test(saga_faults, a_saga_whose_definition_is_absent_stays_as_it_is_until_it_is_known)
{
    sagas_t sagas;
    saga_show_t show = {.id = slice_text("a")};
    saga_shown_t shown;
    saga_page_t page;
    codec_list_t list;
    saga_row_t row;
    sagas_init(&sagas);
    sagas_start(&sagas);
    sagas_define(&sagas, waits_yaml);
    cr_assert_eq(sagas_begin(&sagas, "waits", "a", 1), CAPSTAN_OK);
    settle(&sagas);
    change_rows(&sagas, 'd', (slice_t){0});
    sagas_start(&sagas);
    cr_assert_eq(sagas_ask(&sagas, saga_show_wire(), &show, saga_shown_wire(), &shown), CAPSTAN_OK);
    cr_assert_eq(shown.definition.size, 0);
    cr_assert_eq(capstan_saga_signal(sagas.node, "a", "go", (slice_t){0}, NULL),
                 CAPSTAN_E_UNKNOWN_DEFINITION);
    cr_assert_eq(sagas_ask(&sagas, saga_list_wire(), &(saga_list_t){0}, saga_page_wire(), &page),
                 CAPSTAN_OK);
    cr_assert_eq(codec_list_open(saga_row_wire(), page.sagas, &list), CAPSTAN_OK);
    cr_assert(codec_list_next(&list, &row));
    cr_assert(row.absent);
    cr_assert_eq(row.state, SAGA_RUNNING);
    sagas_define(&sagas, waits_yaml);
    cr_assert_eq(capstan_saga_signal(sagas.node, "a", "go", (slice_t){0}, NULL), CAPSTAN_OK);
    cr_assert_eq(sagas_rest(&sagas, "a"), CAPSTAN_SAGA_COMPLETED);
    sagas_stop(&sagas);
    sagas_fini(&sagas);
}

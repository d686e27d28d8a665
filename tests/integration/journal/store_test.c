/* The store on real files: the log, snapshots, truncation, epochs, and what it refuses. */
#include "actors/journal/store_internal.h"
#include "tests/integration/journal/store_fixture.h"

Test(store, reads_back_what_was_appended_from_any_lsn_and_in_any_step)
{
    fixture_t fixture;
    fixture_folder(&fixture);
    fixture_open(&fixture);
    stream_opened_t other = fixture_stream(fixture.store, "orders/1");
    /* More rows than two segments of the index, of two streams. */
    for (uint32_t i = 0; i < 700; i++) {
        cr_assert_eq(append_commit(fixture.store, &fixture.stream, 1 + i % 5), CAPSTAN_OK);
        cr_assert_eq(append_commit(fixture.store, &other, 1), CAPSTAN_OK);
    }
    store_options_t options = {.path = fixture.path, .read_only = true};
    store_t *reader = NULL;
    cr_assert_eq(store_open(&options, &reader, fixture.text, sizeof fixture.text), CAPSTAN_OK, "%s",
                 fixture.text);
    capstan_err_t err;
    uint64_t end = fixture.stream.lsn_next;
    for (uint64_t lsn = 1; lsn <= end; lsn += 97) {
        cr_assert_eq(read_all(reader, fixture.stream.stream, lsn, 100 + lsn, &err), end - lsn);
        cr_assert_eq(err, CAPSTAN_OK);
    }
    cr_assert_eq(read_all(reader, fixture.stream.stream, end, 1, &err), 0);
    cr_assert_eq(err, CAPSTAN_OK);
    cr_assert_eq(read_all(reader, other.stream, 1, 1 << 20, &err), 700);
    cr_assert_eq(read_all(reader, 99, 1, 1 << 20, &err), 0);
    cr_assert_eq(err, CAPSTAN_E_NOT_FOUND);
    store_close(&reader);
    fixture_fini(&fixture);
}

Test(store, keeps_streams_and_positions_when_it_is_opened_again)
{
    fixture_t fixture;
    fixture_folder(&fixture);
    fixture_open(&fixture);
    cr_assert_eq(append_commit(fixture.store, &fixture.stream, 10), CAPSTAN_OK);
    stream_opened_t before = fixture.stream;
    uint32_t boot = fixture.boot;
    store_close(&fixture.store);
    fixture_open(&fixture);
    cr_assert_eq(fixture.boot, boot + 1);
    cr_assert_eq(fixture.stream.stream, before.stream);
    cr_assert_eq(fixture.stream.lsn_next, 11);
    cr_assert_eq(fixture.stream.epoch, before.epoch + 1);
    fixture_fini(&fixture);
}

/* An append may be as large as a commit, and what is read goes on to consumers in one message. */
Test(store, cuts_a_read_within_an_append_that_is_larger)
{
    fixture_t fixture;
    fixture_folder(&fixture);
    fixture_open(&fixture);
    cr_assert_eq(append_commit(fixture.store, &fixture.stream, 3), CAPSTAN_OK);
    cr_assert_eq(append_commit(fixture.store, &fixture.stream, 1000), CAPSTAN_OK);
    cr_assert_eq(append_commit(fixture.store, &fixture.stream, 7), CAPSTAN_OK);
    for (uint64_t bytes_max = 1; bytes_max < 100000; bytes_max = bytes_max * 3 + 1) {
        capstan_err_t err;
        cr_assert_eq(read_all(fixture.store, fixture.stream.stream, 1, bytes_max, &err), 1010);
        cr_assert_eq(err, CAPSTAN_OK);
    }
    fixture_fini(&fixture);
}

/* Both reads would check and copy all of it. */
Test(store, leaves_an_append_that_does_not_fit_whole_for_the_next_read)
{
    enum { COUNT = 100 };
    fixture_t fixture;
    fixture_folder(&fixture);
    fixture_open(&fixture);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(append_commit(fixture.store, &fixture.stream, COUNT), CAPSTAN_OK);
    }
    buffer_t out = {0};
    journal_records_t reply;
    journal_read_t read = {.stream = fixture.stream.stream, .lsn = 1, .bytes_max = 1 << 20};
    cr_assert_eq(store_read(fixture.store, &read, &out, &reply), CAPSTAN_OK);
    cr_assert_eq(reply.lsn_next, 3 * COUNT + 1);
    read.bytes_max = out.size * 5 / 6;
    buffer_clear(&out);
    cr_assert_eq(store_read(fixture.store, &read, &out, &reply), CAPSTAN_OK);
    cr_assert_eq(reply.lsn_next, 2 * COUNT + 1);
    read.bytes_max = out.size / 4;
    buffer_clear(&out);
    cr_assert_eq(store_read(fixture.store, &read, &out, &reply), CAPSTAN_OK);
    cr_assert_gt(reply.lsn_next, 1, "one that is larger than all the room is cut");
    cr_assert_leq(reply.lsn_next, COUNT);
    buffer_fini(&out);
    fixture_fini(&fixture);
}

Test(store, refuses_a_wrong_write_set_without_harm_to_its_neighbours)
{
    fixture_t fixture;
    fixture_folder(&fixture);
    fixture_open(&fixture);
    stream_opened_t *stream = &fixture.stream;
    stream_opened_t old = *stream;
    old.epoch--;
    stream_opened_t unknown = *stream;
    unknown.stream = 99;
    cr_assert_eq(store_begin(fixture.store), CAPSTAN_OK);
    cr_assert_eq(append_at(fixture.store, stream, 1, 3), CAPSTAN_OK);
    cr_assert_eq(append_at(fixture.store, stream, 1, 3), CAPSTAN_E_LSN_MISMATCH);
    cr_assert_eq(append_at(fixture.store, stream, 5, 3), CAPSTAN_E_LSN_MISMATCH);
    cr_assert_eq(append_at(fixture.store, &old, 4, 3), CAPSTAN_E_STALE_EPOCH);
    cr_assert_eq(append_at(fixture.store, &unknown, 1, 3), CAPSTAN_E_NOT_FOUND);
    cr_assert_eq(append_at(fixture.store, stream, 4, 0), CAPSTAN_E_INVALID);
    cr_assert_eq(append_at(fixture.store, stream, 4, 2), CAPSTAN_OK);
    cr_assert_eq(store_commit(fixture.store), CAPSTAN_OK);
    capstan_err_t err;
    cr_assert_eq(read_all(fixture.store, stream->stream, 1, 1 << 20, &err), 5);
    cr_assert_eq(check_store(fixture.store).faults, 0);
    fixture_fini(&fixture);
}

Test(store, forgets_everything_of_a_transaction_that_was_rolled_back)
{
    fixture_t fixture;
    fixture_folder(&fixture);
    fixture_open(&fixture);
    cr_assert_eq(store_begin(fixture.store), CAPSTAN_OK);
    cr_assert_eq(append_at(fixture.store, &fixture.stream, 1, 3), CAPSTAN_OK);
    cr_assert_eq(write_snapshot(fixture.store, &fixture.stream, 4, "key", "value"), CAPSTAN_OK);
    store_rollback(fixture.store);
    stream_opened_t again = fixture_stream(fixture.store, "orders/0");
    cr_assert_eq(again.lsn_next, 1);
    cr_assert_eq(again.snapshot_lsn, 0);
    cr_assert_eq(append_commit(fixture.store, &again, 3), CAPSTAN_OK);
    fixture_fini(&fixture);
}

Test(store, notices_that_another_process_took_the_shard)
{
    fixture_t fixture;
    fixture_folder(&fixture);
    fixture_open(&fixture);
    cr_assert_eq(append_commit(fixture.store, &fixture.stream, 1), CAPSTAN_OK);
    sqlite3 *other;
    cr_assert_eq(sqlite3_open(fixture.path, &other), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(other, "UPDATE owners SET epoch = epoch + 1", NULL, NULL, NULL),
                 SQLITE_OK);
    sqlite3_close(other);
    cr_assert_eq(append_commit(fixture.store, &fixture.stream, 1), CAPSTAN_E_STALE_EPOCH);
    fixture_fini(&fixture);
}

/* The keys of the snapshot in steps of one row, as one text. */
static void snapshot_text(store_t *store, uint64_t stream, char *text, size_t size)
{
    buffer_t out = {0};
    char after[32] = "";
    snapshot_rows_t reply = {0};
    text[0] = '\0';
    while (!reply.end) {
        buffer_clear(&out);
        snapshot_read_t read = {.stream = stream, .after = slice_text(after), .bytes_max = 1};
        cr_assert_eq(store_snapshot_read(store, &read, &out, &reply), CAPSTAN_OK);
        codec_list_t list;
        cr_assert_eq(codec_list_open(snapshot_row_wire(), reply.rows, &list), CAPSTAN_OK);
        for (snapshot_row_t row; codec_list_next(&list, &row);) {
            snprintf(after, sizeof after, "%.*s", (int)row.key.size, (const char *)row.key.data);
            size_t length = strlen(text);
            snprintf(text + length, size - length, "%s=%.*s ", after, (int)row.value.size,
                     (const char *)row.value.data);
        }
    }
    buffer_fini(&out);
}

Test(store, keeps_the_newest_row_of_each_key_of_a_snapshot)
{
    fixture_t fixture;
    fixture_folder(&fixture);
    fixture_open(&fixture);
    stream_opened_t *stream = &fixture.stream;
    cr_assert_eq(append_commit(fixture.store, stream, 9), CAPSTAN_OK);
    cr_assert_eq(store_begin(fixture.store), CAPSTAN_OK);
    cr_assert_eq(write_snapshot(fixture.store, stream, 5, "b", "2"), CAPSTAN_OK);
    cr_assert_eq(write_snapshot(fixture.store, stream, 5, "a", "1"), CAPSTAN_OK);
    cr_assert_eq(write_snapshot(fixture.store, stream, 6, "c", "3"), CAPSTAN_OK);
    cr_assert_eq(write_snapshot(fixture.store, stream, 7, "b", "4"), CAPSTAN_OK);
    cr_assert_eq(write_snapshot(fixture.store, stream, 8, "c", ""), CAPSTAN_OK); /* deleted */
    cr_assert_eq(write_snapshot(fixture.store, stream, 7, "d", "5"), CAPSTAN_E_LSN_MISMATCH);
    cr_assert_eq(write_snapshot(fixture.store, stream, 11, "d", "5"), CAPSTAN_E_LSN_MISMATCH);
    cr_assert_eq(write_snapshot(fixture.store, stream, 8, "", "5"), CAPSTAN_E_INVALID);
    cr_assert_eq(store_commit(fixture.store), CAPSTAN_OK);
    char text[128];
    snapshot_text(fixture.store, stream->stream, text, sizeof text);
    cr_assert_str_eq(text, "a=1 b=4 ");
    cr_assert_eq(fixture_stream(fixture.store, "orders/0").snapshot_lsn, 8);
    fixture_fini(&fixture);
}

/* They come in the order in which keys changed, and are written in that of the table. */
Test(store, writes_the_rows_of_a_chunk_in_any_order_and_the_last_of_a_key_wins)
{
    static const char *const keys[] = {"b", "ab", "c", "a", "b", "abc"};
    fixture_t fixture;
    char text[64];
    fixture_folder(&fixture);
    fixture_open(&fixture);
    cr_assert_eq(append_commit(fixture.store, &fixture.stream, 10), CAPSTAN_OK);
    buffer_t rows = {0};
    codec_list_writer_t writer = codec_list_begin(&rows);
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        char value[2] = {(char)('0' + i), 0};
        codec_list_add(&writer, snapshot_row_wire(),
                       &(snapshot_row_t){.key = slice_text(keys[i]), .value = slice_text(value)});
    }
    codec_list_end(&writer);
    cr_assert_eq(store_begin(fixture.store), CAPSTAN_OK);
    snapshot_write_t chunk = {.stream = fixture.stream.stream,
                              .epoch = fixture.stream.epoch,
                              .lsn = 5,
                              .lsn_next = 5,
                              .last = true,
                              .rows = buffer_slice(&rows)};
    cr_assert_eq(store_snapshot_write(fixture.store, &chunk), CAPSTAN_OK);
    cr_assert_eq(store_commit(fixture.store), CAPSTAN_OK);
    snapshot_text(fixture.store, fixture.stream.stream, text, sizeof text);
    cr_assert_str_eq(text, "a=3 ab=1 abc=5 b=4 c=2 ", "%s", text);
    buffer_fini(&rows);
    fixture_fini(&fixture);
}

static void add_wanted(codec_list_writer_t *writer, const char *key)
{
    codec_list_add(writer, snapshot_row_wire(), &(snapshot_row_t){.key = slice_text(key)});
}

Test(store, looks_up_the_rows_that_there_are_and_each_once)
{
    static const char *const wanted[] = {"c", "x", "a", "c", "ab"};
    fixture_t fixture;
    fixture_folder(&fixture);
    fixture_open(&fixture);
    stream_opened_t *stream = &fixture.stream;
    stream_opened_t other = fixture_stream(fixture.store, "orders/1");
    cr_assert_eq(append_commit(fixture.store, stream, 9), CAPSTAN_OK);
    cr_assert_eq(append_commit(fixture.store, &other, 9), CAPSTAN_OK);
    cr_assert_eq(store_begin(fixture.store), CAPSTAN_OK);
    cr_assert_eq(write_snapshot(fixture.store, stream, 5, "b", "2"), CAPSTAN_OK);
    cr_assert_eq(write_snapshot(fixture.store, stream, 5, "a", "1"), CAPSTAN_OK);
    cr_assert_eq(write_snapshot(fixture.store, stream, 6, "c", "3"), CAPSTAN_OK);
    cr_assert_eq(write_snapshot(fixture.store, &other, 6, "x", "9"), CAPSTAN_OK);
    cr_assert_eq(store_commit(fixture.store), CAPSTAN_OK);

    buffer_t rows = {0};
    buffer_t out = {0};
    snapshot_rows_t reply;
    codec_list_writer_t writer = codec_list_begin(&rows);
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        add_wanted(&writer, wanted[i]);
    }
    codec_list_end(&writer);
    snapshot_get_t request = {.stream = stream->stream, .rows = buffer_slice(&rows)};
    cr_assert_eq(store_snapshot_get(fixture.store, &request, &out, &reply), CAPSTAN_OK);
    codec_list_t list;
    snapshot_row_t row;
    cr_assert_eq(codec_list_open(snapshot_row_wire(), reply.rows, &list), CAPSTAN_OK);
    cr_assert(codec_list_next(&list, &row));
    cr_assert(slice_equal(row.key, slice_text("a")) && slice_equal(row.value, slice_text("1")));
    cr_assert(codec_list_next(&list, &row));
    cr_assert(slice_equal(row.key, slice_text("c")) && slice_equal(row.value, slice_text("3")));
    cr_assert_not(codec_list_next(&list, &row));

    buffer_clear(&rows);
    writer = codec_list_begin(&rows);
    add_wanted(&writer, "");
    codec_list_end(&writer);
    request.rows = buffer_slice(&rows);
    cr_assert_eq(store_snapshot_get(fixture.store, &request, &out, &reply), CAPSTAN_E_INVALID);
    buffer_fini(&rows);
    buffer_fini(&out);
    fixture_fini(&fixture);
}

Test(store, leaves_no_trace_of_a_snapshot_chunk_that_is_malformed_at_its_end)
{
    fixture_t fixture;
    fixture_folder(&fixture);
    fixture_open(&fixture);
    buffer_t rows = {0};
    codec_list_writer_t writer = codec_list_begin(&rows);
    snapshot_row_t row = {.key = slice_text("good"), .value = slice_text("1")};
    codec_list_add(&writer, snapshot_row_wire(), &row);
    codec_list_add_raw(&writer, slice_text("\x81\x01")); /* a map that ends before its value */
    codec_list_end(&writer);
    snapshot_write_t chunk = {.stream = fixture.stream.stream,
                              .epoch = fixture.stream.epoch,
                              .lsn = 1,
                              .rows = buffer_slice(&rows)};
    cr_assert_eq(store_begin(fixture.store), CAPSTAN_OK);
    cr_assert_neq(store_snapshot_write(fixture.store, &chunk), CAPSTAN_OK);
    cr_assert_eq(append_at(fixture.store, &fixture.stream, 1, 1), CAPSTAN_OK);
    cr_assert_eq(store_commit(fixture.store), CAPSTAN_OK);
    store_check_result_t result = check_store(fixture.store);
    cr_assert_eq(result.snapshot_rows, 0);
    cr_assert_eq(result.records, 1);
    buffer_fini(&rows);
    fixture_fini(&fixture);
}

static capstan_err_t truncate_commit(store_t *store, const stream_opened_t *stream, uint64_t lsn)
{
    journal_truncate_t truncate = {.stream = stream->stream, .epoch = stream->epoch, .lsn = lsn};
    cr_assert_eq(store_begin(store), CAPSTAN_OK);
    capstan_err_t err = store_truncate(store, &truncate);
    cr_assert_eq(store_commit(store), CAPSTAN_OK);
    return err;
}

Test(store, truncates_only_what_a_snapshot_covers)
{
    fixture_t fixture;
    fixture_folder(&fixture);
    fixture_open(&fixture);
    stream_opened_t *stream = &fixture.stream;
    for (int i = 0; i < 1200; i++) { /* lsn 1 to 3600, in three segments */
        cr_assert_eq(append_commit(fixture.store, stream, 3), CAPSTAN_OK);
    }
    cr_assert_eq(truncate_commit(fixture.store, stream, 10), CAPSTAN_E_LSN_MISMATCH);
    cr_assert_eq(store_begin(fixture.store), CAPSTAN_OK);
    cr_assert_eq(write_snapshot(fixture.store, stream, 3000, "k", "v"), CAPSTAN_OK);
    cr_assert_eq(store_commit(fixture.store), CAPSTAN_OK);
    cr_assert_eq(truncate_commit(fixture.store, stream, 3001), CAPSTAN_E_LSN_MISMATCH);
    cr_assert_eq(truncate_commit(fixture.store, stream, 2999), CAPSTAN_OK);
    /* A commit's records go together: 2998 to 3000 were one. */
    stream_opened_t after = fixture_stream(fixture.store, "orders/0");
    cr_assert_eq(after.lsn_first, 2998);
    cr_assert_eq(after.lsn_next, 3601);
    capstan_err_t err;
    cr_assert_eq(read_all(fixture.store, stream->stream, 2997, 1 << 20, &err), 0);
    cr_assert_eq(err, CAPSTAN_E_LSN_MISMATCH);
    cr_assert_eq(read_all(fixture.store, stream->stream, 2998, 500, &err), 603);
    cr_assert_eq(err, CAPSTAN_OK);
    cr_assert_eq(truncate_commit(fixture.store, stream, 5), CAPSTAN_OK);
    cr_assert_eq(fixture_stream(fixture.store, "orders/0").lsn_first, 2998);
    store_check_result_t result = check_store(fixture.store);
    cr_assert_eq(result.faults, 0);
    cr_assert_eq(result.records, 603);
    fixture_fini(&fixture);
}

Test(store, remembers_the_position_of_a_stream_whose_log_is_empty)
{
    fixture_t fixture;
    fixture_folder(&fixture);
    fixture_open(&fixture);
    cr_assert_eq(append_commit(fixture.store, &fixture.stream, 7), CAPSTAN_OK);
    cr_assert_eq(store_begin(fixture.store), CAPSTAN_OK);
    cr_assert_eq(write_snapshot(fixture.store, &fixture.stream, 8, "k", "v"), CAPSTAN_OK);
    cr_assert_eq(store_commit(fixture.store), CAPSTAN_OK);
    cr_assert_eq(truncate_commit(fixture.store, &fixture.stream, 8), CAPSTAN_OK);
    store_close(&fixture.store);
    fixture_open(&fixture);
    cr_assert_eq(fixture.stream.lsn_first, 8);
    cr_assert_eq(fixture.stream.lsn_next, 8);
    cr_assert_eq(append_commit(fixture.store, &fixture.stream, 2), CAPSTAN_OK);
    capstan_err_t err;
    cr_assert_eq(read_all(fixture.store, fixture.stream.stream, 8, 100, &err), 2);
    cr_assert_eq(read_all(fixture.store, fixture.stream.stream, 1, 100, &err), 0);
    cr_assert_eq(err, CAPSTAN_E_LSN_MISMATCH);
    cr_assert_eq(check_store(fixture.store).faults, 0);
    fixture_fini(&fixture);
}

static capstan_err_t remove_commit(store_t *store, const stream_opened_t *stream, bool *ret_more)
{
    stream_remove_t request = {.stream = stream->stream, .epoch = stream->epoch};
    cr_assert_eq(store_begin(store), CAPSTAN_OK);
    capstan_err_t err = store_stream_remove(store, &request, ret_more);
    cr_assert_eq(store_commit(store), CAPSTAN_OK);
    return err;
}

/* A crash may come behind any piece: the store has to be one that can be opened, checked, and
 * removed from further. */
Test(store, removes_a_stream_in_pieces_and_leaves_the_others_alone)
{
    fixture_t fixture;
    fixture_folder(&fixture);
    fixture_open(&fixture);
    stream_opened_t other = fixture_stream(fixture.store, "orders/1");
    for (int i = 0; i < 600; i++) {
        cr_assert_eq(append_commit(fixture.store, &fixture.stream, 3), CAPSTAN_OK);
        cr_assert_eq(append_commit(fixture.store, &other, 2), CAPSTAN_OK);
    }
    cr_assert_eq(store_begin(fixture.store), CAPSTAN_OK);
    cr_assert_eq(write_snapshot(fixture.store, &fixture.stream, 100, "k", "v"), CAPSTAN_OK);
    cr_assert_eq(write_snapshot(fixture.store, &other, 100, "k", "v"), CAPSTAN_OK);
    cr_assert_eq(store_commit(fixture.store), CAPSTAN_OK);
    stream_opened_t old = fixture.stream;
    old.epoch++;
    bool more = true;
    cr_assert_eq(remove_commit(fixture.store, &old, &more), CAPSTAN_E_STALE_EPOCH);
    size_t pieces = 0;
    while (more) {
        cr_assert_eq(remove_commit(fixture.store, &fixture.stream, &more), CAPSTAN_OK);
        cr_assert_eq(check_store(fixture.store).faults, 0, "piece %zu", pieces);
        pieces++;
        if (pieces == 2) {
            stream_opened_t middle = fixture_stream(fixture.store, "orders/0");
            cr_assert(middle.lsn_first > 100 && middle.snapshot_lsn == middle.lsn_first);
            store_close(&fixture.store);
            fixture_open(&fixture);
            cr_assert_eq(fixture.stream.lsn_first, middle.lsn_first);
        }
    }
    cr_assert_gt(pieces, 2u);
    cr_assert_eq(remove_commit(fixture.store, &fixture.stream, &more), CAPSTAN_E_NOT_FOUND);
    store_check_result_t result = check_store(fixture.store);
    cr_assert_eq(result.faults, 0);
    cr_assert_eq(result.records, 1200);
    cr_assert_eq(result.snapshot_rows, 1);
    stream_opened_t anew = fixture_stream(fixture.store, "orders/0");
    cr_assert(anew.lsn_first == 1 && anew.lsn_next == 1 && anew.snapshot_lsn == 0);
    cr_assert_eq(append_commit(fixture.store, &anew, 5), CAPSTAN_OK);
    cr_assert_eq(check_store(fixture.store).faults, 0);
    fixture_fini(&fixture);
}

static capstan_err_t rewrite_commit(store_t *store, const stream_opened_t *stream,
                                    const uint64_t *lsns, size_t count)
{
    buffer_t patches = {0};
    codec_list_writer_t list = codec_list_begin(&patches);
    for (size_t i = 0; i < count; i++) {
        codec_list_add(&list, journal_patch_wire(),
                       &(journal_patch_t){.lsn = lsns[i], .kind = 9, .data = slice_text("new")});
    }
    codec_list_end(&list);
    journal_rewrite_t rewrite = {
        .stream = stream->stream, .epoch = stream->epoch, .patches = buffer_slice(&patches)};
    cr_assert_eq(store_begin(store), CAPSTAN_OK);
    capstan_err_t err = store_rewrite(store, &rewrite);
    capstan_err_t committed = store_commit(store);
    cr_assert_eq(committed != CAPSTAN_OK, err != CAPSTAN_OK && err != CAPSTAN_E_STALE_EPOCH);
    buffer_fini(&patches);
    return err;
}

/* The lsns of the records that were replaced, as a text. */
static void replaced(store_t *store, const stream_opened_t *stream, char *text, size_t size)
{
    buffer_t out = {0};
    journal_records_t reply;
    codec_list_t list;
    journal_record_t record;
    journal_read_t read = {.stream = stream->stream, .lsn = 1, .bytes_max = 1 << 20};
    cr_assert_eq(store_read(store, &read, &out, &reply), CAPSTAN_OK);
    cr_assert_eq(codec_list_open(journal_record_wire(), reply.records, &list), CAPSTAN_OK);
    text[0] = '\0';
    for (uint64_t lsn = 1; codec_list_next(&list, &record); lsn++) {
        if (record.kind == 9 && slice_equal(record.data, slice_text("new"))) {
            size_t length = strlen(text);
            snprintf(text + length, size - length, "%llu ", (unsigned long long)lsn);
        }
    }
    buffer_fini(&out);
}

Test(store, replaces_records_where_they_lie_or_none_of_them)
{
    char text[128];
    fixture_t fixture;
    fixture_folder(&fixture);
    fixture_open(&fixture);
    for (int i = 0; i < 5; i++) { /* lsn 1 to 15, in rows of three */
        cr_assert_eq(append_commit(fixture.store, &fixture.stream, 3), CAPSTAN_OK);
    }
    const uint64_t lsns[] = {1, 3, 5, 13, 15, 16};
    cr_assert_eq(rewrite_commit(fixture.store, &fixture.stream, lsns, 6), CAPSTAN_E_LSN_MISMATCH);
    replaced(fixture.store, &fixture.stream, text, sizeof text);
    cr_assert_str_eq(text, "", "the last one does not exist: the others stay as they were");
    stream_opened_t old = fixture.stream;
    old.epoch++;
    cr_assert_eq(rewrite_commit(fixture.store, &old, lsns, 5), CAPSTAN_E_STALE_EPOCH);
    cr_assert_eq(rewrite_commit(fixture.store, &fixture.stream, (uint64_t[]){5, 4}, 2),
                 CAPSTAN_E_INVALID);
    cr_assert_eq(rewrite_commit(fixture.store, &fixture.stream, lsns, 5), CAPSTAN_OK);
    replaced(fixture.store, &fixture.stream, text, sizeof text);
    cr_assert_str_eq(text, "1 3 5 13 15 ");
    store_check_result_t result = check_store(fixture.store);
    cr_assert_eq(result.faults, 0);
    cr_assert_eq(result.records, 15);
    cr_assert_eq(append_commit(fixture.store, &fixture.stream, 2), CAPSTAN_OK);
    fixture_fini(&fixture);
}

static long file_bytes(const char *path)
{
    FILE *file = fopen(path, "r");
    cr_assert_not_null(file);
    fseek(file, 0, SEEK_END);
    long bytes = ftell(file);
    fclose(file);
    return bytes;
}

/* SQLite caches pages; the whole process has no other database open. */
Test(store, bounds_what_it_keeps_in_memory, .timeout = 60)
{
    enum { APPENDS = 200, RECORDS = 20000, BYTES_MAX = 12 << 20 };
    fixture_t fixture;
    fixture_folder(&fixture);
    fixture_open(&fixture);
    for (int i = 0; i < APPENDS; i++) {
        cr_assert_eq(append_commit(fixture.store, &fixture.stream, RECORDS), CAPSTAN_OK);
    }
    cr_assert_gt(file_bytes(fixture.path), 2L * BYTES_MAX, "too little to fill the cache");
    cr_assert_lt(sqlite3_memory_used(), BYTES_MAX);
    fixture_fini(&fixture);
}

Test(store, bounds_its_write_ahead_log)
{
    fixture_t fixture;
    fixture_folder(&fixture);
    store_options_t options = {.path = fixture.path, .checkpoint_bytes = 1 << 20};
    cr_assert_eq(store_open(&options, &fixture.store, NULL, 0), CAPSTAN_OK);
    stream_opened_t stream = fixture_stream(fixture.store, "orders/0");
    for (int i = 0; i < 400; i++) { /* each writes three pages or so: 20 MB without a bound */
        cr_assert_eq(append_commit(fixture.store, &stream, 200), CAPSTAN_OK);
    }
    char wal[128];
    snprintf(wal, sizeof wal, "%s-wal", fixture.path);
    cr_assert_lt(file_bytes(wal), 2 << 20);
    cr_assert_gt(file_bytes(wal), 1 << 19);
    cr_assert_eq(store_checkpoint_result(fixture.store), CAPSTAN_OK);
    fixture_fini(&fixture);
}

/* A reader that never ends stops checkpoints; it must not stop commits too. */
Test(store, goes_on_while_a_reader_holds_the_write_ahead_log_back, .timeout = 60)
{
    fixture_t fixture;
    fixture_folder(&fixture);
    store_options_t options = {.path = fixture.path, .checkpoint_bytes = 256 << 10};
    cr_assert_eq(store_open(&options, &fixture.store, NULL, 0), CAPSTAN_OK);
    stream_opened_t stream = fixture_stream(fixture.store, "orders/0");
    sqlite3 *reader;
    cr_assert_eq(sqlite3_open(fixture.path, &reader), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(reader, "BEGIN; SELECT * FROM meta", NULL, NULL, NULL), SQLITE_OK);
    for (int i = 0; i < 150; i++) {
        cr_assert_eq(append_commit(fixture.store, &stream, 200), CAPSTAN_OK);
    }
    cr_assert_gt(fixture.store->wal_bytes, 8 * fixture.store->checkpoint_bytes);
    cr_assert_eq(sqlite3_close(reader), SQLITE_OK);
    for (int i = 0; i < 50; i++) {
        cr_assert_eq(append_commit(fixture.store, &stream, 200), CAPSTAN_OK);
    }
    cr_assert_lt(fixture.store->wal_bytes, 2 * fixture.store->checkpoint_bytes);
    fixture_fini(&fixture);
}

/* A scan of the log would be right and slow: only the plan shows it. */
Test(store, reads_walk_indexes_and_never_scan)
{
    extern const char sql_store_read[], sql_store_truncate_rows[], sql_store_snapshot_read[],
        sql_store_snapshot_get[], sql_store_stream_get[], sql_store_remove_log[],
        sql_store_remove_snapshots[], sql_store_remove_first[], sql_store_snapshot_keys[],
        sql_store_terms_any[], sql_store_terms_of[], sql_store_terms_up[], sql_store_terms_down[],
        sql_store_terms_last[], sql_store_terms_next[], sql_store_terms_range[];
    const char *const statements[] = {sql_store_read,
                                      sql_store_truncate_rows,
                                      sql_store_snapshot_read,
                                      sql_store_snapshot_get,
                                      sql_store_stream_get,
                                      sql_store_remove_log,
                                      sql_store_remove_snapshots,
                                      sql_store_remove_first,
                                      sql_store_snapshot_keys,
                                      sql_store_terms_any,
                                      sql_store_terms_of,
                                      sql_store_terms_up,
                                      sql_store_terms_down,
                                      sql_store_terms_last,
                                      sql_store_terms_next,
                                      sql_store_terms_range};
    fixture_t fixture;
    fixture_folder(&fixture);
    fixture_open(&fixture);
    sqlite3 *db;
    cr_assert_eq(sqlite3_open(fixture.path, &db), SQLITE_OK);
    for (size_t i = 0; i < sizeof statements / sizeof statements[0]; i++) {
        char sql[4096];
        snprintf(sql, sizeof sql, "EXPLAIN QUERY PLAN %s", statements[i]);
        sqlite3_stmt *statement;
        cr_assert_eq(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
        while (sqlite3_step(statement) == SQLITE_ROW) {
            const char *line = (const char *)sqlite3_column_text(statement, 3);
            bool walks_few =
                strstr(line, "newest") || strstr(line, "start") || strstr(line, "CONSTANT ROW");
            cr_assert(walks_few || (!strstr(line, "SCAN") && !strstr(line, "TEMP B-TREE")),
                      "%s\n%s", statements[i], line);
        }
        sqlite3_finalize(statement);
    }
    sqlite3_close(db);
    fixture_fini(&fixture);
}

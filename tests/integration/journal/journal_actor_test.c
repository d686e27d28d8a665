/* The journal's two actors in a real node, on a real file. */
#include "actors/journal/journal.h"
#include "runtime/runtime_messages.h"
#include "runtime/wire/wire_messages.h"
#include "tests/integration/journal/store_fixture.h"

#include <capstan/node.h>

#define TIMEOUT_US INT64_C(10000000)

typedef struct actors {
    fixture_t fixture;
    capstan_node_t *node;
    capstan_ref_t journal;
    capstan_ref_t reader;
} actors_t;

static void actors_start(actors_t *self)
{
    fixture_folder(&self->fixture);
    fixture_open(&self->fixture);
    store_options_t options = {.path = self->fixture.path, .read_only = true};
    journal_reader_arguments_t reader = {0};
    cr_assert_eq(store_open(&options, &reader.store, NULL, 0), CAPSTAN_OK);
    journal_arguments_t writer = {.store = self->fixture.store};
    self->fixture.store = NULL; /* handed over */
    cr_assert_eq(capstan_node_new(NULL, &self->node), CAPSTAN_OK);
    capstan_spawn_options_t on_journal = {.cell = "journal", .argument = &writer};
    cr_assert_eq(capstan_node_spawn(self->node, &journal_behaviour, &on_journal, &self->journal),
                 CAPSTAN_OK);
    capstan_spawn_options_t on_reader = {.cell = "journal-reader", .argument = &reader};
    cr_assert_eq(
        capstan_node_spawn(self->node, &journal_reader_behaviour, &on_reader, &self->reader),
        CAPSTAN_OK);
}

static void actors_stop(actors_t *self)
{
    cr_assert_eq(capstan_node_stop(&self->node, TIMEOUT_US, NULL, NULL), CAPSTAN_OK);
    fixture_fini(&self->fixture);
}

/* Asks and decodes the reply into `ret_reply`, whose slices live until the next call. */
static capstan_err_t ask(actors_t *self, capstan_ref_t target, const wire_record_t *request,
                         const void *value, const wire_record_t *reply, void *ret_reply)
{
    static void *answer;
    buffer_t body = {0};
    codec_encode(request, value, &body);
    free(answer);
    answer = NULL;
    size_t size = 0;
    capstan_err_t err = capstan_node_ask(self->node, target, request->id, buffer_slice(&body),
                                         TIMEOUT_US, &answer, &size);
    buffer_fini(&body);
    if (!err) {
        cr_assert_eq(codec_decode(reply, slice_of(answer, size), ret_reply, NULL), CAPSTAN_OK);
    }
    return err;
}

static stream_opened_t ask_stream(actors_t *self, const char *instance)
{
    stream_open_t request = {.concern = slice_text("ordering"), .instance = slice_text(instance)};
    stream_opened_t opened = {0};
    cr_assert_eq(
        ask(self, self->journal, stream_open_wire(), &request, stream_opened_wire(), &opened),
        CAPSTAN_OK);
    return opened;
}

static capstan_err_t ask_append(actors_t *self, const stream_opened_t *stream, uint64_t lsn,
                                uint32_t count)
{
    buffer_t records = {0};
    make_records(&records, lsn, count);
    journal_append_t request = {.stream = stream->stream,
                                .epoch = stream->epoch,
                                .lsn = lsn,
                                .records = buffer_slice(&records)};
    journal_appended_t reply = {0};
    capstan_err_t err =
        ask(self, self->journal, journal_append_wire(), &request, journal_appended_wire(), &reply);
    cr_assert(err || reply.lsn_next == lsn + count);
    buffer_fini(&records);
    return err;
}

static journal_report_t ask_report(actors_t *self)
{
    journal_report_t report = {0};
    cr_assert_eq(ask(self, self->journal, journal_status_wire(), &(journal_status_t){0},
                     journal_report_wire(), &report),
                 CAPSTAN_OK);
    return report;
}

Test(journal, gives_back_through_the_reader_what_it_acknowledged)
{
    actors_t actors = {0};
    actors_start(&actors);
    stream_opened_t stream = ask_stream(&actors, "orders/7");
    cr_assert_eq(ask_append(&actors, &stream, 1, 5), CAPSTAN_OK);
    cr_assert_eq(ask_append(&actors, &stream, 6, 5), CAPSTAN_OK);
    journal_read_t read = {.stream = stream.stream, .lsn = 4, .bytes_max = 1 << 20};
    journal_records_t records = {0};
    cr_assert_eq(
        ask(&actors, actors.reader, journal_read_wire(), &read, journal_records_wire(), &records),
        CAPSTAN_OK);
    cr_assert_eq(records.lsn, 4);
    cr_assert_eq(records.lsn_next, 11);
    cr_assert_eq(codec_list_count(records.records), 7);
    cr_assert_eq(ask_stream(&actors, "orders/7").lsn_next, 11);
    actors_stop(&actors);
}

Test(journal, takes_snapshots_and_truncates_below_them)
{
    actors_t actors = {0};
    actors_start(&actors);
    stream_opened_t stream = ask_stream(&actors, "orders/7");
    cr_assert_eq(ask_append(&actors, &stream, 1, 5), CAPSTAN_OK);
    buffer_t rows = {0};
    codec_list_writer_t writer = codec_list_begin(&rows);
    snapshot_row_t row = {.key = slice_text("key"), .value = slice_text("value")};
    codec_list_add(&writer, snapshot_row_wire(), &row);
    codec_list_end(&writer);
    snapshot_write_t chunk = {.stream = stream.stream,
                              .epoch = stream.epoch,
                              .lsn = 6,
                              .last = true,
                              .rows = buffer_slice(&rows)};
    snapshot_written_t written;
    cr_assert_eq(ask(&actors, actors.journal, snapshot_write_wire(), &chunk,
                     snapshot_written_wire(), &written),
                 CAPSTAN_OK);
    journal_truncate_t truncate = {.stream = stream.stream, .epoch = stream.epoch, .lsn = 6};
    journal_truncated_t truncated;
    cr_assert_eq(ask(&actors, actors.journal, journal_truncate_wire(), &truncate,
                     journal_truncated_wire(), &truncated),
                 CAPSTAN_OK);
    cr_assert_eq(ask_stream(&actors, "orders/7").lsn_first, 6);
    snapshot_read_t read = {.stream = stream.stream, .bytes_max = 1};
    snapshot_rows_t reply = {0};
    cr_assert_eq(
        ask(&actors, actors.reader, snapshot_read_wire(), &read, snapshot_rows_wire(), &reply),
        CAPSTAN_OK);
    codec_list_t list;
    cr_assert_eq(codec_list_open(snapshot_row_wire(), reply.rows, &list), CAPSTAN_OK);
    cr_assert(codec_list_next(&list, &row));
    cr_assert(slice_equal(row.value, slice_text("value")));
    buffer_fini(&rows);
    actors_stop(&actors);
}

Test(journal, finds_rows_by_their_terms_through_the_reader)
{
    actors_t actors = {0};
    actors_start(&actors);
    stream_opened_t stream = ask_stream(&actors, "orders/7");
    buffer_t terms = {0};
    codec_list_writer_t writer = codec_list_begin(&terms);
    codec_list_add(&writer, snapshot_term_wire(), &(snapshot_term_t){.term = slice_text("term")});
    codec_list_end(&writer);
    buffer_t rows = {0};
    writer = codec_list_begin(&rows);
    codec_list_add(&writer, snapshot_row_wire(),
                   &(snapshot_row_t){.key = slice_text("key"),
                                     .value = slice_text("value"),
                                     .terms = buffer_slice(&terms)});
    codec_list_end(&writer);
    snapshot_write_t chunk = {
        .stream = stream.stream, .epoch = stream.epoch, .lsn = 1, .rows = buffer_slice(&rows)};
    snapshot_written_t written;
    cr_assert_eq(ask(&actors, actors.journal, snapshot_write_wire(), &chunk,
                     snapshot_written_wire(), &written),
                 CAPSTAN_OK);
    snapshot_find_t find = {.stream = stream.stream,
                            .terms = buffer_slice(&terms),
                            .count_max = 5,
                            .bytes_max = 1 << 16};
    snapshot_rows_t found = {0};
    cr_assert_eq(
        ask(&actors, actors.reader, snapshot_find_wire(), &find, snapshot_rows_wire(), &found),
        CAPSTAN_OK);
    cr_assert(found.end && codec_list_count(found.rows) == 1);
    snapshot_range_t range = {
        .stream = stream.stream, .first = slice_text("a"), .last = slice_text("z"), .count_max = 5};
    snapshot_terms_t entries = {0};
    cr_assert_eq(
        ask(&actors, actors.reader, snapshot_range_wire(), &range, snapshot_terms_wire(), &entries),
        CAPSTAN_OK);
    cr_assert(entries.end && codec_list_count(entries.entries) == 1);
    snapshot_count_t count = {.stream = stream.stream, .prefix = slice_text("t")};
    snapshot_counts_t counts = {0};
    cr_assert_eq(
        ask(&actors, actors.reader, snapshot_count_wire(), &count, snapshot_counts_wire(), &counts),
        CAPSTAN_OK);
    cr_assert(counts.end && codec_list_count(counts.counts) == 1);
    find.count_max = 0;
    cr_assert_eq(
        ask(&actors, actors.reader, snapshot_find_wire(), &find, snapshot_rows_wire(), &found),
        CAPSTAN_E_INVALID);
    buffer_fini(&terms);
    buffer_fini(&rows);
    actors_stop(&actors);
}

Test(journal, refuses_what_is_wrong_and_goes_on)
{
    actors_t actors = {0};
    actors_start(&actors);
    stream_opened_t stream = ask_stream(&actors, "orders/7");
    stream_opened_t old = stream;
    old.epoch--;
    cr_assert_eq(ask_append(&actors, &old, 1, 5), CAPSTAN_E_STALE_EPOCH);
    cr_assert_eq(ask_append(&actors, &stream, 9, 5), CAPSTAN_E_LSN_MISMATCH);
    capstan_ref_t targets[] = {actors.journal, actors.reader};
    for (size_t i = 0; i < 2; i++) {
        uint32_t message = i == 0 ? MESSAGE_journal_append : MESSAGE_journal_read;
        void *answer = NULL;
        size_t size = 0;
        cr_assert_eq(capstan_node_ask(actors.node, targets[i], message, slice_text("\x81\x01"),
                                      TIMEOUT_US, &answer, &size),
                     CAPSTAN_E_MALFORMED);
        cr_assert_eq(capstan_node_ask(actors.node, targets[i], 0x7777, slice_text("\x80"),
                                      TIMEOUT_US, &answer, &size),
                     CAPSTAN_E_UNKNOWN_MESSAGE);
    }
    cr_assert_eq(ask_append(&actors, &stream, 1, 5), CAPSTAN_OK);
    journal_report_t report = ask_report(&actors);
    cr_assert_eq(report.records, 5);
    cr_assert_eq(report.refused, 3);
    cr_assert_eq(report.error, 0);
    actors_stop(&actors);
}

/* An actor that sends many appends within one turn, every tenth of them wrong, and tells the one
 * that asked it when all are answered. */
enum { BURST = 1000, BURST_MESSAGE = 0x8001 };

typedef struct burst {
    capstan_ref_t journal;
    stream_opened_t stream;
    capstan_message_t request;
    uint32_t written;
    uint32_t refused;
    uint64_t lsn_next; /* as last acknowledged */
} burst_t;

static capstan_err_t burst_init(capstan_actor_t *self, void *argument)
{
    capstan_actor_set_state(self, argument);
    return CAPSTAN_OK;
}

static void burst_send(capstan_actor_t *self, burst_t *burst)
{
    buffer_t records = {0};
    buffer_t body = {0};
    uint64_t lsn = 1;
    for (int i = 0; i < BURST; i++) {
        bool wrong = i % 10 == 9;
        make_records(&records, lsn, 1);
        journal_append_t append = {.stream = burst->stream.stream,
                                   .epoch = burst->stream.epoch,
                                   .lsn = wrong ? lsn + 5 : lsn,
                                   .records = buffer_slice(&records)};
        lsn += wrong ? 0 : 1;
        buffer_clear(&body);
        codec_encode(journal_append_wire(), &append, &body);
        uint64_t correlation;
        cr_assert_eq(capstan_ask(self, burst->journal, MESSAGE_journal_append, buffer_slice(&body),
                                 TIMEOUT_US, &correlation),
                     CAPSTAN_OK);
    }
    buffer_fini(&records);
    buffer_fini(&body);
}

static capstan_err_t burst_receive(capstan_actor_t *self, const capstan_message_t *message)
{
    burst_t *burst = capstan_actor_state(self);
    journal_appended_t appended;
    if (message->message == BURST_MESSAGE) {
        burst->request = *message;
        burst_send(self, burst);
    } else if (message->kind == CAPSTAN_KIND_ERROR) {
        burst->refused++;
    } else if (codec_decode(journal_appended_wire(), message->body, &appended, NULL) ==
               CAPSTAN_OK) {
        burst->written++;
        cr_assert_eq(appended.lsn_next, burst->lsn_next + 1);
        burst->lsn_next = appended.lsn_next;
    }
    if (burst->written + burst->refused == BURST) {
        capstan_reply(self, &burst->request, BURST_MESSAGE, slice_text("done"));
    }
    return CAPSTAN_OK;
}

Test(journal, commits_together_what_came_together_and_answers_each)
{
    static const capstan_behaviour_t behaviour = {
        .name = "burst", .init = burst_init, .receive = burst_receive};
    actors_t actors = {0};
    actors_start(&actors);
    burst_t burst = {
        .journal = actors.journal, .stream = ask_stream(&actors, "orders/7"), .lsn_next = 1};
    capstan_spawn_options_t options = {.cell = "burst", .argument = &burst};
    capstan_ref_t ref;
    cr_assert_eq(capstan_node_spawn(actors.node, &behaviour, &options, &ref), CAPSTAN_OK);
    void *answer = NULL;
    size_t size = 0;
    cr_assert_eq(capstan_node_ask(actors.node, ref, BURST_MESSAGE, slice_text(""), TIMEOUT_US,
                                  &answer, &size),
                 CAPSTAN_OK);
    free(answer);
    journal_report_t report = ask_report(&actors);
    cr_assert_eq(report.records, BURST - BURST / 10);
    cr_assert_eq(report.refused, BURST / 10);
    cr_assert_lt(report.commits, BURST / 10, "%llu commits", (unsigned long long)report.commits);
    actors_stop(&actors);
    cr_assert_eq(burst.written, BURST - BURST / 10);
    cr_assert_eq(burst.refused, BURST / 10);
}

Test(journal, gives_the_store_back_when_the_node_stops)
{
    actors_t actors = {0};
    actors_start(&actors);
    stream_opened_t stream = ask_stream(&actors, "orders/0");
    cr_assert_eq(ask_append(&actors, &stream, 1, 5), CAPSTAN_OK);
    cr_assert_eq(capstan_node_stop(&actors.node, TIMEOUT_US, NULL, NULL), CAPSTAN_OK);
    fixture_open(&actors.fixture);
    cr_assert_eq(actors.fixture.stream.lsn_next, 6);
    cr_assert_eq(check_store(actors.fixture.store).faults, 0);
    fixture_fini(&actors.fixture);
}

/* Gaps: which events keys wait for, what was given up, and giving it up. */
#include "cli/topic.h"

#include "cli/failed.h"
#include "cli/options.h"
#include "cli/table.h"
#include "runtime/base/json_writer.h"

#include <inttypes.h>
#include <stdio.h>

static const char *const columns[] = {"partition", "producer", "key", "first", "last",
                                      "held",      "verdict",  "at",  "reason"};

enum { COLUMNS = sizeof columns / sizeof columns[0], ROWS_MAX = 1000 };

/* A gap or a row of the ledger, as it is shown. */
typedef struct shown {
    uint64_t partition;
    slice_t producer;
    slice_t key;
    uint64_t first;
    uint64_t last;
    uint64_t held;
    const char *verdict;
    int64_t at_us; /* given up, or seen to be missing */
    slice_t reason;
} shown_t;

static void print_json(const shown_t *row)
{
    buffer_t out = {0};
    json_writer_t json = json_writer(&out);
    emit_object_begin(&json);
    emit_key(&json, "partition");
    emit_uint(&json, row->partition);
    emit_key(&json, "producer");
    emit_text(&json, row->producer);
    emit_key(&json, "key");
    emit_text(&json, row->key);
    emit_key(&json, "first");
    emit_uint(&json, row->first);
    emit_key(&json, "last");
    emit_uint(&json, row->last);
    emit_key(&json, "held");
    emit_uint(&json, row->held);
    emit_key(&json, "verdict");
    emit_string(&json, row->verdict);
    emit_key(&json, "at_us");
    emit_int(&json, row->at_us);
    emit_key(&json, "reason");
    emit_text(&json, row->reason);
    emit_object_end(&json);
    printf("%.*s\n", (int)out.size, (const char *)out.data);
    buffer_fini(&out);
}

static void show(table_t *table, const topic_options_t *options, const shown_t *row)
{
    if (options->json) {
        print_json(row);
        return;
    }
    table_number(table, row->partition);
    table_cell(table, row->producer);
    table_cell(table, row->key);
    table_number(table, row->first);
    table_number(table, row->last);
    table_number(table, row->held);
    table_cell(table, slice_text(row->verdict));
    table_date(table, row->at_us);
    table_cell(table, row->reason);
}

/* Returns how many rows there are beyond those that were shown. */
static capstan_err_t show_page(table_t *table, const topic_options_t *options,
                               const gap_page_t *page, uint64_t *ret_more)
{
    codec_list_t list;
    gap_t gap;
    skip_t skip;
    uint64_t shown = 0;
    capstan_err_t err = codec_list_open(gap_wire(), page->gaps, &list);
    while (err == CAPSTAN_OK && codec_list_next(&list, &gap)) {
        show(table, options,
             &(shown_t){.partition = page->partition,
                        .producer = gap.producer,
                        .key = gap.key,
                        .first = gap.missing,
                        .last = gap.last_missing,
                        .held = gap.held,
                        .verdict = "open",
                        .at_us = gap.since_us});
        shown++;
    }
    err = err ? err : codec_list_open(skip_wire(), page->skips, &list);
    while (err == CAPSTAN_OK && codec_list_next(&list, &skip)) {
        show(table, options,
             &(shown_t){.partition = page->partition,
                        .producer = skip.producer,
                        .key = skip.key,
                        .first = skip.first,
                        .last = skip.last,
                        .verdict = skip.verdict == 2 ? "DEAD" : "FORCED",
                        .at_us = skip.at_us,
                        .reason = skip.reason});
        shown++;
    }
    *ret_more = page->gap_count + page->skip_count - shown;
    return err;
}

static capstan_err_t walk(peer_t *peer, const topic_options_t *options, table_t *table,
                          uint64_t *ret_rows, uint64_t *ret_more, char *text, size_t text_size)
{
    slice_t body;
    gap_page_t page = {.partitions = 1};
    for (uint64_t partition = 0; partition < page.partitions; partition++) {
        const gap_list_t request = {.topic = slice_text(options->topic),
                                    .partition = partition,
                                    .rows_max = options->limit};
        uint64_t more = 0;
        capstan_err_t err = peer_request(peer, gap_list_wire(), &request, gap_page_wire(),
                                         TOPIC_ANSWER_US, &body, text, text_size);
        err = err ? err : codec_decode(gap_page_wire(), body, &page, NULL);
        err = err ? err : show_page(table, options, &page, &more);
        if (err != CAPSTAN_OK) {
            return err;
        }
        *ret_rows += page.gap_count + page.skip_count;
        *ret_more += more;
    }
    return CAPSTAN_OK;
}

int topic_gaps(peer_t *peer, const topic_options_t *options)
{
    char text[1024] = "";
    if (options->limit > ROWS_MAX) {
        return cli_failed("topic", CAPSTAN_E_INVALID, "--limit: gaps shows at most 1000 rows");
    }
    table_t table = {.columns = COLUMNS};
    for (size_t i = 0; i < COLUMNS; i++) {
        table_cell(&table, slice_text(columns[i]));
    }
    uint64_t rows = 0;
    uint64_t more = 0;
    capstan_err_t err = walk(peer, options, &table, &rows, &more, text, sizeof text);
    if (err == CAPSTAN_OK && !options->json && rows == 0) {
        printf("no gap is open, and nothing was given up\n");
    } else if (err == CAPSTAN_OK && !options->json) {
        table_print(&table, 0, stdout);
        if (more > 0) {
            printf("... and %" PRIu64 " more: see --limit\n", more);
        }
    }
    table_fini(&table);
    return err == CAPSTAN_OK ? EXIT_DONE : topic_failed(options, err, text);
}

int topic_skip(peer_t *peer, const topic_options_t *options)
{
    const gap_force_t request = {.topic = slice_text(options->topic),
                                 .producer = slice_text(options->producer),
                                 .key = slice_text(options->key),
                                 .first = options->first,
                                 .last = options->last,
                                 .reason =
                                     options->reason ? slice_text(options->reason) : (slice_t){0}};
    char text[1024] = "";
    slice_t body;
    gap_skipped_t skipped;
    capstan_err_t err = peer_request(peer, gap_force_wire(), &request, gap_skipped_wire(),
                                     TOPIC_ANSWER_US, &body, text, sizeof text);
    err = err ? err : codec_decode(gap_skipped_wire(), body, &skipped, NULL);
    if (err != CAPSTAN_OK) {
        return topic_failed(options, err, text);
    }
    if (options->json) {
        printf("{\"first\":%" PRIu64 ",\"last\":%" PRIu64 ",\"verdict\":\"%s\"}\n", skipped.first,
               skipped.last, skipped.verdict == 2 ? "DEAD" : "FORCED");
    } else {
        printf("%s: %" PRIu64 " to %" PRIu64 " are given up%s\n", options->key, skipped.first,
               skipped.last, skipped.verdict == 2 ? ", as their producer said before" : "");
    }
    return EXIT_DONE;
}

/* Which sagas there are, and how many. */
#include "cli/saga.h"

#include "actors/saga/saga.h"
#include "cli/saga_filter.h"
#include "cli/saga_json.h"
#include "cli/saga_time.h"
#include "cli/saga_words.h"
#include "cli/table.h"
#include "runtime/base/clock.h"

#include <inttypes.h>
#include <stdio.h>

enum { PAGE_MAX = 1000 };

/* --- list ------------------------------------------------------------------------------------- */

typedef struct list_options {
    saga_common_t common;
    saga_filter_options_t filter;
    uint64_t limit;
    uint64_t before;
    bool all;
} list_options_t;

static list_options_t chosen;

static const option_t list_options[] = {
    SAGA_FILTER_OPTIONS(chosen.filter),
    {.name = "limit",
     .argument = "N",
     .type = OPTION_UINT,
     .initial = "50",
     .minimum = 1,
     .target.number = &chosen.limit,
     .meaning = "at most so many"},
    {.name = "all",
     .type = OPTION_FLAG,
     .target.flag = &chosen.all,
     .meaning = "all of them, page by page"},
    {.name = "before",
     .argument = "NUMBER",
     .type = OPTION_UINT,
     .minimum = 1,
     .target.number = &chosen.before,
     .meaning = "only those with a smaller number: the next page"},
    SAGA_COMMON_OPTIONS(chosen.common),
};

const command_line_t saga_list_line = {
    .usage = "capstan saga list [options]",
    .summary = "Lists sagas, the newest first.\n"
               "Those are shown that fit all filters which are given.",
    .examples = "  capstan saga list --state PARKED\n"
                "  capstan saga list --definition order --since 2h --attribute customer=Ada\n"
                "  capstan saga list --all --json | jq -r .id\n",
    .options = list_options,
    .count = OPTION_COUNT(list_options),
    .words = 3,
};

static const char *const columns[] = {"number",  "saga", "definition", "version", "state",
                                      "outcome", "key",  "started",    "took"};
enum { COLUMNS = sizeof columns / sizeof columns[0] };

static void add_headings(table_t *table)
{
    for (size_t i = 0; i < COLUMNS; i++) {
        table_cell(table, slice_text(columns[i]));
    }
}

static void add_row(table_t *table, const saga_row_t *row)
{
    char took[SAGA_TIME_TEXT_SIZE] = "";
    char state[64];
    snprintf(state, sizeof state, "%s%s%s", saga_state_word(row->state),
             row->paused ? ", paused" : "", row->absent ? ", unknown version" : "");
    if (row->ended_us > 0) {
        saga_duration_format(row->ended_us - row->started_us, took);
    }
    table_number(table, row->number);
    table_cell(table, row->id);
    table_cell(table, row->definition);
    table_number(table, row->version);
    table_cell(table, slice_text(state));
    table_cell(table, row->outcome);
    table_cell(table, row->key);
    table_date(table, row->started_us);
    table_cell(table, slice_text(took));
}

typedef struct walk {
    slice_t filter;
    uint64_t before; /* 0: from the newest */
    uint64_t shown;
    bool more;
} walk_t;

static uint64_t left_of(const walk_t *self)
{
    return chosen.all ? PAGE_MAX : chosen.limit - self->shown;
}

/* A page is a table of its own, so that no more than one is in memory. */
static capstan_err_t show_page(walk_t *self, const saga_page_t *page)
{
    table_t table = {.columns = COLUMNS};
    codec_list_t list;
    slice_t record;
    saga_row_t row;
    buffer_t out = {0};
    uint64_t left = left_of(self);
    uint64_t shown = 0;
    capstan_err_t err = codec_list_open(saga_row_wire(), page->sagas, &list);
    add_headings(&table);
    while (err == CAPSTAN_OK && shown < left && codec_list_next_raw(&list, &record)) {
        json_writer_t json = json_writer(&out);
        err = codec_decode(saga_row_wire(), record, &row, NULL);
        if (err == CAPSTAN_OK && chosen.common.json) {
            saga_json_record(&json, saga_row_wire(), record);
            saga_json_print(&out);
        } else if (err == CAPSTAN_OK) {
            add_row(&table, &row);
        }
        shown++;
    }
    err = err ? err : list.fault.err;
    if (err == CAPSTAN_OK && !chosen.common.json && shown > 0) {
        table_print(&table, 0, stdout);
    }
    self->shown += shown;
    buffer_fini(&out);
    table_fini(&table);
    return err;
}

static capstan_err_t walk_pages(saga_client_t *client, walk_t *self)
{
    do {
        uint64_t left = left_of(self);
        const saga_list_t request = {.filter = self->filter,
                                     .before = self->before,
                                     .count_max = left < PAGE_MAX ? left : PAGE_MAX};
        saga_page_t page;
        capstan_err_t err = saga_client_ask(client, saga_list_wire(), &request, saga_page_wire(),
                                            SAGA_ANSWER_US, &page);
        err = err ? err : show_page(self, &page);
        if (err != CAPSTAN_OK) {
            return err;
        }
        bool further = page.before > 0 && (self->before == 0 || page.before < self->before);
        self->more = further;
        self->before = page.before;
    } while (self->more && (chosen.all || self->shown < chosen.limit));
    return CAPSTAN_OK;
}

static int list(slice_t filter)
{
    walk_t walk = {.filter = filter, .before = chosen.before};
    saga_client_t client;
    if (!saga_client_open(&client, "saga list", &chosen.common)) {
        return EXIT_FAILED;
    }
    capstan_err_t err = walk_pages(&client, &walk);
    if (err != CAPSTAN_OK) {
        saga_client_failed(&client, NULL, (slice_t){0}, err);
    } else if (!chosen.common.json && walk.shown == 0) {
        printf("there is no such saga\n");
    } else if (!chosen.common.json && walk.more) {
        printf("... and perhaps more: see --all, or --before %" PRIu64 "\n", walk.before);
    }
    saga_client_close(&client);
    return err == CAPSTAN_OK ? EXIT_DONE : EXIT_FAILED;
}

int saga_list(int argc, char **argv)
{
    buffer_t filter = {0};
    int status = options_parse(&saga_list_line, argc, argv, NULL);
    if (status == OPTIONS_RUN) {
        status =
            saga_filter_encode(&saga_list_line, &chosen.filter, clock_us(CLOCK_REALTIME), &filter);
    }
    if (status == OPTIONS_RUN) {
        status = list(buffer_slice(&filter));
    }
    buffer_fini(&filter);
    return status;
}

/* --- count ------------------------------------------------------------------------------------ */

static saga_common_t count_common;
static saga_filter_options_t count_filter;
static const char *count_by;

static const option_t count_options[] = {
    {.name = "by",
     .argument = "WHAT",
     .type = OPTION_CHOICE,
     .choices = "state|outcome|definition",
     .target.text = &count_by,
     .meaning = "a number for each state, outcome or definition"},
    SAGA_FILTER_OPTIONS(count_filter),
    SAGA_COMMON_OPTIONS(count_common),
};

const command_line_t saga_count_line = {
    .usage = "capstan saga count [--by state|outcome|definition] [options]",
    .summary = "Counts sagas.\n"
               "Those are counted that fit all filters which are given.",
    .examples = "  capstan saga count --by state\n"
                "  capstan saga count --definition order --state PARKED\n",
    .options = count_options,
    .count = OPTION_COUNT(count_options),
    .words = 3,
};

static uint64_t number_of_by(void)
{
    return !count_by                          ? 0
           : strcmp(count_by, "state") == 0   ? 1
           : strcmp(count_by, "outcome") == 0 ? 2
                                              : 3;
}

static void print_sum_json(const saga_sum_t *sum)
{
    buffer_t out = {0};
    json_writer_t json = json_writer(&out);
    emit_object_begin(&json);
    if (count_by) {
        emit_key(&json, "name");
        emit_text(&json, sum->name);
    }
    emit_key(&json, "count");
    emit_uint(&json, sum->count);
    emit_object_end(&json);
    saga_json_print(&out);
    buffer_fini(&out);
}

static capstan_err_t print_counts(const saga_counts_t *counts)
{
    table_t table = {.columns = 2};
    codec_list_t list;
    saga_sum_t sum = {.count = 0};
    uint64_t all = 0;
    table_cell(&table, slice_text(count_by ? count_by : ""));
    table_cell(&table, slice_text("sagas"));
    capstan_err_t err = codec_list_open(saga_sum_wire(), counts->sums, &list);
    while (err == CAPSTAN_OK && codec_list_next(&list, &sum)) {
        all += sum.count;
        if (count_by && count_common.json) {
            print_sum_json(&sum);
        }
        table_cell(&table, sum.name.size > 0 ? sum.name : slice_text("(none)"));
        table_number(&table, sum.count);
    }
    err = err ? err : list.fault.err;
    if (err == CAPSTAN_OK && !count_by && count_common.json) {
        print_sum_json(&(saga_sum_t){.count = all});
    } else if (err == CAPSTAN_OK && !count_by) {
        printf("%" PRIu64 "\n", all);
    } else if (err == CAPSTAN_OK && !count_common.json) {
        table_print(&table, 0, stdout);
    }
    table_fini(&table);
    return err;
}

static int count(slice_t filter)
{
    const saga_count_t request = {.filter = filter, .by = number_of_by()};
    saga_client_t client;
    saga_counts_t counts;
    if (!saga_client_open(&client, "saga count", &count_common)) {
        return EXIT_FAILED;
    }
    capstan_err_t err = saga_client_ask(&client, saga_count_wire(), &request, saga_counts_wire(),
                                        SAGA_ANSWER_US, &counts);
    err = err ? err : print_counts(&counts);
    if (err != CAPSTAN_OK) {
        saga_client_failed(&client, NULL, (slice_t){0}, err);
    }
    saga_client_close(&client);
    return err == CAPSTAN_OK ? EXIT_DONE : EXIT_FAILED;
}

int saga_count(int argc, char **argv)
{
    buffer_t filter = {0};
    int status = options_parse(&saga_count_line, argc, argv, NULL);
    if (status == OPTIONS_RUN) {
        status =
            saga_filter_encode(&saga_count_line, &count_filter, clock_us(CLOCK_REALTIME), &filter);
    }
    if (status == OPTIONS_RUN) {
        status = count(buffer_slice(&filter));
    }
    buffer_fini(&filter);
    return status;
}

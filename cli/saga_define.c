/* Definitions: made known from files, and listed. */
#include "cli/saga.h"

#include "actors/saga/plan.h"
#include "cli/saga_json.h"
#include "cli/saga_label.h"
#include "cli/saga_value.h"
#include "cli/table.h"
#include "runtime/base/ensure.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* --- define ----------------------------------------------------------------------------------- */

enum { FILES_MAX = 1000 };

static saga_common_t define_common;

static const option_t define_options[] = {SAGA_COMMON_OPTIONS(define_common)};

const command_line_t saga_define_line = {
    .usage = "capstan saga define FILE... [options]",
    .summary = "Makes definitions known, from files in YAML.\n"
               "All files are checked first; when one is wrong none is sent. The same definition "
               "once more\nchanges nothing; a changed one wants the next version. - is standard "
               "input.",
    .examples = "  capstan saga define order.yaml\n"
                "  capstan saga define sagas/*.yaml --json\n",
    .options = define_options,
    .count = OPTION_COUNT(define_options),
    .operands_min = 1,
    .operands_max = FILES_MAX,
    .words = 3,
};

/* Reads and checks one; what is wrong was printed. */
static bool read_file(const char *path, buffer_t *out)
{
    char wrong[512];
    buffer_t text = {0};
    plan_fault_t fault = {.line = 0};
    bool good = saga_file_read(path, PLAN_BYTES_MAX, &text, wrong, sizeof wrong);
    if (!good) {
        fprintf(stderr, "capstan saga define: %s\n", wrong);
    } else if (definition_from_yaml(buffer_slice(&text), path, out, &fault) != CAPSTAN_OK) {
        fprintf(stderr, "capstan saga define: %s\n", fault.text);
        good = false;
    }
    buffer_fini(&text);
    return good;
}

static void print_defined(const saga_defined_t *defined)
{
    if (define_common.json) {
        buffer_t out = {0};
        json_writer_t json = json_writer(&out);
        emit_object_begin(&json);
        saga_json_members(&json, saga_defined_wire(), defined);
        emit_object_end(&json);
        saga_json_print(&out);
        buffer_fini(&out);
        return;
    }
    printf("%.*s %" PRIu64 ": %s\n", SLICE_ARGUMENTS(defined->name), defined->version,
           defined->created ? "created" : "unchanged");
}

static int send_definition(saga_client_t *client, slice_t record)
{
    saga_definition_t definition;
    saga_defined_t defined;
    if (codec_decode(saga_definition_wire(), record, &definition, NULL) != CAPSTAN_OK) {
        return EXIT_FAILED;
    }
    const saga_define_t request = {.name = definition.name, .definition = record};
    capstan_err_t err = saga_client_ask(client, saga_define_wire(), &request, saga_defined_wire(),
                                        SAGA_ANSWER_US, &defined);
    if (err != CAPSTAN_OK) {
        return saga_client_failed(client, "definition", definition.name, err);
    }
    print_defined(&defined);
    return EXIT_DONE;
}

static int send_all(const buffer_t *records, size_t count)
{
    saga_client_t client;
    int status = EXIT_DONE;
    if (!saga_client_open(&client, "saga define", &define_common)) {
        return EXIT_FAILED;
    }
    for (size_t i = 0; i < count; i++) {
        int own = send_definition(&client, buffer_slice(&records[i]));
        status = own == EXIT_DONE ? status : own;
    }
    saga_client_close(&client);
    return status;
}

int saga_define(int argc, char **argv)
{
    operands_t files;
    int status = options_parse(&saga_define_line, argc, argv, &files);
    if (status != OPTIONS_RUN) {
        return status;
    }
    buffer_t *records = calloc(files.count, sizeof *records);
    ENSURE(records);
    bool good = true;
    for (size_t i = 0; i < files.count; i++) {
        good = read_file(files.items[i], &records[i]) && good;
    }
    status = good ? send_all(records, files.count) : EXIT_FAILED;
    for (size_t i = 0; i < files.count; i++) {
        buffer_fini(&records[i]);
    }
    free(records);
    return status;
}

/* --- definitions ------------------------------------------------------------------------------ */

static saga_common_t list_common;
static uint64_t list_version;

static const option_t list_options[] = {
    {.name = "version",
     .argument = "N",
     .type = OPTION_UINT,
     .minimum = 1,
     .target.number = &list_version,
     .meaning = "only this version of NAME"},
    SAGA_COMMON_OPTIONS(list_common),
};

const command_line_t saga_definitions_line = {
    .usage = "capstan saga definitions [NAME] [options]",
    .summary = "Lists the definitions that a node knows.\n"
               "With --json each is there as a whole, with all its nodes.",
    .examples = "  capstan saga definitions\n"
                "  capstan saga definitions order --version 2 --json\n",
    .options = list_options,
    .count = OPTION_COUNT(list_options),
    .operands_max = 1,
    .words = 3,
};

static void add_row(table_t *table, const saga_definition_t *definition)
{
    char starts[32];
    snprintf(starts, sizeof starts, "%s%s%s", definition->start_topic.size > 0 ? "topic " : "",
             definition->schedule.size > 0 ? "schedule " : "",
             definition->start_topic.size + definition->schedule.size == 0 ? "request" : "");
    table_cell(table, definition->name);
    table_number(table, definition->version);
    table_number(table, codec_list_count(definition->nodes));
    table_cell(table, slice_text(starts));
    table_cell(table, definition->key);
    table_cell(table, slice_text(definition->lock ? "yes" : "no"));
}

static capstan_err_t print_definitions(const saga_definition_list_t *reply, uint32_t *ret_count)
{
    static const char *const columns[] = {"definition", "version", "nodes",
                                          "started by", "key",     "locks it"};
    enum { COLUMNS = sizeof columns / sizeof columns[0] };
    table_t table = {.columns = COLUMNS};
    codec_list_t list;
    slice_t record;
    saga_definition_t definition;
    buffer_t out = {0};
    capstan_err_t err = codec_list_open(saga_definition_wire(), reply->definitions, &list);
    for (size_t i = 0; i < COLUMNS; i++) {
        table_cell(&table, slice_text(columns[i]));
    }
    while (err == CAPSTAN_OK && codec_list_next_raw(&list, &record)) {
        json_writer_t json = json_writer(&out);
        err = codec_decode(saga_definition_wire(), record, &definition, NULL);
        if (err == CAPSTAN_OK && list_common.json) {
            saga_json_record(&json, saga_definition_wire(), record);
            saga_json_print(&out);
        } else if (err == CAPSTAN_OK) {
            add_row(&table, &definition);
        }
        *ret_count += err == CAPSTAN_OK;
    }
    err = err ? err : list.fault.err;
    if (err == CAPSTAN_OK && !list_common.json && *ret_count > 0) {
        table_print(&table, 0, stdout);
    }
    buffer_fini(&out);
    table_fini(&table);
    return err;
}

static int list_definitions(saga_client_t *client, const char *name)
{
    const saga_definitions_t request = {.name = name ? slice_text(name) : (slice_t){0},
                                        .version = list_version};
    saga_definition_list_t reply;
    uint32_t count = 0;
    capstan_err_t err = saga_client_ask(client, saga_definitions_wire(), &request,
                                        saga_definition_list_wire(), SAGA_ANSWER_US, &reply);
    err = err ? err : print_definitions(&reply, &count);
    if (err == CAPSTAN_OK && count == 0 && name) {
        err = CAPSTAN_E_UNKNOWN_DEFINITION;
    }
    if (err != CAPSTAN_OK) {
        return saga_client_failed(client, name ? "definition" : NULL, request.name, err);
    }
    if (count == 0 && !list_common.json) {
        printf("no definition is known; `capstan saga define FILE` makes one known\n");
    }
    return EXIT_DONE;
}

int saga_definitions(int argc, char **argv)
{
    operands_t operands;
    saga_client_t client;
    int status = options_parse(&saga_definitions_line, argc, argv, &operands);
    if (status == OPTIONS_RUN && list_version > 0 && operands.count == 0) {
        status = options_wrong(&saga_definitions_line, "--version wants a NAME");
    }
    if (status != OPTIONS_RUN) {
        return status;
    }
    if (!saga_client_open(&client, "saga definitions", &list_common)) {
        return EXIT_FAILED;
    }
    status = list_definitions(&client, operands.count > 0 ? operands.items[0] : NULL);
    saga_client_close(&client);
    return status;
}

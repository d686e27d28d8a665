/* Starting sagas: one, or as many as a file has lines. */
#include "cli/saga.h"

#include "actors/saga/value.h"
#include "cli/saga_json.h"
#include "cli/saga_label.h"
#include "cli/saga_value.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct start_options {
    saga_common_t common;
    const char *id;
    const char *input;
    const char *lines;
    const char *key;
    uint64_t version;
    int64_t deadline_us;
    int64_t wait_us;
} start_options_t;

static start_options_t chosen;

static const option_t options[] = {
    {.name = "id",
     .argument = "ID",
     .type = OPTION_TEXT,
     .target.text = &chosen.id,
     .meaning = "its id; the same id, definition and input are the same saga, once"},
    {.name = "input",
     .argument = "JSON|@FILE|-",
     .type = OPTION_TEXT,
     .target.text = &chosen.input,
     .meaning = "its input, a JSON object of at most 256 KiB"},
    {.name = "input-lines",
     .argument = "FILE|-",
     .type = OPTION_TEXT,
     .target.text = &chosen.lines,
     .meaning = "starts one per line: {\"id\":..., \"input\":{...}, \"key\":...}"},
    {.name = "key",
     .argument = "K",
     .type = OPTION_TEXT,
     .target.text = &chosen.key,
     .meaning = "business key; without it as the definition says"},
    {.name = "deadline",
     .argument = "TIME",
     .type = OPTION_TIME,
     .target.time_us = &chosen.deadline_us,
     .meaning = "from now on, such as 5m; not later than the definition says"},
    {.name = "version",
     .argument = "N",
     .type = OPTION_UINT,
     .minimum = 1,
     .target.number = &chosen.version,
     .meaning = "of the definition; without it the newest"},
    {.name = "wait",
     .argument = "[TIME]",
     .type = OPTION_TIME,
     .bare = SAGA_WAIT_FOREVER,
     .target.time_us = &chosen.wait_us,
     .meaning = "until it has ended or is parked, for so long at most; alone: however long"},
    SAGA_COMMON_OPTIONS(chosen.common),
};

const command_line_t saga_start_line = {
    .usage = "capstan saga start DEFINITION --id ID [--input JSON] [options]",
    .summary = "Starts a saga, and says so when that is on disk.\n"
               "With --wait the exit status is that of capstan saga result. With --input-lines a "
               "line that\ncannot be started is reported, and the others are.",
    .examples = "  capstan saga start order --id order-17 --input '{\"amount\":120}' --wait 30s\n"
                "  capstan saga start order --id order-18 --input @order.json --deadline 5m\n"
                "  capstan saga start order --input-lines orders.jsonl --json\n",
    .options = options,
    .count = OPTION_COUNT(options),
    .operands_min = 1,
    .operands_max = 1,
    .words = 3,
};

/* --- one -------------------------------------------------------------------------------------- */

static void print_started(const saga_started_t *started)
{
    buffer_t out = {0};
    json_writer_t json = json_writer(&out);
    if (chosen.common.json) {
        emit_object_begin(&json);
        saga_json_members(&json, saga_started_wire(), started);
        emit_object_end(&json);
    } else {
        emit_escaped(&out, started->id);
        saga_label_append_format(&out, ": %s, number %" PRIu64 ", version %" PRIu64,
                                 started->created ? "started" : "had been started before",
                                 started->number, started->version);
    }
    saga_json_print(&out);
    buffer_fini(&out);
}

static bool is_of_definition(capstan_err_t err)
{
    return err == CAPSTAN_E_UNKNOWN_DEFINITION || err == CAPSTAN_E_SAGA_WAITING_FULL;
}

static capstan_err_t start(saga_client_t *client, const saga_start_t *request)
{
    saga_started_t started;
    capstan_err_t err = saga_client_ask(client, saga_start_wire(), request, saga_started_wire(),
                                        SAGA_ANSWER_US, &started);
    if (err == CAPSTAN_OK) {
        print_started(&started);
    } else if (is_of_definition(err)) {
        saga_client_failed(client, "definition", request->definition, err);
    } else {
        saga_client_failed(client, "saga", request->id, err);
    }
    return err;
}

static saga_start_t request_of(const char *definition)
{
    return (saga_start_t){.definition = slice_text(definition),
                          .id = chosen.id ? slice_text(chosen.id) : (slice_t){0},
                          .version = chosen.version,
                          .key = chosen.key ? slice_text(chosen.key) : (slice_t){0},
                          .deadline_ms = (uint64_t)(chosen.deadline_us / 1000)};
}

static bool is_map(slice_t input, char *ret_text, size_t text_size)
{
    bool map = value_check_map(input) == CAPSTAN_OK;
    if (!map) {
        snprintf(ret_text, text_size, "the input must be an object, {...}");
    }
    return map;
}

static int start_one(const char *definition)
{
    char wrong[512];
    saga_client_t client;
    buffer_t input = {0};
    saga_start_t request = request_of(definition);
    int status = EXIT_FAILED;
    if (chosen.input && (!saga_value_from_argument(chosen.input, &input, wrong, sizeof wrong) ||
                         !is_map(buffer_slice(&input), wrong, sizeof wrong))) {
        fprintf(stderr, "capstan saga start: --input: %s\n", wrong);
    } else if (saga_client_open(&client, "saga start", &chosen.common)) {
        request.input = buffer_slice(&input);
        if (start(&client, &request) == CAPSTAN_OK) {
            status = chosen.wait_us == 0 ? EXIT_DONE
                                         : saga_result_print(&client, request.id, chosen.wait_us,
                                                             chosen.common.json);
        }
        saga_client_close(&client);
    }
    buffer_fini(&input);
    return status;
}

/* --- many ------------------------------------------------------------------------------------- */

typedef struct many {
    saga_client_t client;
    const char *definition;
    const char *path;
    uint64_t line;
    uint64_t failed;
    buffer_t ids; /* of those that were started, each with a zero behind it, if --wait was given */
} many_t;

/* NULL, or what is wrong. */
static const char *read_members(json_t *read, saga_start_t *request, json_t **ret_input)
{
    const char *key;
    json_t *value;
    if (!json_is_object(read)) {
        return "a line must be an object with \"id\" and \"input\"";
    }
    json_object_foreach(read, key, value)
    {
        bool text = json_is_string(value);
        slice_t slice =
            text ? slice_of(json_string_value(value), json_string_length(value)) : (slice_t){0};
        if (strcmp(key, "id") == 0 && text) {
            request->id = slice;
        } else if (strcmp(key, "key") == 0 && text) {
            request->key = slice;
        } else if (strcmp(key, "input") == 0 && json_is_object(value)) {
            *ret_input = value;
        } else {
            return "members of a line are \"id\" and \"key\", which are texts, and \"input\", an "
                   "object";
        }
    }
    return request->id.size > 0 ? NULL : "\"id\" is missing";
}

static bool start_line(many_t *self, slice_t line, char *ret_wrong, size_t wrong_size)
{
    saga_start_t request = request_of(self->definition);
    json_t *input = NULL;
    buffer_t value = {0};
    *ret_wrong = '\0';
    json_t *read = saga_json_read(line, 1, ret_wrong, wrong_size);
    bool good = read != NULL;
    if (good) {
        const char *wrong = read_members(read, &request, &input);
        snprintf(ret_wrong, wrong_size, "%s", wrong ? wrong : "");
        good = !wrong && (!input || saga_value_from_read(input, &value, ret_wrong, wrong_size));
    }
    if (good) {
        request.input = buffer_slice(&value);
        good = start(&self->client, &request) == CAPSTAN_OK;
    }
    if (good && chosen.wait_us > 0) {
        buffer_append(&self->ids, request.id.data, request.id.size);
        buffer_append(&self->ids, "", 1);
    }
    json_decref(read);
    buffer_fini(&value);
    return good;
}

static void start_lines(many_t *self, FILE *file)
{
    char *line = NULL;
    size_t capacity = 0;
    ssize_t size;
    while ((size = getline(&line, &capacity, file)) >= 0) {
        char wrong[512];
        self->line++;
        if (strspn(line, " \t\r\n") == (size_t)size) {
            continue;
        }
        if (!start_line(self, slice_of(line, (size_t)size), wrong, sizeof wrong)) {
            self->failed++;
            if (*wrong) {
                fprintf(stderr, "capstan saga start: %s:%" PRIu64 ": %s\n", self->path, self->line,
                        wrong);
            }
        }
    }
    free(line);
}

/* All are started before the first is waited for. */
static int await_all(many_t *self)
{
    int status = self->failed > 0 ? EXIT_FAILED : EXIT_DONE;
    const char *at = (const char *)self->ids.data;
    const char *end = at + self->ids.size;
    for (; at < end; at += strlen(at) + 1) {
        int own =
            saga_result_print(&self->client, slice_text(at), chosen.wait_us, chosen.common.json);
        status = own == EXIT_DONE ? status : own;
    }
    return status;
}

static int start_many(const char *definition)
{
    many_t many = {.definition = definition, .path = chosen.lines};
    bool standard = strcmp(chosen.lines, "-") == 0;
    FILE *file = standard ? stdin : fopen(chosen.lines, "rb");
    int status = EXIT_FAILED;
    if (!file) {
        fprintf(stderr, "capstan saga start: %s: cannot be opened\n", chosen.lines);
        return EXIT_FAILED;
    }
    if (saga_client_open(&many.client, "saga start", &chosen.common)) {
        start_lines(&many, file);
        status = await_all(&many);
        saga_client_close(&many.client);
    }
    if (!standard) {
        fclose(file);
    }
    buffer_fini(&many.ids);
    return status;
}

int saga_start(int argc, char **argv)
{
    operands_t operands;
    int status = options_parse(&saga_start_line, argc, argv, &operands);
    if (status == OPTIONS_RUN && (chosen.id != NULL) == (chosen.lines != NULL)) {
        status = options_wrong(&saga_start_line, "give either --id or --input-lines");
    }
    if (status == OPTIONS_RUN && chosen.lines && (chosen.input || chosen.key)) {
        status =
            options_wrong(&saga_start_line, "with --input-lines, input and key are in the file");
    }
    if (status != OPTIONS_RUN) {
        return status;
    }
    return chosen.lines ? start_many(operands.items[0]) : start_one(operands.items[0]);
}

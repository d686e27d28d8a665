/* All about a saga, and pictures of definitions. */
#include "cli/saga.h"

#include "cli/failed.h"
#include "cli/saga_json.h"
#include "cli/saga_picture.h"
#include "cli/saga_timeline.h"
#include "cli/saga_value.h"
#include "runtime/base/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <unistd.h>

/* --- show ------------------------------------------------------------------------------------- */

static saga_common_t show_common;

static const option_t show_options[] = {SAGA_COMMON_OPTIONS(show_common)};

const command_line_t saga_show_line = {
    .usage = "capstan saga show ID [options]",
    .summary = "Shows all about a saga: its state, what it waits for, and its tasks.\n"
               "A task is a node of the definition that the saga has come to; `started` counts "
               "from the\nsaga's start.",
    .examples = "  capstan saga show order-17\n"
                "  capstan saga show order-17 --json | jq '.tasks[] | select(.error)'\n",
    .options = show_options,
    .count = OPTION_COUNT(show_options),
    .operands_min = 1,
    .operands_max = 1,
    .words = 3,
};

/* What it was started with and what has become of it as one object. */
static void print_json(const saga_view_t *view)
{
    buffer_t out = {0};
    json_writer_t json = json_writer(&out);
    saga_state_t state = view->state;
    state.begin = (slice_t){0};
    emit_object_begin(&json);
    saga_json_members(&json, saga_begin_wire(), &view->begin);
    saga_json_members(&json, saga_state_wire(), &state);
    if (view->definition.size > 0) {
        emit_key(&json, "plan");
        saga_json_record(&json, saga_definition_wire(), view->definition);
    }
    emit_object_end(&json);
    saga_json_print(&out);
    buffer_fini(&out);
}

int saga_show(int argc, char **argv)
{
    operands_t operands;
    saga_client_t client;
    saga_view_t view;
    int status = options_parse(&saga_show_line, argc, argv, &operands);
    if (status != OPTIONS_RUN) {
        return status;
    }
    if (!saga_client_open(&client, "saga show", &show_common)) {
        return EXIT_FAILED;
    }
    slice_t id = slice_text(operands.items[0]);
    capstan_err_t err = saga_view_ask(&client, id, &view);
    if (err != CAPSTAN_OK) {
        status = saga_client_failed(&client, "saga", id, err);
    } else {
        status = EXIT_DONE;
        if (show_common.json) {
            print_json(&view);
        } else {
            saga_timeline_print(&view, clock_us(CLOCK_REALTIME), stdout);
        }
        saga_view_fini(&view);
    }
    saga_client_close(&client);
    return status;
}

/* --- graph ------------------------------------------------------------------------------------ */

typedef struct graph_options {
    saga_common_t common;
    const char *file;
    const char *id;
    uint64_t version;
    const char *format;
} graph_options_t;

static graph_options_t graph;

static const option_t graph_options[] = {
    {.name = "version",
     .argument = "N",
     .type = OPTION_UINT,
     .minimum = 1,
     .target.number = &graph.version,
     .meaning = "of NAME; without it the newest"},
    {.name = "file",
     .argument = "FILE|-",
     .type = OPTION_TEXT,
     .target.text = &graph.file,
     .meaning = "of this file, without a node"},
    {.name = "id",
     .argument = "ID",
     .type = OPTION_TEXT,
     .target.text = &graph.id,
     .meaning = "of this saga, with the states of its tasks"},
    {.name = "format",
     .argument = "FORMAT",
     .type = OPTION_CHOICE,
     .choices = "text|mermaid",
     .initial = "text",
     .target.text = &graph.format,
     .meaning = "text, or mermaid: a flowchart"},
    SAGA_COMMON_OPTIONS(graph.common),
};

const command_line_t saga_graph_line = {
    .usage = "capstan saga graph NAME|--file FILE|--id ID [options]",
    .summary = "Draws a definition, or a saga with the states of its tasks.\n"
               "text is a tree for terminals, in ASCII where the locale is not UTF-8, and in "
               "colours on a\nterminal unless NO_COLOR is set; mermaid is for documents.",
    .examples = "  capstan saga graph order\n"
                "  capstan saga graph --file order.yaml --format mermaid\n"
                "  capstan saga graph --id order-17\n",
    .options = graph_options,
    .count = OPTION_COUNT(graph_options),
    .operands_max = 1,
    .words = 3,
};

static bool locale_is_utf8(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *value = getenv(names[i]);
        if (value && *value) {
            const char *codes = strchr(value, '.');
            return codes &&
                   (strncasecmp(codes, ".utf-8", 6) == 0 || strncasecmp(codes, ".utf8", 5) == 0);
        }
    }
    return false;
}

static void print_picture(const plan_t *plan, const saga_marks_t *marks)
{
    const char *uncoloured = getenv("NO_COLOR");
    saga_picture_t picture = {.plan = plan,
                              .marks = marks,
                              .ascii = !locale_is_utf8(),
                              .colours = !graph.common.json && isatty(STDOUT_FILENO) &&
                                         !(uncoloured && *uncoloured)};
    buffer_t text = {0};
    buffer_t out = {0};
    if (strcmp(graph.format, "mermaid") == 0) {
        saga_picture_mermaid(&picture, &text);
    } else {
        saga_picture_text(&picture, &text);
    }
    if (graph.common.json) {
        json_writer_t json = json_writer(&out);
        emit_object_begin(&json);
        emit_key(&json, "definition");
        emit_text(&json, plan->name);
        emit_key(&json, "version");
        emit_uint(&json, plan->version);
        emit_key(&json, "format");
        emit_string(&json, graph.format);
        emit_key(&json, "graph");
        emit_text(&json, buffer_slice(&text));
        emit_object_end(&json);
        saga_json_print(&out);
    } else {
        fwrite(text.data, 1, text.size, stdout);
    }
    buffer_fini(&text);
    buffer_fini(&out);
}

static int draw_record(slice_t record)
{
    plan_t *plan;
    plan_fault_t fault;
    capstan_err_t err = plan_read(record, &plan, &fault);
    if (err != CAPSTAN_OK) {
        return cli_failed("saga graph", err, fault.text);
    }
    print_picture(plan, NULL);
    plan_destroy(&plan);
    return EXIT_DONE;
}

static int draw_file(void)
{
    char wrong[512];
    buffer_t text = {0};
    buffer_t record = {0};
    plan_fault_t fault;
    int status = EXIT_FAILED;
    if (!saga_file_read(graph.file, PLAN_BYTES_MAX, &text, wrong, sizeof wrong)) {
        fprintf(stderr, "capstan saga graph: %s\n", wrong);
    } else if (definition_from_yaml(buffer_slice(&text), graph.file, &record, &fault) !=
               CAPSTAN_OK) {
        fprintf(stderr, "capstan saga graph: %s\n", fault.text);
    } else {
        status = draw_record(buffer_slice(&record));
    }
    buffer_fini(&text);
    buffer_fini(&record);
    return status;
}

static int draw_saga(saga_client_t *client)
{
    saga_view_t view;
    slice_t id = slice_text(graph.id);
    capstan_err_t err = saga_view_ask(client, id, &view);
    if (err != CAPSTAN_OK) {
        return saga_client_failed(client, "saga", id, err);
    }
    if (view.plan) {
        saga_marks_t *marks = saga_view_marks(&view);
        print_picture(view.plan, marks);
        free(marks);
    } else {
        err = CAPSTAN_E_UNKNOWN_DEFINITION;
        saga_client_failed(client, "saga", id, err);
    }
    saga_view_fini(&view);
    return err == CAPSTAN_OK ? EXIT_DONE : EXIT_FAILED;
}

/* Of several versions the newest. */
static capstan_err_t choose(const saga_definition_list_t *reply, slice_t *ret_record)
{
    codec_list_t list;
    slice_t record;
    uint64_t newest = 0;
    uint64_t version;
    capstan_err_t err = codec_list_open(saga_definition_wire(), reply->definitions, &list);
    while (err == CAPSTAN_OK && codec_list_next_raw(&list, &record)) {
        if (codec_peek_uint(record, 2, &version) && version > newest) {
            newest = version;
            *ret_record = record;
        }
    }
    return err ? err : newest > 0 ? CAPSTAN_OK : CAPSTAN_E_UNKNOWN_DEFINITION;
}

static int draw_definition(saga_client_t *client, const char *name)
{
    const saga_definitions_t request = {.name = slice_text(name), .version = graph.version};
    saga_definition_list_t reply;
    slice_t record;
    capstan_err_t err = saga_client_ask(client, saga_definitions_wire(), &request,
                                        saga_definition_list_wire(), SAGA_ANSWER_US, &reply);
    err = err ? err : choose(&reply, &record);
    return err ? saga_client_failed(client, "definition", request.name, err) : draw_record(record);
}

int saga_graph(int argc, char **argv)
{
    operands_t operands;
    saga_client_t client;
    int status = options_parse(&saga_graph_line, argc, argv, &operands);
    if (status == OPTIONS_RUN && operands.count + (graph.file != NULL) + (graph.id != NULL) != 1) {
        status = options_wrong(&saga_graph_line, "give either a NAME, --file or --id");
    }
    if (status == OPTIONS_RUN && graph.version > 0 && operands.count == 0) {
        status = options_wrong(&saga_graph_line, "--version wants a NAME");
    }
    if (status != OPTIONS_RUN) {
        return status;
    }
    if (graph.file) {
        return draw_file();
    }
    if (!saga_client_open(&client, "saga graph", &graph.common)) {
        return EXIT_FAILED;
    }
    status = graph.id ? draw_saga(&client) : draw_definition(&client, operands.items[0]);
    saga_client_close(&client);
    return status;
}

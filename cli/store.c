/* `capstan store check`: reads a whole store and says what is damaged. It may run beside the node
 * that uses the store. */
#include "actors/journal/store.h"
#include "cli/cli.h"
#include "cli/failed.h"
#include "cli/options.h"
#include "runtime/base/json_writer.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

enum { FINDINGS_SHOWN = 100 }; /* the rest is counted */

typedef struct findings {
    uint64_t count;
    json_writer_t *json; /* NULL: lines for people */
} findings_t;

static void show_finding(void *context, const char *line)
{
    findings_t *findings = context;
    if (findings->count++ >= FINDINGS_SHOWN) {
        return;
    }
    if (findings->json) {
        emit_string(findings->json, line);
        return;
    }
    /* Names of streams may hold a stranger's bytes: what could steer the terminal is escaped. */
    buffer_t safe = {0};
    emit_escaped(&safe, slice_text(line));
    printf("%.*s\n", (int)safe.size, (const char *)safe.data);
    buffer_fini(&safe);
}

static double seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static capstan_err_t check_for_people(store_t *store, const char *path,
                                      store_check_result_t *ret_result)
{
    findings_t findings = {0};
    double begin = seconds_now();
    capstan_err_t err = store_check(store, show_finding, &findings, ret_result);
    if (err) {
        return err;
    }
    if (findings.count > FINDINGS_SHOWN) {
        printf("... and %" PRIu64 " more\n", findings.count - FINDINGS_SHOWN);
    }
    printf("%s: %" PRIu64 " streams, %" PRIu64 " records (%" PRIu64 " bytes in %" PRIu64
           " rows), %" PRIu64 " snapshot rows with %" PRIu64 " terms, checked in %.1f s: ",
           path, ret_result->streams, ret_result->records, ret_result->bytes, ret_result->rows,
           ret_result->snapshot_rows, ret_result->terms, seconds_now() - begin);
    if (ret_result->faults == 0) {
        printf("no damage\n");
    } else {
        printf("%" PRIu64 " finding%s\nStop the node, keep a copy of the file, and restore a "
               "backup.\n",
               ret_result->faults, ret_result->faults == 1 ? "" : "s");
    }
    return CAPSTAN_OK;
}

static capstan_err_t check_for_programs(store_t *store, const char *path,
                                        store_check_result_t *ret_result)
{
    buffer_t out = {0};
    json_writer_t json = json_writer(&out);
    findings_t findings = {.json = &json};
    emit_object_begin(&json);
    emit_key(&json, "path");
    emit_string(&json, path);
    emit_key(&json, "findings");
    emit_array_begin(&json);
    capstan_err_t err = store_check(store, show_finding, &findings, ret_result);
    if (!err) {
        emit_array_end(&json);
        const struct {
            const char *name;
            uint64_t value;
        } figures[] = {
            {"streams", ret_result->streams},
            {"rows", ret_result->rows},
            {"records", ret_result->records},
            {"bytes", ret_result->bytes},
            {"snapshot_rows", ret_result->snapshot_rows},
            {"terms", ret_result->terms},
            {"faults", ret_result->faults},
        };
        for (size_t i = 0; i < sizeof figures / sizeof figures[0]; i++) {
            emit_key(&json, figures[i].name);
            emit_uint(&json, figures[i].value);
        }
        emit_object_end(&json);
        printf("%.*s\n", (int)out.size, (const char *)out.data);
    }
    buffer_fini(&out);
    return err;
}

static int check(const char *path, bool json)
{
    store_options_t options = {.path = path, .read_only = true};
    store_t *store = NULL;
    char text[1024] = "";
    capstan_err_t err = store_open(&options, &store, text, sizeof text);
    if (err) {
        return cli_failed("store", err, text);
    }
    store_check_result_t result = {0};
    err = json ? check_for_programs(store, path, &result) : check_for_people(store, path, &result);
    store_close(&store);
    if (err) {
        return cli_failed("store", err, "");
    }
    return result.faults == 0 ? EXIT_DONE : EXIT_FAILED;
}

int cli_store(int argc, char **argv)
{
    const char *path = NULL;
    bool json = false;
    const option_t options[] = {
        {.name = "path",
         .argument = "FILE",
         .type = OPTION_TEXT,
         .initial = "capstan.db",
         .target.text = &path,
         .meaning = "the store; a node's is its setting store.path"},
        {.name = "json",
         .type = OPTION_FLAG,
         .target.flag = &json,
         .meaning = "print one JSON object"},
    };
    const command_line_t line = {
        .usage = "capstan store check [--path FILE] [--json]",
        .summary = "Reads every row of a store and compares checksums, encodings and positions. "
                   "Changes nothing,\nand may run while a node uses the store. Exit status 1 when "
                   "something is damaged.",
        .examples = "  capstan store check --path capstan.db\n",
        .options = options,
        .count = OPTION_COUNT(options),
        .operands_min = 1,
        .operands_max = 1};
    operands_t operands;
    int status = options_parse(&line, argc, argv, &operands);
    if (status != OPTIONS_RUN) {
        return status;
    }
    if (strcmp(operands.items[0], "check") != 0) {
        return options_wrong(&line, "there is no action '%s'; there is check", operands.items[0]);
    }
    return check(path, json);
}

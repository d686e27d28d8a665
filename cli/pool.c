/* `capstan pool`: looks after the pools of connections of a program that hosts a node with a
 * gateway. */
#include "actors/pool/pool_messages.h"
#include "brokers/peer/peer.h"
#include "cli/cli.h"
#include "cli/failed.h"
#include "cli/options.h"
#include "runtime/base/json_writer.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define CONNECT_TIMEOUT_US INT64_C(5000000)
#define ANSWER_US          INT64_C(10000000)

enum { STATUS, PAUSE, RESUME, RECYCLE, RESIZE, ACTION_COUNT };

static const char *const actions[ACTION_COUNT] = {"status", "pause", "resume", "recycle", "resize"};

typedef struct pool_options {
    const char *to;
    bool json;
    uint64_t size;
    uint64_t idle_min;
} pool_options_t;

#define IDLE_MIN_AS_BEFORE UINT64_MAX
static pool_options_t chosen = {.idle_min = IDLE_MIN_AS_BEFORE};

typedef struct pool_client {
    peer_t *peer;
    capstan_ref_t pool;
    const char *name;
    char text[1024];
} pool_client_t;

/* --- asking ---------------------------------------------------------------------------------- */

static int failed(const pool_client_t *self, capstan_err_t err)
{
    char subject[256];
    snprintf(subject, sizeof subject, "pool %s at %s", self->name, chosen.to);
    return cli_failed_on("pool", subject, err, self->text);
}

static capstan_err_t find(pool_client_t *self)
{
    char address[128];
    snprintf(address, sizeof address, "pool.%s", self->name);
    capstan_err_t err = peer_resolve(self->peer, slice_text(address), ANSWER_US, &self->pool,
                                     self->text, sizeof self->text);
    if (err == CAPSTAN_E_NOT_FOUND) {
        snprintf(
            self->text, sizeof self->text,
            "the program there has opened no pool of this name; `capstan top --once` lists its "
            "actors, pools as pool.NAME");
    }
    return err;
}

static capstan_err_t ask(pool_client_t *self, const wire_record_t *message, const void *request,
                         pool_report_t *ret_report)
{
    buffer_t body = {0};
    uint32_t number = 0;
    slice_t reply;
    self->text[0] = '\0';
    codec_encode(message, request, &body);
    capstan_err_t err = peer_ask(self->peer, self->pool, message->id, buffer_slice(&body),
                                 ANSWER_US, &number, &reply, self->text, sizeof self->text);
    buffer_fini(&body);
    return err ? err : codec_decode(pool_report_wire(), reply, ret_report, NULL);
}

static capstan_err_t run_action(pool_client_t *self, int action, pool_report_t *ret_report)
{
    capstan_err_t err = ask(self, pool_status_wire(), &(pool_status_t){0}, ret_report);
    if (err != CAPSTAN_OK || action == STATUS) {
        return err;
    }
    uint64_t before = ret_report->idle_min < chosen.size ? ret_report->idle_min : chosen.size;
    return ask(self, pool_operate_wire(),
               &(pool_operate_t){
                   .operation = (uint64_t)action,
                   .size = chosen.size,
                   .idle_min = chosen.idle_min == IDLE_MIN_AS_BEFORE ? before : chosen.idle_min},
               ret_report);
}

/* --- printing -------------------------------------------------------------------------------- */

typedef struct row {
    const char *name;
    uint64_t value;
} row_t;

enum { ROWS = 19 };

static void gather(const pool_report_t *report, row_t rows[ROWS])
{
    const row_t all[ROWS] = {
        {"size", report->size},
        {"idle_min", report->idle_min},
        {"idle", report->idle},
        {"taken", report->taken},
        {"opening", report->opening},
        {"busy", report->busy},
        {"waiters", report->waiters},
        {"oldest_wait_us", report->oldest_wait_us},
        {"takes", report->takes},
        {"refused", report->refused},
        {"waits", report->waits},
        {"waited_us", report->waited_us},
        {"opened", report->opened},
        {"open_failures", report->open_failures},
        {"called_off", report->called_off},
        {"lost", report->lost},
        {"expired", report->expired},
        {"dirty", report->dirty},
        {"leaks", report->leaks},
    };
    memcpy(rows, all, sizeof all);
}

static void print_json(const pool_report_t *report)
{
    buffer_t out = {0};
    json_writer_t json = json_writer(&out);
    row_t rows[ROWS];
    gather(report, rows);
    emit_object_begin(&json);
    emit_key(&json, "pool");
    emit_text(&json, report->name);
    for (size_t i = 0; i < ROWS; i++) {
        emit_key(&json, rows[i].name);
        emit_uint(&json, rows[i].value);
    }
    emit_key(&json, "paused");
    emit_bool(&json, report->paused);
    emit_key(&json, "saturated");
    emit_bool(&json, report->saturated);
    emit_key(&json, "last_failure");
    emit_text(&json, report->last_failure);
    emit_object_end(&json);
    buffer_append(&out, "\n", 1);
    fwrite(out.data, 1, out.size, stdout);
    buffer_fini(&out);
}

static void print_text(const pool_report_t *report)
{
    row_t rows[ROWS];
    buffer_t failure = {0};
    gather(report, rows);
    printf("%-16s %.*s%s\n", "pool", (int)report->name.size, (const char *)report->name.data,
           report->paused      ? " (paused)"
           : report->saturated ? " (saturated)"
                               : "");
    for (size_t i = 0; i < ROWS; i++) {
        printf("%-16s %" PRIu64 "\n", rows[i].name, rows[i].value);
    }
    if (report->last_failure.size > 0) {
        emit_escaped(&failure, report->last_failure);
        printf("%-16s %.*s\n", "last failure", (int)failure.size, (const char *)failure.data);
    }
    buffer_fini(&failure);
}

/* --- the command ----------------------------------------------------------------------------- */

static int run(int action, const char *name)
{
    pool_client_t self = {.name = name};
    pool_report_t report;
    capstan_err_t err = peer_connect(
        &(peer_options_t){.endpoint = chosen.to, .connect_timeout_us = CONNECT_TIMEOUT_US},
        &(peer_handlers_t){.context = NULL}, &self.peer, self.text, sizeof self.text);
    if (err != CAPSTAN_OK) {
        return cli_failed("pool", err, self.text);
    }
    err = find(&self);
    err = err ? err : run_action(&self, action, &report);
    int status = EXIT_DONE;
    if (err != CAPSTAN_OK) {
        status = failed(&self, err);
    } else if (chosen.json) {
        print_json(&report);
    } else {
        print_text(&report);
    }
    peer_close(&self.peer, 0);
    return status;
}

static const option_t options[] = {
    {.name = "size",
     .argument = "N",
     .type = OPTION_UINT,
     .minimum = 1,
     .maximum = 1024,
     .target.number = &chosen.size,
     .meaning = "resize: connections at most"},
    {.name = "idle-min",
     .argument = "N",
     .type = OPTION_UINT,
     .maximum = 1024,
     .target.number = &chosen.idle_min,
     .meaning = "resize: so many idle ones are kept; without it as many as before"},
    {.name = "json", .type = OPTION_FLAG, .target.flag = &chosen.json, .meaning = "print JSON"},
    OPTION_TO(&chosen.to),
};

int cli_pool(int argc, char **argv)
{
    static const command_line_t line = {
        .usage = "capstan pool ACTION NAME [options]",
        .summary =
            "Shows and operates a pool of connections to PostgreSQL of the program at the node.\n"
            "  status NAME     its figures\n"
            "  pause NAME      nobody gets a connection until it is resumed; who takes waits\n"
            "  resume NAME     serves those who wait\n"
            "  recycle NAME    replaces every connection as soon as it is idle\n"
            "  resize NAME     changes how many connections there are; --size says to what\n"
            "Each prints the pool's figures as they are then. A pool is found where its program's\n"
            "node has a gateway.",
        .examples = "  capstan pool status orders\n"
                    "  capstan pool resize orders --size 40 --idle-min 4\n"
                    "  capstan pool pause orders && ./switch-over && capstan pool resume orders\n",
        .options = options,
        .count = OPTION_COUNT(options),
        .operands_min = 2,
        .operands_max = 2,
    };
    operands_t operands;
    int status = options_parse(&line, argc, argv, &operands);
    if (status != OPTIONS_RUN) {
        return status;
    }
    int action = 0;
    while (action < ACTION_COUNT && strcmp(operands.items[0], actions[action]) != 0) {
        action++;
    }
    if (action == ACTION_COUNT) {
        return options_wrong(&line, "\"%s\" is no action: status, pause, resume, recycle, resize",
                             operands.items[0]);
    }
    if ((action == RESIZE) != (chosen.size > 0)) {
        return options_wrong(&line, action == RESIZE ? "resize wants --size"
                                                     : "--size is for resize only");
    }
    if (action == RESIZE && chosen.idle_min != IDLE_MIN_AS_BEFORE &&
        chosen.idle_min > chosen.size) {
        return options_wrong(&line, "--idle-min is at most --size");
    }
    return run(action, operands.items[1]);
}

/* How a saga ended, and signals to it. */
#include "cli/saga.h"

#include "actors/saga/saga.h"
#include "cli/saga_json.h"
#include "cli/saga_label.h"
#include "cli/saga_time.h"
#include "cli/saga_value.h"
#include "cli/saga_words.h"
#include "runtime/base/clock.h"

#include <stdio.h>

/* --- result ----------------------------------------------------------------------------------- */

/* A request that waits is made anew after so long: a node that is restarted meanwhile forgets who
 * waits. */
#define WAIT_PIECE_US INT64_C(20000000)

static saga_common_t result_common;
static int64_t result_wait_us;

static const option_t result_options[] = {
    {.name = "wait",
     .argument = "[TIME]",
     .type = OPTION_TIME,
     .bare = SAGA_WAIT_FOREVER,
     .target.time_us = &result_wait_us,
     .meaning = "until it has ended or is parked, for so long at most; alone: however long"},
    SAGA_COMMON_OPTIONS(result_common),
};

const command_line_t saga_result_line = {
    .usage = "capstan saga result ID [--wait [TIME]] [options]",
    .summary = "Shows how a saga ended, with its results.\n"
               "Exit status 0 when it is completed, 1 when it is not, or not yet.",
    .examples = "  capstan saga result order-17\n"
                "  capstan saga result order-17 --wait 30s --json | jq .values\n",
    .options = result_options,
    .count = OPTION_COUNT(result_options),
    .operands_min = 1,
    .operands_max = 1,
    .words = 3,
};

static capstan_err_t ask(saga_client_t *client, slice_t id, int64_t wait_us,
                         saga_summary_t *ret_summary, saga_row_t *ret_row)
{
    const saga_result_t request = {.id = id, .now = wait_us == 0};
    capstan_err_t err = saga_client_ask(client, saga_result_wire(), &request, saga_summary_wire(),
                                        wait_us > 0 ? wait_us : SAGA_ANSWER_US, ret_summary);
    return err ? err : codec_decode(saga_row_wire(), ret_summary->saga, ret_row, NULL);
}

/* Asks until it rests or the time is over, and then once more how it is. */
static capstan_err_t await_rest(saga_client_t *client, slice_t id, int64_t wait_us,
                                saga_summary_t *ret_summary, saga_row_t *ret_row)
{
    int64_t end_us = clock_add_us(clock_us(CLOCK_MONOTONIC), wait_us);
    for (int64_t left_us = wait_us; left_us > 0; left_us = end_us - clock_us(CLOCK_MONOTONIC)) {
        capstan_err_t err = ask(client, id, left_us < WAIT_PIECE_US ? left_us : WAIT_PIECE_US,
                                ret_summary, ret_row);
        bool rests = err == CAPSTAN_OK && saga_state_rests(ret_row->state);
        if (rests || (err != CAPSTAN_OK && err != CAPSTAN_E_TIMEOUT)) {
            return err;
        }
    }
    return ask(client, id, 0, ret_summary, ret_row);
}

static void print_json(const saga_summary_t *summary, const saga_row_t *row)
{
    buffer_t out = {0};
    json_writer_t json = json_writer(&out);
    emit_object_begin(&json);
    saga_json_members(&json, saga_row_wire(), row);
    if (summary->values.size > 0) {
        emit_key(&json, "values");
        saga_value_emit(&json, summary->values);
    }
    emit_object_end(&json);
    saga_json_print(&out);
    buffer_fini(&out);
}

static void put_named(buffer_t *out, const char *name, slice_t text)
{
    if (text.size > 0) {
        saga_label_append_format(out, "%s", name);
        emit_escaped(out, text);
    }
}

static void print_text(const saga_summary_t *summary, const saga_row_t *row)
{
    char took[SAGA_TIME_TEXT_SIZE];
    buffer_t out = {0};
    put_named(&out, "", row->id);
    saga_label_append_format(&out, ": %s%s", saga_state_word(row->state),
                             row->paused ? ", paused" : "");
    put_named(&out, ", outcome ", row->outcome);
    if (row->ended_us > 0) {
        saga_duration_format(row->ended_us - row->started_us, took);
        saga_label_append_format(&out, ", took %s", took);
    }
    put_named(&out, ": ", row->reason);
    if (summary->values.size > 1) { /* an empty map has one byte */
        buffer_append(&out, "\n", 1);
        json_writer_t json = json_writer(&out);
        saga_value_emit(&json, summary->values);
    }
    saga_json_print(&out);
    buffer_fini(&out);
}

int saga_result_print(saga_client_t *client, slice_t id, int64_t wait_us, bool json)
{
    saga_summary_t summary;
    saga_row_t row;
    capstan_err_t err = await_rest(client, id, wait_us, &summary, &row);
    if (err != CAPSTAN_OK) {
        return saga_client_failed(client, "saga", id, err);
    }
    if (json) {
        print_json(&summary, &row);
    } else {
        print_text(&summary, &row);
    }
    return row.state == SAGA_COMPLETED ? EXIT_DONE : EXIT_FAILED;
}

int saga_result(int argc, char **argv)
{
    operands_t operands;
    saga_client_t client;
    int status = options_parse(&saga_result_line, argc, argv, &operands);
    if (status != OPTIONS_RUN) {
        return status;
    }
    if (!saga_client_open(&client, "saga result", &result_common)) {
        return EXIT_FAILED;
    }
    status = saga_result_print(&client, slice_text(operands.items[0]), result_wait_us,
                               result_common.json);
    saga_client_close(&client);
    return status;
}

/* --- signal ----------------------------------------------------------------------------------- */

static saga_common_t signal_common;
static const char *signal_value;
static const char *signal_token;

static const option_t signal_options[] = {
    {.name = "value",
     .argument = "JSON|@FILE|-",
     .type = OPTION_TEXT,
     .target.text = &signal_value,
     .meaning = "what comes with it, at most 64 KiB"},
    {.name = "token",
     .argument = "T",
     .type = OPTION_TEXT,
     .target.text = &signal_token,
     .meaning = "given again with the same token it changes nothing"},
    SAGA_COMMON_OPTIONS(signal_common),
};

const command_line_t saga_signal_line = {
    .usage = "capstan saga signal ID NAME [options]",
    .summary = "Gives a saga a signal, which one of its awaits waits for.\n"
               "One that comes before it is awaited is kept.",
    .examples = "  capstan saga signal order-17 approve --value '{\"by\":\"Ada\"}' --token a-1\n",
    .options = signal_options,
    .count = OPTION_COUNT(signal_options),
    .operands_min = 2,
    .operands_max = 2,
    .words = 3,
};

static int send_signal(saga_client_t *client, const saga_signal_t *request)
{
    done_t done;
    capstan_err_t err =
        saga_client_ask(client, saga_signal_wire(), request, done_wire(), SAGA_ANSWER_US, &done);
    if (err != CAPSTAN_OK) {
        return saga_client_failed(client, "saga", request->id, err);
    }
    buffer_t out = {0};
    json_writer_t json = json_writer(&out);
    if (signal_common.json) {
        emit_object_begin(&json);
        emit_key(&json, "id");
        emit_text(&json, request->id);
        emit_key(&json, "signal");
        emit_text(&json, request->signal);
        emit_object_end(&json);
    } else {
        put_named(&out, "", request->id);
        put_named(&out, ": has got the signal ", request->signal);
    }
    saga_json_print(&out);
    buffer_fini(&out);
    return EXIT_DONE;
}

int saga_signal(int argc, char **argv)
{
    operands_t operands;
    saga_client_t client;
    char wrong[512];
    buffer_t value = {0};
    int status = options_parse(&saga_signal_line, argc, argv, &operands);
    if (status != OPTIONS_RUN) {
        return status;
    }
    if (signal_value && !saga_value_from_argument(signal_value, &value, wrong, sizeof wrong)) {
        fprintf(stderr, "capstan saga signal: --value: %s\n", wrong);
        status = EXIT_FAILED;
    } else if (!saga_client_open(&client, "saga signal", &signal_common)) {
        status = EXIT_FAILED;
    } else {
        const saga_signal_t request = {.id = slice_text(operands.items[0]),
                                       .signal = slice_text(operands.items[1]),
                                       .value = buffer_slice(&value),
                                       .token =
                                           signal_token ? slice_text(signal_token) : (slice_t){0}};
        status = send_signal(&client, &request);
        saga_client_close(&client);
    }
    buffer_fini(&value);
    return status;
}

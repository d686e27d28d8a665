/* The node and the participant of the benchmarks of sagas, and the actor that drives them. */
#include "cli/bench_saga.h"

#include "actors/saga/plan.h"
#include "cli/bench.h"
#include "runtime/base/ensure.h"
#include "runtime/runtime.h"

#include <capstan/gateway.h>
#include <capstan/topic.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdlib.h>

enum { STOP_US = 60000000, MESSAGE_run = 0x8000, STATE_COMPLETED = 4 };

const char bench_saga_three_steps[] = "saga: order\n"
                                      "version: 1\n"
                                      "steps:\n"
                                      "  - step: reserve\n"
                                      "    participant: bench\n"
                                      "    action: reserve\n"
                                      "    compensation: release\n"
                                      "  - step: charge\n"
                                      "    participant: bench\n"
                                      "    action: charge\n"
                                      "    compensation: refund\n"
                                      "  - step: ship\n"
                                      "    participant: bench\n"
                                      "    action: ship\n"
                                      "    compensation: take_back\n";

/* --- the node -------------------------------------------------------------------------------- */

static capstan_err_t failed(capstan_err_t err, const char *text)
{
    if (err != CAPSTAN_OK) {
        bench_failed("saga", text[0] ? text : capstan_err_text(err));
    }
    return err;
}

capstan_err_t saga_host_open(const char *folder, saga_host_t *ret_host)
{
    char path[128];
    char text[512] = "";
    saga_host_t self = {.node = NULL};
    snprintf(path, sizeof path, "%s/capstan.db", folder);
    /* The host of a benchmark lies on a busy machine: who is slow is not to be looked into. */
    capstan_node_options_t options = {.workers = 1, .log_fd = -1};
    capstan_err_t err = capstan_node_new(&options, &self.node);
    if (err != CAPSTAN_OK) {
        return failed(err, "");
    }
    err = capstan_topics_open(self.node, &(capstan_topics_options_t){.path = path}, text,
                              sizeof text);
    if (err == CAPSTAN_OK) {
        err = capstan_gateway_open(self.node,
                                   &(capstan_gateway_options_t){.endpoint = "tcp://127.0.0.1:0"},
                                   text, sizeof text);
        snprintf(self.endpoint, sizeof self.endpoint, "%.127s", text);
    }
    err = err ? err : capstan_node_resolve(self.node, "saga", &self.saga);
    if (failed(err, text) != CAPSTAN_OK) {
        (void)!saga_host_close(&self);
        return err;
    }
    *ret_host = self;
    return CAPSTAN_OK;
}

capstan_err_t saga_host_close(saga_host_t *self)
{
    return failed(capstan_node_stop(&self->node, STOP_US, NULL, NULL), "");
}

capstan_err_t saga_host_ask(const saga_host_t *self, const wire_record_t *message,
                            const void *value)
{
    buffer_t body = {0};
    codec_encode(message, value, &body);
    capstan_err_t err = capstan_node_ask(self->node, self->saga, message->id, buffer_slice(&body),
                                         BENCH_SAGA_US, NULL, NULL);
    buffer_fini(&body);
    return failed(err, "");
}

capstan_err_t saga_host_define(const saga_host_t *self, const char *yaml)
{
    plan_fault_t fault = {.line = 0};
    saga_definition_t definition;
    buffer_t record = {0};
    capstan_err_t err = definition_from_yaml(slice_text(yaml), "bench", &record, &fault);
    ENSURE(err == CAPSTAN_OK);
    err = codec_decode(saga_definition_wire(), buffer_slice(&record), &definition, NULL);
    ENSURE(err == CAPSTAN_OK);
    err = saga_host_ask(
        self, saga_define_wire(),
        &(saga_define_t){.name = definition.name, .definition = buffer_slice(&record)});
    buffer_fini(&record);
    return err;
}

/* --- the participant ------------------------------------------------------------------------- */

void bench_saga_inbox(const char *folder, char path[128])
{
    snprintf(path, 128, "%s/inbox.db", folder);
}

int64_t bench_saga_inbox_rows(const char *path)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *count = NULL;
    int64_t rows = -1;
    if (sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK &&
        sqlite3_prepare_v2(db, "SELECT count(*) FROM capstan_inbox", -1, &count, NULL) ==
            SQLITE_OK &&
        sqlite3_step(count) == SQLITE_ROW) {
        rows = sqlite3_column_int64(count, 0);
    } else {
        bench_failed("saga", db ? sqlite3_errmsg(db) : "out of memory");
    }
    sqlite3_finalize(count);
    sqlite3_close(db);
    return rows;
}

capstan_err_t bench_saga_handle(void *context, const capstan_command_t *command,
                                capstan_answer_t *answer)
{
    (void)context;
    (void)command;
    capstan_answer_done(answer, (capstan_slice_t){"\x07", 1});
    return CAPSTAN_OK;
}

/* --- the driver ------------------------------------------------------------------------------ */

typedef struct driver {
    saga_run_t run;
    capstan_ref_t saga;
    uint64_t started; /* asked for */
    uint64_t ended;
    int64_t *began_ns;
    buffer_t body;
    capstan_message_t begin; /* answered at the end */
} driver_t;

void bench_saga_id(uint64_t number, char text[32])
{
    snprintf(text, 32, "saga-%010" PRIu64, number);
}

/* Its place in the run. */
static uint64_t place_of(const driver_t *self, slice_t id)
{
    char digits[16];
    ENSURE(id.size == 15);
    memcpy(digits, (const char *)id.data + 5, 10);
    digits[10] = 0;
    uint64_t place = strtoull(digits, NULL, 10) - self->run.first;
    ENSURE(place < self->run.count);
    return place;
}

static capstan_err_t ask(capstan_actor_t *actor, driver_t *self, const wire_record_t *message,
                         const void *value)
{
    uint64_t correlation;
    buffer_clear(&self->body);
    codec_encode(message, value, &self->body);
    return capstan_ask_for(actor, NULL, self->saga, message->id, buffer_slice(&self->body),
                           BENCH_SAGA_US, &correlation);
}

static capstan_err_t start_more(capstan_actor_t *actor, driver_t *self)
{
    static const char input[] = "\x82\xa6"
                                "amount\x07\xa8"
                                "customer\xa3"
                                "ada";
    capstan_err_t err = CAPSTAN_OK;
    while (err == CAPSTAN_OK && self->started < self->run.count &&
           self->started - self->ended < self->run.flight) {
        char id[32];
        bench_saga_id(self->run.first + self->started, id);
        self->began_ns[self->started++] = bench_now_ns();
        err = ask(actor, self, saga_start_wire(),
                  &(saga_start_t){.definition = slice_text(self->run.definition),
                                  .id = slice_text(id),
                                  .input = {input, sizeof input - 1}});
    }
    return err;
}

static capstan_err_t end_one(capstan_actor_t *actor, driver_t *self, slice_t id)
{
    uint64_t place = place_of(self, id);
    if (self->run.took_ns) {
        self->run.took_ns[place] = (uint64_t)(bench_now_ns() - self->began_ns[place]);
    }
    if (++self->ended < self->run.count) {
        return start_more(actor, self);
    }
    capstan_reply(actor, &self->begin, MESSAGE_run, (capstan_slice_t){0});
    capstan_actor_exit(actor, CAPSTAN_OK);
    return CAPSTAN_OK;
}

static capstan_err_t on_started(capstan_actor_t *actor, driver_t *self, slice_t body)
{
    saga_started_t started;
    capstan_err_t err = codec_decode(saga_started_wire(), body, &started, NULL);
    if (err != CAPSTAN_OK || self->run.only_start) {
        return err ? err : end_one(actor, self, started.id);
    }
    return ask(actor, self, saga_result_wire(), &(saga_result_t){.id = started.id});
}

static capstan_err_t on_summary(capstan_actor_t *actor, driver_t *self, slice_t body)
{
    saga_summary_t summary;
    saga_row_t row;
    capstan_err_t err = codec_decode(saga_summary_wire(), body, &summary, NULL);
    err = err ? err : codec_decode(saga_row_wire(), summary.saga, &row, NULL);
    if (err == CAPSTAN_OK && row.state != STATE_COMPLETED) {
        bench_failed("saga", "one has not completed");
        err = CAPSTAN_E_INTERNAL;
    }
    return err ? err : end_one(actor, self, row.id);
}

static capstan_err_t receive(capstan_actor_t *actor, const capstan_message_t *message)
{
    driver_t *self = capstan_actor_state(actor);
    capstan_err_t err = CAPSTAN_OK;
    if (message->kind == CAPSTAN_KIND_ERROR) {
        err = message_failure(message);
    } else if (message->message == MESSAGE_run) {
        self->begin = *message;
        err = start_more(actor, self);
    } else if (message->message == MESSAGE_saga_started) {
        err = on_started(actor, self, message->body);
    } else if (message->message == MESSAGE_saga_summary) {
        err = on_summary(actor, self, message->body);
    }
    if (err != CAPSTAN_OK) {
        capstan_reply_error(actor, &self->begin, err, NULL);
        capstan_actor_exit(actor, CAPSTAN_OK);
    }
    return CAPSTAN_OK;
}

static capstan_err_t init(capstan_actor_t *actor, void *argument)
{
    capstan_actor_set_state(actor, argument);
    return CAPSTAN_OK;
}

static void destroy(capstan_actor_t *actor)
{
    driver_t *self = capstan_actor_state(actor);
    buffer_fini(&self->body);
    free(self->began_ns);
    free(self);
}

capstan_err_t saga_run(const saga_host_t *host, const saga_run_t *run)
{
    static const capstan_behaviour_t behaviour = {
        .name = "driver", .init = init, .receive = receive, .destroy = destroy};
    capstan_ref_t ref;
    driver_t *self = calloc(1, sizeof *self);
    ENSURE(self && run->count > 0 && run->flight > 0);
    self->run = *run;
    self->saga = host->saga;
    self->began_ns = calloc(run->count, sizeof *self->began_ns);
    ENSURE(self->began_ns);
    capstan_err_t err = capstan_node_spawn(host->node, &behaviour,
                                           &(capstan_spawn_options_t){.argument = self}, &ref);
    err = err ? err
              : capstan_node_ask(host->node, ref, MESSAGE_run, (capstan_slice_t){0}, BENCH_SAGA_US,
                                 NULL, NULL);
    return failed(err, "");
}

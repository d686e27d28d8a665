/* participate COMMANDS WINDOW: a coordinator's double sends a participant of the same process
 * COMMANDS actions, WINDOW of them under way at a time. Each makes an entry in a ledger; entry and
 * inbox lie in one database on disk, and each is answered when that is synced. At the end the
 * ledger has every entry once. */
#include "tests/bench/runtime/host.h"

#include <capstan/participant.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CAPSTAN_TABLE "actors/saga/saga_messages.def"
#include <capstan/message_structs.h>
#define CAPSTAN_TABLE      "actors/saga/saga_messages.def"
#define CAPSTAN_TABLE_NAME saga
#include <capstan/message_descriptors.h>

enum { WAIT_US = 600000000, LIST_MAX = 1000, STEPS_PER_SAGA = 4 };

/* --- the participant's program ---------------------------------------------------------------- */

static sqlite3_stmt *add;

static capstan_err_t open_ledger(void *context, struct sqlite3 *db)
{
    (void)context;
    bool good = sqlite3_exec(db, "CREATE TABLE entry (number INTEGER PRIMARY KEY, saga, task, sum)",
                             NULL, NULL, NULL) == SQLITE_OK &&
                sqlite3_prepare_v2(db, "INSERT INTO entry (saga, task, sum) VALUES (?1, ?2, 7)", -1,
                                   &add, NULL) == SQLITE_OK;
    return good ? CAPSTAN_OK : CAPSTAN_E_STORE_IO;
}

static void close_ledger(void *context, struct sqlite3 *db)
{
    sqlite3_stmt *count;
    uint64_t *ret_entries = context;
    sqlite3_finalize(add);
    if (sqlite3_prepare_v2(db, "SELECT count(DISTINCT saga || '/' || task) FROM entry", -1, &count,
                           NULL) == SQLITE_OK &&
        sqlite3_step(count) == SQLITE_ROW) {
        *ret_entries = (uint64_t)sqlite3_column_int64(count, 0);
    }
    sqlite3_finalize(count);
}

static capstan_err_t handle(void *context, const capstan_command_t *command,
                            capstan_answer_t *answer)
{
    (void)context;
    sqlite3_bind_text64(add, 1, command->saga.data, command->saga.size, SQLITE_STATIC, SQLITE_UTF8);
    sqlite3_bind_int64(add, 2, (sqlite3_int64)command->task);
    int step = sqlite3_step(add);
    sqlite3_reset(add);
    capstan_answer_done(answer, (capstan_slice_t){"\x07", 1});
    return step == SQLITE_DONE ? CAPSTAN_OK : CAPSTAN_E_STORE_IO;
}

/* --- the coordinator's double ----------------------------------------------------------------- */

typedef struct coordinator {
    uint64_t commands;
    uint64_t window;
    uint64_t sent;
    uint64_t done;
    capstan_ref_t participant;
    capstan_message_t begin;
    char ids[LIST_MAX][32];
    saga_command_t list[LIST_MAX];
    capstan_buffer_t elements;
    capstan_buffer_t body;
} coordinator_t;

static void send_list(capstan_actor_t *actor, coordinator_t *self, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t number = self->sent++;
        uint64_t saga = number / STEPS_PER_SAGA + 1;
        snprintf(self->ids[i], sizeof self->ids[i], "order-%llu", (unsigned long long)saga);
        self->list[i] = (saga_command_t){.saga = capstan_slice_text(self->ids[i]),
                                         .number = saga,
                                         .task = number % STEPS_PER_SAGA + 1,
                                         .phase = 1,
                                         .attempt = 1,
                                         .action = capstan_slice_text("book"),
                                         .input = {"\x82\xa6"
                                                   "amount\x07\xa8"
                                                   "customer\xa3"
                                                   "ada",
                                                   22}};
    }
    capstan_buffer_clear(&self->elements);
    capstan_buffer_clear(&self->body);
    host_must(capstan_encode_list(saga_command_wire(), self->list, count, &self->elements, NULL),
              "encode");
    host_must(capstan_encode(participant_commands_wire(),
                             &(participant_commands_t){
                                 .epoch = 1, .commands = capstan_buffer_slice(&self->elements)},
                             &self->body, NULL),
              "encode");
    host_tell(actor, self->participant, MESSAGE_participant_commands, self->body.data,
              self->body.size);
}

/* Goes on until as much is under way as may be. */
static void send_more(capstan_actor_t *actor, coordinator_t *self)
{
    while (self->sent < self->commands && self->sent - self->done < self->window) {
        uint64_t room = self->window - (self->sent - self->done);
        uint64_t left = self->commands - self->sent;
        uint64_t count = left < room ? left : room;
        send_list(actor, self, count < LIST_MAX ? count : LIST_MAX);
    }
}

static void on_results(capstan_actor_t *actor, coordinator_t *self, capstan_slice_t body)
{
    participant_results_t results;
    participant_result_t result;
    capstan_list_t list;
    host_must(capstan_decode(participant_results_wire(), body, &results, NULL), "decode");
    host_must(capstan_list_open(participant_result_wire(), results.results, &list), "decode");
    while (capstan_list_next(&list, &result)) {
        bench_expect("status", result.status, 1);
        self->done++;
    }
    send_more(actor, self);
    if (self->done == self->commands) {
        capstan_reply(actor, &self->begin, HOST_BEGIN, (capstan_slice_t){0});
    }
}

/* Who measures and who works are both there. */
static void begin(capstan_actor_t *actor, coordinator_t *self)
{
    if (self->begin.correlation != 0 && !capstan_ref_is_null(self->participant)) {
        send_more(actor, self);
    }
}

static void on_open(capstan_actor_t *actor, coordinator_t *self, const capstan_message_t *message)
{
    self->participant = message->sender;
    capstan_buffer_clear(&self->body);
    host_must(
        capstan_encode(participant_opened_wire(),
                       &(participant_opened_t){.name = capstan_slice_text("ledger"), .epoch = 1},
                       &self->body, NULL),
        "encode");
    capstan_reply(actor, message, MESSAGE_participant_opened, capstan_buffer_slice(&self->body));
    begin(actor, self);
}

static capstan_err_t receive(capstan_actor_t *actor, const capstan_message_t *message)
{
    coordinator_t *self = capstan_actor_state(actor);
    switch (message->message) {
    case MESSAGE_participant_open:
        on_open(actor, self, message);
        break;
    case MESSAGE_participant_results:
        on_results(actor, self, message->body);
        break;
    case HOST_BEGIN:
        self->begin = *message;
        begin(actor, self);
        break;
    default:
        break;
    }
    return CAPSTAN_OK;
}

/* --- the stretch ----------------------------------------------------------------------------- */

static bench_figures_t run(coordinator_t *self, const char *path)
{
    static const capstan_behaviour_t behaviour = {
        .name = "saga", .init = host_keep_argument, .receive = receive};
    uint64_t entries = 0;
    capstan_node_t *node;
    capstan_ref_t saga;
    capstan_participant_t *participant;
    char text[512] = "";
    host_must(capstan_node_new(&(capstan_node_options_t){.workers = HOST_WORKERS}, &node), "node");
    host_must(capstan_node_spawn(node, &behaviour,
                                 &(capstan_spawn_options_t){.name = "saga", .argument = self},
                                 &saga),
              "coordinator");
    host_must(capstan_participant_start(node,
                                        &(capstan_participant_options_t){.name = "ledger",
                                                                         .path = path,
                                                                         .handle = handle,
                                                                         .context = &entries,
                                                                         .open = open_ledger,
                                                                         .close = close_ledger},
                                        &participant, text, sizeof text),
              text);
    bench_meter_t meter = bench_begin();
    host_must(capstan_node_ask(node, saga, HOST_BEGIN, (capstan_slice_t){0}, WAIT_US, NULL, NULL),
              "run");
    bench_figures_t figures = bench_end(&meter, self->commands);
    host_must(capstan_participant_stop(&participant, WAIT_US), "stop");
    host_must(capstan_node_stop(&node, WAIT_US, NULL, NULL), "stop");
    bench_expect("entries", entries, self->commands);
    return figures;
}

int main(int argc, char **argv)
{
    static coordinator_t self;
    char folder[] = "/tmp/capstan-participate-XXXXXX";
    char path[64];
    self.commands = bench_argument(argc, argv, 1, "commands");
    self.window = bench_argument(argc, argv, 2, "commands under way");
    if (!mkdtemp(folder)) {
        bench_fail("no folder");
    }
    snprintf(path, sizeof path, "%s/ledger.db", folder);
    bench_figures_t figures = run(&self, path);
    capstan_buffer_fini(&self.elements);
    capstan_buffer_fini(&self.body);
    unlink(path);
    rmdir(folder);
    bench_print(&figures);
    return 0;
}

#include "participant_kit.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    KIT_relay = 0x9000, /* to the coordinator: a body that goes to the participant as it is */
    LARGE = 64 * 1024 + 1,
};

static participant_kit_t *kit; /* one per process: the coordinator finds it here */
static capstan_ref_t participant;

/* --- the coordinator ------------------------------------------------------------------------- */

static void take_result(const participant_result_t *result)
{
    kit_result_t *kept = &kit->results[kit->answered % KIT_RESULTS];
    *kept = (kit_result_t){.result = *result};
    snprintf(kept->word, sizeof kept->word, "%.*s", (int)result->error.size,
             result->error.size > 0 ? (const char *)result->error.data : "");
    snprintf(kept->text, sizeof kept->text, "%.*s", (int)result->text.size,
             result->text.size > 0 ? (const char *)result->text.data : "");
    kept->value_size = result->result.size;
    if (result->result.size > 0 && result->result.size <= sizeof kept->value) {
        memcpy(kept->value, result->result.data, result->result.size);
    }
    if (result->task >= 1 && result->task <= KIT_TASKS && result->status != INBOX_ANSWER_REFUSED) {
        const char *broken = inbox_check_answer(&kit->seen[result->task], result, 0, 0);
        kit->broken = kit->broken ? kit->broken : broken;
    }
}

static void on_results(slice_t body)
{
    participant_results_t results;
    codec_list_t list;
    participant_result_t result;
    cr_assert_eq(codec_decode(participant_results_wire(), body, &results, NULL), CAPSTAN_OK);
    cr_assert_eq(codec_list_open(participant_result_wire(), results.results, &list), CAPSTAN_OK);
    while (codec_list_next(&list, &result)) {
        pthread_mutex_lock(&kit->mutex);
        take_result(&result);
        pthread_mutex_unlock(&kit->mutex);
        atomic_fetch_add(&kit->answered, 1);
    }
    cr_assert_eq(list.fault.err, CAPSTAN_OK);
}

static void on_open(capstan_actor_t *self, const capstan_message_t *message)
{
    participant_open_t open;
    buffer_t body = {0};
    cr_assert_eq(codec_decode(participant_open_wire(), message->body, &open, NULL), CAPSTAN_OK);
    participant = message->sender;
    codec_encode(participant_opened_wire(),
                 &(participant_opened_t){.name = open.name, .epoch = atomic_load(&kit->epoch)},
                 &body);
    capstan_reply(self, message, MESSAGE_participant_opened, buffer_slice(&body));
    buffer_fini(&body);
    atomic_fetch_add(&kit->opened, 1);
}

static capstan_err_t receive(capstan_actor_t *self, const capstan_message_t *message)
{
    switch (message->message) {
    case MESSAGE_participant_open:
        on_open(self, message);
        break;
    case MESSAGE_participant_results:
        on_results(message->body);
        break;
    case KIT_relay: /* to whoever opened last; it may have gone */
        (void)!capstan_tell(self, participant, MESSAGE_participant_commands, message->body);
        break;
    default:
        break;
    }
    return CAPSTAN_OK;
}

static const capstan_behaviour_t behaviour = {.name = "saga", .receive = receive};

void kit_start_coordinator(participant_kit_t *self)
{
    cr_assert_eq(capstan_node_spawn(self->node, &behaviour,
                                    &(capstan_spawn_options_t){.name = "saga", .external = true},
                                    &self->coordinator),
                 CAPSTAN_OK);
}

/* --- the participant's program ---------------------------------------------------------------- */

static capstan_err_t open_ledger(void *context, struct sqlite3 *db)
{
    (void)context;
    return sqlite3_exec(db, "CREATE TABLE IF NOT EXISTS ledger (saga, task, phase)", NULL, NULL,
                        NULL) == SQLITE_OK
               ? CAPSTAN_OK
               : CAPSTAN_E_STORE_IO;
}

static bool add_row(const capstan_command_t *command)
{
    char sql[160];
    snprintf(sql, sizeof sql, "INSERT INTO ledger VALUES ('%.*s', %u, %d)", (int)command->saga.size,
             (const char *)command->saga.data, (unsigned)command->task, (int)command->phase);
    return sqlite3_exec(command->db, sql, NULL, NULL, NULL) == SQLITE_OK;
}

static void note_effect(const capstan_command_t *command)
{
    pthread_mutex_lock(&kit->mutex);
    if (command->task <= KIT_TASKS) {
        const char *broken =
            inbox_check_effect(&kit->seen[command->task], (inbox_phase_t)command->phase);
        kit->broken = kit->broken ? kit->broken : broken;
    }
    pthread_mutex_unlock(&kit->mutex);
}

static void wait_here(const capstan_command_t *command, bool ask)
{
    (void)command;
    atomic_fetch_add(&kit->waiting, 1);
    while (!atomic_load(&kit->go)) {
        if (ask) {
            capstan_peer_poll(capstan_participant_peer(kit->participant), 1000);
        } else {
            poll(NULL, 0, 1);
        }
    }
}

static void try_to_commit(const capstan_command_t *command)
{
    static const char *const ends[] = {"COMMIT", "ROLLBACK"};
    for (size_t i = 0; i < 2; i++) {
        if (sqlite3_exec(command->db, ends[i], NULL, NULL, NULL) == SQLITE_AUTH) {
            atomic_fetch_add(&kit->denied, 1);
        }
    }
}

static capstan_err_t handle(void *context, const capstan_command_t *command,
                            capstan_answer_t *answer)
{
    static const char large[LARGE];
    uint8_t value[] = {(uint8_t)(command->task & 0x7f)};
    kit_order_t order = command->input.size == 1 ? *(const uint8_t *)command->input.data : KIT_DO;
    (void)context;
    atomic_fetch_add(&kit->handled, 1);
    if (!add_row(command)) {
        return CAPSTAN_E_STORE_FULL;
    }
    switch (order) {
    case KIT_FAIL:
        capstan_answer_failed(answer, "LATER", "try again");
        return CAPSTAN_OK;
    case KIT_FAIL_GOOD:
        capstan_answer_failed_for_good(answer, "BROKE", "no money");
        return CAPSTAN_OK;
    case KIT_ERROR:
        return CAPSTAN_E_NOT_FOUND;
    case KIT_LARGE:
        capstan_answer_done(answer, slice_of(large, sizeof large));
        return CAPSTAN_OK;
    case KIT_NO_MSGPACK:
        capstan_answer_done(answer, slice_text("\xc1"));
        return CAPSTAN_OK;
    case KIT_FILL:
        sqlite3_exec(command->db,
                     "INSERT INTO ledger VALUES (zeroblob(4000000), zeroblob(4000000), 0)", NULL,
                     NULL, NULL);
        break;
    case KIT_COMMIT:
        try_to_commit(command);
        break;
    case KIT_WAIT:
    case KIT_ASK:
        wait_here(command, order == KIT_ASK);
        break;
    default:
        break;
    }
    note_effect(command);
    capstan_answer_done(answer, slice_of(value, sizeof value));
    return CAPSTAN_OK;
}

static void trouble(void *context, capstan_err_t err, const char *text)
{
    (void)context;
    (void)text;
    atomic_store(&kit->trouble, (int)err);
    atomic_fetch_add(&kit->troubles, err != CAPSTAN_OK);
}

/* --- life ------------------------------------------------------------------------------------ */

void kit_open(participant_kit_t *self)
{
    kit = self;
    pthread_mutex_init(&self->mutex, NULL);
    snprintf(self->folder, sizeof self->folder, "/tmp/capstan-participant-XXXXXX");
    cr_assert(mkdtemp(self->folder));
    snprintf(self->path, sizeof self->path, "%s/ledger.db", self->folder);
    cr_assert_eq(capstan_node_new(&(capstan_node_options_t){.log_fd = -1}, &self->node),
                 CAPSTAN_OK);
    self->options = (capstan_participant_options_t){.name = "ledger",
                                                    .handle = handle,
                                                    .path = self->path,
                                                    .open = open_ledger,
                                                    .trouble = trouble};
    atomic_store(&self->epoch, 1);
}

void kit_close(participant_kit_t *self)
{
    cr_assert_null(self->broken, "%s", self->broken);
    cr_assert_eq(capstan_node_stop(&self->node, KIT_US, NULL, NULL), CAPSTAN_OK);
    cr_assert_eq(capstan_participant_stop(&self->participant, KIT_US), CAPSTAN_OK);
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    for (size_t i = 0; i < 3; i++) {
        char path[96];
        snprintf(path, sizeof path, "%s%s", self->path, suffixes[i]);
        unlink(path);
    }
    cr_assert_eq(rmdir(self->folder), 0);
}

void kit_start_participant(participant_kit_t *self)
{
    uint64_t opened = atomic_load(&self->opened);
    cr_assert_eq(capstan_participant_start(self->node, &self->options, &self->participant,
                                           self->text, sizeof self->text),
                 CAPSTAN_OK, "%s", self->text);
    cr_assert(kit_await(&self->opened, opened + 1));
}

void kit_stop_participant(participant_kit_t *self)
{
    cr_assert_eq(capstan_participant_stop(&self->participant, KIT_US), CAPSTAN_OK);
    cr_assert_null(self->participant);
}

/* --- what tests do --------------------------------------------------------------------------- */

bool kit_await(const _Atomic uint64_t *count, uint64_t wanted)
{
    for (int64_t i = 0; i < KIT_US / 1000 && atomic_load(count) < wanted; i++) {
        poll(NULL, 0, 1);
    }
    return atomic_load(count) >= wanted;
}

saga_command_t kit_make(uint64_t task, uint64_t phase, uint64_t attempt, kit_order_t order)
{
    static const uint8_t inputs[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
    return (saga_command_t){.saga = slice_text("order-1"),
                            .number = 1,
                            .task = task,
                            .phase = phase,
                            .attempt = attempt,
                            .action = slice_text(phase == INBOX_PHASE_UNDO ? "refund" : "charge"),
                            .input = slice_of(&inputs[order], 1)};
}

void kit_send_bytes(participant_kit_t *self, slice_t body)
{
    cr_assert_eq(capstan_node_tell(self->node, self->coordinator, KIT_relay, body), CAPSTAN_OK);
}

void kit_send(participant_kit_t *self, uint64_t epoch, const saga_command_t *commands, size_t count)
{
    buffer_t list = {0};
    buffer_t body = {0};
    codec_list_writer_t writer = codec_list_begin(&list);
    for (size_t i = 0; i < count; i++) {
        codec_list_add(&writer, saga_command_wire(), &commands[i]);
    }
    codec_list_end(&writer);
    codec_encode(participant_commands_wire(),
                 &(participant_commands_t){.epoch = epoch, .commands = buffer_slice(&list)}, &body);
    kit_send_bytes(self, buffer_slice(&body));
    buffer_fini(&list);
    buffer_fini(&body);
}

kit_result_t kit_command(participant_kit_t *self, uint64_t task, uint64_t phase, uint64_t attempt,
                         kit_order_t order)
{
    uint64_t answered = atomic_load(&self->answered);
    saga_command_t command = kit_make(task, phase, attempt, order);
    kit_send(self, atomic_load(&self->epoch), &command, 1);
    cr_assert(kit_await(&self->answered, answered + 1));
    pthread_mutex_lock(&self->mutex);
    kit_result_t result = self->results[answered % KIT_RESULTS];
    pthread_mutex_unlock(&self->mutex);
    cr_assert_eq(result.result.number, 1u);
    cr_assert_eq(result.result.task, task);
    cr_assert_eq(result.result.phase, phase);
    cr_assert_eq(result.result.attempt, attempt);
    return result;
}

int kit_ledger(const participant_kit_t *self, uint64_t task, uint64_t phase)
{
    sqlite3 *db;
    sqlite3_stmt *statement;
    cr_assert_eq(sqlite3_open_v2(self->path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
    cr_assert_eq(sqlite3_prepare_v2(db,
                                    "SELECT count(*) FROM ledger WHERE task = ?1 AND phase = ?2",
                                    -1, &statement, NULL),
                 SQLITE_OK);
    sqlite3_bind_int64(statement, 1, (sqlite3_int64)task);
    sqlite3_bind_int64(statement, 2, (sqlite3_int64)phase);
    cr_assert_eq(sqlite3_step(statement), SQLITE_ROW);
    int count = sqlite3_column_int(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return count;
}

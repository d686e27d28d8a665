/* A participant of sagas: a ledger, in a process of its own, which books amounts and takes them
 * back.
 *
 *   participant tcp://127.0.0.1:7700 ledger.db
 *
 * It serves the commands for the participant `ledger` until it hears SIGTERM. The action `book` has
 * an amount as its input, a whole number, and returns the number of its entry; its compensation, of
 * whatever name, makes an entry that takes it back. Entries and inbox lie in one database: however
 * often a command is sent, and whenever the process is killed, there is one entry or none.
 *
 * Without arguments it only says how it is started. It prints:
 *   usage: participant ENDPOINT DATABASE */
#include <capstan/participant.h>
#include <inttypes.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

enum { SECOND_US = 1000000, AMOUNT_MAX = 1000 };

static volatile sig_atomic_t over;

/* What the handler uses of the database. */
typedef struct ledger {
    sqlite3_stmt *add;
    sqlite3_stmt *take_back;
} ledger_t;

/* --- the database ---------------------------------------------------------------------------- */

static capstan_err_t open_ledger(void *context, struct sqlite3 *db)
{
    static const char table[] =
        "CREATE TABLE IF NOT EXISTS entry (number INTEGER PRIMARY KEY, saga TEXT NOT NULL,"
        " task INTEGER NOT NULL, amount INTEGER NOT NULL)";
    static const char add[] = "INSERT INTO entry (saga, task, amount) VALUES (?1, ?2, ?3)";
    static const char take_back[] = "INSERT INTO entry (saga, task, amount)"
                                    " SELECT saga, task, -amount FROM entry"
                                    " WHERE number = ?1";
    ledger_t *self = context;
    return sqlite3_exec(db, table, NULL, NULL, NULL) == SQLITE_OK &&
                   sqlite3_prepare_v2(db, add, -1, &self->add, NULL) == SQLITE_OK &&
                   sqlite3_prepare_v2(db, take_back, -1, &self->take_back, NULL) == SQLITE_OK
               ? CAPSTAN_OK
               : CAPSTAN_E_STORE_IO;
}

static void close_ledger(void *context, struct sqlite3 *db)
{
    ledger_t *self = context;
    (void)db;
    sqlite3_finalize(self->add);
    sqlite3_finalize(self->take_back);
}

/* --- inputs and results, as msgpack ----------------------------------------------------------- */

/* A whole number that is not negative, of whatever width. */
static bool read_number(capstan_slice_t bytes, uint64_t *ret_number)
{
    const uint8_t *at = bytes.data;
    if (bytes.size == 1 && at[0] < 0x80) {
        *ret_number = at[0];
        return true;
    }
    if (bytes.size < 2 || at[0] < 0xcc || at[0] > 0xcf ||
        bytes.size != 1 + ((size_t)1 << (at[0] - 0xcc))) {
        return false;
    }
    *ret_number = 0;
    for (size_t i = 1; i < bytes.size; i++) {
        *ret_number = *ret_number << 8 | at[i];
    }
    return true;
}

static void answer_number(capstan_answer_t *answer, uint64_t number)
{
    uint8_t bytes[9] = {0xcf};
    for (size_t i = 0; i < 8; i++) {
        bytes[1 + i] = (uint8_t)(number >> (56 - 8 * i));
    }
    capstan_answer_done(answer, (capstan_slice_t){bytes, sizeof bytes});
}

/* --- the work -------------------------------------------------------------------------------- */

/* What fails here is tried again later; a full disk, for instance. */
static capstan_err_t run(sqlite3_stmt *statement)
{
    int step = sqlite3_step(statement);
    sqlite3_reset(statement);
    return step == SQLITE_DONE ? CAPSTAN_OK : CAPSTAN_E_STORE_IO;
}

static capstan_err_t book(const ledger_t *self, const capstan_command_t *command,
                          capstan_answer_t *answer)
{
    uint64_t amount;
    if (!read_number(command->input, &amount)) {
        capstan_answer_failed_for_good(answer, "INPUT", "the input is no amount");
        return CAPSTAN_OK;
    }
    if (amount > AMOUNT_MAX) {
        capstan_answer_failed_for_good(answer, "TOO_MUCH", "amounts are 1000 at most");
        return CAPSTAN_OK;
    }
    sqlite3_bind_text64(self->add, 1, command->saga.data, command->saga.size, SQLITE_STATIC,
                        SQLITE_UTF8);
    sqlite3_bind_int64(self->add, 2, (sqlite3_int64)command->task);
    sqlite3_bind_int64(self->add, 3, (sqlite3_int64)amount);
    capstan_err_t err = run(self->add);
    if (err == CAPSTAN_OK) {
        answer_number(answer, (uint64_t)sqlite3_last_insert_rowid(command->db));
    }
    return err;
}

static capstan_err_t take_back(const ledger_t *self, const capstan_command_t *command)
{
    uint64_t number;
    if (!read_number(command->result, &number)) {
        return CAPSTAN_E_INVALID; /* it is what answer_number wrote */
    }
    sqlite3_bind_int64(self->take_back, 1, (sqlite3_int64)number);
    return run(self->take_back);
}

static capstan_err_t handle(void *context, const capstan_command_t *command,
                            capstan_answer_t *answer)
{
    const ledger_t *self = context;
    if (command->phase == CAPSTAN_PHASE_UNDO) {
        return take_back(self, command);
    }
    if (command->action.size != 4 || memcmp(command->action.data, "book", 4) != 0) {
        capstan_answer_failed_for_good(answer, "UNKNOWN_ACTION", "the ledger only books");
        return CAPSTAN_OK;
    }
    return book(self, command, answer);
}

/* --- the program ----------------------------------------------------------------------------- */

static void tell(void *context, capstan_err_t err, const char *text)
{
    (void)context;
    (void)err;
    fprintf(stderr, "%s\n", text);
}

static void end(int number)
{
    (void)number;
    over = 1;
}

int main(int argc, char **argv)
{
    ledger_t ledger = {0};
    char text[512] = "";
    capstan_participant_t *participant;
    if (argc != 3) {
        printf("usage: participant ENDPOINT DATABASE\n");
        return argc == 1 ? 0 : 2;
    }
    const capstan_participant_options_t options = {.name = "ledger",
                                                   .endpoint = argv[1],
                                                   .path = argv[2],
                                                   .handle = handle,
                                                   .context = &ledger,
                                                   .open = open_ledger,
                                                   .close = close_ledger,
                                                   .trouble = tell};
    signal(SIGTERM, end);
    signal(SIGINT, end);
    capstan_err_t err = capstan_participant_connect(&options, &participant, text, sizeof text);
    if (err != CAPSTAN_OK) {
        fprintf(stderr, "participant: %s\n", text);
        return 1;
    }
    while (!over) {
        capstan_participant_poll(participant, SECOND_US / 10);
    }
    err = capstan_participant_stop(&participant, 5 * SECOND_US);
    return err == CAPSTAN_OK ? 0 : 1;
}

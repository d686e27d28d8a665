/* Connections to PostgreSQL that never block: see postgres_link.h. */
#include "runtime/postgres/postgres_link.h"

#include "runtime/base/ensure.h"
#include "runtime/postgres/postgres_internal.h"
#include "runtime/postgres/postgres_names.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
    PARAMETERS_MAX = 64, /* libpq 15 knows some 45 */
    SQLSTATE_BYTES = 6,
};

/* Where conninfo says nothing. A server that has gone without a word is noticed within a minute
 * (keepalives) while nothing is sent, and within half a minute while something is. */
static const struct {
    const char *keyword;
    const char *value;
} usual[] = {
    {"keepalives", "1"},       {"keepalives_idle", "30"},     {"keepalives_interval", "10"},
    {"keepalives_count", "3"}, {"tcp_user_timeout", "30000"},
};

static const char *const session_attributes[] = {
    [POSTGRES_ANY] = NULL,
    [POSTGRES_READ_WRITE] = "read-write",
    [POSTGRES_READ_ONLY] = "read-only",
};

/* --- the target ------------------------------------------------------------------------------ */

static char *copy(const char *text)
{
    char *copied = text ? strdup(text) : NULL;
    ENSURE(copied || !text);
    return copied;
}

/* libpq's text, without the end of its line. */
static void set_text(char *ret_text, size_t text_size, const char *text)
{
    if (ret_text && text_size > 0) {
        snprintf(ret_text, text_size, "%.*s", (int)strcspn(text, "\n"), text);
    }
}

/* libpq repeats a conninfo that it does not understand, and with it the password. */
static const char *without_quotation(char *text)
{
    static const char *const before[] = {": \"", " after \""};
    for (size_t i = 0; i < sizeof before / sizeof before[0]; i++) {
        char *at = strstr(text, before[i]);
        if (at) {
            *at = '\0';
        }
    }
    return text;
}

const char *postgres_given(const postgres_target_t *target, const char *keyword)
{
    const PQconninfoOption *given = target->given;
    while (given->keyword && strcmp(given->keyword, keyword) != 0) {
        given++;
    }
    return given->val;
}

capstan_err_t postgres_target_new(const postgres_options_t *options, postgres_target_t **ret_self,
                                  char *ret_text, size_t text_size)
{
    char *wrong = NULL;
    PQconninfoOption *given = PQconninfoParse(options->conninfo ? options->conninfo : "", &wrong);
    if (!given) {
        set_text(ret_text, text_size, wrong ? without_quotation(wrong) : "out of memory");
        PQfreemem(wrong);
        return CAPSTAN_E_INVALID;
    }
    postgres_target_t *self = calloc(1, sizeof *self);
    ENSURE(self);
    self->given = given;
    self->role = options->role;
    self->name = copy(options->name);
    self->password_file = copy(options->password_file);
    if (options->statement_us > 0) {
        const char *more = postgres_given(self, "options");
        more = more ? more : getenv("PGOPTIONS");
        long long ms = (options->statement_us + 999) / 1000;
        ENSURE(asprintf(&self->options, "%s%s-c statement_timeout=%lld", more ? more : "",
                        more ? " " : "", ms) > 0);
    }
    *ret_self = self;
    return CAPSTAN_OK;
}

void postgres_target_destroy(postgres_target_t **self_p)
{
    postgres_target_t *self = *self_p;
    if (self) {
        PQconninfoFree(self->given);
        free(self->name);
        free(self->options);
        free(self->password_file);
        free(self);
        *self_p = NULL;
    }
}

/* --- connecting ------------------------------------------------------------------------------ */

typedef struct parameters {
    const char *keywords[PARAMETERS_MAX + 1];
    const char *values[PARAMETERS_MAX + 1];
    size_t count;
} parameters_t;

/* Of two the later one counts. */
static void set(parameters_t *self, const char *keyword, const char *value)
{
    ENSURE(self->count < PARAMETERS_MAX);
    self->keywords[self->count] = keyword;
    self->values[self->count++] = value;
}

/* The first line of the file; NULL: why it is none. */
static char *read_password(const char *path, char *ret_text, size_t text_size)
{
    char *line = NULL;
    size_t size = 0;
    FILE *file = fopen(path, "re");
    ssize_t length = file ? getline(&line, &size, file) : -1;
    int why = file && !ferror(file) ? 0 : errno;
    if (file) {
        fclose(file);
    }
    if (length > 0) {
        line[strcspn(line, "\r\n")] = '\0';
        return line;
    }
    free(line);
    if (why) {
        snprintf(ret_text, text_size, "the password file %s cannot be read: %s", path,
                 strerror(why));
    } else {
        snprintf(ret_text, text_size, "the password file %s is empty", path);
    }
    return NULL;
}

static void free_password(char *password)
{
    if (password) {
        explicit_bzero(password, strlen(password));
        free(password);
    }
}

/* libpq's own, which calls the processor: the same for all connections. */
static _Atomic(PQnoticeReceiver) usual_receiver;

static void say_nothing(void *context, const char *message)
{
    (void)context;
    (void)message;
}

static void set_all(parameters_t *self, const postgres_target_t *target,
                    const postgres_addresses_t *addresses)
{
    for (size_t i = 0; i < sizeof usual / sizeof usual[0]; i++) {
        set(self, usual[i].keyword, usual[i].value);
    }
    set(self, "fallback_application_name", target->name);
    for (const PQconninfoOption *option = target->given; option->keyword; option++) {
        if (option->val) {
            set(self, option->keyword, option->val);
        }
    }
    if (target->options) {
        set(self, "options", target->options);
    }
    if (session_attributes[target->role]) {
        set(self, "target_session_attrs", session_attributes[target->role]);
    }
    if (addresses->host) {
        set(self, "host", addresses->host);
    }
    if (addresses->hostaddr) {
        set(self, "hostaddr", addresses->hostaddr);
    }
    if (addresses->port) {
        set(self, "port", addresses->port);
    }
}

static PGconn *begin(const postgres_target_t *target, const postgres_addresses_t *addresses,
                     const char *password)
{
    parameters_t parameters = {.count = 0};
    set_all(&parameters, target, addresses);
    if (password) {
        set(&parameters, "password", password);
    }
    PGconn *connection = PQconnectStartParams(parameters.keywords, parameters.values, 0);
    ENSURE(connection);
    PQsetErrorVerbosity(connection, PQERRORS_VERBOSE); /* only so it says the SQLSTATE */
    PQsetNoticeProcessor(connection, say_nothing, NULL);
    atomic_store(&usual_receiver, PQsetNoticeReceiver(connection, NULL, NULL));
    return connection;
}

capstan_err_t postgres_begin(const postgres_target_t *target, const postgres_lookup_t *lookup,
                             size_t skip, PGconn **ret_connection, char *ret_text, size_t text_size)
{
    char *password = NULL;
    postgres_addresses_t addresses;
    postgres_addresses(target, lookup, skip, &addresses);
    if (addresses.why) {
        set_text(ret_text, text_size, addresses.why);
        return CAPSTAN_E_UNREACHABLE;
    }
    capstan_err_t err = CAPSTAN_OK;
    if (target->password_file) {
        password = read_password(target->password_file, ret_text, text_size);
        err = password ? CAPSTAN_OK : CAPSTAN_E_AUTHENTICATION;
    }
    if (err == CAPSTAN_OK) {
        *ret_connection = begin(target, &addresses, password);
    }
    free_password(password);
    postgres_addresses_fini(&addresses);
    return err;
}

postgres_next_t postgres_connect(PGconn *connection)
{
    if (PQstatus(connection) == CONNECTION_BAD) {
        return POSTGRES_FAILED;
    }
    switch (PQconnectPoll(connection)) {
    case PGRES_POLLING_READING:
        return POSTGRES_READ;
    case PGRES_POLLING_OK:
        PQsetErrorVerbosity(connection, PQERRORS_DEFAULT);
        return POSTGRES_DONE;
    case PGRES_POLLING_FAILED:
        return POSTGRES_FAILED;
    case PGRES_POLLING_WRITING:
    case PGRES_POLLING_ACTIVE:
        break;
    }
    return POSTGRES_WRITE;
}

bool postgres_is_heard(const PGconn *connection)
{
    ConnStatusType status = PQstatus(connection);
    return status != CONNECTION_STARTED && status != CONNECTION_NEEDED && status != CONNECTION_BAD;
}

/* The line of libpq's text that holds a SQLSTATE: with several hosts the last of them. NULL: none
 * does. */
static const char *find_sqlstate(const char *text, char ret_state[SQLSTATE_BYTES])
{
    const char *found = NULL;
    for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
        const char *end = line + strcspn(line, "\n");
        for (const char *at = line; (at = strstr(at, ":  ")) && at < end; at += 3) {
            size_t size = strspn(at + 3, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ");
            if (size == SQLSTATE_BYTES - 1 && at[3 + size] == ':') {
                memcpy(ret_state, at + 3, size);
                ret_state[size] = '\0';
                found = line;
            }
        }
    }
    return found;
}

capstan_err_t postgres_why(const PGconn *connection, char *ret_text, size_t text_size)
{
    const char *text = PQerrorMessage(connection);
    char state[SQLSTATE_BYTES];
    const char *line = find_sqlstate(text, state);
    set_text(ret_text, text_size, line ? line : text);
    if (line) {
        return strncmp(state, "28", 2) == 0 ? CAPSTAN_E_AUTHENTICATION : CAPSTAN_E_DATABASE_REFUSED;
    }
    return PQconnectionNeedsPassword(connection) ? CAPSTAN_E_AUTHENTICATION : CAPSTAN_E_UNREACHABLE;
}

/* libpq says farewell to the server, and waits until it can: not where there may be no room for it,
 * since the server does not read what was sent. */
void postgres_end(PGconn *connection)
{
    if (connection && PQsocket(connection) >= 0 &&
        PQtransactionStatus(connection) == PQTRANS_ACTIVE) {
        (void)shutdown(PQsocket(connection), SHUT_RDWR);
    }
    PQfinish(connection);
}

/* --- asking ---------------------------------------------------------------------------------- */

bool postgres_ask(PGconn *connection, const char *sql)
{
    return PQsetnonblocking(connection, 1) == 0 && PQsendQuery(connection, sql) == 1;
}

postgres_next_t postgres_answer(PGconn *connection)
{
    int flushed = PQflush(connection);
    if (flushed < 0 || PQconsumeInput(connection) == 0) {
        return POSTGRES_FAILED;
    }
    while (!PQisBusy(connection)) {
        PGresult *result = PQgetResult(connection);
        if (!result) {
            return PQsetnonblocking(connection, 0) == 0 ? POSTGRES_DONE : POSTGRES_FAILED;
        }
        ExecStatusType status = PQresultStatus(result);
        PQclear(result);
        if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK &&
            status != PGRES_EMPTY_QUERY) {
            return POSTGRES_FAILED;
        }
    }
    return flushed > 0 ? POSTGRES_WRITE : POSTGRES_READ;
}

void postgres_forget(PGconn *connection)
{
    PQsetNoticeReceiver(connection, atomic_load(&usual_receiver), NULL);
    PQsetNoticeProcessor(connection, say_nothing, NULL);
    PQsetErrorVerbosity(connection, PQERRORS_DEFAULT);
    PQsetErrorContextVisibility(connection, PQSHOW_CONTEXT_ERRORS);
    PQuntrace(connection);
    for (PGnotify *notify; (notify = PQnotifies(connection));) {
        PQfreemem(notify);
    }
}

static bool is_on(const PGconn *connection, const char *parameter)
{
    const char *value = PQparameterStatus(connection, parameter);
    return value && strcmp(value, "on") == 0;
}

/* By what the server says without being asked (from version 14 on), when it has answered something
 * since. */
static bool has_role(const PGconn *connection, postgres_role_t role)
{
    bool told = PQparameterStatus(connection, "in_hot_standby");
    bool read_only =
        is_on(connection, "in_hot_standby") || is_on(connection, "default_transaction_read_only");
    return !told || role == POSTGRES_ANY || read_only == (role == POSTGRES_READ_ONLY);
}

bool postgres_is_alive(PGconn *connection, postgres_role_t role)
{
    /* A last word of the server's is read first, and then the end behind it. */
    for (int i = 0; i < 2; i++) {
        if (PQconsumeInput(connection) == 0 || PQisBusy(connection)) {
            return false;
        }
    }
    return PQstatus(connection) == CONNECTION_OK && has_role(connection, role);
}

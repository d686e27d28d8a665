/* The check `connection`: makes it, or says why there is none. */
#include "cli/doctor.h"

#include "runtime/base/clock.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

/* One address that was tried. */
typedef struct attempt {
    doctor_end_t end;
    capstan_err_t err;
    bool wants_password;
    char place[256];
    char text[DOCTOR_TEXT_BYTES]; /* libpq's, with the SQLSTATE in it */
} attempt_t;

/* By the SQLSTATE with which a server refuses a connection. */
static const struct refusal {
    const char *state;
    const char *found;
    const char *remedy;
} refusals[] = {
    {"28P01", "the password is wrong, or the user is unknown",
     "Correct the user and its password (in --password-file, PGPASSWORD or ~/.pgpass), or set it "
     "anew with ALTER ROLE ... PASSWORD."},
    {"28000", "the server does not let this user in from here",
     "Add a line for user, database and address to the server's pg_hba.conf and reload it, or "
     "create the user."},
    {"3D000", "the database is unknown",
     "Correct dbname in CONNINFO or PGDATABASE, or create the database with CREATE DATABASE."},
    {"42501", "the user may not connect to the database",
     "Give it the right with GRANT CONNECT ON DATABASE."},
    {"53300", "no connection is free",
     "Close connections that nobody needs, or raise max_connections and the limits of database "
     "and user."},
    {"55000", "the database takes no connections",
     "Let it take some with ALTER DATABASE ... ALLOW_CONNECTIONS true, or use another one."},
    {"57P03", "the server is not ready", "Wait until it has started or recovered; see its log."},
};

static const struct refusal *find_refusal(const char *text)
{
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        char state[16];
        snprintf(state, sizeof state, ":  %s:", refusals[i].state);
        if (strstr(text, state)) {
            return &refusals[i];
        }
    }
    return NULL;
}

/* A certificate may be no file either. */
static bool is_nobody_there(const attempt_t *self)
{
    return strstr(self->text, strerror(ECONNREFUSED)) ||
           (self->place[0] == '/' && strstr(self->text, strerror(ENOENT)));
}

static void blame_attempt(const doctor_t *self, const attempt_t *attempt, doctor_check_t *check)
{
    const struct refusal *refusal = find_refusal(attempt->text);
    char duration[DOCTOR_DURATION_BYTES];
    if (attempt->end == DOCTOR_LATE) {
        doctor_blame(check, DOCTOR_FAILURE, "no answer from %s within %s", attempt->place,
                     doctor_duration(self->timeout_us, duration));
        doctor_remedy(check, "See whether the server still works and whether a firewall swallows "
                             "what is sent to it, or give it longer with --timeout.");
    } else if (refusal) {
        doctor_blame(check, DOCTOR_FAILURE, "%s: %s", refusal->found, attempt->text);
        doctor_remedy(check, "%s", refusal->remedy);
    } else if (attempt->wants_password) {
        doctor_blame(check, DOCTOR_FAILURE, "the server wants a password, and none was given: %s",
                     attempt->text);
        doctor_remedy(check, "Give it with --password-file, PGPASSWORD or ~/.pgpass.");
    } else if (is_nobody_there(attempt)) {
        doctor_blame(check, DOCTOR_FAILURE, "no server listens at %s: %s", attempt->place,
                     attempt->text);
        doctor_remedy(check, "Start the server, or correct host and port; it listens at its "
                             "listen_addresses and unix_socket_directories.");
    } else {
        doctor_blame(check, DOCTOR_FAILURE, "no connection to %s: %s", attempt->place,
                     attempt->text);
        doctor_remedy(check, "Correct what the server or libpq names, in CONNINFO or in libpq's "
                             "environment.");
    }
}

static void describe_place(const PGconn *connection, char *ret_text, size_t text_size)
{
    const char *host = PQhost(connection);
    const char *port = PQport(connection);
    if (host && *host && port) {
        snprintf(ret_text, text_size, "%s port %s", host, port);
    } else {
        snprintf(ret_text, text_size, "the server"); /* libpq did not come so far */
    }
}

/* On DOCTOR_DONE the connection and its target are the doctor's. */
static void try_address(doctor_t *self, const char *conninfo, attempt_t *ret_attempt)
{
    *ret_attempt = (attempt_t){.end = DOCTOR_LOST};
    /* The server should give up a little before we do, so that the connection stays usable. */
    const postgres_options_t options = {.conninfo = conninfo,
                                        .password_file = self->password_file,
                                        .name = "capstan doctor",
                                        .statement_us = self->timeout_us * 9 / 10};
    postgres_target_t *target = NULL;
    ret_attempt->err =
        postgres_target_new(&options, &target, ret_attempt->text, sizeof ret_attempt->text);
    if (ret_attempt->err) {
        return;
    }
    PGconn *connection = postgres_begin(target);
    ret_attempt->end = doctor_connect(connection, self->timeout_us);
    describe_place(connection, ret_attempt->place, sizeof ret_attempt->place);
    if (ret_attempt->end == DOCTOR_DONE) {
        self->connection = connection;
        self->target = target;
        return;
    }
    ret_attempt->err = postgres_why(connection, ret_attempt->text, sizeof ret_attempt->text);
    ret_attempt->wants_password = PQconnectionNeedsPassword(connection);
    PQfinish(connection);
    postgres_target_destroy(&target);
}

static bool may_read_password(const doctor_t *self, doctor_check_t *check)
{
    if (self->password_file && access(self->password_file, R_OK) != 0) {
        doctor_blame(check, DOCTOR_FAILURE, "the password file %s cannot be read: %s",
                     self->password_file, strerror(errno));
        doctor_remedy(check, "Correct --password-file, or let this user read the file.");
        return false;
    }
    return true;
}

static void blame_unknown_host(const char *text, doctor_check_t *check)
{
    doctor_blame(check, DOCTOR_FAILURE, "%s", text);
    doctor_remedy(check, "Correct host in CONNINFO or PGHOST, or see that DNS or /etc/hosts knows "
                         "the name and that the name server answers.");
}

void doctor_check_connection(doctor_t *self, const PGresult *result, doctor_check_t *check)
{
    (void)result;
    if (!may_read_password(self, check)) {
        return;
    }
    doctor_addresses_t addresses;
    doctor_addresses_find(self->conninfo, self->timeout_us, &addresses);
    attempt_t attempt = {.end = DOCTOR_LOST};
    int64_t begin_us = 0;
    size_t tried = 0;
    while (tried < addresses.count && !self->connection) {
        begin_us = clock_us(CLOCK_MONOTONIC);
        try_address(self, addresses.conninfos[tried++], &attempt);
        if (attempt.end == DOCTOR_LOST && attempt.err != CAPSTAN_E_UNREACHABLE) {
            break; /* a server has answered; libpq would not go on either */
        }
    }
    int64_t took_us = clock_us(CLOCK_MONOTONIC) - begin_us;
    doctor_addresses_fini(&addresses);
    if (tried == 0) {
        blame_unknown_host(addresses.wrong, check);
        return;
    }
    if (!self->connection) {
        blame_attempt(self, &attempt, check);
        return;
    }
    char duration[DOCTOR_DURATION_BYTES];
    doctor_say(check, "%s, database %s, user %s, in %s", attempt.place, PQdb(self->connection),
               PQuser(self->connection), doctor_duration(took_us, duration));
    doctor_figure(check, "connect_us", (double)took_us);
    if (tried > 1) {
        doctor_say(check, "%zu addresses before it did not answer", tried - 1);
    }
}

/* The check `connection`: makes it, or says why there is none. */
#include "cli/doctor.h"

#include "runtime/base/clock.h"
#include "runtime/postgres/postgres_names.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>

typedef struct attempt {
    doctor_end_t end;
    capstan_err_t err; /* nothing could be begun */
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

/* Names have been looked up, where there are any; false: what is wrong is in `check`. */
static bool look_up(doctor_t *self, doctor_check_t *check)
{
    char duration[DOCTOR_DURATION_BYTES];
    if (!postgres_has_names(self->target)) {
        return true;
    }
    self->lookup = postgres_look_up(self->target);
    if (self->lookup && doctor_await(postgres_lookup_fd(self->lookup), POLLIN,
                                     clock_add_us(clock_us(CLOCK_MONOTONIC), self->timeout_us))) {
        return true;
    }
    postgres_lookup_drop(&self->lookup);
    doctor_blame(check, DOCTOR_FAILURE, "the address of the host was not found within %s",
                 doctor_duration(self->timeout_us, duration));
    doctor_remedy(check, "See that the name server answers, or give hostaddr in CONNINFO.");
    return false;
}

/* Nothing could be begun. */
static void blame_beginning(capstan_err_t err, const char *text, doctor_check_t *check)
{
    doctor_blame(check, DOCTOR_FAILURE, "%s", text);
    if (err == CAPSTAN_E_AUTHENTICATION) {
        doctor_remedy(check, "Correct --password-file, or let this user read the file.");
    } else {
        doctor_remedy(check, "Correct host in CONNINFO or PGHOST, or see that DNS or /etc/hosts "
                             "knows the name and that the name server answers.");
    }
}

static capstan_err_t open_target(doctor_t *self, char *ret_text, size_t text_size)
{
    /* The server should give up a little before we do, so that the connection stays usable. */
    const postgres_options_t options = {.conninfo = self->conninfo,
                                        .password_file = self->password_file,
                                        .name = "capstan doctor",
                                        .statement_us = self->timeout_us * 9 / 10};
    return postgres_target_new(&options, &self->target, ret_text, text_size);
}

static void connected(doctor_t *self, PGconn *connection, int64_t took_us, doctor_check_t *check)
{
    char duration[DOCTOR_DURATION_BYTES];
    char place[256];
    describe_place(connection, place, sizeof place);
    self->connection = connection;
    doctor_say(check, "%s, database %s, user %s, in %s", place, PQdb(connection),
               PQuser(connection), doctor_duration(took_us, duration));
    doctor_figure(check, "connect_us", (double)took_us);
}

/* False: what is wrong is in `ret_attempt`. */
static bool try_once(doctor_t *self, attempt_t *ret_attempt, doctor_check_t *check)
{
    PGconn *connection = NULL;
    int64_t begin_us = clock_us(CLOCK_MONOTONIC);
    *ret_attempt = (attempt_t){.end = DOCTOR_LOST};
    ret_attempt->err = postgres_begin(self->target, self->lookup, self->skip, &connection,
                                      ret_attempt->text, sizeof ret_attempt->text);
    if (ret_attempt->err != CAPSTAN_OK) {
        return false;
    }
    ret_attempt->end = doctor_connect(connection, self->timeout_us);
    if (ret_attempt->end == DOCTOR_DONE) {
        connected(self, connection, clock_us(CLOCK_MONOTONIC) - begin_us, check);
        return true;
    }
    describe_place(connection, ret_attempt->place, sizeof ret_attempt->place);
    (void)postgres_why(connection, ret_attempt->text, sizeof ret_attempt->text);
    ret_attempt->wants_password = PQconnectionNeedsPassword(connection);
    postgres_end(connection);
    return false;
}

/* libpq goes on to the next host behind one that answers, or refuses; behind one that says nothing
 * we do, as a pool does. */
void doctor_check_connection(doctor_t *self, const PGresult *result, doctor_check_t *check)
{
    attempt_t attempt;
    (void)result;
    attempt.err = open_target(self, attempt.text, sizeof attempt.text);
    if (attempt.err != CAPSTAN_OK) {
        blame_beginning(attempt.err, attempt.text, check);
        return;
    }
    if (!look_up(self, check)) {
        return;
    }
    size_t places = postgres_place_count(self->target, self->lookup);
    bool stands = try_once(self, &attempt, check);
    while (!stands && attempt.end == DOCTOR_LATE && self->skip + 1 < places) {
        self->skip++;
        stands = try_once(self, &attempt, check);
    }
    if (stands && self->skip > 0) {
        doctor_say(check, "%zu addresses before it did not answer", self->skip);
    } else if (!stands && attempt.err != CAPSTAN_OK) {
        blame_beginning(attempt.err, attempt.text, check);
    } else if (!stands) {
        blame_attempt(self, &attempt, check);
    }
}

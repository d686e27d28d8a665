/* Connecting and asking within a deadline. */
#include "cli/doctor.h"

#include "runtime/base/clock.h"
#include "runtime/base/ensure.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

static int64_t deadline(int64_t timeout_us)
{
    return clock_add_us(clock_us(CLOCK_MONOTONIC), timeout_us);
}

bool doctor_await(int fd, short events, int64_t until_us)
{
    for (;;) {
        int64_t left_us = until_us - clock_us(CLOCK_MONOTONIC);
        if (left_us <= 0) {
            return false;
        }
        struct pollfd ready = {.fd = fd, .events = events};
        if (poll(&ready, 1, (int)((left_us + 999) / 1000)) > 0) {
            return true;
        }
    }
}

doctor_end_t doctor_connect(PGconn *connection, int64_t timeout_us)
{
    int64_t until_us = deadline(timeout_us);
    postgres_next_t next =
        PQstatus(connection) == CONNECTION_BAD ? POSTGRES_FAILED : POSTGRES_WRITE;
    /* libpq wants its first step only once the socket can be written to. */
    while (next == POSTGRES_READ || next == POSTGRES_WRITE) {
        if (!doctor_await(PQsocket(connection), next == POSTGRES_READ ? POLLIN : POLLOUT,
                          until_us)) {
            return DOCTOR_LATE;
        }
        next = postgres_connect(connection);
    }
    return next == POSTGRES_DONE ? DOCTOR_DONE : DOCTOR_LOST;
}

/* Of several results the last one, or the first error. */
static void keep(PGresult **kept, PGresult *result)
{
    if (*kept && PQresultStatus(*kept) == PGRES_FATAL_ERROR) {
        PQclear(result);
        return;
    }
    PQclear(*kept);
    *kept = result;
}

static doctor_end_t read_results(PGconn *connection, int64_t until_us, PGresult **ret_result)
{
    for (;;) {
        int flushed = PQflush(connection);
        if (flushed < 0 || PQconsumeInput(connection) == 0) {
            return DOCTOR_LOST;
        }
        while (!PQisBusy(connection)) {
            PGresult *result = PQgetResult(connection);
            if (!result) {
                return PQstatus(connection) == CONNECTION_OK ? DOCTOR_DONE : DOCTOR_LOST;
            }
            keep(ret_result, result);
        }
        short events = (short)(flushed > 0 ? POLLIN | POLLOUT : POLLIN);
        if (!doctor_await(PQsocket(connection), events, until_us)) {
            return DOCTOR_LATE;
        }
    }
}

/* A statement that nobody waits for any more would go on: the server does not look whether its
 * client is still there, least of all while a commit waits for a standby. libpq's own PQcancel
 * blocks and is not encrypted. Behind a pooler the number may be that of somebody else's session,
 * so that user and name have to fit too. */
static void cancel(const doctor_t *self)
{
    static const char format[] = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity "
                                 "WHERE pid = %d AND usename = current_user AND state = 'active' "
                                 "AND application_name = current_setting('application_name')";
    PGconn *connection = NULL;
    char text[DOCTOR_TEXT_BYTES];
    capstan_err_t err =
        postgres_begin(self->target, self->lookup, self->skip, &connection, text, sizeof text);
    if (err == CAPSTAN_OK && doctor_connect(connection, self->timeout_us) == DOCTOR_DONE) {
        char sql[sizeof format + 16];
        PGresult *result = NULL;
        snprintf(sql, sizeof sql, format, PQbackendPID(self->connection));
        if (postgres_ask(connection, sql)) {
            (void)read_results(connection, deadline(self->timeout_us), &result);
        }
        PQclear(result);
    }
    postgres_end(connection);
}

void doctor_hang_up(doctor_t *self)
{
    postgres_end(self->connection);
    self->connection = NULL;
}

doctor_end_t doctor_ask(doctor_t *self, const char *sql, PGresult **ret_result)
{
    *ret_result = NULL;
    doctor_end_t end = DOCTOR_LOST;
    if (postgres_ask(self->connection, sql)) {
        end = read_results(self->connection, deadline(self->timeout_us), ret_result);
    }
    if (end == DOCTOR_DONE) {
        return end;
    }
    PQclear(*ret_result);
    *ret_result = NULL;
    if (end == DOCTOR_LATE) {
        cancel(self);
    }
    (void)postgres_why(self->connection, self->lost, sizeof self->lost);
    doctor_hang_up(self);
    return end;
}

/* --- what went wrong ------------------------------------------------------------------------- */

static void blame_silence(const doctor_t *self, doctor_check_t *check)
{
    char duration[DOCTOR_DURATION_BYTES];
    doctor_blame(check, DOCTOR_FAILURE, "no answer within %s",
                 doctor_duration(self->timeout_us, duration));
    doctor_remedy(check, "See in the server's log and in pg_stat_activity what it waits for, or "
                         "give it longer with --timeout.");
}

bool doctor_is_wrong(doctor_t *self, doctor_end_t end, const PGresult *result,
                     doctor_check_t *check)
{
    if (end == DOCTOR_LATE) {
        blame_silence(self, check);
        return true;
    }
    if (end == DOCTOR_LOST) {
        doctor_blame(check, DOCTOR_FAILURE, "the connection was lost: %s", self->lost);
        doctor_remedy(check, "See in the server's log why it ended the connection.");
        return true;
    }
    if (PQresultStatus(result) != PGRES_FATAL_ERROR) {
        return false;
    }
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    if (state && strcmp(state, "57014") == 0) {
        blame_silence(self, check);
    } else if (state && strcmp(state, "42501") == 0) {
        doctor_blame(check, DOCTOR_SKIPPED, "the user may not look: %s", text ? text : "");
        doctor_remedy(check, "Ask as a user that may, or give this one the right with GRANT.");
    } else {
        doctor_blame(check, DOCTOR_FAILURE, "the server answered with an error: %s",
                     text ? text : "");
        doctor_remedy(check, "See in the server's log what is wrong there.");
    }
    return true;
}

/* --- reading results ------------------------------------------------------------------------- */

static int column_of(const PGresult *result, const char *column)
{
    int number = PQfnumber(result, column);
    ENSURE(number >= 0); /* the statement is ours */
    return number;
}

const char *doctor_text(const PGresult *result, int row, const char *column)
{
    return PQgetvalue(result, row, column_of(result, column));
}

int64_t doctor_number(const PGresult *result, int row, const char *column)
{
    return strtoll(doctor_text(result, row, column), NULL, 10);
}

bool doctor_flag(const PGresult *result, int row, const char *column)
{
    return doctor_text(result, row, column)[0] == 't';
}

bool doctor_is_null(const PGresult *result, int row, const char *column)
{
    return PQgetisnull(result, row, column_of(result, column)) == 1;
}

/* The server's clock, and how long it takes to answer. */
#include "cli/doctor.h"

#include "runtime/base/clock.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define CLOCK_WARNING_US INT64_C(100000)
#define CLOCK_FAILURE_US INT64_C(5000000)

enum {
    CLOCK_SAMPLES = 5,
    LATENCY_SAMPLES = 20,
};

/* Asks once and measures; false: written down as wrong. */
static bool ask_timed(doctor_t *self, const char *sql, doctor_check_t *check, int64_t *ret_us,
                      PGresult **ret_result)
{
    int64_t begin_us = clock_us(CLOCK_MONOTONIC);
    doctor_end_t end = doctor_ask(self, sql, ret_result);
    *ret_us = clock_us(CLOCK_MONOTONIC) - begin_us;
    if (doctor_is_wrong(self, end, *ret_result, check)) {
        PQclear(*ret_result);
        *ret_result = NULL;
        return false;
    }
    return true;
}

/* --- the clock ------------------------------------------------------------------------------- */

/* Of several the one with the shortest round trip, which leaves the least to doubt. */
static bool measure_clock(doctor_t *self, doctor_check_t *check, int64_t *ret_ahead_us,
                          int64_t *ret_round_trip_us)
{
    *ret_round_trip_us = INT64_MAX;
    for (int i = 0; i < CLOCK_SAMPLES; i++) {
        int64_t begin_us = clock_us(CLOCK_REALTIME);
        int64_t round_trip_us;
        PGresult *result;
        if (!ask_timed(self,
                       "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS us",
                       check, &round_trip_us, &result)) {
            return false;
        }
        if (round_trip_us < *ret_round_trip_us) {
            *ret_round_trip_us = round_trip_us;
            *ret_ahead_us = doctor_number(result, 0, "us") - begin_us - round_trip_us / 2;
        }
        PQclear(result);
    }
    return true;
}

void doctor_check_clock(doctor_t *self, const PGresult *result, doctor_check_t *check)
{
    (void)result;
    int64_t ahead_us = 0;
    int64_t round_trip_us;
    if (!measure_clock(self, check, &ahead_us, &round_trip_us)) {
        return;
    }
    int64_t apart_us = ahead_us < 0 ? -ahead_us : ahead_us;
    char apart[DOCTOR_DURATION_BYTES];
    char doubt[DOCTOR_DURATION_BYTES];
    doctor_duration(apart_us, apart);
    doctor_duration((round_trip_us + 1) / 2, doubt);
    doctor_figure(check, "ahead_us", (double)ahead_us);
    doctor_figure(check, "round_trip_us", (double)round_trip_us);
    doctor_verdict_t verdict = apart_us > CLOCK_FAILURE_US   ? DOCTOR_FAILURE
                               : apart_us > CLOCK_WARNING_US ? DOCTOR_WARNING
                                                             : DOCTOR_OK;
    doctor_blame(check, verdict, "the server's is %s %s this machine's, give or take %s", apart,
                 ahead_us < 0 ? "behind" : "ahead of", doubt);
    if (verdict != DOCTOR_OK) {
        doctor_remedy(check, "Let both machines keep time with the same source, such as chrony.");
    }
}

/* --- latency --------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
    const int64_t *left = a;
    const int64_t *right = b;
    return (*left > *right) - (*left < *right);
}

/* Stops early once all together have taken as long as one may. */
static bool measure(doctor_t *self, const char *sql, doctor_check_t *check, int64_t *ret_median_us)
{
    int64_t samples[LATENCY_SAMPLES];
    int64_t total_us = 0;
    size_t count = 0;
    while (count < LATENCY_SAMPLES && total_us < self->timeout_us) {
        PGresult *result;
        if (!ask_timed(self, sql, check, &samples[count], &result)) {
            return false;
        }
        PQclear(result);
        total_us += samples[count++];
    }
    qsort(samples, count, sizeof samples[0], compare);
    *ret_median_us = samples[count / 2];
    return true;
}

#define COMMIT_MESSAGE "pg_logical_emit_message(true, 'capstan doctor', repeat('x', 256))"
static const char usual_commit[] = "SELECT " COMMIT_MESSAGE;
/* Set for the transaction: behind a pooler the session is others' too. */
static const char local_commit[] =
    "SELECT set_config('synchronous_commit', 'local', true), " COMMIT_MESSAGE;

/* A commit is measured by a message in the WAL, of the size of a small row. It is committed and
 * flushed as a row of a table is, needs no right to create tables, and leaves nothing in the
 * database, even when this process or the connection dies. A table would stay then; it would also
 * reach the subscribers of publications FOR ALL TABLES, who do not have it, and stop them. */
static void measure_commit(doctor_t *self, doctor_check_t *check)
{
    int64_t commit_us;
    if (self->standby) {
        doctor_blame(check, DOCTOR_SKIPPED, "a standby commits nothing");
        doctor_remedy(check, "Connect to the primary to measure its commits.");
        return;
    }
    if (!measure(self, self->commits_local ? local_commit : usual_commit, check, &commit_us)) {
        return;
    }
    char duration[DOCTOR_DURATION_BYTES];
    double per_second = 1e6 / (double)(commit_us > 0 ? commit_us : 1);
    doctor_say(check, "commit %s%s, %.0f per second one at a time",
               doctor_duration(commit_us, duration),
               self->commits_local ? " (with synchronous_commit = local)" : "", per_second);
    doctor_figure(check, "commit_us", (double)commit_us);
    doctor_figure(check, "commits_per_second", per_second);
}

void doctor_check_latency(doctor_t *self, const PGresult *result, doctor_check_t *check)
{
    (void)result;
    int64_t round_trip_us;
    if (!measure(self, "", check, &round_trip_us)) {
        return;
    }
    char duration[DOCTOR_DURATION_BYTES];
    doctor_say(check, "round trip %s", doctor_duration(round_trip_us, duration));
    doctor_figure(check, "round_trip_us", (double)round_trip_us);
    measure_commit(self, check);
}

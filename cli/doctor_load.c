/* What others do on the server: old transactions, idle sessions, replication slots. */
#include "cli/doctor.h"

#include <inttypes.h>
#include <stdio.h>

#define MINUTE_US INT64_C(60000000)
#define HOUR_US   (60 * MINUTE_US)

enum { BLAMED_MAX = 3 }; /* the rest is counted */

/* --- the horizon ----------------------------------------------------------------------------- */

typedef struct holder {
    const PGresult *result;
    int row;
} holder_t;

static const char *of(const holder_t *self, const char *column)
{
    return doctor_text(self->result, self->row, column);
}

static bool is_kind(const holder_t *self, const char *kind)
{
    return strcmp(of(self, "kind"), kind) == 0;
}

static int64_t age_us(const holder_t *self)
{
    return doctor_number(self->result, self->row, "age_us");
}

/* A session whose details this user may not see. */
static bool is_hidden(const holder_t *self)
{
    return is_kind(self, "session") && doctor_is_null(self->result, self->row, "age_us");
}

static void describe(const holder_t *self, char *ret_text, size_t text_size)
{
    char age[DOCTOR_DURATION_BYTES];
    char since[DOCTOR_DURATION_BYTES];
    doctor_duration(age_us(self), age);
    if (is_kind(self, "slot")) {
        snprintf(ret_text, text_size,
                 "slot %s, which nobody reads, holds a snapshot of %s "
                 "transactions ago",
                 of(self, "name"), of(self, "transactions"));
    } else if (is_kind(self, "prepared")) {
        snprintf(ret_text, text_size, "prepared transaction %s of %s (%s), %s old",
                 of(self, "name"), of(self, "owner"), of(self, "holds"), age);
    } else if (is_hidden(self)) {
        snprintf(ret_text, text_size,
                 "a transaction of pid %s (%s), which %s, and whose age this "
                 "user may not see",
                 of(self, "name"), of(self, "application"), of(self, "holds"));
    } else {
        snprintf(ret_text, text_size,
                 "a transaction of pid %s (%s, user %s, %s for %s), which %s, "
                 "%s old",
                 of(self, "name"), of(self, "application"), of(self, "owner"), of(self, "state"),
                 doctor_duration(doctor_number(self->result, self->row, "state_us"), since),
                 of(self, "holds"), age);
    }
}

static doctor_verdict_t judge_holder(const holder_t *self)
{
    if (is_hidden(self) || is_kind(self, "slot")) {
        return DOCTOR_WARNING;
    }
    return age_us(self) > HOUR_US     ? DOCTOR_FAILURE
           : age_us(self) > MINUTE_US ? DOCTOR_WARNING
                                      : DOCTOR_OK;
}

static void prescribe(const doctor_t *doctor, const holder_t *self, doctor_check_t *check)
{
    char *quoted = PQescapeLiteral(doctor->connection, of(self, "name"), strlen(of(self, "name")));
    const char *name = quoted ? quoted : "...";
    if (is_kind(self, "slot")) {
        doctor_remedy(check,
                      "Start its reader, or drop it with SELECT "
                      "pg_drop_replication_slot(%s).",
                      name);
    } else if (is_kind(self, "prepared")) {
        doctor_remedy(check, "End it with ROLLBACK PREPARED %s, or COMMIT PREPARED.", name);
    } else if (is_hidden(self)) {
        const char *user = PQuser(doctor->connection);
        char *identifier = PQescapeIdentifier(doctor->connection, user, strlen(user));
        doctor_remedy(check, "Let this user see it with GRANT pg_read_all_stats TO %s.",
                      identifier ? identifier : "...");
        PQfreemem(identifier);
    } else {
        doctor_remedy(check, "Let it end, or end it with SELECT pg_terminate_backend(%s).",
                      of(self, "name"));
    }
    PQfreemem(quoted);
}

void doctor_check_horizon(doctor_t *self, const PGresult *result, doctor_check_t *check)
{
    int blamed = 0;
    int rows = PQntuples(result);
    for (int i = 0; i < rows; i++) {
        holder_t holder = {result, i};
        char text[DOCTOR_TEXT_BYTES];
        describe(&holder, text, sizeof text);
        doctor_verdict_t verdict = judge_holder(&holder);
        if (verdict != DOCTOR_OK && blamed++ < BLAMED_MAX) {
            doctor_blame(check, verdict, "%s", text);
            prescribe(self, &holder, check);
        } else if (i == 0 && verdict == DOCTOR_OK) {
            doctor_say(check, "the oldest is %s", text);
        }
    }
    if (rows == 0) {
        doctor_say(check, "no other transaction is open");
    }
    if (blamed > BLAMED_MAX) {
        doctor_say(check, "and %d more", blamed - BLAMED_MAX);
    }
    doctor_figure(check, "oldest_us", rows > 0 ? (double)age_us(&(holder_t){result, 0}) : 0);
    doctor_figure(check, "holders", rows);
}

/* --- idle sessions --------------------------------------------------------------------------- */

void doctor_check_idle_sessions(doctor_t *self, const PGresult *result, doctor_check_t *check)
{
    (void)self;
    int64_t idle = doctor_number(result, 0, "idle");
    const char *timeout = doctor_text(result, 0, "timeout");
    bool unlimited = strcmp(timeout, "0") == 0;
    char longest[DOCTOR_DURATION_BYTES];
    doctor_duration(doctor_number(result, 0, "longest_us"), longest);
    doctor_figure(check, "idle", (double)idle);
    doctor_figure(check, "longest_us", (double)doctor_number(result, 0, "longest_us"));
    if (idle > 0 && unlimited) {
        doctor_blame(check, DOCTOR_WARNING,
                     "%" PRId64 " idle in transaction, the longest for %s, and "
                     "idle_in_transaction_session_timeout = 0 sets no limit",
                     idle, longest);
        doctor_remedy(check, "Set idle_in_transaction_session_timeout, such as to 1min, for the "
                             "server or for the users who leave transactions open.");
    } else if (idle > 0) {
        doctor_say(check, "%" PRId64 " idle in transaction, the longest for %s; the limit is %s",
                   idle, longest, timeout);
    } else {
        doctor_say(check, "none; idle_in_transaction_session_timeout = %s", timeout);
    }
}

/* --- replication slots ----------------------------------------------------------------------- */

static void judge_slots(const doctor_t *self, const PGresult *result, doctor_check_t *check)
{
    int blamed = 0;
    int64_t held_bytes = 0;
    for (int i = 0; i < PQntuples(result); i++) {
        const char *name = doctor_text(result, i, "name");
        int64_t bytes = doctor_number(result, i, "held_bytes");
        if (doctor_flag(result, i, "active") || bytes <= 0) {
            continue;
        }
        held_bytes = bytes > held_bytes ? bytes : held_bytes;
        if (blamed++ >= BLAMED_MAX) {
            continue;
        }
        char *quoted = PQescapeLiteral(self->connection, name, strlen(name));
        doctor_blame(check, DOCTOR_WARNING,
                     "slot %s, which nobody reads, holds back %" PRId64 " bytes of WAL", name,
                     bytes);
        doctor_remedy(check,
                      "Start its reader, or drop it with SELECT pg_drop_replication_slot(%s).",
                      quoted ? quoted : "...");
        PQfreemem(quoted);
    }
    if (blamed > BLAMED_MAX) {
        doctor_say(check, "and %d more", blamed - BLAMED_MAX);
    }
    doctor_figure(check, "held_bytes_max", (double)held_bytes);
}

void doctor_check_slots(doctor_t *self, const PGresult *result, doctor_check_t *check)
{
    int64_t slots = doctor_number(result, 0, "slots");
    int64_t slots_max = doctor_number(result, 0, "slots_max");
    const char *wal_level = doctor_text(result, 0, "wal_level");
    judge_slots(self, result, check);
    doctor_figure(check, "slots", (double)slots);
    doctor_figure(check, "slots_max", (double)slots_max);
    if (slots >= slots_max) {
        doctor_blame(check, DOCTOR_WARNING, "all of max_replication_slots = %" PRId64 " are taken",
                     slots_max);
        doctor_remedy(check, "Raise max_replication_slots, which wants a restart of the server.");
    } else {
        doctor_say(check, "%" PRId64 " of max_replication_slots = %" PRId64 " are taken", slots,
                   slots_max);
    }
    if (strcmp(wal_level, "logical") != 0) {
        doctor_blame(check, DOCTOR_WARNING, "wal_level = %s, with which there is no logical reader",
                     wal_level);
        doctor_remedy(check, "Set wal_level = logical, which wants a restart of the server, if "
                             "Capstan is to read by logical decoding.");
    } else {
        doctor_say(check, "wal_level = %s", wal_level);
    }
}

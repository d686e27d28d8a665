/* What the server is, what the user may do there, and how it is set. */
#include "cli/doctor.h"

#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

enum {
    VERSION_MIN = 13,
    VERSION_WANTED = 15,
    CONNECTIONS_FREE_MIN = 20,
};

/* The last release of each, as the PostgreSQL project announces it. */
static const struct support {
    int version;
    const char *end; /* UTC */
} supports[] = {
    {13, "2025-11-13"}, {14, "2026-11-12"}, {15, "2027-11-11"},
    {16, "2028-11-09"}, {17, "2029-11-08"}, {18, "2030-11-14"},
};

/* NULL: it is supported, or newer than this program. */
static const char *support_end(int version)
{
    char today[16];
    time_t now = time(NULL);
    struct tm utc;
    if (!gmtime_r(&now, &utc) || strftime(today, sizeof today, "%Y-%m-%d", &utc) == 0) {
        return NULL;
    }
    for (size_t i = 0; i < sizeof supports / sizeof supports[0]; i++) {
        if (supports[i].version == version) {
            return strcmp(today, supports[i].end) > 0 ? supports[i].end : NULL;
        }
    }
    return NULL;
}

void doctor_check_version(doctor_t *self, const PGresult *result, doctor_check_t *check)
{
    (void)self;
    int version = (int)(doctor_number(result, 0, "number") / 10000);
    const char *name = doctor_text(result, 0, "name");
    const char *end = support_end(version);
    doctor_figure(check, "version", version);
    if (version < VERSION_MIN) {
        doctor_blame(check, DOCTOR_FAILURE, "PostgreSQL %s is too old", name);
        doctor_remedy(check, "Upgrade the server to PostgreSQL %d or newer.", VERSION_WANTED);
    } else if (end) {
        doctor_blame(check, DOCTOR_WARNING, "PostgreSQL %s is out of support since %s", name, end);
        doctor_remedy(check, "Upgrade the server to a version that is maintained.");
    } else if (version < VERSION_WANTED) {
        doctor_say(check, "PostgreSQL %s; %d or newer is recommended", name, VERSION_WANTED);
    } else {
        doctor_say(check, "PostgreSQL %s", name);
    }
}

/* --- rights ---------------------------------------------------------------------------------- */

static void judge_more_than_needed(const PGresult *result, doctor_check_t *check)
{
    const char *user = doctor_text(result, 0, "user");
    const char *needless = doctor_text(result, 0, "needless");
    if (doctor_flag(result, 0, "superuser")) {
        doctor_blame(check, DOCTOR_WARNING, "%s is a superuser", user);
        doctor_remedy(check, "Let Capstan connect as a user of its own that owns its schema and is "
                             "no superuser.");
    } else if (*needless) {
        doctor_blame(check, DOCTOR_WARNING, "%s has %s, which is not needed", user, needless);
        doctor_remedy(check, "Take it away with ALTER ROLE, or use another user.");
    }
}

void doctor_check_rights(doctor_t *self, const PGresult *result, doctor_check_t *check)
{
    (void)self;
    const char *user = doctor_text(result, 0, "user");
    const char *schema = doctor_text(result, 0, "schema");
    const char *database = doctor_text(result, 0, "database");
    if (!*schema) {
        doctor_blame(check, DOCTOR_FAILURE,
                     "no schema of search_path exists, so that tables have "
                     "no place");
        doctor_remedy(check,
                      "Create a schema for %s, and name it in ALTER ROLE ... SET "
                      "search_path.",
                      user);
    } else if (!doctor_flag(result, 0, "tables")) {
        doctor_blame(check, DOCTOR_FAILURE, "%s may not create tables in schema %s", user, schema);
        doctor_remedy(check,
                      "Give it the right with GRANT CREATE ON SCHEMA %s TO %s, or a schema "
                      "of its own.",
                      schema, user);
    } else {
        /* The right to create schemas too is only for who is to make Capstan's. */
        doctor_say(check, "%s may create tables in schema %s%s%s", user, schema,
                   doctor_flag(result, 0, "schemas") ? ", and schemas in database " : "",
                   doctor_flag(result, 0, "schemas") ? database : "");
    }
    if (!doctor_flag(result, 0, "temporary")) {
        doctor_blame(check, DOCTOR_WARNING, "%s may not create temporary tables", user);
        doctor_remedy(check, "Give it the right with GRANT TEMPORARY ON DATABASE %s TO %s.",
                      database, user);
    }
    judge_more_than_needed(result, check);
}

void doctor_check_role(doctor_t *self, const PGresult *result, doctor_check_t *check)
{
    self->standby = doctor_flag(result, 0, "standby");
    if (self->standby) {
        doctor_blame(check, DOCTOR_FAILURE, "a standby in recovery, which takes no writes");
        doctor_remedy(check, "Connect to the primary: name all servers in host and add "
                             "target_session_attrs=read-write.");
    } else if (strcmp(doctor_text(result, 0, "read_only"), "on") == 0) {
        doctor_blame(check, DOCTOR_FAILURE, "default_transaction_read_only is on");
        doctor_remedy(check, "Set default_transaction_read_only = off for the user or the "
                             "database with ALTER ROLE or ALTER DATABASE, or connect to the server "
                             "that takes writes.");
    } else {
        doctor_say(check, "primary, read-write");
    }
}

/* --- durability ------------------------------------------------------------------------------ */

typedef struct expected {
    const char *value;
    const char *without; /* what it means when it is not so */
    const char *remedy;
} expected_t;

static void judge_setting(const expected_t *expected, const PGresult *result, doctor_check_t *check)
{
    const char *value = doctor_text(result, 0, "value");
    if (strcmp(value, expected->value) == 0) {
        doctor_say(check, "%s", value);
        return;
    }
    doctor_blame(check, DOCTOR_FAILURE, "%s: %s", value, expected->without);
    doctor_remedy(check, "%s", expected->remedy);
}

void doctor_check_fsync(doctor_t *self, const PGresult *result, doctor_check_t *check)
{
    (void)self;
    judge_setting(&(expected_t){"on", "a crash of the machine can lose the whole database",
                                "Set fsync = on (ALTER SYSTEM SET fsync = on, then SELECT "
                                "pg_reload_conf())."},
                  result, check);
}

void doctor_check_full_page_writes(doctor_t *self, const PGresult *result, doctor_check_t *check)
{
    (void)self;
    judge_setting(
        &(expected_t){"on", "a crash of the machine can leave pages that are half old, half new",
                      "Set full_page_writes = on (ALTER SYSTEM SET full_page_writes = "
                      "on, then SELECT pg_reload_conf())."},
        result, check);
}

void doctor_check_synchronous_commit(doctor_t *self, const PGresult *result, doctor_check_t *check)
{
    static const struct {
        const char *value;
        const char *meaning; /* of a stored event */
    } meanings[] = {
        {"off", "an event may be answered as stored and be lost by a crash of the server"},
        {"local", "a stored event is on this server's disk; standbys are not waited for"},
        {"remote_write", "a stored event is on this server's disk, and in the memory of the "
                         "machine of each synchronous standby"},
        {"on", "a stored event is on this server's disk, and on that of each synchronous standby"},
        {"remote_apply", "a stored event is on this server's disk, and on each synchronous standby "
                         "can be read"},
    };
    const char *value = doctor_text(result, 0, "value");
    const char *meaning = "a value that this program does not know";
    for (size_t i = 0; i < sizeof meanings / sizeof meanings[0]; i++) {
        meaning = strcmp(value, meanings[i].value) == 0 ? meanings[i].meaning : meaning;
    }
    if (strcmp(value, "off") != 0) {
        doctor_say(check, "%s: %s", value, meaning);
        return;
    }
    self->commits_local = true;
    doctor_blame(check, DOCTOR_FAILURE, "%s: %s", value, meaning);
    doctor_remedy(check, "Set synchronous_commit = on, for the server or for this user with ALTER "
                         "ROLE.");
}

void doctor_check_synchronous_standbys(doctor_t *self, const PGresult *result,
                                       doctor_check_t *check)
{
    const char *names = doctor_text(result, 0, "names");
    const char *commits = doctor_text(result, 0, "commits");
    int64_t connected = doctor_number(result, 0, "connected");
    int64_t synchronous = doctor_number(result, 0, "synchronous");
    bool waits = strcmp(commits, "off") != 0 && strcmp(commits, "local") != 0;
    doctor_figure(check, "connected", (double)connected);
    doctor_figure(check, "synchronous", (double)synchronous);
    if (!*names) {
        doctor_say(check, "none: a stored event is on one server, and `replicated` cannot be "
                          "promised");
    } else if (!waits) {
        doctor_say(check,
                   "%s, but synchronous_commit = %s does not wait for them, so that "
                   "`replicated` cannot be promised",
                   names, commits);
    } else if (synchronous > 0) {
        doctor_say(check, "%s, of which %" PRId64 " connected: `replicated` can be promised", names,
                   synchronous);
    } else if (connected > 0 && connected == doctor_number(result, 0, "hidden")) {
        doctor_say(check,
                   "%s; %" PRId64 " standbys are connected, whose state this user may not "
                   "see",
                   names, connected);
    } else {
        self->commits_local = true;
        doctor_blame(check, DOCTOR_FAILURE, "%s, none of which is connected: no commit returns",
                     names);
        doctor_remedy(check, "Start a standby of that name, or take it out of "
                             "synchronous_standby_names and reload.");
    }
}

/* --- the session ----------------------------------------------------------------------------- */

/* Without an address it is a socket of this machine. */
static bool is_local(const char *address)
{
    return !address || !*address || strncmp(address, "127.", 4) == 0 ||
           strncmp(address, "::ffff:127.", 11) == 0 || strcmp(address, "::1") == 0;
}

void doctor_check_tls(doctor_t *self, const PGresult *result, doctor_check_t *check)
{
    (void)result;
    const char *address = PQhostaddr(self->connection);
    if (PQsslInUse(self->connection)) {
        doctor_say(check, "%s, %s", PQsslAttribute(self->connection, "protocol"),
                   PQsslAttribute(self->connection, "cipher"));
    } else if (PQgssEncInUse(self->connection)) {
        doctor_say(check, "encrypted by GSSAPI");
    } else if (is_local(address)) {
        doctor_say(check, "not encrypted, and stays on this machine");
    } else {
        doctor_blame(check, DOCTOR_WARNING, "not encrypted on the way to %s", address);
        doctor_remedy(check, "Set ssl = on at the server, and sslmode=verify-full with sslrootcert "
                             "in CONNINFO.");
    }
}

void doctor_check_encoding(doctor_t *self, const PGresult *result, doctor_check_t *check)
{
    (void)self;
    judge_setting(&(expected_t){"UTF8", "text of Capstan's may not fit",
                                "Create a database with CREATE DATABASE ... ENCODING 'UTF8' "
                                "TEMPLATE template0, and use that."},
                  result, check);
}

void doctor_check_standard_conforming_strings(doctor_t *self, const PGresult *result,
                                              doctor_check_t *check)
{
    (void)self;
    judge_setting(&(expected_t){"on", "SQL text with a backslash means something else",
                                "Set standard_conforming_strings = on for the server, the "
                                "database or the user."},
                  result, check);
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

void doctor_check_connections(doctor_t *self, const PGresult *result, doctor_check_t *check)
{
    (void)self;
    int64_t used = doctor_number(result, 0, "used");
    int64_t maximum = doctor_number(result, 0, "maximum");
    int64_t reserved = doctor_number(result, 0, "reserved");
    int64_t left = maximum - reserved - used;
    if (doctor_number(result, 0, "database_limit") >= 0) {
        left = smaller(left, doctor_number(result, 0, "database_limit") -
                                 doctor_number(result, 0, "database_used"));
    }
    if (doctor_number(result, 0, "user_limit") >= 0) {
        left = smaller(left, doctor_number(result, 0, "user_limit") -
                                 doctor_number(result, 0, "user_used"));
    }
    left = left > 0 ? left : 0;
    doctor_figure(check, "maximum", (double)maximum);
    doctor_figure(check, "reserved", (double)reserved);
    doctor_figure(check, "used", (double)used);
    doctor_figure(check, "free", (double)left);
    bool few = left < CONNECTIONS_FREE_MIN;
    doctor_blame(check, few ? DOCTOR_WARNING : DOCTOR_OK,
                 "%" PRId64 " free: %" PRId64 " of max_connections = %" PRId64 " are used, %" PRId64
                 " reserved",
                 left, used, maximum, reserved);
    if (few) {
        doctor_remedy(check, "Raise max_connections (and limits of the database or the user), or "
                             "close connections that nobody needs.");
    }
}

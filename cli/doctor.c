/* `capstan doctor`: looks at a PostgreSQL database that Capstan is to use, and says what is wrong
 * with it and what to do. Changes nothing there. */
#include "cli/doctor.h"

#include "cli/cli.h"
#include "cli/options.h"
#include "runtime/base/json_writer.h"
#include "runtime/postgres/postgres_names.h"

#include <stdio.h>

#define TIMEOUT_MIN_US INT64_C(10000)
#define TIMEOUT_MAX_US INT64_C(3600000000)

enum { NAME_WIDTH = 29, VERDICT_WIDTH = 9 };

/* Embedded from config/sql. */
extern const char sql_doctor_rights[];
extern const char sql_doctor_standbys[];
extern const char sql_doctor_connections[];
extern const char sql_doctor_horizon[];
extern const char sql_doctor_idle_sessions[];
extern const char sql_doctor_slots[];

static const struct row {
    const char *name;
    const char *sql;
    void (*judge)(doctor_t *doctor, const PGresult *result, doctor_check_t *check);
} rows[] = {
#define CHECK(name, sql, meaning) {#name, sql, doctor_check_##name},
#include "cli/doctor_checks.def"
#undef CHECK
};
enum { ROW_COUNT = sizeof rows / sizeof rows[0] };

static const char *const verdicts[DOCTOR_VERDICT_COUNT] = {"ok", "skipped", "warning", "failure"};

static void run(doctor_t *self, const struct row *row, doctor_check_t *check)
{
    if (row != &rows[0] && !self->connection) {
        doctor_blame(check, DOCTOR_SKIPPED, "the connection was lost before");
        doctor_remedy(check, "Run it again once the failure above is mended.");
        return;
    }
    if (!row->sql) {
        row->judge(self, NULL, check);
        return;
    }
    PGresult *result;
    doctor_end_t end = doctor_ask(self, row->sql, &result);
    if (doctor_is_wrong(self, end, result, check)) {
        PQclear(result);
        return;
    }
    if (PQntuples(result) == 0 && strcmp(row->name, "horizon") != 0) {
        doctor_blame(check, DOCTOR_SKIPPED, "the server has no answer");
        doctor_remedy(check, "Ask as a user that may see the server's catalogs.");
    } else {
        row->judge(self, result, check);
    }
    PQclear(result);
}

/* --- printing -------------------------------------------------------------------------------- */

/* Names and texts are the server's: what could steer the terminal is escaped, as in a string of
 * JSON, but for the quotation marks, which people read. */
static void print_text(const buffer_t *text)
{
    buffer_t safe = {0};
    slice_t rest = buffer_slice(text);
    while (rest.size > 0) {
        const char *begin = rest.data;
        const char *mark = memchr(begin, '"', rest.size);
        size_t size = mark ? (size_t)(mark - begin) : rest.size;
        emit_escaped(&safe, slice_of(begin, size));
        buffer_append(&safe, "\"", mark ? 1 : 0);
        size += mark ? 1 : 0;
        rest = slice_of(begin + size, rest.size - size);
    }
    printf("%.*s", (int)safe.size, (const char *)safe.data);
    buffer_fini(&safe);
}

static void print_check(const char *name, const doctor_check_t *check)
{
    printf("%-*s%-*s", NAME_WIDTH, name, VERDICT_WIDTH, verdicts[check->verdict]);
    print_text(&check->found);
    if (check->remedy.size > 0) {
        printf(". ");
        print_text(&check->remedy);
    }
    printf("\n");
    fflush(stdout);
}

static void emit_check(json_writer_t *json, const char *name, const doctor_check_t *check)
{
    emit_object_begin(json);
    emit_key(json, "name");
    emit_string(json, name);
    emit_key(json, "verdict");
    emit_string(json, verdicts[check->verdict]);
    emit_key(json, "found");
    emit_text(json, buffer_slice(&check->found));
    if (check->remedy.size > 0) {
        emit_key(json, "remedy");
        emit_text(json, buffer_slice(&check->remedy));
    }
    for (size_t i = 0; i < check->figure_count; i++) {
        emit_key(json, check->figures[i].name);
        emit_double(json, check->figures[i].value);
    }
    emit_object_end(json);
}

static void print_sums(const unsigned counts[DOCTOR_VERDICT_COUNT])
{
    printf("%u ok, %u skipped, %u warning%s, %u failure%s\n", counts[DOCTOR_OK],
           counts[DOCTOR_SKIPPED], counts[DOCTOR_WARNING], counts[DOCTOR_WARNING] == 1 ? "" : "s",
           counts[DOCTOR_FAILURE], counts[DOCTOR_FAILURE] == 1 ? "" : "s");
}

static void emit_sums(json_writer_t *json, const unsigned counts[DOCTOR_VERDICT_COUNT])
{
    for (size_t i = 0; i < DOCTOR_VERDICT_COUNT; i++) {
        emit_key(json, verdicts[i]);
        emit_uint(json, counts[i]);
    }
}

/* --- the command ----------------------------------------------------------------------------- */

/* Without a connection there is nothing to say of the other checks. */
static void run_all(doctor_t *self, json_writer_t *json, unsigned counts[DOCTOR_VERDICT_COUNT])
{
    for (size_t i = 0; i < ROW_COUNT; i++) {
        doctor_check_t check = {.verdict = DOCTOR_OK};
        run(self, &rows[i], &check);
        counts[check.verdict]++;
        if (json) {
            emit_check(json, rows[i].name, &check);
        } else {
            print_check(rows[i].name, &check);
        }
        doctor_check_fini(&check);
        if (i == 0 && !self->connection) {
            return;
        }
    }
}

static int examine(doctor_t *self, bool as_json)
{
    unsigned counts[DOCTOR_VERDICT_COUNT] = {0};
    if (as_json) {
        buffer_t out = {0};
        json_writer_t json = json_writer(&out);
        emit_object_begin(&json);
        emit_key(&json, "checks");
        emit_array_begin(&json);
        run_all(self, &json, counts);
        emit_array_end(&json);
        emit_sums(&json, counts);
        emit_object_end(&json);
        printf("%.*s\n", (int)out.size, (const char *)out.data);
        buffer_fini(&out);
    } else {
        run_all(self, NULL, counts);
        print_sums(counts);
    }
    doctor_hang_up(self);
    postgres_lookup_drop(&self->lookup);
    postgres_target_destroy(&self->target);
    return counts[DOCTOR_FAILURE] == 0 ? EXIT_DONE : EXIT_FAILED;
}

/* What cannot be read is wrong usage; what is in it is not repeated, as it may be a password. */
static int check_usage(const command_line_t *line, const doctor_t *doctor)
{
    postgres_target_t *target = NULL;
    char text[DOCTOR_TEXT_BYTES] = "";
    if (doctor->timeout_us < TIMEOUT_MIN_US || doctor->timeout_us > TIMEOUT_MAX_US) {
        return options_wrong(line, "--timeout: allowed are 10ms to 1h");
    }
    if (postgres_target_new(&(postgres_options_t){.conninfo = doctor->conninfo}, &target, text,
                            sizeof text) != CAPSTAN_OK) {
        return options_wrong(line,
                             "CONNINFO: %s; it is libpq's, such as \"host=db dbname=orders\" "
                             "or postgresql://db/orders",
                             text);
    }
    postgres_target_destroy(&target);
    return OPTIONS_RUN;
}

int cli_doctor(int argc, char **argv)
{
    doctor_t doctor = {.conninfo = ""};
    bool as_json = false;
    const option_t options[] = {
        {.name = "password-file",
         .argument = "FILE",
         .type = OPTION_TEXT,
         .target.text = &doctor.password_file,
         .meaning = "its first line is the password; arguments can be seen by others"},
        {.name = "timeout",
         .argument = "TIME",
         .type = OPTION_TIME,
         .initial = "10s",
         .target.time_us = &doctor.timeout_us,
         .meaning = "of each step: a host's address, the connection, a statement"},
        {.name = "json",
         .type = OPTION_FLAG,
         .target.flag = &as_json,
         .meaning = "print one JSON object"},
    };
    const command_line_t line = {
        .usage = "capstan doctor [CONNINFO] [--password-file FILE] [--timeout TIME] [--json]",
        .summary = "Examines a PostgreSQL database that Capstan is to use, and prints a line per "
                   "check: what was\nfound, and unless that is ok, what to do. CONNINFO is "
                   "libpq's, keywords and values or a URI;\nwithout it libpq's environment counts. "
                   "Leaves nothing behind in the database. Exit status 1\nwhen a check is a "
                   "failure; warnings are none.\n\nChecks:"
#define CHECK(name, sql, meaning) "\n  " #name ": " meaning
#include "cli/doctor_checks.def"
#undef CHECK
        ,
        .examples = "  capstan doctor \"host=db.example.org dbname=orders user=capstan\" "
                    "--password-file secret\n"
                    "  capstan doctor postgresql://capstan@127.0.0.1/orders --json | jq .failure\n",
        .options = options,
        .count = OPTION_COUNT(options),
        .operands_max = 1};
    operands_t operands;
    int status = options_parse(&line, argc, argv, &operands);
    if (status != OPTIONS_RUN) {
        return status;
    }
    if (operands.count == 1) {
        doctor.conninfo = operands.items[0];
    }
    status = check_usage(&line, &doctor);
    return status == OPTIONS_RUN ? examine(&doctor, as_json) : status;
}

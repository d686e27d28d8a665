/* What the parts of `capstan doctor` share: the connection that is examined, and what a check
 * finds.
 *
 *   doctor.c          the command: options, runs the table, prints
 *   doctor_check.c    verdicts, texts and figures of one check
 *   doctor_link.c     connecting and asking, within a deadline
 *   doctor_connect.c  the check `connection`: why there is none
 *   doctor_server.c   what the server is and how it is set
 *   doctor_load.c     what others do on it: transactions, slots, connections
 *   doctor_timing.c   clock and latency */
#ifndef CLI_DOCTOR_H
#define CLI_DOCTOR_H

#include "runtime/base/buffer.h"
#include "runtime/postgres/postgres_link.h"

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

/* The worst one of what a check has found counts. */
typedef enum doctor_verdict {
    DOCTOR_OK,
    DOCTOR_SKIPPED,
    DOCTOR_WARNING,
    DOCTOR_FAILURE,
    DOCTOR_VERDICT_COUNT
} doctor_verdict_t;

enum {
    DOCTOR_FIGURES_MAX = 8,
    DOCTOR_TEXT_BYTES = 1024, /* one text of the server's, or one remedy */
};

typedef struct doctor_check {
    doctor_verdict_t verdict;
    doctor_verdict_t last; /* of what was found last */
    buffer_t found;
    buffer_t remedy; /* of the verdict; empty when it is OK */
    struct {
        const char *name;
        double value;
    } figures[DOCTOR_FIGURES_MAX]; /* for programs */
    size_t figure_count;
} doctor_check_t;

typedef struct doctor {
    const char *conninfo;
    const char *password_file; /* NULL: none */
    int64_t timeout_us;        /* of each step */
    PGconn *connection;        /* NULL: none yet, or it is lost */
    postgres_target_t *target;
    size_t skip;               /* so many of its places said nothing */
    postgres_lookup_t *lookup; /* its addresses; NULL: it has no names */
    bool standby;              /* it takes no writes */
    /* Commits as this session would make them are no measure of the disk: they do not wait for it,
     * or they wait for a standby that is not there. */
    bool commits_local;
    char lost[DOCTOR_TEXT_BYTES]; /* why the connection is */
} doctor_t;

/* --- doctor_check.c --- */

/* One more thing that was found and is as it should be. */
void doctor_say(doctor_check_t *self, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The same with its verdict; if that is not OK, doctor_remedy must come next. */
void doctor_blame(doctor_check_t *self, doctor_verdict_t verdict, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Whole sentences. Ignored when something worse was found before. */
void doctor_remedy(doctor_check_t *self, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* `name` is static and has its unit. */
void doctor_figure(doctor_check_t *self, const char *name, double value);
void doctor_check_fini(doctor_check_t *self);

enum { DOCTOR_DURATION_BYTES = 32 };
/* "850 us", "12.3 ms", "4.0 s", "12 min", "3.5 h", "2.1 days". */
const char *doctor_duration(int64_t us, char text[DOCTOR_DURATION_BYTES]);

/* --- doctor_link.c --- */

typedef enum doctor_end {
    DOCTOR_DONE,
    DOCTOR_LATE, /* no answer in time */
    DOCTOR_LOST, /* the connection failed */
} doctor_end_t;

/* Waits until a descriptor is ready; false: the time is up. */
bool doctor_await(int fd, short events, int64_t until_us);
/* Drives a connection that postgres_begin made. */
doctor_end_t doctor_connect(PGconn *connection, int64_t timeout_us);
/* Asks one statement. On DOCTOR_DONE, `ret_result` is its result, which may be an error of the
 * server's, and is the caller's; otherwise the connection is gone, and what went on there is
 * cancelled as far as the server still answers. */
doctor_end_t doctor_ask(doctor_t *self, const char *sql, PGresult **ret_result);
void doctor_hang_up(doctor_t *self);
/* Writes down that the statement got no answer, or an error for one; false: it was good. */
bool doctor_is_wrong(doctor_t *self, doctor_end_t end, const PGresult *result,
                     doctor_check_t *check);

/* Of a result with named columns; what is NULL is "", 0, false. */
const char *doctor_text(const PGresult *result, int row, const char *column);
int64_t doctor_number(const PGresult *result, int row, const char *column);
bool doctor_flag(const PGresult *result, int row, const char *column);
bool doctor_is_null(const PGresult *result, int row, const char *column);

/* --- the checks --- */

#define CHECK(name, sql, meaning)                                                                  \
    void doctor_check_##name(doctor_t *self, const PGresult *result, doctor_check_t *check);
#include "cli/doctor_checks.def"
#undef CHECK

#endif

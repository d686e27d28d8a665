/* PostgreSQL servers of a benchmark's own, of the newest version that is installed. They run as an
 * unprivileged user, listen on a socket in a folder that nobody else enters, and end with this
 * process. */
#ifndef CLI_BENCH_POSTGRES_H
#define CLI_BENCH_POSTGRES_H

#include <capstan/error.h>
#include <sys/types.h>

typedef struct bench_postgres {
    char folder[64]; /* libpq's `host`; the port is 5432, the user `bench` */
    pid_t server;    /* 0: it does not run */
} bench_postgres_t;

/* Why there can be none; NULL: there can. */
const char *bench_postgres_missing(void);

/* Makes one and waits until it answers. `primary`, which runs, is what it is a standby of; NULL: of
 * none. stderr says what is wrong. It is closed whatever comes of it. */
CAPSTAN_MUST_CHECK capstan_err_t bench_postgres_open(bench_postgres_t *self,
                                                     const bench_postgres_t *primary);
/* As in a crash: sessions hear nothing but the end of their connections. */
void bench_postgres_stop(bench_postgres_t *self);
/* One that is all zeros is accepted. */
void bench_postgres_close(bench_postgres_t *self);

#endif

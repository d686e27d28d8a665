/* A PostgreSQL server of a test's own, a node, and pools between them. */
#ifndef POOL_KIT_H
#define POOL_KIT_H

#include "include/capstan/pool.h"

#include <criterion/criterion.h>
#include <libpq-fe.h>
#include <sys/types.h>

enum { KIT_LONG_US = 30000000 };

typedef struct pool_kit {
    char folder[64];
    char conninfo[320]; /* with the password */
    char no_password[256];
    char password_file[128];
    char log_file[128]; /* of the node */
    int port;
    int log_fd;
    pid_t server; /* 0: it does not run */
    capstan_node_t *node;
    char text[512]; /* of the last call that failed */
} pool_kit_t;

/* `setting` is a line of postgresql.conf, or NULL. */
void pg_open(pool_kit_t *self, const char *setting);
void pg_close(pool_kit_t *self);
/* What the node has written to its log; valid until the next call. */
const char *pg_log(const pool_kit_t *self);
void pg_rest(void); /* a few milliseconds */
/* A standby of a server that runs, without a node of its own. */
void pg_open_standby(pool_kit_t *self, const pool_kit_t *primary);
/* Returns when it is a primary. */
void pg_promote(pool_kit_t *self);

void pg_start_server(pool_kit_t *self);
/* Sends it a signal; one that ends it is waited for. */
void pg_signal_server(pool_kit_t *self, int signal);

capstan_pool_t *pg_pool(pool_kit_t *self, const capstan_pool_options_t *options);
void pg_close_pool(capstan_pool_t **pool);
capstan_lease_t pg_take(pool_kit_t *self, capstan_pool_t *pool);
/* A take fails with this error, and a text that has the words in it. */
void pg_refuse(pool_kit_t *self, capstan_pool_t *pool, int64_t timeout_us, capstan_err_t wanted,
               const char *words);
void pg_give(capstan_pool_t *pool, capstan_lease_t *lease);
/* One is taken and given back for half a second each time, and is always the same. */
void pg_keep(pool_kit_t *self, capstan_pool_t *pool);
/* The first field of the first row, or "" without one; the statement must succeed. */
const char *pg_sql(struct pg_conn *connection, const char *sql);
/* On a connection of the kit's own. */
const char *pg_ask_server(pool_kit_t *self, const char *sql);

/* Looks every few milliseconds until the pool's figures are as wanted. */
typedef bool pg_wanted_fn(const capstan_pool_figures_t *figures, uint64_t number);
void pg_until(capstan_pool_t *pool, pg_wanted_fn *wanted, uint64_t number, const char *what);
bool pg_idle(const capstan_pool_figures_t *figures, uint64_t number);
bool pg_idle_least(const capstan_pool_figures_t *figures, uint64_t number);
bool pg_waiters(const capstan_pool_figures_t *figures, uint64_t number);

#endif

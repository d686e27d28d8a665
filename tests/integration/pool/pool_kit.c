/* See pool_kit.h. */
#include "pool_kit.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PAUSE_US = 5000, TRIES_MAX = KIT_LONG_US / PAUSE_US };

void pg_rest(void)
{
    nanosleep(&(struct timespec){.tv_nsec = PAUSE_US * 1000L}, NULL);
}

static void script_path(char *path, size_t size)
{
    const char *source = getenv("CAPSTAN_SOURCE_DIR");
    cr_assert_not_null(source, "CAPSTAN_SOURCE_DIR");
    snprintf(path, size, "%s/tests/kit/postgres/cluster", source);
}

/* What the script prints is the port of the cluster that it has made. */
static void make_cluster(pool_kit_t *self, const char *how, const char *arguments)
{
    char script[512];
    char line[1024];
    *self = (pool_kit_t){.folder = "/tmp/capstan-postgres-XXXXXX"};
    cr_assert_not_null(mkdtemp(self->folder));
    script_path(script, sizeof script);
    snprintf(line, sizeof line, "%s %s %s %s", script, how, self->folder, arguments);
    FILE *output = popen(line, "r");
    cr_assert_not_null(output);
    cr_assert_eq(fscanf(output, "%d", &self->port), 1, "no cluster was made");
    cr_assert_eq(pclose(output), 0);
    snprintf(self->no_password, sizeof self->no_password,
             "host=127.0.0.1 port=%d user=capstan dbname=postgres", self->port);
    snprintf(self->conninfo, sizeof self->conninfo, "%s password=secret", self->no_password);
    snprintf(self->password_file, sizeof self->password_file, "%s/own", self->folder);
}

void pg_start_server(pool_kit_t *self)
{
    char script[512];
    script_path(script, sizeof script);
    self->server = fork();
    cr_assert_geq(self->server, 0);
    if (self->server == 0) {
        execl(script, script, "run", self->folder, (char *)NULL);
        _exit(127);
    }
    for (int i = 0; i < TRIES_MAX && PQping(self->conninfo) != PQPING_OK; i++) {
        pg_rest();
    }
    cr_assert_eq(PQping(self->conninfo), PQPING_OK, "the server does not start");
}

void pg_signal_server(pool_kit_t *self, int signal)
{
    cr_assert_eq(kill(self->server, signal), 0);
    if (signal != SIGSTOP && signal != SIGCONT) {
        cr_assert_eq(waitpid(self->server, NULL, 0), self->server);
        self->server = 0;
    }
}

void pg_open(pool_kit_t *self, const char *setting)
{
    char settings[256];
    snprintf(settings, sizeof settings, "'max_connections = 60' '%s'", setting ? setting : "");
    make_cluster(self, "make", settings);
    snprintf(self->log_file, sizeof self->log_file, "%s/node-log", self->folder);
    pg_start_server(self);
    self->log_fd = open(self->log_file, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    cr_assert_geq(self->log_fd, 0);
    cr_assert_eq(capstan_node_new(&(capstan_node_options_t){.log_fd = self->log_fd}, &self->node),
                 CAPSTAN_OK);
}

const char *pg_log(const pool_kit_t *self)
{
    static char text[1 << 16];
    FILE *file = fopen(self->log_file, "r");
    cr_assert_not_null(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    return text;
}

void pg_open_standby(pool_kit_t *self, const pool_kit_t *primary)
{
    char port[16];
    snprintf(port, sizeof port, "%d", primary->port);
    make_cluster(self, "standby", port);
    pg_start_server(self);
}

void pg_promote(pool_kit_t *self)
{
    char script[512];
    char line[1024];
    script_path(script, sizeof script);
    snprintf(line, sizeof line, "%s promote %s", script, self->folder);
    cr_assert_eq(system(line), 0);
}

void pg_close(pool_kit_t *self)
{
    char line[128];
    if (self->node) {
        cr_assert_eq(capstan_node_stop(&self->node, KIT_LONG_US, NULL, NULL), CAPSTAN_OK);
    }
    if (self->log_fd > 0) { /* a standby has no node */
        close(self->log_fd);
    }
    if (self->server > 0) {
        pg_signal_server(self, SIGQUIT);
    }
    snprintf(line, sizeof line, "rm -rf %s", self->folder);
    cr_assert_eq(system(line), 0);
}

capstan_pool_t *pg_pool(pool_kit_t *self, const capstan_pool_options_t *options)
{
    capstan_pool_t *pool;
    capstan_pool_options_t all = *options;
    all.name = "orders";
    all.conninfo = all.conninfo ? all.conninfo : self->conninfo;
    capstan_err_t err = capstan_pool_open(self->node, &all, &pool, self->text, sizeof self->text);
    cr_assert_eq(err, CAPSTAN_OK, "%s: %s", capstan_err_name(err), self->text);
    return pool;
}

void pg_close_pool(capstan_pool_t **pool)
{
    cr_assert_eq(capstan_pool_close(pool, KIT_LONG_US), CAPSTAN_OK);
    cr_assert_null(*pool);
}

capstan_lease_t pg_take(pool_kit_t *self, capstan_pool_t *pool)
{
    capstan_lease_t lease;
    capstan_err_t err = capstan_pool_take(pool, KIT_LONG_US, &lease, self->text, sizeof self->text);
    cr_assert_eq(err, CAPSTAN_OK, "%s: %s", capstan_err_name(err), self->text);
    return lease;
}

void pg_refuse(pool_kit_t *self, capstan_pool_t *pool, int64_t timeout_us, capstan_err_t wanted,
               const char *words)
{
    capstan_lease_t lease;
    capstan_err_t err = capstan_pool_take(pool, timeout_us, &lease, self->text, sizeof self->text);
    cr_assert_eq(err, wanted, "%s in place of %s: %s", capstan_err_name(err),
                 capstan_err_name(wanted), self->text);
    cr_assert_not_null(strstr(self->text, words), "%s", self->text);
}

void pg_give(capstan_pool_t *pool, capstan_lease_t *lease)
{
    cr_assert_eq(capstan_pool_give(pool, lease), CAPSTAN_OK);
    cr_assert_null(lease->connection);
}

void pg_keep(pool_kit_t *self, capstan_pool_t *pool)
{
    int first = 0;
    for (int round = 0; round < 3; round++) {
        capstan_lease_t lease = pg_take(self, pool);
        first = first ? first : PQbackendPID(lease.connection);
        cr_assert_eq(PQbackendPID(lease.connection), first);
        pg_give(pool, &lease);
        for (int i = 0; i < 500000 / PAUSE_US; i++) {
            pg_rest();
        }
    }
}

const char *pg_sql(struct pg_conn *connection, const char *sql)
{
    static char value[256];
    PGresult *result = PQexec(connection, sql);
    ExecStatusType status = PQresultStatus(result);
    cr_assert(status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK, "%s: %s", sql,
              PQresultErrorMessage(result));
    snprintf(value, sizeof value, "%s",
             PQntuples(result) > 0 && PQnfields(result) > 0 ? PQgetvalue(result, 0, 0) : "");
    PQclear(result);
    return value;
}

const char *pg_ask_server(pool_kit_t *self, const char *sql)
{
    PGconn *connection = PQconnectdb(self->conninfo);
    cr_assert_eq(PQstatus(connection), CONNECTION_OK, "%s", PQerrorMessage(connection));
    const char *value = pg_sql(connection, sql);
    PQfinish(connection);
    return value;
}

void pg_until(capstan_pool_t *pool, pg_wanted_fn *wanted, uint64_t number, const char *what)
{
    capstan_pool_figures_t figures = capstan_pool_figures(pool);
    for (int i = 0; i < TRIES_MAX && !wanted(&figures, number); i++) {
        pg_rest();
        figures = capstan_pool_figures(pool);
    }
    cr_assert(wanted(&figures, number), "%s", what);
}

bool pg_idle(const capstan_pool_figures_t *figures, uint64_t number)
{
    return figures->idle == number;
}

bool pg_idle_least(const capstan_pool_figures_t *figures, uint64_t number)
{
    return figures->idle >= number;
}

bool pg_waiters(const capstan_pool_figures_t *figures, uint64_t number)
{
    return figures->waiters == number;
}

/* pool promote: the primary of two servers crashes and its standby is promoted, while threads write
 * through a pool that knows both. How soon after the promotion do writes go on, and is none sent to
 * a server that does not take it? */
#include "cli/bench.h"

#include "cli/bench_postgres.h"
#include "include/capstan/pool.h"
#include "runtime/base/ensure.h"
#include "runtime/base/thread.h"

#include <inttypes.h>
#include <libpq-fe.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum {
    WRITERS = 4,
    TAKE_US = 500000,
    CALM_MS = 1000,
    DOWN_MS = 1500, /* from the crash to the promotion */
    LONGER_MS = 130,
    PEER_PAUSE_MS = 10,
    LONG_MS = 60000,
    CLOSE_US = 10000000,
};

typedef struct scene {
    bench_postgres_t primary;
    bench_postgres_t standby;
    char conninfo[256];
    PGconn *observer; /* of the standby */
    capstan_node_t *node;
    capstan_pool_t *pool; /* NULL: the peer */
    _Atomic bool down;    /* the primary has ended */
    _Atomic bool over;
} scene_t;

typedef struct writer {
    scene_t *scene;
    pthread_t thread;
    uint64_t written;        /* to the primary */
    uint64_t read_only;      /* sent to a server that takes no writes */
    _Atomic int64_t back_ns; /* its first write after the crash; 0: none yet */
} writer_t;

/* Longer each time: the pool tries every half second, and it matters how long ago it did. */
static int64_t down_ms = DOWN_MS;

static void rest(int64_t ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

/* --- writers --------------------------------------------------------------------------------- */

static void write_one(writer_t *self, PGconn *connection)
{
    bool down = atomic_load(&self->scene->down);
    PGresult *result = PQexec(connection, "INSERT INTO orders VALUES (1)");
    const char *state = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    self->read_only += state && strcmp(state, "25006") == 0;
    if (PQresultStatus(result) == PGRES_COMMAND_OK) {
        self->written += !down;
        if (down && atomic_load(&self->back_ns) == 0) {
            atomic_store(&self->back_ns, bench_now_ns());
        }
    }
    PQclear(result);
}

static void *write_on(void *argument)
{
    writer_t *self = argument;
    while (!atomic_load(&self->scene->over)) {
        capstan_lease_t lease;
        if (capstan_pool_take(self->scene->pool, TAKE_US, &lease, NULL, 0) == CAPSTAN_OK) {
            write_one(self, lease.connection);
            ENSURE(capstan_pool_give(self->scene->pool, &lease) == CAPSTAN_OK);
        }
    }
    return NULL;
}

static void say_nothing(void *context, const char *message)
{
    (void)context, (void)message;
}

/* The peer: connects until it is let in, again and again. */
static void *connect_on(void *argument)
{
    writer_t *self = argument;
    char conninfo[512];
    snprintf(conninfo, sizeof conninfo, "%s target_session_attrs=read-write",
             self->scene->conninfo);
    while (!atomic_load(&self->scene->over)) {
        PGconn *connection = PQconnectdb(conninfo);
        PQsetNoticeProcessor(connection, say_nothing, NULL);
        while (PQstatus(connection) == CONNECTION_OK && !atomic_load(&self->scene->over)) {
            write_one(self, connection);
        }
        PQfinish(connection);
        rest(PEER_PAUSE_MS);
    }
    return NULL;
}

/* --- servers and a pool ---------------------------------------------------------------------- */

static capstan_err_t open_servers(scene_t *self)
{
    capstan_err_t err = bench_postgres_open(&self->primary, NULL);
    err = err ? err : bench_postgres_open(&self->standby, &self->primary);
    if (err != CAPSTAN_OK) {
        return err;
    }
    const char *rest_of_it = "port=5432 user=bench dbname=postgres";
    snprintf(self->conninfo, sizeof self->conninfo, "host=%s %s", self->primary.folder, rest_of_it);
    PGconn *connection = PQconnectdb(self->conninfo);
    PQclear(PQexec(connection, "CREATE TABLE orders (id int)"));
    PQfinish(connection);
    snprintf(self->conninfo, sizeof self->conninfo, "host=%s %s", self->standby.folder, rest_of_it);
    self->observer = PQconnectdb(self->conninfo);
    snprintf(self->conninfo, sizeof self->conninfo, "host=%s,%s %s", self->primary.folder,
             self->standby.folder, rest_of_it);
    return PQstatus(self->observer) == CONNECTION_OK ? CAPSTAN_OK : CAPSTAN_E_UNREACHABLE;
}

static capstan_err_t open_pool(scene_t *self)
{
    char text[256] = "";
    capstan_pool_options_t options = {.name = "bench",
                                      .conninfo = self->conninfo,
                                      .size = WRITERS,
                                      .role = CAPSTAN_ROLE_READ_WRITE,
                                      .first_us = CLOSE_US};
    capstan_err_t err = capstan_node_new(&(capstan_node_options_t){.log_fd = -1}, &self->node);
    err = err ? err : capstan_pool_open(self->node, &options, &self->pool, text, sizeof text);
    if (err != CAPSTAN_OK) {
        bench_failed("pool promote", text[0] ? text : capstan_err_text(err));
    }
    return err;
}

static capstan_err_t scene_close(scene_t *self, capstan_err_t err)
{
    capstan_err_t closed = capstan_pool_close(&self->pool, CLOSE_US);
    capstan_err_t stopped =
        self->node ? capstan_node_stop(&self->node, CLOSE_US, NULL, NULL) : CAPSTAN_OK;
    PQfinish(self->observer);
    bench_postgres_close(&self->standby);
    bench_postgres_close(&self->primary);
    return err ? err : closed ? closed : stopped;
}

/* --- the promotion --------------------------------------------------------------------------- */

static bool is_in_recovery(PGconn *observer)
{
    PGresult *result = PQexec(observer, "SELECT pg_is_in_recovery()");
    bool yes = PQntuples(result) == 1 && PQgetvalue(result, 0, 0)[0] == 't';
    PQclear(result);
    return yes;
}

/* The last time at which the standby was known to be one. */
static int64_t promote(PGconn *observer)
{
    int64_t asked_ns = bench_now_ns();
    int64_t promoted_ns = asked_ns;
    PQclear(PQexec(observer, "SELECT pg_promote(false)"));
    while (is_in_recovery(observer)) {
        promoted_ns = asked_ns;
        rest(1);
        asked_ns = bench_now_ns();
    }
    return promoted_ns;
}

/* False: there is one that does not write any more. */
static bool wait_for_writers(const writer_t *writers, size_t count)
{
    int64_t late_ns = bench_now_ns() + (int64_t)LONG_MS * 1000000;
    for (size_t i = 0; i < count; i++) {
        while (atomic_load(&writers[i].back_ns) == 0) {
            if (bench_now_ns() > late_ns) {
                return false;
            }
            rest(1);
        }
    }
    return true;
}

static capstan_err_t run_promotion(scene_t *scene, writer_t *writers, size_t count,
                                   bench_figures_t *ret_figures)
{
    for (size_t i = 0; i < count; i++) {
        thread_options_t options = {
            .name = "writer", .run = scene->pool ? write_on : connect_on, .argument = &writers[i]};
        writers[i].scene = scene;
        ENSURE(thread_start(&options, &writers[i].thread));
    }
    rest(CALM_MS);
    bench_postgres_stop(&scene->primary);
    atomic_store(&scene->down, true);
    rest(down_ms);
    int64_t promoted_ns = promote(scene->observer);
    bool back = wait_for_writers(writers, count);
    atomic_store(&scene->over, true);
    uint64_t times_ns[WRITERS];
    uint64_t written = 0;
    uint64_t read_only = 0;
    for (size_t i = 0; i < count; i++) {
        pthread_join(writers[i].thread, NULL);
        int64_t took_ns = atomic_load(&writers[i].back_ns) - promoted_ns;
        times_ns[i] = took_ns > 0 ? (uint64_t)took_ns : 0;
        written += writers[i].written;
        read_only += writers[i].read_only;
    }
    down_ms += LONGER_MS;
    bench_quantiles(times_ns, count, ret_figures);
    ret_figures->ops_per_s = (double)written * 1000 / CALM_MS;
    ret_figures->p50_us = (double)times_ns[0] / 1000;
    ret_figures->p99_us = read_only == 0 ? (double)times_ns[count - 1] / 1000 : NAN;
    ret_figures->p999_us = NAN;
    if (read_only > 0 || !back) {
        bench_failed("pool promote",
                     back ? "a write was sent to a server that takes none" : "writes do not go on");
    }
    return back ? CAPSTAN_OK : CAPSTAN_E_TIMEOUT;
}

/* p50 is the first writer's time, p99 the last one's. A write that was sent to a read-only server
 * leaves no p99: the goal is missed. */
capstan_err_t bench_pool_promote(bench_figures_t *ret_figures)
{
    scene_t scene = {.pool = NULL};
    writer_t writers[WRITERS] = {{.written = 0}};
    capstan_err_t err = open_servers(&scene);
    err = err ? err : open_pool(&scene);
    err = err ? err : run_promotion(&scene, writers, WRITERS, ret_figures);
    return scene_close(&scene, err);
}

capstan_err_t bench_pool_promote_connects(bench_figures_t *ret_figures)
{
    scene_t scene = {.pool = NULL};
    writer_t writer = {.written = 0};
    capstan_err_t err = open_servers(&scene);
    err = err ? err : run_promotion(&scene, &writer, 1, ret_figures);
    return scene_close(&scene, err);
}

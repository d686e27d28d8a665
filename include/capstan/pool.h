/* A pool of connections to PostgreSQL, for the program that hosts the node.
 *
 *   capstan_pool_options_t options = {.name = "orders", .conninfo = "host=db dbname=orders",
 *                                     .password_file = "/run/secrets/orders", .size = 20};
 *   err = capstan_pool_open(node, &options, &pool, text, sizeof text);
 *   ...
 *   capstan_lease_t lease;
 *   err = capstan_pool_take(pool, 2000000, &lease, text, sizeof text);
 *   if (err == CAPSTAN_OK) {
 *       PGresult *result = PQexec(lease.connection, "SELECT 1");
 *       ...
 *       err = capstan_pool_give(pool, &lease);
 *   }
 *   ...
 *   err = capstan_pool_close(&pool, 10000000);
 *
 * Who waits is served in the order in which he came. The pool opens connections in the background,
 * as many as are wanted and never more than `size`, and goes on trying for as long as the database
 * cannot be reached: it is full again within a second of the database's return. Connections that
 * have died are replaced, and not lent where the pool can know.
 *
 * A connection with a statement under way that is given back is closed, and its statement
 * cancelled (16 at a time in a process).
 *
 * Times are microseconds. Names of hosts are looked up, and statements cancelled, on threads of
 * their own, which may outlive pool and node by a minute when nobody answers. The names of a
 * service file libpq looks up, on the pool's thread, which does nothing else meanwhile; it reads
 * its files there, too. Where no place is left for another attempt, one that hangs is waited for:
 * for two seconds at most, or, when the server has accepted it and says nothing, until connect_us.
 */
#ifndef CAPSTAN_POOL_H
#define CAPSTAN_POOL_H

#include <capstan/node.h>

struct pg_conn; /* libpq's PGconn */

typedef struct capstan_pool capstan_pool_t;

/* What is undone before the next borrower gets a connection. */
typedef enum capstan_pool_reset {
    CAPSTAN_RESET_TRANSACTION, /* a transaction is rolled back; one with a statement under way, a
                                  COPY, a result not read, a pipeline, or made non-blocking is
                                  closed */
    CAPSTAN_RESET_SESSION,     /* also DISCARD ALL, each time: nothing of a session is left */
} capstan_pool_reset_t;

/* Which of several hosts will do. */
typedef enum capstan_pool_role {
    CAPSTAN_ROLE_ANY,        /* as conninfo says, or the first that answers */
    CAPSTAN_ROLE_READ_WRITE, /* one that takes writes */
    CAPSTAN_ROLE_READ_ONLY,  /* one that does not */
} capstan_pool_role_t;

typedef struct capstan_pool_options {
    const char *name; /* in the log, as application_name, and for `capstan pool`, where the node has
                         a gateway: 1 to 58 letters, digits and . _ -; one of a name in a node */
    const char *conninfo; /* libpq's keywords and values, or a URI; NULL: libpq's environment */
    const char *password_file; /* its first line is the password, read for each connection, so that
                                  a new one counts at once; NULL: as conninfo says. Where it cannot
                                  be read no connection is made: AUTHENTICATION */
    uint32_t size;             /* connections at most; 0: 10; at most 1,024 */
    uint32_t idle_min;         /* so many idle ones are kept; 0: none; at most `size` */
    int64_t connect_us;        /* for one attempt; 0: 5 s */
    int64_t check_us; /* one that was idle for so long is asked whether it still answers; 0: 30 s;
                         -1: never */
    int64_t idle_us;  /* one that was idle for so long is closed, down to idle_min; 0: 10 min;
                         -1: never */
    int64_t lifetime_us;  /* one this old is closed when it is idle, up to a tenth earlier; 0:
                             30 min; -1: never */
    int64_t leak_us;      /* one taken for so long is logged, with who took it; 0: never */
    int64_t statement_us; /* the server ends a statement that takes longer; 0: its own setting */
    int64_t first_us;     /* capstan_pool_open fails when the first connection does not stand after
                             that time; 0: it does not wait */
    capstan_pool_reset_t reset;
    capstan_pool_role_t role;
} capstan_pool_options_t;

/* A connection that is taken. */
typedef struct capstan_lease {
    struct pg_conn *connection; /* a PGconn, yours until it is given back; not to be finished */
    uint64_t number;            /* the pool's; a lease is given back once */
    uint32_t place;
} capstan_lease_t;

typedef struct capstan_pool_figures {
    uint64_t size;
    uint64_t idle;
    uint64_t taken;
    uint64_t opening; /* attempts to connect under way */
    uint64_t busy;    /* being checked, cleaned or closed */
    uint64_t waiters;
    int64_t oldest_wait_us;
    bool paused;
    bool saturated;     /* nine of ten connections have been taken for a second; in the log too */
    uint64_t takes;     /* since it was opened, as all that follow */
    uint64_t refused;   /* takes that failed */
    uint64_t waits;     /* takes that found none idle */
    uint64_t waited_us; /* by all of them together */
    uint64_t opened;
    uint64_t open_failures;
    uint64_t called_off; /* attempts that nobody needed any more, or that hung */
    uint64_t lost;       /* found dead, or given back broken or busy */
    uint64_t expired;    /* closed for their age or idleness, by a recycle or a resize */
    uint64_t dirty;      /* given back with something to undo */
    uint64_t leaks;
    uint64_t gives_refused; /* given back twice */
} capstan_pool_figures_t;

/* From a thread that is no cell. `options` and its texts are copied. On failure `ret_text` (may be
 * NULL, with size 0) says what is wrong. Errors: INVALID (an option, or conninfo); EXISTS (the
 * name); those of capstan_spawn; with first_us those of capstan_pool_take. */
CAPSTAN_API CAPSTAN_MUST_CHECK capstan_err_t
capstan_pool_open(capstan_node_t *node, const capstan_pool_options_t *options,
                  capstan_pool_t **ret_self, char *ret_text, size_t text_size);

/* Takes a connection; waits for `timeout_us` at most, and not at all with 0. Any thread, and actors
 * that may block; others with 0. On failure `ret_text` (may be NULL, with size 0) says what is
 * wrong, with the pool's figures. Errors:
 *   POOL_EXHAUSTED      others had them all
 *   POOL_PAUSED         until capstan_pool_resume
 *   UNREACHABLE, AUTHENTICATION, DATABASE_REFUSED, CONNECT_TIMEOUT
 *                       there is none, and so ended the last attempt to make one
 *   STOPPING            the pool is closed, or the node stops */
#define capstan_pool_take(pool, timeout_us, ret_lease, ret_text, text_size)                        \
    capstan_pool_take_at((pool), (timeout_us), CAPSTAN_HERE, (ret_lease), (ret_text), (text_size))
#define CAPSTAN_HERE             __FILE__ ":" CAPSTAN_LINE_(__LINE__)
#define CAPSTAN_LINE_(line)      CAPSTAN_LINE_TEXT_(line)
#define CAPSTAN_LINE_TEXT_(line) #line

/* The same; `place`, a constant, says in the log where a connection was taken that is not given
 * back in time. */
CAPSTAN_API CAPSTAN_MUST_CHECK capstan_err_t capstan_pool_take_at(capstan_pool_t *self,
                                                                  int64_t timeout_us,
                                                                  const char *place,
                                                                  capstan_lease_t *ret_lease,
                                                                  char *ret_text, size_t text_size);

/* Gives it back, in whatever state it is, and clears the lease. Any thread, never waits. Errors:
 * NOT_LENT (it was given back already: nothing happens). */
CAPSTAN_API CAPSTAN_MUST_CHECK capstan_err_t capstan_pool_give(capstan_pool_t *self,
                                                               capstan_lease_t *lease);

/* The same, and the connection is closed, whatever it looks like: for a borrower that does not
 * trust it any more. */
CAPSTAN_API CAPSTAN_MUST_CHECK capstan_err_t capstan_pool_discard(capstan_pool_t *self,
                                                                  capstan_lease_t *lease);

/* Nobody gets a connection until it is resumed; who takes waits. Any thread. */
CAPSTAN_API void capstan_pool_pause(capstan_pool_t *self);
CAPSTAN_API void capstan_pool_resume(capstan_pool_t *self);
/* Every connection is closed as soon as it is idle, and replaced where it is wanted. Any thread. */
CAPSTAN_API void capstan_pool_recycle(capstan_pool_t *self);
/* Connections too many are closed as soon as they are idle. Any thread. Errors: INVALID (a size of
 * 0 or over 1,024, an idle_min over it). */
CAPSTAN_API CAPSTAN_MUST_CHECK capstan_err_t capstan_pool_resize(capstan_pool_t *self,
                                                                 uint32_t size, uint32_t idle_min);
CAPSTAN_API capstan_pool_figures_t capstan_pool_figures(capstan_pool_t *self);

/* Ends it: who waits hears STOPPING, idle connections are closed, the others as they are given
 * back. Afterwards the pool is freed; no thread uses it any more. From a thread that is no cell.
 * NULL is accepted. Errors: TIMEOUT (connections are still taken: it lends no more, and closing can
 * be tried again). */
CAPSTAN_API CAPSTAN_MUST_CHECK capstan_err_t capstan_pool_close(capstan_pool_t **self_p,
                                                                int64_t timeout_us);

#endif

/* Connections to PostgreSQL that never block: connecting, asking, and why it failed. Internal to
 * the library. The connection itself is libpq's; whoever drives it watches its descriptor:
 *
 *   err = postgres_begin(target, lookup, &connection, text, sizeof text)
 *   while ((next = postgres_connect(connection)) is READ or WRITE) wait for PQsocket(connection)
 *   postgres_ask(connection, "DISCARD ALL")
 *   while ((next = postgres_answer(connection)) is READ or WRITE) wait for PQsocket(connection)
 *
 *   postgres_end(connection)
 *
 * libpq may use another descriptor after each step of connecting. Names of hosts are looked up
 * before (postgres_names.h): libpq would block for so long. */
#ifndef POSTGRES_POSTGRES_LINK_H
#define POSTGRES_POSTGRES_LINK_H

#include "include/capstan/error.h"

#include <libpq-fe.h>
#include <stdbool.h>
#include <stdint.h>

typedef enum postgres_role {
    POSTGRES_ANY,
    POSTGRES_READ_WRITE,
    POSTGRES_READ_ONLY,
} postgres_role_t;

/* What connections are made to, and how. Immutable: threads may share it. */
typedef struct postgres_target postgres_target_t;

typedef struct postgres_options {
    const char *conninfo;      /* libpq's keywords and values, or a URI; "": its environment */
    const char *password_file; /* read at each attempt; NULL: none */
    const char *name;          /* application_name, unless conninfo has one */
    postgres_role_t role;
    int64_t statement_us; /* statement_timeout; 0: the server's */
} postgres_options_t;

typedef enum postgres_next {
    POSTGRES_READ,
    POSTGRES_WRITE,
    POSTGRES_DONE,
    POSTGRES_FAILED,
} postgres_next_t;

/* INVALID: `ret_text` says what is wrong with the conninfo. */
CAPSTAN_MUST_CHECK capstan_err_t postgres_target_new(const postgres_options_t *options,
                                                     postgres_target_t **ret_self, char *ret_text,
                                                     size_t text_size);
void postgres_target_destroy(postgres_target_t **self_p);

typedef struct postgres_lookup postgres_lookup_t;

/* With the addresses of a look-up that is over; NULL: libpq looks up what there is. The connection
 * ends with postgres_end, whatever comes of it. libpq tries one host after the other, but stays
 * with one that says nothing: so many hosts, `skip`, are left for last. Errors, with the text of
 * each: UNREACHABLE (no name was found), AUTHENTICATION (the password file cannot be read). */
CAPSTAN_MUST_CHECK capstan_err_t postgres_begin(const postgres_target_t *target,
                                                const postgres_lookup_t *lookup, size_t skip,
                                                PGconn **ret_connection, char *ret_text,
                                                size_t text_size);
postgres_next_t postgres_connect(PGconn *connection);
/* While it is being made: the server's host has answered. */
bool postgres_is_heard(const PGconn *connection);
/* Why it failed: UNREACHABLE, AUTHENTICATION, DATABASE_REFUSED; the text is the server's, in one
 * line, without the password. */
capstan_err_t postgres_why(const PGconn *connection, char *ret_text, size_t text_size);

/* Never waits. NULL is accepted. */
void postgres_end(PGconn *connection);
/* Asks the server to end what the connection is at, on a thread of its own; nobody hears what comes
 * of it. The connection may end meanwhile. */
void postgres_cancel(PGconn *connection);

/* One statement without parameters, whose rows nobody wants; false: the connection has failed. */
CAPSTAN_MUST_CHECK bool postgres_ask(PGconn *connection, const char *sql);
/* DONE: it succeeded, and nothing is left to read. */
postgres_next_t postgres_answer(PGconn *connection);

/* Nothing of libpq's own is left of who had it: notices and traces go nowhere, errors are as usual,
 * and no notification waits. */
void postgres_forget(PGconn *connection);
/* One that nobody uses: whether it still stands and has the role, as far as what the server said
 * unasked tells. Reads what is there, without waiting. */
bool postgres_is_alive(PGconn *connection, postgres_role_t role);

#endif

/* A pool of connections to PostgreSQL.
 *
 * Where the database is, say libpq's variables: PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE.
 *
 * The first borrower leaves a transaction open; the next one does not see it. It prints:
 *   6 * 7 is 42
 *   in a transaction: no
 *   connections made: 1, given back with something to undo: 1 */
#include <capstan/pool.h>
#include <inttypes.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>

enum { SECOND_US = 1000000 };

static void must(capstan_err_t err, const char *text)
{
    if (err != CAPSTAN_OK) {
        fprintf(stderr, "%s: %s\n", capstan_err_name(err), text);
        exit(EXIT_FAILURE);
    }
}

int main(void)
{
    char text[256] = "";
    capstan_node_t *node;
    capstan_pool_t *pool;
    capstan_lease_t lease;
    must(capstan_node_new(&(capstan_node_options_t){.log_fd = -1}, &node), "node");
    capstan_pool_options_t options = {.name = "example", .size = 4, .first_us = 5 * SECOND_US};
    must(capstan_pool_open(node, &options, &pool, text, sizeof text), text);

    must(capstan_pool_take(pool, 2 * SECOND_US, &lease, text, sizeof text), text);
    PGresult *result = PQexec(lease.connection, "SELECT 6 * 7");
    printf("6 * 7 is %s\n",
           PQntuples(result) == 1 ? PQgetvalue(result, 0, 0) : PQresultErrorMessage(result));
    PQclear(result);
    PQclear(PQexec(lease.connection, "BEGIN"));
    must(capstan_pool_give(pool, &lease), "give");

    must(capstan_pool_take(pool, 2 * SECOND_US, &lease, text, sizeof text), text);
    printf("in a transaction: %s\n",
           PQtransactionStatus(lease.connection) == PQTRANS_IDLE ? "no" : "yes");
    must(capstan_pool_give(pool, &lease), "give");

    capstan_pool_figures_t figures = capstan_pool_figures(pool);
    printf("connections made: %" PRIu64 ", given back with something to undo: %" PRIu64 "\n",
           figures.opened, figures.dirty);
    must(capstan_pool_close(&pool, 5 * SECOND_US), "close");
    must(capstan_node_stop(&node, 5 * SECOND_US, NULL, NULL), "stop");
    return EXIT_SUCCESS;
}

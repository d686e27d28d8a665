/* `capstan pool`: a pool is looked after from outside of its program. */
#include "pool_kit.h"

#include "include/capstan/gateway.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

static pool_kit_t kit;
static char endpoint[128];
static char output[8192];

static capstan_pool_t *start(void)
{
    pg_open(&kit, NULL);
    cr_assert_eq(capstan_gateway_open(kit.node,
                                      &(capstan_gateway_options_t){.endpoint = "tcp://127.0.0.1:0"},
                                      endpoint, sizeof endpoint),
                 CAPSTAN_OK, "%s", endpoint);
    return pg_pool(&kit, &(capstan_pool_options_t){.size = 3, .idle_min = 2});
}

/* Its exit status; what it printed is in `output`. */
static int run(const char *arguments)
{
    char line[1024];
    snprintf(line, sizeof line, "%s pool %s --to %s 2>&1", getenv("CAPSTAN_PROGRAM"), arguments,
             endpoint);
    FILE *pipe = popen(line, "r");
    cr_assert_not_null(pipe);
    output[fread(output, 1, sizeof output - 1, pipe)] = '\0';
    return WEXITSTATUS(pclose(pipe));
}

static void expect(const char *arguments, const char *words)
{
    cr_assert_eq(run(arguments), 0, "%s: %s", arguments, output);
    cr_assert_not_null(strstr(output, words), "%s: %s", arguments, output);
}

static void refuse(const char *arguments, int status, const char *words)
{
    cr_assert_eq(run(arguments), status, "%s: %s", arguments, output);
    cr_assert_not_null(strstr(output, words), "%s: %s", arguments, output);
}

static bool is_recycled(const capstan_pool_figures_t *figures, uint64_t number)
{
    return figures->expired >= number && figures->idle == 2;
}

Test(pool_command, shows_and_operates)
{
    capstan_pool_t *pool = start();
    pg_until(pool, pg_idle, 2, "idle_min are open");
    capstan_lease_t lease = pg_take(&kit, pool);
    expect("status orders --json", "\"pool\":\"orders\",\"size\":3,\"idle_min\":2");
    expect("status orders --json", "\"taken\":1");
    expect("status orders", "taken            1\n");
    pg_give(pool, &lease);
    expect("pause orders", "orders (paused)");
    pg_refuse(&kit, pool, 0, CAPSTAN_E_POOL_PAUSED, "");
    expect("resume orders --json", "\"paused\":false");
    pg_until(pool, pg_idle_least, 2, "all are back");
    expect("recycle orders", "expired");
    pg_until(pool, is_recycled, 2, "both are replaced");
    expect("resize orders --size 1 --json", "\"size\":1,\"idle_min\":1");
    expect("resize orders --size 5 --idle-min 4 --json", "\"size\":5,\"idle_min\":4");
    pg_until(pool, pg_idle, 4, "it has grown");
    pg_close_pool(&pool);
    pg_close(&kit);
}

Test(pool_command, says_what_is_wrong)
{
    capstan_pool_t *pool = start();
    refuse("status nowhere", 1, "has opened no pool of this name");
    refuse("status", 2, "capstan pool --help");
    refuse("drain orders", 2, "\"drain\" is no action");
    refuse("resize orders", 2, "resize wants --size");
    refuse("pause orders --size 3", 2, "--size is for resize only");
    refuse("resize orders --size 3 --idle-min 4", 2, "--idle-min is at most --size");
    refuse("resize orders --size 2000", 2, "1024");
    pg_signal_server(&kit, SIGQUIT);
    pg_until(pool, pg_idle, 0, "the dead ones are noticed");
    pg_refuse(&kit, pool, 1500000, CAPSTAN_E_UNREACHABLE, "Connection refused");
    expect("status orders", "last failure");
    expect("status orders", "Connection refused");
    pg_close_pool(&pool);
    refuse("status orders", 1, "has opened no pool of this name");
    pg_close(&kit);
}

/* Names are unique in a node, and free again with the pool. */
Test(pool_command, finds_one_pool_by_a_name)
{
    capstan_pool_t *pool = start();
    capstan_pool_t *other = NULL;
    capstan_pool_options_t options = {.name = "orders", .conninfo = kit.conninfo};
    cr_assert_eq(capstan_pool_open(kit.node, &options, &other, kit.text, sizeof kit.text),
                 CAPSTAN_E_EXISTS);
    options.name = "invoices";
    cr_assert_eq(capstan_pool_open(kit.node, &options, &other, kit.text, sizeof kit.text),
                 CAPSTAN_OK, "%s", kit.text);
    expect("status invoices", "invoices");
    pg_close_pool(&pool);
    pool = pg_pool(&kit, &(capstan_pool_options_t){.size = 1});
    expect("status orders --json", "\"size\":1");
    pg_close_pool(&other);
    pg_close_pool(&pool);
    pg_close(&kit);
}

/* A program's topics and its gateway: peers publish what its handlers consume. */
#include "tests/integration/ordering/embedded_kit.h"

#include <capstan/gateway.h>
#include <sys/wait.h>

static void feed(const char *endpoint, const char *rows, int exit_code)
{
    char command[1024];
    const char *program = getenv("CAPSTAN_PROGRAM");
    cr_assert_not_null(program);
    snprintf(command, sizeof command,
             "printf '%s' | %s feed --to %s --topic orders --key key --seq seq --producer test "
             "- >/dev/null 2>&1",
             rows, program, endpoint);
    FILE *pipe = popen(command, "r");
    cr_assert_not_null(pipe);
    int status = pclose(pipe);
    cr_assert(WIFEXITED(status));
    cr_assert_eq(WEXITSTATUS(status), exit_code);
}

Test(embedded_gateway, serves_the_programs_topics_to_peers)
{
    embedded_t world;
    seen_t seen = {.count = 0};
    capstan_subscription_t *subscription;
    char endpoint[256];
    embedded_init(&world);
    embedded_start(&world);
    capstan_gateway_options_t options = {.endpoint = "tcp://127.0.0.1:0"};
    capstan_err_t err = capstan_gateway_open(world.node, &options, endpoint, sizeof endpoint);
    cr_assert_eq(err, CAPSTAN_OK, "%s", endpoint);
    embedded_subscribe(
        &world,
        (capstan_subscribe_options_t){.handle = seen_work, .context = &seen, .concurrency = 2},
        &subscription);
    embedded_publish_range(&world, 3, 1, 1);
    feed(endpoint, "key,seq\\nkey 0,2\\nkey 1,2\\nkey 2,2\\nkey 0,3\\n", 0);
    cr_assert(embedded_await(&seen.count, 7));
    embedded_pause();
    cr_assert_eq(seen.count, 7);
    cr_assert_eq(seen.faults, 0, "one order per key, whoever published");
    cr_assert_eq(embedded_publish(&world, 0, 3, "").result, CAPSTAN_RESULT_DUPLICATE);
    embedded_end(&subscription);
    embedded_stop(&world);
    embedded_fini(&world);
}

#include "tests/bench/runtime/host.h"

#include <stdlib.h>

enum { RUN_US = 100000000, STOP_US = 60000000 };

bench_figures_t host_run(capstan_node_options_t options, const capstan_behaviour_t *behaviour,
                         void *argument, uint64_t ops)
{
    capstan_node_t *node;
    capstan_ref_t main_actor;
    void *body;
    size_t size;
    options.workers = HOST_WORKERS;
    host_must(capstan_node_new(&options, &node), "node");
    host_must(capstan_node_spawn(node, behaviour,
                                 &(capstan_spawn_options_t){.argument = argument,
                                                            .overflow = CAPSTAN_OVERFLOW_PARK},
                                 &main_actor),
              behaviour->name);
    bench_meter_t meter = bench_begin();
    host_must(
        capstan_node_ask(node, main_actor, HOST_BEGIN, (capstan_slice_t){0}, RUN_US, &body, &size),
        "the run");
    bench_figures_t figures = bench_end(&meter, ops);
    free(body);
    host_must(capstan_node_stop(&node, STOP_US, NULL, NULL), "stop");
    return figures;
}

void host_must(capstan_err_t err, const char *what)
{
    if (err != CAPSTAN_OK) {
        bench_fail("%s: %s: %s", what, capstan_err_name(err), capstan_err_text(err));
    }
}

capstan_ref_t host_spawn(capstan_actor_t *self, const capstan_behaviour_t *behaviour,
                         const capstan_spawn_options_t *options)
{
    capstan_ref_t ref;
    host_must(capstan_spawn(self, behaviour, options, &ref), behaviour->name);
    return ref;
}

void host_tell(capstan_actor_t *self, capstan_ref_t target, uint32_t message, const void *body,
               size_t size)
{
    host_must(capstan_tell(self, target, message, (capstan_slice_t){body, size}), "tell");
}

capstan_err_t host_keep_argument(capstan_actor_t *self, void *argument)
{
    capstan_actor_set_state(self, argument);
    return CAPSTAN_OK;
}

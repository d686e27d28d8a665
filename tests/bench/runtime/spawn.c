/* spawn ACTORS: one actor starts ACTORS others, which then wait for messages. The rate counts until
 * the last of them has run its init; memory is the growth of the resident set, for each actor. */
#include "tests/bench/runtime/host.h"

typedef struct parent {
    uint64_t actors;
    uint64_t started; /* by their own init */
    double bytes;
} parent_t;

static capstan_err_t begin_child(capstan_actor_t *self, void *argument)
{
    capstan_actor_set_state(self, argument);
    ((parent_t *)argument)->started++;
    return CAPSTAN_OK;
}

static capstan_err_t ignore(capstan_actor_t *self, const capstan_message_t *message)
{
    (void)self;
    (void)message;
    return CAPSTAN_OK;
}

static capstan_err_t receive(capstan_actor_t *self, const capstan_message_t *message)
{
    static const capstan_behaviour_t child = {
        .name = "child", .init = begin_child, .receive = ignore};
    parent_t *parent = capstan_actor_state(self);
    capstan_spawn_options_t options = {.argument = parent};
    uint64_t before = bench_rss();
    for (uint64_t i = 0; i < parent->actors; i++) {
        host_spawn(self, &child, &options);
    }
    bench_expect("actors started", parent->started, parent->actors);
    parent->bytes = (double)(bench_rss() - before);
    capstan_reply(self, message, HOST_BEGIN, (capstan_slice_t){0});
    return CAPSTAN_OK;
}

int main(int argc, char **argv)
{
    static const capstan_behaviour_t behaviour = {
        .name = "parent", .init = host_keep_argument, .receive = receive};
    parent_t parent = {.actors = bench_argument(argc, argv, 1, "actors")};
    capstan_node_options_t options = {.actors_max = (uint32_t)parent.actors + 1024};
    bench_figures_t figures = host_run(options, &behaviour, &parent, parent.actors);
    figures.bytes_each = parent.bytes / (double)parent.actors;
    bench_print(&figures);
    return 0;
}

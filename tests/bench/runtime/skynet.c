/* skynet LEAVES: an actor starts ten, each of these ten more, until there are LEAVES of them at the
 * bottom. Each leaf tells its parent its number, each other actor the sum of its children, and
 * ends. LEAVES is a power of ten; at 1,000,000 the sum is 499999500000 and 1,111,111 actors have
 * lived. Operations are actors. The root's children are spread over the cells, theirs stay with
 * them. */
#include "tests/bench/runtime/host.h"

#include <stdlib.h>

enum { MESSAGE_sum = HOST_MESSAGE, CHILDREN = 10 };

/* Where a child stands; it lives in its parent's state, which waits for the child's sum. */
typedef struct place {
    capstan_ref_t parent;
    uint64_t first; /* number of the first leaf below it */
    uint64_t leaves;
    bool root;
} place_t;

typedef struct branch {
    capstan_ref_t parent;
    uint64_t sum;
    uint32_t waiting;
    place_t children[CHILDREN];
} branch_t;

static capstan_err_t begin(capstan_actor_t *self, void *argument);
static capstan_err_t receive(capstan_actor_t *self, const capstan_message_t *message);
static void destroy(capstan_actor_t *self);

static const capstan_behaviour_t skynet = {
    .name = "skynet", .init = begin, .receive = receive, .destroy = destroy};

static void start_children(capstan_actor_t *self, const place_t *place)
{
    branch_t *branch = malloc(sizeof *branch);
    capstan_actor_set_state(self, branch);
    branch->parent = place->parent;
    branch->sum = 0;
    branch->waiting = CHILDREN;
    for (uint64_t i = 0; i < CHILDREN; i++) {
        branch->children[i] = (place_t){.parent = capstan_actor_ref(self),
                                        .first = place->first + i * (place->leaves / CHILDREN),
                                        .leaves = place->leaves / CHILDREN};
        host_spawn(self, &skynet,
                   &(capstan_spawn_options_t){.placement = place->root ? CAPSTAN_PLACE_SPREAD
                                                                       : CAPSTAN_PLACE_HERE,
                                              .argument = &branch->children[i]});
    }
}

static capstan_err_t begin(capstan_actor_t *self, void *argument)
{
    const place_t *place = argument;
    if (place->leaves > 1) {
        start_children(self, place);
    } else {
        host_tell(self, place->parent, MESSAGE_sum, &place->first, sizeof place->first);
        capstan_actor_exit(self, CAPSTAN_OK);
    }
    return CAPSTAN_OK;
}

static capstan_err_t receive(capstan_actor_t *self, const capstan_message_t *message)
{
    branch_t *branch = capstan_actor_state(self);
    uint64_t sum;
    memcpy(&sum, message->body.data, sizeof sum);
    branch->sum += sum;
    if (--branch->waiting == 0) {
        host_tell(self, branch->parent, MESSAGE_sum, &branch->sum, sizeof branch->sum);
        capstan_actor_exit(self, CAPSTAN_OK);
    }
    return CAPSTAN_OK;
}

static void destroy(capstan_actor_t *self)
{
    free(capstan_actor_state(self));
}

/* Starts the root and waits for its sum. */
typedef struct watcher {
    uint64_t leaves;
    place_t root;
    capstan_message_t begin;
} watcher_t;

static capstan_err_t watch(capstan_actor_t *self, const capstan_message_t *message)
{
    watcher_t *watcher = capstan_actor_state(self);
    uint64_t sum;
    if (message->message == HOST_BEGIN) {
        watcher->begin = *message;
        watcher->root =
            (place_t){.parent = capstan_actor_ref(self), .leaves = watcher->leaves, .root = true};
        host_spawn(self, &skynet, &(capstan_spawn_options_t){.argument = &watcher->root});
        return CAPSTAN_OK;
    }
    memcpy(&sum, message->body.data, sizeof sum);
    bench_expect("sum of the leaves", sum, watcher->leaves * (watcher->leaves - 1) / 2);
    capstan_reply(self, &watcher->begin, HOST_BEGIN, (capstan_slice_t){0});
    return CAPSTAN_OK;
}

int main(int argc, char **argv)
{
    static const capstan_behaviour_t behaviour = {
        .name = "watcher", .init = host_keep_argument, .receive = watch};
    watcher_t watcher = {.leaves = bench_argument(argc, argv, 1, "leaves")};
    uint64_t actors = 0;
    for (uint64_t level = watcher.leaves; level > 0; level /= CHILDREN) {
        actors += level;
    }
    capstan_node_options_t options = {.actors_max = (uint32_t)actors + 1024};
    bench_figures_t figures = host_run(options, &behaviour, &watcher, actors);
    bench_print(&figures);
    return 0;
}

/* rings RINGS ACTORS LAPS: RINGS rings of ACTORS actors each pass a token around, LAPS times; all
 * rings at once. Operations are hops. The token counts its hops, and the master of a ring checks
 * them. A ring's actors live on one cell, the rings are spread over the cells.
 *
 * From CAF's suite (mixed_case: 100 rings of 100 actors, 1,000 laps), without its factorisation,
 * which is the same arithmetic everywhere, and once instead of four times, so that a run takes
 * about a second on two cores. */
#include "tests/bench/runtime/host.h"

#include <stdlib.h>

enum { MESSAGE_token = HOST_MESSAGE, MESSAGE_ring_done };

typedef struct token {
    uint64_t laps; /* left */
    uint64_t hops; /* done */
} token_t;

typedef struct rings {
    uint64_t rings;
    uint64_t actors;
    uint64_t laps;
    uint64_t rings_done;
    capstan_ref_t main_actor;
    capstan_message_t begin;
} rings_t;

/* Of a link and of the master alike. */
typedef struct link {
    capstan_ref_t next;
    const rings_t *rings;
} link_t;

static void pass(capstan_actor_t *self, capstan_ref_t next, const capstan_message_t *message)
{
    token_t token;
    memcpy(&token, message->body.data, sizeof token);
    token.hops++;
    host_tell(self, next, MESSAGE_token, &token, sizeof token);
}

static capstan_err_t begin_link(capstan_actor_t *self, void *argument)
{
    link_t *link = malloc(sizeof *link);
    *link = *(const link_t *)argument;
    capstan_actor_set_state(self, link);
    return CAPSTAN_OK;
}

static capstan_err_t on_token(capstan_actor_t *self, const capstan_message_t *message)
{
    const link_t *link = capstan_actor_state(self);
    pass(self, link->next, message);
    return CAPSTAN_OK;
}

static void destroy_link(capstan_actor_t *self)
{
    free(capstan_actor_state(self));
}

/* Makes the ring from its end to its beginning, and starts the token. */
static capstan_err_t begin_master(capstan_actor_t *self, void *argument)
{
    static const capstan_behaviour_t behaviour = {
        .name = "link", .init = begin_link, .receive = on_token, .destroy = destroy_link};
    link_t link = {.next = capstan_actor_ref(self), .rings = argument};
    for (uint64_t i = 1; i < link.rings->actors; i++) {
        link.next = host_spawn(self, &behaviour, &(capstan_spawn_options_t){.argument = &link});
    }
    host_must(begin_link(self, &link), "master");
    token_t token = {.laps = link.rings->laps, .hops = 1};
    host_tell(self, link.next, MESSAGE_token, &token, sizeof token);
    return CAPSTAN_OK;
}

static capstan_err_t on_lap(capstan_actor_t *self, const capstan_message_t *message)
{
    const link_t *link = capstan_actor_state(self);
    const rings_t *rings = link->rings;
    token_t token;
    memcpy(&token, message->body.data, sizeof token);
    if (--token.laps > 0) {
        token.hops++;
        host_tell(self, link->next, MESSAGE_token, &token, sizeof token);
        return CAPSTAN_OK;
    }
    bench_expect("hops of the token", token.hops, rings->actors * rings->laps);
    host_tell(self, rings->main_actor, MESSAGE_ring_done, NULL, 0);
    return CAPSTAN_OK;
}

static capstan_err_t receive(capstan_actor_t *self, const capstan_message_t *message)
{
    static const capstan_behaviour_t master = {
        .name = "master", .init = begin_master, .receive = on_lap, .destroy = destroy_link};
    rings_t *rings = capstan_actor_state(self);
    if (message->message == HOST_BEGIN) {
        rings->begin = *message;
        rings->main_actor = capstan_actor_ref(self);
        for (uint64_t i = 0; i < rings->rings; i++) {
            host_spawn(
                self, &master,
                &(capstan_spawn_options_t){.placement = CAPSTAN_PLACE_SPREAD, .argument = rings});
        }
    } else if (++rings->rings_done == rings->rings) {
        capstan_reply(self, &rings->begin, HOST_BEGIN, (capstan_slice_t){0});
    }
    return CAPSTAN_OK;
}

int main(int argc, char **argv)
{
    static const capstan_behaviour_t behaviour = {
        .name = "rings", .init = host_keep_argument, .receive = receive};
    rings_t rings = {
        .rings = bench_argument(argc, argv, 1, "rings"),
        .actors = bench_argument(argc, argv, 2, "actors of a ring"),
        .laps = bench_argument(argc, argv, 3, "laps"),
    };
    bench_figures_t figures = host_run((capstan_node_options_t){0}, &behaviour, &rings,
                                       rings.rings * rings.actors * rings.laps);
    bench_print(&figures);
    return 0;
}

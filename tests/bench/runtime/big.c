/* big ACTORS PINGS: each of ACTORS actors pings another, chosen at random, waits for its pong, and
 * pings again, PINGS times; all at once. Each pong must come from the one that was pinged, and the
 * pings that all have answered are counted. Operations are pings; each has a pong. The actors are
 * spread over the cells.
 *
 * From Savina (120 actors, 20,000 pings each), at its default size. */
#include "tests/bench/runtime/host.h"

#include <stdlib.h>

enum { MESSAGE_start = HOST_MESSAGE, MESSAGE_ping, MESSAGE_pong, MESSAGE_done, MESSAGE_answered };

typedef struct big {
    uint64_t actors;
    uint64_t pings;
    capstan_ref_t sink;
    capstan_ref_t *refs; /* complete before the actors hear `start` */
    uint64_t done;
    uint64_t reported;
    uint64_t answered;
    struct pinger *pingers;
    capstan_message_t begin;
} big_t;

typedef struct pinger {
    const big_t *big;
    uint64_t random;
    uint64_t sent;
    uint64_t answered;
    capstan_ref_t pinged;
} pinger_t;

static void ping(capstan_actor_t *self, pinger_t *pinger)
{
    const big_t *big = pinger->big;
    if (pinger->sent == big->pings) {
        host_tell(self, big->sink, MESSAGE_done, NULL, 0);
        return;
    }
    pinger->sent++;
    pinger->pinged = big->refs[bench_random(&pinger->random) % big->actors];
    host_tell(self, pinger->pinged, MESSAGE_ping, NULL, 0);
}

static capstan_err_t on_pinger(capstan_actor_t *self, const capstan_message_t *message)
{
    pinger_t *pinger = capstan_actor_state(self);
    switch (message->message) {
    case MESSAGE_ping:
        pinger->answered++;
        host_tell(self, message->sender, MESSAGE_pong, NULL, 0);
        break;
    case MESSAGE_pong:
        bench_expect("slot of the one that answered", message->sender.slot, pinger->pinged.slot);
        ping(self, pinger);
        break;
    case MESSAGE_start:
        ping(self, pinger);
        break;
    default: /* all are done */
        host_tell(self, message->sender, MESSAGE_answered, &pinger->answered,
                  sizeof pinger->answered);
        capstan_actor_exit(self, CAPSTAN_OK);
    }
    return CAPSTAN_OK;
}

static void tell_all(capstan_actor_t *self, const big_t *big, uint32_t message)
{
    for (uint64_t i = 0; i < big->actors; i++) {
        host_tell(self, big->refs[i], message, NULL, 0);
    }
}

static void begin(capstan_actor_t *self, big_t *big)
{
    static const capstan_behaviour_t behaviour = {
        .name = "pinger", .init = host_keep_argument, .receive = on_pinger};
    big->sink = capstan_actor_ref(self);
    for (uint64_t i = 0; i < big->actors; i++) {
        big->pingers[i] = (pinger_t){.big = big, .random = bench_seed() + i};
        big->refs[i] = host_spawn(self, &behaviour,
                                  &(capstan_spawn_options_t){.placement = CAPSTAN_PLACE_SPREAD,
                                                             .argument = &big->pingers[i]});
    }
    tell_all(self, big, MESSAGE_start);
}

static capstan_err_t receive(capstan_actor_t *self, const capstan_message_t *message)
{
    big_t *big = capstan_actor_state(self);
    uint64_t answered;
    switch (message->message) {
    case HOST_BEGIN:
        big->begin = *message;
        begin(self, big);
        break;
    case MESSAGE_done:
        if (++big->done == big->actors) {
            tell_all(self, big, MESSAGE_done);
        }
        break;
    default: /* answered */
        memcpy(&answered, message->body.data, sizeof answered);
        big->answered += answered;
        if (++big->reported == big->actors) {
            bench_expect("pings answered", big->answered, big->actors * big->pings);
            capstan_reply(self, &big->begin, HOST_BEGIN, (capstan_slice_t){0});
        }
    }
    return CAPSTAN_OK;
}

int main(int argc, char **argv)
{
    static const capstan_behaviour_t behaviour = {
        .name = "sink", .init = host_keep_argument, .receive = receive};
    big_t big = {
        .actors = bench_argument(argc, argv, 1, "actors"),
        .pings = bench_argument(argc, argv, 2, "pings of each actor"),
    };
    big.refs = calloc(big.actors, sizeof *big.refs);
    big.pingers = calloc(big.actors, sizeof *big.pingers);
    bench_figures_t figures =
        host_run((capstan_node_options_t){0}, &behaviour, &big, big.actors * big.pings);
    bench_print(&figures);
    free(big.pingers);
    free(big.refs);
    return 0;
}

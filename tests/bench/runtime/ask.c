/* ask ROUNDS SAME_CELL(1 no, 2 yes) [SPIN_US]: one request at a time, ROUNDS times after a tenth as
 * many to warm up. SPIN_US is how long an idle cell looks for work before it sleeps; the node's
 * default when it is not given. */
#include "tests/bench/runtime/host.h"

#include <stdlib.h>

enum { MESSAGE_ping = HOST_MESSAGE, MESSAGE_pong, ASK_US = 5000000 };

typedef struct asker {
    capstan_ref_t target;
    bool same_cell;
    int64_t rounds;
    int64_t round; /* negative while warming up */
    int64_t sent_ns;
    uint64_t *latencies_ns;
    capstan_message_t begin;
} asker_t;

static capstan_err_t answer(capstan_actor_t *self, const capstan_message_t *message)
{
    capstan_reply(self, message, MESSAGE_pong, message->body);
    return CAPSTAN_OK;
}

static capstan_err_t ask_next(capstan_actor_t *self, asker_t *asker)
{
    uint64_t correlation;
    asker->sent_ns = bench_now_ns();
    return capstan_ask(self, asker->target, MESSAGE_ping,
                       (capstan_slice_t){&asker->round, sizeof asker->round}, ASK_US, &correlation);
}

static capstan_err_t receive(capstan_actor_t *self, const capstan_message_t *message)
{
    static const capstan_behaviour_t answerer = {.name = "answerer", .receive = answer};
    asker_t *asker = capstan_actor_state(self);
    int64_t echoed;
    if (message->message == HOST_BEGIN) {
        asker->begin = *message;
        asker->target =
            host_spawn(self, &answerer,
                       &(capstan_spawn_options_t){.cell = host_cell(asker->same_cell ? 0 : 1)});
        return ask_next(self, asker);
    }
    if (message->message != MESSAGE_pong) {
        bench_fail("message %u instead of an answer", message->message);
    }
    memcpy(&echoed, message->body.data, sizeof echoed);
    bench_expect("number in the answer", (uint64_t)echoed, (uint64_t)asker->round);
    if (asker->round >= 0) {
        asker->latencies_ns[asker->round] = (uint64_t)(bench_now_ns() - asker->sent_ns);
    }
    if (++asker->round < asker->rounds) {
        return ask_next(self, asker);
    }
    capstan_reply(self, &asker->begin, HOST_BEGIN, (capstan_slice_t){0});
    return CAPSTAN_OK;
}

int main(int argc, char **argv)
{
    static const capstan_behaviour_t behaviour = {
        .name = "asker", .init = host_keep_argument, .receive = receive};
    asker_t asker = {
        .rounds = (int64_t)bench_argument(argc, argv, 1, "rounds"),
        .same_cell = bench_argument(argc, argv, 2, "1: two cells, 2: the same cell") == 2,
    };
    capstan_node_options_t options = {0};
    if (argc > 3) {
        options.spin_us = (uint32_t)bench_argument(argc, argv, 3, "spin in microseconds");
    }
    uint64_t warm = (uint64_t)asker.rounds / 10;
    asker.round = -(int64_t)warm;
    asker.latencies_ns = calloc((size_t)asker.rounds, sizeof *asker.latencies_ns);
    bench_figures_t figures = host_run(&options, &behaviour, &asker, (uint64_t)asker.rounds + warm);
    bench_quantiles(asker.latencies_ns, (size_t)asker.rounds, &figures);
    bench_print(&figures);
    free(asker.latencies_ns);
    return 0;
}

/* ask ROUNDS SAME_CELL(1 no, 2 yes) [SPIN_US [BUSY]]: one request at a time, ROUNDS times after a
 * tenth as many, 2,000 at most, to warm up. SPIN_US is how long an idle cell looks for work before
 * it sleeps; the node's default when it is not given. With BUSY other threads that do nothing but
 * arithmetic, the operations are their pieces of work (what the asking takes away from them is
 * missing there), and the asking ends after two seconds at the latest. */
#include "tests/bench/runtime/host.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

enum {
    MESSAGE_ping = HOST_MESSAGE,
    MESSAGE_pong,
    ASK_US = 5000000,
    WARM_MAX = 2000,
    WARM_MAX_BUSY = 10, /* a round may take milliseconds then */
    BUSY_MAX = 16,
    PIECE_COST = 1, /* of bench_work */
};

#define BUSY_NS INT64_C(2000000000)

/* Threads that have nothing to do with the node. */
typedef struct busy {
    pthread_t threads[BUSY_MAX];
    uint64_t count;
    _Atomic bool ending;
    _Atomic uint64_t pieces;
} busy_t;

typedef struct asker {
    capstan_ref_t target;
    bool same_cell;
    int64_t rounds;
    int64_t round;    /* negative while warming up */
    int64_t until_ns; /* 0: until all rounds are done */
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
                       &(capstan_spawn_options_t){.cell = asker->same_cell ? NULL : "answerer"});
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
    bool late = asker->until_ns > 0 && asker->sent_ns > asker->until_ns;
    if (++asker->round < asker->rounds && !late) {
        return ask_next(self, asker);
    }
    capstan_reply(self, &asker->begin, HOST_BEGIN, (capstan_slice_t){0});
    return CAPSTAN_OK;
}

static void *work(void *argument)
{
    busy_t *busy = argument;
    double term = 0;
    while (!atomic_load_explicit(&busy->ending, memory_order_relaxed)) {
        term = bench_work(term, PIECE_COST);
        atomic_fetch_add_explicit(&busy->pieces, 1, memory_order_relaxed);
    }
    if (term == 0) {
        bench_fail("no work was done");
    }
    return NULL;
}

static void busy_start(busy_t *self, uint64_t count)
{
    self->count = count < BUSY_MAX ? count : BUSY_MAX;
    for (uint64_t i = 0; i < self->count; i++) {
        if (pthread_create(&self->threads[i], NULL, work, self) != 0) {
            bench_fail("a busy thread did not start");
        }
    }
}

/* The pieces of work that were done. */
static uint64_t busy_stop(busy_t *self)
{
    atomic_store_explicit(&self->ending, true, memory_order_relaxed);
    for (uint64_t i = 0; i < self->count; i++) {
        pthread_join(self->threads[i], NULL);
    }
    return atomic_load_explicit(&self->pieces, memory_order_relaxed);
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
    busy_t busy = {.count = 0};
    if (argc > 4) {
        busy_start(&busy, bench_argument(argc, argv, 4, "busy threads"));
        asker.until_ns = bench_now_ns() + BUSY_NS;
    }
    uint64_t warm_max = busy.count > 0 ? WARM_MAX_BUSY : WARM_MAX;
    uint64_t warm = (uint64_t)asker.rounds / 10 < warm_max ? (uint64_t)asker.rounds / 10 : warm_max;
    asker.round = -(int64_t)warm;
    asker.latencies_ns = calloc((size_t)asker.rounds, sizeof *asker.latencies_ns);
    bench_figures_t figures = host_run(options, &behaviour, &asker, (uint64_t)asker.rounds + warm);
    if (busy.count > 0) {
        figures.ops = (double)busy_stop(&busy);
    }
    bench_quantiles(asker.latencies_ns, asker.round > 0 ? (size_t)asker.round : 0, &figures);
    bench_print(&figures);
    free(asker.latencies_ns);
    return 0;
}

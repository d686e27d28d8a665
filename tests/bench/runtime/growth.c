/* growth ACTIVE MESSAGES ACTORS...: what a message costs among few actors and among many. For each
 * number of ACTORS in turn: they are started, spread over the cells, and then a driver on each cell
 * keeps 500 messages under way to them; each is answered, and the answer counts as a message too.
 * ACTIVE of them, one at random of each equal share, get the messages in turn, the others stay
 * idle; with ACTIVE 1 any of them may be next, at random. MESSAGES are those of one round; the
 * fastest of five counts. Growth is the highest cost divided by the lowest. */
#include "tests/bench/runtime/host.h"

#include <stdlib.h>

enum {
    MESSAGE_started = HOST_MESSAGE, /* driver to main */
    MESSAGE_round,                  /* main to driver */
    MESSAGE_load,
    MESSAGE_answer,
    MESSAGE_round_done, /* driver to main */
    UNDER_WAY = 500,
    ROUNDS = 5,
};

typedef struct driver driver_t;

typedef struct growth {
    uint64_t active;
    uint64_t messages; /* of one round; half are answers */
    uint64_t actors;
    capstan_ref_t main_actor;
    capstan_ref_t *refs;    /* of all actors */
    capstan_ref_t *targets; /* of the active ones */
    uint64_t target_count;
    driver_t *drivers;
    uint32_t waiting; /* drivers that have not reported */
    uint32_t round;
    int64_t round_began_ns;
    uint64_t rounds_ns[ROUNDS];
    capstan_message_t begin;
} growth_t;

struct driver {
    growth_t *growth;
    capstan_ref_t ref;
    uint64_t first; /* of the actors that it starts */
    uint64_t end;
    uint64_t random;
    uint64_t next; /* active one */
    uint64_t left; /* to send in this round */
    uint64_t answers_left;
};

/* --- the actors, and what drives them -------------------------------------------------------- */

static capstan_err_t answer(capstan_actor_t *self, const capstan_message_t *message)
{
    host_tell(self, message->sender, MESSAGE_answer, message->body.data, message->body.size);
    return CAPSTAN_OK;
}

static capstan_err_t begin_driver(capstan_actor_t *self, void *argument)
{
    static const capstan_behaviour_t resident = {.name = "resident", .receive = answer};
    driver_t *driver = argument;
    capstan_actor_set_state(self, driver);
    for (uint64_t i = driver->first; i < driver->end; i++) {
        driver->growth->refs[i] = host_spawn(self, &resident, &(capstan_spawn_options_t){0});
    }
    host_tell(self, driver->growth->main_actor, MESSAGE_started, NULL, 0);
    return CAPSTAN_OK;
}

static void send_one(capstan_actor_t *self, driver_t *driver)
{
    const growth_t *growth = driver->growth;
    capstan_ref_t target;
    if (growth->active == 1) {
        target = growth->refs[bench_random(&driver->random) % growth->actors];
    } else {
        target = growth->targets[driver->next];
        driver->next = driver->next + 1 < growth->target_count ? driver->next + 1 : 0;
    }
    host_tell(self, target, MESSAGE_load, &driver->left, sizeof driver->left);
    driver->left--;
}

static capstan_err_t on_driver(capstan_actor_t *self, const capstan_message_t *message)
{
    driver_t *driver = capstan_actor_state(self);
    if (message->message == MESSAGE_round) {
        driver->left = driver->answers_left = driver->growth->messages / 2 / HOST_WORKERS;
        for (int i = 0; i < UNDER_WAY && driver->left > 0; i++) {
            send_one(self, driver);
        }
        return CAPSTAN_OK;
    }
    if (driver->left > 0) {
        send_one(self, driver);
    }
    if (--driver->answers_left == 0) {
        host_tell(self, driver->growth->main_actor, MESSAGE_round_done, NULL, 0);
    }
    return CAPSTAN_OK;
}

/* --- the rounds ------------------------------------------------------------------------------ */

static void begin(capstan_actor_t *self, growth_t *growth)
{
    static const capstan_behaviour_t behaviour = {
        .name = "driver", .init = begin_driver, .receive = on_driver};
    growth->main_actor = capstan_actor_ref(self);
    growth->waiting = HOST_WORKERS;
    for (uint64_t i = 0; i < HOST_WORKERS; i++) {
        driver_t *driver = &growth->drivers[i];
        *driver = (driver_t){
            .growth = growth,
            .first = i * growth->actors / HOST_WORKERS,
            .end = (i + 1) * growth->actors / HOST_WORKERS,
            .random = bench_seed() + i,
        };
        driver->ref = host_spawn(
            self, &behaviour,
            &(capstan_spawn_options_t){.placement = CAPSTAN_PLACE_SPREAD, .argument = driver});
    }
}

static void choose_targets(growth_t *growth)
{
    uint64_t random = bench_seed();
    growth->target_count = growth->active < growth->actors ? growth->active : growth->actors;
    uint64_t share = growth->actors / growth->target_count;
    for (uint64_t i = 0; i < growth->target_count; i++) {
        growth->targets[i] = growth->refs[i * share + bench_random(&random) % share];
    }
}

static void begin_round(capstan_actor_t *self, growth_t *growth)
{
    growth->waiting = HOST_WORKERS;
    growth->round_began_ns = bench_now_ns();
    for (int i = 0; i < HOST_WORKERS; i++) {
        host_tell(self, growth->drivers[i].ref, MESSAGE_round, NULL, 0);
    }
}

static capstan_err_t receive(capstan_actor_t *self, const capstan_message_t *message)
{
    growth_t *growth = capstan_actor_state(self);
    if (message->message == HOST_BEGIN) {
        growth->begin = *message;
        begin(self, growth);
        return CAPSTAN_OK;
    }
    if (--growth->waiting > 0) {
        return CAPSTAN_OK;
    }
    if (message->message == MESSAGE_started) {
        choose_targets(growth);
    } else {
        growth->rounds_ns[growth->round++] = (uint64_t)(bench_now_ns() - growth->round_began_ns);
    }
    if (growth->round < ROUNDS) {
        begin_round(self, growth);
    } else {
        capstan_reply(self, &growth->begin, HOST_BEGIN, (capstan_slice_t){0});
    }
    return CAPSTAN_OK;
}

int main(int argc, char **argv)
{
    static const capstan_behaviour_t behaviour = {
        .name = "growth", .init = host_keep_argument, .receive = receive};
    driver_t drivers[HOST_WORKERS];
    growth_t growth = {
        .active = bench_argument(argc, argv, 1, "active actors; 1: any at random"),
        .messages = bench_argument(argc, argv, 2, "messages of a round"),
        .drivers = drivers,
    };
    growth.targets = calloc(growth.active, sizeof *growth.targets);
    bench_expect("messages beyond equal shares", growth.messages % (2 * HOST_WORKERS), 0);
    bench_meter_t meter = bench_begin();
    bench_figures_t points = bench_end(&meter, 0);
    for (int i = 3; i < argc; i++) {
        growth.actors = bench_argument(argc, argv, i, "actors");
        growth.refs = calloc(growth.actors, sizeof *growth.refs);
        growth.round = 0;
        capstan_node_options_t options = {.actors_max = (uint32_t)growth.actors + 1024};
        bench_figures_t figures = host_run(options, &behaviour, &growth, 0);
        bench_add_point(growth.actors, growth.rounds_ns, ROUNDS, growth.messages, &points);
        points.cpu_s += figures.cpu_s;
        free(growth.refs);
    }
    free(growth.targets);
    bench_print(&points);
    return 0;
}

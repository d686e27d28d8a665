/* Actors of a tree of some two hundred are killed at random, workers and supervisors, while they
 * send each other messages: the tree comes back whole, every watcher is told of every end exactly
 * once, every message is accounted for, and nothing is left behind.
 *
 *   root -- 4 branches -- 4 twigs each -- 12 workers each      one_for_one, rest_for_one and
 *                                                              one_for_all by turns
 *   watchers, killer: beside the tree
 *
 * CAPSTAN_FULL kills 10,000, otherwise it is a sample; CAPSTAN_SEED repeats the choices. */
#include "runtime/base/ensure.h"
#include "runtime/refs.h"
#include "runtime/runtime.h"
#include "runtime/simulation/random.h"

#include <criterion/criterion.h>
#include <capstan/supervisor.h>
#include <dirent.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

enum {
    BRANCHES = 4,
    TWIGS = 4,
    WORKERS = 12,
    TREE_WORKERS = BRANCHES * TWIGS * WORKERS,
    TREE_ACTORS = 1 + BRANCHES + BRANCHES * TWIGS + TREE_WORKERS,
    WATCHERS = 2,
    BESIDE = WATCHERS + 1, /* and the killer */
    KILLS_FULL = 10000,
    KILLS_SAMPLE = 600,
    KILLS_IN_A_ROW = 40, /* then the tree may come back whole */
    MESSAGE_watch = 0x8000,
    MESSAGE_kill,
    MESSAGE_die,
    MESSAGE_leave,
    MESSAGE_chat,
    MESSAGE_ping,
    MESSAGE_count,
    WAIT_US = 120000000,
    STOP_US = 1000,
};

static capstan_node_t *node;
static _Atomic bool quiet; /* the workers have stopped talking */
static _Atomic uint64_t inits;
static capstan_ref_t watchers[WATCHERS];

/* --- watchers: hear of each end once --------------------------------------------------------- */

typedef struct watcher {
    refs_t watched; /* incarnations that have not been told of */
    uint64_t asked;
    uint64_t told;
} watcher_t;

static capstan_err_t watcher_init(capstan_actor_t *self, void *argument)
{
    (void)argument;
    watcher_t *watcher = calloc(1, sizeof *watcher);
    ENSURE(watcher);
    capstan_actor_set_state(self, watcher);
    return CAPSTAN_OK;
}

static capstan_err_t watcher_receive(capstan_actor_t *self, const capstan_message_t *message)
{
    watcher_t *watcher = capstan_actor_state(self);
    capstan_ref_t who;
    capstan_err_t reason;
    if (capstan_message_is_down(message, &who, &reason)) {
        cr_assert_eq(refs_remove(&watcher->watched, who, 1), 1, "told twice, or of a stranger");
        watcher->told++;
    } else if (message->message == MESSAGE_watch) {
        cr_assert_eq(capstan_monitor(self, message->sender), CAPSTAN_OK);
        cr_assert_eq(capstan_monitor(self, message->sender), CAPSTAN_OK);
        refs_add(&watcher->watched, message->sender, 1);
        watcher->asked++;
    } else {
        uint64_t counts[3] = {watcher->asked, watcher->told, watcher->watched.count};
        capstan_reply(self, message, MESSAGE_count, (slice_t){counts, sizeof counts});
    }
    return CAPSTAN_OK;
}

static void watcher_destroy(capstan_actor_t *self)
{
    watcher_t *watcher = capstan_actor_state(self);
    refs_fini(&watcher->watched);
    free(watcher);
}

/* --- workers --------------------------------------------------------------------------------- */

typedef struct worker {
    random_source_t random;
    void *memory; /* to be missed if it is not freed */
    bool fails_soon;
} worker_t;

static capstan_err_t worker_init(capstan_actor_t *self, void *argument)
{
    uint64_t number = atomic_fetch_add(&inits, 1);
    worker_t *worker = calloc(1, sizeof *worker);
    ENSURE(worker);
    capstan_actor_set_state(self, worker);
    worker->random.state = number + (uintptr_t)argument;
    worker->memory = malloc(64);
    for (int i = 0; i < WATCHERS; i++) {
        cr_assert_eq(capstan_tell(self, watchers[i], MESSAGE_watch, (slice_t){0}), CAPSTAN_OK);
    }
    capstan_timer_start(self, 1, NULL);
    bool fails = number >= TREE_WORKERS && random_chance(&worker->random, 5);
    return fails ? CAPSTAN_E_STORE_IO : CAPSTAN_OK;
}

static void talk_to(capstan_actor_t *self, worker_t *worker)
{
    char name[16];
    capstan_ref_t other;
    uint64_t ask;
    snprintf(name, sizeof name, "w%lu", (unsigned long)random_below(&worker->random, TREE_WORKERS));
    if (capstan_resolve(self, name, &other) != CAPSTAN_OK) {
        return; /* it is dead at the moment */
    }
    if (random_chance(&worker->random, 500)) {
        (void)!capstan_tell(self, other, MESSAGE_chat, (slice_t){0});
    } else {
        (void)!capstan_ask(self, other, MESSAGE_ping, (slice_t){0}, WAIT_US, &ask);
    }
}

static void worker_timer(capstan_actor_t *self, uint64_t timer, void *cookie)
{
    (void)timer;
    (void)cookie;
    worker_t *worker = capstan_actor_state(self);
    if (worker->fails_soon) {
        capstan_actor_exit(self, CAPSTAN_E_INTERNAL);
    } else if (!atomic_load(&quiet)) {
        talk_to(self, worker);
    }
    capstan_timer_start(self, random_between(&worker->random, 1, 20000), NULL);
}

static capstan_err_t worker_receive(capstan_actor_t *self, const capstan_message_t *message)
{
    worker_t *worker = capstan_actor_state(self);
    switch (message->message) {
    case MESSAGE_die:
        worker->fails_soon = random_chance(&worker->random, 300);
        return worker->fails_soon ? CAPSTAN_OK : CAPSTAN_E_INTERNAL;
    case MESSAGE_leave:
        capstan_actor_exit(self, CAPSTAN_OK);
        break;
    case MESSAGE_ping:
        capstan_reply(self, message, MESSAGE_ping, (slice_t){0});
        break;
    default:
        break;
    }
    return CAPSTAN_OK;
}

/* Some need a moment, some do not want to. */
static void worker_stop(capstan_actor_t *self)
{
    worker_t *worker = capstan_actor_state(self);
    uint64_t choice = random_below(&worker->random, 10);
    if (choice > 1 || atomic_load(&quiet)) {
        capstan_actor_exit(self, choice == 2 ? CAPSTAN_E_STORE_IO : CAPSTAN_OK);
    } else if (choice == 1) {
        worker->fails_soon = true;
    }
}

static void worker_destroy(capstan_actor_t *self)
{
    worker_t *worker = capstan_actor_state(self);
    free(worker->memory);
    free(worker);
}

static const capstan_behaviour_t worker_behaviour = {.name = "worker",
                                                     .init = worker_init,
                                                     .receive = worker_receive,
                                                     .timer = worker_timer,
                                                     .stop = worker_stop,
                                                     .destroy = worker_destroy};

/* --- the killer ------------------------------------------------------------------------------ */

typedef struct kill_order {
    capstan_ref_t victim;
    int64_t timeout_us;
} kill_order_t;

static capstan_err_t killer_receive(capstan_actor_t *self, const capstan_message_t *message)
{
    kill_order_t order;
    memcpy(&order, message->body.data, sizeof order);
    (void)!capstan_stop(self, order.victim, order.timeout_us);
    capstan_reply(self, message, MESSAGE_kill, (slice_t){0});
    return CAPSTAN_OK;
}

/* --- the tree -------------------------------------------------------------------------------- */

static char names[TREE_ACTORS][16];
static size_t name_count;
static capstan_child_t children[TREE_ACTORS];
static capstan_supervisor_options_t supervisors[1 + BRANCHES + BRANCHES * TWIGS];
static size_t supervisor_count;

static const char *new_name(char kind, size_t number)
{
    char *name = names[name_count++];
    snprintf(name, sizeof names[0], "%c%zu", kind, number);
    return name;
}

static capstan_child_t child_with(const char *name, const char *cell)
{
    return (capstan_child_t){.spawn = {.name = name, .cell = cell},
                             .restarts_max = CAPSTAN_RESTARTS_MAX,
                             .window_us = 1000000,
                             .backoff_us_min = 1,
                             .backoff_us_max = 1000,
                             .stop_us = STOP_US};
}

static capstan_supervisor_options_t *new_supervisor(capstan_child_t *first, size_t count)
{
    capstan_supervisor_options_t *options = &supervisors[supervisor_count];
    *options =
        (capstan_supervisor_options_t){.strategy = (capstan_strategy_t)(supervisor_count++ % 3),
                                       .children = first,
                                       .child_count = count};
    return options;
}

static void make_supervisor(capstan_child_t *child, const char *name,
                            capstan_supervisor_options_t *options)
{
    static const char *const cells[] = {"one", "two"};
    *child = child_with(name, cells[supervisor_count % 2]);
    child->behaviour = &capstan_supervisor_behaviour;
    child->spawn.argument = options;
}

/* Children of one supervisor stand together in `children`: workers, then twigs, then branches. */
static capstan_supervisor_options_t *plan_tree(uint64_t seed)
{
    static const char *const cells[] = {"one", "two", "three", NULL};
    name_count = supervisor_count = 0;
    capstan_child_t *workers = children;
    capstan_child_t *twigs = workers + TREE_WORKERS;
    capstan_child_t *branches = twigs + BRANCHES * TWIGS;
    for (size_t i = 0; i < TREE_WORKERS; i++) {
        workers[i] = child_with(new_name('w', i), cells[i % 4]);
        workers[i].behaviour = &worker_behaviour;
        workers[i].spawn.argument = (void *)(uintptr_t)seed;
    }
    for (size_t i = 0; i < BRANCHES * TWIGS; i++) {
        make_supervisor(&twigs[i], new_name('t', i),
                        new_supervisor(&workers[i * WORKERS], WORKERS));
    }
    for (size_t i = 0; i < BRANCHES; i++) {
        make_supervisor(&branches[i], new_name('b', i), new_supervisor(&twigs[i * TWIGS], TWIGS));
    }
    capstan_supervisor_options_t *root = new_supervisor(branches, BRANCHES);
    root->strategy = CAPSTAN_ONE_FOR_ONE;
    return root;
}

/* --- what is there --------------------------------------------------------------------------- */

typedef struct census {
    size_t count;
    capstan_ref_t refs[TREE_ACTORS * 4];
    bool is_worker[TREE_ACTORS * 4];
    uint64_t in_flight;
    uint64_t unaccounted;
} census_t;

/* Slots of those that have ended are given out again: ten thousand ends later, these will do. */
enum { SLOTS_MAX = 8192 };

static void count_actor(void *context, const actor_figures_t *figures)
{
    census_t *census = context;
    census->in_flight += figures->in_flight;
    census->unaccounted += figures->account.sent - figures->account.delivered -
                           figures->account.dropped_all - figures->in_flight;
    cr_assert_lt(figures->ref.slot, SLOTS_MAX);
    if (strchr("wtb", figures->name[0]) && figures->name[1] >= '0' && figures->name[1] <= '9') {
        ENSURE(census->count < TREE_ACTORS * 4);
        census->is_worker[census->count] = figures->name[0] == 'w';
        census->refs[census->count++] = figures->ref;
    }
}

static const census_t *take_census(void)
{
    static census_t census;
    census.count = 0;
    census.in_flight = census.unaccounted = 0;
    node_figures(node, count_actor, &census);
    return &census;
}

static capstan_err_t ask(capstan_ref_t ref, uint32_t message, slice_t body, void *ret_answer,
                         size_t answer_size)
{
    void *answer;
    size_t size;
    capstan_err_t err = capstan_node_ask(node, ref, message, body, WAIT_US, &answer, &size);
    if (err == CAPSTAN_OK) {
        ENSURE(size == answer_size);
        if (size > 0) {
            memcpy(ret_answer, answer, size);
        }
        free(answer);
    }
    return err;
}

/* Every actor of the tree answers to its name; one that is a zombie would not. */
static void await_whole_tree(void)
{
    for (size_t i = 0; i < name_count; i++) {
        capstan_ref_t ref;
        capstan_err_t err;
        do {
            sched_yield();
            err = capstan_node_resolve(node, names[i], &ref);
            err = err ? err : ask(ref, MESSAGE_ping, (slice_t){0}, NULL, 0);
        } while (err != (names[i][0] == 'w' ? CAPSTAN_OK : CAPSTAN_E_UNKNOWN_MESSAGE));
    }
}

static size_t entries_of(const char *folder)
{
    size_t count = 0;
    DIR *stream = opendir(folder);
    ENSURE(stream);
    while (readdir(stream)) {
        count++;
    }
    closedir(stream);
    return count;
}

/* --- the killing ----------------------------------------------------------------------------- */

static void kill_one(random_source_t *random, capstan_ref_t killer)
{
    const census_t *census = take_census();
    if (census->count == 0) {
        return;
    }
    size_t place = random_below(random, census->count);
    kill_order_t order = {.victim = census->refs[place]};
    uint64_t way = random_below(random, census->is_worker[place] ? 5 : 2);
    if (way >= 3) {
        (void)!capstan_node_tell(node, order.victim, way == 3 ? MESSAGE_die : MESSAGE_leave,
                                 (slice_t){0});
    } else {
        order.timeout_us = way == 0 ? 0 : random_between(random, 1, STOP_US);
        cr_assert_eq(ask(killer, MESSAGE_kill, (slice_t){&order, sizeof order}, NULL, 0),
                     CAPSTAN_OK);
    }
}

static capstan_ref_t spawn_beside(const capstan_behaviour_t *behaviour, const char *cell)
{
    capstan_ref_t ref;
    cr_assert_eq(
        capstan_node_spawn(node, behaviour, &(capstan_spawn_options_t){.cell = cell}, &ref),
        CAPSTAN_OK);
    return ref;
}

static const capstan_behaviour_t killer_behaviour = {.name = "killer", .receive = killer_receive};

static void start(bool strict, uint64_t seed, capstan_ref_t *ret_killer)
{
    static const capstan_behaviour_t watcher = {.name = "watcher",
                                                .init = watcher_init,
                                                .receive = watcher_receive,
                                                .destroy = watcher_destroy};
    capstan_ref_t root;
    atomic_store(&quiet, false);
    atomic_store(&inits, 0);
    cr_assert_eq(capstan_node_new(&(capstan_node_options_t){.strict_wire = strict}, &node),
                 CAPSTAN_OK);
    watchers[0] = spawn_beside(&watcher, "one");
    watchers[1] = spawn_beside(&watcher, "watchers");
    *ret_killer = spawn_beside(&killer_behaviour, "killer");
    cr_assert_eq(capstan_node_supervisor_spawn(node, plan_tree(seed),
                                               &(capstan_spawn_options_t){.name = "root"}, &root),
                 CAPSTAN_OK);
}

/* Each incarnation that asked to be watched has been told of once, or lives. The last ones that
 * were told to die may take their time. */
static void check_watchers(void)
{
    for (int i = 0; i < WATCHERS; i++) {
        uint64_t counts[3];
        do {
            cr_assert_eq(ask(watchers[i], MESSAGE_count, (slice_t){0}, counts, sizeof counts),
                         CAPSTAN_OK);
            cr_assert_eq(counts[0], counts[1] + counts[2]);
        } while (counts[2] != TREE_WORKERS || counts[0] != atomic_load(&inits));
    }
}

static void check_rest(void)
{
    atomic_store(&quiet, true);
    const census_t *census;
    do {
        sched_yield();
        census = take_census();
    } while (census->in_flight > 0 || census->count != TREE_ACTORS - 1);
    cr_assert_eq(census->unaccounted, 0, "M1");
}

/* What the process needs for its first node it keeps. */
static void warm_up(void)
{
    cr_assert_eq(capstan_node_new(NULL, &node), CAPSTAN_OK);
    spawn_beside(&killer_behaviour, "killer");
    cr_assert_eq(capstan_node_stop(&node, WAIT_US, NULL, NULL), CAPSTAN_OK);
}

static void kill_at_random(bool strict, uint64_t kills, uint64_t seed)
{
    size_t descriptors = entries_of("/proc/self/fd");
    size_t threads = entries_of("/proc/self/task");
    random_source_t random = {.state = seed};
    capstan_ref_t killer;
    start(strict, seed, &killer);
    for (uint64_t i = 0; i < kills; i++) {
        if (i % KILLS_IN_A_ROW == 0) {
            await_whole_tree();
        }
        kill_one(&random, killer);
    }
    await_whole_tree();
    check_watchers();
    check_rest();
    cr_assert_eq(capstan_node_stop(&node, WAIT_US, NULL, NULL), CAPSTAN_OK);
    cr_assert_eq(entries_of("/proc/self/fd"), descriptors);
    cr_assert_eq(entries_of("/proc/self/task"), threads);
}

static uint64_t base_seed(void)
{
    const char *wanted = getenv("CAPSTAN_SEED");
    return wanted ? strtoull(wanted, NULL, 10) : (uint64_t)time(NULL);
}

Test(kill, of_any_actor_of_a_tree_leaves_it_whole_and_nothing_else)
{
    uint64_t seed = base_seed();
    uint64_t kills = getenv("CAPSTAN_FULL") ? KILLS_FULL : KILLS_SAMPLE;
    cr_log_info("CAPSTAN_SEED=%lu", (unsigned long)seed);
    warm_up();
    kill_at_random(false, kills / 2, seed);
    kill_at_random(true, kills / 2, seed);
}

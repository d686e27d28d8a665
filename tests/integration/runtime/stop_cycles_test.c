/* A node that is started and stopped again and again, each time in the middle of its work: actors
 * tell each other and start others on cells of their own, foreign threads tell, ask and spawn.
 * After each stop no descriptor and no thread is left, and over the cycles no memory.
 *
 * CAPSTAN_FULL=1: 10,000 cycles, otherwise a sample. CAPSTAN_SEED: the choices; when threads do
 * what is up to them. */
#include "runtime/simulation/random.h"

#include <capstan/node.h>
#include <criterion/criterion.h>
#include <dirent.h>
#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#if defined(__SANITIZE_THREAD__)
enum { COUNTS_MEMORY = 0, THREADS_OF_OTHERS = 1 }; /* the sanitizer's */
#elif defined(__SANITIZE_ADDRESS__)
enum { COUNTS_MEMORY = 0, THREADS_OF_OTHERS = 0 };
#else
enum { COUNTS_MEMORY = 1, THREADS_OF_OTHERS = 0 };
#endif

enum {
    CYCLES_SAMPLE = 160,
    CYCLES_FULL = 10000,
    MESSAGE_gossip = 0x8000, /* body: what it has before it, and some bytes */
    MESSAGE_question,
    ROOTS = 5,
    HOPS = 40,
    CALLERS = 3,
    BODY_MAX = 6000,
    PAUSE_US_MAX = 4000,
    DRAIN_US = 3000, /* the callers never let it end by itself */
    ASK_US = 2000000,
    STOP_US = 240000000,      /* an eighth of it is what the intake may take */
    LEAK_BYTES = 24,          /* per cycle: less than any block */
    WOBBLE_BYTES = 128 << 10, /* of what the allocator keeps for threads */
};

typedef struct cycle {
    capstan_node_t *node;
    capstan_ref_t roots[ROOTS];
    uint64_t seed;
    const char *host_cell;
    bool early; /* the stop begins while actors are being started, and nothing else happens */
} cycle_t;

static void pause_us(uint64_t time_us)
{
    nanosleep(&(struct timespec){.tv_nsec = (long)time_us * 1000}, NULL);
}

/* --- actors ---------------------------------------------------------------------------------- */

static capstan_err_t root_init(capstan_actor_t *self, void *argument)
{
    capstan_actor_set_state(self, argument);
    return CAPSTAN_OK;
}

static capstan_err_t brief_receive(capstan_actor_t *self, const capstan_message_t *message)
{
    (void)message;
    capstan_actor_exit(self, CAPSTAN_OK);
    return CAPSTAN_OK;
}

static const capstan_behaviour_t brief = {.name = "brief", .receive = brief_receive};
static const capstan_spawn_options_t own = {.placement = CAPSTAN_PLACE_OWN};

/* Whatever is refused because the node stops, or is full, is refused. */
static void pass_on(capstan_actor_t *self, const cycle_t *cycle, capstan_slice_t body)
{
    static const uint8_t zeros[BODY_MAX];
    uint32_t hops;
    memcpy(&hops, body.data, sizeof hops);
    if (hops == 0) {
        return;
    }
    uint8_t next[BODY_MAX];
    size_t size = hops % 8 == 0 ? sizeof next : sizeof hops;
    memcpy(next, zeros, size);
    hops--;
    memcpy(next, &hops, sizeof hops);
    (void)!capstan_tell(self, cycle->roots[hops % ROOTS], MESSAGE_gossip,
                        (capstan_slice_t){next, size});
    if (hops % 16 == 1) {
        capstan_ref_t child;
        if (capstan_spawn(self, &brief, &own, &child) == CAPSTAN_OK) {
            (void)!capstan_tell(self, child, MESSAGE_gossip, (capstan_slice_t){0});
        }
    }
}

static capstan_err_t root_receive(capstan_actor_t *self, const capstan_message_t *message)
{
    if (message->message == MESSAGE_question) {
        capstan_reply(self, message, MESSAGE_question, message->body);
    } else {
        pass_on(self, capstan_actor_state(self), message->body);
    }
    return CAPSTAN_OK;
}

static const capstan_behaviour_t root = {
    .name = "root", .init = root_init, .receive = root_receive};

/* --- foreign threads ------------------------------------------------------------------------- */

typedef struct caller {
    cycle_t *cycle;
    random_source_t random;
    pthread_t thread;
} caller_t;

static capstan_err_t spawn_somewhere(capstan_node_t *node, random_source_t *random)
{
    char cell[16];
    capstan_ref_t ref;
    snprintf(cell, sizeof cell, "extra-%u", (unsigned)(random_next(random) % 8));
    capstan_spawn_options_t options = own;
    options.cell = random_next(random) % 2 ? cell : NULL;
    capstan_err_t err = capstan_node_spawn(node, &brief, &options, &ref);
    return err ? err : capstan_node_tell(node, ref, MESSAGE_gossip, (capstan_slice_t){0});
}

static capstan_err_t call(const cycle_t *cycle, random_source_t *random)
{
    const uint32_t hops = HOPS;
    capstan_slice_t body = {&hops, sizeof hops};
    capstan_ref_t to = cycle->roots[random_next(random) % ROOTS];
    if (cycle->early) {
        return spawn_somewhere(cycle->node, random);
    }
    switch (random_next(random) % 16) {
    case 0:
        return spawn_somewhere(cycle->node, random);
    case 1:
    case 2:
        return capstan_node_ask(cycle->node, to, MESSAGE_question, body, ASK_US, NULL, NULL);
    case 3:
        return capstan_node_resolve(cycle->node, "nobody", &to);
    default:
        return capstan_node_tell(cycle->node, to, MESSAGE_gossip, body);
    }
}

static void *call_until_stopped(void *argument)
{
    caller_t *self = argument;
    while (call(self->cycle, &self->random) != CAPSTAN_E_STOPPING) {
    }
    return NULL;
}

/* --- a cycle --------------------------------------------------------------------------------- */

static void start_roots(cycle_t *self)
{
    static const char *const cells[ROOTS] = {"one", "two", "one", "three", NULL};
    for (int i = 0; i < ROOTS; i++) {
        const char *cell = i == 0 && self->host_cell ? self->host_cell : cells[i];
        cr_assert_eq(capstan_node_spawn(self->node, &root,
                                        &(capstan_spawn_options_t){.cell = cell, .argument = self},
                                        &self->roots[i]),
                     CAPSTAN_OK);
    }
}

static void work(const cycle_t *self, uint64_t time_us)
{
    if (!self->host_cell) {
        pause_us(time_us);
        return;
    }
    for (uint64_t passed_us = 0; passed_us < time_us; passed_us += 100) {
        capstan_node_dispatch(self->node);
        pause_us(100);
    }
}

static void print_late(void *context, const char *name)
{
    (void)context;
    fprintf(stderr, "late: %s\n", name);
}

static void run_cycle(uint64_t seed)
{
    random_source_t random = {.state = seed};
    caller_t callers[CALLERS];
    uint64_t kind = random_next(&random) % 4;
    cycle_t cycle = {.host_cell = kind == 0 ? "host" : NULL, .early = kind == 1};
    capstan_node_options_t options = {.host_cell = cycle.host_cell,
                                      .workers = 2,
                                      .strict_wire = random_next(&random) % 4 == 0,
                                      .log_fd = -1,
                                      .stop = {.drain_us = DRAIN_US}};
    cr_assert_eq(capstan_node_new(&options, &cycle.node), CAPSTAN_OK);
    if (!cycle.early) {
        start_roots(&cycle);
    }
    capstan_node_t *node = cycle.node; /* the callers go on calling while it is stopped */
    for (int i = 0; i < CALLERS; i++) {
        callers[i] = (caller_t){.cycle = &cycle, .random = {.state = seed + 1000 + (uint64_t)i}};
        cr_assert_eq(pthread_create(&callers[i].thread, NULL, call_until_stopped, &callers[i]), 0);
    }
    work(&cycle, random_next(&random) % (cycle.early ? PAUSE_US_MAX / 8 : PAUSE_US_MAX));
    time_t began = time(NULL);
    cr_assert_eq(capstan_node_stop(&node, STOP_US, print_late, NULL), CAPSTAN_OK);
    cr_assert_lt(time(NULL) - began, STOP_US / 8 / 1000000, "some cell was not asked to stop");
    for (int i = 0; i < CALLERS; i++) {
        pthread_join(callers[i].thread, NULL);
    }
}

/* --- what is left ---------------------------------------------------------------------------- */

static unsigned count_entries(const char *path)
{
    unsigned count = 0;
    DIR *folder = opendir(path);
    cr_assert_not_null(folder);
    while (readdir(folder)) {
        count++;
    }
    closedir(folder);
    return count;
}

/* A thread that was joined is gone for the system a moment later. */
static void wait_for_threads(unsigned wanted)
{
    unsigned count = 0;
    for (int i = 0; i < 10000 && (count = count_entries("/proc/self/task")) != wanted; i++) {
        pause_us(1000);
    }
    cr_assert_eq(count, wanted, "%u threads are left", count - wanted);
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

Test(stop_cycles, leave_no_descriptor_no_thread_and_no_memory)
{
    const char *wanted = getenv("CAPSTAN_SEED");
    uint64_t seed = wanted ? strtoull(wanted, NULL, 10) : (uint64_t)time(NULL);
    uint64_t cycles = getenv("CAPSTAN_FULL") ? CYCLES_FULL : CYCLES_SAMPLE;
    size_t used[2] = {SIZE_MAX, SIZE_MAX}; /* the least, in the middle and at the end */
    unsigned threads = count_entries("/proc/self/task") + THREADS_OF_OTHERS;
    unsigned fds = 0;
    fprintf(stderr, "%lu cycles, CAPSTAN_SEED=%lu\n", (unsigned long)cycles, (unsigned long)seed);
    for (uint64_t i = 0; i < cycles; i++) {
        run_cycle(seed * CYCLES_FULL + i);
        wait_for_threads(threads);
        unsigned now = count_entries("/proc/self/fd");
        fds = i == 0 ? now : fds; /* the first one opens what stays open */
        cr_assert_eq(now, fds, "%u descriptors instead of %u after cycle %lu", now, fds,
                     (unsigned long)i);
        if (i >= cycles / 4) {
            size_t *least = &used[i >= cycles * 3 / 4];
            *least = smaller(*least, mallinfo2().uordblks);
        }
    }
    size_t limit = used[0] + (size_t)cycles * LEAK_BYTES / 2 + WOBBLE_BYTES;
    cr_assert(!COUNTS_MEMORY || used[1] <= limit, "%zu bytes, then %zu", used[0], used[1]);
}

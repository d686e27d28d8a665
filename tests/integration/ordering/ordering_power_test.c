/* A node's promises to producers and consumers, when the power fails at any instant: what was
 * answered `stored` or `held` is there after the restart, nothing was accepted twice, a group goes
 * on without a hole, and sending everything again fills the rest. With synchronous=OFF the same
 * suite has to find losses.
 *
 * CAPSTAN_FULL=1: 1,000 instants, otherwise 30, or 10 under ThreadSanitizer. CAPSTAN_SEED: the seed
 * of the first disk; each failure names the seed of its own. Threads decide how far a run gets
 * before the power fails, so a seed repeats the disk and the events, not the instant: run it with
 * CAPSTAN_INSTANTS=300. */
#include "tests/integration/ordering/ordering_kit.h"

#include <inttypes.h>
#include <time.h>

enum {
    KEYS = 12,
    PARTITIONS = 4,
    SEQUENCES_MAX = 2048, /* of a key */
    LIFE_ITEMS_MAX = 400,
    LIFE_ITEMS_MAX_LARGE = 200, /* a sanitizer's build takes seconds for a hundred megabytes */
    WINDOW_ITEMS = 48,          /* published at once */
    LARGE_BYTES = 120000,
    REORDER = 24, /* events change places with others so far ahead */
    LIVES = 5,    /* of one disk, each ended by a loss of power */
#if defined(__SANITIZE_THREAD__)
    INSTANTS = 10, /* 25 times slower; it looks for races, not for instants */
#else
    INSTANTS = 30,
#endif
    INSTANTS_FULL = 1000,
};

typedef struct trial {
    uint64_t seed;
    random_source_t random;
    powerloss_t *disk;
    bench_t bench;
    bool lossy;   /* synchronous=OFF: a loss is what we look for */
    bool large;   /* payloads that make snapshots of several chunks */
    bool topic;   /* was answered */
    item_t *plan; /* everything that was ever to be published, in the order of publishing */
    size_t planned;
    size_t capacity;
    uint64_t next[KEYS];                   /* sequence */
    uint8_t answered[KEYS][SEQUENCES_MAX]; /* the best event_result_t that was heard */
    uint64_t acknowledged[PARTITIONS];     /* by the group's consumer */
    const char *lost;                      /* what was found */
} trial_t;

static void lose(trial_t *self, const char *what)
{
    self->lost = self->lost ? self->lost : what;
}

/* --- the events ------------------------------------------------------------------------------ */

static void add_item(trial_t *self, const item_t *item)
{
    if (self->planned == self->capacity) {
        self->capacity = 2 * self->capacity + 256;
        self->plan = realloc(self->plan, self->capacity * sizeof *self->plan);
        cr_assert_not_null(self->plan);
    }
    self->plan[self->planned++] = *item;
}

static uint32_t some_size(trial_t *self, uint32_t key, uint64_t sequence)
{
    random_source_t random = {.state = self->seed ^ (uint64_t)key << 32 ^ sequence};
    return (uint32_t)random_below(&random, self->large ? LARGE_BYTES : 300);
}

/* The next events of all keys: in order, then shuffled within a window, some twice. */
static void plan_some(trial_t *self, size_t count)
{
    size_t from = self->planned;
    for (size_t i = 0; i < count; i++) {
        uint32_t key = (uint32_t)random_below(&self->random, KEYS);
        if (self->next[key] == SEQUENCES_MAX) {
            continue;
        }
        item_t item = {.key = key, .sequence = self->next[key]++};
        item.size = some_size(self, key, item.sequence);
        add_item(self, &item);
        if (random_chance(&self->random, 50)) {
            add_item(self, &item);
        }
    }
    for (size_t i = from; i < self->planned; i++) {
        size_t left = self->planned - i;
        size_t other = i + (size_t)random_below(&self->random, left < REORDER ? left : REORDER);
        item_t item = self->plan[i];
        self->plan[i] = self->plan[other];
        self->plan[other] = item;
    }
}

/* Publishes [from, to) of the plan, and notes what was promised. False when an answer did not
 * come, or one came that breaks an earlier promise. */
static bool publish(trial_t *self, client_t *client, size_t from, size_t to)
{
    uint64_t first = client_publish(client, &self->plan[from], to - from);
    if (!client_settled(client)) {
        lose(self, "an event was not answered");
        return false;
    }
    for (size_t i = from; i < to; i++) {
        const item_t *item = &self->plan[i];
        uint8_t *answered = &self->answered[item->key][item->sequence];
        uint64_t result = client_result(client, first + (i - from)).result;
        if (*answered > 0 && (result == EVENT_STORED || result == EVENT_HELD)) {
            lose(self, "an event was accepted twice");
        }
        if (result != EVENT_REJECTED) {
            *answered = 1;
        }
    }
    return self->lost == NULL;
}

/* --- what must be there ---------------------------------------------------------------------- */

/* A look from the earliest sees everything accepted, in order, and everything promised as far as
 * it is not behind a gap; `all` demands every event of the plan. */
static void check_look(trial_t *self, bool all)
{
    uint64_t accepted = bench_accepted(&self->bench);
    client_t *client = client_new(&self->bench, "orders");
    if (client_subscribe(client, &(client_place_t){0}) != CAPSTAN_OK) {
        lose(self, "a look was refused");
    } else if (!client_received(client, accepted)) {
        lose(self, "an accepted event is not delivered");
    }
    const char *disorder = client_disorder(client, 0, true);
    if (disorder) {
        lose(self, disorder);
    }
    uint64_t seen[KEYS] = {0};
    for (size_t i = 0; i < accepted && !self->lost; i++) {
        got_t got = client_got(client, i);
        seen[got.key] = got.sequence;
        if (got.size != some_size(self, got.key, got.sequence)) {
            lose(self, "an event was changed");
        }
    }
    for (uint32_t key = 0; key < KEYS; key++) {
        if (all && seen[key] != self->next[key] - 1) {
            lose(self, "an event is missing after everything was sent again");
        }
    }
    if (client_faults(client) > 0) {
        lose(self, "a payload or an outcome is wrong");
    }
    client_destroy(&client);
}

/* The group begins where it acknowledged, or before, never behind. */
static void check_group(trial_t *self, client_t *client)
{
    uint64_t accepted = bench_accepted(&self->bench);
    if (client_subscribe(client, &(client_place_t){.group = "group"}) != CAPSTAN_OK) {
        lose(self, "the group was refused");
        return;
    }
    uint64_t acknowledged = 0;
    for (size_t i = 0; i < PARTITIONS; i++) {
        acknowledged += self->acknowledged[i];
    }
    if (accepted < acknowledged || !client_received(client, accepted - acknowledged)) {
        lose(self, "the group misses events");
    }
    size_t count = client_count(client);
    bool begun[PARTITIONS] = {false};
    for (size_t i = 0; i < count && !self->lost; i++) {
        got_t got = client_got(client, i);
        if (!begun[got.partition] && got.offset > self->acknowledged[got.partition] + 1) {
            lose(self, "the group begins behind what it acknowledged");
        }
        begun[got.partition] = true;
    }
    const char *disorder = client_disorder(client, 0, false);
    if (disorder) {
        lose(self, disorder);
    }
}

static void acknowledge_all(trial_t *self, client_t *client)
{
    size_t count = client_count(client);
    for (size_t i = 0; i < count; i++) {
        got_t got = client_got(client, i);
        if (got.offset > self->acknowledged[got.partition]) {
            self->acknowledged[got.partition] = got.offset;
        }
    }
    for (uint64_t i = 0; i < PARTITIONS; i++) {
        client_acknowledge(client, i, self->acknowledged[i]);
    }
}

/* Everything again: what was promised is a duplicate, the rest is taken now. */
static void send_again(trial_t *self, client_t *client)
{
    for (size_t from = 0; from < self->planned && !self->lost; from += WINDOW_ITEMS) {
        size_t left = self->planned - from;
        size_t to = from + (left < WINDOW_ITEMS ? left : WINDOW_ITEMS);
        if (!publish(self, client, from, to)) {
            return;
        }
    }
    for (size_t i = 0; i < self->planned; i++) {
        if (self->answered[self->plan[i].key][self->plan[i].sequence] == 0) {
            lose(self, "an event was refused by a node in order");
        }
    }
}

/* --- lives ----------------------------------------------------------------------------------- */

static void live(trial_t *self)
{
    topic_info_t info;
    capstan_err_t err = bench_topic(&self->bench, "orders", PARTITIONS, &info);
    if (err) {
        lose(self, "the topic was refused");
        bench_stop(&self->bench);
        return;
    }
    if (self->topic && info.created) {
        lose(self, "the topic was lost");
    }
    self->topic = true;
    client_t *client = client_new(&self->bench, "orders");
    client_t *consumer = client_new(&self->bench, "orders");
    if (!powerloss_failed(self->disk)) {
        check_look(self, false);
        check_group(self, consumer);
    }
    if (!self->lost) {
        send_again(self, client);
        check_look(self, true);
    }
    size_t from = self->planned;
    plan_some(self, (size_t)random_below(&self->random,
                                         self->large ? LIFE_ITEMS_MAX_LARGE : LIFE_ITEMS_MAX));
    powerloss_fail_after(
        self->disk,
        random_below(&self->random, UINT64_C(1) << (2 + random_below(&self->random, 9))));
    while (from < self->planned && !self->lost && !powerloss_failed(self->disk)) {
        size_t left = self->planned - from;
        size_t to = from + 1 +
                    (size_t)random_below(&self->random, left < WINDOW_ITEMS ? left : WINDOW_ITEMS);
        (void)publish(self, client, from, to);
        if (random_chance(&self->random, 300)) {
            acknowledge_all(self, consumer);
        }
        from = to;
    }
    if (client_faults(client) + client_faults(consumer) > 0) {
        lose(self, "a payload or an outcome is wrong");
    }
    powerloss_fail_after(self->disk, 0); /* at the latest now: the stop is not to save anything */
    bench_stop(&self->bench);
    client_destroy(&client);
    client_destroy(&consumer);
}

/* A recovery that loses its power on the way; the next one has to begin anew. */
static void start_in_vain(trial_t *self)
{
    powerloss_fail_after(self->disk, random_below(&self->random, 24));
    capstan_err_t err = bench_start(&self->bench);
    if (err && !powerloss_failed(self->disk)) {
        lose(self, "the store cannot be opened");
    }
    powerloss_fail_after(self->disk, 0);
    if (!err) {
        bench_stop(&self->bench);
    }
    powerloss_restore(self->disk, random_next(&self->random));
}

static const char *try_disk(trial_t *self, uint64_t lives)
{
    self->random = (random_source_t){.state = self->seed};
    self->large = random_chance(&self->random, 200);
    self->disk = powerloss_new("powerloss");
    self->bench.vfs = "powerloss";
    self->bench.synchronous_off = self->lossy;
    for (size_t i = 0; i < KEYS; i++) {
        self->next[i] = 1;
    }
    for (uint64_t life = 0; life <= lives && !self->lost; life++) {
        if (random_chance(&self->random, 250)) {
            start_in_vain(self);
        }
        if (self->lost) {
            break;
        }
        if (bench_start(&self->bench)) {
            lose(self, "the store cannot be opened");
        } else {
            live(self);
        }
        powerloss_restore(self->disk, random_next(&self->random));
    }
    powerloss_destroy(&self->disk);
    free(self->plan);
    return self->lost;
}

static uint64_t environment_number(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

/* Returns how many disks lost something; without a loss to look for it stops at the first. */
static int try_all(bool lossy, bool strict, uint64_t instants)
{
    uint64_t seed = environment_number("CAPSTAN_SEED", (uint64_t)time(NULL) / 3600 * 10000);
    fprintf(stderr,
            "events and power loss, synchronous=%s: %" PRIu64 " instants from CAPSTAN_SEED=%" PRIu64
            "\n",
            lossy ? "OFF" : "FULL", instants, seed);
    int lost = 0;
    for (uint64_t done = 0; done < instants; done += LIVES, seed++) {
        trial_t *trial = calloc(1, sizeof *trial);
        cr_assert_not_null(trial);
        trial->seed = seed;
        trial->lossy = lossy;
        bench_init(&trial->bench);
        trial->bench.strict = strict;
        trial->bench.settings.resident_keys_max = 1; /* most are read back from the store */
        const char *what = try_disk(trial, instants - done < LIVES ? instants - done : LIVES);
        bench_fini(&trial->bench);
        free(trial);
        if (what && !lossy) {
            cr_assert_fail("%s: CAPSTAN_SEED=%" PRIu64, what, seed);
        }
        lost += what ? 1 : 0;
        if (lost > 0) {
            break;
        }
    }
    return lost;
}

static uint64_t instants(void)
{
    uint64_t full = environment_number("CAPSTAN_FULL", 0);
    return environment_number("CAPSTAN_INSTANTS", full ? INSTANTS_FULL : INSTANTS);
}

Test(ordering_power, keeps_every_answered_event_and_accepts_none_twice, .timeout = 900)
{
    cr_assert_eq(try_all(false, false, instants()), 0);
}

Test(ordering_power, keeps_them_under_strict_wire, .timeout = 900)
{
    cr_assert_eq(try_all(false, true, INSTANTS), 0);
}

/* The suite can fail: without syncs it has to find a loss. */
Test(ordering_power, is_noticed_when_commits_are_not_synced, .timeout = 900)
{
    cr_assert_gt(try_all(true, false, 30), 0); /* ends with the first loss */
}

#include "tests/simulation/ordering_world.h"

#include "tests/simulation/ordering_predicates.h"

#include <stdarg.h>

enum {
    STEPS_MAX = 4 * 1000 * 1000,
    STEPS_PER_LOOK = 256,
    CRASHES_MIN = 3,
};

static const mailbox_limits_t narrow = {.messages_max = 64, .bytes_max = 1 << 16};
static const mailbox_limits_t wide = {.messages_max = 1 << 20, .bytes_max = 1 << 30};

/* ---- facts, names, bytes ---- */

int64_t world_utc(const world_t *self)
{
    return world_utc_base + self->clock_step_us + core_world_now(self->simulation);
}

void world_trace(const world_t *self, const char *format, ...)
{
    if (!self->options.trace) {
        return;
    }
    va_list arguments;
    va_start(arguments, format);
    printf("%10lld us  ", (long long)core_world_now(self->simulation));
    vprintf(format, arguments);
    putchar('\n');
    va_end(arguments);
}

void world_fail(world_t *self, const char *predicate, const char *format, ...)
{
    history_t *history = &self->history;
    for (size_t i = 0; i < history->failure_count; i++) {
        if (strcmp(history->failures[i].predicate, predicate) == 0) {
            return;
        }
    }
    ENSURE(history->failure_count < WORLD_FAILURES_MAX);
    failure_seen_t *failure = &history->failures[history->failure_count++];
    failure->predicate = predicate;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(failure->text, sizeof failure->text, format, arguments);
    va_end(arguments);
}

fact_t *world_record(world_t *self, fact_kind_t kind)
{
    history_t *history = &self->history;
    if (history->count == history->capacity) {
        history->capacity = history->capacity > 0 ? history->capacity * 2 : 4096;
        history->facts = realloc(history->facts, history->capacity * sizeof *history->facts);
        ENSURE(history->facts);
    }
    fact_t *fact = &history->facts[history->count++];
    *fact = (fact_t){.kind = kind, .log_size = self->disk.count};
    return fact;
}

static void on_delivered(void *context, uint32_t from, uint32_t to, uint64_t ordinal, bool ordered)
{
    history_t *history = &((world_t *)context)->history;
    if (!ordered) {
        return;
    }
    if (history->passage_count == history->passage_capacity) {
        history->passage_capacity =
            history->passage_capacity > 0 ? history->passage_capacity * 2 : 4096;
        history->passages =
            realloc(history->passages, history->passage_capacity * sizeof *history->passages);
        ENSURE(history->passages);
    }
    history->passages[history->passage_count++] =
        (passage_t){.from = from, .to = to, .ordinal = ordinal};
}

slice_t world_producer_name(uint32_t producer)
{
    static const char *const names[WORLD_PRODUCERS_MAX] = {"scanner 0", "scanner 1", "scanner 2",
                                                           "scanner 3"};
    return slice_text(names[producer]);
}

slice_t world_key_name(uint32_t key)
{
    static const char *const names[WORLD_KEYS_MAX] = {"parcel 0", "parcel 1", "parcel 2",
                                                      "parcel 3", "parcel 4", "parcel 5",
                                                      "parcel 6", "parcel 7"};
    return slice_text(names[key]);
}

uint32_t world_index(slice_t name)
{
    ENSURE(name.size > 0);
    return (uint32_t)(((const char *)name.data)[name.size - 1] - '0');
}

size_t world_payload(uint32_t producer, uint32_t key, uint64_t sequence, uint8_t ret_bytes[256])
{
    random_source_t random = {.state =
                                  ((uint64_t)producer << 56) ^ ((uint64_t)key << 48) ^ sequence};
    size_t size = random_chance(&random, 50) ? 200 : random_below(&random, 40);
    for (size_t i = 0; i < size; i++) {
        ret_bytes[i] = (uint8_t)random_next(&random);
    }
    return size;
}

uint64_t world_hash(slice_t bytes)
{
    return siphash13((const uint8_t[16]){0}, 0, bytes);
}

/* ---- faults ---- */

static int64_t soon(world_t *self, int64_t low_us, int64_t high_us)
{
    return core_world_now(self->simulation) + random_between(&self->dice, low_us, high_us);
}

static void restart_server(void *context, uint64_t argument)
{
    (void)argument;
    world_t *self = context;
    core_world_restart(self->simulation, self->server);
    world_trace(self, "server restarts, log %zu, snapshot at %llu", self->disk.count,
                (unsigned long long)self->disk.snapshot_lsn);
    shell_start(&self->shell);
    for (uint32_t i = 0; i < WORLD_GROUPS; i++) {
        sim_group_start(&self->groups[i]);
    }
    predicate_after_recovery(self);
}

static void crash_server(void *context, uint64_t argument)
{
    world_t *self = context;
    if (!core_world_is_up(self->simulation, self->server)) {
        core_world_at(self->simulation, soon(self, 500, 2000), crash_server, self, argument);
        return;
    }
    world_trace(self, "server crashes");
    self->figures.crashes++;
    core_world_crash(self->simulation, self->server);
    for (uint32_t i = 0; i < WORLD_GROUPS; i++) {
        sim_group_stop(&self->groups[i]);
    }
    shell_stop(&self->shell);
    journal_stop(&self->journal);
    core_world_at(self->simulation, soon(self, 500, 20000), restart_server, self, 0);
}

static void crash_server_at_commit(void *context, uint64_t argument)
{
    world_t *self = context;
    if (self->crash_at_commit) {
        crash_server(self, argument);
    } else {
        self->crash_at_commit = true;
    }
}

static void restart_producer(void *context, uint64_t argument)
{
    world_t *self = context;
    sim_producer_t *producer = &self->producers[argument];
    core_world_restart(self->simulation, producer->host);
    producer_start(producer);
}

static void crash_producer(void *context, uint64_t argument)
{
    world_t *self = context;
    sim_producer_t *producer = &self->producers[argument];
    if (!producer->runs) {
        return;
    }
    world_trace(self, "producer %llu crashes", (unsigned long long)argument);
    core_world_crash(self->simulation, producer->host);
    producer_stop(producer);
    core_world_at(self->simulation, soon(self, 500, 20000), restart_producer, self, argument);
}

static void restart_consumer(void *context, uint64_t argument)
{
    world_t *self = context;
    core_world_restart(self->simulation, self->consumers[argument].host);
    consumer_start(&self->consumers[argument]);
}

static void crash_consumer(void *context, uint64_t argument)
{
    world_t *self = context;
    uint32_t host = self->consumers[argument].host;
    if (!core_world_is_up(self->simulation, host)) {
        return;
    }
    world_trace(self, "consumer %llu crashes", (unsigned long long)argument);
    core_world_crash(self->simulation, host);
    consumer_stop(&self->consumers[argument]);
    core_world_at(self->simulation, soon(self, 500, 20000), restart_consumer, self, argument);
}

/* Its connection breaks; the process goes on. */
static void disconnect_consumer(void *context, uint64_t argument)
{
    world_t *self = context;
    if (core_world_is_up(self->simulation, self->consumers[argument].host)) {
        consumer_reconnect(&self->consumers[argument]);
    }
}

static void cut_host(void *context, uint64_t host)
{
    world_t *self = context;
    world_trace(self, "host %llu is cut off", (unsigned long long)host);
    self->figures.cuts++;
    core_world_cut(self->simulation, self->server, (uint32_t)host, soon(self, 2000, 40000));
}

static void issue_epoch(world_t *self, uint32_t source)
{
    fact_t *fact = world_record(self, FACT_ISSUE);
    fact->producer = source;
    fact->epoch = ++self->sources[source].epoch_issued;
}

static void take_over(void *context, uint64_t argument)
{
    world_t *self = context;
    sim_producer_t *first = &self->producers[argument];
    sim_producer_t *twin = &self->producers[self->source_count + argument];
    if (twin->runs || twin->epoch != 0) {
        return;
    }
    issue_epoch(self, (uint32_t)argument);
    twin->epoch = self->sources[argument].epoch_issued;
    twin->announce = random_chance(&self->dice, 700);
    twin->saved = random_chance(&self->dice, 500) ? first->saved : 0;
    world_trace(self, "producer %llu is taken over with epoch %llu", (unsigned long long)argument,
                (unsigned long long)twin->epoch);
    producer_start(twin);
}

static void save_and_reload(void *context, uint64_t argument)
{
    (void)argument;
    world_t *self = context;
    if (core_world_is_up(self->simulation, self->server) && !self->shell.broken) {
        shell_save_and_reload(&self->shell);
    }
}

static void step_clock(void *context, uint64_t argument)
{
    (void)argument;
    world_t *self = context;
    self->clock_step_us += random_between(&self->dice, -20000, 20000);
}

void world_progress(world_t *self)
{
    while (self->plan_done < self->plan_count &&
           self->plan[self->plan_done].at_log_size <= self->disk.count) {
        core_world_at(self->simulation, soon(self, 0, 2000), self->plan[self->plan_done].call, self,
                      self->plan[self->plan_done].argument);
        self->plan_done++;
    }
    if (self->crash_at_commit) {
        self->crash_at_commit = false;
        crash_server(self, 0);
    }
}

/* ---- making a world ---- */

static void plan_fault(world_t *self, core_world_call_fn *call, uint64_t argument)
{
    ENSURE(self->plan_count < WORLD_FAULTS_MAX);
    uint64_t at = random_below(&self->dice, WORLD_EVENTS_MIN - WORLD_EVENTS_MIN / 4);
    size_t place = self->plan_count++;
    for (; place > 0 && self->plan[place - 1].at_log_size > at; place--) {
        self->plan[place] = self->plan[place - 1];
    }
    self->plan[place].at_log_size = at;
    self->plan[place].call = call;
    self->plan[place].argument = argument;
}

static void plan_faults(world_t *self)
{
    random_source_t *dice = &self->dice;
    self->crashes_planned = CRASHES_MIN + random_below(dice, 3);
    for (uint64_t i = 0; i < self->crashes_planned; i++) {
        plan_fault(self, random_chance(dice, 400) ? crash_server_at_commit : crash_server, 0);
    }
    for (uint64_t i = 1 + random_below(dice, 3); i > 0; i--) {
        plan_fault(self, cut_host,
                   1 + random_below(dice, self->source_count * 2 + WORLD_GROUPS * WORLD_MEMBERS));
    }
    for (uint64_t i = random_below(dice, 4); i > 0; i--) {
        plan_fault(self, crash_producer, random_below(dice, self->source_count * 2));
    }
    for (uint64_t i = 1 + random_below(dice, 3); i > 0; i--) {
        plan_fault(self, crash_consumer, random_below(dice, WORLD_GROUPS * WORLD_MEMBERS));
    }
    for (uint64_t i = 1 + random_below(dice, 3); i > 0; i--) {
        plan_fault(self, disconnect_consumer, random_below(dice, WORLD_GROUPS * WORLD_MEMBERS));
    }
    for (uint64_t i = random_below(dice, 3); i > 0; i--) {
        plan_fault(self, take_over, random_below(dice, self->source_count));
    }
    for (uint64_t i = 1 + random_below(dice, 4); i > 0; i--) {
        plan_fault(self, save_and_reload, 0);
    }
    for (uint64_t i = random_below(dice, 2); i > 0; i--) {
        plan_fault(self, step_clock, 0);
    }
}

static void index_source(source_t *source)
{
    for (uint32_t key = 0; key < WORLD_KEYS_MAX; key++) {
        source->positions[key] = calloc(source->key_last[key] + 1, sizeof(size_t));
        ENSURE(source->positions[key]);
    }
    for (size_t i = 0; i < source->count; i++) {
        source->positions[source->list[i].key][source->list[i].sequence] = i;
    }
}

static void make_source(world_t *self, source_t *source, size_t count)
{
    random_source_t *dice = &self->dice;
    source->list = calloc(count, sizeof *source->list);
    ENSURE(source->list);
    source->count = count;
    uint32_t late = random_chance(dice, 700) ? 15 : 0; /* per mille */
    for (size_t i = 0; i < count; i++) {
        uint32_t key = (uint32_t)random_below(dice, 1 + random_below(dice, self->key_count));
        source->list[i] = (source_event_t){.key = key, .sequence = ++source->key_last[key]};
        if (random_chance(dice, late)) {
            source->list[i].not_before_us = random_between(dice, 1, 150000);
        }
    }
    static const size_t windows[] = {1, 1, 8, 32, 128};
    size_t window = windows[random_below(dice, sizeof windows / sizeof windows[0])];
    for (size_t i = 0; i < count; i++) {
        size_t other = i + random_below(dice, window);
        other = other < count ? other : count - 1;
        source_event_t event = source->list[i];
        source->list[i] = source->list[other];
        source->list[other] = event;
    }
    index_source(source);
    if (random_chance(dice, 300)) {
        /* Late in its key, so that there is enough left to happen. */
        uint32_t key = (uint32_t)random_below(dice, self->key_count);
        uint64_t last = source->key_last[key];
        if (last > 0) {
            source->key_dropped[key] = last - random_below(dice, last / 4 + 1);
            source->list[source->positions[key][source->key_dropped[key]]].dropped = true;
        }
    }
}

static void make_limits(world_t *self)
{
    random_source_t *dice = &self->dice;
    self->limits = (partition_limits_t){
        .mode = SEQUENCE_PRODUCER,
        .held_items_max = (uint64_t)random_between(dice, 5, 300),
        .held_bytes_max = (uint64_t)random_between(dice, 1000, 40000),
        .key_held_items_max = (uint64_t)random_between(dice, 3, 100),
        .hold_us_max = random_chance(dice, 500) ? random_between(dice, 2000, 30000) : 10000000,
        .gap_timeout_us = random_chance(dice, 400) ? random_between(dice, 5000, 150000) : 0,
    };
    for (size_t i = 0; i < sizeof self->limits.hash_seed; i++) {
        self->limits.hash_seed[i] = (uint8_t)random_next(dice);
    }
    self->limits.late_policy = random_chance(dice, 400)
                                   ? LATE_OFF
                                   : (late_policy_t)random_between(dice, LATE_DELIVER, LATE_DROP);
    random_source_t keys = {.state = self->options.seed ^ UINT64_C(0x9e6c63d0876a9a47)};
    self->limits.resident_keys_max =
        random_chance(&keys, 600) ? (uint64_t)random_between(&keys, 1, 8) : 0;
    self->limits.lateness_us = random_between(dice, 0, 60); /* an event's time is its sequence */
    self->limits.watermark_step_us = random_between(dice, 1, 8);
    self->limits.idle_us = random_between(dice, 1000, 200000);
    self->declares = random_chance(dice, 500);
    self->forced = random_chance(dice, 500) ? (uint32_t)random_below(dice, 40) : 0;
    self->moves = random_chance(dice, 300) ? (uint32_t)random_below(dice, 20) : 0;
    self->small_ledger = random_chance(dice, 150);
    self->limits.skips_max = self->small_ledger ? random_below(dice, 12) : 1000000;
    self->faults = (network_faults_t){
        .loss = (uint32_t)random_below(dice, 50),
        .duplicate = (uint32_t)random_below(dice, 100),
        .reorder = (uint32_t)random_below(dice, 300),
        .delay_us_min = 50,
        .delay_us_max = random_between(dice, 100, 2000),
        .reorder_us_max = random_between(dice, 1000, 20000),
    };
    self->commit_failures = random_chance(dice, 500) ? (uint32_t)random_below(dice, 30) : 0;
}

bool world_gaps_end(const world_t *self)
{
    return !self->small_ledger && (self->declares || self->limits.gap_timeout_us > 0);
}

static void add_actors(world_t *self)
{
    core_world_t *simulation = self->simulation;
    self->server = core_world_add_host(simulation);
    self->shell = (sim_shell_t){.world = self};
    self->shell.slot =
        core_world_add_actor(simulation, self->server, &shell_behaviour, &self->shell, narrow);
    self->journal = (sim_journal_t){.world = self};
    self->journal.slot =
        core_world_add_actor(simulation, self->server, &journal_behaviour, &self->journal, wide);
    for (uint32_t i = 0; i < self->source_count * 2; i++) {
        sim_producer_t *producer = &self->producers[i];
        producer->world = self;
        producer->source = i % self->source_count;
        producer->host = core_world_add_host(simulation);
        producer->slot =
            core_world_add_actor(simulation, producer->host, &producer_behaviour, producer, wide);
    }
    for (uint32_t i = 0; i < WORLD_GROUPS * WORLD_MEMBERS; i++) {
        sim_consumer_t *consumer = &self->consumers[i];
        consumer->world = self;
        consumer->group = i % WORLD_GROUPS;
        consumer->host = core_world_add_host(simulation);
        consumer->slot =
            core_world_add_actor(simulation, consumer->host, &consumer_behaviour, consumer, wide);
    }
}

static void add_groups(world_t *self)
{
    random_source_t *dice = &self->dice;
    self->poison_per_mille = random_chance(dice, 700) ? (uint32_t)random_below(dice, 30) : 0;
    self->poison_attempts = (uint64_t)random_between(dice, 1, 6);
    for (uint32_t i = 0; i < WORLD_GROUPS; i++) {
        sim_group_t *group = &self->groups[i];
        group->world = self;
        group->group = i;
        group->replays = random_below(dice, 3);
        group->begins_at = i == 1 && random_chance(dice, 700) ? 1 + random_below(dice, 800) : 0;
        group->limits = (group_limits_t){
            .mode = random_chance(dice, 800) ? GROUP_BY_KEY : GROUP_BY_PARTITION,
            .events =
                i > 0 && random_chance(dice, 200) ? GROUP_EVENTS_DIVERTED : GROUP_EVENTS_IN_ORDER,
            .while_retried = random_chance(dice, 750) ? WHILE_RETRIED_WAIT : WHILE_RETRIED_GO_ON,
            .when_exhausted = random_chance(dice, 500) ? WHEN_EXHAUSTED_WAIT : WHEN_EXHAUSTED_GO_ON,
            .attempts_max = random_chance(dice, 700) ? (uint64_t)random_between(dice, 2, 5) : 0,
            .retry_us_min = random_between(dice, 100, 1000),
            .retry_us_max = random_between(dice, 1000, 5000),
            .partitions = 1,
            .events_max = (uint64_t)random_between(dice, 1, 300),
            .bytes_max = 1 << 20,
            .ranges_max = (uint64_t)random_between(dice, 4, 100),
            .parked_max = random_chance(dice, 500) ? (uint64_t)random_below(dice, 30) : 100000,
            .parked_bytes_max = 1 << 24,
        };
        /* A partition that waits is not passed before somebody looks after it, which nobody may. */
        group->barrier =
            group->limits.mode == GROUP_BY_KEY ? random_below(dice, WORLD_EVENTS_MIN) : 0;
        group->slot =
            core_world_add_actor(self->simulation, self->server, &sim_group_behaviour, group, wide);
    }
}

world_t *world_new(const world_options_t *options)
{
    world_t *self = calloc(1, sizeof *self);
    ENSURE(self);
    self->options = *options;
    self->dice.state = options->seed ^ UINT64_C(0x5bd1e9955bd1e995);
    self->simulation = core_world_new(options->seed);
    random_source_t *dice = &self->dice;
    self->source_count = (uint32_t)random_between(dice, 2, WORLD_PRODUCERS_MAX);
    self->key_count = (uint32_t)random_between(dice, 3, WORLD_KEYS_MAX);
    make_limits(self);
    core_world_set_faults(self->simulation, &self->faults);
    core_world_on_delivered(self->simulation, on_delivered, self);
    for (uint32_t i = 0; i < self->source_count; i++) {
        make_source(self, &self->sources[i],
                    WORLD_EVENTS_MIN / self->source_count + 1 + random_below(dice, 100));
    }
    add_actors(self);
    add_groups(self);
    self->compaction.wanted = random_chance(dice, 700);
    plan_faults(self);
    shell_start(&self->shell);
    for (uint32_t i = 0; i < self->source_count; i++) {
        if (random_chance(dice, 500)) {
            issue_epoch(self, i);
            self->producers[i].epoch = self->sources[i].epoch_issued;
            self->producers[i].announce = random_chance(dice, 500);
        }
        producer_start(&self->producers[i]);
    }
    for (uint32_t i = 0; i < WORLD_GROUPS; i++) {
        sim_group_start(&self->groups[i]);
    }
    for (uint32_t i = 0; i < WORLD_GROUPS * WORLD_MEMBERS; i++) {
        consumer_start(&self->consumers[i]);
    }
    return self;
}

/* ---- running it ---- */

static bool is_at_rest(const world_t *self)
{
    const sim_shell_t *shell = &self->shell;
    if (self->plan_done < self->plan_count || self->figures.crashes < self->crashes_planned ||
        !shell->core || shell->broken || shell->outstanding > 0 || shell->queue_count > 0 ||
        partition_due_us(shell->core) != INT64_MAX) {
        return false;
    }
    for (uint32_t i = 0; i < self->source_count * 2; i++) {
        const sim_producer_t *producer = &self->producers[i];
        bool never_started = i >= self->source_count && producer->epoch == 0;
        if (!never_started && !producer_is_done(producer)) {
            return false;
        }
    }
    for (uint32_t i = 0; i < WORLD_GROUPS; i++) {
        if (!sim_group_is_done(&self->groups[i])) {
            return false;
        }
    }
    return true;
}

void world_run(world_t *self)
{
    while (self->history.failure_count == 0) {
        if (!core_world_step(self->simulation)) {
            world_fail(self, "O3", "nothing happens any more");
            break;
        }
        self->figures.steps++;
        if (self->figures.steps % STEPS_PER_LOOK != 0) {
            continue;
        }
        predicate_at_cut(self);
        if (is_at_rest(self)) {
            break;
        }
        if (self->figures.steps > STEPS_MAX) {
            world_fail(self, "O3", "the run does not come to rest");
        }
    }
    self->figures.events =
        self->shell.core ? partition_figures(self->shell.core).offset_next - 1 : 0;
}

void world_destroy(world_t **self_p)
{
    world_t *self = *self_p;
    for (uint32_t i = 0; i < WORLD_GROUPS; i++) {
        sim_group_stop(&self->groups[i]);
    }
    for (uint32_t i = 0; i < WORLD_GROUPS * WORLD_MEMBERS; i++) {
        consumer_stop(&self->consumers[i]);
    }
    shell_stop(&self->shell);
    journal_stop(&self->journal);
    for (uint32_t i = 0; i < self->source_count * 2; i++) {
        producer_stop(&self->producers[i]);
    }
    for (uint32_t i = 0; i < self->source_count; i++) {
        free(self->sources[i].list);
        for (uint32_t key = 0; key < WORLD_KEYS_MAX; key++) {
            free(self->sources[i].positions[key]);
        }
    }
    compaction_crash(self);
    disk_fini(&self->disk);
    free(self->history.facts);
    free(self->history.passages);
    core_world_destroy(&self->simulation);
    free(self);
    *self_p = NULL;
}

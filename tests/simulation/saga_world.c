#include "tests/simulation/saga_predicates.h"

#include "runtime/base/map.h"

#include <stdarg.h>

enum {
    STEPS_MAX = 1000 * 1000,
    STEPS_PER_LOOK = 64,
    CRASHES_MIN = 3,
    LEASE_US = 30000,
    STUCK_US = 1000 * 1000,
    REST_US_MAX = 600 * 1000 * 1000, /* everything rests so long after the last fault, at most */
};

static const mailbox_limits_t wide = {.messages_max = 1 << 20, .bytes_max = 1 << 30};

/* --- names, bytes, failures --------------------------------------------------------------------
 */

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
    world_trace(self, "%s does not hold: %s", predicate, failure->text);
}

uint64_t world_hash(slice_t bytes)
{
    return siphash13((const uint8_t[16]){0}, 0, bytes);
}

slice_t world_key(uint32_t key)
{
    static const char *const names[WORLD_KEYS] = {"k0", "k1", "k2", "k3", "k4"};
    return slice_text(names[key]);
}

slice_t world_topic(uint32_t topic)
{
    static const char *const names[WORLD_TOPICS] = {"topic0", "topic1"};
    return slice_text(names[topic]);
}

const plan_t *world_plan(const world_t *self, slice_t name, uint64_t version)
{
    for (uint32_t i = 0; i < self->definition_count; i++) {
        const sim_definition_t *definition = &self->definitions[i];
        if (slice_equal(slice_text(definition->name), name) && definition->version == version) {
            return definition->plan;
        }
    }
    return NULL;
}

/* --- coordinators ---------------------------------------------------------------------------- */

static int64_t soon(world_t *self, int64_t low_us, int64_t high_us)
{
    return core_world_now(self->simulation) + random_between(&self->dice, low_us, high_us);
}

static bool may_lead(const world_t *self, uint32_t shell)
{
    return core_world_is_up(self->simulation, self->shells[shell].host) &&
           !self->shells[shell].stopped;
}

static void elect(void *context, uint64_t shell)
{
    world_t *self = context;
    uint32_t other = (uint32_t)(shell + 1) % WORLD_COORDINATORS;
    uint32_t leader = may_lead(self, (uint32_t)shell) ? (uint32_t)shell : other;
    if (!may_lead(self, leader)) {
        core_world_at(self->simulation, soon(self, 2000, 8000), elect, self, shell);
        return;
    }
    self->elections--;
    self->leader = leader;
    sim_shell_stop(&self->shells[leader]);
    sim_shell_start(&self->shells[leader]);
}

void world_elect(world_t *self, uint32_t shell)
{
    self->elections++;
    elect(self, shell);
}

static void elect_later(world_t *self, uint32_t shell, int64_t low_us, int64_t high_us)
{
    self->elections++;
    core_world_at(self->simulation, soon(self, low_us, high_us), elect, self, shell);
}

static void restart_coordinator(void *context, uint64_t shell)
{
    world_t *self = context;
    core_world_restart(self->simulation, self->shells[shell].host);
}

/* The leader, with what it has in memory and on the way. Another one takes over, or it itself. */
static void crash_coordinator(void *context, uint64_t argument)
{
    world_t *self = context;
    sim_shell_t *shell = &self->shells[self->leader];
    if (!core_world_is_up(self->simulation, shell->host) || !shell->core) {
        core_world_at(self->simulation, soon(self, 500, 4000), crash_coordinator, self, argument);
        return;
    }
    world_trace(self, "coordinator %u crashes", shell->host);
    self->figures.crashes++;
    core_world_crash(self->simulation, shell->host);
    sim_shell_stop(shell);
    core_world_at(self->simulation, soon(self, 500, 20000), restart_coordinator, self,
                  self->leader);
    bool other = random_chance(&self->dice, 400);
    elect_later(self, (self->leader + other) % WORLD_COORDINATORS, 500, 30000);
}

static void crash_at_commit(void *context, uint64_t argument)
{
    (void)argument;
    ((world_t *)context)->crash_at_commit = true;
}

static void resume_coordinator(void *context, uint64_t shell)
{
    world_t *self = context;
    world_trace(self, "coordinator %u goes on", self->shells[shell].host);
    sim_shell_resume(&self->shells[shell]);
}

/* It stands still until its lease has run out twice, and does not know it. */
static void stop_coordinator(void *context, uint64_t argument)
{
    (void)argument;
    world_t *self = context;
    sim_shell_t *shell = &self->shells[self->leader];
    if (!shell->core || shell->stopped) {
        return;
    }
    world_trace(self, "coordinator %u stands still", shell->host);
    self->figures.zombies++;
    shell->stopped = true;
    uint32_t other = (self->leader + 1) % WORLD_COORDINATORS;
    elect_later(self, other, LEASE_US, 2 * LEASE_US);
    core_world_at(self->simulation, soon(self, 2 * LEASE_US, 4 * LEASE_US), resume_coordinator,
                  self, self->leader);
}

/* --- other faults ---------------------------------------------------------------------------- */

static void restart_participant(void *context, uint64_t index)
{
    world_t *self = context;
    core_world_restart(self->simulation, self->participants[index].host);
    participant_start(&self->participants[index]);
}

void world_crash_participant(world_t *self, uint32_t index)
{
    sim_participant_t *participant = &self->participants[index];
    world_trace(self, "p%u crashes", index);
    core_world_crash(self->simulation, participant->host);
    participant_stop(participant);
    core_world_at(self->simulation, soon(self, 500, 30000), restart_participant, self, index);
}

static void crash_participant(void *context, uint64_t index)
{
    world_t *self = context;
    if (core_world_is_up(self->simulation, self->participants[index].host)) {
        world_crash_participant(self, (uint32_t)index);
    }
}

/* Between the leader and a participant, the store or the clients. */
static void cut_leader(void *context, uint64_t argument)
{
    world_t *self = context;
    uint32_t hosts[] = {self->journal.host, self->client.host,
                        self->participants[argument % self->participant_count].host};
    uint32_t host = hosts[argument % 3];
    world_trace(self, "host %u is cut off", host);
    self->figures.cuts++;
    core_world_cut(self->simulation, self->shells[self->leader].host, host,
                   soon(self, 2000, 150000));
}

static void step_clock(void *context, uint64_t argument)
{
    (void)argument;
    world_t *self = context;
    if (self->clocks_are_wrong) {
        self->clock_step_us += random_between(&self->dice, -60000, 60000);
    }
}

static void withhold(void *context, uint64_t argument)
{
    world_t *self = context;
    self->withhold = !self->calm;
    crash_coordinator(self, argument);
}

/* Where nothing is written any more, the next fault comes all the same. */
static bool is_stuck(world_t *self)
{
    int64_t now_us = core_world_now(self->simulation);
    if (self->progress < self->disk.count + self->plan_done) {
        self->progress = self->disk.count + self->plan_done;
        self->progress_us = now_us;
    }
    return now_us > self->progress_us + STUCK_US;
}

void world_progress(world_t *self)
{
    while (self->plan_done < self->plan_count &&
           (self->plan[self->plan_done].at_log_size <= self->disk.count || is_stuck(self))) {
        core_world_at(self->simulation, soon(self, 0, 2000), self->plan[self->plan_done].call, self,
                      self->plan[self->plan_done].argument);
        self->plan_done++;
    }
    sim_shell_t *shell = &self->shells[self->leader];
    if (self->crash_at_commit && shell->outstanding > 0) {
        self->crash_at_commit = false; /* before the answer is there */
        crash_coordinator(self, 0);
    }
}

static void plan_fault(world_t *self, uint64_t at_log_size, core_world_call_fn *call,
                       uint64_t argument)
{
    ENSURE(self->plan_count < WORLD_FAULTS_MAX);
    size_t at = self->plan_count++;
    for (; at > 0 && self->plan[at - 1].at_log_size > at_log_size; at--) {
        self->plan[at] = self->plan[at - 1];
    }
    self->plan[at].at_log_size = at_log_size;
    self->plan[at].call = call;
    self->plan[at].argument = argument;
}

static void plan_faults(world_t *self)
{
    random_source_t *dice = &self->dice;
    enum { LOG_SIZE = 350 }; /* every run gets this far */
    uint64_t crashes = (uint64_t)random_between(dice, CRASHES_MIN, 5);
    self->crashes_planned = crashes;
    for (uint64_t i = 0; i < crashes; i++) {
        plan_fault(self, 5 + random_below(dice, LOG_SIZE), crash_coordinator, 0);
    }
    static core_world_call_fn *const others[] = {stop_coordinator,  cut_leader, step_clock,
                                                 crash_participant, withhold,   crash_at_commit};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        bool certain = others[i] == cut_leader;
        bool seldom = others[i] == withhold;
        int64_t count = random_between(dice, certain, seldom ? 1 : 4);
        for (int64_t k = 0; k < count; k++) {
            plan_fault(self, 5 + random_below(dice, LOG_SIZE), others[i],
                       random_below(dice, self->participant_count));
        }
    }
}

/* --- making the world --------------------------------------------------------------------------
 */

static void make_figures(world_t *self)
{
    random_source_t *dice = &self->dice;
    self->participant_count = (uint32_t)random_between(dice, 2, WORLD_PARTICIPANTS_MAX);
    self->faults = (network_faults_t){
        .loss = (uint32_t)random_below(dice, 50),
        .duplicate = (uint32_t)random_below(dice, 100),
        .reorder = (uint32_t)random_below(dice, 300),
        .delay_us_min = 50,
        .delay_us_max = random_between(dice, 100, 2000),
        .reorder_us_max = random_between(dice, 1000, 40000),
    };
    self->commit_failures = random_chance(dice, 500) ? (uint32_t)random_below(dice, 12) : 0;
    self->participant_crashes = random_chance(dice, 500) ? (uint32_t)random_below(dice, 8) : 0;
    self->lost = (uint32_t)random_below(dice, 60);
    self->twice = (uint32_t)random_below(dice, 100);
    self->garbage = (uint32_t)random_below(dice, 40);
    self->meddling = random_chance(dice, 700) ? (uint32_t)random_below(dice, 160) : 0;
    self->clocks_are_wrong = random_chance(dice, 300);
    uint32_t trouble = random_chance(dice, 300) ? 4 : 1;
    for (uint32_t i = 0; i < WORLD_ACTIONS; i++) {
        self->actions[i] = (sim_action_t){
            .fails = trouble * (uint32_t)random_below(dice, 200),
            .final = (uint32_t)random_below(dice, 50),
            .slow = (uint32_t)random_below(dice, 120),
            .undo_fails = trouble * (uint32_t)random_below(dice, 150),
            .undo_final = random_chance(dice, 300) ? (uint32_t)random_below(dice, 60) : 0,
        };
    }
}

static void add_actors(world_t *self)
{
    core_world_t *simulation = self->simulation;
    for (uint32_t i = 0; i < WORLD_COORDINATORS; i++) {
        sim_shell_t *shell = &self->shells[i];
        shell->world = self;
        shell->host = core_world_add_host(simulation);
        shell->slot =
            core_world_add_actor(simulation, shell->host, &sim_shell_behaviour, shell, wide);
        shell->skew_us = self->clocks_are_wrong ? random_between(&self->dice, -40000, 40000) : 0;
    }
    self->journal = (sim_journal_t){.world = self, .host = core_world_add_host(simulation)};
    self->journal.slot = core_world_add_actor(simulation, self->journal.host, &journal_behaviour,
                                              &self->journal, wide);
    for (uint32_t i = 0; i < self->participant_count; i++) {
        sim_participant_t *participant = &self->participants[i];
        participant->world = self;
        participant->index = i;
        participant->host = core_world_add_host(simulation);
        participant->slot = core_world_add_actor(simulation, participant->host,
                                                 &participant_behaviour, participant, wide);
        participant->coordinator.slot = self->shells[0].slot;
    }
    self->client = (sim_client_t){.world = self, .host = core_world_add_host(simulation)};
    self->client.slot =
        core_world_add_actor(simulation, self->client.host, &client_behaviour, &self->client, wide);
}

world_t *world_new(const world_options_t *options)
{
    world_t *self = calloc(1, sizeof *self);
    ENSURE(self);
    self->options = *options;
    self->dice.state = options->seed ^ UINT64_C(0x5bd1e9955bd1e995);
    self->simulation = core_world_new(options->seed);
    make_figures(self);
    plans_make(self);
    core_world_set_faults(self->simulation, &self->faults);
    add_actors(self);
    plan_faults(self);
    world_elect(self, 0);
    for (uint32_t i = 0; i < self->participant_count; i++) {
        participant_start(&self->participants[i]);
    }
    client_start(&self->client);
    return self;
}

/* --- running it ------------------------------------------------------------------------------- */

/* From here on nothing is lost, and nothing fails but for good. */
static void begin_calm(world_t *self)
{
    world_trace(self, "calm");
    self->calm = true;
    self->withhold = false;
    self->calm_us = core_world_now(self->simulation);
    self->faults.loss = self->faults.duplicate = self->faults.reorder = 0;
    core_world_set_faults(self->simulation, &self->faults);
    world_elect(self, self->leader); /* by one that knows every definition */
}

static bool is_quiet(const world_t *self)
{
    const sim_shell_t *leader = &self->shells[self->leader];
    return self->plan_done == self->plan_count && self->figures.crashes >= self->crashes_planned &&
           self->figures.cuts > 0 && self->elections == 0 && leader->core && !leader->stopped &&
           !leader->broken;
}

static bool is_at_rest(const world_t *self)
{
    const sim_shell_t *leader = &self->shells[self->leader];
    bool rests = self->calm && is_quiet(self) && client_is_done(&self->client) &&
                 leader->outstanding == 0 && leader->queue_count == 0 && leader->record_count == 0;
    for (uint64_t number = 1; number <= self->history.witness_count && rests; number++) {
        const witness_t *witness = witness_find(self, number);
        rests = !witness || witness_rests(witness);
    }
    return rests;
}

/* The core at the end knows what the log says. */
static void compare_end(world_t *self)
{
    rows_compare(&self->shells[self->leader]);
}

void world_run(world_t *self)
{
    while (self->history.failure_count == 0) {
        if (!core_world_step(self->simulation)) {
            world_fail(self, "S13", "nothing happens any more");
            break;
        }
        self->figures.steps++;
        if (self->figures.steps % STEPS_PER_LOOK != 0) {
            continue;
        }
        world_progress(self);
        if (!self->calm && is_quiet(self) && self->client.started == self->client.start_count) {
            begin_calm(self);
        }
        if (is_at_rest(self)) {
            compare_end(self);
            break;
        }
        if (self->figures.steps > STEPS_MAX ||
            (self->calm && core_world_now(self->simulation) > self->calm_us + REST_US_MAX)) {
            break; /* what does not rest says the predicate */
        }
    }
    self->figures.records = self->disk.count;
    self->figures.effects = self->history.effect_count;
}

void world_destroy(world_t **self_p)
{
    world_t *self = *self_p;
    for (uint32_t i = 0; i < WORLD_COORDINATORS; i++) {
        sim_shell_stop(&self->shells[i]);
    }
    journal_stop(&self->journal);
    for (uint32_t i = 0; i < self->participant_count; i++) {
        participant_fini(&self->participants[i]);
    }
    client_fini(&self->client);
    for (uint64_t number = 1; number <= self->history.witness_count; number++) {
        witness_fini(&self->history.witnesses[number - 1]);
    }
    free(self->history.witnesses);
    free(self->history.effects);
    disk_fini(&self->disk);
    for (uint32_t i = 0; i < self->definition_count; i++) {
        buffer_fini(&self->definitions[i].record);
        plan_destroy(&self->definitions[i].plan);
    }
    core_world_destroy(&self->simulation);
    free(self);
    *self_p = NULL;
}

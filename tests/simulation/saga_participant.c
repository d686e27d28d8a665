/* A participant: the real core of its inbox on rows that survive its crashes. A command waits a
 * while, then its handler runs, and the effect is written with the row. It may crash before that is
 * on disk, and after it; answers come late, twice, or not at all, and some are of other sagas. */
#include "tests/simulation/saga_predicates.h"

#include "runtime/wire/pack.h"

enum {
    ITEMS_MAX = 3,
};

/* --- rows ------------------------------------------------------------------------------------ */

static sim_row_t *find_row(sim_participant_t *self, const saga_command_t *command)
{
    uint64_t saga = world_hash(command->saga);
    for (size_t i = 0; i < self->row_count; i++) {
        sim_row_t *row = &self->rows[i];
        if (row->number == command->number && row->task == command->task && row->saga == saga) {
            return row;
        }
    }
    return NULL;
}

static void own(slice_t *slice)
{
    void *copy = NULL;
    if (slice->size > 0) {
        copy = malloc(slice->size);
        ENSURE(copy);
        memcpy(copy, slice->data, slice->size);
    }
    slice->data = copy;
}

static void free_row(inbox_row_t *row)
{
    free((void *)(uintptr_t)row->result.data);
    free((void *)(uintptr_t)row->undo_result.data);
    free((void *)(uintptr_t)row->error.data);
    free((void *)(uintptr_t)row->text.data);
}

static void store_row(sim_participant_t *self, const saga_command_t *command, inbox_row_t row)
{
    sim_row_t *to = find_row(self, command);
    own(&row.result);
    own(&row.undo_result);
    own(&row.error);
    own(&row.text);
    if (!to) {
        self->rows = realloc(self->rows, (self->row_count + 1) * sizeof *self->rows);
        ENSURE(self->rows);
        to = &self->rows[self->row_count++];
        *to = (sim_row_t){
            .number = command->number, .task = command->task, .saga = world_hash(command->saga)};
    }
    free_row(&to->row);
    to->row = row;
}

static void note_effect(sim_participant_t *self, effect_kind_t kind, uint64_t epoch,
                        const saga_command_t *command, slice_t result)
{
    history_t *history = &self->world->history;
    if (history->effect_count == history->effect_capacity) {
        history->effect_capacity =
            history->effect_capacity > 0 ? history->effect_capacity * 2 : 512;
        history->effects =
            realloc(history->effects, history->effect_capacity * sizeof *history->effects);
        ENSURE(history->effects);
    }
    history->effects[history->effect_count++] =
        (effect_t){.kind = kind,
                   .saga = world_hash(command->saga),
                   .number = command->number,
                   .task = command->task,
                   .phase = command->phase,
                   .epoch = epoch,
                   .epoch_heard = self->epoch,
                   .input = world_hash(command->input),
                   .result = world_hash(result),
                   .at_us = core_world_now(self->world->simulation),
                   .log_size = self->world->disk.count,
                   .participant = self->index};
}

/* --- answers --------------------------------------------------------------------------------- */

static void send_results(sim_participant_t *self, const participant_result_t *result)
{
    buffer_clear(&self->part);
    codec_list_writer_t list = codec_list_begin(&self->part);
    codec_list_add(&list, participant_result_wire(), result);
    codec_list_end(&list);
    buffer_clear(&self->body);
    codec_encode(participant_results_wire(),
                 &(participant_results_t){.results = buffer_slice(&self->part)}, &self->body);
    core_send_t send = {.from = self->slot,
                        .target = {.slot = self->coordinator.slot},
                        .message = MESSAGE_participant_results};
    ENSURE(core_world_send(self->world->simulation, &send, buffer_slice(&self->body)));
}

/* What no participant should say: of another saga, task, phase or status. */
static void send_garbage(sim_participant_t *self, participant_result_t result)
{
    random_source_t *random = core_world_random(self->world->simulation);
    static const uint8_t bad[] = {0xc1};
    switch (random_below(random, 5)) {
    case 0:
        result.saga = slice_text("no such saga");
        break;
    case 1:
        result.number += random_below(random, 3) + 1;
        break;
    case 2:
        result.task = random_below(random, 12000);
        result.saga = random_chance(random, 500) ? result.saga : slice_text("s1");
        break;
    case 3:
        result.phase = random_below(random, 5);
        result.status = 6 + random_below(random, 3);
        break;
    default:
        result.result = slice_of(bad, sizeof bad);
        break;
    }
    send_results(self, &result);
}

static void answer(sim_participant_t *self, const saga_command_t *command,
                   participant_result_t result)
{
    world_t *world = self->world;
    random_source_t *random = core_world_random(world->simulation);
    result.number = command->number;
    result.task = command->task;
    result.phase = command->phase;
    result.attempt = command->attempt;
    result.saga = command->saga;
    world_trace(world, "p%u answers %llu.%llu phase %llu attempt %llu: %llu", self->index,
                (unsigned long long)result.number, (unsigned long long)result.task,
                (unsigned long long)result.phase, (unsigned long long)result.attempt,
                (unsigned long long)result.status);
    if (!world->calm && random_chance(random, world->garbage)) {
        send_garbage(self, result);
    }
    if (!world->calm && random_chance(random, world->lost)) {
        return;
    }
    send_results(self, &result);
    if (!world->calm && random_chance(random, world->twice)) {
        send_results(self, &result);
    }
}

/* --- doing it -------------------------------------------------------------------------------- */

static uint64_t action_of(slice_t name)
{
    return (uint64_t)(((const char *)name.data)[name.size - 1] - '0') % WORLD_ACTIONS;
}

/* { v: 0 .. 3, list: [...], saga: its number } */
static slice_t make_result(const saga_command_t *command, random_source_t *random,
                           uint8_t bytes[64])
{
    uint8_t *at = bytes;
    uint64_t items = random_below(random, ITEMS_MAX + 1);
    *at++ = 0x83;
    at = pack_str(at, slice_text("v"));
    at = pack_uint(at, random_below(random, 4));
    at = pack_str(at, slice_text("list"));
    *at++ = (uint8_t)(0x90 + items);
    for (uint64_t i = 0; i < items; i++) {
        at = pack_uint(at, i);
    }
    at = pack_str(at, slice_text("saga"));
    at = pack_uint(at, command->number);
    return slice_of(bytes, (size_t)(at - bytes));
}

/* What the handler makes of it. */
static participant_result_t handle(sim_participant_t *self, const saga_command_t *command,
                                   uint8_t bytes[64])
{
    world_t *world = self->world;
    random_source_t *random = core_world_random(world->simulation);
    const sim_action_t *action = &world->actions[action_of(command->action)];
    bool undo = command->phase == PHASE_UNDO;
    participant_result_t outcome = {.status = INBOX_ANSWER_DONE};
    if (random_chance(random, undo ? action->undo_final : action->final)) {
        outcome.status = INBOX_ANSWER_FINAL;
        outcome.error = slice_text("IMPOSSIBLE");
        outcome.text = slice_text("it never can");
    } else if (!world->calm && random_chance(random, undo ? action->undo_fails : action->fails)) {
        outcome.status = INBOX_ANSWER_FAILED;
        outcome.error = slice_text(random_chance(random, 150) ? "FATAL" : "LATER");
    } else {
        outcome.result = make_result(command, random, bytes);
    }
    return outcome;
}

/* False: it crashed. */
static bool survives(sim_participant_t *self)
{
    random_source_t *random = core_world_random(self->world->simulation);
    if (!self->world->calm && random_chance(random, self->world->participant_crashes)) {
        world_crash_participant(self->world, self->index);
        return false;
    }
    return true;
}

/* Writes the row and what was done, as one. Whoever is told that nothing is there to undo, or that
 * the action never came, counts on it from then on. */
static void store(sim_participant_t *self, const sim_job_t *job, const saga_command_t *command,
                  const inbox_row_t *before, const inbox_row_t *after)
{
    if (before->state == INBOX_NONE && command->phase != PHASE_ACT) {
        note_effect(self, EFFECT_CLOSED, job->epoch, command, (slice_t){0});
    }
    if (memcmp(before, after, sizeof *before) != 0) {
        store_row(self, command, *after);
    }
}

static void execute(sim_participant_t *self, const sim_job_t *job, const saga_command_t *command)
{
    participant_result_t result = {0};
    uint8_t bytes[64];
    if (!inbox_hears(self->epoch, job->epoch)) {
        result.status = INBOX_ANSWER_REFUSED;
        answer(self, command, result);
        return;
    }
    const sim_row_t *known = find_row(self, command);
    inbox_row_t before = known ? known->row : (inbox_row_t){0};
    inbox_row_t row = before;
    if (!survives(self)) {
        return;
    }
    if (inbox_hear(&row, command, &result) == INBOX_ANSWER_RUN) {
        participant_result_t outcome = handle(self, command, bytes);
        if (outcome.status == INBOX_ANSWER_DONE) {
            bool undo = command->phase == PHASE_UNDO;
            note_effect(self, EFFECT_DONE, job->epoch, command,
                        undo ? command->result : outcome.result);
        }
        inbox_end(&row, command, &outcome, &result);
    }
    /* The answer's slices are those of the row, which the store copies. */
    store(self, job, command, &before, &row);
    known = find_row(self, command);
    if (result.status == INBOX_ANSWER_FINAL && known) {
        result.error = known->row.error;
        result.text = known->row.text;
    } else if (result.status == INBOX_ANSWER_DONE && known) {
        result.result = command->phase == PHASE_UNDO ? known->row.undo_result : known->row.result;
    }
    if (survives(self)) {
        answer(self, command, result);
    }
}

/* --- commands -------------------------------------------------------------------------------- */

static bool is_queued(const sim_participant_t *self, const saga_command_t *command)
{
    for (size_t i = 0; i < self->job_count; i++) {
        saga_command_t other;
        slice_t body = slice_of(self->jobs[i].body, self->jobs[i].size);
        ENSURE(codec_decode(saga_command_wire(), body, &other, NULL) == CAPSTAN_OK);
        if (other.number == command->number && other.task == command->task) {
            return true;
        }
    }
    return false;
}

static void queue(sim_participant_t *self, uint64_t epoch, slice_t record,
                  const saga_command_t *command)
{
    world_t *world = self->world;
    random_source_t *random = core_world_random(world->simulation);
    const sim_action_t *action = &world->actions[action_of(command->action)];
    bool slow = random_chance(random, world->calm ? 0 : action->slow);
    int64_t after_us =
        slow ? random_between(random, 3000, 90000) : random_between(random, 10, 2500);
    self->jobs = realloc(self->jobs, (self->job_count + 1) * sizeof *self->jobs);
    ENSURE(self->jobs);
    sim_job_t *job = &self->jobs[self->job_count++];
    *job = (sim_job_t){.cookie = ++self->cookie_last, .epoch = epoch, .size = record.size};
    job->body = malloc(record.size);
    ENSURE(job->body);
    memcpy(job->body, record.data, record.size);
    core_world_timer(world->simulation, self->slot, after_us, job->cookie);
}

static void take_command(sim_participant_t *self, uint64_t epoch, slice_t record)
{
    saga_command_t command;
    random_source_t *random = core_world_random(self->world->simulation);
    ENSURE(codec_decode(saga_command_wire(), record, &command, NULL) == CAPSTAN_OK);
    predicates_on_command(self->world, self, epoch, &command);
    if (inbox_check_command(&command) != CAPSTAN_OK) {
        world_fail(self->world, "S4", "a command of saga %llu has no identity",
                   (unsigned long long)command.number);
        return;
    }
    if (!inbox_hears(self->epoch, epoch)) {
        answer(self, &command, (participant_result_t){.status = INBOX_ANSWER_REFUSED});
    } else if (is_queued(self, &command) && random_chance(random, 500)) {
        answer(self, &command, (participant_result_t){.status = INBOX_ANSWER_BUSY});
    } else {
        queue(self, epoch, record, &command);
    }
}

static void receive(void *context, const capstan_message_t *message)
{
    sim_participant_t *self = context;
    participant_commands_t commands;
    codec_list_t list;
    ENSURE(codec_decode(participant_commands_wire(), message->body, &commands, NULL) == CAPSTAN_OK);
    ENSURE(codec_list_open(saga_command_wire(), commands.commands, &list) == CAPSTAN_OK);
    if (commands.epoch > self->epoch) {
        self->epoch = commands.epoch; /* on disk before anything of it is answered */
    }
    if (commands.epoch == self->epoch) {
        self->coordinator = message->sender;
    }
    for (slice_t record; codec_list_next_raw(&list, &record);) {
        take_command(self, commands.epoch, record);
    }
}

static void on_timer(void *context, uint64_t cookie)
{
    sim_participant_t *self = context;
    size_t at = 0;
    while (at < self->job_count && self->jobs[at].cookie != cookie) {
        at++;
    }
    if (at == self->job_count) {
        return;
    }
    sim_job_t job = self->jobs[at];
    saga_command_t command;
    self->jobs[at] = self->jobs[--self->job_count];
    slice_t body = slice_of(job.body, job.size);
    ENSURE(codec_decode(saga_command_wire(), body, &command, NULL) == CAPSTAN_OK);
    execute(self, &job, &command);
    free(job.body);
}

/* It tells the coordinator that it is there. */
void participant_start(sim_participant_t *self)
{
    char name[8];
    snprintf(name, sizeof name, "p%u", self->index);
    buffer_clear(&self->body);
    codec_encode(participant_open_wire(), &(participant_open_t){.name = slice_text(name)},
                 &self->body);
    core_send_t send = {.from = self->slot,
                        .target = {.slot = self->world->shells[self->world->leader].slot},
                        .message = MESSAGE_participant_open};
    ENSURE(core_world_send(self->world->simulation, &send, buffer_slice(&self->body)));
}

void participant_stop(sim_participant_t *self)
{
    for (size_t i = 0; i < self->job_count; i++) {
        free(self->jobs[i].body);
    }
    free(self->jobs);
    self->jobs = NULL;
    self->job_count = 0;
}

void participant_fini(sim_participant_t *self)
{
    participant_stop(self);
    for (size_t i = 0; i < self->row_count; i++) {
        free_row(&self->rows[i].row);
    }
    free(self->rows);
    buffer_fini(&self->body);
    buffer_fini(&self->part);
}

const core_actor_t participant_behaviour = {.receive = receive, .timer = on_timer};

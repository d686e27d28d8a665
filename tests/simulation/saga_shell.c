/* The shell around the coordinator's core, as the coordinator's actor is one: it gathers what the
 * core wants appended, has two appends under way at most, and lets commands and answers out once
 * what they follow from is on disk. After an append that was refused, or not answered, it forgets
 * everything and takes the epoch and the log anew; one that was fenced is a standby from then on.
 * A process that stands still goes on later where it was, under its old epoch. */
#include "tests/simulation/saga_predicates.h"

#include "actors/journal/journal_messages.h"

enum {
    APPENDS_MAX = 2,
    APPEND_FIRST = 1000000, /* correlations of appends; those of chunks are below */
    ANSWER_US_MAX = 100000, /* an append without an answer for so long is refused */
    SLEEP_US_MIN = 300,     /* between two looks at what is due */
    SLEEP_US_MAX = 3000000,
    ROWS_US_CALM = 500000,
    TIMER_DUE = 1,
    TIMER_ROWS = 2,
    TIMER_LOOKUP = 3,
    TIMER_APPEND = 4, /* and the append's number, times 8 */
};

int64_t sim_shell_utc(const sim_shell_t *self)
{
    const world_t *world = self->world;
    return world_utc_base + self->skew_us + world->clock_step_us +
           core_world_now(world->simulation);
}

static uint64_t dice(const sim_shell_t *self)
{
    return random_next(core_world_random(self->world->simulation));
}

static void send(sim_shell_t *self, capstan_ref_t to, uint32_t message, uint64_t correlation,
                 slice_t body)
{
    core_send_t options = {.from = self->slot,
                           .target = to,
                           .message = message,
                           .correlation = correlation,
                           .ordered = to.slot == self->world->journal.slot};
    ENSURE(core_world_send(self->world->simulation, &options, body));
}

/* --- what waits for the disk ------------------------------------------------------------------ */

static void wait_for_disk(sim_shell_t *self, waiting_t waiting, slice_t body)
{
    if (self->queue_count == self->queue_capacity) {
        self->queue_capacity = self->queue_capacity > 0 ? self->queue_capacity * 2 : 64;
        self->queue = realloc(self->queue, self->queue_capacity * sizeof *self->queue);
        ENSURE(self->queue);
    }
    waiting.lsn = self->lsn_next + self->record_count;
    waiting.size = body.size;
    waiting.body = malloc(body.size + 1);
    ENSURE(waiting.body);
    if (body.size > 0) {
        memcpy(waiting.body, body.data, body.size);
    }
    self->queue[self->queue_count++] = waiting;
}

void sim_shell_answer(sim_shell_t *self, const capstan_message_t *request, uint32_t message)
{
    wait_for_disk(
        self,
        (waiting_t){.to = request->sender, .message = message, .correlation = request->correlation},
        buffer_slice(&self->body));
    buffer_clear(&self->body);
}

static void tell_what_is_on_disk(sim_shell_t *self)
{
    size_t told = 0;
    for (; told < self->queue_count && self->queue[told].lsn <= self->lsn_on_disk; told++) {
        waiting_t *waiting = &self->queue[told];
        slice_t body = slice_of(waiting->body, waiting->size);
        if (waiting->rests > 0) {
            requests_tell_rest(self, waiting->rests, body);
        } else {
            send(self, waiting->to, waiting->message, waiting->correlation, body);
        }
        free(waiting->body);
    }
    self->queue_count -= told;
    if (told > 0) {
        memmove(self->queue, &self->queue[told], self->queue_count * sizeof *self->queue);
    }
}

/* --- effects --------------------------------------------------------------------------------- */

static void add_record(sim_shell_t *self, uint32_t kind, slice_t data)
{
    journal_record_t record = {.kind = kind, .data = data};
    codec_list_add(&self->records, journal_record_wire(), &record);
    self->record_count++;
}

static void send_command(sim_shell_t *self, const coordinator_effect_t *effect, slice_t command)
{
    uint32_t index = (uint32_t)(((const char *)effect->participant.data)[1] - '0');
    buffer_clear(&self->part);
    codec_list_writer_t list = codec_list_begin(&self->part);
    codec_list_add_raw(&list, command);
    codec_list_end(&list);
    buffer_clear(&self->body);
    codec_encode(
        participant_commands_wire(),
        &(participant_commands_t){.epoch = self->epoch, .commands = buffer_slice(&self->part)},
        &self->body);
    wait_for_disk(self,
                  (waiting_t){.to = {.slot = self->world->participants[index].slot},
                              .message = MESSAGE_participant_commands},
                  buffer_slice(&self->body));
    buffer_clear(&self->body);
}

static void tell_rest(sim_shell_t *self, uint64_t number)
{
    buffer_t row = {0};
    saga_row_t saga = saga_row(coordinator_get(self->core, number));
    codec_encode(saga_row_wire(), &saga, &row);
    buffer_clear(&self->part);
    codec_encode(saga_summary_wire(), &(saga_summary_t){.saga = buffer_slice(&row)}, &self->part);
    wait_for_disk(self, (waiting_t){.rests = number}, buffer_slice(&self->part));
    buffer_fini(&row);
}

static void look_up(sim_shell_t *self, const coordinator_effect_t *effect, slice_t id)
{
    random_source_t *random = core_world_random(self->world->simulation);
    self->lookups = realloc(self->lookups, (self->lookup_count + 1) * sizeof *self->lookups);
    ENSURE(self->lookups);
    child_lookup_t *lookup = &self->lookups[self->lookup_count++];
    ENSURE(id.size <= sizeof lookup->id);
    *lookup = (child_lookup_t){.parent = effect->number, .task = effect->task, .id_size = id.size};
    memcpy(lookup->id, id.data, id.size);
    core_world_timer(self->world->simulation, self->slot, random_between(random, 10, 3000),
                     TIMER_LOOKUP);
}

static void note_alert(sim_shell_t *self, uint64_t number)
{
    witness_t *witness = witness_make(self->world, number);
    uint64_t sequence = saga_sequence(coordinator_get(self->core, number));
    witness->alerted = sequence > witness->alerted ? sequence : witness->alerted;
}

void sim_shell_take_effects(sim_shell_t *self)
{
    const coordinator_effects_t *effects = &self->effects;
    predicates_on_effects(self);
    for (size_t i = 0; i < effects->count; i++) {
        const coordinator_effect_t *effect = &effects->list[i];
        if (effect->kind == COORDINATOR_APPEND) {
            add_record(self, effect->record,
                       slice_of(effects->bytes.data + effect->data_at, effect->data_size));
        }
    }
    for (size_t i = 0; i < effects->count; i++) {
        const coordinator_effect_t *effect = &effects->list[i];
        slice_t data = slice_of(effects->bytes.data + effect->data_at, effect->data_size);
        switch (effect->kind) {
        case COORDINATOR_APPEND:
            break;
        case COORDINATOR_COMMAND:
            send_command(self, effect, data);
            break;
        case COORDINATOR_LOOK_UP:
            look_up(self, effect, data);
            break;
        case COORDINATOR_RESTS:
            tell_rest(self, effect->number);
            break;
        case COORDINATOR_ALERT:
            note_alert(self, effect->number);
            break;
        }
    }
    coordinator_effects_clear(&self->effects);
}

/* --- turns ----------------------------------------------------------------------------------- */

static void begin_records(sim_shell_t *self)
{
    buffer_clear(&self->list);
    self->records = codec_list_begin(&self->list);
    self->record_count = 0;
}

static void append(sim_shell_t *self)
{
    codec_list_end(&self->records);
    journal_append_t append = {.stream = 1,
                               .epoch = self->epoch,
                               .lsn = self->lsn_next,
                               .records = buffer_slice(&self->list)};
    buffer_clear(&self->body);
    codec_encode(journal_append_wire(), &append, &self->body);
    self->append_last++;
    send(self, (capstan_ref_t){.slot = self->world->journal.slot}, MESSAGE_journal_append,
         APPEND_FIRST + self->append_last, buffer_slice(&self->body));
    core_world_timer(self->world->simulation, self->slot, ANSWER_US_MAX,
                     TIMER_APPEND + self->append_last * 8);
    buffer_clear(&self->body);
    self->lsn_next += self->record_count;
    self->outstanding++;
    begin_records(self);
}

static void set_timer(sim_shell_t *self)
{
    int64_t due_us = coordinator_due_us(self->core);
    int64_t asleep_us = rows_due_us(self);
    int64_t now_us = sim_shell_utc(self);
    due_us = asleep_us < due_us ? asleep_us : due_us;
    int64_t after_us = due_us > now_us + SLEEP_US_MAX ? SLEEP_US_MAX : due_us - now_us;
    after_us = after_us < SLEEP_US_MIN ? SLEEP_US_MIN : after_us;
    int64_t at_us = core_world_now(self->world->simulation) + after_us;
    if (due_us < INT64_MAX && at_us < self->timer_us) {
        self->timer_us = at_us;
        core_world_timer(self->world->simulation, self->slot, after_us, TIMER_DUE);
    }
}

/* What was refused is forgotten: nobody was told about it. */
static void load_again(sim_shell_t *self)
{
    world_t *world = self->world;
    bool fenced = self->fenced;
    world_trace(world, "coordinator %u loads again: %s", self->host,
                fenced ? "it is fenced" : "an append was refused");
    sim_shell_stop(self);
    if (!fenced && self == &world->shells[world->leader]) {
        world->figures.reloads++;
        sim_shell_start(self);
    }
}

void sim_shell_turn(sim_shell_t *self)
{
    if (self->stopped) {
        return;
    }
    if (self->broken && self->outstanding == 0) {
        load_again(self);
    }
    if (!self->core || self->broken) {
        return;
    }
    if (self->record_count > 0 && self->outstanding < APPENDS_MAX) {
        append(self);
    }
    tell_what_is_on_disk(self);
    set_timer(self);
}

/* --- beginning and end -------------------------------------------------------------------------
 */

void sim_shell_start(sim_shell_t *self)
{
    world_t *world = self->world;
    random_source_t *random = core_world_random(world->simulation);
    self->epoch = ++world->disk.epoch;
    self->timer_us = INT64_MAX;
    rows_load(self);
    self->lsn_next = world->disk.count + 1;
    self->lsn_on_disk = self->lsn_next;
    begin_records(self);
    rows_compare(self);
    coordinator_loaded(self->core, sim_shell_utc(self), world->disk.mark);
    coordinator_resend(self->core, sim_shell_utc(self), dice(self), NULL, &self->effects);
    sim_shell_take_effects(self);
    core_world_timer(world->simulation, self->slot, random_between(random, 1000, 20000),
                     TIMER_ROWS);
    world_trace(world, "coordinator %u has epoch %llu, log %zu, snapshot at %llu", self->host,
                (unsigned long long)self->epoch, world->disk.count,
                (unsigned long long)world->disk.snapshot_lsn);
    sim_shell_turn(self);
}

static void free_stash(sim_shell_t *self)
{
    for (size_t i = 0; i < self->stash_count; i++) {
        free(self->stash[i].body);
    }
    free(self->stash);
    self->stash = NULL;
    self->stash_count = 0;
}

void sim_shell_stop(sim_shell_t *self)
{
    coordinator_destroy(&self->core);
    coordinator_effects_fini(&self->effects);
    for (size_t i = 0; i < self->queue_count; i++) {
        free(self->queue[i].body);
    }
    free_stash(self);
    free(self->queue);
    free(self->askings);
    free(self->asleep);
    free(self->lookups);
    buffer_fini(&self->list);
    buffer_fini(&self->body);
    buffer_fini(&self->part);
    buffer_fini(&self->chunk_rows);
    *self = (sim_shell_t){.world = self->world,
                          .slot = self->slot,
                          .host = self->host,
                          .skew_us = self->skew_us,
                          .chunk_number = self->chunk_number,
                          .append_last = self->append_last};
}

/* --- messages -------------------------------------------------------------------------------- */

static bool is_append(const sim_shell_t *self, uint64_t correlation)
{
    return correlation > APPEND_FIRST + self->append_last - self->outstanding &&
           correlation <= APPEND_FIRST + self->append_last;
}

static void on_appended(sim_shell_t *self, const capstan_message_t *message)
{
    journal_appended_t appended;
    ENSURE(codec_decode(journal_appended_wire(), message->body, &appended, NULL) == CAPSTAN_OK);
    if (is_append(self, message->correlation)) {
        self->outstanding--;
        self->lsn_on_disk = appended.lsn_next;
    }
}

static void on_failure(sim_shell_t *self, const capstan_message_t *message)
{
    failure_t failure;
    ENSURE(codec_decode(failure_wire(), message->body, &failure, NULL) == CAPSTAN_OK);
    if (message->correlation < APPEND_FIRST) {
        rows_on_chunk(self, message->correlation, false);
    } else if (is_append(self, message->correlation)) {
        self->outstanding--;
        self->broken = true;
        self->fenced = self->fenced || failure.number == CAPSTAN_E_STALE_EPOCH;
    }
}

static void on_results(sim_shell_t *self, const capstan_message_t *message)
{
    participant_results_t results;
    codec_list_t list;
    ENSURE(codec_decode(participant_results_wire(), message->body, &results, NULL) == CAPSTAN_OK);
    ENSURE(codec_list_open(participant_result_wire(), results.results, &list) == CAPSTAN_OK);
    for (participant_result_t result; codec_list_next(&list, &result);) {
        rows_wake(self, &result.number, NULL, NULL);
        capstan_err_t err = coordinator_result(self->core, sim_shell_utc(self), dice(self), &result,
                                               &self->effects);
        world_trace(self->world, "answer of %llu.%llu phase %llu status %llu: %s",
                    (unsigned long long)result.number, (unsigned long long)result.task,
                    (unsigned long long)result.phase, (unsigned long long)result.status,
                    capstan_err_name(err));
        sim_shell_take_effects(self);
    }
}

static void on_open(sim_shell_t *self, const capstan_message_t *message)
{
    participant_open_t open;
    ENSURE(codec_decode(participant_open_wire(), message->body, &open, NULL) == CAPSTAN_OK);
    coordinator_resend(self->core, sim_shell_utc(self), dice(self), &open.name, &self->effects);
    sim_shell_take_effects(self);
}

static void handle(sim_shell_t *self, const capstan_message_t *message)
{
    switch (message->message) {
    case MESSAGE_journal_appended:
        on_appended(self, message);
        return;
    case MESSAGE_failure:
        on_failure(self, message);
        return;
    case MESSAGE_snapshot_written:
        rows_on_chunk(self, message->correlation, true);
        return;
    default:
        break;
    }
    if (!self->core || self->broken) {
        return;
    }
    if (message->message == MESSAGE_participant_results) {
        on_results(self, message);
    } else if (message->message == MESSAGE_participant_open) {
        on_open(self, message);
    } else {
        requests_handle(self, message);
    }
}

static void stash(sim_shell_t *self, const capstan_message_t *message)
{
    self->stash = realloc(self->stash, (self->stash_count + 1) * sizeof *self->stash);
    ENSURE(self->stash);
    stashed_t *stashed = &self->stash[self->stash_count++];
    stashed->message = *message;
    stashed->body = malloc(message->body.size + 1);
    ENSURE(stashed->body);
    if (message->body.size > 0) {
        memcpy(stashed->body, message->body.data, message->body.size);
    }
    stashed->message.body.data = stashed->body;
}

static void receive(void *context, const capstan_message_t *message)
{
    sim_shell_t *self = context;
    if (self->stopped) {
        stash(self, message);
    } else {
        handle(self, message);
    }
}

/* --- time ------------------------------------------------------------------------------------ */

static void on_due(sim_shell_t *self)
{
    random_source_t *random = core_world_random(self->world->simulation);
    int64_t now_us = sim_shell_utc(self);
    if (core_world_now(self->world->simulation) >= self->timer_us) {
        self->timer_us = INT64_MAX;
    }
    rows_wake_due(self, now_us);
    coordinator_time(self->core, now_us, dice(self), 1 + random_below(random, 16), &self->effects);
    sim_shell_take_effects(self);
    if (random_below(random, 64) == 0) {
        predicate_of_deadlines(self);
    }
}

static void on_rows(sim_shell_t *self)
{
    random_source_t *random = core_world_random(self->world->simulation);
    bool news = self->snapshot_lsn > 0 || self->world->disk.snapshot_lsn < self->lsn_on_disk;
    if (news && !self->chunk_ready && self->record_count == 0) {
        rows_take_chunk(self);
    }
    if (random_chance(random, 600)) {
        rows_evict(self);
    }
    if (random_chance(random, 200)) {
        rows_round_trip(self);
    }
    bool hurry = self->snapshot_lsn > 0 || (news && random_chance(random, 300));
    core_world_timer(self->world->simulation, self->slot,
                     self->world->calm && !news ? ROWS_US_CALM
                     : hurry                    ? random_between(random, 200, 4000)
                                                : random_between(random, 4000, 60000),
                     TIMER_ROWS);
}

static void on_lookup(sim_shell_t *self)
{
    random_source_t *random = core_world_random(self->world->simulation);
    if (self->lookup_count == 0) {
        return;
    }
    size_t at = random_below(random, self->lookup_count);
    child_lookup_t lookup = self->lookups[at];
    slice_t id = slice_of(lookup.id, lookup.id_size);
    self->lookups[at] = self->lookups[--self->lookup_count];
    world_trace(self->world, "looked up: child %.*s", (int)id.size, (const char *)id.data);
    rows_wake(self, NULL, &id, NULL);
    rows_wake(self, &lookup.parent, NULL, NULL);
    coordinator_child(self->core, sim_shell_utc(self), dice(self), lookup.parent, lookup.task,
                      &self->effects);
    sim_shell_take_effects(self);
}

static void on_timer(void *context, uint64_t cookie)
{
    sim_shell_t *self = context;
    if (self->stopped) {
        self->timer_missed = true;
        return;
    }
    if (cookie % 8 == TIMER_APPEND) {
        if (is_append(self, APPEND_FIRST + cookie / 8)) {
            self->outstanding = 0;
            self->broken = true;
        }
    } else if (self->core && !self->broken) {
        if (cookie == TIMER_DUE) {
            on_due(self);
        } else if (cookie == TIMER_ROWS) {
            on_rows(self);
        } else {
            on_lookup(self);
        }
    }
    sim_shell_turn(self);
}

static void turn_end(void *context)
{
    sim_shell_turn(context);
}

void sim_shell_resume(sim_shell_t *self)
{
    stashed_t *list = self->stash;
    size_t count = self->stash_count;
    random_source_t *random = core_world_random(self->world->simulation);
    self->stopped = false;
    self->stash = NULL;
    self->stash_count = 0;
    if (self->core && !self->broken && random_chance(random, 500)) {
        on_due(self); /* its clock has gone on */
    }
    for (size_t i = 0; i < count; i++) {
        handle(self, &list[i].message);
        free(list[i].body);
        if (random_chance(random, 300)) {
            sim_shell_turn(self);
        }
    }
    free(list);
    if (self->outstanding > 0) { /* the times at which it would have given up have passed */
        core_world_timer(self->world->simulation, self->slot, ANSWER_US_MAX,
                         TIMER_APPEND + self->append_last * 8);
    }
    if (self->core && self->timer_missed) {
        self->timer_missed = false;
        self->timer_us = INT64_MAX;
        core_world_timer(self->world->simulation, self->slot, SLEEP_US_MIN, TIMER_ROWS);
        for (size_t i = 0; i < self->lookup_count; i++) {
            core_world_timer(self->world->simulation, self->slot, SLEEP_US_MIN, TIMER_LOOKUP);
        }
    }
    sim_shell_turn(self);
}

const core_actor_t sim_shell_behaviour = {
    .receive = receive, .timer = on_timer, .turn_end = turn_end};

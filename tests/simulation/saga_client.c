/* The clients: they define, start, signal, ask, and meddle; and the topics, whose events come in
 * the order of their partition, some of them again. A request whose answer is lost is made again,
 * as the same and sometimes as another under the same id. At the end a person looks after what is
 * parked or paused. */
#include "tests/simulation/saga_predicates.h"

#include "runtime/wire/pack.h"

typedef unsigned long long ull;

typedef enum request_kind {
    REQUEST_DEFINE,
    REQUEST_START, /* variant 1: another input, 2: another version */
    REQUEST_RESULT,
    REQUEST_EVENT,
    REQUEST_OTHER,
    REQUEST_BAD, /* a start that has to be refused */
} request_kind_t;

enum {
    LOOK_US_MIN = 300,
    LOOK_US_MAX = 6000,
    AGAIN_US_MIN = 8000, /* a start without an answer is made again after this */
    AGAIN_US_MAX = 60000,
    VERSION_OTHER = 77, /* of no definition */
    OPERATION_RETRY = 4,
    OPERATION_SKIP = 5,
    OPERATION_COMPLETE = 6,
    OPERATION_FORK = 7,
    OPERATION_ABANDON = 8,
    OPERATIONS = 8,
    FORKS = 40, /* different ids */
    SIGNALS = 3,
};

/* --- requests -------------------------------------------------------------------------------- */

typedef struct request {
    request_kind_t kind;
    uint32_t message;
    uint32_t subject; /* which definition, start or partition */
    uint32_t variant;
} request_t;

static void send(sim_client_t *self, request_t request)
{
    world_t *world = self->world;
    random_source_t *random = core_world_random(world->simulation);
    uint32_t shell = world->leader;
    if (random_chance(random, world->calm ? 0 : 100)) {
        shell = (shell + 1) % WORLD_COORDINATORS; /* it has not heard who is in charge */
    }
    uint64_t correlation = (uint64_t)request.kind | (uint64_t)request.variant << 8 |
                           (uint64_t)request.subject << 16 | ++self->requests << 32;
    core_send_t options = {.from = self->slot,
                           .target = {.slot = world->shells[shell].slot},
                           .message = request.message,
                           .correlation = correlation};
    ENSURE(core_world_send(world->simulation, &options, buffer_slice(&self->body)));
}

static void define(sim_client_t *self, uint32_t index)
{
    const sim_definition_t *definition = &self->world->definitions[index];
    buffer_clear(&self->body);
    codec_encode(saga_define_wire(),
                 &(saga_define_t){.name = slice_text(definition->name),
                                  .definition = buffer_slice(&definition->record)},
                 &self->body);
    send(self, (request_t){REQUEST_DEFINE, MESSAGE_saga_define, index, 0});
}

static void start(sim_client_t *self, uint32_t index, uint32_t variant)
{
    const sim_start_t *from = &self->starts[index];
    buffer_clear(&self->body);
    codec_encode(
        saga_start_wire(),
        &(saga_start_t){.definition = slice_text(self->world->definitions[from->definition].name),
                        .id = slice_text(from->id),
                        .version = variant == 2 ? VERSION_OTHER : from->version,
                        .input = buffer_slice(variant == 1 ? &from->other : &from->input),
                        .deadline_ms = from->deadline_ms},
        &self->body);
    send(self, (request_t){REQUEST_START, MESSAGE_saga_start, index, variant});
}

static void start_badly(sim_client_t *self)
{
    static char long_id[SAGA_ID_MAX + 2];
    memset(long_id, 'x', SAGA_ID_MAX + 1);
    const char *ids[] = {"", long_id, "a/1"};
    buffer_clear(&self->body);
    codec_encode(saga_start_wire(),
                 &(saga_start_t){.definition = slice_text(self->world->definitions[0].name),
                                 .id = slice_text(ids[self->requests % 3])},
                 &self->body);
    send(self, (request_t){REQUEST_BAD, MESSAGE_saga_start, 0, 0});
}

static void ask_result(sim_client_t *self, uint32_t index, bool now)
{
    buffer_clear(&self->body);
    codec_encode(saga_result_wire(),
                 &(saga_result_t){.id = slice_text(self->starts[index].id), .now = now},
                 &self->body);
    send(self, (request_t){REQUEST_RESULT, MESSAGE_saga_result, index, 0});
}

static void signal_saga(sim_client_t *self, slice_t id)
{
    random_source_t *random = core_world_random(self->world->simulation);
    uint8_t value[] = {0x81, 0xa1, 'v', (uint8_t)random_below(random, 4)};
    char name[] = "s0";
    char token[] = "t0";
    name[1] = (char)('0' + random_below(random, SIGNALS));
    token[1] = (char)('0' + random_below(random, 10));
    buffer_clear(&self->body);
    codec_encode(
        saga_signal_wire(),
        &(saga_signal_t){.id = id,
                         .signal = slice_text(name),
                         .value = slice_of(value, sizeof value),
                         .token = random_chance(random, 500) ? slice_text(token) : (slice_t){0}},
        &self->body);
    send(self, (request_t){REQUEST_OTHER, MESSAGE_saga_signal, 0, 0});
}

static void operate(sim_client_t *self, slice_t id, uint64_t operation, uint64_t task)
{
    uint8_t value[] = {0x81, 0xa1, 'v', 1};
    char id_new[16];
    snprintf(id_new, sizeof id_new, "f%u", (unsigned)(self->requests % FORKS));
    buffer_clear(&self->body);
    codec_encode(
        saga_operate_wire(),
        &(saga_operate_t){.operation = operation,
                          .id = id,
                          .task = task,
                          .value = slice_of(value, sizeof value),
                          .reason = slice_text("a person wants it"),
                          .id_new = operation == OPERATION_FORK ? slice_text(id_new) : (slice_t){0},
                          .outcome = operation == OPERATION_COMPLETE ? slice_text("by hand")
                                                                     : (slice_t){0}},
        &self->body);
    send(self, (request_t){REQUEST_OTHER, MESSAGE_saga_operate, 0, 0});
}

/* --- topics ---------------------------------------------------------------------------------- */

/* What an event says follows from where it stands. */
static void send_event(sim_client_t *self, uint32_t topic, uint32_t partition, uint64_t offset)
{
    random_source_t own = {.state =
                               self->world->options.seed ^ (offset << 8 | topic << 4 | partition)};
    uint32_t key = (uint32_t)random_below(&own, WORLD_KEYS);
    buffer_t place = {0};
    buffer_t payload = {0};
    plans_make_input(&own, &payload);
    codec_encode(
        saga_place_wire(),
        &(saga_place_t){.topic = world_topic(topic), .partition = partition, .offset = offset},
        &place);
    buffer_clear(&self->body);
    codec_encode(saga_input_wire(),
                 &(saga_input_t){.number = 1,
                                 .sequence = 1,
                                 .kind = SAGA_INPUT_event,
                                 .error = world_key(key),
                                 .value = buffer_slice(&payload),
                                 .place = buffer_slice(&place)},
                 &self->body);
    send(self, (request_t){REQUEST_EVENT, SIM_EVENT, topic << 8 | partition, (uint32_t)offset});
    buffer_fini(&place);
    buffer_fini(&payload);
}

static void deliver(sim_client_t *self)
{
    random_source_t *random = core_world_random(self->world->simulation);
    uint32_t topic = (uint32_t)random_below(random, WORLD_TOPICS);
    uint32_t partition = (uint32_t)random_below(random, WORLD_PARTITIONS);
    uint64_t offset = self->offsets[topic][partition];
    if (random_chance(random, 100) && offset > 1) {
        offset -= random_below(random, offset < 4 ? offset : 4); /* again */
    } else {
        offset++;
    }
    if (offset <= self->events_max) {
        send_event(self, topic, partition, offset);
    }
}

/* --- meddling -------------------------------------------------------------------------------- */

/* Any saga that is on disk: children, and those that events and schedules started, too. */
static const saga_t *some_saga(const sim_client_t *self)
{
    const world_t *world = self->world;
    random_source_t *random = core_world_random(world->simulation);
    const witness_t *witness = NULL;
    uint64_t count = world->history.witness_count;
    for (uint32_t i = 0; i < 4 && !(witness && !witness_rests(witness)); i++) {
        witness = witness_find(world, random_below(random, count) + 1);
    }
    return witness ? witness->saga : NULL;
}

static void meddle(sim_client_t *self)
{
    random_source_t *random = core_world_random(self->world->simulation);
    const saga_t *saga = some_saga(self);
    if (!saga) {
        return;
    }
    uint64_t operation = 1 + random_below(random, OPERATIONS);
    if (saga_phase(saga) != SAGA_PARKED && random_chance(random, 500)) {
        operation = (uint64_t)random_between(random, 1, 3);
    }
    saga_phase_t phase = saga_phase(saga);
    if ((phase == SAGA_WAITING || phase == SAGA_COMPENSATING) && random_chance(random, 250)) {
        operation = OPERATION_ABANDON;
    }
    uint64_t task = random_chance(random, 500) ? random_below(random, 8) : 0;
    if (operation != OPERATION_FORK &&
        (operation < OPERATION_COMPLETE || random_chance(random, 600))) {
        operate(self, saga_begin_of(saga)->id, operation, task);
    }
}

/* Whatever has ended begins again somewhere. */
static void fork_some(sim_client_t *self)
{
    const world_t *world = self->world;
    random_source_t *random = core_world_random(world->simulation);
    uint64_t count = world->history.witness_count;
    const witness_t *witness = witness_find(world, random_below(random, count) + 1);
    if (witness) {
        uint64_t task = random_below(random, witness->saga->count + 1);
        operate(self, saga_begin_of(witness->saga)->id, OPERATION_FORK, task);
    }
}

/* Nobody is left paused, and what others wait for is not left parked. */
static void look_after(sim_client_t *self, const witness_t *witness)
{
    random_source_t *random = core_world_random(self->world->simulation);
    if (!witness || witness->ended_lsn > 0 || random_chance(random, 600)) {
        return;
    }
    slice_t id = saga_begin_of(witness->saga)->id;
    if (witness->saga->paused) {
        operate(self, id, 3, 0);
    } else if (saga_phase(witness->saga) == SAGA_PARKED && random_chance(random, 100)) {
        uint64_t dice = random_below(random, 10);
        operate(self, id,
                dice < 6    ? OPERATION_RETRY
                : dice < 8  ? OPERATION_SKIP
                : dice == 8 ? OPERATION_COMPLETE
                            : OPERATION_ABANDON,
                0);
    }
}

/* --- looking --------------------------------------------------------------------------------- */

static void add_start(sim_client_t *self, uint32_t index)
{
    world_t *world = self->world;
    random_source_t *dice = &world->dice;
    sim_start_t *to = &self->starts[index];
    snprintf(to->id, sizeof to->id, "s%u", index);
    to->definition = (uint32_t)random_below(dice, world->definition_count);
    to->version = random_chance(dice, 500) ? world->definitions[to->definition].version : 0;
    to->deadline_ms = random_chance(dice, 150) ? (uint64_t)random_between(dice, 1, 400) : 0;
    plans_make_input(dice, &to->input);
    plans_make_input(dice, &to->other);
    buffer_append(&to->other, &(uint8_t){0xc0}, 0);
}

static void start_some(sim_client_t *self)
{
    world_t *world = self->world;
    random_source_t *random = core_world_random(world->simulation);
    int64_t now_us = core_world_now(world->simulation);
    if (self->started < self->start_count && random_chance(random, world->calm ? 1000 : 350)) {
        self->started++;
    }
    for (uint32_t i = 0; i < self->started; i++) {
        sim_start_t *wanted = &self->starts[i];
        bool again = wanted->answered && random_chance(random, 3);
        if ((!wanted->answered && wanted->next_us <= now_us) || again) {
            wanted->next_us = now_us + random_between(random, AGAIN_US_MIN, AGAIN_US_MAX);
            bool other = wanted->answered || random_chance(random, 40);
            start(self, i, other ? (uint32_t)random_below(random, 3) : 0);
        }
    }
}

static void define_some(sim_client_t *self)
{
    world_t *world = self->world;
    random_source_t *random = core_world_random(world->simulation);
    uint32_t last = world->definition_count - 1;
    bool late = self->started >= self->start_count / 2;
    uint32_t index = self->next_definition;
    if (!world->definitions[index].known && (index + world->late_definitions <= last || late) &&
        random_chance(random, 500)) {
        define(self, index);
    }
    self->next_definition = index == last ? 0 : index + 1;
}

static void on_timer(void *context, uint64_t cookie)
{
    sim_client_t *self = context;
    world_t *world = self->world;
    random_source_t *random = core_world_random(world->simulation);
    define_some(self);
    start_some(self);
    if (random_chance(random, world->calm ? 600 : 200)) {
        deliver(self);
    }
    if (random_chance(random, 60) && self->started > 0) {
        ask_result(self, (uint32_t)random_below(random, self->started), random_chance(random, 500));
    }
    if (random_chance(random, 12)) {
        start_badly(self);
    }
    const saga_t *saga = random_chance(random, 150) ? some_saga(self) : NULL;
    if (saga) {
        signal_saga(self, saga_begin_of(saga)->id);
    }
    if (!world->calm && random_chance(random, world->meddling)) {
        meddle(self);
        if (random_chance(random, 300)) {
            fork_some(self);
        }
    }
    for (uint64_t number = 1; number <= world->history.witness_count && world->calm; number++) {
        look_after(self, witness_find(world, number));
    }
    int64_t most_us = client_is_done(self) ? 40 * LOOK_US_MAX : LOOK_US_MAX;
    core_world_timer(world->simulation, self->slot, random_between(random, LOOK_US_MIN, most_us),
                     cookie);
}

/* --- answers --------------------------------------------------------------------------------- */

static void on_started(sim_client_t *self, uint32_t index, uint32_t variant,
                       const capstan_message_t *message)
{
    sim_start_t *wanted = &self->starts[index];
    saga_started_t started;
    ENSURE(codec_decode(saga_started_wire(), message->body, &started, NULL) == CAPSTAN_OK);
    bool first = wanted->accepted == 0;
    bool same = slice_equal(buffer_slice(&wanted->input), buffer_slice(&wanted->other));
    uint32_t bit = variant == 1 && same ? 1 : 1U << variant;
    wanted->accepted |= bit;
    if (wanted->accepted != bit || variant == 2 ||
        (!first &&
         (wanted->number != started.number || wanted->accepted_version != started.version))) {
        world_fail(self->world, "S11", "%s is attached to what it is not", wanted->id);
    }
    wanted->number = started.number;
    wanted->accepted_version = started.version;
    wanted->answered = true;
}

static void on_refused(sim_client_t *self, uint32_t index, uint32_t variant, uint64_t err)
{
    sim_start_t *wanted = &self->starts[index];
    if (err == CAPSTAN_E_SAGA_CONFLICT) {
        wanted->refused |= 1U << variant;
        if ((wanted->refused & wanted->accepted) != 0) {
            world_fail(self->world, "S11", "%s conflicts with itself", wanted->id);
        }
        wanted->answered = true;
    } else if (err == CAPSTAN_E_INVALID) {
        wanted->answered = true; /* it has no key */
    } else if (err == CAPSTAN_E_UNKNOWN_DEFINITION && variant == 2) {
        wanted->next_us = core_world_now(self->world->simulation) + AGAIN_US_MIN;
    } else if (err != CAPSTAN_E_SAGA_WAITING_FULL && err != CAPSTAN_E_UNKNOWN_DEFINITION) {
        world_fail(self->world, "S11", "%s is refused with %s", wanted->id,
                   capstan_err_name((capstan_err_t)err));
    }
}

/* Whoever hears how a saga ended hears the same. */
static void on_summary(sim_client_t *self, uint32_t index, const capstan_message_t *message)
{
    sim_start_t *wanted = &self->starts[index];
    saga_summary_t summary;
    saga_row_t row;
    ENSURE(codec_decode(saga_summary_wire(), message->body, &summary, NULL) == CAPSTAN_OK);
    ENSURE(codec_decode(saga_row_wire(), summary.saga, &row, NULL) == CAPSTAN_OK);
    if (row.ended_us == 0) {
        return;
    }
    uint64_t hash = world_hash(row.outcome) ^ (uint64_t)row.ended_us;
    const witness_t *witness = witness_find(self->world, row.number);
    if (wanted->ended_state > 0 &&
        (wanted->ended_state != row.state || wanted->ended_hash != hash)) {
        world_fail(self->world, "S10", "%s ended as %llu for one, and as %llu for another",
                   wanted->id, (ull)wanted->ended_state, (ull)row.state);
    }
    if (!witness || saga_phase(witness->saga) != (saga_phase_t)row.state) {
        world_fail(self->world, "S3", "%s was told to end as %llu, which is not on disk",
                   wanted->id, (ull)row.state);
    }
    wanted->ended_state = row.state;
    wanted->ended_hash = hash;
}

static void on_event(sim_client_t *self, uint32_t subject, uint32_t variant)
{
    uint64_t *offset = &self->offsets[(subject >> 8) % WORLD_TOPICS][subject & 0xff];
    if ((*offset + 1) % 256 == variant) {
        ++*offset;
    }
}

static void receive(void *context, const capstan_message_t *message)
{
    sim_client_t *self = context;
    request_kind_t kind = (request_kind_t)(message->correlation & 0xff);
    uint32_t variant = message->correlation >> 8 & 0xff;
    uint32_t subject = message->correlation >> 16 & 0xffff;
    failure_t failure = {0};
    if (message->message == MESSAGE_failure) {
        ENSURE(codec_decode(failure_wire(), message->body, &failure, NULL) == CAPSTAN_OK);
    }
    if (kind == REQUEST_BAD && failure.number != CAPSTAN_E_SAGA_ID) {
        world_fail(self->world, "S11", "a bad id is answered with %llu", (ull)failure.number);
    }
    switch (message->message) {
    case MESSAGE_saga_defined:
        self->world->definitions[subject].known = true;
        break;
    case MESSAGE_saga_started:
        on_started(self, subject, variant, message);
        break;
    case MESSAGE_saga_summary:
        on_summary(self, subject, message);
        break;
    case MESSAGE_failure:
        if (kind == REQUEST_START) {
            on_refused(self, subject, variant, failure.number);
        }
        break;
    case SIM_EVENT:
        on_event(self, subject, variant);
        break;
    default:
        break;
    }
}

bool client_is_done(const sim_client_t *self)
{
    bool done = self->started == self->start_count;
    for (uint32_t i = 0; i < self->started && done; i++) {
        done = self->starts[i].answered;
    }
    return done;
}

void client_start(sim_client_t *self)
{
    random_source_t *dice = &self->world->dice;
    self->start_count = (uint32_t)random_between(dice, 52, WORLD_SAGAS_MAX);
    self->events_max = (uint64_t)random_between(dice, 3, 14);
    for (uint32_t i = 0; i < self->start_count; i++) {
        add_start(self, i);
    }
    core_world_timer(self->world->simulation, self->slot, LOOK_US_MIN, 0);
}

void client_fini(sim_client_t *self)
{
    for (uint32_t i = 0; i < self->start_count; i++) {
        buffer_fini(&self->starts[i].input);
        buffer_fini(&self->starts[i].other);
    }
    buffer_fini(&self->body);
}

const core_actor_t client_behaviour = {.receive = receive, .timer = on_timer};

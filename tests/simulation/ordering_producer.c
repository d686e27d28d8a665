/* A producer: sends what its source has, a window at a time, and sends again what is not answered.
 * It crashes and goes on where it had written down that everything before is answered; its epoch
 * is durable too. Its twin takes over with a newer epoch, while it goes on as a zombie until it
 * hears that it is fenced. */
#include "tests/simulation/ordering_world.h"

enum {
    TICK_US = 2000,
    RESEND_US = 25000,
    RETRY_US = 100000,
    RETRY_AHEAD = 4,
    WINDOW = 40,
    CORRELATION_EPOCH = INT32_MAX,
    CORRELATION_DECLARE = INT32_MAX / 2, /* and the key */
};

static const source_t *source_of(const sim_producer_t *self)
{
    return &self->world->sources[self->source];
}

static void send(sim_producer_t *self, uint32_t message, uint64_t correlation, slice_t body)
{
    core_send_t options = {.from = self->slot,
                           .target = {.slot = self->world->shell.slot},
                           .message = message,
                           .correlation = correlation};
    ENSURE(core_world_send(self->world->simulation, &options, body));
}

static void send_event(sim_producer_t *self, size_t at)
{
    const source_event_t *event = &source_of(self)->list[at];
    uint8_t payload[256];
    size_t size = world_payload(self->source, event->key, event->sequence, payload);
    publish_t publish = {.topic = slice_text("orders"),
                         .key = world_key_name(event->key),
                         .producer = world_producer_name(self->source),
                         .producer_epoch = self->epoch,
                         .sequence = event->sequence,
                         .time_us = (int64_t)event->sequence,
                         .payload = slice_of(payload, size)};
    buffer_t body = {0};
    codec_encode(publish_wire(), &publish, &body);
    send(self, MESSAGE_publish, at, buffer_slice(&body));
    buffer_fini(&body);
    if (self->state[at] == SEND_WAITING) {
        self->state[at] = SEND_UNDER_WAY;
        self->under_way++;
    }
    self->sent_us[at] = core_world_now(self->world->simulation);
}

static void announce(sim_producer_t *self)
{
    partition_epoch_t request = {.producer = world_producer_name(self->source),
                                 .producer_epoch = self->epoch};
    buffer_t body = {0};
    codec_encode(partition_epoch_wire(), &request, &body);
    send(self, MESSAGE_partition_epoch, CORRELATION_EPOCH, buffer_slice(&body));
    buffer_fini(&body);
}

static void declare(sim_producer_t *self, uint32_t key)
{
    uint64_t dropped = source_of(self)->key_dropped[key];
    buffer_t record = {0};
    buffer_t body = {0};
    codec_encode(skip_wire(),
                 &(skip_t){.producer = world_producer_name(self->source),
                           .key = world_key_name(key),
                           .first = dropped,
                           .last = dropped,
                           .verdict = GAP_DEAD,
                           .producer_epoch = self->epoch},
                 &record);
    codec_encode(partition_skip_wire(), &(partition_skip_t){.skip = buffer_slice(&record)}, &body);
    send(self, MESSAGE_partition_skip, CORRELATION_DECLARE + key, buffer_slice(&body));
    buffer_fini(&record);
    buffer_fini(&body);
    self->declared_us[key] = core_world_now(self->world->simulation);
}

/* What is lost is said to be so once everything before it is stored. */
static void declare_what_is_lost(sim_producer_t *self)
{
    const source_t *source = source_of(self);
    int64_t now_us = core_world_now(self->world->simulation);
    for (uint32_t key = 0; self->world->declares && key < WORLD_KEYS_MAX; key++) {
        if (source->key_dropped[key] > 0 && self->key_next[key] == source->key_dropped[key] &&
            now_us - self->declared_us[key] > RESEND_US) {
            declare(self, key);
        }
    }
}

static bool is_lost(const sim_producer_t *self, const source_event_t *event)
{
    return event->dropped && !self->world->declares;
}

static void settle(sim_producer_t *self, size_t at)
{
    if (self->state[at] == SEND_UNDER_WAY) {
        self->under_way--;
    }
    self->state[at] = SEND_DONE;
    const source_t *source = source_of(self);
    uint32_t key = source->list[at].key;
    uint64_t *next = &self->key_next[key];
    while (*next <= source->key_last[key] &&
           self->state[source->positions[key][*next]] == SEND_DONE) {
        ++*next;
    }
    while (self->first < source->count &&
           (self->state[self->first] == SEND_DONE || is_lost(self, &source->list[self->first]))) {
        self->first++;
    }
}

/* A rejected event has a chance once what is missing before it is stored. */
static bool is_nearly_next(const sim_producer_t *self, const source_event_t *event)
{
    return event->sequence < self->key_next[event->key] + RETRY_AHEAD;
}

/* `retries`: only what was rejected before. It comes last, so that it does not keep the fillers
 * out of the window. */
static void send_what_is_due(sim_producer_t *self, bool retries)
{
    const source_t *source = source_of(self);
    int64_t now_us = core_world_now(self->world->simulation);
    for (size_t at = self->first; at < source->count; at++) {
        const source_event_t *event = &source->list[at];
        bool due = false;
        if (self->state[at] == SEND_UNDER_WAY) {
            due = now_us - self->sent_us[at] > RESEND_US;
        } else if (self->state[at] == SEND_WAITING && self->under_way < WINDOW) {
            bool hopeless = self->retry_us[at] > 0 && !is_nearly_next(self, event);
            due = !event->dropped && event->not_before_us <= now_us &&
                  (hopeless ? retries && now_us >= self->retry_us[at] : !retries);
        }
        if (due) {
            send_event(self, at);
        }
    }
}

static void on_tick(void *context, uint64_t cookie)
{
    (void)cookie;
    sim_producer_t *self = context;
    if (self->fenced) {
        return;
    }
    if (self->announce && !self->announced) {
        announce(self);
        core_world_timer(self->world->simulation, self->slot, RESEND_US, 0);
        return;
    }
    declare_what_is_lost(self);
    send_what_is_due(self, false);
    send_what_is_due(self, true);
    /* Now and then it writes down how far it got. */
    if (random_chance(core_world_random(self->world->simulation), 50)) {
        self->saved = self->first;
    }
    if (self->first < source_of(self)->count) {
        core_world_timer(self->world->simulation, self->slot, TICK_US, 0);
    }
}

static void on_outcome(sim_producer_t *self, const outcome_t *outcome)
{
    size_t at = outcome->first;
    const source_t *source = source_of(self);
    ENSURE(at < source->count);
    if (self->state[at] == SEND_DONE) {
        return;
    }
    if (outcome->result != EVENT_REJECTED) {
        settle(self, at);
    } else if (outcome->error == CAPSTAN_E_FENCED) {
        /* A zombie is not quick to believe it. */
        self->fenced =
            self->fenced || random_chance(core_world_random(self->world->simulation), 50);
    } else if (outcome->error == CAPSTAN_E_OUT_OF_ORDER) {
        const source_event_t *event = &source->list[at];
        uint64_t dropped = source->key_dropped[event->key];
        if (dropped != 0 && event->sequence > dropped && !world_gaps_end(self->world)) {
            settle(self, at); /* its gap will never be filled */
        } else if (self->state[at] == SEND_UNDER_WAY) {
            /* It makes room in the window: the filler may be behind it in the source. */
            self->state[at] = SEND_WAITING;
            self->under_way--;
            self->retry_us[at] = core_world_now(self->world->simulation) + RETRY_US;
        }
    } else if (outcome->error == CAPSTAN_E_LIMIT && self->world->small_ledger) {
        settle(self, at); /* it was given up, and there is no room for it */
    } else {
        world_fail(self->world, "O7", "a right event was rejected with %s",
                   capstan_err_name((capstan_err_t)outcome->error));
    }
}

static void on_declared(sim_producer_t *self, const capstan_message_t *message)
{
    uint32_t key = (uint32_t)(message->correlation - CORRELATION_DECLARE);
    const source_t *source = source_of(self);
    failure_t failure = {0};
    if (message->message == MESSAGE_failure) {
        ENSURE(codec_decode(failure_wire(), message->body, &failure, NULL) == CAPSTAN_OK);
    }
    switch ((capstan_err_t)failure.number) {
    case CAPSTAN_OK:
    case CAPSTAN_E_LIMIT: /* the ledger is full: it stays a gap */
        settle(self, source->positions[key][source->key_dropped[key]]);
        break;
    case CAPSTAN_E_FENCED:
        self->fenced = true;
        break;
    case CAPSTAN_E_OUT_OF_ORDER:
        break; /* what it takes for stored was held, and the gap before it is another's to fill */
    default:
        world_fail(self->world, "O4", "what is lost cannot be declared: %s",
                   capstan_err_name((capstan_err_t)failure.number));
    }
}

static void receive(void *context, const capstan_message_t *message)
{
    sim_producer_t *self = context;
    if (message->message == MESSAGE_done) {
        self->announced = true;
        return;
    }
    if (message->correlation >= CORRELATION_DECLARE) {
        on_declared(self, message);
        return;
    }
    outcomes_t outcomes;
    codec_list_t iterator;
    ENSURE(codec_decode(outcomes_wire(), message->body, &outcomes, NULL) == CAPSTAN_OK);
    ENSURE(codec_list_open(outcome_wire(), outcomes.list, &iterator) == CAPSTAN_OK);
    for (outcome_t outcome; codec_list_next(&iterator, &outcome);) {
        on_outcome(self, &outcome);
    }
}

void producer_start(sim_producer_t *self)
{
    const source_t *source = source_of(self);
    self->state = calloc(source->count, sizeof *self->state);
    self->sent_us = calloc(source->count, sizeof *self->sent_us);
    self->retry_us = calloc(source->count, sizeof *self->retry_us);
    ENSURE(self->state && self->sent_us && self->retry_us);
    for (uint32_t key = 0; key < WORLD_KEYS_MAX; key++) {
        self->key_next[key] = 1;
        self->declared_us[key] = -RESEND_US - 1;
    }
    self->first = 0;
    self->under_way = 0;
    for (size_t at = 0; at < self->saved; at++) {
        settle(self, at);
    }
    self->announced = false;
    self->runs = true;
    fact_t *fact = world_record(self->world, FACT_START);
    fact->who = self->slot;
    fact->producer = self->source;
    fact->epoch = self->epoch;
    core_world_timer(self->world->simulation, self->slot, 1, 0);
}

void producer_stop(sim_producer_t *self)
{
    free(self->state);
    free(self->sent_us);
    free(self->retry_us);
    self->state = NULL;
    self->sent_us = NULL;
    self->retry_us = NULL;
    self->runs = false;
}

bool producer_is_done(const sim_producer_t *self)
{
    return self->fenced || (self->runs && self->first == source_of(self)->count);
}

const core_actor_t producer_behaviour = {.receive = receive, .timer = on_tick};

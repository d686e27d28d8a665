/* A consumer: a member of one group. It processes what it holds, key by key in order, now and then
 * rejects an event, and believes now and then that its connection is lost. It then subscribes anew
 * and forgets what it held; as a zombie, it acknowledges some of that under its old number. */
#include "tests/simulation/ordering_world.h"

enum {
    WORK_US_MAX = 600,
    SILENCE_US = 40000, /* without a word from the group, it subscribes again */
    ZOMBIE_PER_MILLE = 300,
    REJECT_PER_MILLE = 20,
};

static void send(sim_consumer_t *self, uint32_t message, const wire_record_t *record,
                 const void *value)
{
    buffer_t body = {0};
    codec_encode(record, value, &body);
    core_send_t options = {.from = self->slot,
                           .target = {.slot = self->world->groups[self->group].slot},
                           .message = message,
                           .correlation = self->request,
                           .ordered = true};
    ENSURE(core_world_send(self->world->simulation, &options, buffer_slice(&body)));
    buffer_fini(&body);
}

static void wait_on(sim_consumer_t *self)
{
    random_source_t *random = core_world_random(self->world->simulation);
    core_world_timer(self->world->simulation, self->slot, random_between(random, 1, WORK_US_MAX),
                     ++self->timer);
}

static void acknowledge(sim_consumer_t *self, uint64_t subscription, uint64_t first, uint64_t last)
{
    buffer_t list = {0};
    codec_list_writer_t writer = codec_list_begin(&list);
    codec_list_add(&writer, position_wire(), &(position_t){.first = first, .offset = last});
    codec_list_end(&writer);
    send(self, MESSAGE_acknowledge, acknowledge_wire(),
         &(acknowledge_t){.subscription = subscription, .through = buffer_slice(&list)});
    buffer_fini(&list);
}

void consumer_reconnect(sim_consumer_t *self)
{
    random_source_t *random = core_world_random(self->world->simulation);
    self->former = self->subscription;
    for (size_t i = 0; i < self->count && self->former > 0; i++) {
        if (random_chance(random, ZOMBIE_PER_MILLE)) {
            acknowledge(self, self->former, self->list[i].offset, self->list[i].offset);
        }
    }
    self->subscription = 0;
    self->count = 0;
    self->request++;
    self->heard_us = core_world_now(self->world->simulation);
    send(self, MESSAGE_subscribe, subscribe_wire(), &(subscribe_t){.group = slice_text("group")});
    for (size_t i = 0; i < 2 && self->former > 0; i++) { /* behind the new one too */
        acknowledge(self, self->former, 0, 1 + random_below(random, 100));
    }
}

static void drop(sim_consumer_t *self, size_t place)
{
    self->count--;
    memmove(&self->list[place], &self->list[place + 1], (self->count - place) * sizeof *self->list);
}

/* What it holds of a key behind an event that it rejected is not its any more. */
static void reject(sim_consumer_t *self, size_t place)
{
    taken_event_t event = self->list[place];
    for (size_t i = self->count; i > 0; i--) {
        if (self->list[i - 1].key == event.key) {
            drop(self, i - 1);
        }
    }
    send(self, MESSAGE_reject, reject_wire(),
         &(reject_t){.subscription = self->subscription, .offset = event.offset});
}

static void process(sim_consumer_t *self, size_t place)
{
    world_t *world = self->world;
    random_source_t *random = core_world_random(world->simulation);
    taken_event_t event = self->list[place];
    bool poisoned = event.hash % 1000 < world->poison_per_mille;
    if ((poisoned && event.attempts < world->poison_attempts) ||
        random_chance(random, REJECT_PER_MILLE)) {
        reject(self, place);
        return;
    }
    fact_t *fact = world_record(world, FACT_DELIVERY);
    fact->who = self->group;
    fact->producer = event.producer;
    fact->key = event.key;
    fact->sequence = event.sequence;
    fact->offset = event.offset;
    fact->hash = event.hash;
    drop(self, place);
    acknowledge(self, self->subscription, event.offset, event.offset);
}

/* Any key that it holds, but of that the first event. */
static size_t choose(const sim_consumer_t *self)
{
    size_t place = random_below(core_world_random(self->world->simulation), self->count);
    for (size_t i = 0; i < place; i++) {
        if (self->list[i].key == self->list[place].key) {
            return i;
        }
    }
    return place;
}

static void on_timer(void *context, uint64_t cookie)
{
    sim_consumer_t *self = context;
    if (cookie != self->timer) {
        return;
    }
    if (core_world_now(self->world->simulation) - self->heard_us > SILENCE_US) {
        consumer_reconnect(self);
    } else if (self->count > 0) {
        process(self, choose(self));
    }
    wait_on(self);
}

static void take(sim_consumer_t *self, slice_t record, uint64_t attempts)
{
    event_t event;
    ENSURE(codec_decode(event_wire(), record, &event, NULL) == CAPSTAN_OK);
    if (self->count == self->capacity) {
        self->capacity = self->capacity > 0 ? self->capacity * 2 : 16;
        self->list = realloc(self->list, self->capacity * sizeof *self->list);
        ENSURE(self->list);
    }
    self->list[self->count++] = (taken_event_t){.offset = event.offset,
                                                .attempts = attempts,
                                                .hash = world_hash(record),
                                                .sequence = event.sequence,
                                                .producer = world_index(event.producer),
                                                .key = world_index(event.key)};
}

static void on_deliver(sim_consumer_t *self, slice_t body)
{
    deliver_t deliver;
    codec_list_t iterator;
    ENSURE(codec_decode(deliver_wire(), body, &deliver, NULL) == CAPSTAN_OK);
    if (deliver.subscription != self->subscription) {
        return; /* on its way since before it subscribed anew */
    }
    ENSURE(codec_list_open(event_wire(), deliver.events, &iterator) == CAPSTAN_OK);
    for (slice_t record; codec_list_next_raw(&iterator, &record);) {
        take(self, record, deliver.attempts);
    }
}

static void receive(void *context, const capstan_message_t *message)
{
    sim_consumer_t *self = context;
    if (message->message == MESSAGE_subscribed && message->correlation == self->request) {
        subscribed_t subscribed;
        ENSURE(codec_decode(subscribed_wire(), message->body, &subscribed, NULL) == CAPSTAN_OK);
        self->subscription = subscribed.subscription;
    } else if (message->message == MESSAGE_deliver) {
        on_deliver(self, message->body);
    }
    self->heard_us = core_world_now(self->world->simulation);
}

void consumer_stop(sim_consumer_t *self)
{
    free(self->list);
    self->list = NULL;
    self->count = self->capacity = 0;
    self->subscription = self->former = 0;
}

void consumer_start(sim_consumer_t *self)
{
    consumer_reconnect(self);
    wait_on(self);
}

const core_actor_t consumer_behaviour = {.receive = receive, .timer = on_timer};

/* A consumer of one group: asks for the group's frontier, reads on from there, processes, and now
 * and then has the frontier stored. A crash forgets everything but the frontier. */
#include "tests/simulation/ordering_world.h"

enum {
    POLL_US = 3000,
    FRONTIER_PER_MILLE = 300,
};

static void send(sim_consumer_t *self, uint32_t message, const wire_record_t *record,
                 const void *value)
{
    buffer_t body = {0};
    codec_encode(record, value, &body);
    core_send_t options = {.from = self->slot,
                           .target = {.slot = self->world->shell.slot},
                           .message = message,
                           .correlation = self->request,
                           .ordered = true};
    ENSURE(core_world_send(self->world->simulation, &options, buffer_slice(&body)));
    buffer_fini(&body);
}

/* One request at a time: the answer to an older one is ignored. */
static void ask(sim_consumer_t *self)
{
    self->request++;
    if (!self->resumed) {
        partition_frontier_t question = {.group = world_key_name(self->group)};
        send(self, MESSAGE_partition_frontier, partition_frontier_wire(), &question);
        return;
    }
    partition_read_t read = {
        .lsn = self->lsn, .offset = self->offset, .bytes_max = 1, .subscription = 1};
    send(self, MESSAGE_partition_read, partition_read_wire(), &read);
}

static void on_timer(void *context, uint64_t cookie)
{
    sim_consumer_t *self = context;
    if (cookie == self->request) {
        ask(self); /* unanswered */
        core_world_timer(self->world->simulation, self->slot, POLL_US, self->request);
    }
}

static void ask_next(sim_consumer_t *self)
{
    ask(self);
    core_world_timer(self->world->simulation, self->slot, POLL_US, self->request);
}

static void process(sim_consumer_t *self, slice_t record)
{
    event_t event;
    ENSURE(codec_decode(event_wire(), record, &event, NULL) == CAPSTAN_OK);
    fact_t *fact = world_record(self->world, FACT_DELIVERY);
    fact->who = self->group;
    fact->producer = world_index(event.producer);
    fact->key = world_index(event.key);
    fact->sequence = event.sequence;
    fact->offset = event.offset;
    fact->hash = world_hash(record);
    self->offset = event.offset;
}

static void on_events(sim_consumer_t *self, slice_t body)
{
    partition_events_t events;
    deliver_t deliver;
    codec_list_t iterator;
    ENSURE(codec_decode(partition_events_wire(), body, &events, NULL) == CAPSTAN_OK);
    ENSURE(codec_decode(deliver_wire(), events.deliver, &deliver, NULL) == CAPSTAN_OK);
    ENSURE(codec_list_open(event_wire(), deliver.events, &iterator) == CAPSTAN_OK);
    uint64_t lsn_before = self->lsn;
    random_source_t *random = core_world_random(self->world->simulation);
    /* Some are processed, then the frontier may be stored in the middle of a batch. */
    uint64_t stop = random_below(random, codec_list_count(deliver.events) + 1);
    for (slice_t record; codec_list_next_raw(&iterator, &record);) {
        process(self, record);
        if (stop-- == 0 && random_chance(random, FRONTIER_PER_MILLE)) {
            partition_frontier_t frontier = {
                .group = world_key_name(self->group), .offset = self->offset, .lsn = lsn_before};
            send(self, MESSAGE_partition_frontier, partition_frontier_wire(), &frontier);
        }
    }
    self->lsn = events.lsn_next;
}

static void receive(void *context, const capstan_message_t *message)
{
    sim_consumer_t *self = context;
    if (message->message == MESSAGE_done || message->correlation != self->request) {
        return;
    }
    if (message->message == MESSAGE_frontier) {
        frontier_t frontier;
        ENSURE(codec_decode(frontier_wire(), message->body, &frontier, NULL) == CAPSTAN_OK);
        self->resumed = true;
        self->offset = frontier.offset;
        self->lsn = frontier.lsn;
        fact_t *fact = world_record(self->world, FACT_RESUME);
        fact->who = self->group;
        fact->offset = frontier.offset;
    } else {
        on_events(self, message->body);
    }
    ask_next(self);
}

void consumer_start(sim_consumer_t *self)
{
    self->resumed = false;
    self->offset = 0;
    self->lsn = 0;
    ask_next(self);
}

const core_actor_t consumer_behaviour = {.receive = receive, .timer = on_timer};

/* bounded_buffer BUFFER PRODUCERS CONSUMERS ITEMS COST: a manager with room for BUFFER items stands
 * between PRODUCERS that make ITEMS each and CONSUMERS that use them up; to make an item and to use
 * it takes arithmetic of COST. While BUFFER - PRODUCERS items wait, no producer is asked for
 * another. Operations are items. Items are numbered; the sum of the numbers is what must come out.
 * Producers and consumers are spread over the cells.
 *
 * From Savina (50, 40, 40, 1,000, 25), at its default size. */
#include "tests/bench/runtime/host.h"

#include <stdlib.h>

enum {
    MESSAGE_produce = HOST_MESSAGE, /* manager to producer */
    MESSAGE_item,                   /* producer to manager, manager to consumer */
    MESSAGE_producer_done,
    MESSAGE_available, /* consumer to manager */
    MESSAGE_end,       /* manager to consumer */
    MESSAGE_used,      /* the last word of a consumer */
};

typedef struct item {
    double value;
    uint64_t number;
} item_t;

/* First in, first out, of references or of items. */
typedef struct fifo {
    union entry {
        capstan_ref_t ref;
        item_t item;
    } * entries;
    uint64_t capacity;
    uint64_t head;
    uint64_t count;
} fifo_t;

typedef struct worker {
    capstan_ref_t manager;
    uint64_t cost;
    uint64_t next; /* a producer's next item */
    uint64_t end;
    uint64_t used; /* a consumer's sum of numbers */
    double term;
} worker_t;

typedef struct manager {
    uint64_t room; /* items that may wait */
    uint64_t producers;
    uint64_t consumers;
    uint64_t items;
    uint64_t cost;
    fifo_t waiting_producers;
    fifo_t waiting_consumers;
    fifo_t pending;
    uint64_t producers_done;
    uint64_t consumers_done;
    uint64_t used;
    worker_t *workers;
    capstan_message_t begin;
} manager_t;

static fifo_t fifo_new(uint64_t capacity)
{
    return (fifo_t){.entries = calloc(capacity, sizeof(union entry)), .capacity = capacity};
}

static union entry *fifo_push(fifo_t *self)
{
    if (self->count == self->capacity) {
        bench_fail("a queue of %llu is full", (unsigned long long)self->capacity);
    }
    return &self->entries[(self->head + self->count++) % self->capacity];
}

static const union entry *fifo_pop(fifo_t *self)
{
    const union entry *entry = &self->entries[self->head % self->capacity];
    self->head++;
    self->count--;
    return entry;
}

static capstan_err_t on_producer(capstan_actor_t *self, const capstan_message_t *message)
{
    worker_t *worker = capstan_actor_state(self);
    (void)message;
    if (worker->next == worker->end) {
        host_tell(self, worker->manager, MESSAGE_producer_done, NULL, 0);
        capstan_actor_exit(self, CAPSTAN_OK);
        return CAPSTAN_OK;
    }
    worker->term = bench_work(worker->term, worker->cost);
    item_t item = {.value = worker->term, .number = worker->next++};
    host_tell(self, worker->manager, MESSAGE_item, &item, sizeof item);
    return CAPSTAN_OK;
}

static capstan_err_t on_consumer(capstan_actor_t *self, const capstan_message_t *message)
{
    worker_t *worker = capstan_actor_state(self);
    item_t item;
    if (message->message == MESSAGE_end) {
        host_tell(self, worker->manager, MESSAGE_used, &worker->used, sizeof worker->used);
        capstan_actor_exit(self, CAPSTAN_OK);
        return CAPSTAN_OK;
    }
    memcpy(&item, message->body.data, sizeof item);
    worker->term = bench_work(worker->term + item.value, worker->cost);
    worker->used += item.number;
    host_tell(self, worker->manager, MESSAGE_available, NULL, 0);
    return CAPSTAN_OK;
}

static void begin(capstan_actor_t *self, manager_t *manager)
{
    static const capstan_behaviour_t producer = {
        .name = "producer", .init = host_keep_argument, .receive = on_producer};
    static const capstan_behaviour_t consumer = {
        .name = "consumer", .init = host_keep_argument, .receive = on_consumer};
    worker_t *worker = manager->workers;
    for (uint64_t i = 0; i < manager->consumers; i++, worker++) {
        *worker = (worker_t){.manager = capstan_actor_ref(self), .cost = manager->cost};
        fifo_push(&manager->waiting_consumers)->ref = host_spawn(
            self, &consumer,
            &(capstan_spawn_options_t){.placement = CAPSTAN_PLACE_SPREAD, .argument = worker});
    }
    for (uint64_t i = 0; i < manager->producers; i++, worker++) {
        *worker = (worker_t){.manager = capstan_actor_ref(self),
                             .cost = manager->cost,
                             .next = i * manager->items,
                             .end = (i + 1) * manager->items};
        capstan_ref_t ref = host_spawn(
            self, &producer,
            &(capstan_spawn_options_t){.placement = CAPSTAN_PLACE_SPREAD, .argument = worker});
        host_tell(self, ref, MESSAGE_produce, NULL, 0);
    }
}

static void on_item(capstan_actor_t *self, manager_t *manager, const capstan_message_t *message)
{
    item_t item;
    memcpy(&item, message->body.data, sizeof item);
    if (manager->waiting_consumers.count > 0) {
        host_tell(self, fifo_pop(&manager->waiting_consumers)->ref, MESSAGE_item, &item,
                  sizeof item);
    } else {
        fifo_push(&manager->pending)->item = item;
    }
    if (manager->pending.count >= manager->room) {
        fifo_push(&manager->waiting_producers)->ref = message->sender;
    } else {
        host_tell(self, message->sender, MESSAGE_produce, NULL, 0);
    }
}

static void on_available(capstan_actor_t *self, manager_t *manager,
                         const capstan_message_t *message)
{
    if (manager->pending.count == 0) {
        fifo_push(&manager->waiting_consumers)->ref = message->sender;
        return;
    }
    item_t item = fifo_pop(&manager->pending)->item;
    host_tell(self, message->sender, MESSAGE_item, &item, sizeof item);
    if (manager->waiting_producers.count > 0) {
        host_tell(self, fifo_pop(&manager->waiting_producers)->ref, MESSAGE_produce, NULL, 0);
    }
}

/* All items were made, and every consumer waits for another. */
static void end_when_idle(capstan_actor_t *self, manager_t *manager)
{
    if (manager->producers_done == manager->producers &&
        manager->waiting_consumers.count == manager->consumers) {
        while (manager->waiting_consumers.count > 0) {
            host_tell(self, fifo_pop(&manager->waiting_consumers)->ref, MESSAGE_end, NULL, 0);
        }
    }
}

static void on_used(capstan_actor_t *self, manager_t *manager, const capstan_message_t *message)
{
    uint64_t used;
    uint64_t items = manager->producers * manager->items;
    memcpy(&used, message->body.data, sizeof used);
    manager->used += used;
    if (++manager->consumers_done == manager->consumers) {
        bench_expect("sum of the items", manager->used, items * (items - 1) / 2);
        capstan_reply(self, &manager->begin, HOST_BEGIN, (capstan_slice_t){0});
    }
}

static capstan_err_t receive(capstan_actor_t *self, const capstan_message_t *message)
{
    manager_t *manager = capstan_actor_state(self);
    switch (message->message) {
    case HOST_BEGIN:
        manager->begin = *message;
        begin(self, manager);
        break;
    case MESSAGE_item:
        on_item(self, manager, message);
        break;
    case MESSAGE_available:
        on_available(self, manager, message);
        end_when_idle(self, manager);
        break;
    case MESSAGE_producer_done:
        manager->producers_done++;
        end_when_idle(self, manager);
        break;
    default: /* used */
        on_used(self, manager, message);
    }
    return CAPSTAN_OK;
}

int main(int argc, char **argv)
{
    static const capstan_behaviour_t behaviour = {
        .name = "manager", .init = host_keep_argument, .receive = receive};
    uint64_t buffer = bench_argument(argc, argv, 1, "buffer");
    manager_t manager = {
        .producers = bench_argument(argc, argv, 2, "producers"),
        .consumers = bench_argument(argc, argv, 3, "consumers"),
        .items = bench_argument(argc, argv, 4, "items of each producer"),
        .cost = bench_argument(argc, argv, 5, "cost of an item"),
    };
    if (buffer <= manager.producers) {
        bench_fail("the buffer must have room for more than an item of each producer");
    }
    manager.room = buffer - manager.producers;
    manager.pending = fifo_new(buffer);
    manager.waiting_producers = fifo_new(manager.producers);
    manager.waiting_consumers = fifo_new(manager.consumers);
    manager.workers = calloc(manager.producers + manager.consumers, sizeof *manager.workers);
    bench_figures_t figures = host_run((capstan_node_options_t){0}, &behaviour, &manager,
                                       manager.producers * manager.items);
    bench_print(&figures);
    free(manager.workers);
    free(manager.waiting_consumers.entries);
    free(manager.waiting_producers.entries);
    free(manager.pending.entries);
    return 0;
}

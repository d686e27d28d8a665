/* What the threads of the program and the publisher's actor share. */
#include "actors/ordering/publisher.h"

#include "runtime/base/ensure.h"
#include "runtime/runtime.h"

#include <stdlib.h>

enum {
    CALLS_MAX = 65536,
    CALL_BYTES_MAX = 64 << 20,
    CHANGE_SHIFT = 32,
};

static const char kept_name[] = "publisher";

/* Those that the actor has never heard of. */
static void release(void *data)
{
    publisher_t *self = data;
    for (uint32_t i = 0; i < self->calls_max; i++) {
        if (atomic_load_explicit(&self->calls[i].taken, memory_order_relaxed)) {
            publisher_finish_call(
                self, i,
                &(capstan_outcome_t){CAPSTAN_RESULT_UNKNOWN, .reason = CAPSTAN_E_STOPPING});
        }
    }
    free(self);
}

capstan_err_t publisher_open(capstan_node_t *node, capstan_ref_t topics,
                             const capstan_topics_options_t *options, uint64_t event_bytes_max)
{
    uint32_t calls_max = options->publishes_max ? options->publishes_max : CALLS_MAX;
    publisher_t *self = calloc(1, sizeof *self + calls_max * sizeof self->calls[0]);
    if (!self) {
        return CAPSTAN_E_NO_MEMORY;
    }
    self->topics = topics;
    self->event_bytes_max = event_bytes_max;
    self->calls_max = calls_max;
    self->bytes_max = options->publish_bytes_max ? options->publish_bytes_max : CALL_BYTES_MAX;
    for (uint32_t i = 0; i < calls_max; i++) {
        atomic_init(&self->calls[i].next, i + 1 < calls_max ? i + 2 : 0);
    }
    atomic_init(&self->free, 1);
    /* On the partitions' cell: what it does for an event is little, and then costs no switch. */
    capstan_err_t err = capstan_node_spawn(
        node, &publisher_behaviour,
        &(capstan_spawn_options_t){
            .name = publisher_behaviour.name, .cell = "ordering", .argument = self},
        &self->actor);
    if (err != CAPSTAN_OK) {
        free(self);
        return err;
    }
    ENSURE(node_keep(node, kept_name, self, release) == self);
    return CAPSTAN_OK;
}

publisher_t *publisher_of(capstan_node_t *node)
{
    return node_kept(node, kept_name);
}

/* --- calls ----------------------------------------------------------------------------------- */

void publisher_drop_call(publisher_t *self, uint32_t place)
{
    uint64_t head = atomic_load_explicit(&self->free, memory_order_relaxed);
    uint64_t changed;
    atomic_store_explicit(&self->calls[place].taken, false, memory_order_relaxed);
    atomic_fetch_sub_explicit(&self->bytes, self->calls[place].bytes, memory_order_relaxed);
    do {
        atomic_store_explicit(&self->calls[place].next, (uint32_t)head, memory_order_relaxed);
        changed = ((head >> CHANGE_SHIFT) + 1) << CHANGE_SHIFT | (place + 1);
    } while (!atomic_compare_exchange_weak_explicit(&self->free, &head, changed,
                                                    memory_order_release, memory_order_relaxed));
}

static bool take_place(publisher_t *self, uint32_t *ret_place)
{
    uint64_t head = atomic_load_explicit(&self->free, memory_order_acquire);
    uint64_t changed;
    do {
        if ((uint32_t)head == 0) {
            return false;
        }
        *ret_place = (uint32_t)head - 1;
        changed = ((head >> CHANGE_SHIFT) + 1) << CHANGE_SHIFT |
                  atomic_load_explicit(&self->calls[*ret_place].next, memory_order_relaxed);
    } while (!atomic_compare_exchange_weak_explicit(&self->free, &head, changed,
                                                    memory_order_acquire, memory_order_acquire));
    return true;
}

bool publisher_take_call(publisher_t *self, const call_t *wanted, uint32_t *ret_place)
{
    uint64_t before = atomic_fetch_add_explicit(&self->bytes, wanted->bytes, memory_order_relaxed);
    /* One is always taken, however large it is. */
    if ((before > 0 && before + wanted->bytes > self->bytes_max) || !take_place(self, ret_place)) {
        atomic_fetch_sub_explicit(&self->bytes, wanted->bytes, memory_order_relaxed);
        return false;
    }
    call_t *call = &self->calls[*ret_place];
    call->published = wanted->published;
    call->context = wanted->context;
    call->bytes = wanted->bytes;
    atomic_store_explicit(&call->taken, true, memory_order_relaxed);
    return true;
}

/* The place is free before the function runs, which may publish again. */
void publisher_finish_call(publisher_t *self, uint32_t place, const capstan_outcome_t *outcome)
{
    capstan_published_fn *published = self->calls[place].published;
    void *context = self->calls[place].context;
    publisher_drop_call(self, place);
    if (published) {
        published(context, outcome);
    }
}

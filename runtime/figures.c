/* What the actors of a node are doing, for status: read by any thread while they go on. */
#include "runtime/node_internal.h"

enum { PLACES_AT_ONCE = 1024 }; /* under the node's mutex: some 100 us */

int64_t node_watched_until_us(const capstan_node_t *node)
{
    return atomic_load_explicit(&node->watched_until_us, memory_order_relaxed);
}

void node_watch(capstan_node_t *self, int64_t duration_us)
{
    atomic_store_explicit(&self->watched_until_us, node_now_us(self) + duration_us,
                          memory_order_relaxed);
}

/* What is in flight and not queued lies before the cell: since its turn began, or the cell is just
 * being woken. */
static int64_t age_us(const slot_t *slot, uint64_t in_flight, int64_t now_us)
{
    if (in_flight == 0) {
        return 0;
    }
    int64_t since_us = mailbox_oldest_us(&slot->mailbox);
    if (since_us == 0) {
        since_us = atomic_load_explicit(&slot_cell(slot)->pulse->turn_us, memory_order_relaxed);
    }
    return since_us > 0 && since_us < now_us ? now_us - since_us : 0;
}

static actor_figures_t figures_of(const slot_t *slot, uint32_t generation, int64_t now_us)
{
    mailbox_account_t account = mailbox_account(&slot->mailbox);
    uint64_t in_flight = account.sent - account.delivered - account.dropped_all;
    return (actor_figures_t){
        .name = atomic_load_explicit(&slot->label, memory_order_relaxed),
        .cell = slot_cell(slot)->name,
        .ref = {.slot = slot->index, .generation = generation},
        .account = account,
        .in_flight = in_flight,
        .restarts = atomic_load_explicit(&slot->restarts, memory_order_relaxed),
        .age_us = age_us(slot, in_flight, now_us),
        .busy_ns = atomic_load_explicit(&slot->mailbox.busy_ns, memory_order_relaxed),
        .runs = atomic_load_explicit(&slot->mailbox.runs, memory_order_relaxed),
    };
}

static void tell_places(capstan_node_t *self, uint32_t from, uint32_t end, actor_figures_fn *each,
                        void *context)
{
    int64_t now_us = node_now_us(self);
    pthread_mutex_lock(&self->mutex); /* it keeps the names */
    for (uint32_t i = from; i < end; i++) {
        const slot_t *slot = node_slot(self, i);
        uint32_t generation = atomic_load_explicit(&slot->generation, memory_order_acquire);
        if (generation > 0) {
            actor_figures_t figures = figures_of(slot, generation, now_us);
            each(context, &figures);
        }
    }
    pthread_mutex_unlock(&self->mutex);
}

uint32_t node_figures_from(capstan_node_t *self, uint32_t place, uint32_t places,
                           actor_figures_fn *each, void *context)
{
    if (!node_enter(self)) {
        return 0;
    }
    uint32_t count = atomic_load_explicit(&self->slot_count, memory_order_acquire);
    uint32_t end = count - place > places ? place + places : count;
    while (place < end) {
        uint32_t next = end - place > PLACES_AT_ONCE ? place + PLACES_AT_ONCE : end;
        tell_places(self, place, next, each, context);
        place = next;
    }
    node_leave(self);
    return end < count ? end : 0;
}

void node_figures(capstan_node_t *self, actor_figures_fn *each, void *context)
{
    (void)node_figures_from(self, 0, UINT32_MAX, each, context);
}

#include "runtime/park.h"

#include "runtime/base/ensure.h"
#include "runtime/cell.h"
#include "runtime/dead_letters.h"
#include "runtime/runtime_messages.h"
#include "runtime/runtime_metrics.h"

#include <stdlib.h>
#include <string.h>

enum { CIRCLE_STEPS_MAX = 1024 };

const char park_cookie = 0;

static park_t *park_of(capstan_actor_t *self)
{
    if (!self->park) {
        self->park = calloc(1, sizeof *self->park);
        ENSURE(self->park);
    }
    return self->park;
}

static void send_word(cell_t *cell, capstan_ref_t from, capstan_ref_t to, uint32_t word)
{
    /* Who has gone neither waits nor keeps anybody waiting. */
    (void)!route_send(
        cell,
        &(capstan_message_t){
            .message = word, .kind = CAPSTAN_KIND_EVENT, .sender = from, .target = to},
        true);
}

/* --- the sender ------------------------------------------------------------------------------ */

static void set_waits_for(capstan_actor_t *self, uint32_t place)
{
    atomic_store_explicit(&self->slot->mailbox.waits_for, place, memory_order_seq_cst);
}

/* Says for whom it waits; takes it back and returns false when that would close a circle. */
static bool may_wait_for(capstan_actor_t *self, uint32_t slot)
{
    set_waits_for(self, slot + 1);
    for (uint32_t steps = 0; steps < CIRCLE_STEPS_MAX && slot != self->slot->index; steps++) {
        const slot_t *next = node_slot(self->cell->node, slot);
        uint32_t place = atomic_load_explicit(&next->mailbox.waits_for, memory_order_seq_cst);
        if (place == 0) {
            return true;
        }
        slot = place - 1;
    }
    set_waits_for(self, 0);
    return false;
}

static bool is_parked_for(const park_t *park, capstan_ref_t target)
{
    const parked_t *parked = park->head;
    while (parked && !capstan_ref_equal(parked->message.target, target)) {
        parked = parked->next;
    }
    return parked != NULL;
}

static bool parks(const slot_t *slot)
{
    return slot &&
           atomic_load_explicit(&slot->overflow, memory_order_relaxed) == CAPSTAN_OVERFLOW_PARK;
}

static uint64_t load_bytes_max(const slot_t *slot)
{
    return atomic_load_explicit(&slot->mailbox.bytes_max, memory_order_relaxed);
}

static void append(park_t *park, const capstan_message_t *message, bool always)
{
    size_t size = message->body.size;
    parked_t *parked = malloc(sizeof *parked + size);
    ENSURE(parked);
    parked->next = NULL;
    parked->message = *message;
    parked->always = always;
    if (size > 0) {
        memcpy(parked->body, message->body.data, size);
    }
    parked->message.body = slice_of(parked->body, size);
    *(park->head ? &park->tail->next : &park->head) = parked;
    park->tail = parked;
    park->count++;
    park->bytes += size;
}

static void wait_on(capstan_actor_t *self, capstan_ref_t target)
{
    cell_t *cell = self->cell;
    send_word(cell, self->ref, target, MESSAGE_park_wait);
    timers_cancel(&cell->timers, self->park->timer);
    self->park->timer = timers_start(&cell->timers, cell->now_us + PARK_RETRY_US, self,
                                     (void *)(uintptr_t)&park_cookie);
}

capstan_err_t park_message(capstan_actor_t *self, const capstan_message_t *message, bool always)
{
    const slot_t *slot = route_find(self->cell->node, message->target);
    bool waits = self->park && self->park->head;
    if (!slot || (waits && !is_parked_for(self->park, message->target))) {
        capstan_err_t err = route_send(self->cell, message, always);
        if (err != CAPSTAN_E_MAILBOX_FULL || !parks(slot)) {
            return err;
        }
    } else if (!parks(slot)) {
        return CAPSTAN_E_MAILBOX_FULL;
    }
    if (self == self->cell->port || self->dead) {
        /* The one asks for threads, and must hear their answers; the other waits for nothing more.
         */
        return CAPSTAN_E_MAILBOX_FULL;
    }
    if (message_cost(message) > load_bytes_max(slot)) {
        return CAPSTAN_E_MAILBOX_FULL; /* it never fits */
    }
    park_t *park = park_of(self);
    bool room =
        park->count < PARKED_MESSAGES_MAX && park->bytes + message->body.size <= PARKED_BYTES_MAX;
    if (!always && (!room || (!waits && !may_wait_for(self, slot->index)))) {
        return CAPSTAN_E_MAILBOX_FULL;
    }
    append(park, message, always);
    if (!waits) {
        METRIC_ADD(runtime, actors_parked, 1);
        wait_on(self, message->target);
    }
    return CAPSTAN_OK;
}

static bool is_wanted(capstan_actor_t *self, const capstan_message_t *message)
{
    return message->kind != CAPSTAN_KIND_REQUEST ||
           calls_find(&self->cell->calls, message->correlation) != NULL;
}

/* False when it has to wait on. */
static bool send_parked(capstan_actor_t *self, const parked_t *parked, bool force)
{
    const capstan_message_t *message = &parked->message;
    if (!is_wanted(self, message)) {
        return true; /* a request that has ended meanwhile */
    }
    bool always = parked->always || force;
    capstan_err_t err = route_send(self->cell, message, always);
    if (err == CAPSTAN_E_MAILBOX_FULL) {
        const slot_t *slot = route_find(self->cell->node, message->target);
        if (slot && may_wait_for(self, slot->index)) {
            wait_on(self, message->target);
            return false;
        }
        err = route_send(self->cell, message, true);
    }
    if (err == CAPSTAN_E_GONE) {
        METRIC_ADD(runtime, messages_dropped, 1);
        dead_letters_tell(self->cell, message, DROP_stopped);
        route_refuse(self->cell, message, CAPSTAN_E_GONE, NULL);
    }
    return true;
}

static void send_all(capstan_actor_t *self, bool force)
{
    park_t *park = self->park;
    for (parked_t *parked; (parked = park->head) && send_parked(self, parked, force);) {
        park->head = parked->next;
        park->count--;
        park->bytes -= parked->message.body.size;
        free(parked);
    }
    if (!park->head) {
        METRIC_ADD(runtime, actors_parked, -1);
        set_waits_for(self, 0);
        timers_cancel(&self->cell->timers, park->timer);
        park->timer = 0;
    }
}

void park_retry(capstan_actor_t *self)
{
    if (!self->park || !self->park->head) {
        return;
    }
    send_all(self, false);
    if (!self->park->head && self->slot->mailbox.queued > 0) {
        cell_make_ready(self->cell, self);
    }
}

/* --- the receiver ---------------------------------------------------------------------------- */

/* One that is told on the same cell tries at once, and may be waiting again before this returns. */
static void tell_waiters(capstan_actor_t *self)
{
    park_t *park = self->park;
    capstan_ref_t *told = park->waiters;
    uint32_t count = park->waiter_count;
    park->waiters = NULL;
    park->waiter_count = park->waiter_capacity = 0;
    for (uint32_t i = 0; i < count; i++) {
        send_word(self->cell, self->ref, told[i], MESSAGE_park_over);
    }
    free(told);
}

void park_add_waiter(capstan_actor_t *self, capstan_ref_t waiter)
{
    park_t *park = park_of(self);
    for (uint32_t i = 0; i < park->waiter_count; i++) {
        if (capstan_ref_equal(park->waiters[i], waiter)) {
            return;
        }
    }
    if (park->waiter_count == park->waiter_capacity) {
        park->waiter_capacity = park->waiter_capacity > 0 ? park->waiter_capacity * 2 : 4;
        park->waiters = realloc(park->waiters, park->waiter_capacity * sizeof *park->waiters);
        ENSURE(park->waiters);
    }
    park->waiters[park->waiter_count++] = waiter;
    park_settle(self);
}

void park_settle(capstan_actor_t *self)
{
    if (self->park && self->park->waiter_count > 0 && mailbox_is_settled(&self->slot->mailbox)) {
        tell_waiters(self);
    }
}

void park_release(capstan_actor_t *self)
{
    if (self->park && self->park->waiter_count > 0 && !mailbox_is_full(&self->slot->mailbox, 2)) {
        tell_waiters(self);
    }
}

void park_end(capstan_actor_t *self)
{
    if (!self->park) {
        return;
    }
    if (self->park->head) {
        send_all(self, true);
    }
    tell_waiters(self);
    free(self->park->waiters);
    free(self->park);
    self->park = NULL;
}

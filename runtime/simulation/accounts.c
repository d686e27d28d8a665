/* What holds in every world, looked at from outside: by walking what is there, and never by the
 * counters that are judged.
 *
 * M1: each mailbox has sent = delivered + dropped + in flight, where in flight is what lies in its
 *     lanes, in the rings of its cell, in the parcels on their way to its cell and in its inbox,
 *     and what is kept for it while it moves.
 * M5: at rest nobody waits for room in a mailbox: who has mail and does nothing would be
 * waiting himself, and at the end of such a row of waiting actors there is none that does not wait.
 */
#include "runtime/simulation/world.h"

#include "runtime/base/ensure.h"
#include "runtime/move.h"
#include "runtime/park.h"

#include <inttypes.h>
#include <stdlib.h>

enum { LOOK_EVERY = 64 }; /* steps */

/* Messages in flight, by slot. */
typedef struct flights {
    uint32_t *counts;
    uint32_t slot_count;
} flights_t;

static void count(flights_t *self, uint32_t slot)
{
    if (slot < self->slot_count) {
        self->counts[slot]++;
    }
}

static void count_batch(flights_t *self, slice_t batch)
{
    batch_reader_t reader;
    envelope_t envelope;
    slice_t body;
    bool right = batch_open(batch, &reader) == CAPSTAN_OK;
    ENSURE(right);
    while (batch_next(&reader, &envelope, &body)) {
        count(self, envelope.target.slot);
    }
    ENSURE(reader.fault.err == CAPSTAN_OK);
}

/* What foreign threads have handed over; an ask is not sent before its cell takes it. */
static void count_ring(flights_t *self, const ring_t *ring)
{
    for (uint64_t at = ring->head; at != atomic_load(&ring->tail); at++) {
        const foreign_t *foreign = ring->slots[at & ring->mask].item;
        if (!foreign->waiter) {
            count(self, foreign->target.slot);
        }
    }
}

static void count_all(flights_t *self, const machine_t *machine)
{
    const agenda_t *agenda = &machine->world->agenda;
    for (size_t i = 0; i < agenda->count; i++) {
        const step_t *step = &agenda->steps[i];
        if (step->kind == STEP_PARCEL && step->machine == machine->index &&
            step->boot == machine->boot) {
            count_batch(self, ((const parcel_t *)step->data)->batch);
        }
    }
    for (uint32_t i = 0; machine_cell(machine, i); i++) {
        const cell_t *cell = machine_cell(machine, i);
        ENSURE(cell->dirty_count == 0); /* a turn ends with a flush */
        count_ring(self, &cell->ring);
        const seat_t *seat = cell->seat;
        for (const parcel_t *parcel = seat->inbox_head; parcel; parcel = parcel->next) {
            count_batch(self, parcel->batch);
        }
    }
}

static void look_at_mailboxes(const machine_t *machine)
{
    flights_t flights = {.slot_count = atomic_load(&machine->node->slot_count)};
    flights.counts = calloc(flights.slot_count + 1, sizeof *flights.counts);
    ENSURE(flights.counts);
    count_all(&flights, machine);
    for (uint32_t i = 0; i < flights.slot_count; i++) {
        const slot_t *slot = node_slot(machine->node, i);
        if (slot->last_generation == 0 && flights.counts[i] == 0) {
            continue; /* never given out, as most are: they were most of the time of a run */
        }
        mailbox_account_t account = mailbox_account(&slot->mailbox);
        uint64_t in_flight =
            flights.counts[i] + mailbox_walk(&slot->mailbox) + move_kept(slot_cell(slot), slot);
        if (account.sent != account.delivered + account.dropped_all + in_flight) {
            capstan_simulation_fail(machine->world, "M1",
                                    "%s, slot %u (%s): %" PRIu64 " sent, %" PRIu64
                                    " delivered, %" PRIu64 " dropped, %" PRIu64 " in flight",
                                    machine->name, i, atomic_load(&slot->label), account.sent,
                                    account.delivered, account.dropped_all, in_flight);
        }
    }
    free(flights.counts);
}

static void tell_parked(const machine_t *machine, const capstan_actor_t *actor)
{
    const capstan_message_t *first = &actor->park->head->message;
    const slot_t *slot = route_find(machine->node, first->target);
    capstan_simulation_fail(
        machine->world, "M5",
        "%s, slot %u (%s): %u messages wait for room in slot %u, %s, %u in its queue of %u, while "
        "nothing moves",
        machine->name, actor->slot->index, atomic_load(&actor->slot->label), actor->park->count,
        first->target.slot, slot ? "which lives" : "which has ended",
        slot ? slot->mailbox.queued : 0, slot ? atomic_load(&slot->mailbox.messages_max) : 0);
}

static void look_at_parked(const machine_t *machine)
{
    for (uint32_t i = 0; machine_cell(machine, i); i++) {
        const capstan_actor_t *actor = machine_cell(machine, i)->actors;
        for (; actor; actor = actor->next) {
            if (actor->park && actor->park->head) {
                tell_parked(machine, actor);
            }
        }
    }
}

void accounts_look(capstan_simulation_t *self, bool at_rest)
{
    bool mailboxes = self->figures.steps - self->looked_at >= LOOK_EVERY;
    self->looked_at = mailboxes ? self->figures.steps : self->looked_at;
    for (uint32_t i = 0; i < self->machine_count && (mailboxes || at_rest); i++) {
        const machine_t *machine = self->machines[i];
        if (machine->node && mailboxes) {
            look_at_mailboxes(machine);
        }
        if (machine->node && at_rest) {
            look_at_parked(machine);
        }
    }
}

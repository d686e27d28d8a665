/* What must hold for what members see. M1 and M5 are judged by the simulator itself, in every world
 * (runtime/simulation/accounts.c). */
#include "tests/simulation/runtime_world.h"

#include "runtime/node_internal.h"

#include <inttypes.h>

/* --- M3: in the order sent, or not at all ---------------------------------------------------- */

void judge_read(member_t *self, uint32_t from, uint32_t ordinal)
{
    const member_t *sender = &self->world->members[from];
    bool together = sender->node == self->node && sender->boot == self->boot;
    if (together && ordinal <= self->seen[from]) {
        capstan_simulation_fail(self->world->simulation, "M3",
                                "member %u reads message %u of member %u after message %u",
                                self->id, ordinal, from, self->seen[from]);
    }
    self->seen[from] = ordinal;
}

/* --- M2: an ask ends once, in time ----------------------------------------------------------- */

static pending_ask_t *find(member_t *self, uint64_t correlation)
{
    for (size_t i = 0; i < ASKS_MAX; i++) {
        if (self->asks[i].correlation == correlation) {
            return &self->asks[i];
        }
    }
    return NULL;
}

void judge_asked(member_t *self, uint64_t correlation, int64_t deadline_us)
{
    pending_ask_t *place = find(self, 0);
    if (find(self, correlation)) {
        capstan_simulation_fail(self->world->simulation, "M2",
                                "two asks of member %u are number %" PRIx64, self->id, correlation);
    }
    *place = (pending_ask_t){correlation, deadline_us};
}

void judge_withdrawn(member_t *self, uint64_t correlation)
{
    find(self, correlation)->correlation = 0;
}

static bool is_late(const member_t *self, const pending_ask_t *ask, int64_t now_us)
{
    return !self->world->pauses && now_us > ask->deadline_us + LATE_US_MAX;
}

void judge_ended(member_t *self, uint64_t correlation)
{
    pending_ask_t *ask = find(self, correlation);
    if (!ask) {
        capstan_simulation_fail(self->world->simulation, "M2",
                                "ask %" PRIx64 " of member %u ends again", correlation, self->id);
        return;
    }
    if (is_late(self, ask, capstan_now_us(self->self))) {
        capstan_simulation_fail(self->world->simulation, "M2",
                                "an ask of member %u ends %" PRId64 " us after its deadline",
                                self->id, capstan_now_us(self->self) - ask->deadline_us);
    }
    ask->correlation = 0;
}

static void judge_pending(member_t *self)
{
    int64_t now_us = node_now_us(capstan_simulation_node(self->world->simulation, self->node));
    for (size_t i = 0; i < ASKS_MAX; i++) {
        const pending_ask_t *ask = &self->asks[i];
        if (ask->correlation != 0 && is_late(self, ask, now_us)) {
            capstan_simulation_fail(self->world->simulation, "M2",
                                    "an ask of member %u has not ended %" PRId64
                                    " us after its deadline",
                                    self->id, now_us - ask->deadline_us);
        }
    }
}

/* --- L1: whoever watches hears of an end, and of no other ------------------------------------ */

void judge_down(member_t *self, uint32_t who)
{
    const member_t *other = &self->world->members[who];
    if (other->alive) {
        capstan_simulation_fail(self->world->simulation, "L1",
                                "member %u hears that member %u has ended, which lives", self->id,
                                who);
    } else if (!self->watches[who] && !self->traps) {
        capstan_simulation_fail(self->world->simulation, "L1",
                                "member %u hears of the end of member %u without having asked, or "
                                "again",
                                self->id, who);
    }
    self->watches[who] = false;
}

static void judge_watches(const member_t *self)
{
    for (uint32_t i = 0; i < self->world->member_count; i++) {
        const member_t *other = &self->world->members[i];
        bool together = other->node == self->node && other->boot == self->boot;
        if (self->watches[i] && together && !other->alive) {
            capstan_simulation_fail(self->world->simulation, "L1",
                                    "member %u has not heard of the end of member %u", self->id, i);
        }
    }
}

/* --- M4: nothing of an actor is left --------------------------------------------------------- */

static uint32_t count_actors(const capstan_node_t *node)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < node->cell_count; i++) {
        const cell_t *cell = atomic_load(&node->cells[i]);
        for (const capstan_actor_t *actor = cell->actors; actor; actor = actor->next) {
            count += actor != cell->port;
        }
    }
    return count;
}

static uint32_t count_slots(const capstan_node_t *node)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < atomic_load(&node->slot_count); i++) {
        const slot_t *slot = node_slot((capstan_node_t *)node, i);
        count += slot_is_live(slot) && !(slot->actor && slot->actor == slot_cell(slot)->port);
    }
    return count;
}

static uint32_t count_members(const world_t *world, uint32_t node)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < world->member_count; i++) {
        count += world->members[i].alive && world->members[i].node == node;
    }
    return count;
}

static void judge_node(const world_t *world, uint32_t index)
{
    const capstan_node_t *node = capstan_simulation_node(world->simulation, index);
    if (node) {
        uint32_t members = count_members(world, index);
        uint32_t actors = count_actors(node);
        uint32_t slots = count_slots(node);
        if (members != actors || members != slots) {
            capstan_simulation_fail(world->simulation, "M4",
                                    "node %u has %u members, %u actors and %u live slots", index,
                                    members, actors, slots);
        }
    }
}

void judge_rest(capstan_simulation_t *simulation, void *context)
{
    (void)simulation;
    world_t *world = context;
    for (uint32_t i = 0; i < world->member_count; i++) {
        if (world->members[i].alive) {
            judge_pending(&world->members[i]);
            judge_watches(&world->members[i]);
        }
    }
    for (uint32_t i = 0; i < NODES; i++) {
        judge_node(world, i);
    }
}

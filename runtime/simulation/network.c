/* The network of a simulated world: what one turn sends to another node is one packet, which is
 * lost, doubled, delayed and reordered as the faults say.
 *
 *   route_send --> egress of the node, per other node --(end of the turn)--> packet
 *                                                                              |
 *   inbox of a cell <-- parcel <-- room in the mailbox? <-- still alive? <-- other node
 *                                        \ no: refused       \ no: GONE
 *
 * What stands in for a link between nodes does what a link has to: it makes references that leave a
 * node say which node they are of, and carries the time that is left instead of a deadline. */
#include "runtime/simulation/world.h"

#include "runtime/base/clock.h"
#include "runtime/base/ensure.h"

#include <inttypes.h>
#include <stdlib.h>

#define NETWORK_ID_FIRST UINT64_C(0x5150000000000001)

enum {
    USUAL_US = 100,
    LATE_FACTOR = 20, /* how many usual times a reordered packet may come later */
};

uint64_t network_id(uint32_t machine)
{
    return NETWORK_ID_FIRST + machine;
}

static machine_t *machine_with_id(capstan_simulation_t *self, uint64_t id)
{
    uint64_t index = id - NETWORK_ID_FIRST;
    return index < self->machine_count ? self->machines[index] : NULL;
}

static capstan_ref_t whole(const machine_t *self, capstan_ref_t ref)
{
    if (ref.node == 0 && !capstan_ref_is_null(ref)) {
        ref.node = network_id(self->index);
        ref.boot = self->boot;
    }
    return ref;
}

capstan_err_t network_resolve(capstan_simulation_t *self, const char *name, capstan_ref_t *ret_ref)
{
    const char *colon = strchr(name, ':');
    size_t size = colon ? (size_t)(colon - name) : 0;
    for (uint32_t i = 0; colon && i < self->machine_count; i++) {
        machine_t *machine = self->machines[i];
        if (machine->node && strlen(machine->name) == size &&
            strncmp(machine->name, name, size) == 0 && !strchr(colon + 1, ':')) {
            capstan_err_t err = capstan_node_resolve(machine->node, colon + 1, ret_ref);
            if (err == CAPSTAN_OK) {
                *ret_ref = whole(machine, *ret_ref);
            }
            return err;
        }
    }
    return CAPSTAN_E_NOT_FOUND;
}

capstan_err_t capstan_simulation_resolve(capstan_simulation_t *self, const char *name,
                                         capstan_ref_t *ret_ref)
{
    return network_resolve(self, name, ret_ref);
}

/* --- leaving --------------------------------------------------------------------------------- */

/* The one message of the runtime that has a reference in its body. */
static slice_t whole_down(const machine_t *self, const capstan_message_t *message, buffer_t *body)
{
    down_t down;
    if (message->message != MESSAGE_down ||
        codec_decode(down_wire(), message->body, &down, NULL) != CAPSTAN_OK) {
        return message->body;
    }
    down.actor = whole(self, down.actor);
    codec_encode(down_wire(), &down, body);
    return buffer_slice(body);
}

capstan_err_t network_send(cell_t *from, const capstan_message_t *message)
{
    machine_t *self = machine_of(from->node);
    const machine_t *to = machine_with_id(self->world, message->target.node);
    if (!to) {
        return CAPSTAN_E_GONE;
    }
    if (self->world->crashing) {
        return CAPSTAN_OK;
    }
    envelope_t envelope = {
        .message = message->message,
        .kind = message->kind,
        .correlation = message->correlation,
        .sender = whole(self, message->sender),
        .target = message->target,
        .flags = message->flags & WIRE_KIND_FLAG_PRIORITY,
        .owner_epoch = message->owner_epoch,
    };
    if (message->deadline_us > 0) {
        int64_t left_us = message->deadline_us - from->now_us;
        envelope.ttl_us = left_us > 0 ? (uint64_t)left_us : 1;
    }
    buffer_t *buffer = &self->egress[to->index].buffer;
    batch_writer_t *writer = &self->egress[to->index].writer;
    if (buffer->size == 0) {
        *writer = batch_begin(buffer);
    }
    buffer_t body = {0};
    batch_add(writer, &envelope, whole_down(self, message, &body));
    buffer_fini(&body);
    return CAPSTAN_OK;
}

static void post(machine_t *self, uint32_t to, int64_t after_us)
{
    const buffer_t *buffer = &self->egress[to].buffer;
    packet_t *packet = malloc(sizeof *packet + buffer->size);
    ENSURE(packet);
    packet->from = self->index;
    packet->size = buffer->size;
    memcpy(packet->bytes, buffer->data, buffer->size);
    self->world->active++;
    world_plan(self->world, (step_t){.at_us = self->world->now_us + after_us,
                                     .kind = STEP_PACKET,
                                     .machine = to,
                                     .data = packet});
}

static bool is_cut(const machine_t *self, uint32_t other)
{
    return self->cut_until_us[other] > self->world->now_us;
}

static void send_packet(machine_t *self, uint32_t to)
{
    capstan_simulation_t *world = self->world;
    const capstan_simulation_faults_t *faults = &world->faults;
    uint32_t from = self->index;
    uint64_t late_us_max = (uint64_t)(USUAL_US + faults->delay_us_max) * LATE_FACTOR;
    int64_t after_us =
        USUAL_US + (int64_t)world_decide(world, DECISION_delay, from, to,
                                         (odds_t){1000000, (uint64_t)faults->delay_us_max});
    after_us += (int64_t)world_decide(world, DECISION_reorder, from, to,
                                      (odds_t){faults->reorder * 1000, late_us_max});
    bool lost = world_decide(world, DECISION_loss, from, to, (odds_t){faults->loss * 1000, 1}) > 0;
    uint64_t again_us = world_decide(world, DECISION_duplicate, from, to,
                                     (odds_t){faults->duplicate * 1000, late_us_max});
    world->figures.packets++;
    if (lost || is_cut(self, to)) {
        world->figures.lost++;
        return;
    }
    post(self, to, after_us);
    if (again_us > 0) {
        post(self, to, after_us + (int64_t)again_us);
    }
}

void network_flush(machine_t *self)
{
    for (uint32_t to = 0; to < self->world->machine_count; to++) {
        buffer_t *buffer = &self->egress[to].buffer;
        if (buffer->size > 0) {
            batch_seal(&self->egress[to].writer, &(link_header_t){.version = WIRE_VERSION});
            send_packet(self, to);
            buffer_clear(buffer);
        }
    }
}

void network_cut(capstan_simulation_t *self, uint64_t nodes, int64_t time_us)
{
    self->figures.cuts++;
    capstan_simulation_tell(self, "nodes %" PRIx64 " are cut off for %" PRId64 " us", nodes,
                            time_us);
    for (uint32_t i = 0; i < self->machine_count; i++) {
        for (uint32_t k = 0; k < self->machine_count; k++) {
            int64_t *until_us = &self->machines[i]->cut_until_us[k];
            bool apart = (nodes >> i & 1) != (nodes >> k & 1);
            if (apart && self->now_us + time_us > *until_us) {
                *until_us = self->now_us + time_us;
            }
        }
    }
}

void capstan_simulation_cut(capstan_simulation_t *self, uint32_t nodes, int64_t time_us)
{
    network_cut(self, nodes, time_us);
}

/* --- arriving -------------------------------------------------------------------------------- */

/* As on the sender's side, which does not tell: replies and the runtime's own messages never want
 * for room. */
static bool is_always(const capstan_message_t *message)
{
    bool own =
        message->message >= RUNTIME_MESSAGES_FIRST && message->message <= RUNTIME_MESSAGES_LAST;
    return own || message->kind == CAPSTAN_KIND_REPLY || message->kind == CAPSTAN_KIND_ERROR;
}

static void hand_in(machine_t *self, const slot_t *slot, const envelope_t *envelope, slice_t body)
{
    buffer_t batch = {0};
    batch_writer_t writer = batch_begin(&batch);
    envelope_t local = *envelope;
    local.target.node = 0;
    local.target.boot = 0;
    if (envelope->ttl_us > 0) {
        local.ttl_us = (uint64_t)clock_add_us(node_now_us(self->node), (int64_t)envelope->ttl_us);
    }
    batch_add(&writer, &local, body);
    batch_seal(&writer, &(link_header_t){.version = WIRE_VERSION});
    seat_send(slot_cell(slot)->seat, NETWORK_SEAT, buffer_slice(&batch));
    buffer_fini(&batch);
}

static void take_message(machine_t *self, const envelope_t *envelope, slice_t body)
{
    capstan_message_t message = {
        .message = (uint32_t)envelope->message,
        .kind = (uint32_t)envelope->kind,
        .sender = envelope->sender,
        .target = envelope->target,
        .correlation = envelope->correlation,
        .body = body,
    };
    slot_t *slot = route_find(self->node, message.target);
    capstan_err_t err = slot ? CAPSTAN_OK : CAPSTAN_E_GONE;
    if (slot && !mailbox_reserve(&slot->mailbox, message_cost(&message),
                                 is_always(&message) || overflow_is_receivers(slot))) {
        err = CAPSTAN_E_MAILBOX_FULL;
    }
    cell_t *any = machine_cell(self, 0);
    if (err == CAPSTAN_OK) {
        hand_in(self, slot, envelope, body);
    } else if (any) {
        route_refuse(any, &message, err, NULL);
    }
}

void network_arrive(machine_t *self, packet_t *packet)
{
    slice_t bytes = slice_of(packet->bytes, packet->size);
    world_mix_bytes(self->world, bytes);
    batch_reader_t reader;
    if (self->node && !is_cut(self, packet->from) && batch_open(bytes, &reader) == CAPSTAN_OK) {
        envelope_t envelope;
        slice_t body;
        while (batch_next(&reader, &envelope, &body)) {
            take_message(self, &envelope, body);
        }
        ENSURE(reader.fault.err == CAPSTAN_OK);
        network_flush(self);
    }
    free(packet);
}

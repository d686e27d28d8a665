/* From a reference to a mailbox: is the actor alive, is there room, which way does it go. */
#include "runtime/cell.h"

#include "runtime/runtime_messages.h"
#include "runtime/wire/wire_messages.h"

uint64_t message_cost(const capstan_message_t *message)
{
    return message->body.size + MESSAGE_OVERHEAD;
}

static bool is_alive(const slot_t *slot, uint32_t generation)
{
    return atomic_load_explicit(&slot->generation, memory_order_acquire) == generation;
}

slot_t *route_find(capstan_node_t *node, capstan_ref_t target)
{
    bool here =
        target.node == 0 || (target.node == node_id(node) && target.boot == node_boot(node));
    slot_t *slot = here && target.generation > 0 ? node_slot(node, target.slot) : NULL;
    if (slot) {
        mailbox_fetch_sent(&slot->mailbox);
    }
    return slot && is_alive(slot, target.generation) ? slot : NULL;
}

static capstan_err_t send_away(cell_t *from, const capstan_message_t *message)
{
    uint64_t node = message->target.node;
    bool other = node != 0 && node != node_id(from->node);
    return other && from->platform->send_away ? from->platform->send_away(from, message)
                                              : CAPSTAN_E_GONE;
}

/* The actor may end between the look and the reservation. The message then arrives at its cell all
 * the same, which counts it as dropped. */
capstan_err_t route_send(cell_t *from, const capstan_message_t *message, bool always)
{
    slot_t *slot = route_find(from->node, message->target);
    if (!slot) {
        return send_away(from, message);
    }
    /* Read once: it may move meanwhile, and a message that was on its way to another cell and then
     * to this one would come behind those that find the actor here. */
    cell_t *to = slot_cell(slot);
    if (to == from) {
        mailbox_fetch_owned(&slot->mailbox);
        actor_fetch(slot->actor);
    }
    uint64_t cost = message_cost(message);
    if (!mailbox_reserve(&slot->mailbox, cost, always || overflow_is_receivers(slot))) {
        return CAPSTAN_E_MAILBOX_FULL;
    }
    if (to == from && !node_options(from->node)->strict_wire) {
        transport_send_local(from, slot, message);
    } else {
        transport_send_remote(from, to, message);
    }
    return CAPSTAN_OK;
}

void route_tell_down(cell_t *from, capstan_ref_t watcher, const down_t *down)
{
    buffer_t body = {0};
    codec_encode(down_wire(), down, &body);
    (void)!route_send(from,
                      &(capstan_message_t){.message = MESSAGE_down,
                                           .kind = CAPSTAN_KIND_EVENT,
                                           .sender = down->actor,
                                           .target = watcher,
                                           .body = buffer_slice(&body)},
                      true);
    buffer_fini(&body);
}

void route_refuse(cell_t *from, const capstan_message_t *request, capstan_err_t err,
                  const char *text)
{
    if (request->message == MESSAGE_park_wait) {
        (void)!route_send(from,
                          &(capstan_message_t){.message = MESSAGE_park_over,
                                               .kind = CAPSTAN_KIND_EVENT,
                                               .sender = request->target,
                                               .target = request->sender},
                          true);
        return;
    }
    bool wish = request->message == MESSAGE_monitor_add || request->message == MESSAGE_link_add;
    if (wish && err == CAPSTAN_E_GONE) {
        route_tell_down(from, request->sender,
                        &(down_t){.actor = request->target, .reason = (uint64_t)err});
        return;
    }
    if (request->kind != CAPSTAN_KIND_REQUEST || request->correlation == 0) {
        return;
    }
    buffer_t body = {0};
    codec_encode(failure_wire(),
                 &(failure_t){.number = (uint64_t)err,
                              .text = slice_text(text ? text : capstan_err_text(err))},
                 &body);
    /* An asker that has gone needs no answer. */
    (void)!route_send(from,
                      &(capstan_message_t){.message = MESSAGE_failure,
                                           .kind = CAPSTAN_KIND_ERROR,
                                           .sender = request->target,
                                           .target = request->sender,
                                           .correlation = request->correlation,
                                           .body = buffer_slice(&body)},
                      true);
    buffer_fini(&body);
}

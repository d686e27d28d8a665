/* Monitors and links: who hears of whose end, and who ends with whom. Everything here runs on the
 * actor's cell.
 *
 *   monitor:  watcher {target: WATCHES}         target {watcher: WATCHED}
 *   link:     one {other: TIED}                 other {one: TIED}
 *   child:    supervisor {child: WATCHES, TIED} child {supervisor: WATCHED, TIED, PARENT}
 *
 * A wish to watch or to link travels as a message; when it finds nobody, a `down` comes back in its
 * place. An end sends one `down` to each who has an interest. The receiver of a `down` looks into
 * its own map before it does anything, and takes the ended actor out of it: so it hears of one end
 * once, whichever way the news came, and not at all when it has lost interest. Most actors have no
 * entry and no memory here. */
#include "runtime/cell.h"
#include "runtime/grip.h"

#include "runtime/runtime_messages.h"

static capstan_ref_t local_form(const capstan_actor_t *self, capstan_ref_t ref)
{
    if (ref.node == node_id(self->cell->node) && ref.boot == node_boot(self->cell->node)) {
        ref.node = 0;
        ref.boot = 0;
    }
    return ref;
}

static capstan_err_t send_control(capstan_actor_t *self, capstan_ref_t target, uint32_t message)
{
    return actor_send(
        self, target,
        &(send_options_t){.message = message, .kind = CAPSTAN_KIND_EVENT, .always = true},
        (slice_t){0});
}

static capstan_err_t begin_interest(capstan_actor_t *self, capstan_ref_t target, uint32_t flag,
                                    uint32_t message)
{
    target = local_form(self, target);
    if (capstan_ref_is_null(target)) {
        return CAPSTAN_E_INVALID;
    }
    if (capstan_ref_equal(target, self->ref) || (refs_find(&self->links, target) & flag)) {
        return CAPSTAN_OK;
    }
    refs_add(&self->links, target, flag);
    if (send_control(self, target, message) == CAPSTAN_E_GONE) {
        route_tell_down(self->cell, self->ref,
                        &(down_t){.actor = target, .reason = CAPSTAN_E_GONE});
    }
    return CAPSTAN_OK;
}

static capstan_err_t take_interest(capstan_actor_t *self, capstan_ref_t target, uint32_t flag,
                                   uint32_t message)
{
    bool user;
    capstan_err_t err = CAPSTAN_E_CELL_HUNG;
    if (grip_enter(&user)) {
        err = begin_interest(self, target, flag, message);
    }
    grip_leave(user);
    return err;
}

static void drop_interest(capstan_actor_t *self, capstan_ref_t target, uint32_t flag,
                          uint32_t message)
{
    bool user;
    target = local_form(self, target);
    if (grip_enter(&user) && (refs_remove(&self->links, target, flag) & flag)) {
        (void)!send_control(self, target, message); /* GONE: its `down` finds no interest here */
    }
    grip_leave(user);
}

capstan_err_t capstan_monitor(capstan_actor_t *self, capstan_ref_t target)
{
    return take_interest(self, target, LINK_WATCHES, MESSAGE_monitor_add);
}

void capstan_demonitor(capstan_actor_t *self, capstan_ref_t target)
{
    drop_interest(self, target, LINK_WATCHES, MESSAGE_monitor_remove);
}

capstan_err_t capstan_link(capstan_actor_t *self, capstan_ref_t target)
{
    return take_interest(self, target, LINK_TIED, MESSAGE_link_add);
}

void capstan_unlink(capstan_actor_t *self, capstan_ref_t target)
{
    drop_interest(self, target, LINK_TIED, MESSAGE_link_remove);
}

bool capstan_message_is_down(const capstan_message_t *message, capstan_ref_t *ret_actor,
                             capstan_err_t *ret_reason)
{
    down_t down;
    if (message->message != MESSAGE_down ||
        codec_decode(down_wire(), message->body, &down, NULL) != CAPSTAN_OK) {
        return false;
    }
    *ret_actor = down.actor;
    *ret_reason = (capstan_err_t)down.reason;
    return true;
}

static links_answer_t take_down(capstan_actor_t *self, const capstan_message_t *message)
{
    capstan_ref_t who;
    capstan_err_t reason;
    if (!capstan_message_is_down(message, &who, &reason) ||
        !capstan_ref_equal(who, message->sender)) {
        return LINKS_TAKEN;
    }
    uint32_t flags = refs_remove(&self->links, local_form(self, who), LINK_ALL);
    bool tied = flags & LINK_TIED;
    if (tied && reason != CAPSTAN_OK && !self->behaviour->traps_exits) {
        return LINKS_END;
    }
    bool hears = (flags & LINK_WATCHES) || (tied && self->behaviour->traps_exits);
    return hears ? LINKS_DELIVER : LINKS_TAKEN;
}

links_answer_t actor_take_control(capstan_actor_t *self, const capstan_message_t *message)
{
    capstan_ref_t from = message->sender;
    switch (message->message) {
    case MESSAGE_down:
        return take_down(self, message);
    case MESSAGE_monitor_add:
    case MESSAGE_link_add:
        if (!capstan_ref_is_null(from)) {
            refs_add(&self->links, from,
                     message->message == MESSAGE_link_add ? LINK_TIED : LINK_WATCHED);
        }
        return LINKS_TAKEN;
    case MESSAGE_monitor_remove:
        refs_remove(&self->links, from, LINK_WATCHED);
        return LINKS_TAKEN;
    case MESSAGE_link_remove:
        refs_remove(&self->links, from, LINK_TIED);
        return LINKS_TAKEN;
    default:
        return LINKS_DELIVER;
    }
}

void actor_tell_end(capstan_actor_t *self)
{
    down_t down = {.actor = self->ref,
                   .reason = (uint64_t)self->reason,
                   .message = self->reason != CAPSTAN_OK ? self->failed_message : 0};
    size_t position = 0;
    for (const refs_entry_t *entry; (entry = refs_next(&self->links, &position));) {
        if (entry->word & (LINK_WATCHED | LINK_TIED)) {
            route_tell_down(self->cell, entry->ref, &down);
        } else if (entry->word & LINK_WATCHES) {
            (void)!send_control(self, entry->ref, MESSAGE_monitor_remove);
        }
    }
    refs_fini(&self->links);
}

void actor_defer_started(capstan_actor_t *self)
{
    self->starting = true;
}

static void say_started(capstan_actor_t *self)
{
    capstan_ref_t parent = actor_parent(self);
    self->started = true;
    self->starting = false;
    if (self->spawner) {
        waiter_finish(self->spawner, CAPSTAN_OK, (slice_t){0});
        self->spawner = NULL;
    }
    if (!capstan_ref_is_null(parent)) {
        (void)!send_control(self, parent, MESSAGE_started); /* GONE: this actor will hear of it */
    }
}

void actor_started(capstan_actor_t *self)
{
    bool user;
    if (grip_enter(&user) && !self->started) {
        say_started(self);
    }
    grip_leave(user);
}

capstan_ref_t actor_parent(const capstan_actor_t *self)
{
    size_t position = 0;
    for (const refs_entry_t *entry; (entry = refs_next(&self->links, &position));) {
        if (entry->word & LINK_PARENT) {
            return entry->ref;
        }
    }
    return (capstan_ref_t){0};
}

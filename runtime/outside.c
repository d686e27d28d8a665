#include "runtime/outside.h"

#include "runtime/cell.h"
#include "runtime/grip.h"

capstan_err_t node_resolve_external(capstan_node_t *self, slice_t name, capstan_ref_t *ret_ref)
{
    char text[NAME_BYTES_MAX + 1];
    capstan_ref_t ref;
    if (name.size == 0 || name.size > NAME_BYTES_MAX) {
        return CAPSTAN_E_NOT_FOUND;
    }
    memcpy(text, name.data, name.size);
    text[name.size] = 0; /* a 0 within it ends it early, and no name has one */
    if (strlen(text) != name.size || capstan_node_resolve(self, text, &ref) != CAPSTAN_OK ||
        !node_is_external(self, ref)) {
        return CAPSTAN_E_NOT_FOUND;
    }
    *ret_ref = ref;
    return CAPSTAN_OK;
}

/* The mark may be that of a later incarnation, when the slot is given out again in between: what is
 * then sent to the reference is dropped as sent to one that has ended. */
bool node_is_external(capstan_node_t *self, capstan_ref_t ref)
{
    const slot_t *slot = route_find(self, ref);
    return slot && (atomic_load_explicit(&slot->marks, memory_order_relaxed) & SLOT_EXTERNAL);
}

bool node_is_crowded(capstan_node_t *self, capstan_ref_t ref)
{
    const slot_t *slot = route_find(self, ref);
    return slot && mailbox_is_full(&slot->mailbox, 2);
}

void actor_stand_outside(capstan_actor_t *self)
{
    self->outside = true;
}

void actor_hold(capstan_actor_t *self, bool held)
{
    bool user;
    if (grip_enter(&user)) {
        self->held = held;
        if (!held && !self->dead && self->slot->mailbox.queued > 0) {
            cell_make_ready(self->cell, self);
        }
    }
    grip_leave(user);
}

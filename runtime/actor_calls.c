/* What handlers call about themselves, and to send, to wait and to start others. A thread that has
 * lost its cell may call any of it, and changes nothing: see grip.h. */
#include "runtime/cell.h"
#include "runtime/grip.h"
#include "runtime/move.h"

#include "runtime/base/ensure.h"

void capstan_actor_exit(capstan_actor_t *self, capstan_err_t reason)
{
    bool user;
    if (grip_enter(&user)) {
        ENSURE(self->running);
        self->exiting = true;
        self->reason = reason;
    }
    grip_leave(user);
}

void actor_exit_told(capstan_actor_t *self, capstan_err_t reason)
{
    self->quiet = true;
    capstan_actor_exit(self, reason);
}

bool actor_is_restart(const capstan_actor_t *self)
{
    return atomic_load_explicit(&self->slot->restarts, memory_order_relaxed) > 0;
}

const char *actor_label(const capstan_actor_t *self)
{
    return self->slot->label;
}

capstan_ref_t capstan_actor_ref(const capstan_actor_t *self)
{
    return self->ref;
}

capstan_node_t *capstan_actor_node(const capstan_actor_t *self)
{
    return self->cell->node;
}

void *capstan_actor_state(const capstan_actor_t *self)
{
    return self->state;
}

void capstan_actor_set_state(capstan_actor_t *self, void *state)
{
    self->state = state;
}

/* A thread that has lost the cell has no turn, whose time it could be. */
int64_t capstan_now_us(const capstan_actor_t *self)
{
    const cell_t *cell = self->cell;
    return grip_is_lost() ? cell->platform->now_ns(cell->node) / 1000 : cell->now_us;
}

int64_t capstan_utc_us(const capstan_actor_t *self)
{
    const cell_t *cell = self->cell;
    return grip_is_lost() ? cell->platform->utc_us(cell->node) : cell->utc_us;
}

static capstan_err_t send(capstan_actor_t *self, const capstan_message_t *message, bool always)
{
    bool user;
    capstan_err_t err =
        grip_enter(&user) ? actor_route(self, message, always) : CAPSTAN_E_CELL_HUNG;
    grip_leave(user);
    return err;
}

capstan_err_t actor_send(capstan_actor_t *self, capstan_ref_t target, const send_options_t *options,
                         slice_t body)
{
    return send(self,
                &(capstan_message_t){.message = options->message,
                                     .kind = options->kind,
                                     .flags = options->flags,
                                     .sender = self->ref,
                                     .target = target,
                                     .correlation = options->correlation,
                                     .owner_epoch = options->owner_epoch,
                                     .deadline_us = options->deadline_us,
                                     .body = body},
                options->always);
}

capstan_err_t capstan_tell(capstan_actor_t *self, capstan_ref_t target, uint32_t message,
                           capstan_slice_t body)
{
    return send(self,
                &(capstan_message_t){.message = message,
                                     .kind = CAPSTAN_KIND_EVENT,
                                     .sender = self->ref,
                                     .target = target,
                                     .body = body},
                false);
}

capstan_err_t capstan_tell_priority(capstan_actor_t *self, capstan_ref_t target, uint32_t message,
                                    capstan_slice_t body)
{
    return send(self,
                &(capstan_message_t){.message = message,
                                     .kind = CAPSTAN_KIND_EVENT,
                                     .flags = WIRE_KIND_FLAG_PRIORITY,
                                     .sender = self->ref,
                                     .target = target,
                                     .body = body},
                false);
}

uint64_t capstan_timer_start(capstan_actor_t *self, int64_t after_us, void *cookie)
{
    bool user;
    uint64_t timer = 0;
    ENSURE(self->behaviour->timer);
    if (grip_enter(&user)) {
        self->timer_count++;
        int64_t when_us = self->cell->now_us + (after_us > 0 ? after_us : 0);
        timer = timers_start(&self->cell->timers, when_us, self, cookie);
    }
    grip_leave(user);
    return timer;
}

void capstan_timer_cancel(capstan_actor_t *self, uint64_t timer)
{
    bool user;
    if (grip_enter(&user)) {
        timer = self->timer_names ? move_timer_now(self, timer) : timer;
        self->timer_count -= timers_cancel(&self->cell->timers, timer);
    }
    grip_leave(user);
}

capstan_err_t capstan_stop(capstan_actor_t *self, capstan_ref_t target, int64_t timeout_us)
{
    slot_t *slot = route_find(self->cell->node, target);
    if (grip_is_lost() || !slot) {
        return slot ? CAPSTAN_E_CELL_HUNG : CAPSTAN_E_GONE;
    }
    cell_command(slot_cell(slot), &(command_t){.kind = COMMAND_STOP_ACTOR,
                                               .slot = slot,
                                               .generation = target.generation,
                                               .timeout_us = timeout_us});
    return CAPSTAN_OK;
}

/* The parent's side of the bonds that its child begins with. */
static uint32_t other_side(uint32_t bonds)
{
    return (bonds & LINK_WATCHED ? LINK_WATCHES : 0U) | (bonds & LINK_TIED);
}

static capstan_err_t spawn(capstan_actor_t *self, adoption_t *adoption,
                           const capstan_spawn_options_t *options, capstan_ref_t *ret_ref)
{
    cell_t *cell = self->cell;
    if (node_stopping(cell->node)) {
        return CAPSTAN_E_STOPPING;
    }
    capstan_err_t err = node_place(cell->node, options, cell, &cell);
    if (err != CAPSTAN_OK) {
        return err;
    }
    capstan_ref_t ref;
    err = node_slot_take(cell->node, options, adoption->behaviour, cell, self->cell, false,
                         &adoption->slot, &ref);
    if (err != CAPSTAN_OK) {
        if (cell->own && cell != self->cell) {
            node_give_cell(cell);
        }
        return err;
    }
    adoption->argument = options->argument;
    bool child = adoption->bonds & LINK_PARENT;
    adoption->answered = cell == self->cell && !child;
    adoption->parent = self->ref;
    if (adoption->answered) {
        err = cell_adopt(cell, adoption);
    } else if (cell == self->cell) {
        cell_adopt_later(cell, adoption);
    } else {
        cell_command(cell, &(command_t){.kind = COMMAND_SPAWN, .adoption = *adoption});
    }
    if (err == CAPSTAN_OK) {
        if (adoption->bonds != 0) {
            refs_add(&self->links, ref, other_side(adoption->bonds));
        }
        *ret_ref = ref;
    }
    return err;
}

capstan_err_t capstan_spawn(capstan_actor_t *self, const capstan_behaviour_t *behaviour,
                            const capstan_spawn_options_t *options, capstan_ref_t *ret_ref)
{
    static const capstan_spawn_options_t defaults = {0};
    options = options ? options : &defaults;
    adoption_t adoption = {.behaviour = behaviour,
                           .bonds = (options->monitor ? LINK_WATCHED : 0U) |
                                    (options->link ? LINK_TIED : 0U)};
    bool user;
    capstan_err_t err = CAPSTAN_E_CELL_HUNG;
    if (grip_enter(&user)) {
        err = spawn(self, &adoption, options, ret_ref);
    }
    grip_leave(user);
    return err;
}

capstan_err_t actor_spawn_child(capstan_actor_t *self, const capstan_behaviour_t *behaviour,
                                const capstan_spawn_options_t *options, uint32_t restarts,
                                capstan_ref_t *ret_ref)
{
    adoption_t adoption = {.behaviour = behaviour,
                           .bonds = LINK_WATCHED | LINK_TIED | LINK_PARENT,
                           .restarts = restarts};
    return spawn(self, &adoption, options, ret_ref);
}

capstan_err_t capstan_resolve(const capstan_actor_t *self, const char *name, capstan_ref_t *ret_ref)
{
    return capstan_node_resolve(self->cell->node, name, ret_ref);
}

/* --- watches --------------------------------------------------------------------------------- */

static capstan_err_t watch(capstan_actor_t *self, zmq_pollitem_t item, void *cookie)
{
    cell_t *cell = self->cell;
    bool user;
    capstan_err_t err = CAPSTAN_E_CELL_HUNG;
    ENSURE(self->behaviour->ready);
    if (grip_enter(&user)) {
        err = cell->watch_count == CELL_WATCHES_MAX ? CAPSTAN_E_LIMIT : CAPSTAN_OK;
    }
    if (err == CAPSTAN_OK) {
        cell->items[cell->watch_count + 2] = item;
        cell->watch_version++;
        cell->watches[cell->watch_count++] = (watch_t){.actor = self, .cookie = cookie};
    }
    grip_leave(user);
    return err;
}

capstan_err_t capstan_watch_fd(capstan_actor_t *self, int fd, void *cookie)
{
    if (fd < 0) {
        return CAPSTAN_E_INVALID;
    }
    return watch(self, (zmq_pollitem_t){.fd = fd, .events = ZMQ_POLLIN}, cookie);
}

capstan_err_t actor_watch_socket(capstan_actor_t *self, void *socket, void *cookie)
{
    return watch(self, (zmq_pollitem_t){.socket = socket, .events = ZMQ_POLLIN}, cookie);
}

static void unwatch(capstan_actor_t *self, const void *cookie)
{
    cell_t *cell = self->cell;
    for (size_t i = 0; i < cell->watch_count; i++) {
        if (cell->watches[i].actor == self && cell->watches[i].cookie == cookie) {
            cell->watch_version++;
            cell->watch_count--;
            for (size_t k = i; k < cell->watch_count; k++) {
                cell->watches[k] = cell->watches[k + 1];
                cell->items[k + 2] = cell->items[k + 3];
            }
            return;
        }
    }
}

void capstan_unwatch(capstan_actor_t *self, void *cookie)
{
    bool user;
    if (grip_enter(&user)) {
        unwatch(self, cookie);
    }
    grip_leave(user);
}

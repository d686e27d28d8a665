#include "runtime/move.h"

#include "runtime/base/ensure.h"
#include "runtime/keyed_internal.h"
#include "runtime/node_internal.h"
#include "runtime/runtime_messages.h"
#include "runtime/runtime_metrics.h"

#include <stdlib.h>

typedef struct kept_list {
    mail_t *head;
    mail_t *tail;
} kept_list_t;

typedef struct moved_timer {
    uint64_t given;
    int64_t when_us;
    void *cookie;
} moved_timer_t;

/* A move as one of the two cells sees it, each with its own. */
struct move {
    move_t *next;
    slot_t *slot;
    uint32_t generation;

    /* The old cell. */
    cell_t *to;
    uint32_t fences; /* cells that may still send here */
    bool ring_ends;  /* no thread sends to the ring any more; up to here it has to be drained: */
    uint64_t ring_end;
    bool drained;

    /* The new cell. */
    capstan_actor_t *actor; /* NULL: messages came before the command */
    kept_list_t forwarded;
    kept_list_t direct;
    moved_timer_t *timers;
    size_t timer_count;
    request_t *requests; /* that it works on */
    size_t request_count;
    bool stop;
    int64_t stop_us;

    waiter_t *waiter; /* with the old cell, then with the new one */
};

/* The numbers under which a moved actor knows its timers. */
struct timer_names {
    size_t count;
    struct {
        uint64_t given;
        uint64_t now;
    } list[];
};

static move_t *find(move_t *list, const slot_t *slot)
{
    while (list && list->slot != slot) {
        list = list->next;
    }
    return list;
}

static move_t *move_new(move_t **list, slot_t *slot)
{
    move_t *self = calloc(1, sizeof *self);
    ENSURE(self);
    self->slot = slot;
    self->next = *list;
    *list = self;
    return self;
}

static void unlink_move(move_t **list, const move_t *move)
{
    while (*list != move) {
        list = &(*list)->next;
    }
    *list = move->next;
}

static void send_word(cell_t *self, capstan_ref_t port, uint32_t word, const slot_t *slot)
{
    (void)!route_send(self,
                      &(capstan_message_t){.message = word,
                                           .kind = CAPSTAN_KIND_EVENT,
                                           .sender = self->port->ref,
                                           .target = port,
                                           .correlation = slot->index},
                      true);
}

/* --- timers ---------------------------------------------------------------------------------- */

static size_t place_of(const struct timer_names *names, uint64_t given, uint64_t now)
{
    size_t i = 0;
    while (i < names->count && names->list[i].given != given && names->list[i].now != now) {
        i++;
    }
    return i;
}

uint64_t move_timer_now(capstan_actor_t *actor, uint64_t timer)
{
    const struct timer_names *names = actor->timer_names;
    size_t i = place_of(names, timer, 0);
    return i < names->count ? names->list[i].now : timer;
}

uint64_t move_timer_given(capstan_actor_t *actor, uint64_t timer)
{
    const struct timer_names *names = actor->timer_names;
    size_t i = place_of(names, 0, timer);
    return i < names->count ? names->list[i].given : timer;
}

static void take_timers(cell_t *self, move_t *move)
{
    capstan_actor_t *actor = move->actor;
    move->timers = calloc(actor->timer_count + 1, sizeof *move->timers);
    ENSURE(move->timers);
    for (uint32_t left = actor->timer_count; left > 0; left--) {
        moved_timer_t *timer = &move->timers[move->timer_count++];
        uint64_t number = timers_take_of(&self->timers, actor, &timer->when_us, &timer->cookie);
        timer->given = actor->timer_names ? move_timer_given(actor, number) : number;
    }
}

static void give_timers(cell_t *self, const move_t *move)
{
    capstan_actor_t *actor = move->actor;
    free(actor->timer_names);
    actor->timer_names = NULL;
    if (move->timer_count == 0) {
        return;
    }
    struct timer_names *names =
        calloc(1, sizeof *names + move->timer_count * sizeof names->list[0]);
    ENSURE(names);
    actor->timer_names = names;
    for (; names->count < move->timer_count; names->count++) {
        const moved_timer_t *timer = &move->timers[names->count];
        names->list[names->count].given = timer->given;
        names->list[names->count].now =
            timers_start(&self->timers, timer->when_us, actor, timer->cookie);
    }
}

/* --- requests that it works on --------------------------------------------------------------- */

static bool take_requests(cell_t *self, move_t *move)
{
    party_t *party = &move->actor->party;
    size_t count = 0;
    for (uint32_t i = party->requests; i != CALLS_NONE; i = calls_request(&self->calls, i)->next) {
        request_state_t state = calls_request(&self->calls, i)->state;
        if (state == REQUEST_CANCELLED || state == REQUEST_TOLD) {
            return false;
        }
        count += state == REQUEST_WORKING;
    }
    move->requests = calloc(count + 1, sizeof *move->requests);
    ENSURE(move->requests);
    for (uint32_t i = party->requests; i != CALLS_NONE;) {
        const request_t request = *calls_request(&self->calls, i);
        if (request.state == REQUEST_WORKING) {
            move->requests[move->request_count++] = request;
            calls_forget(&self->calls, i);
        }
        i = request.next;
    }
    return true;
}

static void give_requests(cell_t *self, const move_t *move)
{
    party_init(&move->actor->party, move->actor);
    for (size_t i = 0; i < move->request_count; i++) {
        const request_t *request = &move->requests[i];
        capstan_message_t message = {.kind = CAPSTAN_KIND_REQUEST,
                                     .sender = request->sender,
                                     .correlation = request->correlation,
                                     .deadline_us = request->deadline_us};
        (void)calls_begin(&self->calls,
                          calls_queue(&self->calls, &move->actor->party, &message, self->now_us));
    }
}

/* --- the old cell ---------------------------------------------------------------------------- */

void move_forward(cell_t *self, slot_t *slot, const capstan_message_t *message)
{
    capstan_message_t copy = *message;
    trace_scope_t scope;
    trace_scope_t *outer = self->trace;
    copy.flags |= MESSAGE_FORWARDED;
    if (message_is_traced(message)) {
        scope.context = *message_trace(message);
        copy.flags &= ~MESSAGE_TRACED;
        self->trace = &scope;
    }
    transport_send_remote(self, slot_cell(slot), &copy);
    self->trace = outer;
}

static capstan_err_t may_move(const cell_t *self, const capstan_actor_t *actor)
{
    if (actor == self->port || actor->key || actor->behaviour->may_block || self->own ||
        actor->outside || actor->behaviour == &keeper_behaviour) {
        return CAPSTAN_E_UNSUPPORTED;
    }
    for (size_t i = 0; i < self->watch_count; i++) {
        if (self->watches[i].actor == actor) {
            return CAPSTAN_E_UNSUPPORTED;
        }
    }
    bool busy = actor->party.asks != CALLS_NONE || actor->stopping || actor->unborn ||
                actor->turned || actor->spawner || actor->starting ||
                (actor->park && actor->park->head);
    return busy ? CAPSTAN_E_UNAVAILABLE : CAPSTAN_OK;
}

static void unlink_actor(cell_t *self, capstan_actor_t *actor)
{
    capstan_actor_t *before = NULL;
    for (capstan_actor_t *ready = self->ready_head; actor->ready && ready;
         before = ready, ready = ready->next_ready) {
        if (ready == actor) {
            *(before ? &before->next_ready : &self->ready_head) = actor->next_ready;
            self->ready_tail = self->ready_tail == actor ? before : self->ready_tail;
            break;
        }
    }
    actor->ready = false;
    *(actor->previous ? &actor->previous->next : &self->actors) = actor->next;
    if (actor->next) {
        actor->next->previous = actor->previous;
    }
    actor->previous = actor->next = NULL;
}

/* What was withdrawn is dropped here, where it is known. */
static void forward_queue(cell_t *self, slot_t *slot)
{
    uint32_t taken = 0;
    for (mail_t *mail; (mail = mailbox_take(&slot->mailbox)); taken++) {
        cell_mail_t *carrier = (cell_mail_t *)mail;
        bool withdrawn =
            carrier->request != CALLS_NONE && !calls_begin(&self->calls, carrier->request);
        if (withdrawn) {
            cell_count_drop(self, slot, &mail->message, DROP_cancelled);
        } else {
            if (carrier->request != CALLS_NONE) {
                calls_forget(&self->calls, carrier->request);
            }
            move_forward(self, slot, &mail->message);
        }
        cell_free_mail(self, carrier);
    }
    mailbox_note_run(&slot->mailbox, taken, self->now_us);
}

static uint32_t count_cells(capstan_node_t *node)
{
    pthread_mutex_lock(&node->mutex);
    uint32_t count = node->cell_count;
    pthread_mutex_unlock(&node->mutex);
    return count;
}

/* Behind all that the actor has sent to them. To itself, too: with strict_wire it has an inbox like
 * the others. Cells that begin later see the new cell from their beginning. */
static void send_fences(cell_t *self, move_t *move)
{
    uint32_t count = count_cells(self->node);
    move->fences = count;
    for (uint32_t i = 0; i < count; i++) {
        send_word(self, node_cell_at(self->node, i)->port->ref, MESSAGE_moving, move->slot);
    }
}

static bool all_have_begun(capstan_node_t *node)
{
    uint32_t count = count_cells(node);
    for (uint32_t i = 0; i < count; i++) {
        if (!atomic_load_explicit(&node_cell_at(node, i)->begun, memory_order_acquire)) {
            return false;
        }
    }
    return true;
}

static void switch_cell(cell_t *self, move_t *out, move_t *in)
{
    slot_t *slot = out->slot;
    capstan_actor_t *actor = in->actor;
    unlink_actor(self, actor);
    take_timers(self, in);
    actor->cell = out->to;
    slot->actor = NULL;
    /* The command comes before the store, and so before any message that the store leads there. */
    cell_command(out->to, &(command_t){.kind = COMMAND_MOVE_IN, .move = in});
    atomic_store_explicit(&slot->cell, out->to, memory_order_release);
    forward_queue(self, slot);
    send_fences(self, out);
}

static capstan_err_t begin(cell_t *self, const command_t *command)
{
    slot_t *slot = command->slot;
    bool here = slot_cell(slot) == self && !find(self->arrivals, slot);
    capstan_actor_t *actor = here ? slot->actor : NULL;
    if (!actor || actor->ref.generation != command->generation) {
        return here ? CAPSTAN_E_GONE : CAPSTAN_E_UNAVAILABLE;
    }
    capstan_err_t err = all_have_begun(self->node) ? may_move(self, actor) : CAPSTAN_E_UNAVAILABLE;
    move_t *in = calloc(1, sizeof *in);
    ENSURE(in);
    *in = (move_t){.slot = slot, .generation = command->generation, .actor = actor};
    if (err == CAPSTAN_OK && !take_requests(self, in)) {
        err = CAPSTAN_E_UNAVAILABLE;
    }
    if (err != CAPSTAN_OK) {
        free(in);
        return err;
    }
    move_t *out = move_new(&self->departures, slot);
    out->to = command->to;
    switch_cell(self, out, in);
    return CAPSTAN_OK;
}

void move_out(cell_t *self, command_t *command)
{
    capstan_err_t err = begin(self, command);
    if (err != CAPSTAN_OK) {
        atomic_store_explicit(&self->node->moving, false, memory_order_release);
    }
    waiter_finish(command->waiter, err, (slice_t){0});
    command->waiter = NULL;
}

static void finish_departure(cell_t *self, move_t *move)
{
    if (move->fences > 0 || !move->drained) {
        return;
    }
    /* The command is seen before the word. */
    cell_command(
        move->to,
        &(command_t){.kind = COMMAND_MOVE_END, .slot = move->slot, .waiter = move->waiter});
    send_word(self, move->to->port->ref, MESSAGE_moved, move->slot);
    unlink_move(&self->departures, move);
    free(move);
}

void move_end(cell_t *self, command_t *command)
{
    move_t *out = find(self->departures, command->slot);
    move_t *move = out ? out : find(self->arrivals, command->slot);
    if (out) {
        out->ring_ends = true;
        out->ring_end = atomic_load_explicit(&self->ring.tail, memory_order_acquire);
    }
    move->waiter = command->waiter;
    command->waiter = NULL;
}

void move_ring_drained(cell_t *self)
{
    move_t *next;
    for (move_t *move = self->departures; move; move = next) {
        next = move->next;
        if (move->ring_ends && !move->drained && self->ring.head >= move->ring_end) {
            move->drained = true;
            finish_departure(self, move);
        }
    }
}

/* --- the new cell ---------------------------------------------------------------------------- */

static move_t *arrival_of(cell_t *self, slot_t *slot)
{
    move_t *move = find(self->arrivals, slot);
    return move ? move : move_new(&self->arrivals, slot);
}

void move_in(cell_t *self, move_t *in)
{
    move_t *move = arrival_of(self, in->slot);
    move->generation = in->generation;
    move->actor = in->actor;
    move->timers = in->timers;
    move->timer_count = in->timer_count;
    move->requests = in->requests;
    move->request_count = in->request_count;
    free(in);
}

bool move_keep(cell_t *self, slot_t *slot, const capstan_message_t *message, block_t *block,
               bool forwarded)
{
    bool alive =
        atomic_load_explicit(&slot->generation, memory_order_relaxed) == message->target.generation;
    if (!alive || slot->actor) {
        return false;
    }
    move_t *move = arrival_of(self, slot);
    kept_list_t *list = forwarded ? &move->forwarded : &move->direct;
    cell_mail_t *mail = cell_mail_new(self);
    mail->mail.message = *message;
    mail->mail.next = NULL;
    mail->block = block;
    mail->request = CALLS_NONE;
    block->references++;
    *(list->head ? &list->tail->next : &list->head) = &mail->mail;
    list->tail = &mail->mail;
    return true;
}

bool move_keep_stop(cell_t *self, const command_t *command)
{
    move_t *move = find(self->arrivals, command->slot);
    if (!move || move->generation != command->generation) {
        return false;
    }
    bool sooner = !move->stop || command->timeout_us < move->stop_us;
    move->stop = true;
    move->stop_us = sooner ? command->timeout_us : move->stop_us;
    return true;
}

static void deliver_kept(cell_t *self, slot_t *slot, kept_list_t *list)
{
    for (mail_t *mail; (mail = list->head);) {
        list->head = mail->next;
        cell_deliver(self, slot, &mail->message, mail->message.body.data,
                     ((cell_mail_t *)mail)->block);
        cell_free_mail(self, (cell_mail_t *)mail);
    }
}

static void settle_in(cell_t *self, const move_t *move)
{
    capstan_actor_t *actor = move->actor;
    actor->next = self->actors;
    if (actor->next) {
        actor->next->previous = actor;
    }
    self->actors = actor;
    move->slot->actor = actor;
    give_requests(self, move);
    give_timers(self, move);
}

void move_born(cell_t *self, slot_t *slot)
{
    move_t *move = find(self->arrivals, slot);
    if (move) {
        unlink_move(&self->arrivals, move);
        deliver_kept(self, slot, &move->direct);
        free(move);
    }
}

static void finish_arrival(cell_t *self, slot_t *slot)
{
    move_t *move = find(self->arrivals, slot);
    ENSURE(move && move->actor);
    unlink_move(&self->arrivals, move);
    settle_in(self, move);
    deliver_kept(self, slot, &move->forwarded);
    deliver_kept(self, slot, &move->direct);
    METRIC_ADD(runtime, actors_moved, 1);
    /* Commands, so that no handler runs inside of what brought the message. */
    if (node_stopping(self->node)) {
        cell_command(self, &(command_t){.kind = COMMAND_STOP_INTAKE});
    }
    if (move->stop || self->stopping_all) {
        cell_command(self, &(command_t){.kind = COMMAND_STOP_ACTOR,
                                        .slot = slot,
                                        .generation = move->generation,
                                        .timeout_us = move->stop ? move->stop_us : INT64_MAX});
    }
    atomic_store_explicit(&self->node->moving, false, memory_order_release);
    waiter_finish(move->waiter, CAPSTAN_OK, (slice_t){0});
    free(move->timers);
    free(move->requests);
    free(move);
}

void move_take_word(cell_t *self, const capstan_message_t *message)
{
    slot_t *slot = node_slot(self->node, (uint32_t)message->correlation);
    if (message->message == MESSAGE_moving) {
        send_word(self, message->sender, MESSAGE_moved_fence, slot);
        return;
    }
    if (message->message == MESSAGE_moved) {
        finish_arrival(self, slot);
        return;
    }
    move_t *move = find(self->departures, slot);
    ENSURE(move && move->fences > 0);
    move->fences--;
    finish_departure(self, move);
}

/* --- looking, and the end -------------------------------------------------------------------- */

static uint32_t count_list(const kept_list_t *list)
{
    uint32_t count = 0;
    for (const mail_t *mail = list->head; mail; mail = mail->next) {
        count++;
    }
    return count;
}

uint32_t move_kept(const cell_t *self, const slot_t *slot)
{
    const move_t *move = find(self->arrivals, slot);
    return move ? count_list(&move->forwarded) + count_list(&move->direct) : 0;
}

static void free_kept(cell_t *self, kept_list_t *list)
{
    for (mail_t *mail; (mail = list->head);) {
        list->head = mail->next;
        cell_free_mail(self, (cell_mail_t *)mail);
    }
}

static void give_up(move_t *move)
{
    if (move->waiter) {
        waiter_finish(move->waiter, CAPSTAN_E_STOPPING, (slice_t){0});
    }
    free(move->timers);
    free(move->requests);
    free(move);
}

void moves_abandon(cell_t *self)
{
    for (move_t *move; (move = self->arrivals);) {
        self->arrivals = move->next;
        if (move->actor) {
            settle_in(self, move);
        }
        free_kept(self, &move->forwarded);
        free_kept(self, &move->direct);
        give_up(move);
    }
    for (move_t *move; (move = self->departures);) {
        self->departures = move->next;
        give_up(move);
    }
}

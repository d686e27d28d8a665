/* Actors of a cell: starting them, running their handlers, ending them. Everything here runs on the
 * actor's cell. */
#include "runtime/cell.h"
#include "runtime/grip.h"
#include "runtime/keyed_internal.h"
#include "runtime/move.h"
#include "runtime/outside.h"

#include "runtime/base/ensure.h"
#include "runtime/runtime_events.h"
#include "runtime/runtime_messages.h"
#include "runtime/runtime_metrics.h"
#include "runtime/telemetry/log.h"

#include <capstan/supervisor.h>
#include <stdlib.h>
#include <string.h>

/* The cookie of the timer that ends an actor which did not stop in time. */
static const char kill_cookie;

/* --- life ------------------------------------------------------------------------------------ */

static void forget_watches(capstan_actor_t *self)
{
    cell_t *cell = self->cell;
    size_t kept = 0;
    for (size_t i = 0; i < cell->watch_count; i++) {
        if (cell->watches[i].actor != self) {
            cell->watches[kept] = cell->watches[i];
            cell->items[kept + 2] = cell->items[i + 2];
            kept++;
        }
    }
    cell->watch_version += kept < cell->watch_count;
    cell->watch_count = kept;
}

/* A turn may be long, and its time old by now: only what has a deadline is worth another look at
 * the clock. */
static bool is_expired(const capstan_actor_t *self, const capstan_message_t *message)
{
    return message->deadline_us > 0 &&
           (message->deadline_us <= self->cell->now_us ||
            message->deadline_us <= self->cell->platform->now_ns(self->cell->node) / 1000);
}

/* Why a message that was taken out of the queue is not to be handled; DROP_COUNT: it is. */
static drop_reason_t judge(capstan_actor_t *self, const cell_mail_t *carrier)
{
    calls_t *calls = &self->cell->calls;
    bool registered = carrier->request != CALLS_NONE;
    if (registered && !calls_begin(calls, carrier->request)) {
        return DROP_cancelled;
    }
    if (!is_expired(self, &carrier->mail.message)) {
        return DROP_COUNT;
    }
    if (registered) {
        calls_forget(calls, carrier->request); /* whoever asked hears TIMEOUT from its own clock */
    }
    return DROP_expired;
}

/* Most messages are nothing that could be over by now. */
static bool has_terms(const cell_mail_t *carrier)
{
    return carrier->request != CALLS_NONE || carrier->mail.message.deadline_us > 0;
}

static void refuse_queued(capstan_actor_t *self, const cell_mail_t *carrier)
{
    if (carrier->request != CALLS_NONE) {
        calls_forget(&self->cell->calls, carrier->request);
    }
    route_refuse(self->cell, &carrier->mail.message, CAPSTAN_E_GONE, NULL);
}

static void drop_queue(capstan_actor_t *self, drop_reason_t why)
{
    mailbox_t *mailbox = &self->slot->mailbox;
    for (mail_t *mail; (mail = mailbox_take(mailbox));) {
        cell_mail_t *carrier = (cell_mail_t *)mail;
        drop_reason_t reason = judge(self, carrier);
        if (reason == DROP_COUNT && actor_take_control(self, &mail->message) == LINKS_TAKEN) {
            mailbox_done(mailbox, message_cost(&mail->message)); /* also now it tells who watches */
        } else {
            if (reason == DROP_COUNT) {
                reason = why;
                refuse_queued(self, carrier);
            }
            cell_count_drop(self->cell, self->slot, &mail->message, reason);
        }
        cell_free_mail(self->cell, carrier);
    }
}

/* An end that follows from another one is not told again. */
static void log_end(const capstan_actor_t *self)
{
    if (self->reason != CAPSTAN_OK && self->reason != CAPSTAN_E_LINKED && !self->quiet &&
        !self->spawner) {
        LOG(runtime, actor_failed, log_string("actor", self->slot->label),
            log_string("cell", self->cell->name), log_uint("message", self->failed_message),
            log_error(self->reason));
    }
}

/* Behind this the thread may lose its cell, until grip_take_back: see grip.h. */
__attribute__((always_inline)) static inline void lend(const capstan_actor_t *self)
{
    grip_lend(!self->inner);
}

/* What others see of the cell while the handler runs. */
__attribute__((always_inline)) static inline void show(capstan_actor_t *self, handler_t handler,
                                                       uint32_t message)
{
    uint64_t phase = self->behaviour->may_block ? PULSE_PATIENT : PULSE_HANDLER;
    pulse_enter(self->cell->pulse, self->ref,
                (uint64_t)message << PULSE_MESSAGE_SHIFT | handler << PULSE_HANDLER_SHIFT | phase);
}

/* The end of an actor has two halves; between them its `destroy` runs. From the first one on its
 * slot has no incarnation: what is on its way is dropped and counted when it arrives. */
static void begin_end(capstan_actor_t *self, drop_reason_t why)
{
    cell_t *cell = self->cell;
    ENSURE(!self->running && !self->dead);
    METRIC_ADD(runtime, actors, -1);
    METRIC_ADD(runtime, actors_ended, 1);
    METRIC_ADD(runtime, actors_failed, self->reason != CAPSTAN_OK);
    self->dead = true;
    log_end(self); /* while it has its name */
    node_slot_end(self->slot);
    ask_cancel_all(cell, self);
    park_end(self);
    timers_cancel(&cell->timers, self->kill_timer);
    if (self->timer_count > 0) {
        timers_cancel_owner(&cell->timers, self);
    }
    forget_watches(self);
    drop_queue(self, why);
    if (self->key) {
        keyed_ended(self);
    }
}

static void finish_end(capstan_actor_t *self)
{
    cell_t *cell = self->cell;
    requests_refuse_all(cell, self);
    if (self->spawner) {
        waiter_finish(self->spawner, self->reason != CAPSTAN_OK ? self->reason : CAPSTAN_E_STOPPING,
                      (slice_t){0});
    }
    if (self->previous) {
        self->previous->next = self->next;
    } else {
        cell->actors = self->next;
    }
    if (self->next) {
        self->next->previous = self->previous;
    }
    if (cell->walk == self) {
        cell->walk = self->next;
    }
    free(self->timer_names);
    self->timer_names = NULL;
    self->next_dead = cell->dead;
    cell->dead = self;
    actor_tell_end(self); /* last: who hears of it may take its place at once */
}

/* Between two handlers of the actor. */
static void end(capstan_actor_t *self)
{
    begin_end(self, DROP_stopped);
    if (self->behaviour->destroy && !self->unborn) {
        pulse_place_t outer = pulse_place(self->cell->pulse);
        show(self, HANDLER_destroy, 0);
        lend(self);
        self->behaviour->destroy(self);
        grip_take_back();
        pulse_leave(self->cell->pulse);
        pulse_restore(self->cell->pulse, outer);
    }
    finish_end(self);
}

void actor_end_interrupted(capstan_actor_t *self, uint32_t message)
{
    self->interrupted = true;
    if (!self->dead) { /* else its `destroy` is what did not return */
        self->running = false;
        self->exiting = true;
        self->reason = CAPSTAN_E_CELL_HUNG;
        self->failed_message = message;
        begin_end(self, DROP_cell_hung);
    }
    finish_end(self);
}

void actor_end(capstan_actor_t *self, capstan_err_t reason)
{
    self->exiting = true;
    self->reason = reason;
    end(self);
}

/* Around every handler: an exit that was asked for inside takes effect after it. */
__attribute__((always_inline)) static inline void enter(capstan_actor_t *self, handler_t handler,
                                                        uint32_t message)
{
    ENSURE(!self->running);
    self->running = true;
    show(self, handler, message);
}

__attribute__((always_inline)) static inline void leave(capstan_actor_t *self)
{
    pulse_leave(self->cell->pulse);
    self->running = false;
    if (__builtin_expect(self->traced, 0)) {
        trace_leave(self);
    }
    if (self->exiting) {
        end(self);
        return;
    }
    if (!self->turned && self->behaviour->turn_end) {
        self->turned = true;
        self->next_turned = self->cell->turned_head;
        self->cell->turned_head = self;
    }
}

static capstan_actor_t *actor_new(cell_t *cell)
{
    capstan_actor_t *actor = cell->actor_free;
    if (actor) {
        cell->actor_free = actor->next;
        memset(actor, 0, sizeof *actor);
    } else {
        actor = calloc(1, sizeof *actor);
        ENSURE(actor);
    }
    return actor;
}

/* The actor is there, and so is its mailbox; its init has not run. */
static capstan_actor_t *settle_in(cell_t *self, const adoption_t *adoption)
{
    capstan_actor_t *actor = actor_new(self);
    METRIC_ADD(runtime, actors, 1);
    METRIC_ADD(runtime, actors_started, 1);
    slot_t *slot = adoption->slot;
    mailbox_begin(&slot->mailbox);
    atomic_store_explicit(
        &slot->restarts,
        (uint16_t)(adoption->restarts < UINT16_MAX ? adoption->restarts : UINT16_MAX),
        memory_order_relaxed);
    actor->cell = self;
    actor->slot = slot;
    actor->behaviour = adoption->behaviour;
    party_init(&actor->party, actor);
    actor->ref = (capstan_ref_t){.slot = slot->index, .generation = slot->last_generation};
    actor->next = self->actors;
    if (actor->next) {
        actor->next->previous = actor;
    }
    self->actors = actor;
    slot->actor = actor;
    self->own_busy = self->own;
    if (adoption->bonds != 0) {
        refs_add(&actor->links, adoption->parent, adoption->bonds);
    }
    actor->quiet = adoption->bonds & LINK_PARENT;
    actor->inner =
        actor->behaviour == &keeper_behaviour || actor->behaviour == &capstan_supervisor_behaviour;
    if (self->arrivals) {
        move_born(self, slot);
    }
    return actor;
}

static capstan_err_t run_init(capstan_actor_t *actor, const adoption_t *adoption)
{
    capstan_err_t err = CAPSTAN_OK;
    pulse_t *pulse = actor->cell->pulse;
    pulse_place_t outer = pulse_place(pulse); /* of who spawns it from inside a handler */
    enter(actor, HANDLER_init, 0);
    if (actor->behaviour->init) {
        lend(actor);
        err = actor->behaviour->init(actor, adoption->argument);
        grip_take_back();
        err = err == CAPSTAN_OK && actor->exiting ? actor->reason : err;
    }
    if (err != CAPSTAN_OK) {
        if (adoption->answered) {
            actor->quiet = true;
            refs_remove(&actor->links, adoption->parent, adoption->bonds);
        }
        capstan_actor_exit(actor, err);
    } else if ((adoption->bonds & LINK_PARENT) && !actor->starting && !actor->exiting) {
        actor_started(actor);
    }
    leave(actor);
    pulse_restore(pulse, outer);
    return err;
}

capstan_err_t cell_adopt(cell_t *self, const adoption_t *adoption)
{
    capstan_actor_t *actor = adoption->slot->actor;
    if (!actor) {
        return run_init(settle_in(self, adoption), adoption);
    }
    actor->unborn = false;
    actor->ready = false;
    capstan_err_t err = run_init(actor, adoption);
    if (!actor->dead && actor_has_work(actor)) {
        cell_make_ready(self, actor);
    }
    return err;
}

void cell_adopt_later(cell_t *self, const adoption_t *adoption)
{
    capstan_actor_t *actor = settle_in(self, adoption);
    actor->unborn = true;
    actor->ready = true;
    cell_command(self, &(command_t){.kind = COMMAND_SPAWN, .adoption = *adoption});
}

void cell_stop_intake(capstan_actor_t *actor)
{
    actor->intake_stopped = true;
    if (actor->behaviour->stop_intake && !actor->stopping && !actor->unborn) {
        enter(actor, HANDLER_stop_intake, 0);
        lend(actor);
        actor->behaviour->stop_intake(actor);
        grip_take_back();
        leave(actor);
    }
}

void cell_stop_actor(capstan_actor_t *actor, int64_t timeout_us)
{
    if (actor->dead) {
        return;
    }
    if (timeout_us <= 0) {
        actor_end(actor, CAPSTAN_E_KILLED);
        return;
    }
    if (!actor->stopping) {
        actor->stopping = true;
        enter(actor, HANDLER_stop, 0);
        if (actor->behaviour->stop) {
            lend(actor);
            actor->behaviour->stop(actor);
            grip_take_back();
        } else {
            capstan_actor_exit(actor, CAPSTAN_OK);
        }
        leave(actor);
    }
    if (!actor->dead && timeout_us < INT64_MAX - actor->cell->now_us) {
        timers_t *timers = &actor->cell->timers;
        timers_cancel(timers, actor->kill_timer);
        actor->kill_timer = timers_start(timers, actor->cell->now_us + timeout_us, actor,
                                         (void *)(uintptr_t)&kill_cookie);
    }
}

void cell_bury(cell_t *self)
{
    if (!self->dead) {
        return;
    }
    capstan_actor_t **link = &self->ready_head;
    self->ready_tail = NULL;
    for (capstan_actor_t *actor; (actor = *link);) {
        if (actor->dead) {
            *link = actor->next_ready;
        } else {
            self->ready_tail = actor;
            link = &actor->next_ready;
        }
    }
    for (capstan_actor_t *actor; (actor = self->dead);) {
        self->dead = actor->next_dead;
        node_slot_free(actor->slot);
        capstan_actor_t **list = actor->interrupted ? &self->interrupted : &self->actor_free;
        actor->next = *list;
        *list = actor;
    }
    if (self->own_busy && self->actors == self->port && !self->port->next) {
        self->own_busy = false;
        node_give_cell(self);
    }
}

/* --- handlers -------------------------------------------------------------------------------- */

static void call_receive(capstan_actor_t *self, const capstan_message_t *message)
{
    enter(self, HANDLER_receive, message->message);
    if (__builtin_expect(message_is_traced(message), 0)) {
        trace_enter(self, message_trace(message), message->message);
    }
    lend(self);
    capstan_err_t err = self->behaviour->receive(self, message);
    grip_take_back();
    if (err != CAPSTAN_OK && !self->exiting) {
        capstan_actor_exit(self, err);
    }
    if (self->exiting) {
        self->failed_message = message->message;
    }
    leave(self);
}

/* An answer is only for the ask that waits for it. False when it comes too late. `ret_waiter` is
 * the foreign thread that waits, if it is one. */
static bool take_answer(capstan_actor_t *self, const capstan_message_t *message,
                        waiter_t **ret_waiter)
{
    if (message->kind != CAPSTAN_KIND_REPLY && message->kind != CAPSTAN_KIND_ERROR) {
        return true;
    }
    calls_t *calls = &self->cell->calls;
    const ask_t *pending = calls_find(calls, message->correlation);
    ask_t ask;
    if (!pending || pending->party != &self->party ||
        !calls_end(calls, message->correlation, &ask)) {
        return false;
    }
    *ret_waiter = ask.waiter;
    return true;
}

static void answer_waiter(waiter_t *waiter, const capstan_message_t *message)
{
    capstan_err_t err = message->kind == CAPSTAN_KIND_ERROR ? message_failure(message) : CAPSTAN_OK;
    waiter_finish(waiter, err, message->body);
}

static void handle(capstan_actor_t *self, const capstan_message_t *message, waiter_t *waiter)
{
    if (waiter) {
        answer_waiter(waiter, message);
        return;
    }
    switch (message_is_by_reference(message) ? LINKS_DELIVER : actor_take_control(self, message)) {
    case LINKS_DELIVER:
        self->handling = message->kind == CAPSTAN_KIND_REQUEST ? message : NULL;
        call_receive(self, message);
        self->handling = NULL;
        break;
    case LINKS_END:
        actor_end(self, CAPSTAN_E_LINKED);
        break;
    case LINKS_TAKEN:
        break;
    }
}

/* Only urgent messages reach an actor whose own ones wait for room. */
static bool is_parked(const capstan_actor_t *self)
{
    return __builtin_expect(self->park != NULL, 0) && self->park->head;
}

static bool is_urgent_only(const capstan_actor_t *self)
{
    return self->held || is_parked(self);
}

bool actor_has_work(const capstan_actor_t *self)
{
    const mailbox_t *mailbox = &self->slot->mailbox;
    return is_urgent_only(self) ? mailbox->heads[LANE_PRIORITY] != NULL : mailbox->queued > 0;
}

bool actor_run_one(capstan_actor_t *self)
{
    mailbox_t *mailbox = &self->slot->mailbox;
    mail_t *mail = self->dead             ? NULL
                   : is_urgent_only(self) ? mailbox_take_lane(mailbox, LANE_PRIORITY)
                                          : mailbox_take(mailbox);
    if (!mail) {
        return false;
    }
    cell_mail_t *carrier = (cell_mail_t *)mail;
    const capstan_message_t *message = &mail->message;
    uint64_t cost = message_cost(message);
    waiter_t *waiter = NULL;
    drop_reason_t reason = has_terms(carrier) ? judge(self, carrier) : DROP_COUNT;
    if (reason == DROP_COUNT && !take_answer(self, message, &waiter)) {
        reason = DROP_cancelled;
    }
    if (reason != DROP_COUNT) {
        cell_count_drop(self->cell, self->slot, message, reason);
    } else {
        mailbox_done(mailbox, cost);
        self->cell->delivered++;
        self->cell->handled_mail = carrier;
        handle(self, message, waiter);
        self->cell->handled_mail = NULL;
    }
    cell_free_mail(self->cell, carrier);
    return true;
}

void actor_run_answer(capstan_actor_t *self, const capstan_message_t *message)
{
    if (!self->dead && self->behaviour->receive) {
        call_receive(self, message);
    }
}

void actor_run_cancelled(capstan_actor_t *self, capstan_ref_t sender, uint64_t correlation)
{
    if (self->behaviour->cancelled) {
        enter(self, HANDLER_cancelled, 0);
        lend(self);
        self->behaviour->cancelled(self, sender, correlation);
        grip_take_back();
        leave(self);
    }
}

void actor_run_turn_end(capstan_actor_t *self)
{
    self->turned = false;
    if (self->dead) {
        return;
    }
    enter(self, HANDLER_turn_end, 0);
    lend(self);
    self->behaviour->turn_end(self);
    grip_take_back();
    pulse_leave(self->cell->pulse);
    self->running = false;
    if (__builtin_expect(self->traced, 0)) {
        trace_leave(self);
    }
    if (self->exiting) {
        end(self);
    }
}

void actor_run_timer(capstan_actor_t *self, uint64_t timer, void *cookie)
{
    if (cookie == &park_cookie) {
        self->park->timer = 0;
        park_retry(self);
        return;
    }
    if (cookie == &kill_cookie) {
        actor_end(self, CAPSTAN_E_KILLED);
        return;
    }
    ENSURE(!self->dead && self->timer_count > 0);
    self->timer_count--;
    timer = self->timer_names ? move_timer_given(self, timer) : timer;
    enter(self, HANDLER_timer, 0);
    lend(self);
    self->behaviour->timer(self, timer, cookie);
    grip_take_back();
    leave(self);
}

void actor_run_ready(capstan_actor_t *self, void *cookie)
{
    enter(self, HANDLER_ready, 0);
    lend(self);
    self->behaviour->ready(self, cookie);
    grip_take_back();
    leave(self);
}

capstan_err_t actor_run_save(capstan_actor_t *self, actor_save_fn *save, void **ret_data,
                             size_t *ret_size)
{
    pulse_t *pulse = self->cell->pulse;
    pulse_place_t outer = pulse_place(pulse);
    enter(self, HANDLER_save, 0);
    lend(self);
    capstan_err_t err = save(self, ret_data, ret_size);
    grip_take_back();
    leave(self);
    pulse_restore(pulse, outer);
    return err;
}

/* --- sending --------------------------------------------------------------------------------- */

capstan_err_t actor_route(capstan_actor_t *self, const capstan_message_t *message, bool always)
{
    if (is_parked(self)) {
        return park_message(self, message, always);
    }
    capstan_err_t err = route_send(self->cell, message, always);
    bool wait = err == CAPSTAN_E_MAILBOX_FULL && !self->outside;
    return wait ? park_message(self, message, always) : err;
}

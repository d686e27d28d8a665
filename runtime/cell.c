/* A cell: its turn, and its commands. See cell.h for the picture, and platform_threads.c for its
 * thread. */
#include "runtime/cell.h"

#include "runtime/base/ensure.h"
#include "runtime/move.h"
#include "runtime/runtime_messages.h"
#include "runtime/runtime_metrics.h"
#include "runtime/watchdog.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void cell_read_clocks(cell_t *self)
{
    self->now_ns = self->platform->now_ns(self->node);
    self->now_us = self->now_ns / 1000;
    self->utc_us = self->platform->utc_us(self->node);
}

/* --- other threads --------------------------------------------------------------------------- */

/* Dekker's pattern: the producer stores its item and then loads `sleeping`; the cell stores
 * `sleeping` and then looks for items. With both sequentially consistent at least one sees the
 * other, so a wake-up is never lost. */
void cell_wake(cell_t *self)
{
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit(&self->sleeping, memory_order_seq_cst)) {
        self->platform->wake(self);
    }
}

void cell_command(cell_t *self, const command_t *command)
{
    command_t *copy = malloc(sizeof *copy);
    ENSURE(copy);
    *copy = *command;
    copy->next = NULL;
    pthread_mutex_lock(&self->control_mutex);
    if (self->control_tail) {
        self->control_tail->next = copy;
    } else {
        self->control_head = copy;
    }
    self->control_tail = copy;
    atomic_store_explicit(&self->control_waiting, true, memory_order_seq_cst);
    pthread_mutex_unlock(&self->control_mutex);
    cell_wake(self);
}

/* --- commands and foreign messages ----------------------------------------------------------- */

/* One pass over the actors that did not hear it yet, newest first: what was started last leans on
 * what was started before. A handler may end others, which moves `walk` on, and may start others,
 * so passes are made until one finds nobody. */
static bool tell_stop(cell_t *self)
{
    bool any = false;
    self->walk = self->actors;
    for (capstan_actor_t *actor; (actor = self->walk);) {
        self->walk = actor->next;
        if (actor != self->port && !actor->stopping && !actor->unborn) {
            cell_stop_actor(actor, INT64_MAX);
            any = true;
        }
    }
    return any;
}

static bool tell_stop_intake(cell_t *self)
{
    bool any = false;
    self->walk = self->actors;
    for (capstan_actor_t *actor; (actor = self->walk);) {
        self->walk = actor->next;
        if (!actor->intake_stopped) {
            cell_stop_intake(actor);
            any = true;
        }
    }
    return any;
}

static void adopt(cell_t *self, command_t *command)
{
    slot_t *slot = command->adoption.slot;
    capstan_err_t err = cell_adopt(self, &command->adoption);
    /* It was on its way when the stop began: COMMAND_STOP_ALL has come before it. A stop that
     * begins when the one who waits goes on is another: it has an order to keep. */
    bool late = self->stopping_all;
    if (command->waiter && slot->actor && slot->actor->starting) {
        slot->actor->spawner = command->waiter;
    } else if (command->waiter) {
        waiter_finish(command->waiter, err, (slice_t){0});
    }
    command->waiter = NULL;
    if (late && slot->actor) {
        cell_stop_actor(slot->actor, INT64_MAX);
    }
}

static void stop_actor(cell_t *self, const command_t *command)
{
    cell_t *cell = slot_cell(command->slot);
    if (cell != self) {
        cell_command(cell, command); /* it has moved there */
        return;
    }
    capstan_actor_t *actor = command->slot->actor;
    /* The cell's port is known to whom a foreign thread asked; it ends with the cell. */
    if (actor && actor != self->port && actor->ref.generation == command->generation) {
        cell_stop_actor(actor, command->timeout_us);
    } else if (!actor) {
        move_keep_stop(self, command);
    }
}

static void run_command(cell_t *self, command_t *command)
{
    switch (command->kind) {
    case COMMAND_SPAWN:
        adopt(self, command);
        break;
    case COMMAND_STOP_ACTOR:
        stop_actor(self, command);
        break;
    case COMMAND_STOP_INTAKE:
        while (tell_stop_intake(self)) {
        }
        break;
    case COMMAND_FENCE:
        self->fence_wanted = command->generation;
        atomic_store_explicit(&self->fence_seen, self->fence_wanted, memory_order_release);
        node_signal(self->node);
        break;
    case COMMAND_READY:
        waiter_finish(command->waiter, CAPSTAN_OK, (slice_t){0});
        command->waiter = NULL;
        break;
    case COMMAND_MOVE:
        move_out(self, command);
        break;
    case COMMAND_MOVE_IN:
        move_in(self, command->move);
        break;
    case COMMAND_MOVE_END:
        move_end(self, command);
        break;
    case COMMAND_STOP_ALL:
        self->stopping_all = true;
        while (tell_stop(self)) {
        }
        break;
    case COMMAND_END:
        self->ending = true;
        break;
    }
}

static bool run_list(cell_t *self)
{
    bool any = self->commands != NULL;
    while ((self->command = self->commands)) {
        self->commands = self->command->next;
        run_command(self, self->command);
        free(self->command);
    }
    return any;
}

bool cell_run_commands(cell_t *self)
{
    bool any = run_list(self); /* a thread that lost the cell may have left some */
    if (!atomic_load_explicit(&self->control_waiting, memory_order_acquire)) {
        return any;
    }
    pthread_mutex_lock(&self->control_mutex);
    self->commands = self->control_head;
    self->control_head = self->control_tail = NULL;
    atomic_store_explicit(&self->control_waiting, false, memory_order_relaxed);
    pthread_mutex_unlock(&self->control_mutex);
    (void)run_list(self);
    return true;
}

static void take_foreign(cell_t *self, foreign_t *foreign)
{
    trace_scope_t root;
    self->trace = trace_pick(self, &root);
    if (foreign->waiter) {
        ask_for_waiter(self, foreign);
    } else {
        /* A tell: its sender has reserved the mailbox. */
        slot_t *slot = node_slot(self->node, foreign->target.slot);
        capstan_message_t message = {.message = foreign->message,
                                     .kind = CAPSTAN_KIND_EVENT,
                                     .target = foreign->target,
                                     .body = slice_of(foreign->body, foreign->size)};
        (slot_cell(slot) == self ? transport_send_local : move_forward)(self, slot, &message);
    }
    self->trace = NULL;
    free(foreign);
}

static bool drain_ring(cell_t *self)
{
    bool any = false;
    for (int i = 0; i < CELL_RING_CAPACITY && !ring_is_empty(&self->ring); i++) {
        cell_run_commands(self); /* it may be for an actor whose spawn waits there */
        take_foreign(self, ring_pop(&self->ring));
        any = true;
    }
    return any;
}

/* --- the turn -------------------------------------------------------------------------------- */

/* Around the runs of actors, while somebody watches: what passes between two readings of the clock
 * is the one's who ran in between. */
static void begin_charging(cell_t *self)
{
    if (self->timed) {
        self->charged_ns = self->platform->now_ns(self->node);
    }
}

static void charge(cell_t *self, slot_t *slot)
{
    if (self->timed) {
        int64_t now_ns = self->platform->now_ns(self->node);
        mailbox_note_busy(&slot->mailbox, now_ns - self->charged_ns);
        self->charged_ns = now_ns;
    }
}

static bool run_timers(cell_t *self)
{
    bool any = false;
    begin_charging(self);
    uint64_t timer;
    void *owner;
    void *cookie;
    while (timers_take(&self->timers, self->now_us, &timer, &owner, &cookie)) {
        any = true;
        if (owner) {
            METRIC_ADD(runtime, timers_fired, 1);
            slot_t *slot = ((capstan_actor_t *)owner)->slot;
            actor_run_timer(owner, timer, cookie);
            charge(self, slot);
        } else {
            ask_expired(self, (uint64_t)(uintptr_t)cookie);
        }
    }
    return any;
}

static bool is_watched(const cell_t *self, const watch_t *watch)
{
    for (size_t i = 0; i < self->watch_count; i++) {
        if (self->watches[i].actor == watch->actor && self->watches[i].cookie == watch->cookie) {
            return true;
        }
    }
    return false;
}

static void drain_wake_fd(cell_t *self)
{
    uint64_t wakes;
    ssize_t got = read(self->wake_fd, &wakes, sizeof wakes);
    (void)got;
}

/* Polls; with a time-out it is the cell's sleep. Handlers may change the watches, so those that
 * are ready are noted first. */
bool cell_poll(cell_t *self, long timeout_ms)
{
    watch_t ready[CELL_WATCHES_MAX];
    size_t count = 0;
    int found = zmq_poll(self->items, (int)self->watch_count + 2, timeout_ms);
    if (timeout_ms != 0) {
        cell_read_clocks(self); /* handlers that start timers must not begin in the past */
        watchdog_awake(node_watchdog(self->node), self->pulse, self->now_us);
    }
    if (found <= 0) {
        ENSURE(found == 0 || zmq_errno() == EINTR);
        return false;
    }
    for (size_t i = 0; i < self->watch_count; i++) {
        if (self->items[i + 2].revents) {
            ready[count++] = self->watches[i];
        }
    }
    begin_charging(self);
    for (size_t i = 0; i < count; i++) {
        if (is_watched(self, &ready[i])) {
            slot_t *slot = ready[i].actor->slot;
            actor_run_ready(ready[i].actor, ready[i].cookie);
            charge(self, slot);
        }
    }
    if (self->items[1].revents) {
        drain_wake_fd(self);
    }
    return true;
}

/* Where handlers take long, what they send leaves when each has run, and what others have sent
 * comes in: a turn full of them would keep the other cells waiting. */
static void exchange(cell_t *self)
{
    transport_flush(self);
    for (uint32_t i = 0; i < self->inbox_budget && transport_receive(self); i++) {
    }
}

static bool run_ready(cell_t *self)
{
    bool any = false;
    uint32_t budget = self->mail_budget;
    begin_charging(self);
    while (self->ready_head && budget > 0) {
        capstan_actor_t *actor = self->ready_head;
        self->ready_head = actor->next_ready;
        if (!self->ready_head) {
            self->ready_tail = NULL;
        }
        actor->ready = false;
        actor_fetch(actor->next_ready);
        /* All that is queued now, as far as the budget goes; what it sends itself waits for the
         * next round. */
        uint32_t before = budget;
        for (uint64_t left = actor->dead ? 0 : actor->slot->mailbox.queued;
             left > 0 && budget > 0 && actor_run_one(actor); left--) {
            any = true;
            budget--;
        }
        mailbox_note_run(&actor->slot->mailbox, before - budget, self->now_us);
        charge(self, actor->slot);
        if (!actor->dead && actor->park) {
            park_release(actor);
        }
        if (!actor->dead && actor_has_work(actor)) {
            cell_make_ready(self, actor);
        }
        if (self->slow) {
            exchange(self); /* last: a command may move the actor to another cell */
        }
    }
    return any;
}

static void run_turn_ends(cell_t *self)
{
    begin_charging(self);
    while (self->turned_head) {
        capstan_actor_t *actor = self->turned_head;
        self->turned_head = actor->next_turned;
        actor_run_turn_end(actor);
        charge(self, actor->slot);
    }
}

enum { SLOW_NS = 2000 }; /* a handler that takes longer, on average */

/* A turn that found something to do is followed by the next one at once: the reading of the clock
 * that begins this one ends the one before. */
static void begin_turn(cell_t *self)
{
    int64_t began_ns = self->now_ns;
    cell_read_clocks(self);
    atomic_store_explicit(&self->pulse->turn_us, self->now_us, memory_order_relaxed);
    self->timed = self->now_us < node_watched_until_us(self->node);
    if (self->worked) {
        METRIC_ADD(runtime, turns, 1);
        METRIC_ADD(runtime, messages_delivered, self->delivered);
        METRIC_RECORD(runtime, turn_ns, (uint64_t)(self->now_ns - began_ns));
        self->slow = self->now_ns - began_ns > SLOW_NS * (int64_t)self->delivered;
        self->handled += self->delivered;
        self->delivered = 0;
    }
}

static bool is_at_rest(cell_t *self)
{
    return !self->worked && self->dirty_count == 0 && !self->departures && !self->arrivals &&
           !cell_has_foreign_work(self);
}

/* A stop has asked when the cell has nothing left to do. */
static void report_rest(cell_t *self)
{
    atomic_store_explicit(&self->fence_handled, self->handled, memory_order_relaxed);
    atomic_store_explicit(&self->fence_rested, self->fence_wanted, memory_order_release);
    node_signal(self->node);
}

bool cell_turn(cell_t *self)
{
    begin_turn(self);
    bool any = cell_run_commands(self);
    any |= drain_ring(self);
    if (self->departures) {
        move_ring_drained(self);
    }
    for (uint32_t i = 0; i < self->inbox_budget && transport_receive(self); i++) {
        any = true;
    }
    any |= run_timers(self);
    any |= requests_tell_cancelled(self);
    if (self->watch_count > 0) {
        any |= cell_poll(self, 0);
    }
    any |= run_ready(self);
    run_turn_ends(self);
    /* What a turn's end sent within the cell is done now rather than a turn later. */
    if (self->ready_head) {
        any |= run_ready(self);
        run_turn_ends(self);
    }
    transport_flush(self);
    cell_bury(self);
    self->worked = any || self->ready_head || calls_has_cancelled(&self->calls);
    if (self->fence_wanted != atomic_load_explicit(&self->fence_rested, memory_order_relaxed) &&
        is_at_rest(self)) {
        report_rest(self);
    }
    return self->worked;
}

/* --- sleep ----------------------------------------------------------------------------------- */

bool cell_has_foreign_work(cell_t *self)
{
    return !ring_is_empty(&self->ring) ||
           atomic_load_explicit(&self->control_waiting, memory_order_seq_cst);
}

void cell_fall_asleep(cell_t *self)
{
    watchdog_asleep(self->pulse);
    atomic_store_explicit(&self->sleeping, true, memory_order_seq_cst);
    atomic_thread_fence(memory_order_seq_cst);
}

void cell_awake(cell_t *self)
{
    atomic_store_explicit(&self->sleeping, false, memory_order_seq_cst);
    drain_wake_fd(self);
    watchdog_awake(node_watchdog(self->node), self->pulse,
                   self->platform->now_ns(self->node) / 1000);
}

static capstan_err_t ignore_message(capstan_actor_t *self, const capstan_message_t *message)
{
    (void)self;
    (void)message;
    return CAPSTAN_OK;
}

static void make_port(cell_t *self)
{
    static const capstan_behaviour_t behaviour = {.name = ".port", .receive = ignore_message};
    slot_t *slot;
    capstan_ref_t ref;
    capstan_err_t err = node_slot_take(self->node, &(capstan_spawn_options_t){0}, &behaviour, self,
                                       self, false, &slot, &ref);
    ENSURE(err == CAPSTAN_OK);
    (void)cell_adopt(self, &(adoption_t){.slot = slot, .behaviour = &behaviour});
    self->port = slot->actor;
}

void cell_begin(cell_t *self)
{
    cell_read_clocks(self);
    make_port(self);
    atomic_store_explicit(&self->begun, true, memory_order_release);
}

void cell_finish(cell_t *self)
{
    cell_stop_actor(self->port, INT64_MAX);
    transport_flush(self);
    cell_bury(self);
    transport_fini(self);
}

capstan_err_t cell_new(capstan_node_t *node, uint32_t index, const char *name, bool own,
                       cell_t **ret_cell)
{
    cell_t *self = aligned_alloc(64, (sizeof *self + 63) / 64 * 64);
    if (!self) {
        return CAPSTAN_E_NO_MEMORY;
    }
    memset(self, 0, sizeof *self);
    self->node = node;
    self->platform = node_platform(node);
    self->index = index;
    self->inbox_budget = CELL_INBOX_BUDGET;
    self->mail_budget = CELL_MAIL_BUDGET;
    self->wake_fd = -1;
    self->own = own;
    snprintf(self->name, sizeof self->name, "%s", name);
    timers_init(&self->timers, index);
    calls_init(&self->calls, &self->timers);
    pthread_mutex_init(&self->control_mutex, NULL);
    self->pulse = aligned_alloc(_Alignof(pulse_t), sizeof *self->pulse);
    if (self->pulse) {
        memset(self->pulse, 0, sizeof *self->pulse);
    }
    capstan_err_t err = CAPSTAN_E_NO_MEMORY;
    if (self->pulse && ring_init(&self->ring, CELL_RING_CAPACITY)) {
        err = self->platform->cell_open(self);
    }
    if (err != CAPSTAN_OK) {
        cell_destroy(&self);
        return err;
    }
    *ret_cell = self;
    return CAPSTAN_OK;
}

/* The others run nothing that matters any more. */
static void take_in(cell_t *self, const command_t *list)
{
    for (; list; list = list->next) {
        if (list->kind == COMMAND_MOVE_IN) {
            move_in(self, list->move);
        }
    }
}

void cell_abandon(cell_t *self)
{
    take_in(self, self->commands);
    take_in(self, self->control_head);
    moves_abandon(self);
    for (capstan_actor_t *actor; (actor = self->actors);) {
        actor->quiet = true;
        cell_stop_actor(actor, 0);
    }
    cell_bury(self);
    transport_fini(self);
}

static void drop_commands(command_t *list)
{
    for (command_t *command; (command = list);) {
        list = command->next;
        if (command->waiter) {
            waiter_finish(command->waiter, CAPSTAN_E_STOPPING, (slice_t){0});
        }
        free(command);
    }
}

void cell_destroy(cell_t **self_p)
{
    cell_t *self = *self_p;
    if (!self) {
        return;
    }
    for (foreign_t *foreign; self->ring.slots && (foreign = ring_pop(&self->ring));) {
        if (foreign->waiter) {
            waiter_finish(foreign->waiter, CAPSTAN_E_STOPPING, (slice_t){0});
        }
        free(foreign);
    }
    drop_commands(self->commands);
    drop_commands(self->control_head);
    ring_fini(&self->ring);
    self->platform->cell_close(self);
    free(self->pulse);
    pthread_mutex_destroy(&self->control_mutex);
    timers_fini(&self->timers);
    for (capstan_actor_t *actor; (actor = self->actor_free);) {
        self->actor_free = actor->next;
        free(actor);
    }
    mail_slabs_free(self->mail_slabs);
    calls_fini(&self->calls);
    buffer_fini(&self->answer);
    refs_fini(&self->hung);
    free(self);
    *self_p = NULL;
}

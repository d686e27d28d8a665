/* The platform of simulated nodes: the clocks are the machine's, a cell takes its turn when the
 * agenda says so, batches are steps of the agenda, and whoever waits makes the next step. */
#include "runtime/simulation/world.h"

#include "runtime/base/ensure.h"
#include "runtime/grip.h"
#include "runtime/takeover.h"

#include <stdlib.h>

enum {
    OFTEN = 250000, /* of a million */
    RARELY = 100000,
    FEW_MESSAGES_MAX = 8,
    IDLE_US = 1000, /* passes when somebody waits and nothing is planned so soon */
};

/* --- clocks and chance ----------------------------------------------------------------------- */

static int64_t now_ns(const capstan_node_t *node)
{
    return machine_now_ns(machine_of(node));
}

static int64_t utc_us(const capstan_node_t *node)
{
    return machine_utc_us(machine_of(node));
}

/* The same for each boot of a node. */
static void random_bytes(const capstan_node_t *node, void *bytes, size_t size)
{
    const machine_t *machine = machine_of(node);
    random_source_t source = {.state = machine->world->decisions.seed ^
                                       (uint64_t)machine->boot << 32 ^ machine->index};
    for (size_t at = 0; at < size; at += sizeof(uint64_t)) {
        uint64_t word = random_next(&source);
        memcpy((uint8_t *)bytes + at, &word, size - at < sizeof word ? size - at : sizeof word);
    }
}

/* --- turns ----------------------------------------------------------------------------------- */

static uint64_t decide(seat_t *self, decision_kind_t kind, odds_t odds)
{
    return world_decide(self->machine->world, kind,
                        self->machine->index * CELLS_MAX + self->cell->index, 0, odds);
}

static void set_active(seat_t *self, bool active)
{
    if (self->active != active) {
        self->active = active;
        self->machine->world->active += active ? 1 : UINT64_MAX;
    }
}

static void plan_turn(seat_t *self, int64_t at_us, bool active)
{
    capstan_simulation_t *world = self->machine->world;
    at_us = at_us > self->free_us ? at_us : self->free_us;
    set_active(self, self->active || active);
    if (at_us >= self->turn_us) {
        return;
    }
    self->turn_us = at_us;
    world_plan(world, (step_t){.at_us = at_us,
                               .kind = STEP_TURN,
                               .machine = self->machine->index,
                               .boot = self->machine->boot,
                               .cell = self->cell->index,
                               .plan = ++self->plan});
}

static void plan_timer(seat_t *self)
{
    int64_t at_us = machine_when_us(self->machine, timers_next_us(&self->cell->timers));
    if (at_us != INT64_MAX) {
        plan_turn(self, at_us, false);
    }
}

void seat_replan(seat_t *self)
{
    if (self->active) {
        plan_turn(self, self->machine->world->now_us, true);
    } else {
        self->turn_us = INT64_MAX;
        plan_timer(self);
    }
}

static int64_t lateness_us(seat_t *self)
{
    capstan_simulation_t *world = self->machine->world;
    return (int64_t)decide(self, DECISION_turn, (odds_t){OFTEN, (uint64_t)world->spread_us});
}

static void wake(cell_t *cell)
{
    seat_t *self = cell->seat;
    capstan_simulation_t *world = self->machine->world;
    if (self->turn_us > world->now_us || !self->active) {
        plan_turn(self, world->now_us + lateness_us(self), true);
    }
}

static void set_budgets(seat_t *self)
{
    uint32_t few = (uint32_t)decide(self, DECISION_mail, (odds_t){RARELY, FEW_MESSAGES_MAX});
    self->cell->mail_budget = few > 0 ? few : CELL_MAIL_BUDGET;
    self->cell->inbox_budget = few > 0 ? 1 : CELL_INBOX_BUDGET;
}

/* The old thread is gone with its stack: what it could still use is freed at once. */
static void take_over(cell_t *cell)
{
    cell_thread_t old = {.cell = cell};
    grip_set_user(false);
    takeover_repair(cell, &old);
    cell_thread_fini(&old);
}

/* Again after each handler that hangs. */
static bool take_turn(seat_t *self)
{
    if (setjmp(self->escape) != 0) {
        take_over(self->cell);
    }
    return cell_turn(self->cell);
}

void capstan_simulation_hang(capstan_actor_t *self)
{
    seat_t *seat = self->cell->seat;
    if (seat->machine->world->turning == seat) {
        longjmp(seat->escape, 1);
    }
}

uint64_t seat_turn(seat_t *self)
{
    capstan_simulation_t *world = self->machine->world;
    cell_t *cell = self->cell;
    ENSURE(!world->turning);
    self->turn_us = INT64_MAX;
    set_active(self, false);
    set_budgets(self);
    world->turning = self;
    atomic_store(&cell->sleeping, false);
    if (!cell->port) {
        cell_begin(cell);
    }
    uint64_t before = cell->handled + cell->delivered;
    bool more = take_turn(self);
    uint64_t handled = cell->handled + cell->delivered - before;
    atomic_store(&cell->sleeping, true);
    world->turning = NULL;
    network_flush(self->machine);
    world->figures.turns++;
    world->figures.messages += handled;
    capstan_simulation_mix(world, handled << 16 ^ cell->index);

    uint64_t longer = decide(self, DECISION_busy, (odds_t){OFTEN, (uint64_t)world->spread_us});
    self->free_us = world->now_us + 1 + (int64_t)longer + self->delay_us;
    self->delay_us = 0;
    if (more || self->inbox_head || cell_has_foreign_work(cell)) {
        plan_turn(self, self->free_us + lateness_us(self), true);
    } else {
        plan_timer(self);
    }
    return handled;
}

/* --- batches --------------------------------------------------------------------------------- */

void parcel_free(parcel_t *self)
{
    block_release(self->block);
    free(self);
}

static parcel_t *parcel_new(slice_t batch)
{
    parcel_t *self = calloc(1, sizeof *self);
    ENSURE(self);
    self->block = block_new(batch.size);
    memcpy(self->block->data, batch.data, batch.size);
    self->batch = slice_of(self->block->data, batch.size);
    return self;
}

/* Nothing overtakes what the same cell has sent before. */
void seat_send(seat_t *self, uint32_t from, slice_t batch)
{
    machine_t *machine = self->machine;
    capstan_simulation_t *world = machine->world;
    uint32_t sender = machine->index * (CELLS_MAX + 1) + from;
    int64_t at_us =
        world->now_us + (int64_t)world_decide(world, DECISION_batch, sender, self->cell->index,
                                              (odds_t){OFTEN, (uint64_t)world->spread_us});
    int64_t *last_us = &self->last_us[from];
    *last_us = at_us > *last_us ? at_us : *last_us;
    world->active++;
    world_plan(world, (step_t){.at_us = *last_us,
                               .kind = STEP_PARCEL,
                               .machine = machine->index,
                               .boot = machine->boot,
                               .cell = self->cell->index,
                               .data = parcel_new(batch)});
}

static void send_batch(cell_t *from, cell_t *to, outbox_t *outbox)
{
    seat_t *seat = to->seat;
    if (!seat->machine->world->crashing) {
        seat_send(seat, from->index, buffer_slice(&outbox->buffer));
    }
    buffer_clear(&outbox->buffer);
}

void seat_arrive(seat_t *self, parcel_t *parcel)
{
    world_mix_bytes(self->machine->world, parcel->batch);
    parcel->next = NULL;
    if (self->inbox_tail) {
        self->inbox_tail->next = parcel;
    } else {
        self->inbox_head = parcel;
    }
    self->inbox_tail = parcel;
    atomic_fetch_add(&self->cell->batches_sent, 1);
    wake(self->cell);
}

static block_t *receive_batch(cell_t *cell, slice_t *ret_batch)
{
    seat_t *self = cell->seat;
    parcel_t *parcel = self->inbox_head;
    ENSURE(parcel);
    self->inbox_head = parcel->next;
    if (!parcel->next) {
        self->inbox_tail = NULL;
    }
    block_t *block = parcel->block;
    *ret_batch = parcel->batch;
    free(parcel);
    return block;
}

/* --- cells and nodes ------------------------------------------------------------------------- */

static capstan_err_t open_cell(cell_t *cell)
{
    seat_t *self = calloc(1, sizeof *self);
    if (!self) {
        return CAPSTAN_E_NO_MEMORY;
    }
    self->machine = machine_of(cell->node);
    self->cell = cell;
    self->turn_us = INT64_MAX;
    cell->seat = self;
    atomic_store(&cell->sleeping, true);
    return CAPSTAN_OK;
}

/* It begins with its first turn: here the node's mutex is held. */
static capstan_err_t start_cell(cell_t *cell)
{
    (void)cell;
    return CAPSTAN_OK;
}

static bool join_cell(cell_t *cell, int64_t deadline_us)
{
    (void)deadline_us;
    if (!cell->port) {
        cell_begin(cell);
    }
    cell_run_commands(cell);
    cell_finish(cell);
    return true;
}

static void close_cell(cell_t *cell)
{
    seat_t *self = cell->seat;
    if (self) {
        set_active(self, false);
        while (self->inbox_head) {
            parcel_t *parcel = self->inbox_head;
            self->inbox_head = parcel->next;
            parcel_free(parcel);
        }
        free(self);
        cell->seat = NULL;
    }
}

static capstan_err_t open_node(capstan_node_t *node)
{
    (void)node;
    return CAPSTAN_OK;
}

static bool close_node(capstan_node_t *node, int64_t deadline_us, capstan_late_fn *late,
                       void *context)
{
    (void)deadline_us;
    (void)late;
    (void)context;
    machine_of(node)->node = NULL;
    return true;
}

/* --- whoever waits --------------------------------------------------------------------------- */

/* Makes the next step, or lets time pass when it comes later than `until_us`: whoever waits looks
 * at the clock itself, and must not find it far behind its deadline. */
static void pass(capstan_simulation_t *world, int64_t until_us)
{
    ENSURE(!world->turning && !world->watching); /* a handler, or a predicate, must not wait */
    if (agenda_next_us(&world->agenda) > until_us) {
        world->now_us = until_us;
    } else if (!world_step(world)) {
        world->now_us += IDLE_US;
    }
}

static void wait_for(capstan_node_t *node, waiter_t *waiter)
{
    const machine_t *machine = machine_of(node);
    int64_t until_us = machine_when_us(machine, waiter->until_us);
    pthread_mutex_unlock(&waiter->mutex);
    pass(machine->world, until_us);
    pthread_mutex_lock(&waiter->mutex);
}

static void wait_a_little(capstan_node_t *node)
{
    capstan_simulation_t *world = machine_of(node)->world;
    pthread_mutex_unlock(&node->mutex);
    pass(world, world->now_us + IDLE_US);
    pthread_mutex_lock(&node->mutex);
}

static capstan_err_t resolve_away(capstan_node_t *node, const char *name, capstan_ref_t *ret_ref)
{
    return network_resolve(machine_of(node)->world, name, ret_ref);
}

const platform_t simulated_platform = {
    .now_ns = now_ns,
    .utc_us = utc_us,
    .random = random_bytes,
    .open = open_node,
    .close = close_node,
    .cell_open = open_cell,
    .cell_start = start_cell,
    .cell_join = join_cell,
    .cell_close = close_cell,
    .wake = wake,
    .send = send_batch,
    .receive = receive_batch,
    .wait = wait_for,
    .wait_a_little = wait_a_little,
    .send_away = network_send,
    .resolve_away = resolve_away,
};

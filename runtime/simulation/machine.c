/* A simulated node's life: start, crash, stop; and its clocks. */
#include "runtime/simulation/world.h"

#include "runtime/base/ensure.h"

#include <inttypes.h>
#include <stdlib.h>

enum {
    WORKERS = 2,
    SETTLE_US = 1000, /* how much later a node crashes that is being started or stopped */
};

/* Clocks do not begin at 0, and those of two nodes have nothing to do with each other. */
#define CLOCK_FIRST_NS INT64_C(1000000000000)
#define UTC_FIRST_US   INT64_C(1700000000000000)
/* No run gets there: three years. */
#define FAR_US INT64_C(100000000000000)

machine_t *machine_of(const capstan_node_t *node)
{
    return node->world;
}

/* --- clocks ---------------------------------------------------------------------------------- */

int64_t machine_now_ns(const machine_t *self)
{
    int64_t passed_us = self->world->now_us - self->clock_from_us;
    return self->clock_ns + passed_us * 1000 + passed_us * self->drift_ppm / 1000;
}

int64_t machine_utc_us(const machine_t *self)
{
    return UTC_FIRST_US + self->world->now_us + self->utc_offset_us;
}

static int64_t clock_at(const machine_t *self, int64_t at_us)
{
    int64_t passed_us = at_us - self->clock_from_us;
    return (self->clock_ns + passed_us * 1000 + passed_us * self->drift_ppm / 1000) / 1000;
}

int64_t machine_when_us(const machine_t *self, int64_t clock_us)
{
    int64_t wanted_us = clock_us - self->clock_ns / 1000;
    if (wanted_us > FAR_US) {
        return INT64_MAX;
    }
    int64_t at_us =
        self->clock_from_us + wanted_us - wanted_us * self->drift_ppm / (1000000 + self->drift_ppm);
    while (clock_at(self, at_us) < clock_us) {
        at_us++;
    }
    while (clock_at(self, at_us - 1) >= clock_us) {
        at_us--;
    }
    return at_us > self->world->now_us ? at_us : self->world->now_us;
}

void machine_set_drift(machine_t *self, int64_t drift_ppm)
{
    self->clock_ns = machine_now_ns(self);
    self->clock_from_us = self->world->now_us;
    self->drift_ppm = drift_ppm;
    for (uint32_t i = 0; machine_cell(self, i); i++) {
        seat_replan(machine_cell(self, i)->seat);
    }
}

void capstan_simulation_step_utc(capstan_simulation_t *self, uint32_t node, int64_t by_us)
{
    ENSURE(node < self->machine_count);
    self->machines[node]->utc_offset_us += by_us;
    capstan_simulation_tell(self, "%s, UTC jumps by %" PRId64 " us", self->machines[node]->name,
                            by_us);
}

void machine_pause(machine_t *self, int64_t time_us)
{
    int64_t until_us = self->world->now_us + time_us;
    if (until_us > self->paused_until_us) {
        self->paused_until_us = until_us;
    }
    self->world->figures.pauses++;
    capstan_simulation_tell(self->world, "%s stands still for %" PRId64 " us", self->name, time_us);
}

void capstan_simulation_pause(capstan_simulation_t *self, uint32_t node, int64_t time_us)
{
    ENSURE(node < self->machine_count);
    machine_pause(self->machines[node], time_us);
}

/* --- start ----------------------------------------------------------------------------------- */

uint32_t capstan_simulation_add_node(capstan_simulation_t *self,
                                     const capstan_simulation_node_t *node)
{
    ENSURE(self->machine_count < MACHINES_MAX && node->start);
    ENSURE(node->name && strlen(node->name) < MACHINE_NAME_SIZE && !strchr(node->name, ':'));
    machine_t *machine = calloc(1, sizeof *machine);
    ENSURE(machine);
    machine->world = self;
    machine->index = self->machine_count;
    machine->start = node->start;
    machine->context = node->context;
    machine->options = node->options;
    machine->options.id = network_id(machine->index);
    machine->options.host_cell = NULL;
    machine->options.workers = node->options.workers > 0 ? node->options.workers : WORKERS;
    machine->clock_ns = CLOCK_FIRST_NS * (machine->index + 1);
    faults_set_drift(machine);
    snprintf(machine->name, sizeof machine->name, "%s", node->name);
    self->machines[self->machine_count++] = machine;
    machine_start(machine);
    return machine->index;
}

void machine_start(machine_t *self)
{
    capstan_simulation_t *world = self->world;
    self->options.boot = ++self->boot;
    capstan_err_t err = node_new(&self->options, &simulated_platform, self, &self->node);
    ENSURE(err == CAPSTAN_OK);
    capstan_simulation_tell(world, "%s starts, boot %u", self->name, self->boot);
    self->settled = false;
    err = self->start(world, self->index, self->context);
    self->settled = true;
    if (err != CAPSTAN_OK) {
        capstan_simulation_fail(world, "start", "the start of %s returned %s", self->name,
                                capstan_err_name(err));
    }
}

capstan_node_t *capstan_simulation_node(capstan_simulation_t *self, uint32_t node)
{
    ENSURE(node < self->machine_count);
    return self->machines[node]->node;
}

capstan_simulation_t *capstan_simulation_of(const capstan_node_t *node, uint32_t *ret_node)
{
    if (node->platform != &simulated_platform) {
        return NULL;
    }
    *ret_node = machine_of(node)->index;
    return machine_of(node)->world;
}

/* --- end ------------------------------------------------------------------------------------- */

/* Nothing is told and nothing runs, but what frees the actors' states. */
static void vanish(machine_t *self)
{
    capstan_node_t *node = self->node;
    capstan_simulation_t *world = self->world;
    world->crashing = true;
    atomic_store(&node->gate.state, NODE_CLOSING); /* nobody calls into it any more */
    for (uint32_t i = 0; i < node->cell_count; i++) {
        cell_abandon(node_cell_at(node, i));
    }
    for (uint32_t i = 0; i < node->cell_count; i++) {
        cell_t *cell = node_cell_at(node, i);
        cell_destroy(&cell);
    }
    world->crashing = false;
    self->node = NULL;
    node_free(node);
    for (uint32_t i = 0; i < MACHINES_MAX; i++) {
        buffer_clear(&self->egress[i].buffer);
    }
}

static void plan_start(machine_t *self, int64_t down_us)
{
    self->world->active++;
    world_plan(self->world, (step_t){.at_us = self->world->now_us + down_us,
                                     .kind = STEP_START,
                                     .machine = self->index,
                                     .boot = self->boot});
}

void machine_crash(machine_t *self, int64_t down_us)
{
    capstan_simulation_t *world = self->world;
    if (!self->node) {
        return;
    }
    bool turning = world->turning && world->turning->machine == self;
    if (turning || !self->settled) {
        world_plan(world, (step_t){.at_us = world->now_us + (turning ? 0 : SETTLE_US),
                                   .kind = STEP_CRASH,
                                   .machine = self->index,
                                   .plan = (uint64_t)down_us});
        return;
    }
    capstan_simulation_tell(world, "%s crashes, for %" PRId64 " us", self->name, down_us);
    world->figures.crashes++;
    vanish(self);
    disk_crash(self);
    self->paused_until_us = 0;
    plan_start(self, down_us);
}

void capstan_simulation_crash(capstan_simulation_t *self, uint32_t node, int64_t down_us)
{
    ENSURE(node < self->machine_count && down_us >= 0);
    machine_crash(self->machines[node], down_us);
}

static void tell_late(void *context, const char *name)
{
    machine_t *self = context;
    capstan_simulation_fail(self->world, "M4", "%s of %s did not end in time", name, self->name);
}

void capstan_simulation_stop(capstan_simulation_t *self, uint32_t node, int64_t time_us)
{
    ENSURE(node < self->machine_count && !self->turning);
    machine_t *machine = self->machines[node];
    if (machine->node) {
        capstan_node_t *stopped = machine->node;
        machine->settled = false;
        capstan_err_t err = capstan_node_stop(&stopped, time_us, tell_late, machine);
        machine->settled = true;
        ENSURE((err == CAPSTAN_OK) == (machine->node == NULL));
        capstan_simulation_tell(self, "%s has stopped: %s", machine->name, capstan_err_name(err));
    }
}

void capstan_simulation_heal(capstan_simulation_t *self)
{
    for (uint32_t i = 0; i < self->machine_count; i++) {
        self->machines[i]->paused_until_us = 0;
    }
    capstan_simulation_set_faults(self, &(capstan_simulation_faults_t){0}); /* plans turns anew */
    for (uint32_t i = 0; i < self->machine_count; i++) {
        machine_t *machine = self->machines[i];
        memset(machine->cut_until_us, 0, sizeof machine->cut_until_us);
        if (!machine->node) {
            plan_start(machine, 0);
        }
    }
    capstan_simulation_tell(self, "everything heals");
}

void machine_end(machine_t *self)
{
    if (self->node) {
        vanish(self);
    }
}

void machine_destroy(machine_t **self_p)
{
    machine_t *self = *self_p;
    machine_end(self);
    for (uint32_t i = 0; i < MACHINES_MAX; i++) {
        buffer_fini(&self->egress[i].buffer);
    }
    disk_fini(&self->disk);
    free(self);
    *self_p = NULL;
}

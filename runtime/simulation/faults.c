/* What goes wrong by itself: every FAULTS_EVERY_US it is decided for each node, and for the world.
 * So a fault stays where it is in time when others are left out of a schedule. */
#include "runtime/simulation/world.h"

#include "runtime/base/ensure.h"

enum {
    SECOND_US = 1000000,
    UTC_US_MAX = 10 * SECOND_US,
};

/* How long a fault of that kind lasts, or how large it is; 0: there is none now. */
static uint64_t strike(capstan_simulation_t *self, decision_kind_t kind, uint32_t machine,
                       int64_t every_us, int64_t max)
{
    uint64_t odds = every_us > 0 ? (uint64_t)FAULTS_EVERY_US * 1000000 / (uint64_t)every_us : 0;
    return world_decide(self, kind, machine, 0,
                        (odds_t){odds < 1000000 ? (uint32_t)odds : 1000000, (uint64_t)max});
}

static int64_t or_else(int64_t value, int64_t usual)
{
    return value > 0 ? value : usual;
}

/* Every value is a step: the odd ones go back. */
static int64_t signed_of(uint64_t value)
{
    int64_t half = (int64_t)(value / 2);
    return value % 2 == 1 ? -half - 1 : half;
}

/* The `wanted`-th of the node's actors that live, but those of the runtime. */
static void kill_actor(machine_t *machine, uint64_t wanted)
{
    capstan_node_t *node = machine->node;
    slot_t *victim = NULL;
    uint64_t count = 0;
    for (uint32_t i = 0; i < atomic_load(&node->slot_count); i++) {
        slot_t *slot = node_slot(node, i);
        if (slot->actor && slot_is_live(slot) && slot->actor != slot_cell(slot)->port) {
            count++;
            victim = wanted % count == 0 ? slot : victim;
        }
    }
    if (victim) {
        machine->world->figures.kills++;
        capstan_simulation_tell(machine->world, "%s: %s is killed", machine->name,
                                atomic_load(&victim->label));
        cell_command(slot_cell(victim),
                     &(command_t){.kind = COMMAND_STOP_ACTOR,
                                  .slot = victim,
                                  .generation = atomic_load(&victim->generation)});
    }
}

static void strike_machine(machine_t *machine)
{
    capstan_simulation_t *self = machine->world;
    const capstan_simulation_faults_t *faults = &self->faults;
    uint32_t index = machine->index;
    uint64_t kill = strike(self, DECISION_kill, index, faults->kill_every_us, 1);
    if (kill > 0 && machine->node) {
        kill_actor(machine, decisions_word(&self->decisions, DECISION_kill, index, 0));
    }
    int64_t pause_us = (int64_t)strike(self, DECISION_pause, index, faults->pause_every_us,
                                       or_else(faults->pause_us_max, SECOND_US));
    if (pause_us > 0) {
        machine_pause(machine, pause_us);
    }
    uint64_t jump = strike(self, DECISION_utc, index, faults->utc_every_us,
                           2 * or_else(faults->utc_us_max, UTC_US_MAX));
    if (jump > 0) {
        capstan_simulation_step_utc(self, index, signed_of(jump));
    }
    int64_t down_us = (int64_t)strike(self, DECISION_crash, index, faults->crash_every_us,
                                      or_else(faults->down_us_max, SECOND_US));
    if (down_us > 0) {
        machine_crash(machine, down_us);
    }
}

static bool have_faults(const capstan_simulation_faults_t *faults)
{
    return faults->cut_every_us > 0 || faults->crash_every_us > 0 || faults->kill_every_us > 0 ||
           faults->pause_every_us > 0 || faults->utc_every_us > 0;
}

static void plan_next(capstan_simulation_t *self)
{
    self->faults_planned = have_faults(&self->faults);
    if (self->faults_planned) {
        int64_t at_us = (self->now_us / FAULTS_EVERY_US + 1) * FAULTS_EVERY_US;
        world_plan(self, (step_t){.at_us = at_us, .kind = STEP_FAULTS});
    }
}

void faults_decide(capstan_simulation_t *self)
{
    int64_t cut_us = (int64_t)strike(self, DECISION_cut, 0, self->faults.cut_every_us,
                                     or_else(self->faults.cut_us_max, SECOND_US));
    if (cut_us > 0) {
        network_cut(self, decisions_word(&self->decisions, DECISION_cut, 0, 0), cut_us);
    }
    for (uint32_t i = 0; i < self->machine_count; i++) {
        strike_machine(self->machines[i]);
    }
    plan_next(self);
}

void faults_set_drift(machine_t *machine)
{
    capstan_simulation_t *self = machine->world;
    uint64_t drift = world_decide(self, DECISION_drift, machine->index, 0,
                                  (odds_t){1000000, 2 * (uint64_t)self->faults.drift_ppm_max});
    machine_set_drift(machine, signed_of(drift));
}

void capstan_simulation_set_faults(capstan_simulation_t *self,
                                   const capstan_simulation_faults_t *faults)
{
    ENSURE(faults->loss <= 1000 && faults->duplicate <= 1000 && faults->reorder <= 1000 &&
           faults->disk_errors <= 1000 && faults->drift_ppm_max < 1000000);
    self->faults = *faults;
    for (uint32_t i = 0; i < self->machine_count; i++) {
        faults_set_drift(self->machines[i]);
    }
    if (!self->faults_planned) {
        plan_next(self);
    }
}

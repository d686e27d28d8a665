/* A simulated world: its loop, and what a scenario sees of it. */
#include "runtime/simulation/world.h"

#include "runtime/base/ensure.h"
#include "runtime/base/map.h"
#include "runtime/telemetry/log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>

enum {
    SPREAD_US = 200,
    STEPS_MAX = 10000000,
};

/* --- life ------------------------------------------------------------------------------------ */

capstan_err_t capstan_simulation_new(const capstan_simulation_options_t *options,
                                     capstan_simulation_t **ret_simulation)
{
    static const capstan_simulation_options_t defaults = {0};
    options = options ? options : &defaults;
    capstan_simulation_t *self = calloc(1, sizeof *self);
    if (!self) {
        return CAPSTAN_E_NO_MEMORY;
    }
    decisions_init(&self->decisions, options->seed);
    if (options->schedule) {
        capstan_err_t err = decisions_parse(&self->decisions, options->schedule);
        if (err != CAPSTAN_OK) {
            free(self);
            return err;
        }
    }
    self->spread_us = options->spread_us_max > 0 ? options->spread_us_max : SPREAD_US;
    self->steps_max = options->steps_max > 0 ? options->steps_max : STEPS_MAX;
    self->trace = options->trace;
    *ret_simulation = self;
    return CAPSTAN_OK;
}

static void free_step(const step_t *step)
{
    if (step->kind == STEP_PARCEL) {
        parcel_free(step->data);
    } else if (step->kind == STEP_PACKET) {
        free(step->data);
    }
}

void capstan_simulation_end(capstan_simulation_t *self)
{
    ENSURE(!self->turning && !self->watching);
    for (uint32_t i = 0; i < self->machine_count; i++) {
        machine_end(self->machines[i]);
    }
    for (step_t step; agenda_take(&self->agenda, &step);) {
        free_step(&step);
    }
    self->active = 0;
}

void capstan_simulation_destroy(capstan_simulation_t **self_p)
{
    capstan_simulation_t *self = *self_p;
    if (!self) {
        return;
    }
    capstan_simulation_end(self);
    for (uint32_t i = 0; i < self->machine_count; i++) {
        machine_destroy(&self->machines[i]);
    }
    agenda_fini(&self->agenda);
    decisions_fini(&self->decisions);
    free(self->watchers);
    free(self);
    *self_p = NULL;
}

/* --- what happened --------------------------------------------------------------------------- */

void capstan_simulation_mix(capstan_simulation_t *self, uint64_t word)
{
    uint64_t mixed = (self->hash ^ word) * UINT64_C(0x9fb21c651e98df25);
    self->hash = mixed ^ (mixed >> 32);
}

void world_mix_bytes(capstan_simulation_t *self, slice_t bytes)
{
    capstan_simulation_mix(self, siphash13((const uint8_t[16]){0}, bytes.size, bytes));
}

uint64_t capstan_simulation_hash(const capstan_simulation_t *self)
{
    return self->hash;
}

capstan_simulation_figures_t capstan_simulation_figures(const capstan_simulation_t *self)
{
    return self->figures;
}

int64_t capstan_simulation_now_us(const capstan_simulation_t *self)
{
    return self->now_us;
}

static void begin_line(const capstan_simulation_t *self)
{
    fprintf(self->trace, "%6" PRId64 ".%06" PRId64 "  ", self->now_us / 1000000,
            self->now_us % 1000000);
}

/* The formats are the callers' own; the header has the compiler check them. */
#pragma GCC diagnostic ignored "-Wformat-nonliteral"

void capstan_simulation_tell(capstan_simulation_t *self, const char *format, ...)
{
    if (self->trace) {
        va_list arguments;
        begin_line(self);
        va_start(arguments, format);
        vfprintf(self->trace, format, arguments);
        va_end(arguments);
        fputc('\n', self->trace);
    }
}

void capstan_simulation_fail(capstan_simulation_t *self, const char *predicate, const char *format,
                             ...)
{
    if (self->failure[0] == 0) {
        va_list arguments;
        int used = snprintf(self->failure, sizeof self->failure, "%.60s: ", predicate);
        va_start(arguments, format);
        vsnprintf(self->failure + used, sizeof self->failure - (size_t)used, format, arguments);
        va_end(arguments);
        capstan_simulation_tell(self, "failure: %s", self->failure);
    }
}

const char *capstan_simulation_failure(const capstan_simulation_t *self)
{
    return self->failure[0] != 0 ? self->failure : NULL;
}

/* --- decisions ------------------------------------------------------------------------------- */

uint64_t world_decide(capstan_simulation_t *self, decision_kind_t kind, uint32_t a, uint32_t b,
                      odds_t odds)
{
    uint64_t value = decisions_take(&self->decisions, kind, a, b, odds);
    if (value > 0 && self->trace) {
        char text[256];
        decision_explain(self->decisions.taken[self->decisions.taken_count - 1], text, sizeof text);
        capstan_simulation_tell(self, "    %s", text);
    }
    return value;
}

uint64_t capstan_simulation_choose(capstan_simulation_t *self, uint32_t stream, uint64_t limit)
{
    ENSURE(limit > 0 && stream < CAPSTAN_SIMULATION_STREAMS_MAX);
    uint32_t zeros = (uint32_t)(1000000 / limit); /* of a million: 0 is as likely as the others */
    return world_decide(self, DECISION_choice, stream, 0, (odds_t){1000000 - zeros, limit - 1});
}

/* --- steps ----------------------------------------------------------------------------------- */

void world_plan(capstan_simulation_t *self, step_t step)
{
    agenda_plan(&self->agenda, step);
}

static void look(capstan_simulation_t *self, capstan_simulation_when_t when)
{
    self->watching = true;
    accounts_look(self, when == CAPSTAN_SIMULATION_AT_REST);
    for (size_t i = 0; i < self->watcher_count && self->failure[0] == 0; i++) {
        if (self->watchers[i].when == when) {
            self->watchers[i].predicate(self, self->watchers[i].context);
        }
    }
    self->watching = false;
}

/* Postpones the turn of a node that stands still. */
static void take_turn(capstan_simulation_t *self, const step_t *step, machine_t *machine)
{
    cell_t *cell = machine_cell(machine, step->cell);
    seat_t *seat = cell ? cell->seat : NULL;
    if (!seat || machine->boot != step->boot || seat->plan != step->plan ||
        seat->turn_us == INT64_MAX) {
        return;
    }
    if (machine->paused_until_us > self->now_us) {
        step_t later = *step;
        seat->turn_us = later.at_us = machine->paused_until_us;
        world_plan(self, later);
        return;
    }
    uint64_t handled = seat_turn(seat);
    capstan_simulation_tell(self, "%s, cell %s: %" PRIu64 " messages", machine->name, cell->name,
                            handled);
}

static void arrive(const step_t *step, machine_t *machine)
{
    cell_t *cell = machine_cell(machine, step->cell);
    if (cell && machine->boot == step->boot) {
        seat_arrive(cell->seat, step->data);
    } else {
        parcel_free(step->data);
    }
}

static void take(capstan_simulation_t *self, const step_t *step)
{
    machine_t *machine = self->machines[step->machine];
    switch (step->kind) {
    case STEP_TURN:
        take_turn(self, step, machine);
        break;
    case STEP_PARCEL:
        self->active--;
        arrive(step, machine);
        break;
    case STEP_PACKET:
        self->active--;
        network_arrive(machine, step->data);
        break;
    case STEP_START:
        self->active--;
        if (!machine->node && machine->boot == step->boot) {
            machine_start(machine);
        }
        break;
    case STEP_CRASH:
        machine_crash(machine, (int64_t)step->plan);
        break;
    case STEP_FAULTS:
        faults_decide(self);
        break;
    case STEP_CALL:
        step->call(self, step->data);
        break;
    }
}

bool world_step(capstan_simulation_t *self)
{
    if (self->active == 0 && !self->rested) {
        self->rested = true;
        look(self, CAPSTAN_SIMULATION_AT_REST);
    }
    step_t step;
    if (!agenda_take(&self->agenda, &step)) {
        return false;
    }
    self->now_us = step.at_us > self->now_us ? step.at_us : self->now_us;
    if (step.kind != STEP_FAULTS) {
        self->rested = false;
    }
    if (++self->figures.steps > self->steps_max) {
        capstan_simulation_fail(self, "steps", "the run does not end within %" PRIu64 " steps",
                                self->steps_max);
    }
    capstan_simulation_mix(self, (uint64_t)self->now_us << 8 ^ (uint64_t)step.kind ^
                                     (uint64_t)step.machine << 4);
    bool mute = log_mute(true);
    take(self, &step);
    log_mute(mute);
    look(self, CAPSTAN_SIMULATION_EACH_STEP);
    return true;
}

/* --- running --------------------------------------------------------------------------------- */

bool capstan_simulation_step(capstan_simulation_t *self)
{
    ENSURE(!self->turning && !self->watching);
    return self->failure[0] == 0 && world_step(self) && self->failure[0] == 0;
}

bool capstan_simulation_run(capstan_simulation_t *self, int64_t time_us)
{
    int64_t until_us = self->now_us + time_us;
    while (agenda_next_us(&self->agenda) <= until_us && capstan_simulation_step(self)) {
    }
    if (self->failure[0] == 0) {
        self->now_us = until_us;
    }
    return self->failure[0] == 0;
}

bool capstan_simulation_rest(capstan_simulation_t *self, int64_t time_us)
{
    int64_t until_us = self->now_us + time_us;
    while (self->active > 0 && agenda_next_us(&self->agenda) <= until_us &&
           capstan_simulation_step(self)) {
    }
    if (self->active == 0 && !self->rested && self->failure[0] == 0) {
        self->rested = true;
        look(self, CAPSTAN_SIMULATION_AT_REST);
    }
    return self->active == 0 && self->failure[0] == 0;
}

void capstan_simulation_at(capstan_simulation_t *self, int64_t at_us,
                           capstan_simulation_call_fn *call, void *context)
{
    world_plan(self, (step_t){.at_us = at_us > self->now_us ? at_us : self->now_us,
                              .kind = STEP_CALL,
                              .data = context,
                              .call = call});
}

void capstan_simulation_watch(capstan_simulation_t *self, capstan_simulation_when_t when,
                              capstan_simulation_call_fn *predicate, void *context)
{
    watcher_t *watchers = realloc(self->watchers, (self->watcher_count + 1) * sizeof *watchers);
    ENSURE(watchers);
    self->watchers = watchers;
    watchers[self->watcher_count++] = (watcher_t){when, predicate, context};
}

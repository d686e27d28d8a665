/* Definitions, recovery, and what leaves memory. */
#include "actors/saga/coordinator_internal.h"

#include <stdlib.h>

/* --- definitions ----------------------------------------------------------------------------- */

static void find_newest(coordinator_t *self, slice_t name)
{
    known_plan_t *newest = NULL;
    for (size_t i = 0; i < self->plan_count; i++) {
        known_plan_t *known = &self->plans[i];
        if (slice_equal(known->plan->name, name)) {
            known->newest = false;
            newest = !newest || known->plan->version > newest->plan->version ? known : newest;
        }
    }
    newest->newest = true;
}

/* Sagas that waited for their definition go on with it. */
static void wake(coordinator_t *self, known_plan_t *known)
{
    size_t position = 0;
    entry_t *entry;
    while ((entry = map_next(&self->by_number, &position))) {
        const saga_begin_t *begin = saga_begin_of(entry->saga);
        if (!saga_plan(entry->saga) && slice_equal(begin->definition, known->plan->name) &&
            begin->version == known->plan->version) {
            saga_awake(entry->saga, known->plan);
            heap_update(self, entry);
            entry_touch(self, entry);
        }
    }
}

static void count_turn(coordinator_t *self, entry_t *entry)
{
    known_plan_t *known = entry_plan(self, entry);
    if (!known || entry->waiting || entry->counted || saga_has_ended(entry->saga)) {
        return;
    }
    if (saga_phase(entry->saga) == SAGA_WAITING) {
        turn_wait(known, entry);
    } else {
        entry->counted = true;
        known->running++;
    }
}

static void count_turns(coordinator_t *self)
{
    size_t position = 0;
    entry_t *entry;
    while ((entry = map_next(&self->by_number, &position))) {
        count_turn(self, entry);
    }
}

static void add_plan(coordinator_t *self, plan_t *plan)
{
    self->plans = realloc(self->plans, (self->plan_count + 1) * sizeof *self->plans);
    ENSURE(self->plans);
    self->plans[self->plan_count++] = (known_plan_t){.plan = plan, .schedule_us = INT64_MAX};
    find_newest(self, plan->name);
    wake(self, &self->plans[self->plan_count - 1]);
}

capstan_err_t coordinator_define(coordinator_t *self, int64_t now_us, plan_t *plan,
                                 bool *ret_created, coordinator_effects_t *effects)
{
    const plan_t *known = coordinator_plan(self, plan->name, plan->version);
    bool same = known && slice_equal(known->record, plan->record);
    if (known) {
        plan_destroy(&plan);
        *ret_created = false;
        return same ? CAPSTAN_OK : CAPSTAN_E_DEFINITION_CONFLICT;
    }
    saga_definition_t definition;
    capstan_err_t err = codec_decode(saga_definition_wire(), plan->record, &definition, NULL);
    ENSURE(err == CAPSTAN_OK);
    coordinator_append(effects, saga_definition_wire(), &definition);
    add_plan(self, plan);
    if (plan->schedule.size > 0) {
        self->plans[self->plan_count - 1].schedule_us = schedule_next(plan->schedule, now_us);
    }
    count_turns(self);
    *ret_created = true;
    return CAPSTAN_OK;
}

bool coordinator_next_topic(const coordinator_t *self, size_t *position, slice_t *ret_topic)
{
    size_t at = 0;
    for (size_t i = 0; i < self->plan_count; i++) {
        const plan_t *plan = self->plans[i].plan;
        if (plan->start_topic.size > 0 && at++ == *position) {
            *ret_topic = plan->start_topic;
            ++*position;
            return true;
        }
        for (uint32_t k = 0; k < plan->count; k++) {
            if (plan->nodes[k].topic.size > 0 && at++ == *position) {
                *ret_topic = plan->nodes[k].topic;
                ++*position;
                return true;
            }
        }
    }
    return false;
}

/* --- recovery -------------------------------------------------------------------------------- */

capstan_err_t coordinator_load(coordinator_t *self, slice_t record)
{
    saga_state_t state;
    saga_begin_t begin;
    saga_t *saga;
    if (codec_decode(saga_state_wire(), record, &state, NULL) != CAPSTAN_OK ||
        codec_decode(saga_begin_wire(), state.begin, &begin, NULL) != CAPSTAN_OK) {
        return CAPSTAN_E_STORE_CORRUPT;
    }
    if (entry_get(self, begin.number)) {
        return CAPSTAN_OK;
    }
    capstan_err_t err =
        saga_load(coordinator_plan(self, begin.definition, begin.version), record, &saga);
    if (err == CAPSTAN_OK) {
        entry_t *entry = entry_add(self, saga);
        heap_update(self, entry);
        count_turn(self, entry);
        if (begin.number >= self->mark.number_next) {
            self->mark.number_next = begin.number + 1;
        }
    }
    return err;
}

static capstan_err_t load_definition(coordinator_t *self, slice_t data)
{
    plan_t *plan;
    saga_definition_t definition;
    if (codec_decode(saga_definition_wire(), data, &definition, NULL) != CAPSTAN_OK) {
        return CAPSTAN_E_STORE_CORRUPT;
    }
    if (coordinator_plan(self, definition.name, definition.version)) {
        return CAPSTAN_OK;
    }
    capstan_err_t err = plan_read(data, &plan, NULL);
    if (err == CAPSTAN_OK) {
        add_plan(self, plan);
    }
    return err;
}

static capstan_err_t load_begin(coordinator_t *self, slice_t data)
{
    saga_begin_t begin;
    if (codec_decode(saga_begin_wire(), data, &begin, NULL) != CAPSTAN_OK) {
        return CAPSTAN_E_STORE_CORRUPT;
    }
    if (entry_get(self, begin.number)) {
        return CAPSTAN_OK;
    }
    mark_time(self, begin.at_us);
    const plan_t *plan = coordinator_plan(self, begin.definition, begin.version);
    entry_t *entry = entry_add(self, saga_new(plan, &begin, &self->saga_effects));
    self->saga_effects.count = 0;
    if (begin.number >= self->mark.number_next) {
        self->mark.number_next = begin.number + 1;
    }
    heap_update(self, entry);
    entry_touch(self, entry);
    return CAPSTAN_OK;
}

static capstan_err_t load_input(coordinator_t *self, slice_t data)
{
    saga_input_t input;
    if (codec_decode(saga_input_wire(), data, &input, NULL) != CAPSTAN_OK) {
        return CAPSTAN_E_STORE_CORRUPT;
    }
    entry_t *entry = entry_get(self, input.number);
    if (!entry) {
        return CAPSTAN_E_UNKNOWN_SAGA;
    }
    if (input.sequence <= saga_sequence(entry->saga)) {
        return CAPSTAN_OK;
    }
    if (input.sequence != saga_sequence(entry->saga) + 1) {
        return CAPSTAN_E_STORE_CORRUPT;
    }
    if (saga_plan(entry->saga) && saga_accepts(entry->saga, &input) != CAPSTAN_OK) {
        return CAPSTAN_E_STORE_CORRUPT;
    }
    mark_time(self, input.at_us);
    self->figures.bytes -= saga_bytes(entry->saga);
    saga_apply(entry->saga, &input, &self->saga_effects);
    self->figures.bytes += saga_bytes(entry->saga);
    self->saga_effects.count = 0;
    heap_update(self, entry);
    entry_touch(self, entry);
    return CAPSTAN_OK;
}

capstan_err_t coordinator_load_record(coordinator_t *self, uint32_t record, slice_t data)
{
    switch (record) {
    case RECORD_saga_definition:
        return load_definition(self, data);
    case RECORD_saga_begin:
        return load_begin(self, data);
    case RECORD_saga_input:
        return load_input(self, data);
    default:
        return CAPSTAN_E_STORE_CORRUPT;
    }
}

void coordinator_loaded(coordinator_t *self, int64_t now_us, coordinator_mark_t mark)
{
    if (mark.number_next > self->mark.number_next) {
        self->mark.number_next = mark.number_next;
    }
    mark_time(self, mark.time_us);
    int64_t after_us = now_us > self->mark.time_us ? now_us : self->mark.time_us;
    for (size_t i = 0; i < self->plan_count; i++) {
        known_plan_t *known = &self->plans[i];
        if (known->plan->schedule.size > 0) { /* times that passed meanwhile are left out */
            known->schedule_us = schedule_next(known->plan->schedule, after_us);
        }
    }
    /* What was loaded first may have been waiting then, and begun or ended in the log. */
    size_t position = 0;
    entry_t *entry;
    while ((entry = map_next(&self->by_number, &position))) {
        if (saga_plan(entry->saga)) {
            turn_leave(self, entry);
        }
    }
    count_turns(self);
}

void coordinator_resend(coordinator_t *self, int64_t now_us, uint64_t dice,
                        const slice_t *participant, coordinator_effects_t *effects)
{
    size_t position = 0;
    entry_t *entry;
    while ((entry = map_next(&self->by_number, &position))) {
        saga_resend(entry->saga, &self->saga_effects);
        coordinator_pass_again(self, entry, participant, effects);
    }
    if (!participant) { /* an end may have been written, and its parent not have heard of it */
        position = 0;
        while ((entry = map_next(&self->by_number, &position))) {
            if (entry->parent > 0 && saga_has_ended(entry->saga)) {
                chore_add(self, &(chore_t){.kind = CHORE_TELL_PARENT, .number = entry->number});
            }
        }
    }
    coordinator_work(self, now_us, dice, effects);
}

/* --- leaving memory -------------------------------------------------------------------------- */

bool coordinator_may_evict(const coordinator_t *self, uint64_t number, int64_t until_us)
{
    const entry_t *entry = entry_get(self, number);
    if (!entry || entry->changed || entry->waiting || saga_is_calling(entry->saga)) {
        return false;
    }
    const plan_t *plan = saga_plan(entry->saga);
    bool holds = !plan || (entry->counted && (plan->lock || plan->running_max > 0));
    return saga_has_ended(entry->saga) || (!holds && saga_due_us(entry->saga) > until_us);
}

void coordinator_evict(coordinator_t *self, uint64_t number)
{
    entry_t *entry = entry_get(self, number);
    ENSURE(entry);
    self->figures.bytes -= saga_bytes(entry->saga);
    if (entry->counted) {
        turn_leave(self, entry);
    }
    entry_remove(self, entry);
}

coordinator_figures_t coordinator_figures(const coordinator_t *self)
{
    coordinator_figures_t figures = self->figures;
    figures.resident = self->by_number.count;
    for (size_t i = 0; i < self->plan_count; i++) {
        figures.waiting += self->plans[i].waiting;
        figures.running += self->plans[i].running;
    }
    return figures;
}

/* --- invariants ------------------------------------------------------------------------------ */

static const char *check_lock(const coordinator_t *self, const entry_t *entry)
{
    const plan_t *plan = saga_plan(entry->saga);
    if (!plan || !plan->lock || entry->key.size == 0 || !entry->counted) {
        return NULL;
    }
    for (const entry_t *other = entry_first_of_key(self, entry->key); other;
         other = other->next_of_key) {
        const plan_t *another = saga_plan(other->saga); /* a version may do without the lock */
        if (other != entry && other->counted && another->lock &&
            slice_equal(another->name, plan->name)) {
            return "lock: two of one key run";
        }
    }
    return NULL;
}

const char *coordinator_check(const coordinator_t *self)
{
    size_t position = 0;
    const entry_t *entry;
    const char *fault = NULL;
    for (size_t i = 0; i < self->plan_count && !fault; i++) {
        const known_plan_t *known = &self->plans[i];
        if (known->plan->running_max > 0 && known->running > known->plan->running_max) {
            fault = "turns: more run than may";
        }
    }
    while (!fault && (entry = map_next(&self->by_number, &position))) {
        saga_phase_t phase = saga_phase(entry->saga);
        bool counts = phase != SAGA_WAITING && !saga_has_ended(entry->saga);
        if (saga_plan(entry->saga) &&
            (entry->counted != counts || entry->waiting != (phase == SAGA_WAITING))) {
            fault = "turns: a saga is counted wrong";
        }
        fault = fault ? fault : check_lock(self, entry);
        fault = fault ? fault : saga_check(entry->saga);
    }
    return fault;
}

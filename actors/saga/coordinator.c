/* Which sagas there are, how they begin, and what they hear. */
#include "actors/saga/coordinator_internal.h"

#include <stdlib.h>
#include <xxhash.h>

/* --- effects --------------------------------------------------------------------------------- */

void coordinator_effects_clear(coordinator_effects_t *self)
{
    self->count = 0;
    buffer_clear(&self->bytes);
}

void coordinator_effects_fini(coordinator_effects_t *self)
{
    free(self->list);
    buffer_fini(&self->bytes);
    *self = (coordinator_effects_t){0};
}

static coordinator_effect_t *add_effect(coordinator_effects_t *self)
{
    if (self->count == self->capacity) {
        self->capacity = self->capacity > 0 ? 2 * self->capacity : 16;
        self->list = realloc(self->list, self->capacity * sizeof *self->list);
        ENSURE(self->list);
    }
    return &self->list[self->count++];
}

void coordinator_emit(coordinator_effects_t *effects, const coordinator_effect_t *effect,
                      slice_t data)
{
    coordinator_effect_t *added = add_effect(effects);
    *added = *effect;
    added->data_at = effects->bytes.size;
    added->data_size = data.size;
    buffer_append(&effects->bytes, data.data, data.size);
}

void coordinator_append(coordinator_effects_t *effects, const wire_record_t *record,
                        const void *value)
{
    size_t at = effects->bytes.size;
    codec_encode(record, value, &effects->bytes);
    *add_effect(effects) = (coordinator_effect_t){.kind = COORDINATOR_APPEND,
                                                  .record = record->id,
                                                  .data_at = at,
                                                  .data_size = effects->bytes.size - at};
}

/* --- who is there ---------------------------------------------------------------------------- */

static uint64_t number_hash(uint64_t number)
{
    return XXH64(&number, sizeof number, 0);
}

static bool has_number(const void *value, const void *wanted)
{
    return ((const entry_t *)value)->number == *(const uint64_t *)wanted;
}

static bool has_id(const void *value, const void *wanted)
{
    return slice_equal(((const entry_t *)value)->id, *(const slice_t *)wanted);
}

static bool has_key(const void *value, const void *wanted)
{
    return slice_equal(((const entry_t *)value)->key, *(const slice_t *)wanted);
}

entry_t *entry_get(const coordinator_t *self, uint64_t number)
{
    return map_find(&self->by_number, number_hash(number), has_number, &number);
}

entry_t *entry_find(const coordinator_t *self, slice_t id)
{
    return map_find(&self->by_id, siphash13(self->seed, 0, id), has_id, &id);
}

entry_t *entry_first_of_key(const coordinator_t *self, slice_t key)
{
    return map_find(&self->by_key, siphash13(self->seed, 1, key), has_key, &key);
}

static void add_to_key(coordinator_t *self, entry_t *entry)
{
    entry_t *first = entry_first_of_key(self, entry->key);
    if (first) {
        entry->next_of_key = first->next_of_key;
        first->next_of_key = entry;
    } else {
        map_add(&self->by_key, siphash13(self->seed, 1, entry->key), entry);
    }
}

static void remove_from_key(coordinator_t *self, entry_t *entry)
{
    uint64_t hash = siphash13(self->seed, 1, entry->key);
    entry_t *first = entry_first_of_key(self, entry->key);
    if (first != entry) {
        while (first->next_of_key != entry) {
            first = first->next_of_key;
        }
        first->next_of_key = entry->next_of_key;
        return;
    }
    map_remove(&self->by_key, hash, entry);
    if (entry->next_of_key) {
        map_add(&self->by_key, hash, entry->next_of_key);
    }
}

static void name_entry(entry_t *entry, saga_t *saga)
{
    const saga_begin_t *begin = saga_begin_of(saga);
    entry->saga = saga;
    entry->number = begin->number;
    entry->id = begin->id;
    entry->key = begin->key;
    entry->parent = begin->parent;
}

entry_t *entry_add(coordinator_t *self, saga_t *saga)
{
    entry_t *entry = calloc(1, sizeof *entry);
    ENSURE(entry);
    name_entry(entry, saga);
    map_add(&self->by_number, number_hash(entry->number), entry);
    map_add(&self->by_id, siphash13(self->seed, 0, entry->id), entry);
    if (entry->key.size > 0) {
        add_to_key(self, entry);
    }
    self->figures.bytes += saga_bytes(saga);
    return entry;
}

static void leave_changed(coordinator_t *self, entry_t *entry)
{
    entry_t **place = &self->first_changed;
    entry_t *before = NULL;
    while (*place != entry) {
        before = *place;
        place = &before->next_changed;
    }
    *place = entry->next_changed;
    self->last_changed = self->last_changed == entry ? before : self->last_changed;
    entry->changed = false;
}

void entry_remove(coordinator_t *self, entry_t *entry)
{
    ENSURE(!entry->waiting && !entry->counted);
    if (entry->changed) {
        leave_changed(self, entry);
    }
    heap_remove(self, entry);
    map_remove(&self->by_number, number_hash(entry->number), entry);
    map_remove(&self->by_id, siphash13(self->seed, 0, entry->id), entry);
    if (entry->key.size > 0) {
        remove_from_key(self, entry);
    }
    saga_destroy(&entry->saga);
    free(entry);
}

void entry_touch(coordinator_t *self, entry_t *entry)
{
    if (!entry->changed) {
        entry->changed = true;
        entry->next_changed = NULL;
        *(self->first_changed ? &self->last_changed->next_changed : &self->first_changed) = entry;
        self->last_changed = entry;
    }
}

const saga_t *coordinator_take_changed(coordinator_t *self)
{
    entry_t *entry = self->first_changed;
    if (!entry) {
        return NULL;
    }
    self->first_changed = entry->next_changed;
    entry->changed = false;
    return entry->saga;
}

void coordinator_touch(coordinator_t *self, uint64_t number)
{
    entry_t *entry = entry_get(self, number);
    if (entry) {
        entry_touch(self, entry);
    }
}

const saga_t *coordinator_find(const coordinator_t *self, slice_t id)
{
    const entry_t *entry = entry_find(self, id);
    return entry ? entry->saga : NULL;
}

const saga_t *coordinator_get(const coordinator_t *self, uint64_t number)
{
    const entry_t *entry = entry_get(self, number);
    return entry ? entry->saga : NULL;
}

const saga_t *coordinator_next(const coordinator_t *self, size_t *position)
{
    const entry_t *entry = map_next(&self->by_number, position);
    return entry ? entry->saga : NULL;
}

coordinator_mark_t coordinator_mark(const coordinator_t *self)
{
    return self->mark;
}

void mark_time(coordinator_t *self, int64_t time_us)
{
    self->mark.time_us = time_us > self->mark.time_us ? time_us : self->mark.time_us;
}

coordinator_t *coordinator_new(const uint8_t seed[16])
{
    coordinator_t *self = calloc(1, sizeof *self);
    ENSURE(self);
    memcpy(self->seed, seed, sizeof self->seed);
    self->mark.number_next = 1;
    return self;
}

void coordinator_destroy(coordinator_t **self_p)
{
    coordinator_t *self = *self_p;
    size_t position = 0;
    entry_t *entry;
    if (!self) {
        return;
    }
    while ((entry = map_next(&self->by_number, &position))) {
        saga_destroy(&entry->saga);
        free(entry);
    }
    for (size_t i = 0; i < self->plan_count; i++) {
        plan_destroy(&self->plans[i].plan);
    }
    map_fini(&self->by_number);
    map_fini(&self->by_id);
    map_fini(&self->by_key);
    saga_effects_fini(&self->saga_effects);
    free(self->plans);
    free(self->heap);
    free(self->chores);
    free(self);
    *self_p = NULL;
}

/* --- what follows from a step ----------------------------------------------------------------- */

static void send_command(const entry_t *entry, const saga_effect_t *effect,
                         coordinator_effects_t *effects)
{
    saga_command_t command = {
        .saga = entry->id,
        .number = entry->number,
        .task = effect->task,
        .phase = effect->phase,
        .attempt = effect->attempt,
        .action = effect->action,
        .input = effect->input,
        .result = effect->result,
        .timeout_ms = (uint64_t)effect->timeout_us / 1000,
    };
    size_t at = effects->bytes.size;
    codec_encode(saga_command_wire(), &command, &effects->bytes);
    *add_effect(effects) = (coordinator_effect_t){.kind = COORDINATOR_COMMAND,
                                                  .number = entry->number,
                                                  .task = effect->task,
                                                  .participant = effect->participant,
                                                  .data_at = at,
                                                  .data_size = effects->bytes.size - at};
}

static void pass_to_child(coordinator_t *self, const entry_t *entry, const saga_effect_t *effect,
                          bool again)
{
    bool start = effect->kind == SAGA_START_CHILD;
    chore_add(self, &(chore_t){.kind = start ? CHORE_START_CHILD : CHORE_CANCEL_CHILD,
                               .number = entry->number,
                               .task = effect->task,
                               .definition = effect->definition,
                               .version = effect->version,
                               .input = effect->input,
                               .again = again});
}

static void pass_on(coordinator_t *self, const entry_t *entry, coordinator_effects_t *effects)
{
    for (size_t i = 0; i < self->saga_effects.count; i++) {
        const saga_effect_t *effect = &self->saga_effects.list[i];
        if (effect->kind == SAGA_CALL) {
            send_command(entry, effect, effects);
        } else {
            pass_to_child(self, entry, effect, effect->attempt > 1);
        }
    }
    self->saga_effects.count = 0;
}

/* What a saga has sent before, to one participant, or everything. */
void coordinator_pass_again(coordinator_t *self, const entry_t *entry, const slice_t *participant,
                            coordinator_effects_t *effects)
{
    for (size_t i = 0; i < self->saga_effects.count; i++) {
        const saga_effect_t *effect = &self->saga_effects.list[i];
        if (effect->kind != SAGA_CALL) {
            if (!participant) {
                pass_to_child(self, entry, effect, true);
            }
        } else if (!participant || slice_equal(*participant, effect->participant)) {
            send_command(entry, effect, effects);
        }
    }
    self->saga_effects.count = 0;
}

static void count_end(coordinator_t *self, saga_phase_t phase)
{
    self->figures.completed += phase == SAGA_COMPLETED;
    self->figures.compensated += phase == SAGA_COMPENSATED;
    self->figures.cancelled += phase == SAGA_CANCELLED;
    self->figures.parked += phase == SAGA_PARKED;
}

static void see_phase(coordinator_t *self, entry_t *entry, saga_phase_t before,
                      coordinator_effects_t *effects)
{
    saga_phase_t phase = saga_phase(entry->saga);
    if (phase == before) {
        return;
    }
    count_end(self, phase);
    if (phase == SAGA_PARKED || saga_has_ended(entry->saga)) {
        coordinator_emit(
            effects, &(coordinator_effect_t){.kind = COORDINATOR_RESTS, .number = entry->number},
            (slice_t){0});
    }
    if (phase == SAGA_PARKED) {
        coordinator_emit(
            effects, &(coordinator_effect_t){.kind = COORDINATOR_ALERT, .number = entry->number},
            (slice_t){0});
    }
}

void coordinator_follow(coordinator_t *self, entry_t *entry, saga_phase_t before,
                        coordinator_effects_t *effects)
{
    pass_on(self, entry, effects);
    see_phase(self, entry, before, effects);
    entry_touch(self, entry);
    heap_update(self, entry);
    if (saga_has_ended(entry->saga)) {
        turn_leave(self, entry);
        if (entry->parent > 0) {
            chore_add(self, &(chore_t){.kind = CHORE_TELL_PARENT, .number = entry->number});
        }
    }
}

void coordinator_apply(coordinator_t *self, int64_t now_us, entry_t *entry, saga_input_t input,
                       coordinator_effects_t *effects)
{
    saga_phase_t before = saga_phase(entry->saga);
    self->figures.bytes -= saga_bytes(entry->saga);
    self->figures.inputs++;
    input.number = entry->number;
    input.sequence = saga_sequence(entry->saga) + 1;
    input.at_us = now_us;
    coordinator_append(effects, saga_input_wire(), &input);
    mark_time(self, now_us);
    saga_apply(entry->saga, &input, &self->saga_effects);
    self->figures.bytes += saga_bytes(entry->saga);
    coordinator_follow(self, entry, before, effects);
}

/* --- beginning ------------------------------------------------------------------------------- */

entry_t *coordinator_begin(coordinator_t *self, const begin_options_t *options,
                           coordinator_effects_t *effects)
{
    known_plan_t *known = options->plan;
    bool free = turn_is_free(self, known, options->key, options->now_us);
    saga_begin_t begin = {
        .number = self->mark.number_next++,
        .id = options->id,
        .definition = known->plan->name,
        .version = known->plan->version,
        .at_us = options->now_us,
        .input = options->input,
        .key = options->key,
        .deadline_us = options->deadline_us,
        .parent = options->parent ? options->parent->number : 0,
        .parent_task = options->parent_task,
        .waits = !free,
        .place = options->place,
        .taken = options->taken,
        .origin = options->origin,
    };
    coordinator_append(effects, saga_begin_wire(), &begin);
    mark_time(self, options->now_us);
    entry_t *entry = entry_add(self, saga_new(known->plan, &begin, &self->saga_effects));
    self->figures.started++;
    if (free) {
        turn_begin(known, entry, options->now_us);
    } else {
        turn_wait(known, entry);
    }
    coordinator_follow(self, entry, SAGA_WAITING, effects);
    return entry;
}

bool coordinator_id_is_valid(slice_t id)
{
    return id.size > 0 && id.size <= SAGA_ID_MAX && !memchr(id.data, '/', id.size);
}

typedef struct input_scope {
    slice_t input;
    slice_t event;
} input_scope_t;

static bool input_document(const void *context, slice_t word, slice_t *ret_document)
{
    const input_scope_t *scope = context;
    bool input = slice_equal(word, slice_text("input"));
    *ret_document = input ? scope->input : scope->event;
    return (input || slice_equal(word, slice_text("event"))) && ret_document->size > 0;
}

/* The business key: as it was given, or where the definition says. */
static capstan_err_t key_of(const plan_t *plan, const coordinator_start_t *start,
                            char text[SAGA_KEY_MAX], slice_t *ret_key)
{
    *ret_key = start->key;
    if (start->key.size > SAGA_KEY_MAX) {
        return CAPSTAN_E_INVALID;
    }
    if (start->key.size > 0 || plan->key.size == 0) {
        return CAPSTAN_OK;
    }
    input_scope_t scope = {.input = start->input};
    slice_t value;
    size_t size;
    if (!value_find(&(value_scope_t){input_document, &scope}, plan->key, &value) ||
        !value_text(value, text, SAGA_KEY_MAX, &size) || size == 0) {
        return CAPSTAN_E_INVALID;
    }
    *ret_key = slice_of(text, size);
    return CAPSTAN_OK;
}

static bool is_same(const entry_t *entry, const coordinator_start_t *start)
{
    const saga_begin_t *begin = saga_begin_of(entry->saga);
    return slice_equal(begin->definition, start->definition) &&
           (start->version == 0 || start->version == begin->version) &&
           slice_equal(begin->input, start->input) && slice_equal(begin->taken, start->taken) &&
           (start->key.size == 0 || slice_equal(begin->key, start->key)) &&
           (start->origin.size == 0 || slice_equal(begin->origin, start->origin));
}

static int64_t deadline_of(const plan_t *plan, int64_t now_us, int64_t wanted_us)
{
    int64_t after_us = plan->deadline_us;
    if (wanted_us > 0 && (after_us == 0 || wanted_us < after_us)) {
        after_us = wanted_us;
    }
    return after_us > 0 ? now_us + after_us : 0;
}

static capstan_err_t start_new(coordinator_t *self, int64_t now_us,
                               const coordinator_start_t *start, entry_t **ret_entry,
                               coordinator_effects_t *effects)
{
    known_plan_t *known = known_plan(self, start->definition, start->version);
    char text[SAGA_KEY_MAX];
    slice_t key = {0};
    if (!known) {
        return CAPSTAN_E_UNKNOWN_DEFINITION;
    }
    capstan_err_t err = start->input.size > 0 ? value_check_map(start->input) : CAPSTAN_OK;
    err = err ? err : key_of(known->plan, start, text, &key);
    if (!err && known->waiting >= known->plan->waiting_max) {
        err = CAPSTAN_E_SAGA_WAITING_FULL;
    }
    if (!err) {
        *ret_entry = coordinator_begin(
            self,
            &(begin_options_t){
                .plan = known,
                .now_us = now_us,
                .id = start->id,
                .input = start->input,
                .key = key,
                .deadline_us = deadline_of(known->plan, now_us, start->deadline_us),
                .place = start->place,
                .taken = start->taken,
                .origin = start->origin,
            },
            effects);
    }
    return err;
}

capstan_err_t coordinator_start(coordinator_t *self, int64_t now_us,
                                const coordinator_start_t *start, const saga_t **ret_saga,
                                bool *ret_created, coordinator_effects_t *effects)
{
    if (!coordinator_id_is_valid(start->id)) {
        return CAPSTAN_E_SAGA_ID;
    }
    entry_t *entry = entry_find(self, start->id);
    bool created = !entry;
    if (entry && !is_same(entry, start)) {
        return CAPSTAN_E_SAGA_CONFLICT;
    }
    if (!entry) {
        capstan_err_t err = start_new(self, now_us, start, &entry, effects);
        if (err != CAPSTAN_OK) {
            return err;
        }
        coordinator_work(self, now_us, start->dice, effects);
    }
    *ret_saga = entry->saga;
    *ret_created = created;
    return CAPSTAN_OK;
}

/* --- inputs ---------------------------------------------------------------------------------- */

capstan_err_t coordinator_input(coordinator_t *self, int64_t now_us, const saga_input_t *input,
                                coordinator_effects_t *effects)
{
    entry_t *entry = entry_get(self, input->number);
    saga_input_t heard = *input;
    heard.at_us = now_us;
    if (!entry) {
        return CAPSTAN_E_UNKNOWN_SAGA;
    }
    capstan_err_t err = saga_accepts(entry->saga, &heard);
    if (err == CAPSTAN_OK) {
        if (heard.kind == SAGA_INPUT_turn) { /* turns are given by turns_give */
            return CAPSTAN_E_INVALID;
        }
        coordinator_apply(self, now_us, entry, heard, effects);
        coordinator_work(self, now_us, input->dice, effects);
    }
    return err;
}

static bool kind_of(uint64_t status, uint64_t *ret_kind)
{
    static const uint64_t kinds[] = {[1] = SAGA_INPUT_done,
                                     [2] = SAGA_INPUT_failed,
                                     [3] = SAGA_INPUT_refused,
                                     [4] = SAGA_INPUT_never,
                                     [5] = SAGA_INPUT_busy};
    *ret_kind = status < sizeof kinds / sizeof kinds[0] ? kinds[status] : 0;
    return *ret_kind != 0;
}

capstan_err_t coordinator_result(coordinator_t *self, int64_t now_us, uint64_t dice,
                                 const participant_result_t *result, coordinator_effects_t *effects)
{
    saga_input_t input = {
        .number = result->number,
        .task = result->task,
        .attempt = result->attempt,
        .value = result->result,
        .error = result->error,
        .text = result->text,
        .dice = dice,
        .phase = result->phase,
    };
    const entry_t *entry = entry_get(self, result->number);
    bool known = kind_of(result->status, &input.kind) && result->phase >= PHASE_ACT &&
                 result->phase <= PHASE_SETTLE && result->result.size <= SAGA_RESULT_BYTES_MAX;
    if (!known || (result->result.size > 0 && value_check(result->result) != CAPSTAN_OK) ||
        (entry && !slice_equal(entry->id, result->saga))) {
        return CAPSTAN_E_INVALID;
    }
    capstan_err_t err = coordinator_input(self, now_us, &input, effects);
    self->figures.ignored += err != CAPSTAN_OK;
    return err;
}

/* --- events ---------------------------------------------------------------------------------- */

/* An id that the same event gives each time, and that says where it came from. */
static bool event_id(const plan_t *plan, const coordinator_event_t *event, char text[SAGA_ID_MAX],
                     slice_t *ret_id)
{
    int size =
        snprintf(text, SAGA_ID_MAX, "%.*s:%.*s@%llu.%llu", (int)plan->name.size,
                 (const char *)plan->name.data, (int)event->key.size, (const char *)event->key.data,
                 (unsigned long long)event->partition, (unsigned long long)event->offset);
    for (int i = 0; i < size && i < SAGA_ID_MAX; i++) {
        text[i] = text[i] == '/' ? '|' : text[i];
    }
    *ret_id = slice_of(text, (size_t)size);
    return size > 0 && size < SAGA_ID_MAX && event->key.size <= SAGA_KEY_MAX;
}

static capstan_err_t start_by_event(coordinator_t *self, int64_t now_us, const known_plan_t *known,
                                    const coordinator_event_t *event, slice_t place,
                                    coordinator_effects_t *effects)
{
    const plan_t *plan = known->plan;
    input_scope_t scope = {.input = event->payload, .event = event->payload};
    char text[SAGA_ID_MAX];
    const saga_t *saga;
    bool created;
    coordinator_start_t start = {.definition = plan->name,
                                 .version = plan->version,
                                 .input = event->payload,
                                 .key = event->key,
                                 .place = place,
                                 .dice = event->dice};
    if (!known->newest || !slice_equal(plan->start_topic, event->topic) ||
        !value_test(&plan->start_test, &(value_scope_t){input_document, &scope})) {
        return CAPSTAN_OK;
    }
    if (!event_id(plan, event, text, &start.id)) {
        return CAPSTAN_E_INVALID;
    }
    return coordinator_start(self, now_us, &start, &saga, &created, effects);
}

static capstan_err_t tell_of_key(coordinator_t *self, int64_t now_us,
                                 const coordinator_event_t *event, slice_t place,
                                 coordinator_effects_t *effects)
{
    capstan_err_t result = CAPSTAN_OK;
    entry_t *next;
    for (entry_t *entry = entry_first_of_key(self, event->key); entry; entry = next) {
        next = entry->next_of_key;
        saga_input_t input = {.number = entry->number,
                              .kind = SAGA_INPUT_event,
                              .at_us = now_us,
                              .value = event->payload,
                              .dice = event->dice,
                              .place = place};
        capstan_err_t err = saga_accepts(entry->saga, &input);
        if (err == CAPSTAN_OK) {
            coordinator_apply(self, now_us, entry, input, effects);
        } else if (err == CAPSTAN_E_LIMIT) {
            result = err;
        }
    }
    return result;
}

capstan_err_t coordinator_event(coordinator_t *self, int64_t now_us,
                                const coordinator_event_t *event, coordinator_effects_t *effects)
{
    buffer_t place = {0};
    codec_encode(saga_place_wire(),
                 &(saga_place_t){
                     .topic = event->topic, .partition = event->partition, .offset = event->offset},
                 &place);
    capstan_err_t result = tell_of_key(self, now_us, event, buffer_slice(&place), effects);
    for (size_t i = 0; i < self->plan_count; i++) {
        capstan_err_t err =
            start_by_event(self, now_us, &self->plans[i], event, buffer_slice(&place), effects);
        result = result ? result : err;
    }
    coordinator_work(self, now_us, event->dice, effects);
    buffer_fini(&place);
    return result;
}

/* --- definitions ----------------------------------------------------------------------------- */

known_plan_t *known_plan(const coordinator_t *self, slice_t name, uint64_t version)
{
    for (size_t i = 0; i < self->plan_count; i++) {
        known_plan_t *known = &self->plans[i];
        if (slice_equal(known->plan->name, name) &&
            (version == 0 ? known->newest : known->plan->version == version)) {
            return known;
        }
    }
    return NULL;
}

known_plan_t *entry_plan(const coordinator_t *self, const entry_t *entry)
{
    const plan_t *plan = saga_plan(entry->saga);
    return plan ? known_plan(self, plan->name, plan->version) : NULL;
}

const plan_t *coordinator_plan(const coordinator_t *self, slice_t name, uint64_t version)
{
    const known_plan_t *known = known_plan(self, name, version);
    return known ? known->plan : NULL;
}

const plan_t *coordinator_plan_at(const coordinator_t *self, size_t index)
{
    return index < self->plan_count ? self->plans[index].plan : NULL;
}

/* The shell's rows: the snapshot, written in chunks while work goes on, so that a recovery starts
 * from rows of different times and the log; sagas that leave memory, and come back when they are
 * asked for or when their time has come. */
#include "tests/simulation/saga_predicates.h"

#include "actors/journal/journal_messages.h"

/* --- loading --------------------------------------------------------------------------------- */

static bool is_ended(const disk_row_t *row)
{
    uint64_t state = 0;
    ENSURE(codec_peek_uint(buffer_slice(&row->value), 3, &state));
    return state == SAGA_COMPLETED || state == SAGA_COMPENSATED || state == SAGA_CANCELLED;
}

static void load_row(sim_shell_t *self, const disk_row_t *row)
{
    if (row && coordinator_load(self->core, buffer_slice(&row->value)) != CAPSTAN_OK) {
        world_fail(self->world, "S13", "row %llu cannot be loaded",
                   (unsigned long long)row->number);
    }
}

static bool is_withheld(const sim_shell_t *self, slice_t definition)
{
    const world_t *world = self->world;
    return self->epoch == world->withheld_epoch && slice_equal(definition, world->withheld->record);
}

/* What a row says of `begin`. */
static bool begin_of(const disk_row_t *row, saga_begin_t *ret_begin)
{
    slice_t begin;
    return codec_peek_slice(buffer_slice(&row->value), 1, &begin) &&
           codec_decode(saga_begin_wire(), begin, ret_begin, NULL) == CAPSTAN_OK;
}

static void load_record(sim_shell_t *self, const disk_record_t *record)
{
    slice_t data = slice_of(record->data, record->size);
    uint64_t number = 0;
    if (record->kind == RECORD_saga_begin && codec_peek_uint(data, 1, &number)) {
        load_row(self, disk_row(&self->world->disk, number));
    }
    capstan_err_t err = coordinator_load_record(self->core, record->kind, data);
    if (err == CAPSTAN_E_UNKNOWN_SAGA && codec_peek_uint(data, 1, &number)) {
        load_row(self, disk_row(&self->world->disk, number));
        err = coordinator_load_record(self->core, record->kind, data);
    }
    if (err != CAPSTAN_OK) {
        world_fail(self->world, "S9", "recovery says %s of a record of kind %u",
                   capstan_err_name(err), record->kind);
    }
}

/* One recovery may lack a definition that is known. */
static void withhold(sim_shell_t *self)
{
    world_t *world = self->world;
    random_source_t *random = core_world_random(world->simulation);
    const sim_definition_t *definition =
        &world->definitions[random_below(random, world->definition_count)];
    if (world->withhold && definition->known) {
        world->withhold = false;
        world->withheld = definition->plan;
        world->withheld_epoch = self->epoch;
        world->figures.withheld++;
        world_trace(world, "%s %llu is not known any more", definition->name,
                    (unsigned long long)definition->version);
    }
}

/* Rows of what has ended are read when they are asked for, or here. */
void rows_load(sim_shell_t *self)
{
    world_t *world = self->world;
    const disk_t *disk = &world->disk;
    bool all = random_chance(core_world_random(world->simulation), 300);
    static const uint8_t seed[16] = {1, 2, 3};
    withhold(self);
    self->core = coordinator_new(seed);
    for (size_t i = 0; i < disk->count; i++) {
        const disk_record_t *record = &disk->log[i];
        if (record->kind == RECORD_saga_definition &&
            !is_withheld(self, slice_of(record->data, record->size))) {
            load_record(self, record);
        }
    }
    for (size_t i = 0; i < disk->row_count; i++) {
        if (all || !is_ended(&disk->rows[i])) {
            load_row(self, &disk->rows[i]);
        }
    }
    size_t from = disk->snapshot_lsn > 0 ? disk->snapshot_lsn - 1 : 0;
    for (size_t i = from; i < disk->count; i++) {
        if (disk->log[i].kind != RECORD_saga_definition) {
            load_record(self, &disk->log[i]);
        }
    }
}

void rows_compare(sim_shell_t *self)
{
    size_t position = 0;
    const saga_t *saga;
    while ((saga = coordinator_next(self->core, &position))) {
        if (saga_plan(saga)) {
            predicate_is_witnessed(self->world, saga, "S9");
        }
    }
}

/* --- coming back ----------------------------------------------------------------------------- */

static void forget_asleep(sim_shell_t *self, uint64_t number)
{
    for (size_t i = 0; i < self->asleep_count; i++) {
        if (self->asleep[i].number == number) {
            self->asleep[i] = self->asleep[--self->asleep_count];
            return;
        }
    }
}

void rows_wake(sim_shell_t *self, const uint64_t *number, const slice_t *id, const slice_t *key)
{
    const disk_t *disk = &self->world->disk;
    for (size_t i = 0; i < disk->row_count; i++) {
        const disk_row_t *row = &disk->rows[i];
        saga_begin_t begin = {0};
        bool asked = number && row->number == *number;
        if (!number && begin_of(row, &begin)) {
            asked = (id && slice_equal(begin.id, *id)) || (key && slice_equal(begin.key, *key));
        }
        if (asked && !coordinator_get(self->core, row->number)) {
            load_row(self, row);
            forget_asleep(self, row->number);
        }
    }
}

void rows_wake_due(sim_shell_t *self, int64_t now_us)
{
    for (size_t i = 0; i < self->asleep_count; i++) {
        asleep_t asleep = self->asleep[i];
        if (asleep.due_us <= now_us) {
            load_row(self, disk_row(&self->world->disk, asleep.number));
            self->asleep[i--] = self->asleep[--self->asleep_count];
        }
    }
}

int64_t rows_due_us(const sim_shell_t *self)
{
    int64_t due_us = INT64_MAX;
    for (size_t i = 0; i < self->asleep_count; i++) {
        due_us = self->asleep[i].due_us < due_us ? self->asleep[i].due_us : due_us;
    }
    return due_us;
}

/* --- leaving --------------------------------------------------------------------------------- */

static bool is_on_disk(const sim_shell_t *self, const saga_t *saga)
{
    const disk_row_t *row = disk_row(&self->world->disk, saga_begin_of(saga)->number);
    buffer_t own = {0};
    saga_save(saga, &own);
    bool same = row && slice_equal(buffer_slice(&row->value), buffer_slice(&own));
    buffer_fini(&own);
    return same;
}

static void evict(sim_shell_t *self, const saga_t *saga)
{
    uint64_t number = saga_begin_of(saga)->number;
    int64_t due_us = saga_due_us(saga);
    if (due_us < INT64_MAX) {
        self->asleep = realloc(self->asleep, (self->asleep_count + 1) * sizeof *self->asleep);
        ENSURE(self->asleep);
        self->asleep[self->asleep_count++] = (asleep_t){.number = number, .due_us = due_us};
    }
    coordinator_evict(self->core, number);
    self->world->figures.evictions++;
    predicate_of_core(self);
}

/* Some of those that may leave do. */
void rows_evict(sim_shell_t *self)
{
    random_source_t *random = core_world_random(self->world->simulation);
    uint64_t last = coordinator_mark(self->core).number_next;
    for (uint32_t i = 0; i < 6; i++) {
        uint64_t number = random_below(random, last);
        const saga_t *saga = coordinator_get(self->core, number);
        int64_t until_us = sim_shell_utc(self) + random_between(random, 0, 20000);
        if (saga && coordinator_may_evict(self->core, number, until_us) && is_on_disk(self, saga)) {
            evict(self, saga);
        }
    }
}

/* What is saved is loaded as the same. */
void rows_round_trip(sim_shell_t *self)
{
    size_t position = 0;
    const saga_t *saga;
    while ((saga = coordinator_next(self->core, &position))) {
        buffer_t own = {0};
        buffer_t copied = {0};
        saga_t *copy = NULL;
        saga_save(saga, &own);
        if (saga_load(saga_plan(saga), buffer_slice(&own), &copy) == CAPSTAN_OK) {
            saga_save(copy, &copied);
        }
        if (!slice_equal(buffer_slice(&own), buffer_slice(&copied)) ||
            saga_due_us(copy) != saga_due_us(saga)) {
            world_fail(self->world, "S9", "saga %llu is not what was saved of it",
                       (unsigned long long)saga_begin_of(saga)->number);
        }
        saga_destroy(&copy);
        buffer_fini(&own);
        buffer_fini(&copied);
    }
}

/* --- the snapshot ---------------------------------------------------------------------------- */

static void add_row(codec_list_writer_t *list, uint64_t number, slice_t value)
{
    snapshot_row_t row = {.key = slice_of(&number, sizeof number), .value = value};
    codec_list_add(list, snapshot_row_wire(), &row);
}

static void send_chunk(sim_shell_t *self)
{
    snapshot_write_t chunk = {.stream = 1,
                              .epoch = self->epoch,
                              .lsn = self->snapshot_lsn,
                              .last = self->chunk_last,
                              .rows = buffer_slice(&self->chunk_rows),
                              .lsn_next = self->lsn_next};
    buffer_clear(&self->body);
    codec_encode(snapshot_write_wire(), &chunk, &self->body);
    core_send_t send = {.from = self->slot,
                        .target = {.slot = self->world->journal.slot},
                        .message = MESSAGE_snapshot_write,
                        .correlation = self->chunk_number,
                        .ordered = true};
    ENSURE(core_world_send(self->world->simulation, &send, buffer_slice(&self->body)));
    buffer_clear(&self->body);
}

/* Nothing is gathered when this runs: the core's state is what the log says before lsn_next, which
 * the journal compares with how far the log has got. */
void rows_take_chunk(sim_shell_t *self)
{
    random_source_t *random = core_world_random(self->world->simulation);
    enum { CHUNK_MAX = sizeof self->chunk_sagas / sizeof self->chunk_sagas[0] };
    size_t count_max = 1 + random_below(random, CHUNK_MAX);
    const saga_t *saga = NULL;
    buffer_t state = {0};
    if (self->snapshot_lsn == 0) {
        self->snapshot_lsn = self->lsn_on_disk;
    }
    buffer_clear(&self->chunk_rows);
    codec_list_writer_t list = codec_list_begin(&self->chunk_rows);
    self->chunk_count = 0;
    while (self->chunk_count < count_max && (saga = coordinator_take_changed(self->core))) {
        uint64_t number = saga_begin_of(saga)->number;
        buffer_clear(&state);
        saga_save(saga, &state);
        add_row(&list, number, buffer_slice(&state));
        self->chunk_sagas[self->chunk_count++] = number;
    }
    coordinator_mark_t mark = coordinator_mark(self->core);
    add_row(&list, 0, slice_of(&mark, sizeof mark));
    codec_list_end(&list);
    buffer_fini(&state);
    self->chunk_last = !saga && self->chunk_count < count_max;
    self->chunk_ready = true;
    self->chunk_number++;
    send_chunk(self);
}

void rows_on_chunk(sim_shell_t *self, uint64_t correlation, bool written)
{
    if (!self->chunk_ready || self->chunk_number != correlation) {
        return; /* it was given up meanwhile */
    }
    self->chunk_ready = false;
    for (size_t i = 0; i < self->chunk_count && !written; i++) {
        coordinator_touch(self->core, self->chunk_sagas[i]);
    }
    if (self->chunk_last || !written) {
        self->snapshot_lsn = 0;
    }
}

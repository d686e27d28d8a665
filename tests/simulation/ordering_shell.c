/* The shell around the partition core, as the partition actor is one: it gathers what the core
 * wants appended, sends one append per turn with the position it expects, answers once the append
 * is on disk, writes snapshots in chunks while work goes on, and loads everything again when an
 * append was refused. */
#include "tests/simulation/ordering_lookup.h"
#include "tests/simulation/ordering_predicates.h"

#include "actors/ordering/partition_cold.h"

enum {
    CORRELATION_APPEND = 1,
    CORRELATION_CHUNK_FIRST = 2, /* each chunk has its own */
    CHUNK_BYTES_MAX = 200,
    READ_EVENTS_MAX = 24,
    TIMER_SNAPSHOT = 1,
    INDEX_PER_MILLE = 20, /* of chunks, behind which the index is judged: that reads the log */
    TIMER_GAPS = 2,
    GAPS_US = 1500, /* between two looks at the gaps */
};

static void send(sim_shell_t *self, capstan_ref_t to, uint32_t message, uint64_t correlation)
{
    core_send_t options = {.from = self->slot,
                           .target = to,
                           .message = message,
                           .correlation = correlation,
                           .ordered = message != MESSAGE_outcomes};
    ENSURE(core_world_send(self->world->simulation, &options, buffer_slice(&self->body)));
    buffer_clear(&self->body);
}

/* ---- loading ---- */

static void index_event(sim_shell_t *self, uint64_t lsn, slice_t data)
{
    event_t event;
    ENSURE(codec_decode(event_wire(), data, &event, NULL) == CAPSTAN_OK);
    log_index_taken(&self->log_index, event.accepted_us);
    if (event.offset > 0) {
        log_index_add(&self->log_index, event.offset, lsn, data.size);
    }
}

static void load(sim_shell_t *self)
{
    world_t *world = self->world;
    const disk_t *disk = &world->disk;
    self->core = partition_new(&world->limits);
    capstan_err_t err = CAPSTAN_OK;
    for (size_t i = 0; i < disk->row_count && !err; i++) {
        slice_t key = buffer_slice(&disk->rows[i].key);
        slice_t value = buffer_slice(&disk->rows[i].value);
        err = partition_groups_owns_row(key) ? partition_groups_load_row(&self->groups, key, value)
              : log_index_owns_row(key)      ? log_index_load_row(&self->log_index, key, value)
                                             : partition_load_row(self->core, key, value);
    }
    size_t from = disk->snapshot_lsn > 0 ? disk->snapshot_lsn - 1 : 0;
    for (size_t i = from; i < disk->count && !err; i++) {
        slice_t data = disk_says(&disk->log[i]);
        if (disk->log[i].kind == RECORD_event) {
            index_event(self, i + 1, data);
        }
        lookup_for_record(self, disk->log[i].kind, data);
        err = disk->log[i].kind == RECORD_group_mark
                  ? partition_groups_apply(&self->groups, data)
                  : partition_load_record(self->core, disk->log[i].kind, data);
    }
    if (err) {
        world_fail(world, "O10", "recovery says %s", capstan_err_name(err));
    }
    self->lsn_next = disk->count + 1;
    self->lsn_on_disk = self->lsn_next;
}

static void forget_core(sim_shell_t *self)
{
    for (size_t phase = 0; self->core && phase < KEY_PHASE_COUNT; phase++) {
        for (size_t input = 0; input < KEY_INPUT_COUNT; input++) {
            self->world->steps_taken[phase][input] += self->core->steps[phase][input];
        }
    }
    partition_destroy(&self->core);
}

void shell_stop(sim_shell_t *self)
{
    forget_core(self);
    lookup_stop(self);
    partition_groups_fini(&self->groups);
    log_index_fini(&self->log_index);
    partition_effects_fini(&self->effects);
    free(self->queue);
    buffer_fini(&self->list);
    buffer_fini(&self->body);
    buffer_fini(&self->part);
    buffer_fini(&self->chunk_rows);
    *self = (sim_shell_t){.world = self->world, .slot = self->slot};
}

static void begin_records(sim_shell_t *self)
{
    buffer_clear(&self->list);
    self->records = codec_list_begin(&self->list);
    self->record_count = 0;
}

void shell_start(sim_shell_t *self)
{
    compaction_crash(self->world);
    load(self);
    begin_records(self);
    random_source_t *random = core_world_random(self->world->simulation);
    core_world_timer(self->world->simulation, self->slot, random_between(random, 1000, 20000),
                     TIMER_SNAPSHOT);
    core_world_timer(self->world->simulation, self->slot, GAPS_US, TIMER_GAPS);
}

static void check(sim_shell_t *self)
{
    static const char *const names[] = {"O3", "O4", "O5", "O7"};
    partition_figures_t figures = partition_figures(self->core);
    const partition_limits_t *limits = &self->world->limits;
    if (figures.held_items > limits->held_items_max ||
        figures.held_bytes > limits->held_bytes_max) {
        world_fail(self->world, "O5", "%llu events of %llu bytes are held",
                   (unsigned long long)figures.held_items, (unsigned long long)figures.held_bytes);
    }
    const char *fault = partition_check(self->core);
    for (size_t i = 0; fault && i < sizeof names / sizeof names[0]; i++) {
        if (strncmp(fault, names[i], 2) == 0) {
            world_fail(self->world, names[i], "%s", fault);
        }
    }
}

static void load_saved_group(void *context, slice_t key, slice_t value)
{
    if (partition_groups_load_row(context, key, value)) {
        ensure_failed("a saved row of a group can be loaded", __FILE__, __LINE__);
    }
}

static void load_saved_row(void *context, slice_t key, slice_t value)
{
    if (partition_load_row(context, key, value)) {
        ensure_failed("a saved row can be loaded", __FILE__, __LINE__);
    }
}

/* Rows that are still to be deleted are known to the old ones only: then these stay. */
static void reload_groups(sim_shell_t *self)
{
    partition_groups_t copy = {0};
    for (size_t i = 0; i < self->groups.count; i++) {
        for (size_t k = 0; k < self->groups.list[i].parked_count; k++) {
            if (self->groups.list[i].parked[k]->gone) {
                return;
            }
        }
    }
    partition_groups_touch(&self->groups);
    partition_groups_save(&self->groups, load_saved_group, &copy);
    partition_groups_fini(&self->groups);
    self->groups = copy;
    partition_groups_touch(&self->groups);
}

void shell_save_and_reload(sim_shell_t *self)
{
    partition_limits_t limits = self->world->limits;
    limits.resident_keys_max = 0; /* these rows are not in the store */
    partition_t *copy = partition_new(&limits);
    lookup_cold_rows(self, load_saved_row, copy);
    partition_touch_all(self->core);
    while (!partition_save(self->core, CHUNK_BYTES_MAX, load_saved_row, copy)) {
    }
    forget_core(self);
    self->core = copy;
    copy->limits.resident_keys_max = self->world->limits.resident_keys_max;
    partition_touch_all(copy);
    reload_groups(self);
    self->snapshot_lsn = 0;
    self->chunk_ready = false;
    self->world->figures.reloads++;
    check(self);
}

/* ---- effects ---- */

static void add_record(sim_shell_t *self, uint32_t kind, slice_t data)
{
    journal_record_t record = {.kind = kind, .data = data};
    codec_list_add(&self->records, journal_record_wire(), &record);
    self->record_count++;
}

/* `waiting` is sent once everything gathered so far is on disk. */
static void wait_for_disk(sim_shell_t *self, const waiting_t *waiting)
{
    if (self->queue_count == self->queue_capacity) {
        self->queue_capacity = self->queue_capacity > 0 ? self->queue_capacity * 2 : 64;
        self->queue = realloc(self->queue, self->queue_capacity * sizeof *self->queue);
        ENSURE(self->queue);
    }
    self->queue[self->queue_count] = *waiting;
    self->queue[self->queue_count++].lsn = self->lsn_next + self->record_count;
}

static void take_effects(sim_shell_t *self, waiting_t waiting)
{
    for (size_t i = 0; i < self->effects.count; i++) {
        const partition_effect_t *effect = &self->effects.list[i];
        if (effect->kind == PARTITION_APPEND) {
            slice_t data = slice_of(self->effects.bytes.data + effect->data_at, effect->data_size);
            add_record(self, effect->record, data);
            if (effect->offset > 0) {
                log_index_add(&self->log_index, effect->offset,
                              self->lsn_next + self->record_count - 1, data.size);
            }
        } else {
            waiting.fact.result = effect->result;
            waiting.fact.err = effect->err;
            wait_for_disk(self, &waiting);
        }
    }
    partition_effects_clear(&self->effects);
}

static void tell_group(sim_shell_t *self, const waiting_t *waiting)
{
    buffer_t done = {0};
    buffer_t keys = {0};
    group_stored_t stored = {0};
    const stored_group_t *group =
        partition_groups_find(&self->groups, world_key_name(waiting->fact.who));
    if (group) {
        partition_groups_describe(group, &done, &keys, &stored);
    }
    codec_encode(group_stored_wire(), &stored, &self->body);
    send(self, waiting->to, MESSAGE_group_stored, waiting->correlation);
    buffer_fini(&done);
    buffer_fini(&keys);
}

static void tell(sim_shell_t *self, const waiting_t *waiting)
{
    world_t *world = self->world;
    if (waiting->kind == WAIT_ANSWER) {
        fact_t *fact = world_record(world, FACT_ANSWER);
        uint64_t log_size = fact->log_size;
        *fact = waiting->fact;
        fact->log_size = log_size;
        outcome_t outcome = {.first = waiting->correlation,
                             .last = waiting->correlation,
                             .result = (uint64_t)fact->result,
                             .error = (uint64_t)fact->err};
        buffer_clear(&self->part);
        codec_list_writer_t writer = codec_list_begin(&self->part);
        codec_list_add(&writer, outcome_wire(), &outcome);
        codec_list_end(&writer);
        outcomes_t outcomes = {.list = buffer_slice(&self->part)};
        codec_encode(outcomes_wire(), &outcomes, &self->body);
        send(self, waiting->to, MESSAGE_outcomes, waiting->correlation);
        return;
    }
    if (waiting->kind == WAIT_GROUP) {
        tell_group(self, waiting);
        return;
    }
    if (waiting->kind == WAIT_SKIPPED) {
        gap_skipped_t skipped = {
            .first = waiting->fact.sequence, .last = waiting->fact.offset, .verdict = GAP_DEAD};
        codec_encode(gap_skipped_wire(), &skipped, &self->body);
        send(self, waiting->to, MESSAGE_gap_skipped, waiting->correlation);
        return;
    }
    done_t done = {0};
    codec_encode(done_wire(), &done, &self->body);
    send(self, waiting->to, MESSAGE_done, waiting->correlation);
}

static void tell_what_is_on_disk(sim_shell_t *self)
{
    size_t told = 0;
    while (told < self->queue_count && self->queue[told].lsn <= self->lsn_on_disk) {
        tell(self, &self->queue[told++]);
    }
    self->queue_count -= told;
    if (told > 0) {
        memmove(self->queue, &self->queue[told], self->queue_count * sizeof *self->queue);
    }
}

/* ---- snapshots ---- */

static void add_row(void *context, slice_t key, slice_t value)
{
    snapshot_row_t row = {.key = key, .value = value};
    codec_list_add(context, snapshot_row_wire(), &row);
}

/* Nothing is gathered when this runs: the core's state is what the log says before lsn_next, which
 * the journal compares with how far the log has got. */
static void take_chunk(sim_shell_t *self)
{
    random_source_t *random = core_world_random(self->world->simulation);
    if (self->snapshot_lsn == 0) {
        self->snapshot_lsn = self->lsn_on_disk;
    }
    buffer_clear(&self->chunk_rows);
    codec_list_writer_t writer = codec_list_begin(&self->chunk_rows);
    size_t bytes_max = 1 + random_below(random, CHUNK_BYTES_MAX);
    self->chunk_last = partition_save(self->core, bytes_max, add_row, &writer);
    if (self->chunk_last) {
        partition_groups_save(&self->groups, add_row, &writer);
        log_index_save(&self->log_index, partition_figures(self->core).offset_next, self->lsn_next,
                       add_row, &writer);
    }
    codec_list_end(&writer);
    self->chunk_ready = true;
    self->chunk_number = CORRELATION_CHUNK_FIRST + self->world->chunks++;
}

static void send_chunk(sim_shell_t *self)
{
    snapshot_write_t chunk = {.stream = 1,
                              .epoch = 1,
                              .lsn = self->snapshot_lsn,
                              .last = self->chunk_last,
                              .rows = buffer_slice(&self->chunk_rows),
                              .lsn_next = self->lsn_next};
    codec_encode(snapshot_write_wire(), &chunk, &self->body);
    send(self, core_world_ref(self->world->simulation, self->world->journal.slot),
         MESSAGE_snapshot_write, self->chunk_number);
}

static bool is_chunk_wanted(const sim_shell_t *self, uint64_t correlation)
{
    return self->chunk_ready && self->chunk_number == correlation;
}

static void on_chunk_written(sim_shell_t *self, uint64_t correlation)
{
    if (!is_chunk_wanted(self, correlation)) {
        return; /* the pass was given up meanwhile */
    }
    self->chunk_ready = false;
    if (self->chunk_last) {
        self->snapshot_lsn = 0;
        partition_saved(self->core);
        partition_groups_saved(&self->groups);
    }
}

static void give_up_snapshot(sim_shell_t *self)
{
    self->snapshot_lsn = 0;
    self->chunk_ready = false;
    partition_touch_all(self->core);
    partition_groups_touch(&self->groups);
    log_index_touch(&self->log_index);
}

/* A person asks for what may not be given up, too: what is held behind a gap. */
static void give_up_by_hand(sim_shell_t *self, random_source_t *random)
{
    gap_t gaps[8];
    skip_t skipped;
    size_t count = partition_gaps(self->core, gaps, sizeof gaps / sizeof gaps[0]);
    if (count == 0) {
        return;
    }
    const gap_t *gap = &gaps[random_below(random, count)];
    skip_t skip = {.producer = gap->producer,
                   .key = gap->key,
                   .verdict = GAP_FORCED,
                   .at_us = world_utc(self->world),
                   .last = random_chance(random, 500) ? gap->missing : 0};
    if (random_chance(random, 300)) {
        skip.last = gap->last_missing + 1;
    }
    capstan_err_t err = partition_skip(self->core, &skip, &skipped, &self->effects);
    world_trace(self->world, "a person gives up p%u k%u %llu: %s", world_index(gap->producer),
                world_index(gap->key), (unsigned long long)skip.last, capstan_err_name(err));
    take_effects(self, (waiting_t){.kind = WAIT_DONE});
}

static void keep_record(void *context, slice_t data)
{
    codec_list_add_raw(context, data);
}

typedef struct give_cold {
    sim_shell_t *shell;
    const partition_share_t *share;
    codec_list_writer_t *list;
} give_cold_t;

static void give_cold_row(void *context, slice_t name, slice_t value)
{
    give_cold_t *give = context;
    buffer_t record = {0};
    ENSURE(partition_give_row(give->shell->core, give->share, name, value, &record) == CAPSTAN_OK);
    if (record.size > 0) {
        codec_list_add_raw(give->list, buffer_slice(&record));
    }
    buffer_fini(&record);
}

/* Half of the keys leave for another partition, and come back: nothing has changed by that. */
static void leave_and_come_back(sim_shell_t *self)
{
    enum { FIELD_HELD = 10 }; /* of `inherited` */
    partition_share_t share = {.index = 0, .before = 1, .after = 2};
    buffer_t records = {0};
    codec_list_t list;
    uint64_t position = 0;
    codec_list_writer_t writer = codec_list_begin(&records);
    while (!partition_give(self->core, &share, &position, CHUNK_BYTES_MAX, keep_record, &writer)) {
    }
    lookup_cold_rows(self, give_cold_row, &(give_cold_t){self, &share, &writer});
    codec_list_end(&writer);
    partition_leave(self->core, share.index, share.after);
    ENSURE(codec_list_open(inherited_wire(), buffer_slice(&records), &list) == CAPSTAN_OK);
    for (slice_t record; codec_list_next_raw(&list, &record);) {
        uint32_t kind =
            codec_peek_slice(record, FIELD_HELD, &record) ? RECORD_event : RECORD_inherited;
        lookup_for_record(self, kind, record);
        if (partition_load_record(self->core, kind, record) != CAPSTAN_OK) {
            world_fail(self->world, "O3", "what a partition inherits contradicts what it knows");
        }
        add_record(self, kind, record);
    }
    buffer_fini(&records);
}

static void look_at_gaps(sim_shell_t *self)
{
    random_source_t *random = core_world_random(self->world->simulation);
    if (!self->broken) {
        partition_expire(self->core, world_utc(self->world), &self->effects);
        take_effects(self, (waiting_t){.kind = WAIT_DONE});
        if (random_chance(random, self->world->forced)) {
            give_up_by_hand(self, random);
        }
        if (random_chance(random, self->world->moves)) {
            leave_and_come_back(self);
        }
    }
    core_world_timer(self->world->simulation, self->slot, GAPS_US, TIMER_GAPS);
}

static void on_timer(void *context, uint64_t cookie)
{
    sim_shell_t *self = context;
    if (cookie == TIMER_GAPS) {
        look_at_gaps(self);
        return;
    }
    if (cookie == SHELL_TIMER_LOOKUP) {
        if (!self->broken) {
            lookup_timer(self);
        }
        return;
    }
    random_source_t *random = core_world_random(self->world->simulation);
    if (!self->broken && !self->chunk_ready && self->record_count == 0) {
        take_chunk(self);
        send_chunk(self);
        if (random_chance(random, INDEX_PER_MILLE)) {
            predicate_of_index(self->world);
            predicate_of_compaction(self->world);
        }
    }
    if (!self->broken) {
        compaction_step(self->world);
    }
    int64_t pause_us = self->snapshot_lsn > 0 ? random_between(random, 100, 3000)
                                              : random_between(random, 1000, 50000);
    core_world_timer(self->world->simulation, self->slot, pause_us, TIMER_SNAPSHOT);
}

/* ---- messages ---- */

static void on_publish(sim_shell_t *self, const capstan_message_t *message)
{
    publish_t event;
    ENSURE(codec_decode(publish_wire(), message->body, &event, NULL) == CAPSTAN_OK);
    waiting_t waiting = {.kind = WAIT_ANSWER,
                         .to = message->sender,
                         .correlation = message->correlation,
                         .fact = {.kind = FACT_ANSWER,
                                  .producer = world_index(event.producer),
                                  .key = world_index(event.key),
                                  .sequence = event.sequence,
                                  .epoch = event.producer_epoch}};
    log_index_taken(&self->log_index, world_utc(self->world));
    bool room = predicate_has_room(self->world, &event);
    partition_publish(self->core, world_utc(self->world), message->correlation, &event,
                      &self->effects);
    take_effects(self, waiting);
    const fact_t *fact = &self->queue[self->queue_count - 1].fact;
    if (fact->result == EVENT_REJECTED && fact->err == CAPSTAN_E_OUT_OF_ORDER && room) {
        world_fail(self->world, "O5", "p%u k%u %llu was refused though there is room",
                   fact->producer, fact->key, (unsigned long long)fact->sequence);
    }
    world_trace(self->world, "publish p%u k%u %llu epoch %llu: result %d error %d", fact->producer,
                fact->key, (unsigned long long)fact->sequence, (unsigned long long)fact->epoch,
                (int)fact->result, (int)fact->err);
}

static void on_epoch(sim_shell_t *self, const capstan_message_t *message)
{
    partition_epoch_t request;
    ENSURE(codec_decode(partition_epoch_wire(), message->body, &request, NULL) == CAPSTAN_OK);
    partition_fence(self->core, request.producer, request.producer_epoch, &self->effects);
    waiting_t waiting = {
        .kind = WAIT_DONE, .to = message->sender, .correlation = message->correlation};
    take_effects(self, waiting);
    wait_for_disk(self, &waiting);
}

static void on_skip(sim_shell_t *self, const capstan_message_t *message)
{
    partition_skip_t request;
    skip_t skip;
    skip_t skipped;
    ENSURE(codec_decode(partition_skip_wire(), message->body, &request, NULL) == CAPSTAN_OK);
    ENSURE(codec_decode(skip_wire(), request.skip, &skip, NULL) == CAPSTAN_OK);
    skip.at_us = world_utc(self->world);
    capstan_err_t err = partition_skip(self->core, &skip, &skipped, &self->effects);
    if (err) {
        codec_encode(failure_wire(), &(failure_t){.number = (uint64_t)err}, &self->body);
        send(self, message->sender, MESSAGE_failure, message->correlation);
        return;
    }
    waiting_t waiting = {.kind = WAIT_SKIPPED,
                         .to = message->sender,
                         .correlation = message->correlation,
                         .fact = {.sequence = skipped.first, .offset = skipped.last}};
    take_effects(self, waiting);
    wait_for_disk(self, &waiting);
}

static void on_group(sim_shell_t *self, const capstan_message_t *message)
{
    partition_group_t request;
    ENSURE(codec_decode(partition_group_wire(), message->body, &request, NULL) == CAPSTAN_OK);
    wait_for_disk(self, &(waiting_t){.kind = WAIT_GROUP,
                                     .to = message->sender,
                                     .correlation = message->correlation,
                                     .fact = {.who = world_index(request.group)}});
}

static void on_mark(sim_shell_t *self, const capstan_message_t *message)
{
    partition_mark_t request;
    ENSURE(codec_decode(partition_mark_wire(), message->body, &request, NULL) == CAPSTAN_OK);
    ENSURE(partition_groups_apply(&self->groups, request.mark) == CAPSTAN_OK);
    add_record(self, RECORD_group_mark, request.mark);
    wait_for_disk(self, &(waiting_t){.kind = WAIT_DONE,
                                     .to = message->sender,
                                     .correlation = message->correlation});
}

/* Committed events only: what is read comes from the disk. */
static void on_read(sim_shell_t *self, const capstan_message_t *message)
{
    partition_read_t request;
    ENSURE(codec_decode(partition_read_wire(), message->body, &request, NULL) == CAPSTAN_OK);
    const disk_t *disk = &self->world->disk;
    uint64_t lsn =
        request.lsn > 0 ? request.lsn : log_index_lsn(&self->log_index, request.offset + 1);
    size_t at = lsn > 0 ? lsn - 1 : 0;
    uint64_t offset_last = request.offset;
    uint32_t count = 0;
    buffer_t sizes = {0};
    buffer_clear(&self->part);
    codec_list_writer_t writer = codec_list_begin(&self->part);
    for (; at < disk->count && count < READ_EVENTS_MAX; at++) {
        event_t event;
        slice_t data = disk_says(&disk->log[at]);
        if (disk->log[at].kind != RECORD_event) {
            continue;
        }
        ENSURE(codec_decode(event_wire(), data, &event, NULL) == CAPSTAN_OK);
        if (event.offset > request.offset) {
            codec_list_add_raw(&writer, data);
            buffer_append(&sizes, &(uint32_t){(uint32_t)data.size}, sizeof(uint32_t));
            offset_last = event.offset;
            count++;
        }
    }
    codec_list_end(&writer);
    if (count == 0) {
        return; /* the group asks again */
    }
    partition_events_t events = {.lsn_next = at + 1,
                                 .offset_last = offset_last,
                                 .deliver = buffer_slice(&self->part),
                                 .sizes = buffer_slice(&sizes)};
    codec_encode(partition_events_wire(), &events, &self->body);
    buffer_fini(&sizes);
    send(self, message->sender, MESSAGE_partition_events, message->correlation);
}

static void on_appended(sim_shell_t *self, const capstan_message_t *message)
{
    journal_appended_t appended;
    ENSURE(codec_decode(journal_appended_wire(), message->body, &appended, NULL) == CAPSTAN_OK);
    ENSURE(self->outstanding > 0);
    self->outstanding--;
    self->lsn_on_disk = appended.lsn_next;
    tell_what_is_on_disk(self);
}

static void on_failure(sim_shell_t *self, const capstan_message_t *message)
{
    if (message->correlation != CORRELATION_APPEND) {
        if (is_chunk_wanted(self, message->correlation)) {
            give_up_snapshot(self);
        }
        return;
    }
    ENSURE(self->outstanding > 0);
    self->outstanding--;
    self->broken = true;
}

/* What was refused is forgotten: nobody was told about it, and whoever sent it sends it again. */
static void load_again(sim_shell_t *self)
{
    world_trace(self->world, "an append was refused: load again");
    uint32_t slot = self->slot;
    world_t *world = self->world;
    shell_stop(self);
    *self = (sim_shell_t){.world = world, .slot = slot};
    load(self);
    begin_records(self);
    world->figures.reloads++;
}

static void receive(void *context, const capstan_message_t *message)
{
    sim_shell_t *self = context;
    switch (message->message) {
    case MESSAGE_journal_appended:
        on_appended(self, message);
        return;
    case MESSAGE_failure:
        on_failure(self, message);
        return;
    case MESSAGE_snapshot_written:
        on_chunk_written(self, message->correlation);
        return;
    default:
        break;
    }
    if (!self->broken && !lookup_take(self, message)) {
        shell_handle(self, message);
    }
}

void shell_handle(sim_shell_t *self, const capstan_message_t *message)
{
    switch (message->message) {
    case MESSAGE_publish:
        on_publish(self, message);
        break;
    case MESSAGE_partition_epoch:
        on_epoch(self, message);
        break;
    case MESSAGE_partition_skip:
        on_skip(self, message);
        break;
    case MESSAGE_partition_group:
        on_group(self, message);
        break;
    case MESSAGE_partition_mark:
        on_mark(self, message);
        break;
    case MESSAGE_partition_read:
        on_read(self, message);
        break;
    default:
        ENSURE(false);
    }
}

static void turn_end(void *context)
{
    sim_shell_t *self = context;
    if (self->broken && self->outstanding == 0) {
        load_again(self);
    }
    if (self->broken) {
        begin_records(self); /* behind a refused append nothing can be written */
        return;
    }
    lookup_turn_end(self);
    if (self->record_count > 0) {
        codec_list_end(&self->records);
        journal_append_t append = {
            .stream = 1, .epoch = 1, .lsn = self->lsn_next, .records = buffer_slice(&self->list)};
        codec_encode(journal_append_wire(), &append, &self->body);
        send(self, core_world_ref(self->world->simulation, self->world->journal.slot),
             MESSAGE_journal_append, CORRELATION_APPEND);
        self->lsn_next += self->record_count;
        self->outstanding++;
        begin_records(self);
    }
    tell_what_is_on_disk(self);
    check(self);
}

const core_actor_t shell_behaviour = {.receive = receive, .timer = on_timer, .turn_end = turn_end};

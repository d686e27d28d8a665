/* The store: gathers writes, commits them as one after a while, answers each. It survives every
 * crash. Whoever does not have the epoch, or expects another lsn, changes nothing. An answer may be
 * lost, and a failure may be told of what was committed: who hears it cannot know. */
#include "tests/simulation/saga_predicates.h"

#include "actors/journal/journal_messages.h"

void disk_append(disk_t *self, uint64_t epoch, uint32_t kind, slice_t data)
{
    if (self->count == self->capacity) {
        self->capacity = self->capacity > 0 ? self->capacity * 2 : 1024;
        self->log = realloc(self->log, self->capacity * sizeof *self->log);
        ENSURE(self->log);
    }
    disk_record_t *to = &self->log[self->count++];
    *to = (disk_record_t){.kind = kind, .epoch = epoch, .size = data.size};
    to->data = malloc(data.size);
    ENSURE(to->data);
    memcpy(to->data, data.data, data.size);
}

static size_t row_at(const disk_t *self, uint64_t number)
{
    size_t at = self->row_count;
    while (at > 0 && self->rows[at - 1].number >= number) {
        at--;
    }
    return at;
}

const disk_row_t *disk_row(const disk_t *self, uint64_t number)
{
    size_t at = row_at(self, number);
    return at < self->row_count && self->rows[at].number == number ? &self->rows[at] : NULL;
}

void disk_put_row(disk_t *self, uint64_t number, slice_t value)
{
    size_t at = row_at(self, number);
    if (at == self->row_count || self->rows[at].number != number) {
        if (self->row_count == self->row_capacity) {
            self->row_capacity = self->row_capacity > 0 ? self->row_capacity * 2 : 64;
            self->rows = realloc(self->rows, self->row_capacity * sizeof *self->rows);
            ENSURE(self->rows);
        }
        memmove(&self->rows[at + 1], &self->rows[at], (self->row_count - at) * sizeof *self->rows);
        self->rows[at] = (disk_row_t){.number = number};
        self->row_count++;
    }
    buffer_clear(&self->rows[at].value);
    buffer_append(&self->rows[at].value, value.data, value.size);
}

void disk_fini(disk_t *self)
{
    for (size_t i = 0; i < self->count; i++) {
        free(self->log[i].data);
    }
    for (size_t i = 0; i < self->row_count; i++) {
        buffer_fini(&self->rows[i].value);
    }
    free(self->log);
    free(self->rows);
}

/* --- writing --------------------------------------------------------------------------------- */

static capstan_err_t write_records(world_t *world, slice_t body, uint64_t *ret_lsn_next)
{
    disk_t *disk = &world->disk;
    journal_append_t append;
    codec_list_t iterator;
    ENSURE(codec_decode(journal_append_wire(), body, &append, NULL) == CAPSTAN_OK);
    ENSURE(codec_list_open(journal_record_wire(), append.records, &iterator) == CAPSTAN_OK);
    if (append.epoch != disk->epoch) {
        return CAPSTAN_E_STALE_EPOCH;
    }
    if (append.lsn != disk->count + 1) {
        return CAPSTAN_E_LSN_MISMATCH;
    }
    for (journal_record_t record; codec_list_next(&iterator, &record);) {
        disk_append(disk, append.epoch, (uint32_t)record.kind, record.data);
        predicates_on_record(world, disk->count);
    }
    *ret_lsn_next = disk->count + 1;
    return CAPSTAN_OK;
}

/* Rows that know more than the log are refused: what they know may never be written. */
static capstan_err_t write_chunk(world_t *world, slice_t body)
{
    disk_t *disk = &world->disk;
    snapshot_write_t chunk;
    codec_list_t iterator;
    ENSURE(codec_decode(snapshot_write_wire(), body, &chunk, NULL) == CAPSTAN_OK);
    ENSURE(codec_list_open(snapshot_row_wire(), chunk.rows, &iterator) == CAPSTAN_OK);
    if (chunk.epoch != disk->epoch) {
        return CAPSTAN_E_STALE_EPOCH;
    }
    if (chunk.lsn_next > disk->count + 1) {
        return CAPSTAN_E_LSN_MISMATCH;
    }
    for (snapshot_row_t row; codec_list_next(&iterator, &row);) {
        uint64_t number;
        memcpy(&number, row.key.data, sizeof number);
        if (number > 0) {
            disk_put_row(disk, number, row.value);
        } else {
            memcpy(&disk->mark, row.value.data, sizeof disk->mark);
        }
    }
    if (chunk.last) {
        disk->snapshot_lsn = chunk.lsn;
    }
    return CAPSTAN_OK;
}

/* --- answers --------------------------------------------------------------------------------- */

static void reply(sim_journal_t *self, const journal_write_t *write, uint32_t message)
{
    core_send_t send = {.from = self->slot,
                        .target = write->from,
                        .message = message,
                        .correlation = write->correlation,
                        .ordered = true};
    ENSURE(core_world_send(self->world->simulation, &send, buffer_slice(&self->body)));
}

static void reply_failure(sim_journal_t *self, const journal_write_t *write, capstan_err_t err)
{
    failure_t failure = {.number = (uint64_t)err};
    buffer_clear(&self->body);
    codec_encode(failure_wire(), &failure, &self->body);
    reply(self, write, MESSAGE_failure);
}

static void carry_out(sim_journal_t *self, const journal_write_t *write, bool in_doubt)
{
    slice_t body = slice_of(write->body, write->size);
    journal_appended_t appended = {.stream = 1};
    snapshot_written_t written = {.stream = 1};
    bool append = write->message == MESSAGE_journal_append;
    capstan_err_t err = append ? write_records(self->world, body, &appended.lsn_next)
                               : write_chunk(self->world, body);
    buffer_clear(&self->body);
    if (err || in_doubt) {
        reply_failure(self, write, err ? err : CAPSTAN_E_STORE_IO);
    } else if (append) {
        codec_encode(journal_appended_wire(), &appended, &self->body);
        reply(self, write, MESSAGE_journal_appended);
    } else {
        codec_encode(snapshot_written_wire(), &written, &self->body);
        reply(self, write, MESSAGE_snapshot_written);
    }
}

static void begin_commit(sim_journal_t *self)
{
    random_source_t *random = core_world_random(self->world->simulation);
    self->committing = self->count;
    core_world_timer(self->world->simulation, self->slot, random_between(random, 50, 1000), 0);
}

static void commit(void *context, uint64_t cookie)
{
    (void)cookie;
    sim_journal_t *self = context;
    world_t *world = self->world;
    random_source_t *random = core_world_random(world->simulation);
    bool fails = !world->calm && random_chance(random, world->commit_failures);
    bool in_doubt = !world->calm && random_chance(random, world->commit_failures);
    for (size_t i = 0; i < self->committing; i++) {
        if (fails) {
            reply_failure(self, &self->writes[i], CAPSTAN_E_STORE_IO);
        } else {
            carry_out(self, &self->writes[i], in_doubt);
        }
        free(self->writes[i].body);
    }
    world_trace(world, "commit of %zu writes %s, log %zu", self->committing,
                fails      ? "fails"
                : in_doubt ? "is in doubt"
                           : "done",
                world->disk.count);
    self->count -= self->committing;
    memmove(self->writes, &self->writes[self->committing], self->count * sizeof *self->writes);
    self->committing = 0;
    if (self->count > 0) {
        begin_commit(self);
    }
    world_progress(world);
}

static void receive(void *context, const capstan_message_t *message)
{
    sim_journal_t *self = context;
    if (self->count == self->capacity) {
        self->capacity = self->capacity > 0 ? self->capacity * 2 : 16;
        self->writes = realloc(self->writes, self->capacity * sizeof *self->writes);
        ENSURE(self->writes);
    }
    journal_write_t *write = &self->writes[self->count++];
    *write = (journal_write_t){.from = message->sender,
                               .message = message->message,
                               .correlation = message->correlation,
                               .body = malloc(message->body.size),
                               .size = message->body.size};
    ENSURE(write->body);
    memcpy(write->body, message->body.data, message->body.size);
    if (self->committing == 0) {
        begin_commit(self);
    }
}

void journal_stop(sim_journal_t *self)
{
    for (size_t i = 0; i < self->count; i++) {
        free(self->writes[i].body);
    }
    free(self->writes);
    buffer_fini(&self->body);
    *self = (sim_journal_t){.world = self->world, .slot = self->slot, .host = self->host};
}

const core_actor_t journal_behaviour = {.receive = receive, .timer = commit};

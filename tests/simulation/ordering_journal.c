/* The journal: gathers writes, commits them as one after a while, answers each. A crash before the
 * commit loses them all; a crash right after it loses the answers only. */
#include "tests/simulation/ordering_world.h"

void disk_append(disk_t *self, const journal_record_t *record)
{
    if (self->count == self->capacity) {
        self->capacity = self->capacity > 0 ? self->capacity * 2 : 1024;
        self->log = realloc(self->log, self->capacity * sizeof *self->log);
        ENSURE(self->log);
    }
    disk_record_t *to = &self->log[self->count++];
    *to = (disk_record_t){.kind = (uint32_t)record->kind, .size = record->data.size};
    to->data = malloc(record->data.size);
    ENSURE(to->data);
    memcpy(to->data, record->data.data, record->data.size);
}

static int compare(slice_t a, slice_t b)
{
    int order = memcmp(a.data, b.data, a.size < b.size ? a.size : b.size);
    return order != 0 ? order : (a.size > b.size) - (a.size < b.size);
}

/* Makes room for a row at its place in the order of keys. */
static void insert_row(disk_t *self, size_t at)
{
    if (self->row_count == self->row_capacity) {
        self->row_capacity = self->row_capacity > 0 ? self->row_capacity * 2 : 64;
        self->rows = realloc(self->rows, self->row_capacity * sizeof *self->rows);
        ENSURE(self->rows);
    }
    memmove(&self->rows[at + 1], &self->rows[at], (self->row_count - at) * sizeof *self->rows);
    self->rows[at] = (disk_row_t){0};
    self->row_count++;
}

void disk_put_row(disk_t *self, const snapshot_row_t *row)
{
    size_t at = 0;
    while (at < self->row_count && compare(buffer_slice(&self->rows[at].key), row->key) < 0) {
        at++;
    }
    if (at == self->row_count || !slice_equal(buffer_slice(&self->rows[at].key), row->key)) {
        insert_row(self, at);
        buffer_append(&self->rows[at].key, row->key.data, row->key.size);
    }
    buffer_clear(&self->rows[at].value);
    buffer_append(&self->rows[at].value, row->value.data, row->value.size);
    if (row->value.size == 0) { /* deleted */
        buffer_fini(&self->rows[at].key);
        buffer_fini(&self->rows[at].value);
        self->row_count--;
        memmove(&self->rows[at], &self->rows[at + 1], (self->row_count - at) * sizeof *self->rows);
    }
}

void disk_fini(disk_t *self)
{
    for (size_t i = 0; i < self->count; i++) {
        free(self->log[i].data);
        buffer_fini(&self->log[i].stub);
    }
    for (size_t i = 0; i < self->row_count; i++) {
        buffer_fini(&self->rows[i].key);
        buffer_fini(&self->rows[i].value);
    }
    free(self->log);
    free(self->rows);
}

static capstan_err_t write_records(disk_t *disk, slice_t body, uint64_t *ret_lsn_next)
{
    journal_append_t append;
    codec_list_t iterator;
    ENSURE(codec_decode(journal_append_wire(), body, &append, NULL) == CAPSTAN_OK);
    ENSURE(codec_list_open(journal_record_wire(), append.records, &iterator) == CAPSTAN_OK);
    if (append.lsn != disk->count + 1) {
        return CAPSTAN_E_LSN_MISMATCH;
    }
    for (journal_record_t record; codec_list_next(&iterator, &record);) {
        disk_append(disk, &record);
    }
    *ret_lsn_next = disk->count + 1;
    return CAPSTAN_OK;
}

/* Rows that know more than the log are refused: what they know may never be written. */
static capstan_err_t write_chunk(disk_t *disk, slice_t body)
{
    snapshot_write_t chunk;
    codec_list_t iterator;
    ENSURE(codec_decode(snapshot_write_wire(), body, &chunk, NULL) == CAPSTAN_OK);
    ENSURE(codec_list_open(snapshot_row_wire(), chunk.rows, &iterator) == CAPSTAN_OK);
    if (chunk.lsn_next > disk->count + 1) {
        return CAPSTAN_E_LSN_MISMATCH;
    }
    for (snapshot_row_t row; codec_list_next(&iterator, &row);) {
        disk_put_row(disk, &row);
    }
    if (chunk.last) {
        disk->snapshot_lsn = chunk.lsn;
    }
    return CAPSTAN_OK;
}

static void reply(sim_journal_t *self, const journal_write_t *write, uint32_t message)
{
    core_send_t send = {.from = self->slot,
                        .target = write->from,
                        .message = message,
                        .correlation = write->correlation,
                        .always = true};
    ENSURE(core_world_send(self->world->simulation, &send, buffer_slice(&self->body)));
}

static void reply_failure(sim_journal_t *self, const journal_write_t *write, capstan_err_t err)
{
    failure_t failure = {.number = (uint64_t)err};
    buffer_clear(&self->body);
    codec_encode(failure_wire(), &failure, &self->body);
    reply(self, write, MESSAGE_failure);
}

static void carry_out(sim_journal_t *self, const journal_write_t *write, bool answer)
{
    disk_t *disk = &self->world->disk;
    slice_t body = slice_of(write->body, write->size);
    journal_appended_t appended = {.stream = 1};
    snapshot_written_t written = {.stream = 1};
    bool append = write->message == MESSAGE_journal_append;
    capstan_err_t err =
        append ? write_records(disk, body, &appended.lsn_next) : write_chunk(disk, body);
    buffer_clear(&self->body);
    if (!answer) {
        return;
    }
    if (err) {
        reply_failure(self, write, err);
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
    bool fails = random_chance(random, world->commit_failures);
    bool answers = !world->crash_at_commit;
    for (size_t i = 0; i < self->committing; i++) {
        if (fails && answers) {
            reply_failure(self, &self->writes[i], CAPSTAN_E_STORE_IO);
        } else if (!fails) {
            carry_out(self, &self->writes[i], answers);
        }
        free(self->writes[i].body);
    }
    world_trace(world, "commit of %zu writes %s, log %zu", self->committing,
                fails ? "fails" : "done", world->disk.count);
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
    *self = (sim_journal_t){.world = self->world, .slot = self->slot};
}

const core_actor_t journal_behaviour = {.receive = receive, .timer = commit};

/* Keys that are in the store only, as the partition's actor does it: what names one waits, and so
 * does what comes behind it, until the rows of all that had gathered were read from the disk, at
 * some time after they were asked for. */
#include "tests/simulation/ordering_lookup.h"

#include "actors/ordering/partition_cold.h"

struct sim_lookup {
    sim_lookup_t *next;
    capstan_message_t message;
    uint8_t body[];
};

static bool names_key(const capstan_message_t *message, slice_t *ret_producer, slice_t *ret_key)
{
    publish_t event;
    partition_skip_t skip;
    if (message->message == MESSAGE_publish) {
        ENSURE(codec_decode(publish_wire(), message->body, &event, NULL) == CAPSTAN_OK);
        *ret_producer = event.producer;
        *ret_key = event.key;
        return true;
    }
    if (message->message != MESSAGE_partition_skip) {
        return false;
    }
    ENSURE(codec_decode(partition_skip_wire(), message->body, &skip, NULL) == CAPSTAN_OK);
    return partition_record_key(RECORD_skip, skip.skip, ret_producer, ret_key);
}

static const disk_row_t *find_row(const disk_t *disk, slice_t producer, slice_t key)
{
    buffer_t name = {0};
    const disk_row_t *row = NULL;
    partition_row_name(producer, key, &name);
    for (size_t i = 0; i < disk->row_count && !row; i++) {
        bool same = slice_equal(buffer_slice(&disk->rows[i].key), buffer_slice(&name));
        row = same ? &disk->rows[i] : NULL;
    }
    buffer_fini(&name);
    return row;
}

static void warm(sim_shell_t *self, slice_t producer, slice_t key)
{
    const disk_row_t *row = find_row(&self->world->disk, producer, key);
    self->world->figures.lookups++;
    if (row && partition_warm(self->core, buffer_slice(&row->key), buffer_slice(&row->value))) {
        world_fail(self->world, "O10", "the row of a key cannot be loaded");
    }
}

bool lookup_take(sim_shell_t *self, const capstan_message_t *message)
{
    slice_t producer;
    slice_t key;
    if (!names_key(message, &producer, &key) ||
        (!self->lookups && !partition_wants(self->core, producer, key))) {
        return false;
    }
    sim_lookup_t *lookup = malloc(sizeof *lookup + message->body.size);
    ENSURE(lookup);
    *lookup = (sim_lookup_t){.message = *message};
    memcpy(lookup->body, message->body.data, message->body.size);
    lookup->message.body = slice_of(lookup->body, message->body.size);
    sim_lookup_t **end = &self->lookups;
    while (*end) {
        end = &(*end)->next;
    }
    *end = lookup;
    return true;
}

/* Rows are read before anything is handled: those of all that had been asked for. */
void lookup_timer(sim_shell_t *self)
{
    size_t asked = self->lookups_asked;
    sim_lookup_t *lookup = self->lookups;
    self->lookups_asked = 0;
    for (size_t i = 0; i < asked; i++, lookup = lookup->next) {
        slice_t producer;
        slice_t key;
        if (names_key(&lookup->message, &producer, &key) &&
            partition_wants(self->core, producer, key)) {
            warm(self, producer, key);
        }
    }
    for (; asked > 0; asked--) {
        lookup = self->lookups;
        self->lookups = lookup->next;
        shell_handle(self, &lookup->message);
        free(lookup);
    }
}

void lookup_turn_end(sim_shell_t *self)
{
    if (self->lookups_asked > 0) {
        return;
    }
    (void)partition_evict(self->core);
    for (const sim_lookup_t *lookup = self->lookups; lookup; lookup = lookup->next) {
        self->lookups_asked++;
    }
    if (self->lookups_asked > 0) {
        random_source_t *random = core_world_random(self->world->simulation);
        core_world_timer(self->world->simulation, self->slot, random_between(random, 20, 2000),
                         SHELL_TIMER_LOOKUP);
    }
}

void lookup_stop(sim_shell_t *self)
{
    while (self->lookups) {
        sim_lookup_t *lookup = self->lookups;
        self->lookups = lookup->next;
        free(lookup);
    }
    self->lookups_asked = 0;
}

void lookup_for_record(sim_shell_t *self, uint32_t record, slice_t data)
{
    slice_t producer;
    slice_t key;
    if (partition_record_key(record, data, &producer, &key) &&
        partition_wants(self->core, producer, key)) {
        warm(self, producer, key);
    }
}

void lookup_cold_rows(const sim_shell_t *self, lookup_row_fn *add, void *context)
{
    const disk_t *disk = &self->world->disk;
    for (size_t i = 0; i < disk->row_count; i++) {
        slice_t name = buffer_slice(&disk->rows[i].key);
        slice_t producer;
        slice_t key;
        if (key_row_parse(name, &producer, &key) &&
            !key_find(self->core, producer_get(self->core, producer), key)) {
            add(context, name, buffer_slice(&disk->rows[i].value));
        }
    }
}

uint64_t lookup_accepted(const sim_shell_t *self, slice_t producer, slice_t key)
{
    const disk_row_t *row = find_row(&self->world->disk, producer, key);
    key_state_t state = {0};
    if (row && codec_decode(key_state_wire(), buffer_slice(&row->value), &state, NULL)) {
        return UINT64_MAX;
    }
    return state.accepted;
}

/* The keys and producers that a partition knows, which of them changed, and the one place where a
 * key's phase changes. */
#include "actors/ordering/partition_state.h"

#include "runtime/base/ensure.h"

/* The phase that follows, plus one; 0: not a row of the table. */
static const uint8_t phase_after[KEY_PHASE_COUNT][KEY_INPUT_COUNT] = {
#define STATE(name, meaning)
#define INPUT(name, meaning)
#define TRANSITION(from, input, to, what) [KEY_##from][KEY_INPUT_##input] = KEY_##to + 1,
#include "actors/ordering/ordering_states.def"
#undef STATE
#undef INPUT
#undef TRANSITION
};

void key_step(partition_t *self, key_entry_t *entry, key_input_t input)
{
    key_phase_t from = entry ? (key_phase_t)entry->row.phase : KEY_IN_ORDER;
    uint8_t after = phase_after[from][input];
    ENSURE(after != 0);
    ENSURE(entry || after == KEY_IN_ORDER + 1);
    self->steps[from][input]++;
    if (entry) {
        entry->row.phase = (uint8_t)(after - 1);
    }
}

static bool producer_is(const void *value, const void *wanted)
{
    const producer_t *producer = value;
    return slice_equal(producer_name(producer), *(const slice_t *)wanted);
}

producer_t *producer_find(partition_t *self, slice_t name)
{
    producer_t *last = self->producer_last;
    if (last && producer_is(last, &name)) {
        return last;
    }
    uint64_t hash = siphash13(self->limits.hash_seed, 0, name);
    producer_t *producer = map_find(&self->producers, hash, producer_is, &name);
    if (producer) {
        self->producer_last = producer;
    }
    return producer;
}

static uint32_t add_to_list(partition_t *self, producer_t *producer)
{
    size_t count = self->producers.count;
    ENSURE(count < UINT32_MAX);
    if (count == self->producer_capacity) {
        self->producer_capacity = count > 0 ? count * 2 : 8;
        self->producer_list =
            realloc(self->producer_list, self->producer_capacity * sizeof *self->producer_list);
        ENSURE(self->producer_list);
    }
    self->producer_list[count] = producer;
    return (uint32_t)count + 1;
}

producer_t *producer_get(partition_t *self, slice_t name)
{
    producer_t *producer = producer_find(self, name);
    if (producer) {
        return producer;
    }
    producer = calloc(1, sizeof *producer + name.size);
    ENSURE(producer);
    producer->number = add_to_list(self, producer);
    producer->row = (row_t){.kind = ROW_PRODUCER, .name_size = (uint32_t)name.size};
    memcpy(producer->name, name.data, name.size);
    map_add(&self->producers, siphash13(self->limits.hash_seed, 0, name), producer);
    return producer;
}

uint64_t partition_epoch_known(partition_t *self, slice_t producer)
{
    const producer_t *known = producer_find(self, producer);
    return known ? known->epoch : 0;
}

typedef struct key_wanted {
    const producer_t *producer;
    slice_t key;
} key_wanted_t;

static bool key_is(const void *value, const void *wanted)
{
    const key_entry_t *entry = value;
    const key_wanted_t *want = wanted;
    return entry->producer == want->producer->number && slice_equal(key_name(entry), want->key);
}

uint64_t key_hash(const partition_t *self, const producer_t *producer, slice_t key)
{
    return siphash13(self->limits.hash_seed, producer->number, key);
}

key_entry_t *key_find(const partition_t *self, const producer_t *producer, slice_t key)
{
    key_wanted_t wanted = {producer, key};
    return map_find(&self->keys, key_hash(self, producer, key), key_is, &wanted);
}

uint64_t partition_fetch_place(partition_t *self, slice_t name, slice_t key)
{
    enum { KEYS_CACHED = 8192 };
    const producer_t *producer = self->keys.count > KEYS_CACHED ? producer_find(self, name) : NULL;
    if (!producer) {
        return 0;
    }
    uint64_t place = key_hash(self, producer, key);
    map_prefetch(&self->keys, place);
    return place;
}

void partition_fetch_key(const partition_t *self, uint64_t place)
{
    if (place != 0) {
        map_prefetch_value(&self->keys, place);
    }
}

key_entry_t *key_get(partition_t *self, producer_t *producer, slice_t key)
{
    key_entry_t *entry = key_find(self, producer, key);
    if (entry) {
        return entry;
    }
    entry = calloc(1, offsetof(key_entry_t, key) + key.size);
    ENSURE(entry);
    entry->producer = producer->number;
    entry->row = (row_t){.kind = ROW_KEY, .phase = KEY_IN_ORDER, .name_size = (uint32_t)key.size};
    memcpy(entry->key, key.data, key.size);
    map_add(&self->keys, key_hash(self, producer, key), entry);
    self->keys_added++;
    return entry;
}

void row_changed(partition_t *self, row_t *row)
{
    if (row->changed) {
        return;
    }
    row->changed = row->used = true;
    row->changed_next = NULL;
    if (self->changed_last) {
        self->changed_last->changed_next = row;
    } else {
        self->changed_first = row;
    }
    self->changed_last = row;
    self->changed_count++;
}

void keys_fini(partition_t *self)
{
    size_t position = 0;
    for (void *entry; (entry = map_next(&self->keys, &position));) {
        free(entry);
    }
    position = 0;
    for (void *producer; (producer = map_next(&self->producers, &position));) {
        free(producer);
    }
    map_fini(&self->keys);
    key_filter_fini(&self->cold);
    map_fini(&self->producers);
    free(self->producer_list);
}

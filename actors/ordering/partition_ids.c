#include "actors/ordering/partition_ids.h"

#include "runtime/base/ensure.h"

#include <stdlib.h>

typedef struct id_wanted {
    slice_t producer;
    uint64_t sequence;
} id_wanted_t;

static bool id_is(const void *value, const void *wanted)
{
    const id_entry_t *id = value;
    const id_wanted_t *want = wanted;
    return id->sequence == want->sequence &&
           slice_equal(slice_of(id->producer, id->row.name_size), want->producer);
}

static uint64_t hash_of(const partition_t *self, slice_t producer, uint64_t sequence)
{
    return siphash13(self->limits.hash_seed, sequence, producer);
}

bool id_is_wanted(const partition_t *self, slice_t producer, uint64_t sequence)
{
    return self->limits.id_window_us > 0 && producer.size > 0 && sequence > 0;
}

static id_entry_t *find(const partition_t *self, slice_t producer, uint64_t sequence)
{
    return map_find(&self->ids, hash_of(self, producer, sequence), id_is,
                    &(id_wanted_t){producer, sequence});
}

bool id_is_known(const partition_t *self, slice_t producer, uint64_t sequence)
{
    return find(self, producer, sequence) != NULL;
}

void id_add(partition_t *self, slice_t producer, uint64_t sequence, int64_t taken_us)
{
    id_entry_t *id = calloc(1, sizeof *id + producer.size);
    ENSURE(id);
    id->row = (row_t){.kind = ROW_ID, .name_size = (uint32_t)producer.size};
    id->sequence = sequence;
    id->taken_us = taken_us;
    memcpy(id->producer, producer.data, producer.size);
    map_add(&self->ids, hash_of(self, producer, sequence), id);
    *(self->id_newest ? &self->id_newest->next : &self->id_oldest) = id;
    self->id_newest = id;
    row_changed(self, &id->row);
}

static int oldest_first(const void *a, const void *b)
{
    int64_t left = (*(id_entry_t *const *)a)->taken_us;
    int64_t right = (*(id_entry_t *const *)b)->taken_us;
    return (left > right) - (left < right);
}

/* Rows come in the order of names. */
static void sort(partition_t *self)
{
    id_entry_t **all = calloc(self->ids.count + 1, sizeof(id_entry_t *));
    ENSURE(all);
    size_t count = 0;
    for (id_entry_t *id = self->id_oldest; id; id = id->next) {
        all[count++] = id;
    }
    qsort(all, count, sizeof(id_entry_t *), oldest_first);
    id_entry_t **link = &self->id_oldest;
    self->id_newest = NULL;
    for (size_t i = 0; i < count; i++) {
        *link = self->id_newest = all[i];
        link = &all[i]->next;
    }
    *link = NULL;
    free(all);
    self->ids_loaded = false;
}

void ids_expire(partition_t *self, int64_t now_us)
{
    if (self->ids_loaded) {
        sort(self);
    }
    while (self->id_oldest && now_us - self->id_oldest->taken_us > self->limits.id_window_us) {
        id_entry_t *id = self->id_oldest;
        slice_t producer = slice_of(id->producer, id->row.name_size);
        self->id_oldest = id->next;
        if (!self->id_oldest) {
            self->id_newest = NULL;
        }
        map_remove(&self->ids, hash_of(self, producer, id->sequence), id);
        id->gone = true;
        row_changed(self, &id->row); /* who saves the row frees it */
    }
}

/* It may have been taken once more since the row was written that is known already. */
void id_load(partition_t *self, slice_t producer, uint64_t sequence, int64_t taken_us)
{
    id_entry_t *id = find(self, producer, sequence);
    if (!id) {
        id_add(self, producer, sequence, taken_us);
    } else if (taken_us > id->taken_us) {
        id->taken_us = taken_us;
        row_changed(self, &id->row);
    }
    self->ids_loaded = true;
}

/* --- rows ------------------------------------------------------------------------------------ */

capstan_err_t id_load_row(partition_t *self, slice_t key, slice_t value)
{
    id_mark_t mark;
    if (key.size <= sizeof(uint64_t) || key.size > PRODUCER_BYTES_MAX + sizeof(uint64_t) ||
        codec_decode(id_mark_wire(), value, &mark, NULL)) {
        return CAPSTAN_E_STORE_CORRUPT;
    }
    const uint8_t *bytes = key.data;
    slice_t producer = slice_of(bytes, key.size - sizeof(uint64_t));
    uint64_t sequence = 0;
    for (size_t i = producer.size; i < key.size; i++) {
        sequence = sequence << 8 | bytes[i];
    }
    if (id_is_known(self, producer, sequence)) {
        return CAPSTAN_E_STORE_CORRUPT;
    }
    id_add(self, producer, sequence, mark.taken_us);
    self->ids_loaded = true;
    return CAPSTAN_OK;
}

void id_save(const id_entry_t *id, uint8_t kind, buffer_t *row_key, buffer_t *row_value)
{
    buffer_append(row_key, &kind, 1);
    buffer_append(row_key, id->producer, id->row.name_size);
    for (int shift = 56; shift >= 0; shift -= 8) {
        buffer_append(row_key, &(uint8_t){(uint8_t)(id->sequence >> shift)}, 1);
    }
    if (!id->gone) {
        codec_encode(id_mark_wire(), &(id_mark_t){.taken_us = id->taken_us}, row_value);
    }
}

void ids_touch(partition_t *self)
{
    for (id_entry_t *id = self->id_oldest; id; id = id->next) {
        row_changed(self, &id->row);
    }
}

void ids_fini(partition_t *self)
{
    for (row_t *row = self->changed_first, *next; row; row = next) {
        next = row->changed_next;
        if (row->kind == ROW_ID && ((id_entry_t *)row)->gone) {
            free(row);
        }
    }
    while (self->id_oldest) {
        id_entry_t *id = self->id_oldest;
        self->id_oldest = id->next;
        free(id);
    }
    map_fini(&self->ids);
}

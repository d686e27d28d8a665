#include "actors/ordering/log_index.h"

#include "runtime/base/ensure.h"

#include <stdlib.h>

enum { ROW_PLACE = 'o' };

void log_index_fini(log_index_t *self)
{
    free(self->list);
    *self = (log_index_t){0};
}

static void put(log_index_t *self, const log_place_t *place)
{
    if (self->count == self->capacity) {
        self->capacity = self->capacity > 0 ? self->capacity * 2 : 16;
        self->list = realloc(self->list, self->capacity * sizeof *self->list);
        ENSURE(self->list);
    }
    self->list[self->count++] = *place;
    self->bytes = 0;
}

void log_index_taken(log_index_t *self, int64_t time_us)
{
    self->time_us = time_us > self->time_us ? time_us : self->time_us;
}

/* False: recovery reads again what lies before the last place. */
static bool is_new(const log_index_t *self, uint64_t offset)
{
    return self->count == 0 || offset > self->list[self->count - 1].offset;
}

void log_index_add(log_index_t *self, uint64_t offset, uint64_t lsn, size_t size)
{
    if (!is_new(self, offset)) {
        return;
    }
    if (self->bytes >= LOG_INDEX_BYTES) {
        put(self, &(log_place_t){.offset = offset, .lsn = lsn, .time_us = self->time_us});
    }
    self->bytes += size;
}

/* How many places at the beginning are not behind `offset`, or say a time before `time_us`. */
static size_t count_before(const log_index_t *self, uint64_t offset, int64_t time_us)
{
    size_t low = 0;
    size_t high = self->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const log_place_t *place = &self->list[middle];
        if (place->offset <= offset && place->time_us < time_us) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

uint64_t log_index_lsn(const log_index_t *self, uint64_t offset)
{
    size_t count = count_before(self, offset, INT64_MAX);
    return count > 0 ? self->list[count - 1].lsn : 0;
}

log_place_t log_index_before(const log_index_t *self, int64_t time_us)
{
    size_t count = count_before(self, UINT64_MAX, time_us);
    return count > 0 ? self->list[count - 1] : (log_place_t){.offset = 1, .lsn = 1};
}

/* --- rows ------------------------------------------------------------------------------------ */

bool log_index_owns_row(slice_t key)
{
    return key.size > 0 && *(const uint8_t *)key.data == ROW_PLACE;
}

capstan_err_t log_index_load_row(log_index_t *self, slice_t value)
{
    log_place_t place;
    if (codec_decode(log_place_wire(), value, &place, NULL) != CAPSTAN_OK) {
        return CAPSTAN_E_STORE_CORRUPT;
    }
    const log_place_t *last = self->count > 0 ? &self->list[self->count - 1] : NULL;
    if (place.offset == 0 || place.lsn < place.offset || place.time_us < self->time_us ||
        (last && (place.offset <= last->offset || place.lsn <= last->lsn))) {
        return CAPSTAN_E_STORE_CORRUPT;
    }
    put(self, &place);
    self->saved = self->count;
    self->time_us = place.time_us;
    return CAPSTAN_OK;
}

static void save_place(const log_place_t *place, log_index_row_fn *add, void *context)
{
    uint8_t key[1 + sizeof(uint64_t)] = {ROW_PLACE};
    buffer_t value = {0};
    for (size_t i = 0; i < sizeof(uint64_t); i++) {
        key[1 + i] = (uint8_t)(place->offset >> (56 - 8 * i));
    }
    codec_encode(log_place_wire(), place, &value);
    add(context, slice_of(key, sizeof key), buffer_slice(&value));
    buffer_fini(&value);
}

void log_index_save(log_index_t *self, uint64_t offset_next, uint64_t lsn_next,
                    log_index_row_fn *add, void *context)
{
    if (offset_next > 1 && is_new(self, offset_next)) {
        put(self, &(log_place_t){.offset = offset_next, .lsn = lsn_next, .time_us = self->time_us});
    }
    while (self->saved < self->count) {
        save_place(&self->list[self->saved++], add, context);
    }
}

void log_index_touch(log_index_t *self)
{
    self->saved = 0;
}

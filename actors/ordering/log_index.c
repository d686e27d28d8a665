#include "actors/ordering/log_index.h"

#include "runtime/base/ensure.h"

#include <stdlib.h>
#include <string.h>

enum {
    ROW_BEGIN = 'O', /* before the places in the order of keys */
    ROW_PLACE = 'o',
};

void log_index_fini(log_index_t *self)
{
    free(self->list);
    free(self->removed);
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
    self->since_us = self->time_us;
}

void log_index_taken(log_index_t *self, int64_t time_us)
{
    self->time_us = time_us > self->time_us ? time_us : self->time_us;
}

/* Of the last place, or of what was removed. */
static uint64_t bytes_before(const log_index_t *self)
{
    return self->count > 0 ? self->list[self->count - 1].bytes : self->begin.bytes;
}

/* False: recovery reads again what lies before the last place. */
static bool is_new(const log_index_t *self, uint64_t offset)
{
    return self->count > 0 ? offset > self->list[self->count - 1].offset
                           : offset >= self->begin.offset;
}

void log_index_add(log_index_t *self, uint64_t offset, uint64_t lsn, size_t size)
{
    if (!is_new(self, offset)) {
        return;
    }
    uint64_t bytes = self->bytes - bytes_before(self);
    uint64_t grain = self->grain_bytes > 0 ? self->grain_bytes : LOG_INDEX_BYTES;
    bool late = self->grain_us > 0 && self->time_us - self->since_us >= self->grain_us;
    if (bytes >= grain || (bytes > 0 && late)) {
        put(self,
            &(log_place_t){
                .offset = offset, .lsn = lsn, .time_us = self->time_us, .bytes = self->bytes});
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
    return count > 0 ? self->list[count - 1].lsn : self->begin.lsn;
}

log_place_t log_index_before(const log_index_t *self, int64_t time_us)
{
    size_t count = count_before(self, UINT64_MAX, time_us);
    if (count > 0) {
        return self->list[count - 1];
    }
    return self->begin.offset > 0 ? self->begin : (log_place_t){.offset = 1, .lsn = 1};
}

/* --- the beginning --------------------------------------------------------------------------- */

log_place_t log_index_cut(const log_index_t *self, const log_cut_t *cut)
{
    size_t count = 0;
    while (count < self->count) {
        const log_place_t *place = &self->list[count];
        bool old = place->time_us <= cut->time_us || self->bytes - place->bytes >= cut->bytes;
        if (!old || place->offset > cut->offset_max || place->lsn > cut->lsn_max) {
            break;
        }
        count++;
    }
    return count > 0 ? self->list[count - 1] : (log_place_t){0};
}

void log_index_begin(log_index_t *self, const log_place_t *place)
{
    if (place->offset <= self->begin.offset) {
        return;
    }
    self->begin = *place;
    size_t gone = 0;
    while (gone < self->count && self->list[gone].offset <= place->offset) {
        gone++;
    }
    if (gone > 0) {
        self->removed =
            realloc(self->removed, (self->removed_count + gone) * sizeof *self->removed);
        ENSURE(self->removed);
    }
    for (size_t i = 0; i < gone; i++) {
        self->removed[self->removed_count++] = self->list[i].offset;
    }
    memmove(self->list, self->list + gone, (self->count - gone) * sizeof *self->list);
    self->count -= gone;
    self->saved = self->saved > gone ? self->saved - gone : 0;
    self->bytes = self->bytes > place->bytes ? self->bytes : place->bytes;
    self->time_us = self->time_us > place->time_us ? self->time_us : place->time_us;
}

/* --- rows ------------------------------------------------------------------------------------ */

bool log_index_owns_row(slice_t key)
{
    uint8_t kind = key.size > 0 ? *(const uint8_t *)key.data : 0;
    return kind == ROW_PLACE || kind == ROW_BEGIN;
}

capstan_err_t log_index_load_row(log_index_t *self, slice_t key, slice_t value)
{
    log_place_t place;
    if (codec_decode(log_place_wire(), value, &place, NULL) != CAPSTAN_OK) {
        return CAPSTAN_E_STORE_CORRUPT;
    }
    const log_place_t *last = self->count > 0 ? &self->list[self->count - 1] : &self->begin;
    if (place.offset == 0 || place.lsn < place.offset || place.time_us < self->time_us ||
        place.bytes < self->bytes || place.offset <= last->offset || place.lsn <= last->lsn) {
        return CAPSTAN_E_STORE_CORRUPT;
    }
    self->time_us = place.time_us;
    self->bytes = place.bytes;
    if (*(const uint8_t *)key.data == ROW_BEGIN) {
        self->begin = place;
        return CAPSTAN_OK;
    }
    put(self, &place);
    self->saved = self->count;
    return CAPSTAN_OK;
}

enum { KEY_BYTES = 1 + sizeof(uint64_t) };

static slice_t row_key(uint64_t offset, uint8_t key[KEY_BYTES])
{
    key[0] = ROW_PLACE;
    for (size_t i = 0; i < sizeof(uint64_t); i++) {
        key[1 + i] = (uint8_t)(offset >> (56 - 8 * i));
    }
    return slice_of(key, KEY_BYTES);
}

static void save_place(slice_t key, const log_place_t *place, log_index_row_fn *add, void *context)
{
    buffer_t value = {0};
    codec_encode(log_place_wire(), place, &value);
    add(context, key, buffer_slice(&value));
    buffer_fini(&value);
}

void log_index_save(log_index_t *self, uint64_t offset_next, uint64_t lsn_next,
                    log_index_row_fn *add, void *context)
{
    static const uint8_t begin = ROW_BEGIN;
    uint8_t key[KEY_BYTES];
    if (offset_next > log_index_first(self) && is_new(self, offset_next)) {
        put(self, &(log_place_t){.offset = offset_next,
                                 .lsn = lsn_next,
                                 .time_us = self->time_us,
                                 .bytes = self->bytes});
    }
    if (self->begin.offset > 0) {
        save_place(slice_of(&begin, 1), &self->begin, add, context);
    }
    for (size_t i = 0; i < self->removed_count; i++) {
        add(context, row_key(self->removed[i], key), (slice_t){0});
    }
    self->removed_saved = self->removed_count;
    for (; self->saved < self->count; self->saved++) {
        const log_place_t *place = &self->list[self->saved];
        save_place(row_key(place->offset, key), place, add, context);
    }
}

void log_index_saved(log_index_t *self)
{
    size_t left = self->removed_count - self->removed_saved;
    if (left > 0) {
        memmove(self->removed, self->removed + self->removed_saved, left * sizeof *self->removed);
    }
    self->removed_count = left;
    self->removed_saved = 0;
}

void log_index_touch(log_index_t *self)
{
    self->saved = 0;
    self->removed_saved = 0;
}

#include "actors/ordering/tail.h"

#include "actors/ordering/erase.h"
#include "runtime/base/ensure.h"

#include <stdlib.h>
#include <string.h>

void tail_init(tail_t *self, uint64_t offset_next, size_t bytes_max)
{
    *self = (tail_t){.offset_first = offset_next,
                     .offset_next = offset_next,
                     .offset_committed = offset_next - 1,
                     .offset_stored = offset_next - 1,
                     .bytes_max = bytes_max};
}

/* What a sealed segment takes, without what malloc adds. */
static size_t memory_of(const tail_segment_t *segment)
{
    return sizeof *segment + segment->position_capacity * sizeof *segment->positions +
           segment->bytes.capacity;
}

static void free_oldest(tail_t *self)
{
    tail_segment_t *segment = self->head;
    self->head = segment->next;
    if (!self->head) {
        self->last = NULL;
    }
    self->bytes -= segment == self->open ? 0 : memory_of(segment);
    self->offset_first = segment->offset_first + segment->count;
    buffer_fini(&segment->bytes);
    free(segment->positions);
    free(segment);
}

void tail_fini(tail_t *self)
{
    while (self->head) {
        free_oldest(self);
    }
    self->open = NULL;
}

static void open_segment(tail_t *self, uint64_t offset)
{
    tail_segment_t *segment = calloc(1, sizeof *segment);
    ENSURE(segment);
    segment->offset_first = offset;
    if (self->last) { /* which tells how large this one will be */
        buffer_reserve(&segment->bytes, self->last->bytes.size);
        self->last->next = segment;
    } else {
        self->head = segment;
        self->offset_first = offset;
    }
    self->last = self->open = segment;
}

void tail_add(tail_t *self, uint64_t offset, slice_t event)
{
    ENSURE(offset == self->offset_next);
    if (!self->open) {
        open_segment(self, offset);
    }
    tail_segment_t *segment = self->open;
    if (segment->count == segment->position_capacity) {
        segment->position_capacity = segment->count ? segment->count * 2 : 64;
        segment->positions =
            realloc(segment->positions, segment->position_capacity * sizeof *segment->positions);
        ENSURE(segment->positions);
    }
    ENSURE(segment->bytes.size <= UINT32_MAX);
    segment->positions[segment->count++] = (uint32_t)segment->bytes.size;
    buffer_append(&segment->bytes, event.data, event.size);
    self->offset_next++;
}

static void trim(tail_segment_t *segment)
{
    uint32_t *positions = realloc(segment->positions, segment->count * sizeof *positions);
    if (positions) {
        segment->positions = positions;
        segment->position_capacity = segment->count;
    }
    buffer_trim(&segment->bytes);
}

void tail_seal(tail_t *self, uint64_t lsn_first, uint64_t lsn_next)
{
    if (self->open) {
        self->open->lsn_first = lsn_first;
        self->open->lsn_next = lsn_next;
        trim(self->open);
        self->bytes += memory_of(self->open);
        self->open = NULL;
    }
}

void tail_commit(tail_t *self, uint64_t lsn_next)
{
    for (const tail_segment_t *segment = self->head; segment && segment != self->open;
         segment = segment->next) {
        if (segment->lsn_next > lsn_next) {
            break;
        }
        self->offset_stored = segment->offset_first + segment->count - 1;
    }
    if (self->offset_stored > self->offset_committed) {
        self->offset_committed = self->offset_stored;
    }
    while (self->bytes > self->bytes_max && self->head != self->open &&
           self->head->offset_first + self->head->count - 1 <= self->offset_stored) {
        free_oldest(self);
    }
}

void tail_let_go(tail_t *self, uint64_t offset)
{
    uint64_t last = offset < self->offset_stored ? offset : self->offset_stored;
    while (self->head && self->head != self->open &&
           self->head->offset_first + self->head->count - 1 <= last) {
        free_oldest(self);
    }
}

void tail_reveal(tail_t *self)
{
    self->offset_committed = self->open ? self->open->offset_first - 1 : self->offset_next - 1;
}

bool tail_covers(const tail_t *self, uint64_t offset)
{
    return offset + 1 >= self->offset_first;
}

/* Where an event's bytes begin, and those before it end. */
static size_t place_of(const tail_segment_t *segment, uint64_t index)
{
    return index < segment->count ? segment->positions[index] : segment->bytes.size;
}

static slice_t event_at(const tail_segment_t *segment, uint64_t index)
{
    size_t begin = place_of(segment, index);
    return slice_of(segment->bytes.data + begin, place_of(segment, index + 1) - begin);
}

/* How many events from `first` on are within so many bytes. */
static uint64_t count_within(const tail_segment_t *segment, uint64_t first, size_t bytes_max)
{
    size_t begin = place_of(segment, first);
    uint64_t end = segment->count;
    if (place_of(segment, end) - begin <= bytes_max) {
        return end - first;
    }
    end = first;
    while (place_of(segment, end + 1) - begin <= bytes_max) {
        end++;
    }
    return end - first;
}

/* Neighbours go as one. */
static void read_run(const tail_segment_t *segment, uint64_t first, uint64_t count,
                     codec_list_writer_t *list, buffer_t *sizes)
{
    size_t begin = place_of(segment, first);
    buffer_append(list->out, segment->bytes.data + begin, place_of(segment, first + count) - begin);
    list->count += (uint32_t)count;
    uint8_t *at = buffer_reserve(sizes, count * sizeof(uint32_t));
    for (uint64_t i = first; i < first + count; i++, at += sizeof(uint32_t)) {
        uint32_t size = (uint32_t)(place_of(segment, i + 1) - place_of(segment, i));
        memcpy(at, &size, sizeof size);
    }
    sizes->size += count * sizeof(uint32_t);
}

uint64_t tail_read(const tail_t *self, tail_cursor_t *cursor, size_t bytes_max,
                   codec_list_writer_t *list, buffer_t *sizes)
{
    uint64_t count = 0;
    size_t begin = list->out->size;
    for (const tail_segment_t *segment = self->head; segment; segment = segment->next) {
        uint64_t end = segment->offset_first + segment->count;
        if (end <= cursor->offset + 1) {
            continue;
        }
        size_t bytes = list->out->size - begin;
        if (end - 1 > self->offset_committed || bytes > bytes_max) {
            break;
        }
        uint64_t first = cursor->offset + 1 - segment->offset_first;
        uint64_t fit = count_within(segment, first, bytes_max - bytes);
        fit += count + fit == 0; /* one at least */
        read_run(segment, first, fit, list, sizes);
        count += fit;
        cursor->offset += fit;
        if (fit > 0) {
            cursor->lsn = cursor->offset + 1 == end ? segment->lsn_next : segment->lsn_first;
        }
        if (cursor->offset + 1 < end) {
            break;
        }
    }
    return count;
}

static bool has_key(const tail_segment_t *segment, slice_t key)
{
    for (uint64_t i = 0; i < segment->count; i++) {
        if (erase_concerns(event_at(segment, i), key)) {
            return true;
        }
    }
    return false;
}

/* Its memory counts as before, which is a little too much. */
static void erase_in(tail_segment_t *segment, slice_t key)
{
    buffer_t bytes = {0};
    uint32_t *positions = calloc(segment->count, sizeof *positions);
    ENSURE(positions);
    for (uint64_t i = 0; i < segment->count; i++) {
        slice_t event = event_at(segment, i);
        positions[i] = (uint32_t)bytes.size;
        if (!erase_concerns(event, key) || erase_event(event, &bytes) != CAPSTAN_OK) {
            buffer_append(&bytes, event.data, event.size);
        }
    }
    memcpy(segment->positions, positions, segment->count * sizeof *positions);
    memset(segment->bytes.data, 0, segment->bytes.size);
    buffer_clear(&segment->bytes);
    buffer_append(&segment->bytes, bytes.data, bytes.size);
    buffer_fini(&bytes);
    free(positions);
}

void tail_erase(tail_t *self, slice_t key)
{
    for (tail_segment_t *segment = self->head; segment; segment = segment->next) {
        if (has_key(segment, key)) {
            erase_in(segment, key);
        }
    }
}

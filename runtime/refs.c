#include "runtime/refs.h"

#include "runtime/base/ensure.h"

enum { CAPACITY_FIRST = 4 };

static uint32_t home_of(const refs_t *self, capstan_ref_t ref)
{
    uint64_t word = (uint64_t)ref.slot << 32 | ref.generation;
    word = (word ^ ref.node) * UINT64_C(0x9e3779b97f4a7c15);
    return (uint32_t)(word >> 32) & (self->capacity - 1);
}

/* Where the entry is, or the empty place that it would take. */
static uint32_t place_of(const refs_t *self, capstan_ref_t ref)
{
    uint32_t place = home_of(self, ref);
    while (self->entries[place].word != 0 && !capstan_ref_equal(self->entries[place].ref, ref)) {
        place = (place + 1) & (self->capacity - 1);
    }
    return place;
}

uint32_t refs_find(const refs_t *self, capstan_ref_t ref)
{
    return self->capacity > 0 ? self->entries[place_of(self, ref)].word : 0;
}

static void grow(refs_t *self)
{
    refs_t bigger = {.capacity = self->capacity > 0 ? self->capacity * 2 : CAPACITY_FIRST,
                     .count = self->count};
    bigger.entries = calloc(bigger.capacity, sizeof *bigger.entries);
    ENSURE(bigger.entries);
    size_t position = 0;
    for (const refs_entry_t *entry; (entry = refs_next(self, &position));) {
        bigger.entries[place_of(&bigger, entry->ref)] = *entry;
    }
    free(self->entries);
    *self = bigger;
}

void refs_add(refs_t *self, capstan_ref_t ref, uint32_t bits)
{
    ENSURE(bits != 0 && !capstan_ref_is_null(ref));
    if ((self->count + 1) * 4 > self->capacity * 3) {
        grow(self);
    }
    refs_entry_t *entry = &self->entries[place_of(self, ref)];
    self->count += entry->word == 0;
    entry->ref = ref;
    entry->word |= bits;
}

/* Closes the gap that an entry leaves: those behind it that probed past it move up. */
static void take_out(refs_t *self, uint32_t place)
{
    uint32_t mask = self->capacity - 1;
    for (uint32_t next = (place + 1) & mask; self->entries[next].word != 0;
         next = (next + 1) & mask) {
        uint32_t probed = (next - home_of(self, self->entries[next].ref)) & mask;
        if (probed >= ((next - place) & mask)) {
            self->entries[place] = self->entries[next];
            place = next;
        }
    }
    self->entries[place] = (refs_entry_t){0};
    if (--self->count == 0) {
        refs_fini(self);
    }
}

uint32_t refs_remove(refs_t *self, capstan_ref_t ref, uint32_t bits)
{
    if (self->capacity == 0) {
        return 0;
    }
    uint32_t place = place_of(self, ref);
    uint32_t before = self->entries[place].word;
    if (before != 0 && (self->entries[place].word &= ~bits) == 0) {
        take_out(self, place);
    }
    return before;
}

const refs_entry_t *refs_next(const refs_t *self, size_t *position)
{
    while (*position < self->capacity) {
        const refs_entry_t *entry = &self->entries[(*position)++];
        if (entry->word != 0) {
            return entry;
        }
    }
    return NULL;
}

void refs_fini(refs_t *self)
{
    free(self->entries);
    *self = (refs_t){0};
}

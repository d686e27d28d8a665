/* Values for every row of every table, made from the row itself. Used by the tests of the codec
 * and by the golden vectors; tests/contract/vectors_test.py follows the same rules.
 *
 *   UINT  7 to the power of the key          STR   the field's name, a blank and "é"
 *   INT   minus 7 to the power of the key    BIN   3 * key bytes: 0, 1, 2 ...
 *   BOOL  true                               LIST  two elements: all fields, required fields
 *   REF   [key, key + 1], for even keys followed by 7 to the power of the key and key + 2 */
#ifndef TESTS_WIRE_SAMPLE_H
#define TESTS_WIRE_SAMPLE_H

#include "runtime/base/ensure.h"
#include "runtime/wire/walk.h"

typedef enum sample_mode {
    SAMPLE_ALL,      /* every field */
    SAMPLE_REQUIRED, /* required fields only */
    SAMPLE_ZERO,     /* required fields only, each zero or empty */
    SAMPLE_RANDOM,   /* any legal value, many fields absent */
    SAMPLE_MODES,
} sample_mode_t;

/* Where samples keep their text, bytes and lists; cleared by whoever begins a new sample. */
typedef struct sample {
    sample_mode_t mode;
    uint64_t random; /* state of xorshift, not 0 */
    size_t used;
    uint8_t memory[1 << 20];
} sample_t;

static inline uint64_t sample_random(sample_t *self)
{
    self->random ^= self->random << 13;
    self->random ^= self->random >> 7;
    self->random ^= self->random << 17;
    return self->random;
}

static inline slice_t sample_keep(sample_t *self, const void *data, size_t size)
{
    ENSURE(size <= sizeof self->memory - self->used);
    uint8_t *to = self->memory + self->used;
    if (size > 0) {
        memcpy(to, data, size);
    }
    self->used += size;
    return slice_of(to, size);
}

static inline uint64_t sample_power(const wire_field_t *field)
{
    uint64_t power = 1;
    for (unsigned i = 0; i < field->key; i++) {
        power *= 7;
    }
    return power;
}

static inline uint64_t sample_number(sample_t *self, const wire_field_t *field)
{
    return self->mode != SAMPLE_RANDOM ? sample_power(field)
                                       : sample_random(self) >> (sample_random(self) % 64);
}

static inline capstan_ref_t sample_ref(sample_t *self, const wire_field_t *field)
{
    if (self->mode == SAMPLE_RANDOM) {
        uint64_t random = sample_random(self);
        bool local = random & 1;
        return (capstan_ref_t){.node = local ? 0 : sample_random(self),
                               .boot = local ? 0 : (uint32_t)(random >> 40),
                               .slot = (uint32_t)(random >> 8),
                               .generation = 1 + (uint32_t)(random >> 48)};
    }
    capstan_ref_t ref = {.slot = field->key, .generation = field->key + 1U};
    if (field->key % 2 == 0) {
        ref.node = sample_power(field);
        ref.boot = field->key + 2U;
    }
    return ref;
}

static inline slice_t sample_slice(sample_t *self, const wire_field_t *field)
{
    static const char *const letters[] = {"a", "\0", "é", "ß", "€", "\xf0\x9f\x92\xa1", "z", "0"};
    uint8_t bytes[3 * WIRE_KEY_MAX];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)i;
    }
    if (self->mode != SAMPLE_RANDOM && field->type == CAPSTAN_TYPE_BIN) {
        return sample_keep(self, bytes, 3 * (size_t)field->key);
    }
    slice_t slice = sample_keep(self, "", 0);
    if (self->mode != SAMPLE_RANDOM) {
        slice.size += sample_keep(self, field->name, strlen(field->name)).size;
        slice.size += sample_keep(self, " é", strlen(" é")).size;
        return slice;
    }
    if (field->type == CAPSTAN_TYPE_BIN) {
        return sample_keep(self, bytes, sample_random(self) % sizeof bytes);
    }
    for (uint64_t left = sample_random(self) % 80; left > 0; left--) {
        const char *letter = letters[sample_random(self) % 8];
        slice.size += sample_keep(self, letter, *letter ? strlen(letter) : 1).size;
    }
    return slice;
}

static inline void sample_fill(sample_t *self, const wire_record_t *record, void *value);

static inline slice_t sample_list(sample_t *self, const wire_record_t *record)
{
    static const sample_mode_t modes[] = {SAMPLE_ALL, SAMPLE_REQUIRED};
    sample_mode_t mode = self->mode;
    unsigned count = mode == SAMPLE_RANDOM ? (unsigned)(sample_random(self) % 4) : 2;
    buffer_t out = {0};
    uint8_t head = (uint8_t)(0x90 | count);
    buffer_append(&out, &head, 1);
    for (unsigned i = 0; i < count; i++) {
        codec_space_t space;
        self->mode = mode == SAMPLE_RANDOM ? mode : modes[i];
        sample_fill(self, record, space.bytes);
        codec_encode(record, space.bytes, &out);
    }
    self->mode = mode;
    slice_t list = sample_keep(self, out.data, out.size);
    buffer_fini(&out);
    return list;
}

static inline void sample_field(sample_t *self, const wire_field_t *field, uint8_t *place)
{
    uint64_t number = sample_number(self, field);
    if (field->type == CAPSTAN_TYPE_UINT) {
        memcpy(place, &number, sizeof number);
    } else if (field->type == CAPSTAN_TYPE_INT) {
        int64_t value = -(int64_t)(number & INT64_MAX);
        memcpy(place, &value, sizeof value);
    } else if (field->type == CAPSTAN_TYPE_BOOL) {
        bool value = self->mode != SAMPLE_RANDOM || (number & 1);
        memcpy(place, &value, sizeof value);
    } else if (field->type == CAPSTAN_TYPE_REF) {
        capstan_ref_t value = sample_ref(self, field);
        memcpy(place, &value, sizeof value);
    } else {
        slice_t value =
            field->record ? sample_list(self, field->record()) : sample_slice(self, field);
        memcpy(place, &value, sizeof value);
    }
}

/* Fills a struct of `record` by the mode. */
static inline void sample_fill(sample_t *self, const wire_record_t *record, void *value)
{
    memset(value, 0, record->size);
    for (size_t i = 0; i < record->field_count; i++) {
        const wire_field_t *field = &record->fields[i];
        bool wanted = self->mode == SAMPLE_ALL ||
                      (self->mode == SAMPLE_REQUIRED && field->required) ||
                      (self->mode == SAMPLE_RANDOM && (field->required || sample_random(self) % 3));
        if (wanted) {
            sample_field(self, field, (uint8_t *)value + field->offset);
        }
    }
}

#endif

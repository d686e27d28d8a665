/* A stranger's bytes: seeded mutations of legal messages, and noise. Nothing may crash, read a
 * byte outside (run under the address sanitizer), or accept what it cannot give back. */
#include "runtime/wire/batch.h"
#include "tests/kit/wire_compare.h"
#include "tests/kit/wire_sample.h"

#include <criterion/criterion.h>

enum { MUTATIONS_PER_ROW = 2000 };

static sample_t sample = {.random = 4711};

/* Changes, removes, inserts or copies a few bytes, with a taste for type bytes and lengths. */
static void mutate(buffer_t *bytes)
{
    static const uint8_t nasty[] = {0x80, 0x8f, 0x9f, 0xa1, 0xbf, 0xc0, 0xc1, 0xc4, 0xc6, 0xc9,
                                    0xcb, 0xcf, 0xd3, 0xd8, 0xdb, 0xdd, 0xdf, 0xe0, 0xff, 0x7f};
    for (uint64_t left = 1 + sample_random(&sample) % 4; left > 0 && bytes->size > 0; left--) {
        size_t place = sample_random(&sample) % bytes->size;
        size_t tail = bytes->size - place - 1;
        switch (sample_random(&sample) % 4) {
        case 0:
            bytes->data[place] = (uint8_t)sample_random(&sample);
            break;
        case 1:
            bytes->data[place] = nasty[sample_random(&sample) % sizeof nasty];
            break;
        case 2:
            memmove(bytes->data + place, bytes->data + place + 1, tail);
            bytes->size--;
            break;
        default:
            buffer_reserve(bytes, 1);
            memmove(bytes->data + place + 1, bytes->data + place, tail + 1);
            bytes->size++;
            break;
        }
    }
}

/* Walks all lists of a decoded struct, and the lists of their elements. */
static void walk_lists(const wire_record_t *record, const void *value)
{
    for (size_t i = 0; i < record->field_count; i++) {
        slice_t slice;
        codec_list_t list;
        codec_space_t element;
        const wire_field_t *field = &record->fields[i];
        if (!field->record) {
            continue;
        }
        memcpy(&slice, (const uint8_t *)value + field->offset, sizeof slice);
        if (codec_list_open(field->record(), slice, &list)) {
            continue;
        }
        uint64_t count = 0;
        for (; codec_list_next(&list, element.bytes); count++) {
            walk_lists(field->record(), element.bytes);
        }
        cr_assert(list.fault.err || count == codec_list_count(slice));
    }
}

static bool try_decode(const wire_record_t *record, slice_t input)
{
    codec_space_t value;
    codec_space_t again;
    codec_fault_t fault = {.err = CAPSTAN_OK};
    uint8_t *copy = malloc(input.size > 0 ? input.size : 1);
    memcpy(copy, input.data, input.size);
    slice_t exact = slice_of(copy, input.size);
    capstan_err_t err = codec_decode(record, exact, value.bytes, &fault);
    if (!err) {
        /* What was accepted can be written, and reads the same again. */
        buffer_t out = {0};
        walk_lists(record, value.bytes);
        codec_encode(record, value.bytes, &out);
        cr_assert_eq(codec_decode(record, buffer_slice(&out), again.bytes, NULL), CAPSTAN_OK);
        cr_assert(sample_equal(record, value.bytes, again.bytes));
        buffer_t checked = {0};
        if (!capstan_encode(record, value.bytes, &checked, NULL)) {
            cr_assert(slice_equal(buffer_slice(&out), buffer_slice(&checked)));
        }
        buffer_fini(&checked);
        buffer_fini(&out);
    }
    cr_assert(err == fault.err && fault.position <= input.size);
    free(copy);
    return err == CAPSTAN_OK;
}

static unsigned accepted;
static unsigned refused;

static void mutations(const wire_record_t *record)
{
    codec_space_t value;
    buffer_t bytes = {0};
    sample.mode = SAMPLE_RANDOM;
    for (int i = 0; i < MUTATIONS_PER_ROW; i++) {
        sample.used = 0;
        buffer_clear(&bytes);
        sample_fill(&sample, record, value.bytes);
        codec_encode(record, value.bytes, &bytes);
        mutate(&bytes);
        *(try_decode(record, buffer_slice(&bytes)) ? &accepted : &refused) += 1;
    }
    buffer_fini(&bytes);
}

Test(hostile, mutated_bodies_are_refused_or_can_be_given_back)
{
    sample_each_row(mutations);
    cr_assert(accepted > 1000 && refused > 1000, "the mutations are neither blind nor too coarse");
}

static void noise(const wire_record_t *record)
{
    uint8_t bytes[64];
    for (int i = 0; i < MUTATIONS_PER_ROW; i++) {
        size_t size = sample_random(&sample) % sizeof bytes;
        for (size_t j = 0; j < size; j++) {
            bytes[j] = (uint8_t)sample_random(&sample);
        }
        try_decode(record, slice_of(bytes, size));
    }
}

Test(hostile, noise_is_survived)
{
    sample_each_row(noise);
}

Test(hostile, mutated_batches_never_yield_more_than_they_claim)
{
    buffer_t bytes = {0};
    sample.mode = SAMPLE_RANDOM;
    for (int i = 0; i < 50000; i++) {
        sample.used = 0;
        buffer_clear(&bytes);
        batch_writer_t writer = batch_begin(&bytes);
        for (int j = 0; j < 3; j++) {
            envelope_t envelope;
            sample_fill(&sample, envelope_wire(), &envelope);
            batch_add(&writer, &envelope, slice_of("0123456789", sample_random(&sample) % 11));
        }
        batch_seal(&writer, &(link_header_t){.version = WIRE_VERSION, .sequence = 1});
        mutate(&bytes);

        batch_reader_t reader;
        envelope_t envelope;
        slice_t body;
        uint64_t count = 0;
        if (batch_open(buffer_slice(&bytes), &reader)) {
            continue;
        }
        const uint8_t *end = bytes.data + bytes.size;
        for (; batch_next(&reader, &envelope, &body); count++) {
            cr_assert((const uint8_t *)body.data + body.size <= end);
        }
        cr_assert(count <= reader.header.count);
        cr_assert(reader.fault.err || count == reader.header.count);
    }
    buffer_fini(&bytes);
}

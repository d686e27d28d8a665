/* Bodies and records of all tables: the first byte picks the row, the rest is its encoding. What is
 * accepted can be written again, and reads the same. */
#include "tests/kit/wire_compare.h"
#include "tests/kit/wire_sample.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The row's descriptor, counted over all tables. */
static const wire_record_t *pick_row(size_t number)
{
    size_t count = 0;
    size_t rows = 0;
    const wire_table_t *const *tables = node_tables(&count);
    for (size_t i = 0; i < count; i++) {
        rows += tables[i]->count;
    }
    number %= rows;
    while (number >= (*tables)->count) {
        number -= (*tables++)->count;
    }
    return (*tables)->records[number]();
}

static void walk_lists(const wire_record_t *record, const uint8_t *value)
{
    for (size_t i = 0; i < record->field_count; i++) {
        slice_t slice;
        codec_list_t list;
        codec_space_t element;
        const wire_field_t *field = &record->fields[i];
        if (!field->record) {
            continue;
        }
        memcpy(&slice, value + field->offset, sizeof slice);
        if (!codec_list_open(field->record(), slice, &list)) {
            while (codec_list_next(&list, element.bytes)) {
                walk_lists(field->record(), element.bytes);
            }
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    const wire_record_t *record = pick_row(data[0]);
    slice_t body = slice_of(data + 1, size - 1);
    codec_space_t value;
    codec_space_t again;
    slice_t peeked;
    uint64_t number;
    (void)codec_peek_slice(body, 2, &peeked);
    (void)codec_peek_uint(body, 1, &number);
    if (codec_decode(record, body, value.bytes, NULL)) {
        return 0;
    }
    buffer_t out = {0};
    walk_lists(record, value.bytes);
    codec_encode(record, value.bytes, &out);
    ENSURE(codec_decode(record, buffer_slice(&out), again.bytes, NULL) == CAPSTAN_OK);
    ENSURE(sample_equal(record, value.bytes, again.bytes));
    /* What users call writes the same, or refuses a list that no reader could walk. */
    buffer_t checked = {0};
    if (!capstan_encode(record, value.bytes, &checked, NULL)) {
        ENSURE(slice_equal(buffer_slice(&out), buffer_slice(&checked)));
    }
    buffer_fini(&checked);
    buffer_fini(&out);
    return 0;
}

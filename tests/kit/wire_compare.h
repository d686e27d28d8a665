/* Comparing structs of the tables, and walking over all rows. */
#ifndef TESTS_WIRE_COMPARE_H
#define TESTS_WIRE_COMPARE_H

#include "node/tables.h"
#include "runtime/base/ensure.h"
#include "runtime/wire/codec.h"

static inline bool sample_field_equal(const wire_field_t *field, const void *a, const void *b)
{
    slice_t x;
    slice_t y;
    capstan_ref_t left;
    capstan_ref_t right;
    switch (field->type) {
    case CAPSTAN_TYPE_UINT:
    case CAPSTAN_TYPE_INT:
        return memcmp(a, b, sizeof(uint64_t)) == 0;
    case CAPSTAN_TYPE_BOOL:
        return memcmp(a, b, sizeof(bool)) == 0;
    case CAPSTAN_TYPE_REF:
        memcpy(&left, a, sizeof left);
        memcpy(&right, b, sizeof right);
        return capstan_ref_equal(left, right) ||
               (capstan_ref_is_null(left) && capstan_ref_is_null(right));
    default:
        memcpy(&x, a, sizeof x);
        memcpy(&y, b, sizeof y);
        return slice_equal(x, y) || (field->type == CAPSTAN_TYPE_LIST && codec_list_count(x) == 0 &&
                                     codec_list_count(y) == 0);
    }
}

/* Two structs mean the same: equal numbers, equal content of slices. */
static inline bool sample_equal(const wire_record_t *record, const void *a, const void *b)
{
    for (size_t i = 0; i < record->field_count; i++) {
        const wire_field_t *field = &record->fields[i];
        if (!sample_field_equal(field, (const uint8_t *)a + field->offset,
                                (const uint8_t *)b + field->offset)) {
            return false;
        }
    }
    return true;
}

/* Calls `each` with every row of every table. */
static inline void sample_each_row(void (*each)(const wire_record_t *record))
{
    size_t count = 0;
    const wire_table_t *const *tables = node_tables(&count);
    ENSURE(count > 0);
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < tables[i]->count; j++) {
            each(tables[i]->records[j]());
        }
    }
}

#endif

#include "cli/csv_writer.h"

static bool needs_quotes(const uint8_t *text, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        uint8_t c = text[i];
        if (c <= '"' ? c == '"' || c == '\n' || c == '\r' : c == ',') {
            return true;
        }
    }
    return false;
}

void csv_write_field(slice_t field, bool alone, buffer_t *out)
{
    const uint8_t *text = field.data;
    if (!needs_quotes(text, field.size) && !(alone && field.size == 0)) {
        buffer_append(out, text, field.size);
        return;
    }
    uint8_t *start = buffer_reserve(out, 2 * field.size + 2);
    uint8_t *to = start;
    *to++ = '"';
    for (size_t i = 0; i < field.size; i++) {
        if (text[i] == '"') {
            *to++ = '"';
        }
        *to++ = text[i];
    }
    *to++ = '"';
    out->size += (size_t)(to - start);
}

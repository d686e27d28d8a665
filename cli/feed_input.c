#include "cli/feed_input.h"

#include "cli/csv_reader.h"
#include "cli/feed_time.h"
#include "runtime/base/buffer.h"
#include "runtime/base/ensure.h"
#include "runtime/base/json_writer.h"
#include "runtime/wire/walk.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

enum { SHOWN_BYTES = 40 };

struct feed_input {
    feed_input_options_t options;
    csv_reader_t *csv;
    size_t columns;
    slice_t *names; /* [columns], into `header` */
    buffer_t header;
    buffer_t payload; /* of the row at hand */
    size_t key;       /* columns; `columns` when there is none */
    size_t sequence;
    size_t time;
    size_t not_before;
};

/* A text as it may stand in a message: short, and without what could upset a terminal. */
typedef struct shown {
    char text[4 * SHOWN_BYTES + 4];
} shown_t;

static shown_t show(slice_t text)
{
    shown_t shown;
    const uint8_t *from = text.data;
    char *to = shown.text;
    size_t end = text.size < SHOWN_BYTES ? text.size : SHOWN_BYTES;
    for (size_t i = 0; i < end;) {
        size_t length = utf8_length(slice_of(from + i, text.size - i));
        bool plain = length > 0 && from[i] >= ' ' && from[i] != 0x7f && i + length <= end &&
                     !(from[i] == 0xc2 && from[i + 1] < 0xa0); /* C1 control characters */
        if (plain) {
            memcpy(to, from + i, length);
            to += length;
            i += length;
        } else {
            to += snprintf(to, 5, "\\x%02x", from[i++]);
        }
    }
    memcpy(to, text.size > end ? "..." : "", text.size > end ? 4 : 1);
    return shown;
}

feed_input_t *feed_input_new(const feed_input_options_t *options)
{
    feed_input_t *self = calloc(1, sizeof *self);
    ENSURE(self);
    self->options = *options;
    self->csv = csv_reader_new(options->fd);
    return self;
}

void feed_input_destroy(feed_input_t **self_p)
{
    feed_input_t *self = *self_p;
    if (self) {
        csv_reader_destroy(&self->csv);
        buffer_fini(&self->header);
        buffer_fini(&self->payload);
        free(self->names);
        free(self);
        *self_p = NULL;
    }
}

/* NULL, or why this is no text that can be sent as such. */
static const char *text_fault(slice_t text)
{
    const uint8_t *at = text.data;
    for (size_t left = text.size; left > 0;) {
        size_t length = *at == 0 ? 0 : *at < 0x80 ? 1 : utf8_length(slice_of(at, left));
        if (length == 0) {
            return *at == 0 ? "has a NUL byte" : "is not UTF-8";
        }
        at += length;
        left -= length;
    }
    return NULL;
}

/* ---- The header. ---- */

static const char *archive_hint(slice_t magic)
{
    const struct {
        const char *bytes;
        size_t size;
        const char *hint;
    } kinds[] = {
        {"\x1f\x8b", 2, "is compressed with gzip: use `zcat FILE | capstan feed ... -`"},
        {"\x28\xb5\x2f\xfd", 4, "is compressed with zstd: use `zstdcat FILE | capstan feed ... -`"},
        {"BZh", 3, "is compressed with bzip2: use `bzcat FILE | capstan feed ... -`"},
        {"PK\x03\x04", 4, "is a zip archive or a spreadsheet: export it as CSV"},
        {"\xff\xfe", 2, "is UTF-16: use `iconv -f UTF-16 -t UTF-8 FILE | capstan feed ... -`"},
        {"\xfe\xff", 2, "is UTF-16: use `iconv -f UTF-16 -t UTF-8 FILE | capstan feed ... -`"},
    };
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (magic.size >= kinds[i].size && memcmp(magic.data, kinds[i].bytes, kinds[i].size) == 0) {
            return kinds[i].hint;
        }
    }
    return NULL;
}

static bool find_column(const feed_input_t *self, const char *name, size_t *ret_column)
{
    size_t i = 0;
    while (name && i < self->columns && !slice_equal(self->names[i], slice_text(name))) {
        i++;
    }
    *ret_column = name ? i : self->columns;
    return !name || i < self->columns;
}

static void list_columns(const feed_input_t *self, char *text, size_t size)
{
    size_t used = 0;
    for (size_t i = 0; i < self->columns && used + sizeof(shown_t) < size; i++) {
        shown_t shown = show(self->names[i]);
        used += (size_t)snprintf(text + used, size - used, "%s%s", i ? ", " : "", shown.text);
    }
}

static void keep_names(feed_input_t *self, const csv_row_t *row)
{
    self->columns = row->count;
    self->names = calloc(row->count, sizeof *self->names);
    ENSURE(self->names);
    for (size_t i = 0; i < row->count; i++) {
        buffer_append(&self->header, row->fields[i].data, row->fields[i].size);
    }
    const uint8_t *at = self->header.data;
    for (size_t i = 0; i < row->count; i++) {
        self->names[i] = slice_of(at, row->fields[i].size);
        at += row->fields[i].size;
    }
}

/* What is wrong with the header by itself, in `text` when it is not constant. */
static const char *header_fault(const csv_row_t *row, char *text, size_t size)
{
    if (row->fault) {
        snprintf(text, size, "the header's field %zu %s", row->fault_field + 1, row->fault);
        return text;
    }
    if (row->count > CSV_FIELDS_MAX) {
        snprintf(text, size, "the header has %zu fields, at most %d are possible", row->count,
                 CSV_FIELDS_MAX);
        return text;
    }
    for (size_t i = 0; i < row->count; i++) {
        if (text_fault(row->fields[i])) {
            return "is no CSV text in UTF-8: its first line is no header";
        }
        for (size_t j = 0; j < i; j++) {
            if (slice_equal(row->fields[i], row->fields[j])) {
                snprintf(text, size, "field '%s': the header has it twice: rename one",
                         show(row->fields[i]).text);
                return text;
            }
        }
    }
    return NULL;
}

static feed_input_result_t refuse(const feed_input_t *self, uint64_t line, const char *what,
                                  char *ret_text)
{
    if (line > 0) {
        snprintf(ret_text, FEED_TEXT_MAX, "%s:%llu: %s", self->options.file,
                 (unsigned long long)line, what);
    } else {
        snprintf(ret_text, FEED_TEXT_MAX, "%s: %s", self->options.file, what);
    }
    return FEED_INPUT_FAILED;
}

static feed_input_result_t find_columns(feed_input_t *self, uint64_t line, char *ret_text)
{
    const struct {
        const char *option;
        const char *name;
        size_t *column;
    } wanted[] = {
        {"key", self->options.key, &self->key},
        {"seq", self->options.sequence, &self->sequence},
        {"time", self->options.time, &self->time},
        {"not-before", self->options.not_before, &self->not_before},
    };
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        if (!find_column(self, wanted[i].name, wanted[i].column)) {
            char list[FEED_TEXT_MAX / 2];
            char what[FEED_TEXT_MAX - 256];
            list_columns(self, list, sizeof list);
            snprintf(what, sizeof what,
                     "field '%.256s' (--%s): the header has no such column; it has: %s%s",
                     wanted[i].name, wanted[i].option, list,
                     self->columns == 1 ? " (fields are separated by commas)" : "");
            return refuse(self, line, what, ret_text);
        }
    }
    return FEED_INPUT_ROW;
}

feed_input_result_t feed_input_open(feed_input_t *self, char *ret_text)
{
    csv_row_t row;
    csv_result_t result = csv_reader_next(self->csv, -1, &row);
    if (result == CSV_WAIT) {
        return FEED_INPUT_WAIT;
    }
    if (result == CSV_BROKEN) {
        return refuse(self, 0, strerror(errno), ret_text);
    }
    const char *archive = archive_hint(csv_reader_magic(self->csv));
    if (archive) {
        return refuse(self, 0, archive, ret_text);
    }
    if (result == CSV_END) {
        return refuse(self, 0, "is empty: the first line must be a header with the fields' names",
                      ret_text);
    }
    char text[512];
    const char *fault = header_fault(&row, text, sizeof text);
    if (fault) {
        return refuse(self, row.line, fault, ret_text);
    }
    keep_names(self, &row);
    return find_columns(self, row.line, ret_text);
}

/* ---- The rows. ---- */

__attribute__((format(printf, 4, 5))) static bool bad(const feed_input_t *self, size_t column,
                                                      feed_bad_t *ret_bad, const char *format, ...)
{
    char what[FEED_TEXT_MAX / 2];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof what, format, arguments);
    va_end(arguments);
    if (column < self->columns) {
        snprintf(ret_bad->text, sizeof ret_bad->text, "field '%s': %s",
                 show(self->names[column]).text, what);
    } else {
        snprintf(ret_bad->text, sizeof ret_bad->text, "field %zu: %s", column + 1, what);
    }
    return false;
}

static const char *sequence_parse(slice_t text, uint64_t *ret_sequence)
{
    static const char no_number[] = "is no number: sequences are 1, 2, 3 ... for each key";
    uint64_t sequence = 0;
    const uint8_t *digits = text.data;
    for (size_t i = 0; i < text.size; i++) {
        if (digits[i] < '0' || digits[i] > '9') {
            return no_number;
        }
        if (__builtin_mul_overflow(sequence, 10, &sequence) ||
            __builtin_add_overflow(sequence, digits[i] - '0', &sequence)) {
            return "is too large: sequences have at most 64 bits";
        }
    }
    if (text.size == 0) {
        return no_number;
    }
    *ret_sequence = sequence;
    return sequence > 0 ? NULL : "is 0: sequences begin at 1 for each key";
}

static bool check_shape(const feed_input_t *self, const csv_row_t *row, feed_bad_t *ret_bad)
{
    if (row->fault) {
        return bad(self, row->fault_field, ret_bad, "%s", row->fault);
    }
    if (row->count != self->columns) {
        size_t first = row->count < self->columns ? row->count : self->columns;
        return bad(self, first, ret_bad, "%s: the row has %zu fields, the header has %zu",
                   row->count < self->columns ? "is missing" : "is too much", row->count,
                   self->columns);
    }
    return true;
}

static bool check_time(const feed_input_t *self, const csv_row_t *row, size_t column,
                       int64_t *ret_us, feed_bad_t *ret_bad)
{
    if (column == self->columns) {
        return true;
    }
    slice_t text = row->fields[column];
    const char *fault = feed_time_parse(text, ret_us);
    return !fault || bad(self, column, ret_bad, "'%s' %s", show(text).text, fault);
}

static bool is_empty(const feed_input_t *self, const csv_row_t *row, size_t column)
{
    return column < self->columns && row->fields[column].size == 0;
}

/* Checks all fields and reads the named ones into `numbers`. */
static bool check_fields(const feed_input_t *self, const csv_row_t *row, feed_row_t *numbers,
                         feed_bad_t *ret_bad)
{
    for (size_t i = 0; i < row->count; i++) {
        const char *fault = text_fault(row->fields[i]);
        if (fault) {
            return bad(self, i, ret_bad, "%s", fault);
        }
    }
    slice_t key = row->fields[self->key];
    if (key.size == 0 || key.size > FEED_KEY_BYTES_MAX) {
        return bad(self, self->key, ret_bad, "is the key and has %zu bytes; 1 to %d are allowed",
                   key.size, FEED_KEY_BYTES_MAX);
    }
    if (self->sequence < self->columns) {
        slice_t text = row->fields[self->sequence];
        const char *fault = sequence_parse(text, &numbers->sequence);
        if (fault) {
            return bad(self, self->sequence, ret_bad, "'%s' %s", show(text).text, fault);
        }
    }
    return check_time(self, row, self->time, &numbers->time_us, ret_bad) &&
           (is_empty(self, row, self->not_before) ||
            check_time(self, row, self->not_before, &numbers->not_before_us, ret_bad));
}

static void append_text(buffer_t *out, slice_t text)
{
    uint8_t *end = pack_str(buffer_reserve(out, text.size + PACK_HEAD_MAX), text);
    out->size = (size_t)(end - out->data);
}

static void encode_payload(feed_input_t *self, const csv_row_t *row)
{
    buffer_clear(&self->payload);
    uint8_t *head = buffer_reserve(&self->payload, 3);
    if (row->count < 16) {
        head[0] = (uint8_t)(0x80 | row->count); /* fixmap */
    } else {
        head[0] = 0xde; /* map 16 */
        pack_be(head + 1, row->count, 2);
    }
    self->payload.size = row->count < 16 ? 1 : 3;
    for (size_t i = 0; i < row->count; i++) {
        append_text(&self->payload, self->names[i]);
        append_text(&self->payload, row->fields[i]);
    }
}

static feed_row_t *make_row(feed_input_t *self, const csv_row_t *csv, const feed_row_t *numbers)
{
    encode_payload(self, csv);
    slice_t key = csv->fields[self->key];
    feed_row_t *row = malloc(sizeof *row + key.size + self->payload.size);
    ENSURE(row);
    *row = (feed_row_t){
        .line = csv->line,
        .sequence = numbers->sequence,
        .time_us = numbers->time_us,
        .not_before_us = numbers->not_before_us,
        .key_size = (uint32_t)key.size,
        .payload_size = (uint32_t)self->payload.size,
    };
    memcpy(row->bytes, key.data, key.size);
    memcpy(row->bytes + key.size, self->payload.data, self->payload.size);
    return row;
}

/* A field as it was, where the row has it, cut off at the length of a key. */
static slice_t field_if_any(const feed_input_t *self, const csv_row_t *row, size_t column)
{
    if (row->fault || column >= row->count || column >= self->columns) {
        return (slice_t){0};
    }
    slice_t field = row->fields[column];
    return slice_of(field.data, field.size < FEED_KEY_BYTES_MAX ? field.size : FEED_KEY_BYTES_MAX);
}

feed_input_result_t feed_input_next(feed_input_t *self, int wait_ms, feed_row_t **ret_row,
                                    feed_bad_t *ret_bad)
{
    csv_row_t row;
    csv_result_t result = csv_reader_next(self->csv, wait_ms, &row);
    if (result == CSV_END || result == CSV_WAIT) {
        return result == CSV_END ? FEED_INPUT_END : FEED_INPUT_WAIT;
    }
    if (result == CSV_BROKEN) {
        return refuse(self, 0, strerror(errno), ret_bad->text);
    }
    feed_row_t numbers = {.sequence = 0};
    if (!check_shape(self, &row, ret_bad) || !check_fields(self, &row, &numbers, ret_bad)) {
        ret_bad->line = row.line;
        ret_bad->key = field_if_any(self, &row, self->key);
        ret_bad->sequence = field_if_any(self, &row, self->sequence);
        return FEED_INPUT_BAD;
    }
    *ret_row = make_row(self, &row, &numbers);
    return FEED_INPUT_ROW;
}

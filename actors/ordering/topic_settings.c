#include "actors/ordering/topic_settings.h"

#include "actors/ordering/payload_schema.h"
#include "runtime/base/ensure.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const topic_setting_row_t rows[] = {
#define TOPIC_SETTING(name_, type_, unit_, minimum_, maximum_, initial_, where_, change_,          \
                      meaning_)                                                                    \
    {.name = #name_,                                                                               \
     .type = TOPIC_##type_,                                                                        \
     .unit = unit_,                                                                                \
     .minimum = minimum_,                                                                          \
     .maximum = maximum_,                                                                          \
     .initial = initial_,                                                                          \
     .where = TOPIC_##where_,                                                                      \
     .change = TOPIC_##change_,                                                                    \
     .meaning = meaning_,                                                                          \
     .offset = offsetof(topic_settings_t, name_)},
#include "actors/ordering/topic_settings.def"
#undef TOPIC_SETTING
};

enum { ROWS = sizeof rows / sizeof rows[0], DIGITS_MAX = 20 };
_Static_assert(ROWS <= 32, "topic_change_t.given has a bit per row");

const topic_setting_row_t *topic_setting_rows(size_t *ret_count)
{
    *ret_count = ROWS;
    return rows;
}

static uint64_t get(const topic_settings_t *self, const topic_setting_row_t *row)
{
    uint64_t value;
    memcpy(&value, (const char *)self + row->offset, sizeof value);
    return value;
}

static void set(topic_settings_t *self, const topic_setting_row_t *row, uint64_t value)
{
    memcpy((char *)self + row->offset, &value, sizeof value);
}

/* Of a row that is a TEXT. */
static buffer_t *text_of(const topic_settings_t *self, const topic_setting_row_t *row)
{
    return (buffer_t *)((const char *)self + row->offset);
}

static void set_text(topic_settings_t *self, const topic_setting_row_t *row, slice_t value)
{
    buffer_t *own = text_of(self, row);
    buffer_clear(own);
    buffer_append(own, value.data, value.size);
}

static void set_from(topic_settings_t *self, const topic_setting_row_t *row,
                     const topic_settings_t *other)
{
    if (row->type == TOPIC_TEXT) {
        set_text(self, row, buffer_slice(text_of(other, row)));
    } else {
        set(self, row, get(other, row));
    }
}

static bool is_same(const topic_setting_row_t *row, const topic_settings_t *a,
                    const topic_settings_t *b)
{
    return row->type == TOPIC_TEXT
               ? slice_equal(buffer_slice(text_of(a, row)), buffer_slice(text_of(b, row)))
               : get(a, row) == get(b, row);
}

topic_settings_t topic_settings_initial(void)
{
    topic_settings_t self = {0};
    for (size_t i = 0; i < ROWS; i++) {
        if (rows[i].type != TOPIC_TEXT) {
            set(&self, &rows[i], rows[i].initial);
        }
    }
    return self;
}

topic_settings_t topic_settings_copy(const topic_settings_t *self)
{
    topic_settings_t copy = {0};
    for (size_t i = 0; i < ROWS; i++) {
        set_from(&copy, &rows[i], self);
    }
    return copy;
}

void topic_settings_fini(topic_settings_t *self)
{
    for (size_t i = 0; i < ROWS; i++) {
        if (rows[i].type == TOPIC_TEXT) {
            buffer_fini(text_of(self, &rows[i]));
        }
    }
}

void topic_change_fini(topic_change_t *self)
{
    topic_settings_fini(&self->values);
}

/* --- values as text -------------------------------------------------------------------------- */

slice_t topic_setting_word(const topic_setting_row_t *row, uint64_t number)
{
    const char *word = row->unit;
    for (uint64_t i = 1; i < number && *word; i++) {
        word += strcspn(word, "|");
        word += *word == '|';
    }
    return slice_of(word, strcspn(word, "|"));
}

static void write_value(const topic_setting_row_t *row, const topic_settings_t *self, buffer_t *out)
{
    if (row->type == TOPIC_TEXT) {
        const buffer_t *own = text_of(self, row);
        buffer_append(out, own->data, own->size);
        return;
    }
    uint64_t value = get(self, row);
    char digits[DIGITS_MAX + 1];
    slice_t word = topic_setting_word(row, value);
    if (row->type == TOPIC_UINT) {
        int size = snprintf(digits, sizeof digits, "%" PRIu64, value);
        word = slice_of(digits, (size_t)size);
    }
    buffer_append(out, word.data, word.size);
}

static bool read_number(slice_t text, uint64_t *ret_number)
{
    uint64_t number = 0;
    const char *digits = text.data;
    for (size_t i = 0; i < text.size; i++) {
        if (digits[i] < '0' || digits[i] > '9') {
            return false;
        }
        number = number * 10 + (uint64_t)(digits[i] - '0');
    }
    *ret_number = number;
    return text.size > 0 && text.size < DIGITS_MAX; /* 19 digits always fit */
}

static bool read_value(const topic_setting_row_t *row, slice_t text, uint64_t *ret_value)
{
    if (row->type == TOPIC_UINT) {
        return read_number(text, ret_value) && *ret_value >= row->minimum &&
               *ret_value <= row->maximum;
    }
    for (uint64_t i = row->minimum; i <= row->maximum; i++) {
        if (slice_equal(topic_setting_word(row, i), text)) {
            *ret_value = i;
            return true;
        }
    }
    return false;
}

/* What a stranger wrote, as much of it as a message has room for. */
static int shown(slice_t text)
{
    return text.size < 40 ? (int)text.size : 40;
}

static capstan_err_t refuse_value(const topic_setting_row_t *row, slice_t value, char *text)
{
    if (row->type == TOPIC_TEXT) {
        snprintf(text, TOPIC_TEXT_BYTES, "%s: %zu bytes are more than %" PRIu64, row->name,
                 value.size, row->maximum);
    } else if (row->type == TOPIC_UINT) {
        snprintf(text, TOPIC_TEXT_BYTES,
                 "%s: \"%.*s\" is no whole number from %" PRIu64 " to %" PRIu64 " (%s)", row->name,
                 shown(value), (const char *)value.data, row->minimum, row->maximum, row->unit);
    } else {
        snprintf(text, TOPIC_TEXT_BYTES, "%s: \"%.*s\" is none of %s", row->name, shown(value),
                 (const char *)value.data, row->unit);
    }
    return CAPSTAN_E_INVALID;
}

static capstan_err_t refuse_name(slice_t name, char *text)
{
    int size = snprintf(text, TOPIC_TEXT_BYTES, "a topic has no setting \"%.*s\"; it has",
                        shown(name), (const char *)name.data);
    for (size_t i = 0; i < ROWS && size < TOPIC_TEXT_BYTES; i++) {
        size += snprintf(text + size, (size_t)(TOPIC_TEXT_BYTES - size), "%s %s", i > 0 ? "," : "",
                         rows[i].name);
    }
    return CAPSTAN_E_INVALID;
}

/* --- changes --------------------------------------------------------------------------------- */

capstan_err_t topic_change_add(topic_change_t *self, slice_t name, slice_t value,
                               char text[TOPIC_TEXT_BYTES])
{
    for (size_t i = 0; i < ROWS; i++) {
        if (!slice_equal(slice_text(rows[i].name), name)) {
            continue;
        }
        uint64_t number = value.size;
        bool is_text = rows[i].type == TOPIC_TEXT;
        if (is_text ? number > rows[i].maximum : !read_value(&rows[i], value, &number)) {
            return refuse_value(&rows[i], value, text);
        }
        if (is_text) {
            set_text(&self->values, &rows[i], value);
        } else {
            set(&self->values, &rows[i], number);
        }
        self->given |= UINT32_C(1) << i;
        return CAPSTAN_OK;
    }
    return refuse_name(name, text);
}

capstan_err_t topic_change_set(topic_change_t *self, const char *name, uint64_t value,
                               char text[TOPIC_TEXT_BYTES])
{
    char digits[DIGITS_MAX + 1];
    size_t i = 0;
    while (strcmp(rows[i].name, name) != 0) {
        i++;
        ENSURE(i < ROWS);
    }
    if (value < rows[i].minimum || value > rows[i].maximum) {
        int size = snprintf(digits, sizeof digits, "%" PRIu64, value);
        return refuse_value(&rows[i], slice_of(digits, (size_t)size), text);
    }
    set(&self->values, &rows[i], value);
    self->given |= UINT32_C(1) << i;
    return CAPSTAN_OK;
}

capstan_err_t topic_change_decode(topic_change_t *self, slice_t settings,
                                  char text[TOPIC_TEXT_BYTES])
{
    codec_list_t list;
    topic_setting_t setting;
    capstan_err_t err = codec_list_open(topic_setting_wire(), settings, &list);
    while (err == CAPSTAN_OK && codec_list_next(&list, &setting)) {
        err = topic_change_add(self, setting.name, setting.value, text);
    }
    if (err == CAPSTAN_OK && list.fault.err != CAPSTAN_OK) {
        err = list.fault.err;
    }
    if (err != CAPSTAN_OK && err != CAPSTAN_E_INVALID) {
        snprintf(text, TOPIC_TEXT_BYTES, "settings: a list of topic_setting");
    }
    return err;
}

topic_settings_t topic_change_apply(const topic_settings_t *before, const topic_change_t *change)
{
    topic_settings_t after = topic_settings_copy(before);
    for (size_t i = 0; i < ROWS; i++) {
        if (change->given >> i & 1) {
            set_from(&after, &rows[i], &change->values);
        }
    }
    return after;
}

const char *topic_change_differs(const topic_settings_t *settings, const topic_change_t *change)
{
    for (size_t i = 0; i < ROWS; i++) {
        if ((change->given >> i & 1) && !is_same(&rows[i], &change->values, settings)) {
            return rows[i].name;
        }
    }
    return NULL;
}

bool topic_change_is_only(const topic_change_t *change, const char *name)
{
    bool only = false;
    for (size_t i = 0; i < ROWS; i++) {
        bool given = change->given >> i & 1;
        bool named = strcmp(rows[i].name, name) == 0;
        only = named ? given : only;
        if (given && !named) {
            return false;
        }
    }
    return only;
}

/* --- rules ----------------------------------------------------------------------------------- */

static capstan_err_t check_schema(const topic_settings_t *self, char text[TOPIC_TEXT_BYTES])
{
    payload_schema_t *schema = NULL;
    payload_fault_t fault;
    if (self->payload_schema.size == 0) {
        return CAPSTAN_OK;
    }
    capstan_err_t err = payload_schema_parse(buffer_slice(&self->payload_schema), &schema, &fault);
    if (err != CAPSTAN_OK) {
        snprintf(text, TOPIC_TEXT_BYTES, "payload_schema: at %s: %s", fault.where, fault.what);
    }
    payload_schema_destroy(&schema);
    return err;
}

capstan_err_t topic_settings_check(const topic_settings_t *self, char text[TOPIC_TEXT_BYTES])
{
    const topic_settings_t initial = topic_settings_initial();
    for (size_t i = 0; i < ROWS; i++) {
        if (rows[i].where != TOPIC_ANY && rows[i].where != (topic_setting_where_t)self->sequence &&
            !is_same(&rows[i], self, &initial)) {
            snprintf(text, TOPIC_TEXT_BYTES, "%s is for topics with sequence=%s only", rows[i].name,
                     rows[i].where == TOPIC_PRODUCER ? "producer" : "arrival");
            return CAPSTAN_E_INVALID;
        }
    }
    return check_schema(self, text);
}

static bool loses(const topic_setting_row_t *row, const topic_settings_t *all_before,
                  const topic_settings_t *all_after)
{
    if (row->type == TOPIC_TEXT) {
        return false;
    }
    uint64_t before = get(all_before, row);
    uint64_t after = get(all_after, row);
    if (row->change == TOPIC_RAISE_LOSES) {
        return after > before;
    }
    return row->change == TOPIC_LOWER_LOSES && after > 0 && (before == 0 || after < before);
}

static capstan_err_t check_change(const topic_setting_row_t *row, const topic_settings_t *before,
                                  const topic_settings_t *after, bool force, char *text)
{
    buffer_t value = {0};
    capstan_err_t err = CAPSTAN_OK;
    write_value(row, before, &value);
    if (row->change == TOPIC_FIXED && !is_same(row, before, after)) {
        snprintf(text, TOPIC_TEXT_BYTES,
                 "%s stays %.*s: it decides where and how what is stored lies; make another topic",
                 row->name, (int)value.size, (const char *)value.data);
        err = CAPSTAN_E_SETTING_FIXED;
    } else if (row->change == TOPIC_ALONE && !is_same(row, before, after)) {
        snprintf(text, TOPIC_TEXT_BYTES, "%s is changed alone: leave out the other settings",
                 row->name);
        err = CAPSTAN_E_INVALID;
    } else if (loses(row, before, after) && !force) {
        snprintf(text, TOPIC_TEXT_BYTES,
                 "%s is %.*s, and this value removes events that are kept now: say so with force",
                 row->name, (int)value.size, (const char *)value.data);
        err = CAPSTAN_E_LOSES_DATA;
    }
    buffer_fini(&value);
    return err;
}

capstan_err_t topic_settings_may_become(const topic_settings_t *before,
                                        const topic_settings_t *after, bool force,
                                        char text[TOPIC_TEXT_BYTES])
{
    capstan_err_t err = CAPSTAN_OK;
    for (size_t i = 0; i < ROWS && err == CAPSTAN_OK; i++) {
        err = check_change(&rows[i], before, after, force, text);
    }
    return err ? err : topic_settings_check(after, text);
}

capstan_err_t topic_settings_check_window(const topic_settings_t *self, uint64_t retry_horizon_ms,
                                          char text[TOPIC_TEXT_BYTES])
{
    if (self->id_window_ms == 0 || self->id_window_ms >= retry_horizon_ms) {
        return CAPSTAN_OK;
    }
    snprintf(text, TOPIC_TEXT_BYTES,
             "id_window_ms: %" PRIu64 " ms is less than the %" PRIu64
             " ms (ordering.retry_horizon_ms of the node) for which a sender goes on to send an "
             "event again, which would then be taken twice; choose at least %" PRIu64
             ", or 0 to remember no ids",
             self->id_window_ms, retry_horizon_ms, retry_horizon_ms);
    return CAPSTAN_E_ID_WINDOW_SHORT;
}

/* --- storing and showing --------------------------------------------------------------------- */

void topic_settings_encode(const topic_settings_t *self, buffer_t *out)
{
    buffer_t value = {0};
    codec_list_writer_t list = codec_list_begin(out);
    for (size_t i = 0; i < ROWS; i++) {
        buffer_clear(&value);
        write_value(&rows[i], self, &value);
        codec_list_add(
            &list, topic_setting_wire(),
            &(topic_setting_t){.name = slice_text(rows[i].name), .value = buffer_slice(&value)});
    }
    codec_list_end(&list);
    buffer_fini(&value);
}

void topic_settings_describe(const topic_settings_t *self, json_writer_t *json)
{
    emit_object_begin(json);
    for (size_t i = 0; i < ROWS; i++) {
        emit_key(json, rows[i].name);
        if (rows[i].type == TOPIC_UINT) {
            emit_uint(json, get(self, &rows[i]));
        } else if (rows[i].type == TOPIC_CHOICE) {
            emit_text(json, topic_setting_word(&rows[i], get(self, &rows[i])));
        } else {
            emit_text(json, buffer_slice(text_of(self, &rows[i])));
        }
    }
    emit_object_end(json);
}

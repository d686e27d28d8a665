#include "cli/saga_json.h"

#include "actors/saga/saga_messages.h"
#include "cli/saga_value.h"
#include "cli/saga_words.h"
#include "cli/tail_payload.h"
#include "runtime/wire/walk.h"

#include <stdio.h>

static const char *error_word(uint64_t number)
{
    return capstan_err_name((capstan_err_t)number);
}

/* Numbers that are words. */
static const struct {
    const char *record;
    const char *field;
    const char *(*word)(uint64_t number);
} words[] = {
    {"saga_row", "state", saga_state_word},
    {"saga_state", "state", saga_state_word},
    {"saga_operation", "state", saga_state_word},
    {"saga_operation", "error", error_word},
    {"saga_task", "state", task_state_word},
    {"saga_input", "kind", saga_input_word},
    {"saga_notice", "source", node_source_word},
    {"saga_node", "kind", node_kind_word},
    {"saga_node", "class", node_class_word},
    {"saga_node", "source", node_source_word},
    {"saga_test", "operator", operator_word},
    {"saga_definition", "undo_order", undo_order_word},
};

/* Bytes that are records; all others are values, but for the hashes of tokens. */
static const struct {
    const char *field;
    const wire_record_t *(*record)(void);
} records[] = {
    {"retry", saga_retry_wire},     {"undo_retry", saga_retry_wire}, {"test", saga_test_wire},
    {"start_test", saga_test_wire}, {"begin", saga_begin_wire},      {"place", saga_place_wire},
    {"saga", saga_row_wire},
};

static void put_number(json_writer_t *json, const wire_record_t *record, const wire_field_t *field,
                       uint64_t number)
{
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(words[i].record, record->name) == 0 &&
            strcmp(words[i].field, field->name) == 0) {
            emit_string(json, words[i].word(number));
            return;
        }
    }
    emit_uint(json, number);
}

static void put_bytes(json_writer_t *json, const wire_field_t *field, slice_t bytes)
{
    for (size_t i = 0; i < sizeof records / sizeof records[0]; i++) {
        if (strcmp(records[i].field, field->name) == 0) {
            saga_json_record(json, records[i].record(), bytes);
            return;
        }
    }
    if (strcmp(field->name, "tokens") != 0) {
        saga_value_emit(json, bytes);
        return;
    }
    buffer_t text = {0};
    payload_write_base64(bytes, &text);
    emit_raw(json, buffer_slice(&text));
    buffer_fini(&text);
}

static void put_list(json_writer_t *json, const wire_field_t *field, slice_t list)
{
    codec_list_t items;
    slice_t item;
    emit_array_begin(json);
    if (codec_list_open(field->record(), list, &items) == CAPSTAN_OK) {
        while (codec_list_next_raw(&items, &item)) {
            saga_json_record(json, field->record(), item);
        }
    }
    emit_array_end(json);
}

static bool is_absent(const wire_field_t *field, const uint8_t *at)
{
    switch (field->type) {
    case CAPSTAN_TYPE_UINT:
    case CAPSTAN_TYPE_INT:
        return !field->required && *(const uint64_t *)(const void *)at == 0;
    case CAPSTAN_TYPE_STR:
    case CAPSTAN_TYPE_BIN:
        return !field->required && ((const slice_t *)(const void *)at)->size == 0;
    case CAPSTAN_TYPE_BOOL:
    case CAPSTAN_TYPE_LIST:
        return false;
    case CAPSTAN_TYPE_REF: /* no record of sagas has one */
    case CAPSTAN_TYPE_COUNT:
        break;
    }
    return true;
}

static void put_field(json_writer_t *json, const wire_record_t *record, const wire_field_t *field,
                      const uint8_t *at)
{
    const void *value = at;
    if (is_absent(field, at)) {
        return;
    }
    emit_key(json, field->name);
    switch (field->type) {
    case CAPSTAN_TYPE_UINT:
        put_number(json, record, field, *(const uint64_t *)value);
        break;
    case CAPSTAN_TYPE_INT:
        emit_int(json, *(const int64_t *)value);
        break;
    case CAPSTAN_TYPE_BOOL:
        emit_bool(json, *(const bool *)value);
        break;
    case CAPSTAN_TYPE_STR:
        emit_text(json, *(const slice_t *)value);
        break;
    case CAPSTAN_TYPE_BIN:
        put_bytes(json, field, *(const slice_t *)value);
        break;
    case CAPSTAN_TYPE_LIST:
        put_list(json, field, *(const slice_t *)value);
        break;
    case CAPSTAN_TYPE_REF:
    case CAPSTAN_TYPE_COUNT:
        emit_null(json);
        break;
    }
}

void saga_json_members(json_writer_t *json, const wire_record_t *record, const void *value)
{
    for (uint16_t i = 0; i < record->field_count; i++) {
        const wire_field_t *field = &record->fields[i];
        put_field(json, record, field, (const uint8_t *)value + field->offset);
    }
}

void saga_json_record(json_writer_t *json, const wire_record_t *record, slice_t bytes)
{
    codec_space_t space;
    if (codec_decode(record, bytes, &space, NULL) != CAPSTAN_OK) {
        emit_null(json);
        return;
    }
    emit_object_begin(json);
    saga_json_members(json, record, &space);
    emit_object_end(json);
}

void saga_json_print(buffer_t *out)
{
    buffer_append(out, "\n", 1);
    fwrite(out->data, 1, out->size, stdout);
    buffer_clear(out);
}

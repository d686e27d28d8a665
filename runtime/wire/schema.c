#include "runtime/wire/schema.h"

#include "runtime/wire/schema_print.h"

#include "runtime/base/ensure.h"

#include <stdarg.h>

const char *const schema_kinds[] = {"record", "request", "reply", "event", "error"};

const char *const schema_types[] = {
#define TYPE(name, c_type, wire, cddl, meaning) #name,
#include <capstan/field_types.def>
#undef TYPE
};

void schema_put(buffer_t *out, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    int size = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    ENSURE(size >= 0);
    char *to = (char *)buffer_reserve(out, (size_t)size + 1);
    va_start(arguments, format);
    vsnprintf(to, (size_t)size + 1, format, arguments);
    va_end(arguments);
    out->size += (size_t)size;
}

/* True when a list of `from`, at any depth, holds `target`. Records nest a few levels at most. */
static bool reaches(const wire_record_t *from, const wire_record_t *target, int levels)
{
    for (size_t i = 0; levels > 0 && i < from->field_count; i++) {
        const wire_record_t *record = from->fields[i].record ? from->fields[i].record() : NULL;
        if (record && (record == target || reaches(record, target, levels - 1))) {
            return true;
        }
    }
    return false;
}

static bool is_users(const wire_record_t *record)
{
    return record->id >= CAPSTAN_USER_ID_MIN;
}

static bool is_within(const wire_record_t *record, uint32_t first, uint32_t last)
{
    return record->id >= first && record->id <= last;
}

static bool is_peer_message(const wire_record_t *record)
{
    bool internal =
        is_within(record, SCHEMA_INTERNAL_FIRST, SCHEMA_INTERNAL_LAST) ||
        is_within(record, SCHEMA_SAGA_INTERNAL_FIRST, SCHEMA_SAGA_INTERNAL_LAST) ||
        is_within(record, SCHEMA_GATEWAY_INTERNAL_FIRST, SCHEMA_GATEWAY_INTERNAL_LAST) ||
        is_within(record, SCHEMA_TOPICS_INTERNAL_FIRST, SCHEMA_TOPICS_INTERNAL_LAST);
    return record->kind != CAPSTAN_KIND_RECORD && !internal;
}

bool schema_is_for_peers(const schema_t *schema, const schema_row_t *row)
{
    enum { LEVELS = 8 };
    if (is_peer_message(row->record) || strcmp(row->concern, "wire") == 0) {
        return true;
    }
    for (size_t i = 0; i < schema->count; i++) {
        const wire_record_t *message = schema->rows[i].record;
        if (is_peer_message(message) && reaches(message, row->record, LEVELS)) {
            return true;
        }
    }
    return false;
}

/* What the kind alone does not tell: events that a peer sends, and who counts them. */
static const struct {
    const char *name;
    const char *sender;
    const char *credited;
} exceptions[] = {
    {"hello", "peer", ""},       {"ping", "peer", ""},        {"goodbye", "peer", ""},
    {"publish", "peer", "node"}, {"acknowledge", "peer", ""}, {"deliver", "node", "peer"},
    {"failure", "either", ""},   {"cancel", "either", ""},
};

static size_t find_exception(const wire_record_t *record)
{
    size_t i = 0;
    while (i < sizeof exceptions / sizeof exceptions[0] &&
           strcmp(exceptions[i].name, record->name) != 0) {
        i++;
    }
    return i;
}

const char *schema_sender(const wire_record_t *record)
{
    if (!is_peer_message(record)) {
        return "";
    }
    size_t i = find_exception(record);
    if (i < sizeof exceptions / sizeof exceptions[0]) {
        return exceptions[i].sender;
    }
    if (is_users(record)) {
        return record->permission[0] || record->kind == CAPSTAN_KIND_REPLY ? "either" : "node";
    }
    return record->permission[0] || record->kind == CAPSTAN_KIND_REQUEST ? "peer" : "node";
}

const char *schema_credited(const wire_record_t *record)
{
    if (!is_peer_message(record)) {
        return "";
    }
    size_t i = find_exception(record);
    if (i < sizeof exceptions / sizeof exceptions[0]) {
        return exceptions[i].credited;
    }
    if (record->id >= WIRE_REFERENCE_ID_MIN) {
        return record->kind == CAPSTAN_KIND_REPLY ? "" : "receiver";
    }
    return record->kind == CAPSTAN_KIND_REQUEST ? "node" : "";
}

static void print_lock(const schema_t *schema, buffer_t *out)
{
    for (size_t i = 0; i < sizeof schema_types / sizeof schema_types[0]; i++) {
        schema_put(out, "type %zu %s\n", i, schema_types[i]);
    }
#define ERROR(name, number, retry_class, text, remedy)                                             \
    schema_put(out, "error %d " #name " " #retry_class "\n", number);
#include <capstan/errors.def>
#undef ERROR
    for (size_t i = 0; i < schema->count; i++) {
        const wire_record_t *record = schema->rows[i].record;
        schema_put(out, "%s %s %u %s since %u", schema_kinds[record->kind], schema->rows[i].concern,
                   record->id, record->name, record->since);
        if (record->kind != CAPSTAN_KIND_RECORD) {
            schema_put(out, " permission \"%s\" resource \"%s\"", record->permission,
                       record->resource_key);
        }
        schema_put(out, "\n");
        for (size_t j = 0; j < record->field_count; j++) {
            const wire_field_t *field = &record->fields[j];
            schema_put(out, "  %u %s %s", field->key, field->name, schema_types[field->type]);
            schema_put(out, "%s%s", field->record ? " of " : "",
                       field->record ? field->record()->name : "");
            schema_put(out, " %s since %u\n", field->required ? "required" : "optional",
                       field->since);
        }
    }
}

bool schema_format_find(slice_t name, schema_format_t *ret_format)
{
    static const char *const names[] = {[SCHEMA_MARKDOWN] = "markdown",
                                        [SCHEMA_JSON] = "json",
                                        [SCHEMA_CDDL] = "cddl",
                                        [SCHEMA_LOCK] = "lock"};
    for (size_t i = 0; i < SCHEMA_FORMAT_COUNT; i++) {
        if (slice_equal(name, slice_text(names[i])) || (name.size == 0 && i == SCHEMA_JSON)) {
            *ret_format = (schema_format_t)i;
            return true;
        }
    }
    return false;
}

void schema_print(const wire_table_t *const *tables, size_t count, schema_format_t format,
                  buffer_t *out)
{
    static void (*const printers[])(const schema_t *, buffer_t *) = {
        [SCHEMA_MARKDOWN] = schema_print_markdown,
        [SCHEMA_JSON] = schema_print_json,
        [SCHEMA_CDDL] = schema_print_cddl,
        [SCHEMA_LOCK] = print_lock,
    };
    schema_t schema = {0};
    for (size_t i = 0; i < count; i++) {
        schema.count += tables[i]->count;
    }
    schema.rows = calloc(schema.count + 1, sizeof *schema.rows);
    ENSURE(schema.rows);
    size_t next = 0;
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < tables[i]->count; j++) {
            schema.rows[next++] = (schema_row_t){tables[i]->concern, tables[i]->records[j]()};
        }
    }
    printers[format](&schema, out);
    free(schema.rows);
}

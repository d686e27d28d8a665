#include "runtime/wire/batch.h"
#include "runtime/wire/schema_print.h"

/* A JSON string. The tables are UTF-8; quotes and control characters are escaped. */
static void put_text(buffer_t *out, const char *text)
{
    schema_put(out, "\"");
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\') {
            schema_put(out, "\\%c", c);
        } else if (c < 0x20) {
            schema_put(out, "\\u%04x", c);
        } else {
            buffer_append(out, &c, 1);
        }
    }
    schema_put(out, "\"");
}

static void put_member(buffer_t *out, const char *name, const char *text)
{
    schema_put(out, ",\"%s\":", name);
    put_text(out, text);
}

static void put_fields(const wire_record_t *record, buffer_t *out)
{
    schema_put(out, ",\"fields\":[");
    for (size_t i = 0; i < record->field_count; i++) {
        const wire_field_t *field = &record->fields[i];
        schema_put(out, "%s\n   {\"key\":%u", i > 0 ? "," : "", field->key);
        put_member(out, "name", field->name);
        put_member(out, "type", schema_types[field->type]);
        if (field->record) {
            put_member(out, "record", field->record()->name);
        }
        schema_put(out, ",\"required\":%s,\"since\":%u", field->required ? "true" : "false",
                   field->since);
        put_member(out, "meaning", field->meaning);
        schema_put(out, "}");
    }
    schema_put(out, "]}");
}

static void put_row(const schema_t *schema, const schema_row_t *row, buffer_t *out)
{
    const wire_record_t *record = row->record;
    schema_put(out, "  {\"name\":\"%s\",\"id\":%u,\"concern\":\"%s\",\"since\":%u", record->name,
               record->id, row->concern, record->since);
    schema_put(out, ",\"for_peers\":%s", schema_is_for_peers(schema, row) ? "true" : "false");
    if (record->kind != CAPSTAN_KIND_RECORD) {
        schema_put(out, ",\"kind\":\"%s\"", schema_kinds[record->kind]);
        put_member(out, "sender", schema_sender(record));
        put_member(out, "credited_by", schema_credited(record));
        put_member(out, "permission", record->permission);
        put_member(out, "resource_key", record->resource_key);
    }
    put_member(out, "meaning", record->meaning);
    put_fields(record, out);
}

static void put_rows(const schema_t *schema, bool messages, buffer_t *out)
{
    const char *separator = "\n";
    schema_put(out, " \"%s\":[", messages ? "messages" : "records");
    for (size_t i = 0; i < schema->count; i++) {
        if ((schema->rows[i].record->kind != CAPSTAN_KIND_RECORD) == messages) {
            schema_put(out, "%s", separator);
            put_row(schema, &schema->rows[i], out);
            separator = ",\n";
        }
    }
    schema_put(out, "],\n");
}

static void put_types(buffer_t *out)
{
    const char *separator = "\n";
    schema_put(out, " \"types\":[");
#define TYPE(name_, c_type_, wire_, cddl_, meaning_)                                               \
    schema_put(out, "%s  {\"name\":\"" #name_ "\"", separator);                                    \
    put_member(out, "wire", wire_);                                                                \
    put_member(out, "meaning", meaning_);                                                          \
    schema_put(out, "}");                                                                          \
    separator = ",\n";
#include <capstan/field_types.def>
#undef TYPE
    schema_put(out, "],\n");
}

typedef struct error_text {
    int number;
    const char *name;
    const char *retry;
    const char *text;
    const char *remedy;
} error_text_t;

static void put_errors(buffer_t *out)
{
    static const error_text_t errors[] = {
#define ERROR(name_, number_, retry_, text_, remedy_) {number_, #name_, #retry_, text_, remedy_},
#include <capstan/errors.def>
#undef ERROR
    };
    schema_put(out, " \"errors\":[");
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        schema_put(out, "%s\n  {\"number\":%d", i > 0 ? "," : "", errors[i].number);
        put_member(out, "name", errors[i].name);
        put_member(out, "retry", errors[i].retry);
        put_member(out, "text", errors[i].text);
        put_member(out, "remedy", errors[i].remedy);
        schema_put(out, "}");
    }
    schema_put(out, "]\n");
}

static void put_rules(buffer_t *out)
{
    const char *separator = "\n";
    schema_put(out, " \"rules\":[");
#define RULE(heading_, text_)                                                                      \
    schema_put(out, "%s  {\"about\":\"" heading_ "\"", separator);                                 \
    put_member(out, "text", text_);                                                                \
    schema_put(out, "}");                                                                          \
    separator = ",\n";
#include "runtime/wire/protocol_text.def"
#undef RULE
    schema_put(out, "],\n");
}

void schema_print_json(const schema_t *schema, buffer_t *out)
{
    schema_put(out, "{\"protocol\":\"capstan\",\"version\":%d,\n", WIRE_VERSION);
    schema_put(out, " \"limits\":{\"key_max\":%d,\"depth_max\":%d,\"batch_bytes_max\":%d},\n",
               WIRE_KEY_MAX, WIRE_DEPTH_MAX, WIRE_BATCH_BYTES_MAX);
    schema_put(out, " \"batch\":{\"header\":\"link_header\",\"envelope\":\"envelope\"},\n");
    schema_put(out, " \"kinds\":{");
    for (int kind = CAPSTAN_KIND_REQUEST; kind <= CAPSTAN_KIND_ERROR; kind++) {
        schema_put(out, "%s\"%s\":%d", kind > 1 ? "," : "", schema_kinds[kind], kind);
    }
    schema_put(out, "},\n \"flags\":{\"priority\":%d,\"sampled\":%d},\n", WIRE_KIND_FLAG_PRIORITY,
               WIRE_KIND_FLAG_SAMPLED);
    put_rules(out);
    put_types(out);
    put_rows(schema, true, out);
    put_rows(schema, false, out);
    put_errors(out);
    schema_put(out, "}\n");
}

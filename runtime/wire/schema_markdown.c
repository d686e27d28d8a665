#include "runtime/wire/batch.h"
#include "runtime/wire/schema_print.h"

/* Text of a table's cell. */
static void put_cell(buffer_t *out, const char *text)
{
    for (; *text; text++) {
        buffer_append(out, "\\", *text == '|' ? 1 : 0);
        buffer_append(out, text, 1);
    }
}

static void put_fields(const wire_record_t *record, buffer_t *out)
{
    if (record->field_count == 0) {
        schema_put(out, "No fields: the body is the empty map.\n\n");
        return;
    }
    schema_put(out, "| key | field | type | | meaning |\n|---|---|---|---|---|\n");
    for (size_t i = 0; i < record->field_count; i++) {
        const wire_field_t *field = &record->fields[i];
        schema_put(out, "| %u | %s | %s", field->key, field->name, schema_types[field->type]);
        if (field->record) {
            schema_put(out, " of [%s](#%s)", field->record()->name, field->record()->name);
        }
        schema_put(out, " | %s | ", field->required ? "required" : "");
        put_cell(out, field->meaning);
        if (field->since > 1) {
            schema_put(out, " (since version %u)", field->since);
        }
        schema_put(out, " |\n");
    }
    schema_put(out, "\n");
}

static void put_if(buffer_t *out, const char *before, const char *text, const char *after)
{
    if (*text) {
        schema_put(out, "%s%s%s", before, text, after);
    }
}

static void put_row(const wire_record_t *record, buffer_t *out)
{
    const char *sender = schema_sender(record);
    schema_put(out, "### %s\n\n%s\n\n", record->name, record->meaning);
    if (record->kind == CAPSTAN_KIND_RECORD) {
        schema_put(out, "Record %u, since version %u.\n\n", record->id, record->since);
    } else {
        schema_put(out, "Message %u (0x%02x), %s, since version %u", record->id, record->id,
                   schema_kinds[record->kind], record->since);
        put_if(out, ", sent by ", strcmp(sender, "either") == 0 ? "either side" : sender, "");
        put_if(out, ", credited by the ", schema_credited(record), "");
        put_if(out, ", permission `", record->permission, "`");
        schema_put(out, ".\n\n");
    }
    put_fields(record, out);
}

/* The rows of one concern, messages or records, of peers or of the node's inside. */
static void put_rows(const schema_t *schema, bool for_peers, bool messages, buffer_t *out)
{
    const char *concern = "";
    for (size_t i = 0; i < schema->count; i++) {
        const schema_row_t *row = &schema->rows[i];
        if ((row->record->kind != CAPSTAN_KIND_RECORD) != messages ||
            schema_is_for_peers(schema, row) != for_peers) {
            continue;
        }
        if (strcmp(concern, row->concern) != 0) {
            concern = row->concern;
            schema_put(out, "## %s: %s%s\n\n", concern, for_peers ? "" : "internal ",
                       messages ? "messages" : "records");
        }
        put_row(row->record, out);
    }
}

static void put_rules(buffer_t *out)
{
    const char *last = "";
#define RULE(heading_, text_)                                                                      \
    if (strcmp(last, heading_) != 0) {                                                             \
        schema_put(out, "## %s\n\n", heading_);                                                    \
    }                                                                                              \
    schema_put(out, "%s\n\n", text_);                                                              \
    last = heading_;
#include "runtime/wire/protocol_text.def"
#undef RULE
}

static void put_types(buffer_t *out)
{
    schema_put(out, "## Types\n\n| type | on the wire | meaning |\n|---|---|---|\n");
#define TYPE(name_, c_type_, wire_, cddl_, meaning_)                                               \
    schema_put(out, "| " #name_ " | %s | %s |\n", wire_, meaning_);
#include <capstan/field_types.def>
#undef TYPE
    schema_put(out, "\n");
}

static void put_errors(buffer_t *out)
{
    schema_put(out, "# Errors\n\nNEVER: the same call fails again until something else changes. "
                    "LATER: it may succeed after a pause. FIX: the sender has to correct it.\n\n"
                    "| number | name | retry | text | what you can do |\n|---|---|---|---|---|\n");
#define ERROR(name_, number_, retry_, text_, remedy_)                                              \
    schema_put(out, "| %d | " #name_ " | " #retry_ " | ", number_);                                \
    put_cell(out, text_);                                                                          \
    schema_put(out, " | ");                                                                        \
    put_cell(out, remedy_);                                                                        \
    schema_put(out, " |\n");
#include <capstan/errors.def>
#undef ERROR
}

void schema_print_markdown(const schema_t *schema, buffer_t *out)
{
    schema_put(out,
               "<!-- Printed by `capstan schema --format markdown`; a test compares. -->\n\n"
               "# The protocol of Capstan, version %d\n\n"
               "For programs, the same is printed by `capstan schema --format json` and sent "
               "to whom asks by `describe`.\n\n",
               WIRE_VERSION);
    put_rules(out);
    put_types(out);
    schema_put(out, "# Messages of peers\n\n");
    put_rows(schema, true, true, out);
    put_rows(schema, true, false, out);
    schema_put(out, "# Inside the node\n\nMessages between actors, and records as they are stored. "
                    "A peer never sees these.\n\n");
    put_rows(schema, false, true, out);
    put_rows(schema, false, false, out);
    put_errors(out);
}

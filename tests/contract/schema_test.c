/* What is printed from the tables: the documentation, the lock and the JSON. */
#include "runtime/wire/schema.h"
#include "tests/contract/contract_files.h"
#include "tests/kit/wire_compare.h"
#include "tests/kit/wire_sample.h"

#include <jansson.h>

static void print(schema_format_t format, buffer_t *out)
{
    size_t count = 0;
    const wire_table_t *const *tables = node_tables(&count);
    schema_print(tables, count, format, out);
}

Test(schema, documentation_is_what_the_program_prints)
{
    buffer_t out = {0};
    print(SCHEMA_MARKDOWN, &out);
    contract_check("docs/protocol.md", buffer_slice(&out));
    buffer_fini(&out);
}

Test(schema, cddl_is_what_the_program_prints)
{
    buffer_t out = {0};
    print(SCHEMA_CDDL, &out);
    contract_check("docs/protocol.cddl", buffer_slice(&out));
    buffer_fini(&out);
}

Test(schema, protocol_changes_only_with_its_lock)
{
    buffer_t out = {0};
    print(SCHEMA_LOCK, &out);
    contract_check("runtime/wire/schema.lock", buffer_slice(&out));
    buffer_fini(&out);
}

static json_t *schema;

static const json_t *find_row(const char *list, const char *name)
{
    size_t i = 0;
    json_t *row = NULL;
    json_array_foreach(json_object_get(schema, list), i, row)
    {
        if (strcmp(json_string_value(json_object_get(row, "name")), name) == 0) {
            return row;
        }
    }
    return NULL;
}

static void check_row(const wire_record_t *record)
{
    const char *list = record->kind == CAPSTAN_KIND_RECORD ? "records" : "messages";
    const json_t *row = find_row(list, record->name);
    cr_assert(row, "%s is not in the JSON schema", record->name);
    cr_assert_eq(json_integer_value(json_object_get(row, "id")), record->id);
    const json_t *fields = json_object_get(row, "fields");
    cr_assert_eq(json_array_size(fields), record->field_count);
    for (size_t i = 0; i < record->field_count; i++) {
        const json_t *field = json_array_get(fields, i);
        const wire_field_t *wanted = &record->fields[i];
        cr_assert_eq(json_integer_value(json_object_get(field, "key")), wanted->key);
        cr_assert_str_eq(json_string_value(json_object_get(field, "name")), wanted->name);
        cr_assert_str_eq(json_string_value(json_object_get(field, "meaning")), wanted->meaning);
        cr_assert_eq(json_is_true(json_object_get(field, "required")), wanted->required);
        const char *nested = json_string_value(json_object_get(field, "record"));
        cr_assert_eq(nested != NULL, wanted->type == CAPSTAN_TYPE_LIST);
        cr_assert(!nested || find_row("records", nested), "%s lists the unknown %s", record->name,
                  nested);
    }
}

static void open_schema(void)
{
    buffer_t out = {0};
    json_error_t error;
    print(SCHEMA_JSON, &out);
    schema = json_loadb((const char *)out.data, out.size, JSON_REJECT_DUPLICATES, &error);
    cr_assert(schema, "line %d: %s", error.line, error.text);
    buffer_fini(&out);
}

Test(schema, json_holds_every_row)
{
    open_schema();
    sample_each_row(check_row);
    json_decref(schema);
}

static void check_credit(const char *name, const char *sender, const char *credited_by)
{
    const json_t *row = find_row("messages", name);
    cr_assert(row, "%s", name);
    cr_assert_str_eq(json_string_value(json_object_get(row, "sender")), sender, "%s", name);
    cr_assert_str_eq(json_string_value(json_object_get(row, "credited_by")), credited_by, "%s",
                     name);
}

Test(schema, json_tells_who_sends_and_who_credits)
{
    open_schema();
    check_credit("hello", "peer", "");
    check_credit("ping", "peer", "");
    check_credit("goodbye", "peer", "");
    check_credit("publish", "peer", "node");
    check_credit("subscribe", "peer", "node");
    check_credit("acknowledge", "peer", "");
    check_credit("deliver", "node", "peer");
    check_credit("outcomes", "node", "");
    check_credit("welcome", "node", "");
    check_credit("failure", "either", "");
    check_credit("reject", "peer", "");
    check_credit("participant_open", "peer", "receiver");
    check_credit("participant_opened", "node", "");
    check_credit("participant_commands", "node", "receiver");
    check_credit("participant_results", "peer", "receiver");
    check_credit("journal_append", "", "");
    check_credit("gateway_status", "", "");
    json_decref(schema);
}

static uint8_t used[UINT16_MAX + 1];

static void check_number(const wire_record_t *record)
{
    if (record->kind != CAPSTAN_KIND_RECORD) {
        cr_assert_eq(used[record->id]++, 0, "message number %u is used twice", record->id);
        cr_assert(record->id > 0 && record->id < 0x8000, "0x8000 and up belong to users");
    }
}

Test(schema, message_numbers_are_used_once)
{
    sample_each_row(check_number);
}

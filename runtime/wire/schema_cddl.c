/* The tables in the Concise Data Definition Language (RFC 8610). A rule per row, whose name is the
 * row's; a member per field. Members are written `key: type`, which claims the key (RFC
 * 8610, 3.5.4), so that the last member of each map, any other key, does not excuse a field of a
 * wrong type. */
#include "runtime/wire/batch.h"
#include "runtime/wire/schema_print.h"

/* Names that RFC 8610's prelude has (appendix D), and those of our own rules: a row of such a name
 * gets an underscore behind it. */
static const char *const taken[] = {
    "any",      "bigfloat",     "bigint",    "bignint", "biguint", "bool",
    "bstr",     "bytes",        "cbor-any",  "decfrac", "eb16",    "eb64legacy",
    "eb64url",  "encoded-cbor", "false",     "float",   "float16", "float16-32",
    "float32",  "float32-64",   "float64",   "int",     "integer", "mime-message",
    "nil",      "nint",         "null",      "number",  "regexp",  "tdate",
    "text",     "time",         "true",      "tstr",    "uint",    "undefined",
    "unsigned", "uri",          "b64legacy", "b64url",  "KEY",
#define TYPE(name, c_type, wire, cddl, meaning) #name,
#include <capstan/field_types.def>
#undef TYPE
};

static void put_name(buffer_t *out, const char *name)
{
    bool clash = false;
    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++) {
        clash = clash || strcmp(taken[i], name) == 0;
    }
    schema_put(out, "%s%s", name, clash ? "_" : "");
}

/* A comment ends with its line. */
static void put_comment(buffer_t *out, const char *text)
{
    for (; *text; text++) {
        buffer_append(out, (unsigned char)*text < 0x20 ? " " : text, 1);
    }
    schema_put(out, "\n");
}

static void put_types(buffer_t *out)
{
    schema_put(out, "KEY = 1..%d ; of a map's members; what a reader does not know it skips\n",
               WIRE_KEY_MAX);
#define TYPE(name, c_type, wire, cddl, meaning)                                                    \
    schema_put(out, #name " = %s ; ", cddl);                                                       \
    put_comment(out, meaning);
#include <capstan/field_types.def>
#undef TYPE
    schema_put(out, "\n");
}

static void put_field(buffer_t *out, const wire_field_t *field)
{
    schema_put(out, "  %s%u: ", field->required ? "" : "? ", field->key);
    if (field->record) {
        schema_put(out, "[* ");
        put_name(out, field->record()->name);
        schema_put(out, "]");
    } else {
        schema_put(out, "%s", schema_types[field->type]);
    }
    schema_put(out, ", ; %s: ", field->name);
    put_comment(out, field->meaning);
}

static void put_row(buffer_t *out, const wire_record_t *record)
{
    schema_put(out, "; %s %u (0x%02x), since version %u: ", schema_kinds[record->kind], record->id,
               record->id, record->since);
    put_comment(out, record->meaning);
    put_name(out, record->name);
    schema_put(out, " = {\n");
    for (size_t i = 0; i < record->field_count; i++) {
        put_field(out, &record->fields[i]);
    }
    schema_put(out, "  * KEY => any,\n}\n\n");
}

/* The first rule is what a whole document is to match. */
static void put_root(const schema_t *schema, buffer_t *out)
{
    const char *separator = " ";
    schema_put(out, "; The body of a message that a peer sends or gets.\npeer-body =");
    for (size_t i = 0; i < schema->count; i++) {
        const schema_row_t *row = &schema->rows[i];
        if (row->record->kind != CAPSTAN_KIND_RECORD && schema_is_for_peers(schema, row)) {
            schema_put(out, "%s", separator);
            put_name(out, row->record->name);
            separator = "\n  / ";
        }
    }
    schema_put(out, "\n\n");
}

void schema_print_cddl(const schema_t *schema, buffer_t *out)
{
    const char *concern = "";
    schema_put(
        out,
        "; Printed by `capstan schema --format cddl`; a test compares.\n"
        "; The protocol of Capstan, version %d, in CDDL (RFC 8610).\n"
        ";\n"
        "; CDDL describes the data model of CBOR. The values here are the same, but travel as\n"
        "; msgpack: bstr is bin, tstr is str. `capstan schema --format markdown` tells how they\n"
        "; are put together to batches, and who sends what when.\n\n",
        WIRE_VERSION);
    put_root(schema, out);
    put_types(out);
    for (size_t i = 0; i < schema->count; i++) {
        if (strcmp(concern, schema->rows[i].concern) != 0) {
            concern = schema->rows[i].concern;
            schema_put(out, "; --- %s\n\n", concern);
        }
        put_row(out, schema->rows[i].record);
    }
}

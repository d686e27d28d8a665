/* From a JSON Schema's text to its table. The text comes from whoever may make topics: its size is
 * bounded by the setting, its depth here, before a parser that calls itself sees it. */
#include "actors/ordering/payload_schema.h"

#include "actors/ordering/payload_table.h"
#include "runtime/base/ensure.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    DEPTH_MAX = 32,
    JSON_DEPTH_MAX = 2 * DEPTH_MAX + 8, /* a schema below properties is two deeper */
    WHERE_BYTES = PAYLOAD_FAULT_BYTES,
};

typedef struct parse {
    payload_schema_t *schema;
    payload_fault_t *fault;
    char where[WHERE_BYTES]; /* the pointer to what is being read */
    size_t where_size;
    int depth;
} parse_t;

#define FAIL(self, ...)                                                                            \
    (snprintf((self)->fault->what, PAYLOAD_FAULT_BYTES, __VA_ARGS__), fail(self))

static bool fail(parse_t *self)
{
    snprintf(self->fault->where, PAYLOAD_FAULT_BYTES, "%s",
             self->where_size > 0 ? self->where : "the top");
    return false;
}

/* Goes one step down; returns what brings it back up. What does not fit is left out. */
static size_t step_down(parse_t *self, const char *name)
{
    size_t before = self->where_size;
    size_t at = before;
    const char *piece = "/";
    char one[2] = {0};
    while (piece && at + strlen(piece) < WHERE_BYTES) {
        memcpy(self->where + at, piece, strlen(piece) + 1);
        at += strlen(piece);
        one[0] = *name;
        piece = *name == '\0' ? NULL : *name == '~' ? "~0" : *name == '/' ? "~1" : one;
        name += *name != '\0';
    }
    self->where_size = at;
    return before;
}

static void step_up(parse_t *self, size_t before)
{
    self->where_size = before;
    self->where[before] = '\0';
}

static schema_node_t *node_at(const parse_t *self, uint32_t index)
{
    return (schema_node_t *)(void *)self->schema->nodes.data + index;
}

static uint32_t add_bytes(parse_t *self, const char *bytes, size_t size)
{
    uint32_t at = (uint32_t)self->schema->bytes.size;
    buffer_append(&self->schema->bytes, bytes, size);
    return at;
}

static bool parse_schema(parse_t *self, const json_t *json, uint32_t *ret_index);

/* --- types and values ------------------------------------------------------------------------ */

static bool add_type(parse_t *self, schema_node_t *node, const json_t *json)
{
    static const struct {
        const char *name;
        uint32_t bits;
    } types[] = {
        {"null", 1 << PAYLOAD_NULL},     {"boolean", 1 << PAYLOAD_BOOL},
        {"number", 1 << PAYLOAD_NUMBER}, {"integer", SCHEMA_WHOLE},
        {"string", 1 << PAYLOAD_TEXT},   {"array", 1 << PAYLOAD_ARRAY},
        {"object", 1 << PAYLOAD_OBJECT},
    };
    const char *name = json_string_value(json);
    for (size_t i = 0; name && i < sizeof types / sizeof types[0]; i++) {
        if (strcmp(types[i].name, name) == 0) {
            node->types |= types[i].bits;
            return true;
        }
    }
    return FAIL(self, "a type is one of null, boolean, number, integer, string, array, object");
}

static bool parse_type(parse_t *self, uint32_t index, const json_t *json)
{
    schema_node_t *node = node_at(self, index);
    node->types = 0;
    if (!json_is_array(json)) {
        return add_type(self, node, json);
    }
    bool good = json_array_size(json) > 0 || FAIL(self, "the list of types is empty");
    for (size_t i = 0; good && i < json_array_size(json); i++) {
        good = add_type(self, node, json_array_get(json, i));
    }
    return good;
}

static payload_number_t number_of(const json_t *json)
{
    json_int_t whole = json_integer_value(json);
    if (json_is_real(json)) {
        return (payload_number_t){NUMBER_REAL, {.real = json_real_value(json)}};
    }
    return whole < 0 ? (payload_number_t){NUMBER_NEGATIVE, {.negative = whole}}
                     : (payload_number_t){NUMBER_WHOLE, {.whole = (uint64_t)whole}};
}

static bool add_value(parse_t *self, const json_t *json, uint32_t *ret_index)
{
    schema_value_t value = {.kind = PAYLOAD_NULL};
    if (json_is_boolean(json)) {
        value.kind = PAYLOAD_BOOL;
        value.boolean = json_is_true(json);
    } else if (json_is_number(json)) {
        value.kind = PAYLOAD_NUMBER;
        value.number = number_of(json);
    } else if (json_is_string(json)) {
        value.kind = PAYLOAD_TEXT;
        value.text_size = (uint32_t)json_string_length(json);
        value.text_at = add_bytes(self, json_string_value(json), value.text_size);
    } else if (!json_is_null(json)) {
        return FAIL(self, "values that are arrays or objects are not supported here");
    }
    *ret_index = (uint32_t)(self->schema->values.size / sizeof value);
    buffer_append(&self->schema->values, &value, sizeof value);
    return true;
}

static bool parse_enum(parse_t *self, uint32_t index, const json_t *json)
{
    uint32_t last;
    uint32_t first = (uint32_t)(self->schema->values.size / sizeof(schema_value_t));
    size_t count = json_array_size(json);
    bool good = (count > 0 && count <= PAYLOAD_ENUM_MAX) ||
                FAIL(self, "it is a list of 1 to %d values", PAYLOAD_ENUM_MAX);
    for (size_t i = 0; good && i < count; i++) {
        good = add_value(self, json_array_get(json, i), &last);
    }
    node_at(self, index)->has_values = true;
    node_at(self, index)->values = (schema_stretch_t){first, (uint32_t)count};
    return good;
}

static bool parse_const(parse_t *self, uint32_t index, const json_t *json)
{
    node_at(self, index)->has_constant = true;
    return add_value(self, json, &node_at(self, index)->constant);
}

/* --- bounds ---------------------------------------------------------------------------------- */

/* The tighter one of two counts. `sign` is 1 where the greater number is the tighter one. */
static bool add_bound(parse_t *self, schema_bound_t *bound, const json_t *json, int sign, bool open)
{
    if (!json_is_number(json)) {
        return FAIL(self, "it is a number");
    }
    payload_number_t number = number_of(json);
    int order = bound->given ? sign * payload_number_compare(number, bound->number) : 1;
    if (order > 0 || (order == 0 && open)) {
        *bound = (schema_bound_t){.number = number, .given = true, .open = open};
    }
    return true;
}

static bool parse_minimum(parse_t *self, uint32_t index, const json_t *json)
{
    return add_bound(self, &node_at(self, index)->least, json, 1, false);
}

static bool parse_exclusive_minimum(parse_t *self, uint32_t index, const json_t *json)
{
    return add_bound(self, &node_at(self, index)->least, json, 1, true);
}

static bool parse_maximum(parse_t *self, uint32_t index, const json_t *json)
{
    return add_bound(self, &node_at(self, index)->most, json, -1, false);
}

static bool parse_exclusive_maximum(parse_t *self, uint32_t index, const json_t *json)
{
    return add_bound(self, &node_at(self, index)->most, json, -1, true);
}

static bool read_count(parse_t *self, const json_t *json, uint32_t *ret_count)
{
    json_int_t value = json_integer_value(json);
    if (!json_is_integer(json) || value < 0) {
        return FAIL(self, "it is a whole number from 0");
    }
    *ret_count = value < UINT32_MAX ? (uint32_t)value : UINT32_MAX;
    return true;
}

static bool parse_length_min(parse_t *self, uint32_t index, const json_t *json)
{
    return read_count(self, json, &node_at(self, index)->length_min);
}

static bool parse_length_max(parse_t *self, uint32_t index, const json_t *json)
{
    return read_count(self, json, &node_at(self, index)->length_max);
}

static bool parse_items_min(parse_t *self, uint32_t index, const json_t *json)
{
    return read_count(self, json, &node_at(self, index)->items_min);
}

static bool parse_items_max(parse_t *self, uint32_t index, const json_t *json)
{
    return read_count(self, json, &node_at(self, index)->items_max);
}

/* --- arrays and objects ---------------------------------------------------------------------- */

static bool parse_items(parse_t *self, uint32_t index, const json_t *json)
{
    uint32_t items;
    bool good = parse_schema(self, json, &items);
    node_at(self, index)->items = good ? items : SCHEMA_ANY;
    return good;
}

static bool parse_additional(parse_t *self, uint32_t index, const json_t *json)
{
    node_at(self, index)->closed = json_is_false(json);
    return json_is_boolean(json) || FAIL(self, "only true and false are supported here");
}

static bool check_name(parse_t *self, size_t size, size_t count)
{
    if (size > PAYLOAD_NAME_BYTES_MAX) {
        return FAIL(self, "a name has more than %d bytes", PAYLOAD_NAME_BYTES_MAX);
    }
    return count <= PAYLOAD_NAMES_MAX ||
           FAIL(self, "an object has more than %d names", PAYLOAD_NAMES_MAX);
}

/* What is known of a member while its object is read. */
typedef struct found {
    const char *name;
    uint32_t schema;
    bool property;
    bool required;
} found_t;

static int compare_found(const void *a, const void *b)
{
    return strcmp(((const found_t *)a)->name, ((const found_t *)b)->name);
}

static bool find_properties(parse_t *self, const json_t *properties, buffer_t *found)
{
    const char *name;
    json_t *json;
    size_t before = step_down(self, "properties");
    bool good = !properties || json_is_object(properties) || FAIL(self, "it is an object");
    json_object_foreach((json_t *)properties, name, json)
    {
        found_t member = {.name = name, .property = true};
        size_t inner = step_down(self, name);
        good = good && check_name(self, strlen(name), found->size / sizeof member + 1) &&
               parse_schema(self, json, &member.schema);
        step_up(self, inner);
        buffer_append(found, &member, sizeof member);
    }
    step_up(self, before);
    return good;
}

static bool find_required(parse_t *self, const json_t *required, buffer_t *found)
{
    size_t before = step_down(self, "required");
    bool good = !required || json_is_array(required) || FAIL(self, "it is a list of names");
    for (size_t i = 0; good && i < json_array_size(required); i++) {
        const char *name = json_string_value(json_array_get(required, i));
        found_t member = {.name = name, .schema = SCHEMA_ANY, .required = true};
        good = name ? check_name(self, strlen(name), i + 1) : FAIL(self, "it is a list of names");
        buffer_append(found, &member, sizeof member);
    }
    step_up(self, before);
    return good;
}

/* Those of one name become one; ascending names. */
static bool add_members(parse_t *self, uint32_t index, buffer_t *found)
{
    found_t *list = (found_t *)(void *)found->data;
    size_t count = found->size / sizeof *list;
    schema_stretch_t stretch = {(uint32_t)(self->schema->members.size / sizeof(schema_member_t)),
                                0};
    uint32_t required = 0;
    if (count > 0) {
        qsort(list, count, sizeof *list, compare_found);
    }
    for (size_t i = 0; i < count;) {
        size_t size = strlen(list[i].name);
        schema_member_t member = {.name_at = add_bytes(self, list[i].name, size),
                                  .name_size = (uint32_t)size,
                                  .schema = SCHEMA_ANY};
        for (size_t first = i; i < count && strcmp(list[i].name, list[first].name) == 0; i++) {
            member.schema = list[i].property ? list[i].schema : member.schema;
            member.property = member.property || list[i].property;
            member.required = member.required || list[i].required;
        }
        required += member.required;
        stretch.count++;
        buffer_append(&self->schema->members, &member, sizeof member);
    }
    node_at(self, index)->members = stretch;
    node_at(self, index)->required = required;
    return check_name(self, 0, stretch.count);
}

static bool parse_members(parse_t *self, uint32_t index, const json_t *schema)
{
    buffer_t found = {0};
    bool good = find_properties(self, json_object_get(schema, "properties"), &found) &&
                find_required(self, json_object_get(schema, "required"), &found) &&
                add_members(self, index, &found);
    buffer_fini(&found);
    return good;
}

/* --- keywords -------------------------------------------------------------------------------- */

typedef bool keyword_fn(parse_t *self, uint32_t index, const json_t *json);

static bool pass_over(parse_t *self, uint32_t index, const json_t *json)
{
    (void)self;
    (void)index;
    (void)json;
    return true;
}

static const struct keyword {
    const char *name;
    keyword_fn *parse;
} keywords[] = {
    {"type", parse_type},
    {"enum", parse_enum},
    {"const", parse_const},
    {"minimum", parse_minimum},
    {"maximum", parse_maximum},
    {"exclusiveMinimum", parse_exclusive_minimum},
    {"exclusiveMaximum", parse_exclusive_maximum},
    {"minLength", parse_length_min},
    {"maxLength", parse_length_max},
    {"minItems", parse_items_min},
    {"maxItems", parse_items_max},
    {"items", parse_items},
    {"additionalProperties", parse_additional},
    {"properties", pass_over}, /* parse_members: the two belong together */
    {"required", pass_over},
    {"$schema", pass_over},
    {"$id", pass_over},
    {"$comment", pass_over},
    {"title", pass_over},
    {"description", pass_over},
    {"default", pass_over},
    {"examples", pass_over},
};

static bool parse_keyword(parse_t *self, uint32_t index, const char *name, const json_t *json)
{
    size_t before = step_down(self, name);
    size_t i = 0;
    size_t count = sizeof keywords / sizeof keywords[0];
    while (i < count && strcmp(keywords[i].name, name) != 0) {
        i++;
    }
    bool good = i < count ? keywords[i].parse(self, index, json)
                          : FAIL(self,
                                 "the keyword %.32s is not supported: see payload_schema in "
                                 "`capstan help topics` for those that are",
                                 name);
    step_up(self, before);
    return good;
}

static bool parse_keywords(parse_t *self, uint32_t index, const json_t *schema)
{
    const char *name;
    json_t *json;
    json_object_foreach((json_t *)schema, name, json)
    {
        if (!parse_keyword(self, index, name, json)) {
            return false;
        }
    }
    return parse_members(self, index, schema);
}

static bool parse_schema(parse_t *self, const json_t *json, uint32_t *ret_index)
{
    const schema_node_t node = {.types = json_is_false(json) ? 0 : SCHEMA_ALL,
                                .items = SCHEMA_ANY,
                                .length_max = UINT32_MAX,
                                .items_max = UINT32_MAX};
    uint32_t index = (uint32_t)(self->schema->nodes.size / sizeof node);
    if (!json_is_object(json) && !json_is_boolean(json)) {
        return FAIL(self, "a schema is an object, true or false");
    }
    if (index == PAYLOAD_SCHEMAS_MAX) {
        return FAIL(self, "more than %d schemas", PAYLOAD_SCHEMAS_MAX);
    }
    if (self->depth == DEPTH_MAX) {
        return FAIL(self, "schemas are nested more than %d deep", DEPTH_MAX);
    }
    buffer_append(&self->schema->nodes, &node, sizeof node);
    *ret_index = index;
    self->depth++;
    bool good = json_is_boolean(json) || parse_keywords(self, index, json);
    self->depth--;
    return good;
}

/* --- the text -------------------------------------------------------------------------------- */

/* The deepest brackets of what may be JSON; those in texts do not count. */
static int bracket_depth(slice_t text)
{
    const char *bytes = text.data;
    bool in_text = false;
    int depth = 0;
    int deepest = 0;
    for (size_t i = 0; i < text.size; i++) {
        if (bytes[i] == '"') {
            in_text = !in_text;
        } else if (in_text) {
            i += bytes[i] == '\\';
        } else if (bytes[i] == '[' || bytes[i] == '{') {
            deepest = ++depth > deepest ? depth : deepest;
        } else if (bytes[i] == ']' || bytes[i] == '}') {
            depth--;
        }
    }
    return deepest;
}

static json_t *load(slice_t text, payload_fault_t *fault)
{
    json_error_t error;
    if (bracket_depth(text) > JSON_DEPTH_MAX) {
        snprintf(fault->where, sizeof fault->where, "the top");
        snprintf(fault->what, sizeof fault->what, "schemas are nested more than %d deep",
                 DEPTH_MAX);
        return NULL;
    }
    json_t *root =
        json_loadb(text.data, text.size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (!root) {
        snprintf(fault->where, sizeof fault->where, "line %d, column %d", error.line, error.column);
        snprintf(fault->what, sizeof fault->what, "%.*s", (int)sizeof fault->what - 1, error.text);
    }
    return root;
}

capstan_err_t payload_schema_parse(slice_t text, payload_schema_t **ret_schema,
                                   payload_fault_t *ret_fault)
{
    uint32_t top;
    json_t *root = load(text, ret_fault);
    if (!root) {
        return CAPSTAN_E_SCHEMA_INVALID;
    }
    payload_schema_t *schema = calloc(1, sizeof *schema);
    ENSURE(schema);
    parse_t parse = {.schema = schema, .fault = ret_fault};
    bool good = parse_schema(&parse, root, &top);
    json_decref(root);
    if (!good) {
        payload_schema_destroy(&schema);
        return CAPSTAN_E_SCHEMA_INVALID;
    }
    *ret_schema = schema;
    return CAPSTAN_OK;
}

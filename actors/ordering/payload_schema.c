/* Payloads against a schema. The walk goes as deep as the payload does, within a bound, and keeps
 * for each object a bit per member that was seen; where no schema holds, it only passes over. */
#include "actors/ordering/payload_schema.h"

#include "actors/ordering/payload_table.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum { DEPTH_MAX = 64 };

/* The way to a value, from the inside out. */
typedef struct place {
    const struct place *outer;
    const payload_text_t *name; /* NULL: an element */
    uint64_t index;
} place_t;

typedef struct check {
    const payload_schema_t *schema;
    payload_reader_t reader;
    payload_fault_t *fault;
} check_t;

void payload_schema_destroy(payload_schema_t **self_p)
{
    payload_schema_t *self = *self_p;
    if (self) {
        buffer_fini(&self->nodes);
        buffer_fini(&self->members);
        buffer_fini(&self->values);
        buffer_fini(&self->bytes);
        free(self);
        *self_p = NULL;
    }
}

/* --- what is wrong, and where ---------------------------------------------------------------- */

/* A name as a pointer writes it; what does not fit is left out. */
static size_t write_name(const payload_text_t *name, char *out, size_t size)
{
    char plain[64];
    size_t copied = payload_text_copy(*name, plain, sizeof plain);
    size_t written = 0;
    bool cut = copied > sizeof plain;
    copied = cut ? 0 : copied;
    for (size_t i = 0; i < copied && written + 2 < size; i++) {
        bool special = plain[i] == '~' || plain[i] == '/';
        if (special) {
            out[written++] = '~';
        }
        out[written++] = plain[i] == '~'                  ? '0'
                         : plain[i] == '/'                ? '1'
                         : (unsigned char)plain[i] < 0x20 ? '?'
                                                          : plain[i];
    }
    if (cut) {
        written += (size_t)snprintf(out, size, "%s", size > 3 ? "..." : "");
    }
    return written;
}

static void write_place(const place_t *place, char where[PAYLOAD_FAULT_BYTES])
{
    const place_t *way[DEPTH_MAX + 1];
    size_t depth = 0;
    size_t written = 0;
    for (; place->outer; place = place->outer) {
        way[depth++] = place;
    }
    where[0] = '\0';
    while (depth-- > 0 && written + 1 < PAYLOAD_FAULT_BYTES) {
        size_t left = PAYLOAD_FAULT_BYTES - written - 1; /* behind the slash */
        char *at = where + written;
        *at++ = '/';
        size_t size = 0;
        if (way[depth]->name) {
            size = write_name(way[depth]->name, at, left);
        } else if (left > 21) {
            size = (size_t)snprintf(at, left, "%" PRIu64, way[depth]->index);
        }
        at[size] = '\0';
        written += 1 + size;
    }
    if (written == 0) {
        snprintf(where, PAYLOAD_FAULT_BYTES, "the top");
    }
}

#define FAIL(self, place, ...)                                                                     \
    (snprintf((self)->fault->what, PAYLOAD_FAULT_BYTES, __VA_ARGS__), fail(self, place))

static bool fail(check_t *self, const place_t *place)
{
    write_place(place, self->fault->where);
    return false;
}

/* The bytes themselves. */
static bool fail_reading(check_t *self, const place_t *place)
{
    return FAIL(self, place, "%s", self->reader.fault);
}

/* --- one value ------------------------------------------------------------------------------- */

static const char *const kind_names[] = {"null",     "a boolean", "a number", "a text",
                                         "an array", "an object", "bytes"};

static bool equals(const payload_schema_t *schema, const schema_value_t *wanted,
                   const payload_value_t *value)
{
    if (wanted->kind != value->kind) {
        return false;
    }
    switch (value->kind) {
    case PAYLOAD_BOOL:
        return wanted->boolean == value->boolean;
    case PAYLOAD_NUMBER:
        return payload_number_compare(wanted->number, value->number) == 0;
    case PAYLOAD_TEXT:
        return payload_text_equals(value->text,
                                   schema_bytes(schema, wanted->text_at, wanted->text_size));
    case PAYLOAD_NULL:
    case PAYLOAD_ARRAY: /* no schema wants these */
    case PAYLOAD_OBJECT:
    case PAYLOAD_BYTES:
        break;
    }
    return value->kind == PAYLOAD_NULL;
}

static bool is_one_of(const payload_schema_t *schema, schema_stretch_t stretch,
                      const payload_value_t *value)
{
    const schema_value_t *values = (const schema_value_t *)(const void *)schema->values.data;
    for (uint32_t i = 0; i < stretch.count; i++) {
        if (equals(schema, &values[stretch.first + i], value)) {
            return true;
        }
    }
    return false;
}

static bool check_number(check_t *self, const schema_node_t *node, const payload_value_t *value,
                         const place_t *place)
{
    const schema_bound_t *least = &node->least;
    const schema_bound_t *most = &node->most;
    int low = least->given ? payload_number_compare(value->number, least->number) : 1;
    int high = most->given ? payload_number_compare(value->number, most->number) : -1;
    if (low == 2 || low < 0 || (low == 0 && least->open)) {
        return FAIL(self, place, "the number is below its minimum");
    }
    if (high > 0 || (high == 0 && most->open)) {
        return FAIL(self, place, "the number is above its maximum");
    }
    return true;
}

static bool check_text(check_t *self, const schema_node_t *node, const payload_value_t *value,
                       const place_t *place)
{
    if (node->length_min == 0 && node->length_max == UINT32_MAX) {
        return true;
    }
    uint64_t length = payload_text_length(value->text);
    if (length < node->length_min) {
        return FAIL(self, place, "the text has %" PRIu64 " characters, and needs %" PRIu32, length,
                    node->length_min);
    }
    if (length > node->length_max) {
        return FAIL(self, place, "the text has %" PRIu64 " characters, and may have %" PRIu32,
                    length, node->length_max);
    }
    return true;
}

static bool has_type(const schema_node_t *node, const payload_value_t *value)
{
    bool whole = (node->types & SCHEMA_WHOLE) && value->kind == PAYLOAD_NUMBER &&
                 payload_number_is_whole(value->number);
    return whole || (node->types >> value->kind & 1);
}

/* Everything but its children. */
static bool check_itself(check_t *self, const schema_node_t *node, const payload_value_t *value,
                         const place_t *place)
{
    if (!has_type(node, value)) {
        return FAIL(self, place, "%s is not of the type that is wanted", kind_names[value->kind]);
    }
    if (node->has_constant &&
        !is_one_of(self->schema, (schema_stretch_t){node->constant, 1}, value)) {
        return FAIL(self, place, "it is not the one value that it may be (const)");
    }
    if (node->has_values && !is_one_of(self->schema, node->values, value)) {
        return FAIL(self, place, "it is none of the values that it may be (enum)");
    }
    return value->kind == PAYLOAD_NUMBER ? check_number(self, node, value, place)
           : value->kind == PAYLOAD_TEXT ? check_text(self, node, value, place)
                                         : true;
}

/* --- its children ---------------------------------------------------------------------------- */

static bool check_value(check_t *self, uint32_t schema, const place_t *place, int depth);

static bool check_elements(check_t *self, const schema_node_t *node, payload_children_t children,
                           const place_t *place, int depth)
{
    uint64_t count = 0;
    for (; payload_next_element(&self->reader, &children); count++) {
        const place_t inner = {.outer = place, .index = count};
        if (!check_value(self, node ? node->items : SCHEMA_ANY, &inner, depth + 1)) {
            return false;
        }
    }
    if (self->reader.fault) {
        return fail_reading(self, place);
    }
    if (node && (count < node->items_min || count > node->items_max)) {
        return FAIL(self, place, "the array has %" PRIu64 " elements, and %s %" PRIu32, count,
                    count < node->items_min ? "needs" : "may have",
                    count < node->items_min ? node->items_min : node->items_max);
    }
    return true;
}

static const schema_member_t *member_at(const check_t *self, uint32_t index)
{
    return (const schema_member_t *)(const void *)self->schema->members.data + index;
}

/* The place among the members; `count`: it is none of them. */
static uint32_t find_member(const check_t *self, schema_stretch_t members, payload_text_t name)
{
    char plain[PAYLOAD_NAME_BYTES_MAX];
    size_t size = payload_text_copy(name, plain, sizeof plain);
    uint32_t low = 0;
    uint32_t high = size > sizeof plain ? 0 : members.count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const schema_member_t *member = member_at(self, members.first + middle);
        slice_t its = schema_bytes(self->schema, member->name_at, member->name_size);
        size_t shorter = its.size < size ? its.size : size;
        int order = shorter > 0 ? memcmp(plain, its.data, shorter) : 0;
        order = order != 0 ? order : (size > its.size) - (size < its.size);
        if (order == 0) {
            return middle;
        }
        if (order < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return members.count;
}

static bool check_member(check_t *self, const schema_node_t *node, uint8_t *seen,
                         const place_t *place, int depth)
{
    uint32_t schema = SCHEMA_ANY;
    uint32_t found = node ? find_member(self, node->members, *place->name) : 0;
    const schema_member_t *member =
        node && found < node->members.count ? member_at(self, node->members.first + found) : NULL;
    if (node && node->closed && !(member && member->property)) {
        return FAIL(self, place, "no such member is allowed (additionalProperties)");
    }
    if (member) {
        schema = member->schema;
        seen[found / 8] = (uint8_t)(seen[found / 8] | 1 << found % 8);
    }
    return check_value(self, schema, place, depth);
}

static bool check_required(check_t *self, const schema_node_t *node, const uint8_t *seen,
                           const place_t *place)
{
    for (uint32_t i = 0; i < node->members.count; i++) {
        const schema_member_t *member = member_at(self, node->members.first + i);
        if (member->required && !(seen[i / 8] >> i % 8 & 1)) {
            slice_t name = schema_bytes(self->schema, member->name_at, member->name_size);
            return FAIL(self, place, "the member \"%.*s\" is missing (required)",
                        (int)(name.size < 64 ? name.size : 64), (const char *)name.data);
        }
    }
    return true;
}

static bool check_members(check_t *self, const schema_node_t *node, payload_children_t children,
                          const place_t *place, int depth)
{
    uint8_t seen[PAYLOAD_NAMES_MAX / 8];
    payload_text_t name;
    if (node) {
        memset(seen, 0, (node->members.count + 7) / 8);
    }
    while (payload_next_member(&self->reader, &children, &name)) {
        const place_t inner = {.outer = place, .name = &name};
        if (!check_member(self, node, seen, &inner, depth + 1)) {
            return false;
        }
    }
    if (self->reader.fault) {
        return fail_reading(self, place);
    }
    return !node || node->required == 0 || check_required(self, node, seen, place);
}

static bool check_value(check_t *self, uint32_t schema, const place_t *place, int depth)
{
    payload_value_t value;
    const schema_node_t *nodes = (const schema_node_t *)(const void *)self->schema->nodes.data;
    const schema_node_t *node = schema == SCHEMA_ANY ? NULL : &nodes[schema];
    if (!payload_read(&self->reader, &value)) {
        return fail_reading(self, place);
    }
    if (node && !check_itself(self, node, &value, place)) {
        return false;
    }
    if (value.kind != PAYLOAD_ARRAY && value.kind != PAYLOAD_OBJECT) {
        return true;
    }
    if (depth == DEPTH_MAX) {
        return FAIL(self, place, "it is nested more than %d deep", DEPTH_MAX);
    }
    payload_children_t children = payload_enter(&value);
    return value.kind == PAYLOAD_ARRAY ? check_elements(self, node, children, place, depth)
                                       : check_members(self, node, children, place, depth);
}

/* --- the payload ----------------------------------------------------------------------------- */

static bool ends_with(slice_t text, const char *end)
{
    size_t size = strlen(end);
    return text.size >= size &&
           strncasecmp((const char *)text.data + text.size - size, end, size) == 0;
}

/* Without parameters (RFC 9110): "application/json; charset=utf-8". */
static slice_t media_type(slice_t content_type)
{
    const char *text = content_type.data;
    size_t size = 0;
    while (size < content_type.size && text[size] != ';' && text[size] != ' ') {
        size++;
    }
    return slice_of(text, size);
}

capstan_err_t payload_schema_check(const payload_schema_t *self, slice_t content_type,
                                   slice_t payload, payload_fault_t *ret_fault)
{
    const place_t top = {0};
    slice_t type = media_type(content_type);
    bool json = ends_with(type, "/json") || ends_with(type, "+json");
    check_t check = {.schema = self, .reader = payload_reader(payload, json), .fault = ret_fault};
    if (!json && !ends_with(type, "msgpack")) {
        FAIL(&check, &top, "the content type \"%.*s\" is neither JSON nor MessagePack",
             (int)(content_type.size < 64 ? content_type.size : 64),
             (const char *)content_type.data);
        return CAPSTAN_E_PAYLOAD_INVALID;
    }
    if (check_value(&check, 0, &top, 0) &&
        (payload_at_end(&check.reader) || fail_reading(&check, &top))) {
        return CAPSTAN_OK;
    }
    return CAPSTAN_E_PAYLOAD_INVALID;
}

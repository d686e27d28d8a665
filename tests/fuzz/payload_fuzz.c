/* Schemas and payloads: two bytes say how long the schema is, the rest is the payload. What is read
 * as a schema checks the payload, whatever that is; and of JSON the reader says what another parser
 * says. */
#include "actors/ordering/payload_schema.h"
#include "runtime/base/ensure.h"

#include <jansson.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char as_json[] = "application/json";
static const char as_msgpack[] = "application/msgpack";

static void check(const payload_schema_t *schema, const char *type, slice_t payload)
{
    payload_fault_t fault = {{0}, {0}};
    if (payload_schema_check(schema, slice_text(type), payload, &fault) != CAPSTAN_OK) {
        ENSURE(*fault.where && *fault.what);
    }
}

/* Bounds that the other parser has not, or elsewhere. */
static bool is_bound(const payload_fault_t *fault)
{
    return strstr(fault->what, "deep") || strstr(fault->what, "128 characters");
}

static void compare(const payload_schema_t *any, slice_t payload)
{
    json_error_t error;
    payload_fault_t fault;
    capstan_err_t err = payload_schema_check(any, slice_text(as_json), payload, &fault);
    if (payload.size > 0 && memchr(payload.data, '\0', payload.size)) {
        ENSURE(err != CAPSTAN_OK); /* which the other parser takes for an end in some places */
        return;
    }
    json_t *json = json_loadb(payload.data ? payload.data : "", payload.size,
                              JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    if (err == CAPSTAN_OK) {
        enum json_error_code other = json ? json_error_unknown : json_error_code(&error);
        ENSURE(json || other == json_error_numeric_overflow ||
               other == json_error_null_byte_in_key);
    } else {
        ENSURE(!json || is_bound(&fault));
    }
    json_decref(json);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    payload_schema_t *schema = NULL;
    payload_schema_t *any = NULL;
    payload_fault_t fault;
    if (size < 2) {
        return 0;
    }
    size_t length = (size_t)data[0] << 8 | data[1];
    length = length < size - 2 ? length : size - 2;
    slice_t payload = slice_of(data + 2 + length, size - 2 - length);
    if (payload_schema_parse(slice_of(data + 2, length), &schema, &fault) == CAPSTAN_OK) {
        check(schema, as_json, payload);
        check(schema, as_msgpack, payload);
    }
    ENSURE(payload_schema_parse(slice_text("{}"), &any, &fault) == CAPSTAN_OK);
    compare(any, payload);
    payload_schema_destroy(&schema);
    payload_schema_destroy(&any);
    return 0;
}

/* The text form of a trace context:
 *
 *   00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01
 *   version  trace id                   parent id       flags */
#include <capstan/trace.h>

#include <string.h>

enum {
    TEXT_SIZE = CAPSTAN_TRACEPARENT_SIZE - 1,
    TRACE_ID_AT = 3,
    SPAN_ID_AT = 36,
    FLAGS_AT = 53,
    VERSION_INVALID = 0xff,
};

static int digit_of(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_hex(const char *text, uint8_t *ret_bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int high = digit_of(text[2 * i]);
        int low = digit_of(text[2 * i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        ret_bytes[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static bool is_zero(const uint8_t *bytes, size_t count)
{
    static const uint8_t zeros[16];
    return memcmp(bytes, zeros, count) == 0;
}

capstan_err_t capstan_trace_parse(capstan_slice_t text, capstan_trace_t *ret_trace)
{
    const char *at = text.data;
    uint8_t version;
    capstan_trace_t trace;
    if (text.size < TEXT_SIZE || !read_hex(at, &version, 1) || version == VERSION_INVALID ||
        at[TRACE_ID_AT - 1] != '-' || at[SPAN_ID_AT - 1] != '-' || at[FLAGS_AT - 1] != '-' ||
        !read_hex(at + TRACE_ID_AT, trace.trace_id, sizeof trace.trace_id) ||
        !read_hex(at + SPAN_ID_AT, trace.span_id, sizeof trace.span_id) ||
        !read_hex(at + FLAGS_AT, &trace.flags, 1)) {
        return CAPSTAN_E_INVALID;
    }
    /* A later version may have more fields behind a further dash. */
    if (text.size > TEXT_SIZE && (version == 0 || at[TEXT_SIZE] != '-')) {
        return CAPSTAN_E_INVALID;
    }
    if (is_zero(trace.trace_id, sizeof trace.trace_id) ||
        is_zero(trace.span_id, sizeof trace.span_id)) {
        return CAPSTAN_E_INVALID;
    }
    trace.flags &= CAPSTAN_TRACE_SAMPLED;
    *ret_trace = trace;
    return CAPSTAN_OK;
}

static char *write_hex(char *at, const uint8_t *bytes, size_t count)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < count; i++) {
        *at++ = digits[bytes[i] >> 4];
        *at++ = digits[bytes[i] & 15];
    }
    return at;
}

void capstan_trace_print(const capstan_trace_t *trace, char ret_text[CAPSTAN_TRACEPARENT_SIZE])
{
    uint8_t flags = trace->flags & CAPSTAN_TRACE_SAMPLED;
    char *at = ret_text;
    memcpy(at, "00-", TRACE_ID_AT);
    at = write_hex(at + TRACE_ID_AT, trace->trace_id, sizeof trace->trace_id);
    *at++ = '-';
    at = write_hex(at, trace->span_id, sizeof trace->span_id);
    *at++ = '-';
    at = write_hex(at, &flags, 1);
    *at = '\0';
}

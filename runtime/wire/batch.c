#include "runtime/wire/batch.h"

#include "runtime/base/ensure.h"
#include "runtime/wire/walk.h"

enum {
    /* map of 5; version as fixint; count in 32 bits; sequence and both credits in 64 bits */
    HEADER_BYTES = 1 + 2 + (1 + 5) + 3 * (1 + 9),
    ENVELOPE_BYTES_MAX = 1 + 7 * (1 + PACK_UINT_MAX) + 2 * (1 + PACK_REF_MAX) +
                         4 * (1 + PACK_HEAD_MAX), /* the slices' content apart */
    /* The least a message takes: a map with message and kind, and an empty body. */
    MESSAGE_BYTES_MIN = 1 + 2 + 2 + 2,
};

void envelope_write(const envelope_t *envelope, buffer_t *out)
{
    ENSURE(envelope->principal.size <= UINT32_MAX && envelope->namespace.size <= UINT32_MAX &&
           envelope->trace.size <= UINT32_MAX && envelope->idempotency_key.size <= UINT32_MAX);
    size_t content = envelope->principal.size + envelope->namespace.size + envelope->trace.size +
                     envelope->idempotency_key.size;
    uint8_t *begin = buffer_reserve(out, ENVELOPE_BYTES_MAX + content);
    uint8_t *at = begin + 1;
    uint8_t count = 0;
    /* PUT writes a field when it is there; the order of the rows is the order of the bytes. */
#define PUT(key, present, pack, field)                                                             \
    if (present) {                                                                                 \
        *at = (key);                                                                               \
        at = pack(at + 1, envelope->field);                                                        \
        count++;                                                                                   \
    }
    PUT(1, true, pack_uint, message)
    PUT(2, true, pack_uint, kind)
    PUT(3, envelope->correlation, pack_uint, correlation)
    PUT(4, !capstan_ref_is_null(envelope->sender), pack_ref, sender)
    PUT(5, !capstan_ref_is_null(envelope->target), pack_ref, target)
    PUT(6, envelope->ttl_us, pack_uint, ttl_us)
    PUT(7, envelope->flags, pack_uint, flags)
    PUT(8, envelope->owner_epoch, pack_uint, owner_epoch)
    PUT(9, envelope->principal.size, pack_str, principal)
    PUT(10, envelope->namespace.size, pack_str, namespace)
    PUT(11, envelope->trace.size, pack_bin, trace)
    PUT(12, envelope->idempotency_key.size, pack_bin, idempotency_key)
#undef PUT
    *begin = 0x80 | count;
    out->size += (size_t)(at - begin);
}

/* The readers of text and bytes are not inlined: they get a copy of the place (see walk.h). */
static inline capstan_err_t take_str(const uint8_t **at, const uint8_t *end, slice_t *ret_value)
{
    const uint8_t *place = *at;
    capstan_err_t err = walk_str(&place, end, ret_value);
    *at = place;
    return err;
}

static inline capstan_err_t take_bin(const uint8_t **at, const uint8_t *end, slice_t *ret_value)
{
    const uint8_t *place = *at;
    capstan_err_t err = walk_bin(&place, end, ret_value);
    *at = place;
    return err;
}

/* Reads what envelope_write produces: ascending keys and nothing else. False says nothing about the
 * bytes but that the codec must look at them. */
static bool read_ascending(const uint8_t **at, const uint8_t *end, envelope_t *envelope)
{
    const uint8_t *place = *at;
    if (place == end || (*place & 0xf0) != 0x80) {
        return false;
    }
    int left = *place++ & 0x0f;
    /* TAKE reads a field when its key is next, and zeroes it otherwise; ascending keys cannot
     * repeat. Zeroing the whole struct first took half of the time. */
#define TAKE(key, read, field)                                                                     \
    if (place == end || *place != (key)) {                                                         \
        memset(&envelope->field, 0, sizeof envelope->field);                                       \
    } else {                                                                                       \
        place++;                                                                                   \
        left--;                                                                                    \
        if (read(&place, end, &envelope->field)) {                                                 \
            return false;                                                                          \
        }                                                                                          \
    }
    TAKE(1, walk_uint, message)
    TAKE(2, walk_uint, kind)
    bool required = left + 2 == (**at & 0x0f);
    TAKE(3, walk_uint, correlation)
    TAKE(4, walk_ref, sender)
    TAKE(5, walk_ref, target)
    TAKE(6, walk_uint, ttl_us)
    TAKE(7, walk_uint, flags)
    TAKE(8, walk_uint, owner_epoch)
    TAKE(9, take_str, principal)
    TAKE(10, take_str, namespace)
    TAKE(11, take_bin, trace)
    TAKE(12, take_bin, idempotency_key)
#undef TAKE
    *at = place;
    return required && left == 0;
}

capstan_err_t envelope_read(slice_t input, size_t *position, envelope_t *ret_envelope,
                            codec_fault_t *ret_fault)
{
    ENSURE(*position <= input.size);
    const uint8_t *begin = walk_begin(input);
    const uint8_t *at = begin + *position;
    if (__builtin_expect(!read_ascending(&at, begin + input.size, ret_envelope), 0)) {
        codec_fault_t unwanted;
        codec_fault_t *fault = ret_fault ? ret_fault : &unwanted;
        at = begin + *position;
        *ret_envelope = (envelope_t){.message = 0};
        if (walk_record(&at, input, envelope_wire(), ret_envelope, fault)) {
            return fault->err;
        }
    }
    *position = (size_t)(at - begin);
    return CAPSTAN_OK;
}

batch_writer_t batch_begin(buffer_t *out)
{
    batch_writer_t writer = {.out = out, .head = out->size};
    buffer_reserve(out, HEADER_BYTES);
    out->size += HEADER_BYTES;
    batch_seal(&writer, &(link_header_t){.version = WIRE_VERSION});
    return writer;
}

static void add_body(batch_writer_t *self, slice_t body)
{
    ENSURE(body.size <= UINT32_MAX);
    uint8_t *begin = buffer_reserve(self->out, PACK_HEAD_MAX + body.size);
    self->out->size += (size_t)(pack_bin(begin, body) - begin);
    self->count++;
}

void batch_add(batch_writer_t *self, const envelope_t *envelope, slice_t body)
{
    self->envelope = self->out->size;
    envelope_write(envelope, self->out);
    self->envelope_size = self->out->size - self->envelope;
    add_body(self, body);
}

void batch_add_same(batch_writer_t *self, slice_t body)
{
    ENSURE(self->envelope_size > 0);
    uint8_t *to = buffer_reserve(self->out, self->envelope_size);
    memcpy(to, self->out->data + self->envelope, self->envelope_size);
    self->out->size += self->envelope_size;
    add_body(self, body);
}

void batch_seal(batch_writer_t *self, const link_header_t *header)
{
    ENSURE(header->version < 0x80);
    uint8_t *at = self->out->data + self->head;
    const uint8_t version[] = {0x85, 1, (uint8_t)header->version};
    const uint64_t numbers[] = {header->sequence, header->credit_messages, header->credit_bytes};
    memcpy(at, version, sizeof version);
    at += sizeof version;
    *at++ = 2;
    *at++ = 0xce;
    at = pack_u32(at, self->count);
    for (uint8_t i = 0; i < 3; i++) {
        *at++ = (uint8_t)(3 + i);
        *at++ = 0xcf;
        at = pack_u64(at, numbers[i]);
    }
}

capstan_err_t batch_open(slice_t input, batch_reader_t *ret_reader)
{
    batch_reader_t reader = {.input = input};
    const uint8_t *at = walk_begin(input);
    capstan_err_t err = walk_record(&at, input, link_header_wire(), &reader.header, &reader.fault);
    if (err) {
        return err;
    }
    if (reader.header.version != WIRE_VERSION) {
        return CAPSTAN_E_WRONG_VERSION;
    }
    reader.position = (size_t)(at - walk_begin(input));
    if (reader.header.count > (input.size - reader.position) / MESSAGE_BYTES_MIN) {
        return CAPSTAN_E_MALFORMED;
    }
    reader.left = reader.header.count;
    *ret_reader = reader;
    return CAPSTAN_OK;
}

static bool take_body(batch_reader_t *self, size_t position, slice_t *ret_body)
{
    const uint8_t *begin = walk_begin(self->input);
    const uint8_t *at = begin + position;
    capstan_err_t err = walk_bin(&at, begin + self->input.size, ret_body);
    if (err) {
        self->fault = (codec_fault_t){.err = err, .position = position, .field = "body"};
        return false;
    }
    self->position = (size_t)(at - begin);
    self->left--;
    return true;
}

bool batch_next(batch_reader_t *self, envelope_t *ret_envelope, slice_t *ret_body)
{
    if (self->left == 0 && !self->fault.err && self->position != self->input.size) {
        self->fault = (codec_fault_t){.err = CAPSTAN_E_MALFORMED, .position = self->position};
    }
    if (self->left == 0 || self->fault.err) {
        return false;
    }
    size_t position = self->position;
    if (envelope_read(self->input, &position, ret_envelope, &self->fault)) {
        return false;
    }
    self->envelope = self->position;
    self->envelope_size = position - self->position;
    return take_body(self, position, ret_body);
}

bool batch_next_same(batch_reader_t *self, slice_t *ret_body)
{
    const uint8_t *begin = walk_begin(self->input);
    size_t size = self->envelope_size;
    bool same = size > 0 && self->left > 0 && self->input.size - self->position >= size &&
                memcmp(begin + self->envelope, begin + self->position, size) == 0;
    return same && take_body(self, self->position + size, ret_body);
}

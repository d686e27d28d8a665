/* Batches, and the fast path of the envelope against the codec. */
#include "runtime/wire/batch.h"
#include "tests/kit/wire_compare.h"
#include "tests/kit/wire_sample.h"

#include <criterion/criterion.h>

static sample_t sample = {.random = 77};

static bool same_envelope(const envelope_t *a, const envelope_t *b)
{
    return sample_equal(envelope_wire(), a, b);
}

Test(envelope, fast_path_and_codec_agree_byte_for_byte)
{
    buffer_t fast = {0};
    buffer_t slow = {0};
    for (int i = 0; i < 5000; i++) {
        envelope_t envelope;
        envelope_t read;
        size_t position = 0;
        sample.used = 0;
        sample.mode = i < SAMPLE_RANDOM ? (sample_mode_t)i : SAMPLE_RANDOM;
        sample_fill(&sample, envelope_wire(), &envelope);
        buffer_clear(&fast);
        buffer_clear(&slow);
        envelope_write(&envelope, &fast);
        codec_encode(envelope_wire(), &envelope, &slow);
        cr_assert(slice_equal(buffer_slice(&fast), buffer_slice(&slow)), "round %d", i);
        /* What is read must not depend on what was in the struct before. */
        memset(&read, 0xa5, sizeof read);
        cr_assert_eq(envelope_read(buffer_slice(&fast), &position, &read, NULL), CAPSTAN_OK);
        cr_assert(position == fast.size && same_envelope(&envelope, &read), "round %d", i);
    }
    buffer_fini(&fast);
    buffer_fini(&slow);
}

/* Both readers see the same bytes: same answer, same fields, same fault. */
static void check_agreement(slice_t input)
{
    envelope_t fast;
    envelope_t slow;
    codec_fault_t fast_fault = {.err = CAPSTAN_OK};
    codec_fault_t slow_fault = {.err = CAPSTAN_OK};
    size_t position = 0;
    memset(&fast, 0xa5, sizeof fast);
    capstan_err_t fast_err = envelope_read(input, &position, &fast, &fast_fault);
    slice_t whole = slice_of(input.data, fast_err ? input.size : position);
    capstan_err_t slow_err = codec_decode(envelope_wire(), whole, &slow, &slow_fault);
    cr_assert_eq(fast_err, slow_err);
    cr_assert_eq(fast_fault.position, slow_fault.position);
    cr_assert_eq(fast_fault.field, slow_fault.field);
    cr_assert(fast_err || same_envelope(&fast, &slow));
}

Test(envelope, both_readers_agree_on_mutated_bytes)
{
    buffer_t bytes = {0};
    for (int i = 0; i < 100000; i++) {
        envelope_t envelope;
        sample.used = 0;
        sample.mode = SAMPLE_RANDOM;
        if (i % 50 == 0) {
            sample_fill(&sample, envelope_wire(), &envelope);
            buffer_clear(&bytes);
            envelope_write(&envelope, &bytes);
        }
        size_t place = sample_random(&sample) % (bytes.size < 24 ? bytes.size : 24);
        uint8_t before = bytes.data[place];
        bytes.data[place] = (uint8_t)sample_random(&sample);
        check_agreement(buffer_slice(&bytes));
        bytes.data[place] = before;
    }
    buffer_fini(&bytes);
}

Test(envelope, reads_fields_in_any_order)
{
    envelope_t envelope;
    size_t position = 0;
    cr_assert_eq(
        envelope_read(slice_of("\x83\x03\x09\x02\x01\x01\x44", 7), &position, &envelope, NULL),
        CAPSTAN_OK);
    cr_assert(envelope.message == 0x44 && envelope.kind == 1 && envelope.correlation == 9);
    position = 0;
    cr_assert_eq(
        envelope_read(slice_of("\x83\x01\x44\x02\x01\x02\x01", 7), &position, &envelope, NULL),
        CAPSTAN_E_MALFORMED, "a key twice");
}

Test(envelope, refuses_references_beyond_32_bits)
{
    static const slice_t bad[] = {
        {"\x83\x01\x01\x02\x01\x04\x92\xcf\0\0\0\1\0\0\0\0\1", 17},
        {"\x83\x01\x01\x02\x01\x04\x92\x01\xcf\0\0\0\1\0\0\0\1", 17},
        {"\x83\x01\x01\x02\x01\x04\x94\x01\x01\x01\xcf\0\0\0\1\0\0\0\1", 19},
        {"\x83\x01\x01\x02\x01\x04\x93\x01\x01\x01", 10},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        envelope_t envelope;
        codec_fault_t fault = {.err = CAPSTAN_OK};
        size_t position = 0;
        cr_assert_eq(envelope_read(bad[i], &position, &envelope, &fault), CAPSTAN_E_FIELD_TYPE,
                     "reference %zu: error %d", i, fault.err);
        cr_assert_str_eq(fault.field, "sender");
        cr_assert_eq(position, 0);
    }
}

static void write_batch(buffer_t *out, unsigned count, const link_header_t *header)
{
    static const uint8_t body[300];
    batch_writer_t writer = batch_begin(out);
    for (unsigned i = 0; i < count; i++) {
        batch_add(&writer, &(envelope_t){.message = i, .kind = 3, .correlation = 1000 * i},
                  slice_of(body, i));
    }
    batch_seal(&writer, header);
}

static const link_header_t header = {.version = WIRE_VERSION,
                                     .sequence = 12,
                                     .credit_messages = UINT64_MAX,
                                     .credit_bytes = 1 << 20};

Test(batch, gives_back_header_and_messages)
{
    buffer_t bytes = {0};
    batch_reader_t reader;
    envelope_t envelope;
    slice_t body;
    unsigned count = 0;
    write_batch(&bytes, 300, &header);
    cr_assert_eq(batch_open(buffer_slice(&bytes), &reader), CAPSTAN_OK);
    cr_assert(reader.header.sequence == 12 && reader.header.credit_messages == UINT64_MAX &&
              reader.header.credit_bytes == 1 << 20 && reader.header.count == 300);
    for (; batch_next(&reader, &envelope, &body); count++) {
        cr_assert(envelope.message == count && body.size == count);
    }
    cr_assert(count == 300 && reader.fault.err == CAPSTAN_OK);
    buffer_fini(&bytes);
}

Test(batch, can_be_added_to_after_it_was_sealed)
{
    buffer_t bytes = {0};
    batch_reader_t reader;
    envelope_t envelope;
    slice_t body;
    buffer_append(&bytes, "before", 6);
    batch_writer_t writer = batch_begin(&bytes);
    cr_assert_eq(batch_open(slice_of(bytes.data + 6, bytes.size - 6), &reader), CAPSTAN_OK,
                 "an empty batch is a batch");
    batch_seal(&writer, &header);
    batch_add(&writer, &(envelope_t){.message = 1, .kind = 1}, (slice_t){0});
    batch_seal(&writer, &header);
    cr_assert_eq(batch_open(slice_of(bytes.data + 6, bytes.size - 6), &reader), CAPSTAN_OK);
    cr_assert(batch_next(&reader, &envelope, &body) && !batch_next(&reader, &envelope, &body));
    cr_assert_eq(reader.fault.err, CAPSTAN_OK);
    buffer_fini(&bytes);
}

static capstan_err_t read_all(slice_t input)
{
    batch_reader_t reader;
    envelope_t envelope;
    slice_t body;
    capstan_err_t err = batch_open(input, &reader);
    if (err) {
        return err;
    }
    while (batch_next(&reader, &envelope, &body)) {
    }
    cr_assert_not(batch_next(&reader, &envelope, &body), "the end and a fault last");
    return reader.fault.err;
}

Test(batch, refuses_every_truncation_and_a_byte_too_many)
{
    buffer_t bytes = {0};
    write_batch(&bytes, 5, &header);
    cr_assert_eq(read_all(buffer_slice(&bytes)), CAPSTAN_OK);
    for (size_t size = 0; size < bytes.size; size++) {
        uint8_t *copy = malloc(size > 0 ? size : 1);
        memcpy(copy, bytes.data, size);
        cr_assert_eq(read_all(slice_of(copy, size)), CAPSTAN_E_MALFORMED, "cut to %zu", size);
        free(copy);
    }
    buffer_append(&bytes, "\xc0", 1);
    cr_assert_eq(read_all(buffer_slice(&bytes)), CAPSTAN_E_MALFORMED);
    buffer_fini(&bytes);
}

Test(batch, refuses_another_version_and_false_counts)
{
    buffer_t bytes = {0};
    write_batch(&bytes, 1, &(link_header_t){.version = WIRE_VERSION + 1});
    cr_assert_eq(read_all(buffer_slice(&bytes)), CAPSTAN_E_WRONG_VERSION);
    cr_assert_eq(read_all(slice_of("\x82\x01\x01\x02\xce\xff\xff\xff\xff", 9)), CAPSTAN_E_MALFORMED,
                 "a claim of 2^32 messages");
    cr_assert_eq(read_all(slice_of("\x82\x01\x01\x02\x01", 5)), CAPSTAN_E_MALFORMED);
    cr_assert_eq(read_all(slice_of("\x81\x01\x01", 3)), CAPSTAN_E_FIELD_MISSING);
    cr_assert_eq(read_all(slice_of("GET / HTTP/1.1\r\n\r\n", 18)), CAPSTAN_E_FIELD_TYPE);
    cr_assert_eq(read_all((slice_t){0}), CAPSTAN_E_MALFORMED);
    cr_assert_eq(read_all(slice_of("\x82\x01\x01\x02\x01\x82\x01\x01\x02\x01\xa1x", 12)),
                 CAPSTAN_E_FIELD_TYPE, "a body that is text");
    batch_reader_t reader;
    cr_assert_eq(batch_open(slice_of("\x82\x01\x01\x02\xce\xff\xff\xff\xff", 9), &reader),
                 CAPSTAN_E_MALFORMED, "refused before a message is read");
    buffer_fini(&bytes);
}

/* Batches: what a ZeroMQ message of a stranger holds. The envelope's fast path must agree with the
 * codec on every message, the error included. */
#include "runtime/wire/batch.h"
#include "tests/kit/wire_compare.h"
#include "tests/kit/wire_sample.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void compare_readers(slice_t input, size_t begin)
{
    envelope_t fast;
    envelope_t slow;
    codec_fault_t fault = {.err = CAPSTAN_OK};
    size_t position = begin;
    capstan_err_t err = envelope_read(input, &position, &fast, &fault);
    size_t bytes = (err ? input.size : position) - begin;
    slice_t whole = slice_of((const uint8_t *)input.data + begin, bytes);
    ENSURE(codec_decode(envelope_wire(), whole, &slow, NULL) == err);
    ENSURE(err || sample_equal(envelope_wire(), &fast, &slow));
}

/* The short way to a message whose envelope is the one before must lead to the same message. */
static bool next(batch_reader_t *reader, envelope_t *envelope, slice_t *ret_body)
{
    batch_reader_t other = *reader;
    envelope_t before = *envelope;
    slice_t body;
    bool same = batch_next_same(&other, &body);
    bool any = batch_next(reader, envelope, ret_body);
    ENSURE(!same || (any && slice_equal(body, *ret_body) && other.position == reader->position &&
                     sample_equal(envelope_wire(), &before, envelope)));
    return any;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    slice_t input = slice_of(data, size);
    batch_reader_t reader;
    envelope_t envelope = {.message = 0};
    slice_t body;
    uint64_t count = 0;
    compare_readers(input, 0);
    if (batch_open(input, &reader)) {
        return 0;
    }
    do {
        compare_readers(input, reader.position);
    } while (next(&reader, &envelope, &body) && ++count <= size);
    ENSURE(count <= reader.header.count);
    ENSURE(reader.fault.err || count == reader.header.count);
    return 0;
}

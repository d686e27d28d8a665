/* A batch: link header, then count times (envelope, body as bin). Written and read in place.
 *
 *   +-------------+----------+-----------+----------+-----------+
 *   | link_header | envelope | bin(body) | envelope | bin(body) | ...
 *   +-------------+----------+-----------+----------+-----------+
 *
 * The header's numbers are written at fixed width, so that count and credit are patched when the
 * batch is sent. The envelope has a hand-written writer and reader behind the same table row as
 * codec_encode(envelope_wire()); a test compares the two byte for byte. */
#ifndef WIRE_BATCH_H
#define WIRE_BATCH_H

#include "runtime/wire/wire_messages.h"

enum {
    WIRE_VERSION = 1,
    WIRE_KIND_FLAG_PRIORITY = 1,
    WIRE_KIND_FLAG_SAMPLED = 2,
    WIRE_BATCH_BYTES_MAX = (1 << 20) + (1 << 16), /* one event of 1 MiB and what is around it */
};

/* Fast path of the envelope. */
void envelope_write(const envelope_t *envelope, buffer_t *out);
/* Reads one envelope at `*position` of `input` and moves the position behind it. It reads straight
 * into `ret_envelope`, which holds rubbish after a failure: a copy would double the time. */
CAPSTAN_MUST_CHECK capstan_err_t envelope_read(slice_t input, size_t *position,
                                               envelope_t *ret_envelope, codec_fault_t *ret_fault);

/* Begins a batch in `out` (appending). `batch_add` writes one message. `batch_seal` patches the
 * header; `header->count` is set by it. A sealed batch can be reopened by adding and sealing. */
typedef struct batch_writer {
    buffer_t *out;
    size_t head; /* where the header begins in `out` */
    uint32_t count;
    size_t envelope; /* where the last envelope begins, and its size */
    size_t envelope_size;
} batch_writer_t;

batch_writer_t batch_begin(buffer_t *out);
void batch_add(batch_writer_t *self, const envelope_t *envelope, slice_t body);
/* Writes another message with the envelope of the one before: a copy instead of an encoding. */
void batch_add_same(batch_writer_t *self, slice_t body);
void batch_seal(batch_writer_t *self, const link_header_t *header);

/* Reading. `batch_open` reads the header and checks the version (WRONG_VERSION) and that the
 * claimed count can fit. `batch_next` returns false at the end and on a fault; after a false,
 * `self->fault.err` is CAPSTAN_OK only if the count and the bytes ended together; the envelope
 * and the body hold rubbish. */
typedef struct batch_reader {
    slice_t input;
    size_t position;
    uint64_t left;
    link_header_t header;
    codec_fault_t fault;
    size_t envelope; /* where the last envelope begins, and its size */
    size_t envelope_size;
} batch_reader_t;

CAPSTAN_MUST_CHECK capstan_err_t batch_open(slice_t input, batch_reader_t *ret_reader);
bool batch_next(batch_reader_t *self, envelope_t *ret_envelope, slice_t *ret_body);
/* The next message, if its envelope has the very bytes of the one before, which was read already.
 * False says nothing but that batch_next has to look. */
bool batch_next_same(batch_reader_t *self, slice_t *ret_body);

#endif

/* The journal's reader: committed records and snapshots, on a cell of its own, so that recovery and
 * slow consumers do not hold up commits.
 *
 * Accepts  journal_read, snapshot_read, snapshot_get, snapshot_find, snapshot_range, snapshot_count
 * Replies  journal_records, snapshot_rows, snapshot_terms, snapshot_counts
 *
 * It sees what is committed when the request is handled, so everything that the journal has
 * answered before. It keeps nothing between requests. */
#include "actors/journal/journal.h"
#include "runtime/base/ensure.h"

#include <stdlib.h>

/* A reply is bounded by us, not by who asks; only a single record's or row's size goes beyond. */
enum { READ_BYTES_MAX = 16 << 20 };

typedef struct reader {
    store_t *store;
    buffer_t rows; /* what was read */
    buffer_t body; /* the reply around it */
} reader_t;

static capstan_err_t init(capstan_actor_t *self, void *argument)
{
    const journal_reader_arguments_t *arguments = argument;
    reader_t *reader = calloc(1, sizeof *reader);
    ENSURE(reader);
    reader->store = arguments->store;
    capstan_actor_set_state(self, reader);
    return CAPSTAN_OK;
}

static capstan_err_t on_read(reader_t *reader, slice_t body)
{
    journal_read_t request;
    journal_records_t reply;
    capstan_err_t err = codec_decode(journal_read_wire(), body, &request, NULL);
    if (!err) {
        request.bytes_max = request.bytes_max < READ_BYTES_MAX ? request.bytes_max : READ_BYTES_MAX;
        err = store_read(reader->store, &request, &reader->rows, &reply);
    }
    if (!err) {
        codec_encode(journal_records_wire(), &reply, &reader->body);
    }
    return err;
}

static capstan_err_t on_snapshot_read(reader_t *reader, slice_t body)
{
    snapshot_read_t request;
    snapshot_rows_t reply;
    capstan_err_t err = codec_decode(snapshot_read_wire(), body, &request, NULL);
    if (!err) {
        request.bytes_max = request.bytes_max < READ_BYTES_MAX ? request.bytes_max : READ_BYTES_MAX;
        err = store_snapshot_read(reader->store, &request, &reader->rows, &reply);
    }
    if (!err) {
        codec_encode(snapshot_rows_wire(), &reply, &reader->body);
    }
    return err;
}

static capstan_err_t on_snapshot_get(reader_t *reader, slice_t body)
{
    snapshot_get_t request;
    snapshot_rows_t reply;
    capstan_err_t err = codec_decode(snapshot_get_wire(), body, &request, NULL);
    err = err ? err : store_snapshot_get(reader->store, &request, &reader->rows, &reply);
    if (!err) {
        codec_encode(snapshot_rows_wire(), &reply, &reader->body);
    }
    return err;
}

static capstan_err_t on_snapshot_find(reader_t *reader, slice_t body)
{
    snapshot_find_t request;
    snapshot_rows_t reply;
    capstan_err_t err = codec_decode(snapshot_find_wire(), body, &request, NULL);
    if (!err) {
        request.bytes_max = request.bytes_max < READ_BYTES_MAX ? request.bytes_max : READ_BYTES_MAX;
        err = store_snapshot_find(reader->store, &request, &reader->rows, &reply);
    }
    if (!err) {
        codec_encode(snapshot_rows_wire(), &reply, &reader->body);
    }
    return err;
}

static capstan_err_t on_snapshot_range(reader_t *reader, slice_t body)
{
    snapshot_range_t request;
    snapshot_terms_t reply;
    capstan_err_t err = codec_decode(snapshot_range_wire(), body, &request, NULL);
    err = err ? err : store_snapshot_range(reader->store, &request, &reader->rows, &reply);
    if (!err) {
        codec_encode(snapshot_terms_wire(), &reply, &reader->body);
    }
    return err;
}

static capstan_err_t on_snapshot_count(reader_t *reader, slice_t body)
{
    snapshot_count_t request;
    snapshot_counts_t reply;
    capstan_err_t err = codec_decode(snapshot_count_wire(), body, &request, NULL);
    err = err ? err : store_snapshot_count(reader->store, &request, &reader->rows, &reply);
    if (!err) {
        codec_encode(snapshot_counts_wire(), &reply, &reader->body);
    }
    return err;
}

typedef capstan_err_t read_fn(reader_t *reader, slice_t body);

static const struct {
    uint32_t request;
    uint32_t reply;
    read_fn *read;
} reads[] = {
    {MESSAGE_journal_read, MESSAGE_journal_records, on_read},
    {MESSAGE_snapshot_read, MESSAGE_snapshot_rows, on_snapshot_read},
    {MESSAGE_snapshot_get, MESSAGE_snapshot_rows, on_snapshot_get},
    {MESSAGE_snapshot_find, MESSAGE_snapshot_rows, on_snapshot_find},
    {MESSAGE_snapshot_range, MESSAGE_snapshot_terms, on_snapshot_range},
    {MESSAGE_snapshot_count, MESSAGE_snapshot_counts, on_snapshot_count},
};

static capstan_err_t receive(capstan_actor_t *self, const capstan_message_t *message)
{
    reader_t *reader = capstan_actor_state(self);
    if (message->kind != CAPSTAN_KIND_REQUEST) {
        return CAPSTAN_OK;
    }
    buffer_clear(&reader->rows);
    buffer_clear(&reader->body);
    capstan_err_t err = CAPSTAN_E_UNKNOWN_MESSAGE;
    uint32_t reply = 0;
    for (size_t i = 0; i < sizeof reads / sizeof reads[0]; i++) {
        if (message->message == reads[i].request) {
            reply = reads[i].reply;
            err = reads[i].read(reader, message->body);
        }
    }
    if (err) {
        capstan_reply_error(self, message, err, capstan_err_text(err));
    } else {
        capstan_reply(self, message, reply, buffer_slice(&reader->body));
    }
    return CAPSTAN_OK;
}

static void destroy(capstan_actor_t *self)
{
    reader_t *reader = capstan_actor_state(self);
    store_close(&reader->store);
    buffer_fini(&reader->rows);
    buffer_fini(&reader->body);
    free(reader);
}

const capstan_behaviour_t journal_reader_behaviour = {
    .name = "journal-reader",
    .init = init,
    .receive = receive,
    .destroy = destroy,
    .may_block = true,
};

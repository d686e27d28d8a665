/* The journal actor: the one writer of the store.
 *
 * Accepts  stream_open, journal_append, snapshot_write, journal_truncate, stream_remove,
 *          journal_rewrite, journal_status
 * Replies  stream_opened, journal_appended, snapshot_written, journal_truncated, stream_removed,
 *          journal_rewritten, journal_report
 *
 * Group commit without a timer: the first write of a turn begins a transaction, the turn's further
 * writes join it, the end of the turn commits it. While a commit waits for the disk the mailbox
 * fills, so that the next turn is as large as the load asks for. A reply that says "written" is
 * sent after the commit that contains it; a write set that is refused is answered at once and
 * leaves its neighbours alone; a failed commit undoes all its write sets and answers each with the
 * error. What was answered survives a crash; what was not may or may not be there, as a whole. */
#include "actors/journal/journal.h"
#include "actors/journal/journal_events.h"
#include "actors/journal/journal_metrics.h"
#include "runtime/base/clock.h"
#include "runtime/base/ensure.h"

#include <stdlib.h>

enum {
    COMMIT_BYTES_MAX = 4 << 20,
    /* Bytes that a request costs a commit beside its records, so that small ones are bounded too.
     */
    REQUEST_BYTES = 128,
};

/* A write that waits for its commit, and what it will be answered. */
typedef struct pending {
    capstan_message_t request; /* without its body, which ended with its handler */
    uint32_t reply;
    stream_opened_t opened; /* replies but stream_opened use `stream` and `lsn_next` only; that of
                               stream_removed is not 0 when more is left */
} pending_t;

typedef struct journal {
    store_t *store;
    uint64_t commit_bytes_max;
    uint64_t commit_bytes;   /* in the open transaction */
    uint64_t commit_records; /* in the open transaction */
    bool begun;
    pending_t *pending;
    size_t pending_count;
    size_t pending_capacity;
    buffer_t body; /* of the reply being made */
    journal_report_t report;
} journal_t;

static capstan_err_t init(capstan_actor_t *self, void *argument)
{
    const journal_arguments_t *arguments = argument;
    journal_t *journal = calloc(1, sizeof *journal);
    ENSURE(journal);
    journal->store = arguments->store;
    journal->commit_bytes_max =
        arguments->commit_bytes_max > 0 ? arguments->commit_bytes_max : COMMIT_BYTES_MAX;
    capstan_actor_set_state(self, journal);
    return CAPSTAN_OK;
}

static void add_pending(journal_t *journal, const capstan_message_t *request, uint32_t reply,
                        const stream_opened_t *opened)
{
    if (journal->pending_count == journal->pending_capacity) {
        size_t capacity = 2 * journal->pending_capacity + 64;
        pending_t *pending = realloc(journal->pending, capacity * sizeof *pending);
        ENSURE(pending);
        journal->pending = pending;
        journal->pending_capacity = capacity;
    }
    pending_t *added = &journal->pending[journal->pending_count++];
    *added = (pending_t){.request = *request, .reply = reply, .opened = *opened};
    added->request.body = (slice_t){0};
}

static void reply_written(capstan_actor_t *self, journal_t *journal, const pending_t *pending)
{
    buffer_clear(&journal->body);
    uint64_t stream = pending->opened.stream;
    switch (pending->reply) {
    case MESSAGE_stream_opened:
        codec_encode(stream_opened_wire(), &pending->opened, &journal->body);
        break;
    case MESSAGE_journal_appended:
        codec_encode(journal_appended_wire(),
                     &(journal_appended_t){.stream = stream, .lsn_next = pending->opened.lsn_next},
                     &journal->body);
        break;
    case MESSAGE_snapshot_written:
        codec_encode(snapshot_written_wire(), &(snapshot_written_t){.stream = stream},
                     &journal->body);
        break;
    case MESSAGE_journal_rewritten:
        codec_encode(journal_rewritten_wire(), &(journal_rewritten_t){.stream = stream},
                     &journal->body);
        break;
    case MESSAGE_stream_removed:
        codec_encode(stream_removed_wire(),
                     &(stream_removed_t){.stream = stream, .more = pending->opened.lsn_next != 0},
                     &journal->body);
        break;
    default:
        ENSURE(pending->reply == MESSAGE_journal_truncated);
        codec_encode(journal_truncated_wire(), &(journal_truncated_t){.stream = stream},
                     &journal->body);
    }
    capstan_reply(self, &pending->request, pending->reply, buffer_slice(&journal->body));
}

static void log_troubles(const journal_t *journal, capstan_err_t err)
{
    if (err) {
        LOG(journal, commit_failed, log_string("error", capstan_err_name(err)),
            log_string("remedy", capstan_err_remedy(err)),
            log_uint("write_sets", journal->pending_count));
    } else if (store_checkpoint_result(journal->store)) {
        capstan_err_t result = store_checkpoint_result(journal->store);
        LOG(journal, checkpoint_failed, log_string("error", capstan_err_name(result)),
            log_string("remedy", capstan_err_remedy(result)));
    }
}

static void count_commit(journal_t *journal, int64_t began_ns)
{
    METRIC_RECORD(journal, commit_ns, (uint64_t)(clock_ns(CLOCK_MONOTONIC) - began_ns));
    METRIC_RECORD(journal, commit_records, journal->commit_records);
    METRIC_RECORD(journal, commit_bytes, journal->commit_bytes);
    journal->report.commits++;
    journal->report.records += journal->commit_records;
    journal->report.bytes += journal->commit_bytes;
}

/* Commits what was gathered and answers everyone who waits for it. */
static void commit(capstan_actor_t *self, journal_t *journal)
{
    if (!journal->begun) {
        return;
    }
    int64_t began_ns = clock_ns(CLOCK_MONOTONIC);
    capstan_err_t err = store_commit(journal->store);
    journal->begun = false;
    journal->report.error = err;
    log_troubles(journal, err);
    if (err) {
        METRIC_ADD(journal, commits_failed, 1);
    } else {
        count_commit(journal, began_ns);
    }
    for (size_t i = 0; i < journal->pending_count; i++) {
        if (err) {
            capstan_reply_error(self, &journal->pending[i].request, err, capstan_err_text(err));
        } else {
            reply_written(self, journal, &journal->pending[i]);
        }
    }
    journal->pending_count = 0;
    journal->commit_bytes = 0;
    journal->commit_records = 0;
}

/* The six writes: decode, write into the open transaction, say what the answer will be. */

static capstan_err_t on_stream_open(journal_t *journal, slice_t body, uint32_t *ret_reply,
                                    stream_opened_t *ret_opened)
{
    stream_open_t request;
    capstan_err_t err = codec_decode(stream_open_wire(), body, &request, NULL);
    *ret_reply = MESSAGE_stream_opened;
    return err ? err
               : store_stream_open(journal->store, request.concern, request.instance, ret_opened);
}

static capstan_err_t on_append(journal_t *journal, slice_t body, uint32_t *ret_reply,
                               stream_opened_t *ret_opened)
{
    journal_append_t request;
    capstan_err_t err = codec_decode(journal_append_wire(), body, &request, NULL);
    if (!err) {
        err = store_append(journal->store, &request, &ret_opened->lsn_next);
    }
    if (err) {
        return err;
    }
    journal->commit_records += ret_opened->lsn_next - request.lsn;
    journal->commit_bytes += request.records.size;
    ret_opened->stream = request.stream;
    *ret_reply = MESSAGE_journal_appended;
    return CAPSTAN_OK;
}

static capstan_err_t on_snapshot_write(journal_t *journal, slice_t body, uint32_t *ret_reply,
                                       stream_opened_t *ret_opened)
{
    snapshot_write_t request;
    capstan_err_t err = codec_decode(snapshot_write_wire(), body, &request, NULL);
    if (!err) {
        err = store_snapshot_write(journal->store, &request);
    }
    if (err) {
        return err;
    }
    journal->commit_bytes += request.rows.size;
    ret_opened->stream = request.stream;
    *ret_reply = MESSAGE_snapshot_written;
    return CAPSTAN_OK;
}

static capstan_err_t on_truncate(journal_t *journal, slice_t body, uint32_t *ret_reply,
                                 stream_opened_t *ret_opened)
{
    journal_truncate_t request;
    capstan_err_t err = codec_decode(journal_truncate_wire(), body, &request, NULL);
    if (!err) {
        err = store_truncate(journal->store, &request);
    }
    ret_opened->stream = request.stream;
    *ret_reply = MESSAGE_journal_truncated;
    return err;
}

static capstan_err_t on_stream_remove(journal_t *journal, slice_t body, uint32_t *ret_reply,
                                      stream_opened_t *ret_opened)
{
    stream_remove_t request;
    bool more = false;
    capstan_err_t err = codec_decode(stream_remove_wire(), body, &request, NULL);
    if (!err) {
        err = store_stream_remove(journal->store, &request, &more);
    }
    ret_opened->stream = request.stream;
    ret_opened->lsn_next = more;
    *ret_reply = MESSAGE_stream_removed;
    return err;
}

static capstan_err_t on_rewrite(journal_t *journal, slice_t body, uint32_t *ret_reply,
                                stream_opened_t *ret_opened)
{
    journal_rewrite_t request;
    capstan_err_t err = codec_decode(journal_rewrite_wire(), body, &request, NULL);
    if (!err) {
        err = store_rewrite(journal->store, &request);
    }
    if (err) {
        return err;
    }
    journal->commit_bytes += request.patches.size;
    ret_opened->stream = request.stream;
    *ret_reply = MESSAGE_journal_rewritten;
    return CAPSTAN_OK;
}

typedef capstan_err_t write_fn(journal_t *journal, slice_t body, uint32_t *ret_reply,
                               stream_opened_t *ret_opened);

static void on_write(capstan_actor_t *self, journal_t *journal, const capstan_message_t *message,
                     write_fn *write)
{
    capstan_err_t err = CAPSTAN_OK;
    if (!journal->begun) {
        err = store_begin(journal->store);
        journal->begun = !err;
        journal->report.error = err;
    }
    uint32_t reply = 0;
    stream_opened_t opened = {0};
    if (!err) {
        err = write(journal, message->body, &reply, &opened);
    }
    if (err) {
        METRIC_ADD(journal, write_sets_refused, 1);
        journal->report.refused++;
        capstan_reply_error(self, message, err, capstan_err_text(err));
        return;
    }
    add_pending(journal, message, reply, &opened);
    uint64_t overhead = REQUEST_BYTES * (uint64_t)journal->pending_count;
    if (journal->commit_bytes + overhead >= journal->commit_bytes_max) {
        commit(self, journal);
    }
}

static capstan_err_t receive(capstan_actor_t *self, const capstan_message_t *message)
{
    journal_t *journal = capstan_actor_state(self);
    if (message->kind != CAPSTAN_KIND_REQUEST) {
        return CAPSTAN_OK; /* the journal asks nobody, so nothing else is meant for it */
    }
    switch (message->message) {
    case MESSAGE_stream_open:
        on_write(self, journal, message, on_stream_open);
        break;
    case MESSAGE_journal_append:
        on_write(self, journal, message, on_append);
        break;
    case MESSAGE_snapshot_write:
        on_write(self, journal, message, on_snapshot_write);
        break;
    case MESSAGE_journal_truncate:
        on_write(self, journal, message, on_truncate);
        break;
    case MESSAGE_journal_rewrite:
        on_write(self, journal, message, on_rewrite);
        break;
    case MESSAGE_stream_remove:
        on_write(self, journal, message, on_stream_remove);
        break;
    case MESSAGE_journal_status:
        buffer_clear(&journal->body);
        codec_encode(journal_report_wire(), &journal->report, &journal->body);
        capstan_reply(self, message, MESSAGE_journal_report, buffer_slice(&journal->body));
        break;
    default:
        capstan_reply_error(self, message, CAPSTAN_E_UNKNOWN_MESSAGE,
                            "the journal does not take this message");
    }
    return CAPSTAN_OK;
}

static void turn_end(capstan_actor_t *self)
{
    commit(self, capstan_actor_state(self));
}

static void stop(capstan_actor_t *self)
{
    commit(self, capstan_actor_state(self));
    capstan_actor_exit(self, CAPSTAN_OK);
}

/* An open transaction is undone: nobody was told that it was written. */
static void destroy(capstan_actor_t *self)
{
    journal_t *journal = capstan_actor_state(self);
    store_close(&journal->store);
    buffer_fini(&journal->body);
    free(journal->pending);
    free(journal);
}

const capstan_behaviour_t journal_behaviour = {
    .name = "journal",
    .init = init,
    .receive = receive,
    .turn_end = turn_end,
    .stop = stop,
    .destroy = destroy,
    .may_block = true,
};

/* A store in a temporary folder, and short words for what the tests do with it. */
#ifndef JOURNAL_STORE_FIXTURE_H
#define JOURNAL_STORE_FIXTURE_H

#include "actors/journal/store.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

typedef struct fixture {
    char folder[64];
    char path[96];
    char text[512]; /* what the last open said */
    store_t *store;
    uint32_t boot;
    stream_opened_t stream; /* ordering/orders/0 */
} fixture_t;

static inline void fixture_folder(fixture_t *self)
{
    *self = (fixture_t){.folder = "/tmp/capstan-store-XXXXXX"};
    cr_assert_not_null(mkdtemp(self->folder));
    snprintf(self->path, sizeof self->path, "%s/capstan.db", self->folder);
}

static inline stream_opened_t fixture_stream(store_t *store, const char *instance)
{
    stream_opened_t stream = {0};
    cr_assert_eq(store_stream_open(store, slice_text("ordering"), slice_text(instance), &stream),
                 CAPSTAN_OK);
    return stream;
}

static inline void fixture_open(fixture_t *self)
{
    store_options_t options = {.path = self->path};
    capstan_err_t err = store_open(&options, &self->store, self->text, sizeof self->text);
    cr_assert_eq(err, CAPSTAN_OK, "%s", self->text);
    store_identity_t identity;
    cr_assert_eq(store_claim(self->store, 4711, slice_text("test"), &identity), CAPSTAN_OK);
    self->boot = identity.boot;
    self->stream = fixture_stream(self->store, "orders/0");
}

static inline void fixture_fini(fixture_t *self)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", "-lock"};
    store_close(&self->store);
    for (size_t i = 0; i < sizeof suffixes / sizeof suffixes[0]; i++) {
        char path[128];
        snprintf(path, sizeof path, "%s%s", self->path, suffixes[i]);
        unlink(path);
    }
    rmdir(self->folder);
}

/* A list of `count` records that say which lsn they have. */
static inline void make_records(buffer_t *out, uint64_t lsn, uint32_t count)
{
    buffer_clear(out);
    codec_list_writer_t writer = codec_list_begin(out);
    for (uint64_t i = lsn; i < lsn + count; i++) {
        char text[32];
        int size = snprintf(text, sizeof text, "record %llu", (unsigned long long)i);
        journal_record_t record = {.kind = 1, .data = slice_of(text, (size_t)size)};
        codec_list_add(&writer, journal_record_wire(), &record);
    }
    codec_list_end(&writer);
}

static inline capstan_err_t append_at(store_t *store, const stream_opened_t *stream, uint64_t lsn,
                                      uint32_t count)
{
    buffer_t records = {0};
    make_records(&records, lsn, count);
    journal_append_t append = {.stream = stream->stream,
                               .epoch = stream->epoch,
                               .lsn = lsn,
                               .records = buffer_slice(&records)};
    uint64_t lsn_next = 0;
    capstan_err_t err = store_append(store, &append, &lsn_next);
    cr_assert(err || lsn_next == lsn + count);
    buffer_fini(&records);
    return err;
}

/* One commit that appends `count` records where the stream is. */
static inline capstan_err_t append_commit(store_t *store, stream_opened_t *stream, uint32_t count)
{
    capstan_err_t err = store_begin(store);
    if (err) {
        return err;
    }
    err = append_at(store, stream, stream->lsn_next, count);
    capstan_err_t committed = store_commit(store);
    if (!err && !committed) {
        stream->lsn_next += count;
    }
    return err ? err : committed;
}

/* Reads on from `lsn` to the end in steps of about `bytes_max`; each record must be the one that
 * make_records wrote. Returns the number of records; `ret_err` says how it ended. */
static inline uint64_t read_all(store_t *store, uint64_t stream, uint64_t lsn, uint64_t bytes_max,
                                capstan_err_t *ret_err)
{
    buffer_t out = {0};
    uint64_t count = 0;
    for (;;) {
        buffer_clear(&out);
        journal_read_t read = {.stream = stream, .lsn = lsn, .bytes_max = bytes_max};
        journal_records_t reply;
        *ret_err = store_read(store, &read, &out, &reply);
        if (*ret_err || reply.lsn_next == lsn) {
            break;
        }
        codec_list_t list;
        cr_assert_eq(codec_list_open(journal_record_wire(), reply.records, &list), CAPSTAN_OK);
        cr_assert(list.left == 1 || reply.records.size <= bytes_max, "%zu bytes of %llu",
                  reply.records.size, (unsigned long long)bytes_max);
        for (journal_record_t record; codec_list_next(&list, &record); lsn++, count++) {
            char text[32];
            snprintf(text, sizeof text, "record %llu", (unsigned long long)lsn);
            cr_assert(slice_equal(record.data, slice_text(text)), "at lsn %llu",
                      (unsigned long long)lsn);
        }
        cr_assert_eq(list.fault.err, CAPSTAN_OK);
        cr_assert_eq(reply.lsn_next, lsn);
    }
    buffer_fini(&out);
    return count;
}

static inline capstan_err_t write_snapshot(store_t *store, const stream_opened_t *stream,
                                           uint64_t lsn, const char *key, const char *value)
{
    buffer_t rows = {0};
    codec_list_writer_t writer = codec_list_begin(&rows);
    snapshot_row_t row = {.key = slice_text(key), .value = slice_text(value)};
    codec_list_add(&writer, snapshot_row_wire(), &row);
    codec_list_end(&writer);
    snapshot_write_t chunk = {.stream = stream->stream,
                              .epoch = stream->epoch,
                              .lsn = lsn,
                              .last = true,
                              .rows = buffer_slice(&rows)};
    capstan_err_t err = store_snapshot_write(store, &chunk);
    buffer_fini(&rows);
    return err;
}

static inline void ignore_finding(void *context, const char *line)
{
    (void)context;
    (void)line;
}

static inline store_check_result_t check_store(store_t *store)
{
    store_check_result_t result = {0};
    cr_assert_eq(store_check(store, ignore_finding, NULL, &result), CAPSTAN_OK);
    return result;
}

#endif

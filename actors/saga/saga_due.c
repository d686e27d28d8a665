/* Sagas at rest that go on by themselves: some time before, they are read from the store. A run
 * looks through the terms of time up to a bound, and reads those that are not in memory. */
#include "actors/saga/saga_shell.h"

#include "actors/saga/saga_events.h"
#include "actors/saga/saga_metrics.h"
#include "runtime/runtime.h"
#include "runtime/telemetry/log.h"

enum { DUE_ENTRIES = 2000 };

static void ask_range(saga_shell_t *self)
{
    lookups_t *lookups = &self->lookups;
    buffer_t first = {0};
    buffer_t last = {0};
    term_write_time(&first, TERM_DUE, lookups->due_from_us);
    term_write_time(&last, TERM_DUE, lookups->due_until_us);
    lookups->due_ask = shell_ask(self, self->reader, snapshot_range_wire(),
                                 &(snapshot_range_t){.stream = self->stream,
                                                     .first = buffer_slice(&first),
                                                     .last = buffer_slice(&last),
                                                     .count_max = DUE_ENTRIES,
                                                     .after = buffer_slice(&lookups->due_after)});
    if (lookups->due_ask == 0) {
        lookups->due_until_us = 0; /* the next tick tries again */
    }
    buffer_fini(&first);
    buffer_fini(&last);
}

void due_tick(saga_shell_t *self)
{
    lookups_t *lookups = &self->lookups;
    if (lookups->due_until_us == 0 && capstan_now_us(self->self) >= lookups->due_next_us) {
        lookups->due_from_us = 0;
        buffer_clear(&lookups->due_after);
        lookups->due_until_us = capstan_utc_us(self->self) + ROWS_DUE_AHEAD_US;
        ask_range(self);
    }
}

static void go_on(saga_shell_t *self)
{
    lookups_t *lookups = &self->lookups;
    if (!lookups->due_end) {
        ask_range(self);
        return;
    }
    lookups->due_until_us = 0;
    lookups->due_next_us = capstan_now_us(self->self) + ROWS_DUE_EVERY_US;
}

/* The keys of the entries whose sagas are not in memory, as a LIST; returns how many. */
static size_t list_keys(saga_shell_t *self, slice_t entries, buffer_t *out)
{
    lookups_t *lookups = &self->lookups;
    codec_list_t list;
    snapshot_entry_t entry;
    size_t count = 0;
    if (codec_list_open(snapshot_entry_wire(), entries, &list) != CAPSTAN_OK) {
        return 0;
    }
    codec_list_writer_t writer = codec_list_begin(out);
    while (codec_list_next(&list, &entry)) {
        uint64_t number;
        (void)term_time(entry.term, &lookups->due_from_us);
        buffer_clear(&lookups->due_after);
        buffer_append(&lookups->due_after, entry.key.data, entry.key.size);
        if (row_number(entry.key, &number) && !coordinator_get(self->core, number)) {
            codec_list_add(&writer, snapshot_row_wire(), &(snapshot_row_t){.key = entry.key});
            count++;
        }
    }
    codec_list_end(&writer);
    return count;
}

static capstan_err_t on_terms(saga_shell_t *self, slice_t body)
{
    lookups_t *lookups = &self->lookups;
    snapshot_terms_t terms;
    buffer_t keys = {0};
    capstan_err_t err = codec_decode(snapshot_terms_wire(), body, &terms, NULL);
    if (err != CAPSTAN_OK) {
        return err;
    }
    lookups->due_end = terms.end;
    if (list_keys(self, terms.entries, &keys) > 0) {
        lookups->due_ask =
            shell_ask(self, self->reader, snapshot_get_wire(),
                      &(snapshot_get_t){.stream = self->stream, .rows = buffer_slice(&keys)});
        lookups->due_loads = lookups->due_ask != 0;
        lookups->reads += lookups->due_loads;
        err = lookups->due_loads ? CAPSTAN_OK : CAPSTAN_E_UNAVAILABLE;
    } else {
        go_on(self);
    }
    buffer_fini(&keys);
    return err;
}

static capstan_err_t on_rows(saga_shell_t *self, slice_t body)
{
    snapshot_rows_t rows;
    uint64_t count = 0;
    capstan_err_t err = codec_decode(snapshot_rows_wire(), body, &rows, NULL);
    if (err != CAPSTAN_OK) {
        return err;
    }
    (void)!lookup_load(self, rows.rows, &count); /* one that is damaged is left alone */
    METRIC_ADD(saga, loaded_due, count);
    go_on(self);
    return CAPSTAN_OK;
}

bool due_answer(saga_shell_t *self, const capstan_message_t *message)
{
    lookups_t *lookups = &self->lookups;
    if (lookups->due_ask == 0 || message->correlation != lookups->due_ask) {
        return false;
    }
    lookups->due_ask = 0;
    lookups->reads -= lookups->due_loads;
    lookups->due_loads = false;
    capstan_err_t err = CAPSTAN_E_INTERNAL;
    if (message->kind == CAPSTAN_KIND_ERROR) {
        err = message_failure(message);
    } else if (message->message == MESSAGE_snapshot_terms) {
        err = on_terms(self, message->body);
    } else if (message->message == MESSAGE_snapshot_rows) {
        err = on_rows(self, message->body);
    }
    if (err != CAPSTAN_OK) {
        LOG(saga, lookup_failed, log_error(err));
        lookups->due_until_us = 0; /* the next tick tries again */
    }
    return true;
}

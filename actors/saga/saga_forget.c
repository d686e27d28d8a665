/* Retention: sagas that ended long enough ago are removed from the store, a few at a time. Only
 * those that had ended when the last complete pass began: nothing behind the snapshot speaks of
 * them any more, so that no recovery misses their rows. One that is in memory, or comes there by a
 * look-up that was under way meanwhile, leaves it once its row has gone. */
#include "actors/saga/saga_shell.h"

#include "actors/saga/saga_metrics.h"
#include "runtime/base/ensure.h"

#include <stdlib.h>

void forget_tick(saga_shell_t *self)
{
    rows_t *rows = &self->rows;
    int64_t now_us = capstan_now_us(self->self);
    if (rows->forget_ask != 0 || rows->gone_stored || now_us < rows->forget_next_us ||
        rows->stored_utc_us == 0) {
        return;
    }
    int64_t kept_us = (int64_t)self->settings->retention_ms * 1000;
    int64_t until_us = capstan_utc_us(self->self) - (rows->forget_own ? 0 : kept_us);
    uint8_t kind = rows->forget_own ? TERM_FORGET : TERM_ENDED;
    buffer_t first = {0};
    buffer_t last = {0};
    term_write_time(&first, kind, 0);
    term_write_time(&last, kind, until_us < rows->stored_utc_us ? until_us : rows->stored_utc_us);
    rows->forget_next_us = now_us + ROWS_FORGET_EVERY_US;
    rows->forget_ask = shell_ask(self, self->reader, snapshot_range_wire(),
                                 &(snapshot_range_t){.stream = self->stream,
                                                     .first = buffer_slice(&first),
                                                     .last = buffer_slice(&last),
                                                     .count_max = ROWS_FORGET_MAX});
    buffer_fini(&first);
    buffer_fini(&last);
}

static size_t remove_rows(saga_shell_t *self, slice_t entries, codec_list_writer_t *out)
{
    codec_list_t list;
    snapshot_entry_t entry;
    size_t count = 0;
    if (codec_list_open(snapshot_entry_wire(), entries, &list) != CAPSTAN_OK) {
        return 0;
    }
    free(self->rows.gone);
    self->rows.gone = calloc(codec_list_count(entries) + 1, sizeof *self->rows.gone);
    ENSURE(self->rows.gone);
    while (codec_list_next(&list, &entry)) {
        uint64_t number;
        bool resident = row_number(entry.key, &number) && coordinator_get(self->core, number);
        if (resident && !coordinator_may_evict(self->core, number, 0)) {
            continue; /* its row is being written once more */
        }
        codec_list_add(out, snapshot_row_wire(), &(snapshot_row_t){.key = entry.key});
        self->rows.gone[count++] = number;
    }
    return count;
}

static void on_terms(saga_shell_t *self, const snapshot_terms_t *terms)
{
    rows_t *rows = &self->rows;
    buffer_t bytes = {0};
    codec_list_writer_t list = codec_list_begin(&bytes);
    size_t count = remove_rows(self, terms->entries, &list);
    codec_list_end(&list);
    if (count > 0) {
        rows->forget_ask = shell_ask(self, self->journal, snapshot_write_wire(),
                                     &(snapshot_write_t){.stream = self->stream,
                                                         .epoch = self->epoch,
                                                         .lsn = rows->lsn,
                                                         .rows = buffer_slice(&bytes)});
        rows->gone_count = rows->forget_ask != 0 ? count : 0;
    }
    if (!terms->end && count > 0) {
        rows->forget_next_us = 0; /* goes on with the next turn */
    } else {
        rows->forget_own = !rows->forget_own;
    }
    buffer_fini(&bytes);
}

bool forget_answer(saga_shell_t *self, const capstan_message_t *message)
{
    rows_t *rows = &self->rows;
    snapshot_terms_t terms;
    if (rows->forget_ask == 0 || message->correlation != rows->forget_ask) {
        return false;
    }
    rows->forget_ask = 0;
    if (message->message == MESSAGE_snapshot_terms &&
        codec_decode(snapshot_terms_wire(), message->body, &terms, NULL) == CAPSTAN_OK) {
        on_terms(self, &terms);
    } else if (message->message == MESSAGE_snapshot_written) {
        METRIC_ADD(saga, forgotten, rows->gone_count);
        rows->gone_stored = rows->gone_count > 0;
    }
    return true;
}

void forget_turn_end(saga_shell_t *self)
{
    rows_t *rows = &self->rows;
    if (!rows->gone_stored || self->lookups.reads > 0) {
        return;
    }
    for (size_t i = 0; i < rows->gone_count; i++) {
        if (coordinator_may_evict(self->core, rows->gone[i], 0)) {
            coordinator_evict(self->core, rows->gone[i]);
        }
    }
    rows->gone_count = 0;
    rows->gone_stored = false;
}

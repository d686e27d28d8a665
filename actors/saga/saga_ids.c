#include "actors/saga/saga_events.h"
#include "actors/saga/saga_shell.h"
#include "runtime/base/ensure.h"
#include "runtime/runtime.h"
#include "runtime/telemetry/log.h"

static uint64_t id_hash(const saga_shell_t *self, slice_t id)
{
    return siphash13(self->seed, TERM_ID, id);
}

bool stored_ids_may_have(const saga_shell_t *self, slice_t id)
{
    return !self->stored_ids.complete ||
           key_filter_has(&self->stored_ids.filter, id_hash(self, id));
}

void stored_ids_add(saga_shell_t *self, slice_t id)
{
    key_filter_add(&self->stored_ids.filter, id_hash(self, id));
}

/* --- those that the store has ---------------------------------------------------------------- */

static void ask_page(saga_shell_t *self)
{
    static const uint8_t first = TERM_ID;
    static const uint8_t behind = TERM_ID + 1;
    stored_ids_t *ids = &self->stored_ids;
    ids->ask = shell_ask(self, self->reader, snapshot_range_wire(),
                         &(snapshot_range_t){.stream = self->stream,
                                             .first = ids->term.size > 0 ? buffer_slice(&ids->term)
                                                                         : slice_of(&first, 1),
                                             .last = slice_of(&behind, 1),
                                             .count_max = IDS_PAGE,
                                             .after = buffer_slice(&ids->after)});
}

void stored_ids_tick(saga_shell_t *self)
{
    if (!self->stored_ids.complete && self->stored_ids.ask == 0 &&
        capstan_now_us(self->self) >= self->stored_ids.next_us) {
        ask_page(self);
    }
}

static void keep(buffer_t *out, slice_t bytes)
{
    buffer_clear(out);
    buffer_append(out, bytes.data, bytes.size);
}

static void add_entry(saga_shell_t *self, const snapshot_entry_t *entry)
{
    const uint8_t *term = entry->term.data;
    ENSURE(entry->term.size > 0);
    if (term[0] == TERM_ID) {
        stored_ids_add(self, slice_of(term + 1, entry->term.size - 1));
    }
}

static capstan_err_t take_page(saga_shell_t *self, slice_t body)
{
    stored_ids_t *ids = &self->stored_ids;
    snapshot_terms_t terms;
    snapshot_entry_t entry = {0};
    codec_list_t list;
    capstan_err_t err = codec_decode(snapshot_terms_wire(), body, &terms, NULL);
    err = err ? err : codec_list_open(snapshot_entry_wire(), terms.entries, &list);
    if (err != CAPSTAN_OK) {
        return err;
    }
    while (codec_list_next(&list, &entry)) {
        add_entry(self, &entry);
    }
    if (entry.term.size > 0) {
        keep(&ids->term, entry.term);
        keep(&ids->after, entry.key);
    }
    ids->complete = terms.end;
    return CAPSTAN_OK;
}

bool stored_ids_answer(saga_shell_t *self, const capstan_message_t *message)
{
    stored_ids_t *ids = &self->stored_ids;
    if (ids->ask == 0 || message->correlation != ids->ask) {
        return false;
    }
    ids->ask = 0;
    capstan_err_t err = message->kind == CAPSTAN_KIND_ERROR ? message_failure(message)
                                                            : take_page(self, message->body);
    if (err != CAPSTAN_OK) {
        LOG(saga, lookup_failed, log_error(err));
        ids->next_us = capstan_now_us(self->self) + SAGA_TICK_US;
    }
    return true;
}

/* --- the end --------------------------------------------------------------------------------- */

void stored_ids_forget(saga_shell_t *self)
{
    capstan_cancel(self->self, self->stored_ids.ask);
    stored_ids_fini(&self->stored_ids);
}

void stored_ids_fini(stored_ids_t *self)
{
    key_filter_fini(&self->filter);
    buffer_fini(&self->term);
    buffer_fini(&self->after);
    *self = (stored_ids_t){0};
}

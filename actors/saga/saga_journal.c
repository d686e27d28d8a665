/* What the core wants written, and what may leave when that is on disk. */
#include "actors/saga/saga_shell.h"

#include "actors/saga/saga_events.h"
#include "actors/saga/saga_metrics.h"
#include "runtime/base/ensure.h"
#include "runtime/runtime.h"
#include "runtime/telemetry/log.h"

#include <stdlib.h>

/* --- gathering ------------------------------------------------------------------------------- */

static void gather(saga_shell_t *self, uint32_t record, slice_t data)
{
    if (self->gathered.size == 0) {
        self->gather = codec_list_begin(&self->gathered);
    }
    journal_record_add(&self->gather, &(journal_record_t){.kind = record, .data = data});
    self->lsn_next++;
    self->rows.records++;
}

static void owe(saga_shell_t *self, owed_kind_t kind, const coordinator_effect_t *effect,
                slice_t data)
{
    owed_add(&self->owed,
             &(owed_item_t){.kind = kind,
                            .lsn = self->lsn_next,
                            .number = effect->number,
                            .participant = effect->participant},
             data);
}

/* A child that was looked up may lead to more: the effects are the caller's no longer then. */
void shell_take_effects(saga_shell_t *self)
{
    coordinator_effects_t effects = self->effects;
    self->effects = (coordinator_effects_t){0};
    for (size_t i = 0; i < effects.count; i++) {
        const coordinator_effect_t *effect = &effects.list[i];
        slice_t data = slice_of(effects.bytes.data + effect->data_at, effect->data_size);
        switch (effect->kind) {
        case COORDINATOR_APPEND:
            gather(self, effect->record, data);
            break;
        case COORDINATOR_COMMAND:
            owe(self, OWED_COMMAND, effect, data);
            break;
        case COORDINATOR_LOOK_UP:
            lookup_park_child(self, effect->number, effect->task, data);
            break;
        case COORDINATOR_RESTS:
            owe(self, OWED_RESTS, effect, data);
            break;
        case COORDINATOR_ALERT:
            owe(self, OWED_ALERT, effect, data);
            break;
        }
    }
    coordinator_effects_clear(&effects);
    if (self->effects.capacity == 0) {
        self->effects = effects; /* its memory is used again */
    } else {
        coordinator_effects_fini(&effects);
    }
}

void shell_reply(saga_shell_t *self, const capstan_message_t *request, const wire_record_t *message,
                 const void *value)
{
    buffer_t body = {0};
    codec_encode(message, value, &body);
    owed_add(&self->owed,
             &(owed_item_t){.kind = OWED_REPLY,
                            .lsn = self->lsn_next,
                            .to = request->sender,
                            .correlation = request->correlation,
                            .message = message->id},
             buffer_slice(&body));
    buffer_fini(&body);
}

static capstan_message_t request_of(const owed_item_t *item)
{
    return (capstan_message_t){
        .kind = CAPSTAN_KIND_REQUEST, .sender = item->to, .correlation = item->correlation};
}

/* --- letting out ----------------------------------------------------------------------------- */

static void tell_parked(const saga_shell_t *self, uint64_t number)
{
    const saga_t *saga = coordinator_get(self->core, number);
    if (saga) {
        saga_row_t row = saga_row(saga);
        LOG(saga, parked, log_text("id", row.id), log_text("definition", row.definition),
            log_text("reason", row.reason));
    }
}

static void let_out(saga_shell_t *self, owed_item_t *item)
{
    capstan_message_t request = request_of(item);
    switch (item->kind) {
    case OWED_REPLY:
        capstan_reply(self->self, &request, item->message, slice_of(item->data, item->size));
        break;
    case OWED_COMMAND:
        participants_command(self, item->participant, item->data, item->size);
        item->data = NULL;
        break;
    case OWED_ACKNOWLEDGE:
        members_done(self, item->member, item->number, item->partition, item->offset,
                     item->event_bytes);
        break;
    case OWED_RESTS:
        waiters_rests(self, item->number);
        break;
    case OWED_ALERT:
        tell_parked(self, item->number);
        break;
    }
    free(item->data);
}

void shell_release(saga_shell_t *self)
{
    for (owed_item_t item; owed_take(&self->owed, self->lsn_committed, &item);) {
        let_out(self, &item);
    }
}

/* --- appending ------------------------------------------------------------------------------- */

void shell_append(saga_shell_t *self)
{
    if (self->gathered.size == 0 || self->appends == SAGA_APPENDS_MAX) {
        return;
    }
    codec_list_end(&self->gather);
    size_t place = self->append_asks[0] ? 1 : 0;
    self->append_asks[place] =
        shell_ask(self, self->journal, journal_append_wire(),
                  &(journal_append_t){.stream = self->stream,
                                      .epoch = self->epoch,
                                      .lsn = self->lsn_sent,
                                      .records = buffer_slice(&self->gathered)});
    if (self->append_asks[place] == 0) {
        return; /* the journal is behind by a whole mailbox: the next turn tries again */
    }
    self->appends++;
    self->lsn_sent = self->lsn_next;
    buffer_clear(&self->gathered);
}

bool shell_is_stored(const saga_shell_t *self)
{
    return self->step != SAGA_READY || (self->gathered.size == 0 && self->appends == 0);
}

/* --- a refused append ------------------------------------------------------------------------ */

static void refuse_owed(saga_shell_t *self, capstan_err_t err)
{
    for (owed_item_t item; owed_take(&self->owed, UINT64_MAX, &item);) {
        if (item.kind == OWED_REPLY) {
            capstan_message_t request = request_of(&item);
            shell_refuse(self, &request, err, NULL);
        }
        free(item.data);
    }
}

void shell_break(saga_shell_t *self, capstan_err_t err)
{
    /* Others may try again, whatever it is to us. */
    self->broken = err == CAPSTAN_E_STORE_FULL ? err : CAPSTAN_E_UNAVAILABLE;
    self->step = SAGA_BROKEN;
    for (size_t i = 0; i < SAGA_APPENDS_MAX; i++) {
        capstan_cancel(self->self, self->append_asks[i]);
        self->append_asks[i] = 0;
    }
    self->appends = 0;
    buffer_clear(&self->gathered);
    refuse_owed(self, self->broken);
    waiters_refuse(self, self->broken);
    queries_refuse(self, self->broken);
    lookup_forget(self, self->broken);
    stored_ids_forget(self);
    members_leave(self);
    participants_forget(self);
    rows_forget(self);
    coordinator_effects_clear(&self->effects);
    coordinator_destroy(&self->core);
    capstan_timer_start(self->self, SAGA_RETRY_US, NULL);
}

bool shell_append_answer(saga_shell_t *self, const capstan_message_t *message)
{
    size_t place = 0;
    while (place < SAGA_APPENDS_MAX && self->append_asks[place] != message->correlation) {
        place++;
    }
    if (place == SAGA_APPENDS_MAX) {
        return false;
    }
    self->append_asks[place] = 0;
    self->appends--;
    journal_appended_t appended;
    if (message->message == MESSAGE_journal_appended &&
        codec_decode(journal_appended_wire(), message->body, &appended, NULL) == CAPSTAN_OK) {
        self->lsn_committed = appended.lsn_next;
        shell_release(self);
    } else {
        capstan_err_t err = message_failure(message);
        LOG(saga, append_refused, log_error(err));
        METRIC_ADD(saga, appends_refused, 1);
        shell_break(self, err);
    }
    return true;
}

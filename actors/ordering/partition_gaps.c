/* Verdicts on gaps, as the partition's actor gives them: those that a producer or a person asks
 * for, those whose time is up, and the list of both kinds for whoever looks. And with the gaps
 * whose time is up, the events whose time has come. */
#include "actors/ordering/partition_parts.h"

#include "actors/ordering/ordering_events.h"
#include "actors/ordering/ordering_metrics.h"
#include "runtime/base/ensure.h"
#include "runtime/runtime.h"
#include "runtime/telemetry/log.h"

#include <stdlib.h>
#include <string.h>

enum { ROWS_MAX = 1000 };

void gaps_note_skip(partition_actor_t *self, slice_t record)
{
    skip_t skip;
    ENSURE(codec_decode(skip_wire(), record, &skip, NULL) == CAPSTAN_OK);
    METRIC_ADD(ordering, gaps_skipped, 1);
    METRIC_ADD(ordering, sequences_skipped, skip.last - skip.first + 1);
    LOG(ordering, gap_skipped, log_string("topic", self->topic), log_uint("partition", self->index),
        log_uint("first", skip.first), log_uint("last", skip.last),
        log_string("verdict", skip.verdict == GAP_DEAD ? "DEAD" : "FORCED"));
}

/* --- asked for ------------------------------------------------------------------------------- */

void gaps_on_skip(partition_actor_t *self, const capstan_message_t *message)
{
    partition_skip_t request;
    skip_t skip;
    skip_t skipped;
    capstan_err_t err = codec_decode(partition_skip_wire(), message->body, &request, NULL);
    err = err ? err : codec_decode(skip_wire(), request.skip, &skip, NULL);
    if (err == CAPSTAN_OK && skip.verdict == GAP_DEAD &&
        skip.producer_epoch > partition_epoch_known(self->core, skip.producer)) {
        err = CAPSTAN_E_EPOCH_UNKNOWN;
    }
    if (err == CAPSTAN_OK) {
        skip.at_us = capstan_utc_us(self->self);
        err = partition_skip(self->core, &skip, &skipped, &self->effects);
    }
    if (err != CAPSTAN_OK) {
        capstan_reply_error(self->self, message, err,
                            err == CAPSTAN_E_LIMIT ? "ordering.skips_max: the ledger is full"
                                                   : NULL);
        return;
    }
    const gap_skipped_t reply = {
        .first = skipped.first, .last = skipped.last, .verdict = skipped.verdict};
    buffer_append(&self->skipped, &reply, sizeof reply);
    partition_take_effects(self, message);
    answers_add(&self->answers, &(answer_t){.to = message->sender,
                                            .correlation = message->correlation,
                                            .lsn = self->lsn_next,
                                            .reply = MESSAGE_gap_skipped});
}

void gaps_on_cancel(partition_actor_t *self, const capstan_message_t *message)
{
    partition_cancel_t request;
    capstan_err_t err = codec_decode(partition_cancel_wire(), message->body, &request, NULL);
    if (err != CAPSTAN_OK) {
        capstan_reply_error(self->self, message, err, NULL);
        return;
    }
    uint64_t count = partition_cancel_scheduled(self->core, capstan_utc_us(self->self), &request,
                                                &self->effects);
    partition_take_effects(self, message);
    answers_add(&self->answers, &(answer_t){.to = message->sender,
                                            .correlation = message->correlation,
                                            .lsn = self->lsn_next,
                                            .reply = MESSAGE_scheduled_cancelled,
                                            .value = count});
}

void gaps_reply(partition_actor_t *self, const capstan_message_t *request)
{
    gap_skipped_t reply;
    buffer_t body = {0};
    ENSURE(self->skipped.size >= sizeof reply);
    memcpy(&reply, self->skipped.data, sizeof reply);
    self->skipped.size -= sizeof reply;
    memmove(self->skipped.data, self->skipped.data + sizeof reply, self->skipped.size);
    codec_encode(gap_skipped_wire(), &reply, &body);
    capstan_reply(self->self, request, MESSAGE_gap_skipped, buffer_slice(&body));
    buffer_fini(&body);
}

/* --- due ------------------------------------------------------------------------------------- */

void gaps_expire(partition_actor_t *self)
{
    self->due_timer_us = INT64_MAX;
    if (self->phase == PARTITION_READY && !self->stopped) {
        int64_t now_us = capstan_utc_us(self->self);
        if (self->limits.mode == SEQUENCE_ARRIVAL) {
            log_index_taken(&self->log_index, now_us); /* by events that are put in order now */
        }
        partition_expire(self->core, now_us, &self->effects);
        partition_take_effects(self, NULL);
    }
}

/* A timer that is set too early finds nothing to do, and the next one is set. It counts by a clock
 * that goes on evenly, and what is due goes by one that may be set: so it is looked at now and
 * then.
 */
static void set_timer(partition_actor_t *self)
{
    int64_t due_us = partition_due_us(self->core);
    /* With so much gathered an append is under way, behind whose answer it is looked at again. */
    if (due_us >= self->due_timer_us || self->gathered.size > PARTITION_DUE_BYTES ||
        self->stopped) {
        return;
    }
    int64_t now_us = capstan_utc_us(self->self);
    int64_t after_us = due_us > now_us ? due_us - now_us : 0;
    after_us = after_us < PARTITION_CLOCK_US ? after_us : PARTITION_CLOCK_US;
    self->due_timer_us = now_us + after_us;
    capstan_timer_start(self->self, after_us, &self->due_timer_us);
}

void gaps_turn_end(partition_actor_t *self)
{
    partition_figures_t figures = partition_figures(self->core);
    counts_turn_end(self, &figures);
    if (figures.skips_full && !self->skips_full) {
        LOG(ordering, skips_full, log_string("topic", self->topic),
            log_uint("partition", self->index), log_uint("rows", figures.skips));
    }
    self->skips_full = figures.skips_full;
    set_timer(self);
}

void gaps_forget(partition_actor_t *self)
{
    buffer_clear(&self->skipped);
    counts_forget(self);
}

/* --- looked at ------------------------------------------------------------------------------- */

void gaps_on_list(partition_actor_t *self, const capstan_message_t *message)
{
    partition_gaps_t request;
    capstan_err_t err = codec_decode(partition_gaps_wire(), message->body, &request, NULL);
    if (err != CAPSTAN_OK || request.rows_max > ROWS_MAX) {
        capstan_reply_error(self->self, message, err ? err : CAPSTAN_E_INVALID,
                            err ? NULL : "rows_max: 1 to 1000");
        return;
    }
    gap_t *gaps = calloc(ROWS_MAX, sizeof *gaps);
    skip_t *skips = calloc(ROWS_MAX, sizeof *skips);
    ENSURE(gaps && skips);
    buffer_t lists[2] = {{0}};
    buffer_t body = {0};
    partition_figures_t figures = partition_figures(self->core);
    codec_list_writer_t list = codec_list_begin(&lists[0]);
    size_t count = partition_gaps(self->core, gaps, (size_t)request.rows_max);
    for (size_t i = 0; i < count; i++) {
        codec_list_add(&list, gap_wire(), &gaps[i]);
    }
    codec_list_end(&list);
    list = codec_list_begin(&lists[1]);
    count = partition_skips(self->core, skips, (size_t)request.rows_max);
    for (size_t i = 0; i < count; i++) {
        codec_list_add(&list, skip_wire(), &skips[i]);
    }
    codec_list_end(&list);
    codec_encode(gap_page_wire(),
                 &(gap_page_t){.partition = self->index,
                               .gaps = buffer_slice(&lists[0]),
                               .skips = buffer_slice(&lists[1]),
                               .gap_count = figures.gaps,
                               .skip_count = figures.skips},
                 &body);
    capstan_reply(self->self, message, MESSAGE_gap_page, buffer_slice(&body));
    buffer_fini(&lists[0]);
    buffer_fini(&lists[1]);
    buffer_fini(&body);
    free(gaps);
    free(skips);
}

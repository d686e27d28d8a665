/* Commands go out as windows have room, and results come back. */
#include "actors/saga/saga_shell.h"

#include "actors/saga/saga_events.h"
#include "actors/saga/saga_metrics.h"
#include "runtime/base/ensure.h"
#include "runtime/runtime.h"
#include "runtime/telemetry/log.h"

#include <stdlib.h>

enum { COMMANDS_SWEEP = 4096, TOLD_EVERY_US = 1000000 };

/* --- out ------------------------------------------------------------------------------------- */

static command_t *queue_take(sender_t *sender)
{
    for (size_t i = PARTICIPANT_PRIORITIES; i-- > 0;) {
        command_queue_t *queue = &sender->queues[i];
        command_t *command = queue->first;
        if (command) {
            queue->first = command->next;
            return command;
        }
    }
    return NULL;
}

static void queue_put_back(sender_t *sender, command_t *command)
{
    command_queue_t *queue = &sender->queues[command->priority];
    command->next = queue->first;
    queue->last = queue->first ? queue->last : command;
    queue->first = command;
}

/* Whether anybody waits for it still. */
static bool is_wanted(const saga_shell_t *self, const command_t *command)
{
    const saga_t *saga = coordinator_get(self->core, command->number);
    return saga && !saga_has_ended(saga);
}

/* What a saga that was paused had not sent yet stays here (S10); when it goes on, the core says it
 * again. */
static bool may_leave(const saga_shell_t *self, const command_t *command)
{
    return is_wanted(self, command) &&
           !saga_row(coordinator_get(self->core, command->number)).paused;
}

static void went_out(saga_shell_t *self, command_t *command)
{
    sender_t *sender = command->sender;
    sender->waiting--;
    self->participants.waiting--;
    sender->out++;
    command->state = COMMAND_OUT;
    command->expires_us = capstan_now_us(self->self) + command->timeout_us;
    free(command->data);
    command->data = NULL;
    METRIC_ADD(saga, commands, 1);
}

/* The commands of one message, in a chain; NULL: none waits, or the window is full. */
static command_t *take_batch(saga_shell_t *self, sender_t *sender, codec_list_writer_t *list)
{
    command_t *chain = NULL;
    uint64_t out = sender->out;
    while (out < sender->window && list->out->size < PARTICIPANT_BATCH_BYTES) {
        command_t *command = queue_take(sender);
        if (!command) {
            break;
        }
        if (!may_leave(self, command)) {
            sender->waiting--;
            self->participants.waiting--;
            command->state = COMMAND_EXPIRED;
            command_leave(&self->participants, command);
            continue;
        }
        codec_list_add_raw(list, slice_of(command->data, command->size));
        command->next = chain;
        chain = command;
        out++;
    }
    return chain;
}

/* False when nothing more can be sent in this turn. */
static bool send_batch(saga_shell_t *self, sender_t *sender)
{
    buffer_t bytes = {0};
    buffer_t body = {0};
    codec_list_writer_t list = codec_list_begin(&bytes);
    command_t *chain = take_batch(self, sender, &list);
    codec_list_end(&list);
    bool sent = false;
    if (chain) {
        codec_encode(
            participant_commands_wire(),
            &(participant_commands_t){.epoch = self->epoch, .commands = buffer_slice(&bytes)},
            &body);
        sent = capstan_tell(self->self, sender->ref, MESSAGE_participant_commands,
                            buffer_slice(&body)) == CAPSTAN_OK;
    }
    for (command_t *command = chain; command; command = chain) {
        chain = command->next;
        if (sent) {
            went_out(self, command);
        } else {
            queue_put_back(sender, command); /* the last one first, so that their order stays */
        }
    }
    buffer_fini(&bytes);
    buffer_fini(&body);
    return sent;
}

void participants_turn_end(saga_shell_t *self)
{
    participants_t *participants = &self->participants;
    for (size_t i = 0; i < participants->count && participants->waiting > 0; i++) {
        const participant_t *participant = participants->list[i];
        for (size_t k = 0; k < participant->count; k++) {
            sender_t *sender = participant->senders[k];
            while (sender->waiting > 0 && sender->out < sender->window &&
                   send_batch(self, sender)) {
            }
        }
    }
    METRIC_ADD(saga, commands_waiting, participants->waiting - participants->waiting_counted);
    participants->waiting_counted = participants->waiting;
}

/* --- time ------------------------------------------------------------------------------------ */

/* An attempt whose time is up leaves the window, since its answer was perhaps lost; with its saga a
 * command is forgotten. Some at a time. */
void participants_tick(saga_shell_t *self)
{
    participants_t *participants = &self->participants;
    int64_t now_us = capstan_now_us(self->self);
    command_t *gone[64];
    size_t count = 0;
    if (now_us < participants->sweep_next_us) {
        return;
    }
    for (size_t i = 0; i < COMMANDS_SWEEP && count < sizeof gone / sizeof gone[0]; i++) {
        command_t *command = map_next(&participants->commands, &participants->sweep);
        if (!command) {
            participants->sweep = 0;
            participants->sweep_next_us = now_us + SAGA_TICK_US;
            break;
        }
        if (command->state == COMMAND_OUT && command->expires_us <= now_us) {
            command->state = COMMAND_EXPIRED;
            command->sender->out--;
        }
        if (command->state != COMMAND_WAITS && !is_wanted(self, command)) {
            gone[count++] = command;
        }
    }
    for (size_t i = 0; i < count; i++) {
        command_leave(participants, gone[i]);
    }
}

/* --- results --------------------------------------------------------------------------------- */

static void refuse_results(saga_shell_t *self, uint64_t count, const char *what)
{
    int64_t now_us = capstan_now_us(self->self);
    METRIC_ADD(saga, results_refused, count);
    if (now_us >= self->participants.refused_told_us + TOLD_EVERY_US) {
        self->participants.refused_told_us = now_us;
        LOG(saga, results_refused, log_string("what", what), log_uint("results", count));
    }
}

/* Busy: it is being done, and the coordinator waits as long again. */
static void settle(saga_shell_t *self, command_t *command, const participant_result_t *result)
{
    enum { STATUS_BUSY = 5 };
    if (result->status == STATUS_BUSY) {
        command->expires_us = capstan_now_us(self->self) + command->timeout_us;
    } else if (result->attempt >= command->attempt && command->state != COMMAND_WAITS) {
        command_leave(&self->participants, command);
    }
}

static void take_result(saga_shell_t *self, capstan_ref_t from, const participant_result_t *result)
{
    enum { STATUS_REFUSED = 6 };
    command_t identity = {.number = result->number, .task = result->task, .phase = result->phase};
    command_t *command = command_find(&self->participants, &identity);
    if (!command) {
        METRIC_ADD(saga, results_ignored, 1);
        return;
    }
    if (!participant_sender(command->participant, from)) {
        refuse_results(self, 1, "of another participant");
        return;
    }
    /* It has heard a greater epoch: another coordinator has this store, and the next append is
     * refused, which ends the matter. */
    if (result->status == STATUS_REFUSED) {
        refuse_results(self, 1, "it says that this epoch is stale");
        return;
    }
    capstan_err_t err = coordinator_result(self->core, capstan_utc_us(self->self), shell_dice(self),
                                           result, &self->effects);
    if (err == CAPSTAN_E_INVALID) {
        refuse_results(self, 1, "it cannot be: status, phase, value or id");
        return;
    }
    METRIC_ADD(saga, results, err == CAPSTAN_OK);
    METRIC_ADD(saga, results_ignored, err != CAPSTAN_OK);
    settle(self, command, result);
    shell_take_effects(self);
}

static bool is_known(const saga_shell_t *self, capstan_ref_t sender)
{
    const participants_t *participants = &self->participants;
    for (size_t i = 0; i < participants->count; i++) {
        if (participant_sender(participants->list[i], sender)) {
            return true;
        }
    }
    return false;
}

void participants_results(saga_shell_t *self, const capstan_message_t *message)
{
    participant_results_t results;
    participant_result_t result;
    codec_list_t list;
    if (self->step != SAGA_READY) {
        return; /* what is under way is asked for again */
    }
    if (!is_known(self, message->sender)) {
        refuse_results(self, 1, "of a stranger");
        return;
    }
    if (codec_decode(participant_results_wire(), message->body, &results, NULL) != CAPSTAN_OK ||
        codec_list_open(participant_result_wire(), results.results, &list) != CAPSTAN_OK) {
        refuse_results(self, 1, "malformed");
        return;
    }
    while (codec_list_next(&list, &result)) {
        take_result(self, message->sender, &result);
    }
    if (list.fault.err) {
        refuse_results(self, 1, "malformed");
    }
}

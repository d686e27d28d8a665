/* Participants and their senders: who opens, and which of them a command is for. */
#include "actors/saga/saga_shell.h"

#include "actors/saga/saga_events.h"
#include "actors/saga/saga_metrics.h"
#include "runtime/base/ensure.h"
#include "runtime/telemetry/log.h"

#include <ctype.h>
#include <stdlib.h>
#include <xxhash.h>

/* --- commands -------------------------------------------------------------------------------- */

static uint64_t command_hash(const command_t *command)
{
    uint64_t identity[] = {command->number, command->task, command->phase};
    return XXH64(identity, sizeof identity, 0);
}

static bool is_command(const void *value, const void *wanted)
{
    const command_t *a = value;
    const command_t *b = wanted;
    return a->number == b->number && a->task == b->task && a->phase == b->phase;
}

command_t *command_find(const participants_t *self, const command_t *identity)
{
    return map_find(&self->commands, command_hash(identity), is_command, identity);
}

static void enqueue(participants_t *self, command_t *command)
{
    command_queue_t *queue = &command->sender->queues[command->priority];
    command->state = COMMAND_WAITS;
    command->next = NULL;
    *(queue->first ? &queue->last->next : &queue->first) = command;
    queue->last = command;
    command->sender->waiting++;
    self->waiting++;
}

void command_leave(participants_t *self, command_t *command)
{
    ENSURE(command->state != COMMAND_WAITS);
    command->sender->out -= command->state == COMMAND_OUT;
    map_remove(&self->commands, command_hash(command), command);
    free(command->data);
    free(command);
}

/* --- senders --------------------------------------------------------------------------------- */

static participant_t *participant_find(const participants_t *self, slice_t name)
{
    for (size_t i = 0; i < self->count; i++) {
        if (slice_equal(slice_text(self->list[i]->name), name)) {
            return self->list[i];
        }
    }
    return NULL;
}

static participant_t *participant_get(participants_t *self, slice_t name)
{
    participant_t *participant = participant_find(self, name);
    if (!participant) {
        participant = calloc(1, sizeof *participant);
        self->list = realloc(self->list, (self->count + 1) * sizeof(participant_t *));
        ENSURE(participant && self->list);
        memcpy(participant->name, name.data, name.size);
        self->list[self->count++] = participant;
    }
    return participant;
}

sender_t *participant_sender(const participant_t *self, capstan_ref_t ref)
{
    for (size_t i = 0; i < self->count; i++) {
        if (capstan_ref_equal(self->senders[i]->ref, ref)) {
            return self->senders[i];
        }
    }
    return NULL;
}

static sender_t *sender_add(participant_t *self, capstan_ref_t ref)
{
    sender_t *sender = calloc(1, sizeof *sender);
    self->senders = realloc(self->senders, (self->count + 1) * sizeof(sender_t *));
    ENSURE(sender && self->senders);
    sender->ref = ref;
    self->senders[self->count++] = sender;
    return sender;
}

/* The one that number and sender hash highest with: rendezvous hashing (Thaler and Ravishankar). */
static sender_t *sender_for(const participant_t *self, uint64_t number)
{
    sender_t *best = NULL;
    uint64_t best_hash = 0;
    for (size_t i = 0; i < self->count; i++) {
        uint64_t hash = XXH64(&self->senders[i]->ref, sizeof(capstan_ref_t), number);
        if (!best || hash > best_hash) {
            best = self->senders[i];
            best_hash = hash;
        }
    }
    return best;
}

/* All commands of a sender, waiting or out, are forgotten: the core knows what is under way. */
static void sender_clear(participants_t *self, sender_t *sender)
{
    for (size_t i = 0; i < PARTICIPANT_PRIORITIES; i++) {
        sender->queues[i] = (command_queue_t){0};
    }
    self->waiting -= sender->waiting;
    sender->waiting = 0;
    size_t position = 0;
    command_t **gone = calloc(self->commands.count + 1, sizeof(command_t *));
    size_t count = 0;
    ENSURE(gone);
    for (command_t *command; (command = map_next(&self->commands, &position));) {
        if (command->sender == sender) {
            gone[count++] = command;
        }
    }
    for (size_t i = 0; i < count; i++) {
        gone[i]->state = gone[i]->state == COMMAND_WAITS ? COMMAND_EXPIRED : gone[i]->state;
        command_leave(self, gone[i]);
    }
    free(gone);
}

static void resend(saga_shell_t *self, const participant_t *participant)
{
    slice_t name = slice_text(participant->name);
    coordinator_resend(self->core, capstan_utc_us(self->self), shell_dice(self), &name,
                       &self->effects);
    shell_take_effects(self);
}

/* --- opening --------------------------------------------------------------------------------- */

static bool is_name(slice_t name)
{
    for (size_t i = 0; i < name.size; i++) {
        unsigned char byte = ((const unsigned char *)name.data)[i];
        if (!isalnum(byte) && byte != '.' && byte != '_' && byte != '-') {
            return false;
        }
    }
    return name.size > 0 && name.size <= PLAN_NAME_MAX;
}

/* NULL, or what is wrong. */
static const char *check_open(const participants_t *self, const participant_open_t *open)
{
    const participant_t *participant = participant_find(self, open->name);
    if (!is_name(open->name)) {
        return "name: 1 to 64 letters, digits and . _ -";
    }
    if (open->window > PARTICIPANT_WINDOW_MAX) {
        return "window: 1 to 10000";
    }
    bool full = participant ? participant->count >= PARTICIPANT_SENDERS_MAX
                            : self->count >= PARTICIPANTS_MAX;
    return full ? "too many participants, or too many of this name" : NULL;
}

void participants_open(saga_shell_t *self, const capstan_message_t *message)
{
    participant_open_t open;
    capstan_err_t err = codec_decode(participant_open_wire(), message->body, &open, NULL);
    const char *wrong = err == CAPSTAN_OK ? check_open(&self->participants, &open) : NULL;
    if (err == CAPSTAN_OK && !wrong) {
        err = capstan_monitor(self->self, message->sender);
    }
    if (err != CAPSTAN_OK || wrong) {
        shell_refuse(self, message, err ? err : CAPSTAN_E_INVALID, wrong);
        return;
    }
    participant_t *participant = participant_get(&self->participants, open.name);
    sender_t *sender = participant_sender(participant, message->sender);
    if (sender) {
        sender_clear(&self->participants, sender); /* it has come back, and knows of nothing */
    } else {
        sender = sender_add(participant, message->sender);
        LOG(saga, participant_came, log_string("participant", participant->name),
            log_uint("senders", participant->count));
    }
    sender->window = open.window > 0 ? open.window : PARTICIPANT_WINDOW;
    shell_reply(self, message, participant_opened_wire(),
                &(participant_opened_t){.name = open.name, .epoch = self->epoch});
    resend(self, participant);
}

/* --- commands come --------------------------------------------------------------------------- */

static unsigned priority_of(const saga_shell_t *self, uint64_t number)
{
    const saga_t *saga = coordinator_get(self->core, number);
    const plan_t *plan = saga ? saga_plan(saga) : NULL;
    unsigned priority = plan ? plan->priority : 0;
    return priority < PARTICIPANT_PRIORITIES ? priority : PARTICIPANT_PRIORITIES - 1;
}

/* What is under way already is sent again as the next attempt only; one that waits is brought up to
 * date at its place. */
static void renew(participants_t *self, command_t *command, const saga_command_t *record,
                  void *data, size_t size)
{
    if (record->attempt == command->attempt && command->state != COMMAND_EXPIRED) {
        free(data);
        return;
    }
    free(command->data);
    command->data = data;
    command->size = size;
    command->attempt = record->attempt;
    command->timeout_us = (int64_t)record->timeout_ms * 1000;
    if (command->state != COMMAND_WAITS) {
        command->sender->out -= command->state == COMMAND_OUT;
        command->sender = sender_for(command->participant, command->number);
        enqueue(self, command);
    }
}

void participants_command(saga_shell_t *self, slice_t name, void *data, size_t size)
{
    participants_t *participants = &self->participants;
    saga_command_t record;
    participant_t *participant = participant_find(participants, name);
    if (!participant || participant->count == 0) {
        free(data); /* the core says it again when somebody comes */
        return;
    }
    capstan_err_t err = codec_decode(saga_command_wire(), slice_of(data, size), &record, NULL);
    ENSURE(err == CAPSTAN_OK);
    command_t identity = {.number = record.number, .task = record.task, .phase = record.phase};
    command_t *command = command_find(participants, &identity);
    if (command) {
        renew(participants, command, &record, data, size);
        return;
    }
    command = calloc(1, sizeof *command);
    ENSURE(command);
    *command = identity;
    command->attempt = record.attempt;
    command->participant = participant;
    command->sender = sender_for(participant, record.number);
    command->priority = priority_of(self, record.number);
    command->timeout_us = (int64_t)record.timeout_ms * 1000;
    command->data = data;
    command->size = size;
    map_add(&participants->commands, command_hash(command), command);
    enqueue(participants, command);
}

/* --- going ----------------------------------------------------------------------------------- */

static void sender_free(participants_t *self, sender_t *sender)
{
    sender_clear(self, sender);
    free(sender);
}

void participants_down(saga_shell_t *self, capstan_ref_t ref)
{
    participants_t *participants = &self->participants;
    for (size_t i = 0; i < participants->count; i++) {
        participant_t *participant = participants->list[i];
        for (size_t k = 0; k < participant->count; k++) {
            if (!capstan_ref_equal(participant->senders[k]->ref, ref)) {
                continue;
            }
            sender_free(participants, participant->senders[k]);
            participant->senders[k] = participant->senders[--participant->count];
            if (participant->count == 0) {
                LOG(saga, participant_went, log_string("participant", participant->name));
            } else if (self->step == SAGA_READY) {
                resend(self, participant);
            }
            break;
        }
    }
}

void participants_forget(saga_shell_t *self)
{
    participants_t *participants = &self->participants;
    for (size_t i = 0; i < participants->count; i++) {
        for (size_t k = 0; k < participants->list[i]->count; k++) {
            sender_clear(participants, participants->list[i]->senders[k]);
        }
    }
}

void participants_fini(saga_shell_t *self)
{
    participants_t *participants = &self->participants;
    for (size_t i = 0; i < participants->count; i++) {
        participant_t *participant = participants->list[i];
        while (participant->count > 0) {
            sender_free(participants, participant->senders[--participant->count]);
        }
        free(participant->senders);
        free(participant);
    }
    METRIC_ADD(saga, commands_waiting, participants->waiting - participants->waiting_counted);
    map_fini(&participants->commands);
    free(participants->list);
    *participants = (participants_t){0};
}

/* Who waits for the end of a saga. */
#include "actors/saga/saga_shell.h"

#include "runtime/base/ensure.h"

#include <stdlib.h>
#include <xxhash.h>

static uint64_t number_hash(uint64_t number)
{
    return XXH64(&number, sizeof number, 0);
}

static bool has_number(const void *value, const void *wanted)
{
    return ((const result_waiter_t *)value)->number == *(const uint64_t *)wanted;
}

static result_waiter_t *first_of(const waiters_t *self, uint64_t number)
{
    return map_find(&self->by_number, number_hash(number), has_number, &number);
}

typedef struct asker {
    capstan_ref_t sender;
    uint64_t correlation;
} asker_t;

static bool is_asked_by(const void *value, const void *wanted)
{
    const capstan_message_t *request = &((const result_waiter_t *)value)->request;
    const asker_t *asker = wanted;
    return request->correlation == asker->correlation &&
           capstan_ref_equal(request->sender, asker->sender);
}

static uint64_t asker_hash(const capstan_message_t *request)
{
    return XXH64(&request->sender, sizeof request->sender, request->correlation);
}

static void wait(saga_shell_t *self, const capstan_message_t *message, uint64_t number)
{
    waiters_t *waiters = &self->waiters;
    result_waiter_t *waiter = malloc(sizeof *waiter);
    result_waiter_t *first = first_of(waiters, number);
    ENSURE(waiter);
    *waiter = (result_waiter_t){.number = number, .request = *message};
    waiter->request.body = (slice_t){0};
    if (first) {
        waiter->next = first->next;
        first->next = waiter;
    } else {
        map_add(&waiters->by_number, number_hash(number), waiter);
    }
    map_add(&waiters->by_asker, asker_hash(message), waiter);
}

static bool rests(const saga_t *saga)
{
    return saga_has_ended(saga) || saga_phase(saga) == SAGA_PARKED;
}

static void encode_summary(const saga_t *saga, buffer_t *out)
{
    buffer_t row_bytes = {0};
    buffer_t values = {0};
    saga_row_t row = saga_row(saga);
    codec_encode(saga_row_wire(), &row, &row_bytes);
    saga_values(saga, &values);
    codec_encode(
        saga_summary_wire(),
        &(saga_summary_t){.saga = buffer_slice(&row_bytes), .values = buffer_slice(&values)}, out);
    buffer_fini(&row_bytes);
    buffer_fini(&values);
}

/* What is not on disk yet is not told. */
static void summarise(saga_shell_t *self, const capstan_message_t *request, const saga_t *saga)
{
    buffer_t body = {0};
    encode_summary(saga, &body);
    owed_add(&self->owed,
             &(owed_item_t){.kind = OWED_REPLY,
                            .lsn = self->lsn_next,
                            .to = request->sender,
                            .correlation = request->correlation,
                            .message = MESSAGE_saga_summary},
             buffer_slice(&body));
    buffer_fini(&body);
}

void waiters_result(saga_shell_t *self, const capstan_message_t *message)
{
    saga_result_t request;
    capstan_err_t err = codec_decode(saga_result_wire(), message->body, &request, NULL);
    const saga_t *saga = err == CAPSTAN_OK ? coordinator_find(self->core, request.id) : NULL;
    err = err == CAPSTAN_OK && !saga ? CAPSTAN_E_UNKNOWN_SAGA : err;
    if (err != CAPSTAN_OK) {
        shell_refuse(self, message, err, NULL);
    } else if (request.now || rests(saga)) {
        summarise(self, message, saga);
    } else if (self->waiters.by_asker.count >= self->settings->results_max) {
        shell_refuse(self, message, CAPSTAN_E_LIMIT,
                     "too many wait for the end of a saga: saga.results_max");
    } else {
        wait(self, message, saga_begin_of(saga)->number);
    }
}

/* Takes all who wait for the saga. */
static result_waiter_t *take_all(waiters_t *self, uint64_t number)
{
    result_waiter_t *first = first_of(self, number);
    map_remove(&self->by_number, number_hash(number), first);
    for (const result_waiter_t *waiter = first; waiter; waiter = waiter->next) {
        map_remove(&self->by_asker, asker_hash(&waiter->request), waiter);
    }
    return first;
}

/* It may have been moved on by a person meanwhile: then they go on waiting. */
void waiters_rests(saga_shell_t *self, uint64_t number)
{
    const saga_t *saga = coordinator_get(self->core, number);
    if (!saga || !rests(saga) || !first_of(&self->waiters, number)) {
        return;
    }
    buffer_t body = {0};
    result_waiter_t *waiter = take_all(&self->waiters, number);
    encode_summary(saga, &body);
    for (result_waiter_t *next; waiter; waiter = next) {
        next = waiter->next;
        capstan_reply(self->self, &waiter->request, MESSAGE_saga_summary, buffer_slice(&body));
        free(waiter);
    }
    buffer_fini(&body);
}

void waiters_cancel(saga_shell_t *self, capstan_ref_t sender, uint64_t correlation)
{
    waiters_t *waiters = &self->waiters;
    asker_t asker = {.sender = sender, .correlation = correlation};
    capstan_message_t request = {.sender = sender, .correlation = correlation};
    uint64_t hash = asker_hash(&request);
    result_waiter_t *gone = map_find(&waiters->by_asker, hash, is_asked_by, &asker);
    if (!gone) {
        return;
    }
    map_remove(&waiters->by_asker, hash, gone);
    result_waiter_t *before = first_of(waiters, gone->number);
    if (before != gone) {
        while (before->next != gone) {
            before = before->next;
        }
        before->next = gone->next;
    } else {
        map_remove(&waiters->by_number, number_hash(gone->number), gone);
        if (gone->next) {
            map_add(&waiters->by_number, number_hash(gone->number), gone->next);
        }
    }
    free(gone);
}

void waiters_refuse(saga_shell_t *self, capstan_err_t err)
{
    waiters_t *waiters = &self->waiters;
    size_t position = 0;
    for (result_waiter_t *waiter; (waiter = map_next(&waiters->by_asker, &position));) {
        shell_refuse(self, &waiter->request, err, NULL);
    }
    waiters_fini(waiters);
}

void waiters_fini(waiters_t *self)
{
    size_t position = 0;
    for (result_waiter_t *waiter; (waiter = map_next(&self->by_asker, &position));) {
        free(waiter);
    }
    map_fini(&self->by_asker);
    map_fini(&self->by_number);
    *self = (waiters_t){0};
}

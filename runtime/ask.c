/* Pending asks of a cell. An ask ends exactly once: by its answer, its deadline or its withdrawal;
 * ask_end is the only place where that happens, and whoever comes second finds nothing. */
#include "runtime/cell.h"

#include "runtime/base/ensure.h"
#include "runtime/runtime_metrics.h"

#include <stdlib.h>

#define ASK_NONE UINT32_MAX

static void grow(cell_t *cell)
{
    size_t capacity = cell->ask_capacity > 0 ? cell->ask_capacity * 2 : 64;
    cell->asks = realloc(cell->asks, capacity * sizeof *cell->asks);
    ENSURE(cell->asks && capacity < ASK_NONE);
    for (size_t i = capacity; i > cell->ask_capacity; i--) {
        cell->asks[i - 1] = (ask_t){.next = cell->ask_free};
        cell->ask_free = (uint32_t)(i - 1);
    }
    cell->ask_capacity = capacity;
}

uint64_t ask_start(cell_t *cell, capstan_actor_t *actor, waiter_t *waiter, int64_t timeout_us)
{
    if (cell->ask_free == ASK_NONE) {
        grow(cell);
    }
    METRIC_ADD(runtime, asks, 1);
    uint32_t index = cell->ask_free;
    ask_t *ask = &cell->asks[index];
    cell->ask_free = ask->next;
    ask->generation++;
    ask->actor = actor;
    ask->waiter = waiter;
    ask->pending = true;
    ask->previous = ASK_NONE;
    ask->next = actor->ask_head;
    if (ask->next != ASK_NONE) {
        cell->asks[ask->next].previous = index;
    }
    actor->ask_head = index;
    uint64_t correlation = (uint64_t)ask->generation << 32 | (index + 1);
    ask->timer = timers_start(&cell->timers, cell->now_us + timeout_us, NULL,
                              (void *)(uintptr_t)correlation);
    return correlation;
}

ask_t *ask_find(cell_t *cell, uint64_t correlation)
{
    uint32_t index = (uint32_t)correlation - 1;
    if ((uint32_t)correlation == 0 || index >= cell->ask_capacity) {
        return NULL;
    }
    ask_t *ask = &cell->asks[index];
    return ask->pending && ask->generation == correlation >> 32 ? ask : NULL;
}

ask_t *ask_end(cell_t *cell, uint64_t correlation)
{
    ask_t *ask = ask_find(cell, correlation);
    if (!ask) {
        return NULL;
    }
    timers_cancel(&cell->timers, ask->timer);
    if (ask->previous != ASK_NONE) {
        cell->asks[ask->previous].next = ask->next;
    } else {
        ask->actor->ask_head = ask->next;
    }
    if (ask->next != ASK_NONE) {
        cell->asks[ask->next].previous = ask->previous;
    }
    ask->pending = false;
    ask->next = cell->ask_free;
    cell->ask_free = (uint32_t)(ask - cell->asks);
    return ask;
}

void ask_expired(cell_t *cell, uint64_t correlation)
{
    ask_t *ask = ask_end(cell, correlation);
    ENSURE(ask);
    METRIC_ADD(runtime, asks_timed_out, 1);
    if (ask->waiter) {
        waiter_finish(ask->waiter, CAPSTAN_E_TIMEOUT, (slice_t){0});
        return;
    }
    capstan_actor_t *actor = ask->actor;
    buffer_t body = {0};
    codec_encode(failure_wire(),
                 &(failure_t){.number = CAPSTAN_E_TIMEOUT,
                              .text = slice_text(capstan_err_text(CAPSTAN_E_TIMEOUT))},
                 &body);
    actor_run_answer(actor, &(capstan_message_t){.message = MESSAGE_failure,
                                                 .kind = CAPSTAN_KIND_ERROR,
                                                 .target = actor->ref,
                                                 .correlation = correlation,
                                                 .body = buffer_slice(&body)});
    buffer_fini(&body);
}

void ask_cancel_all(cell_t *cell, capstan_actor_t *actor)
{
    while (actor->ask_head != ASK_NONE) {
        uint32_t index = actor->ask_head;
        const ask_t *ask =
            ask_end(cell, (uint64_t)cell->asks[index].generation << 32 | (index + 1));
        ENSURE(ask);
        if (ask->waiter) {
            waiter_finish(ask->waiter, CAPSTAN_E_STOPPING, (slice_t){0});
        }
    }
}

void waiter_finish(waiter_t *waiter, capstan_err_t err, slice_t body)
{
    pthread_mutex_lock(&waiter->mutex);
    waiter->err = err;
    if (body.size > 0) {
        waiter->body = malloc(body.size);
        ENSURE(waiter->body);
        memcpy(waiter->body, body.data, body.size);
    }
    waiter->size = body.size;
    waiter->done = true;
    pthread_cond_signal(&waiter->condition);
    pthread_mutex_unlock(&waiter->mutex);
}

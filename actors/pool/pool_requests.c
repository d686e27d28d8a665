/* What those who look after a pool ask of its actor. */
#include "actors/pool/pool_shared.h"

#include "actors/pool/pool_messages.h"
#include "runtime/base/clock.h"

enum { PAUSE = 1, RESUME, RECYCLE, RESIZE };

/* With the lock. */
static void report(const capstan_pool_t *shared, buffer_t *out)
{
    int64_t now_us = clock_us(CLOCK_MONOTONIC);
    pool_figures_t figures = pool_figures(shared->core, now_us);
    pool_report_t message = {.name = slice_text(shared->name),
                             .size = figures.size,
                             .idle_min = figures.idle_min,
                             .paused = figures.paused,
                             .saturated = figures.saturated,
                             .idle = figures.idle,
                             .taken = figures.taken,
                             .opening = figures.opening,
                             .busy = figures.other,
                             .waiters = figures.waiters,
                             .oldest_wait_us = (uint64_t)figures.oldest_wait_us,
                             .takes = figures.takes,
                             .refused = figures.refused,
                             .waits = figures.waits,
                             .waited_us = figures.waited_us,
                             .opened = figures.opened,
                             .open_failures = figures.open_failures,
                             .called_off = figures.called_off,
                             .lost = figures.lost,
                             .expired = figures.expired,
                             .dirty = figures.dirty,
                             .leaks = figures.leaks,
                             .last_failure = slice_text(shared->why)};
    codec_encode(pool_report_wire(), &message, out);
}

/* With the lock. */
static capstan_err_t resize(capstan_pool_t *shared, const pool_operate_t *request, int64_t now_us)
{
    if (request->size == 0 || request->size > POOL_SIZE_MAX || request->idle_min > request->size) {
        return CAPSTAN_E_INVALID;
    }
    pool_resize(shared->core, (uint32_t)request->size, (uint32_t)request->idle_min, now_us);
    return CAPSTAN_OK;
}

static capstan_err_t operate(capstan_pool_t *shared, const pool_operate_t *request)
{
    int64_t now_us = clock_us(CLOCK_MONOTONIC);
    switch (request->operation) {
    case PAUSE:
        pool_pause(shared->core);
        return CAPSTAN_OK;
    case RESUME:
        pool_resume(shared->core, now_us);
        return CAPSTAN_OK;
    case RECYCLE:
        pool_recycle(shared->core, now_us);
        return CAPSTAN_OK;
    case RESIZE:
        return resize(shared, request, now_us);
    default:
        return CAPSTAN_E_INVALID;
    }
}

void pool_request(capstan_pool_t *shared, capstan_actor_t *actor, const capstan_message_t *message)
{
    pool_operate_t request = {0};
    bool operates = message->message == MESSAGE_pool_operate;
    if (message->kind != CAPSTAN_KIND_REQUEST ||
        (!operates && message->message != MESSAGE_pool_status)) {
        capstan_reply_error(actor, message, CAPSTAN_E_UNKNOWN_MESSAGE, NULL);
        return;
    }
    buffer_t body = {0};
    capstan_err_t err =
        operates ? codec_decode(pool_operate_wire(), message->body, &request, NULL) : CAPSTAN_OK;
    pool_lock(shared);
    err = err || !operates ? err : operate(shared, &request);
    report(shared, &body);
    pool_unlock(shared);
    if (err != CAPSTAN_OK) {
        capstan_reply_error(actor, message, err,
                            err == CAPSTAN_E_INVALID
                                ? "operation 1 to 4; size 1 to 1024; idle_min at most size"
                                : NULL);
    } else {
        capstan_reply(actor, message, MESSAGE_pool_report, buffer_slice(&body));
    }
    buffer_fini(&body);
}

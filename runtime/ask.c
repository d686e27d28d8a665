/* Asking, answering and cancelling, on the cell of whoever does it; the rules are in calls.h. */
#include "runtime/cell.h"
#include "runtime/grip.h"

#include "runtime/base/clock.h"
#include "runtime/base/ensure.h"
#include "runtime/runtime_metrics.h"

/* --- the ends of an ask ---------------------------------------------------------------------- */

/* Whoever was asked need not go on. It needs no room, and does not matter if it is gone. */
static void send_cancel(cell_t *cell, const capstan_actor_t *asker, const ask_t *ask,
                        uint64_t correlation)
{
    (void)!route_send(cell,
                      &(capstan_message_t){.message = MESSAGE_cancel,
                                           .kind = CAPSTAN_KIND_EVENT,
                                           .sender = asker->ref,
                                           .target = ask->target,
                                           .correlation = correlation},
                      true);
}

/* Ends a pending ask without its answer. */
static ask_t give_up(cell_t *cell, uint64_t correlation)
{
    ask_t ask;
    bool pending = calls_end(&cell->calls, correlation, &ask);
    ENSURE(pending);
    send_cancel(cell, ask.party->owner, &ask, correlation);
    return ask;
}

/* The same, and tells the asker why. */
static void fail(cell_t *cell, uint64_t correlation, capstan_err_t err)
{
    ask_t ask = give_up(cell, correlation);
    if (ask.waiter) {
        waiter_finish(ask.waiter, err, (slice_t){0});
        return;
    }
    capstan_actor_t *actor = ask.party->owner;
    buffer_t *body = &cell->answer; /* not here: the thread may never come back from the handler */
    buffer_clear(body);
    codec_encode(failure_wire(),
                 &(failure_t){.number = (uint64_t)err, .text = slice_text(capstan_err_text(err))},
                 body);
    actor_run_answer(actor, &(capstan_message_t){.message = MESSAGE_failure,
                                                 .kind = CAPSTAN_KIND_ERROR,
                                                 .target = actor->ref,
                                                 .correlation = correlation,
                                                 .body = buffer_slice(body)});
}

void ask_expired(cell_t *cell, uint64_t correlation)
{
    METRIC_ADD(runtime, asks_timed_out, 1);
    fail(cell, correlation, CAPSTAN_E_TIMEOUT);
}

void ask_cancel_all(cell_t *cell, capstan_actor_t *actor)
{
    for (uint64_t correlation; (correlation = calls_ask_of(&cell->calls, &actor->party)) > 0;) {
        ask_t ask = give_up(cell, correlation);
        if (ask.waiter) {
            waiter_finish(ask.waiter, CAPSTAN_E_STOPPING, (slice_t){0});
        }
    }
}

void capstan_cancel(capstan_actor_t *self, uint64_t correlation)
{
    bool user;
    const ask_t *ask = grip_enter(&user) ? calls_find(&self->cell->calls, correlation) : NULL;
    if (ask && ask->party == &self->party) {
        (void)give_up(self->cell, correlation);
    }
    grip_leave(user);
}

/* --- asking ---------------------------------------------------------------------------------- */

/* `message` without its correlation and deadline, which the terms say. */
static capstan_err_t start(capstan_actor_t *asker, const ask_terms_t *terms,
                           capstan_message_t *message, uint64_t *ret_correlation)
{
    cell_t *cell = asker->cell;
    METRIC_ADD(runtime, asks, 1);
    if (terms->deadline_us <= cell->now_us) {
        return CAPSTAN_E_TIMEOUT;
    }
    uint64_t correlation = calls_ask(&cell->calls, &asker->party, terms);
    message->kind = CAPSTAN_KIND_REQUEST;
    message->sender = asker->ref;
    message->target = terms->target;
    message->correlation = correlation;
    message->deadline_us = terms->deadline_us;
    capstan_err_t err = actor_route(asker, message, false);
    if (err != CAPSTAN_OK) {
        ask_t ask;
        (void)!calls_end(&cell->calls, correlation, &ask);
        return err;
    }
    *ret_correlation = correlation;
    return CAPSTAN_OK;
}

void ask_for_waiter(cell_t *cell, const foreign_t *foreign)
{
    uint64_t correlation;
    capstan_err_t err = start(cell->port,
                              &(ask_terms_t){.target = foreign->target,
                                             .deadline_us = foreign->deadline_us,
                                             .request = CALLS_NONE,
                                             .waiter = foreign->waiter},
                              &(capstan_message_t){.message = foreign->message,
                                                   .body = slice_of(foreign->body, foreign->size)},
                              &correlation);
    if (err != CAPSTAN_OK) {
        waiter_finish(foreign->waiter, err, (slice_t){0});
    }
}

static uint32_t find_request(const capstan_actor_t *self, const capstan_message_t *request)
{
    const calls_t *calls = &self->cell->calls;
    uint32_t found =
        request ? calls_find_request(calls, request->sender, request->correlation) : CALLS_NONE;
    return found != CALLS_NONE && calls_request(calls, found)->party == &self->party ? found
                                                                                     : CALLS_NONE;
}

/* On behalf of a request that is worked on, or of nobody. */
static capstan_err_t ask_from(capstan_actor_t *self, uint32_t request, int64_t timeout_us,
                              capstan_message_t *message, uint64_t *ret_correlation)
{
    ENSURE(timeout_us > 0);
    int64_t deadline_us = clock_add_us(self->cell->now_us, timeout_us);
    if (request != CALLS_NONE) {
        int64_t limit_us = calls_request(&self->cell->calls, request)->deadline_us;
        deadline_us = limit_us > 0 && limit_us < deadline_us ? limit_us : deadline_us;
    }
    return start(
        self,
        &(ask_terms_t){.target = message->target, .deadline_us = deadline_us, .request = request},
        message, ret_correlation);
}

capstan_err_t capstan_ask(capstan_actor_t *self, capstan_ref_t target, uint32_t message,
                          capstan_slice_t body, int64_t timeout_us, uint64_t *ret_correlation)
{
    bool user;
    capstan_err_t err = CAPSTAN_E_CELL_HUNG;
    if (grip_enter(&user)) {
        err = ask_from(self, find_request(self, self->handling), timeout_us,
                       &(capstan_message_t){.message = message, .target = target, .body = body},
                       ret_correlation);
    }
    grip_leave(user);
    return err;
}

static capstan_err_t ask_for(capstan_actor_t *self, const capstan_message_t *request,
                             int64_t timeout_us, capstan_message_t *message,
                             uint64_t *ret_correlation)
{
    uint32_t found = find_request(self, request);
    if (request && found == CALLS_NONE) {
        bool expired = request->deadline_us > 0 && request->deadline_us <= self->cell->now_us;
        return expired ? CAPSTAN_E_TIMEOUT : CAPSTAN_E_CANCELLED;
    }
    return ask_from(self, found, timeout_us, message, ret_correlation);
}

capstan_err_t capstan_ask_for(capstan_actor_t *self, const capstan_message_t *request,
                              capstan_ref_t target, uint32_t message, capstan_slice_t body,
                              int64_t timeout_us, uint64_t *ret_correlation)
{
    bool user;
    capstan_err_t err = CAPSTAN_E_CELL_HUNG;
    if (grip_enter(&user)) {
        err = ask_for(self, request, timeout_us,
                      &(capstan_message_t){.message = message, .target = target, .body = body},
                      ret_correlation);
    }
    grip_leave(user);
    return err;
}

/* --- answering ------------------------------------------------------------------------------- */

/* The request may be another actor's, which handed it on within the cell. */
static void settle(capstan_actor_t *self, const capstan_message_t *request)
{
    calls_t *calls = &self->cell->calls;
    uint32_t found = calls_find_request(calls, request->sender, request->correlation);
    if (found != CALLS_NONE) {
        calls_forget(calls, found);
    }
    if (self->handling && self->handling->correlation == request->correlation &&
        capstan_ref_equal(self->handling->sender, request->sender)) {
        self->handling = NULL;
    }
}

void request_handed_on(capstan_actor_t *self, const capstan_message_t *request)
{
    if (request->kind == CAPSTAN_KIND_REQUEST) {
        settle(self, request);
    }
}

void capstan_reply(capstan_actor_t *self, const capstan_message_t *request, uint32_t message,
                   capstan_slice_t body)
{
    bool user;
    if (request->kind != CAPSTAN_KIND_REQUEST || request->correlation == 0) {
        return;
    }
    if (grip_enter(&user)) {
        settle(self, request);
        /* An asker that has gone needs no answer. */
        (void)!actor_route(self,
                           &(capstan_message_t){.message = message,
                                                .kind = CAPSTAN_KIND_REPLY,
                                                .sender = self->ref,
                                                .target = request->sender,
                                                .correlation = request->correlation,
                                                .body = body},
                           true);
    }
    grip_leave(user);
}

void capstan_reply_error(capstan_actor_t *self, const capstan_message_t *request, capstan_err_t err,
                         const char *text)
{
    bool user;
    if (grip_enter(&user) && request->kind == CAPSTAN_KIND_REQUEST) {
        settle(self, request);
        route_refuse(self->cell, request, err, text);
    }
    grip_leave(user);
}

void requests_refuse_all(cell_t *cell, capstan_actor_t *actor)
{
    for (uint32_t index; (index = calls_request_of(&actor->party)) != CALLS_NONE;) {
        const request_t request = *calls_request(&cell->calls, index);
        calls_forget(&cell->calls, index);
        bool waits = request.state == REQUEST_WORKING &&
                     (request.deadline_us == 0 || request.deadline_us > cell->now_us);
        if (waits) {
            route_refuse(cell,
                         &(capstan_message_t){.kind = CAPSTAN_KIND_REQUEST,
                                              .sender = request.sender,
                                              .target = actor->ref,
                                              .correlation = request.correlation},
                         CAPSTAN_E_GONE, NULL);
        }
    }
}

/* --- cancelling ------------------------------------------------------------------------------ */

/* The actor hears of it first, and may withdraw by itself what it asked on behalf of the request;
 * the rest ends here. It may end itself in any of these handlers, and then all of it has ended. */
static void tell_cancelled(cell_t *cell, uint32_t request)
{
    const request_t told = *calls_request(&cell->calls, request);
    capstan_actor_t *actor = told.party->owner;
    actor_run_cancelled(actor, told.sender, told.correlation);
    for (uint64_t child; !actor->dead && (child = calls_child_of(&cell->calls, request)) > 0;) {
        fail(cell, child, CAPSTAN_E_CANCELLED);
    }
    if (!actor->dead) {
        calls_forget(&cell->calls, request);
    }
}

bool requests_tell_cancelled(cell_t *cell)
{
    bool any = false;
    for (uint32_t request; (request = calls_take_cancelled(&cell->calls)) != CALLS_NONE;) {
        METRIC_ADD(runtime, requests_cancelled, 1);
        tell_cancelled(cell, request);
        any = true;
    }
    return any;
}

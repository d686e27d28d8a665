/* The handlers of a consumer: started, given work, and started again. */
#include "actors/ordering/consumer_actor.h"
#include "runtime/base/ensure.h"
#include "runtime/runtime.h"

#include <capstan/supervisor.h>
#include <stdio.h>
#include <stdlib.h>

static capstan_err_t start(consumer_actor_t *self, consumer_handler_t *handler)
{
    const capstan_behaviour_t *behaviour =
        self->options.may_block ? &blocking_handler_behaviour : &handler_behaviour;
    handler->state = handler_new(&self->arguments);
    if (!handler->state) {
        return CAPSTAN_E_NO_MEMORY;
    }
    capstan_spawn_options_t options = {
        .cell = self->options.cell,
        .placement = self->options.may_block ? CAPSTAN_PLACE_OWN : CAPSTAN_PLACE_SPREAD,
        .argument = handler->state,
        .link = true,
    };
    capstan_err_t err = capstan_spawn(self->self, behaviour, &options, &handler->actor);
    if (err != CAPSTAN_OK) {
        handler_free(handler->state);
        handler->state = NULL;
    }
    return err;
}

/* One that hangs is waited for by the node's stop; until then its state is the node's. */
static void forget(consumer_actor_t *self, consumer_handler_t *handler, capstan_err_t reason)
{
    char name[64];
    handler->actor = (capstan_ref_t){0};
    if (reason == CAPSTAN_E_CELL_HUNG) {
        snprintf(name, sizeof name, "handler/%p", (void *)handler->state);
        node_keep(capstan_actor_node(self->self), name, handler->state, handler_free);
    } else {
        handler_free(handler->state);
    }
    handler->state = NULL;
}

capstan_err_t consumer_start_handlers(consumer_actor_t *self)
{
    capstan_err_t err = CAPSTAN_OK;
    for (uint32_t i = 0; i < self->handler_count && err == CAPSTAN_OK; i++) {
        if (capstan_ref_is_null(self->handlers[i].actor)) {
            err = start(self, &self->handlers[i]);
        }
    }
    return err;
}

static capstan_err_t send_work(consumer_actor_t *self, const consumer_handler_t *handler)
{
    buffer_t list_bytes = {0};
    buffer_t body = {0};
    codec_list_writer_t list = codec_list_begin(&list_bytes);
    for (size_t i = 0; i < handler->count; i++) {
        const consumer_event_t *event = &self->taken[i];
        codec_list_add(&list, work_wire(),
                       &(work_t){.ticket = event->ticket,
                                 .partition = event->partition,
                                 .attempts = event->attempts,
                                 .event = event->event});
    }
    codec_list_end(&list);
    codec_encode(consumer_work_wire(),
                 &(consumer_work_t){.list = buffer_slice(&list_bytes), .round = handler->round},
                 &body);
    capstan_err_t err = actor_send(self->self, handler->actor,
                                   &(send_options_t){.message = MESSAGE_consumer_work,
                                                     .kind = CAPSTAN_KIND_EVENT,
                                                     .always = true},
                                   buffer_slice(&body));
    buffer_fini(&list_bytes);
    buffer_fini(&body);
    return err;
}

/* One that has gone without our having heard of it: its end says what becomes of the events. */
void consumer_dispatch(consumer_actor_t *self)
{
    if (self->closing || self->paused) {
        return;
    }
    for (uint32_t i = 0; i < self->handler_count; i++) {
        consumer_handler_t *handler = &self->handlers[i];
        if (handler->count > 0 || capstan_ref_is_null(handler->actor)) {
            continue;
        }
        handler->count = consumer_take(self->core, i + 1, self->arguments.batch_max, self->taken);
        if (handler->count == 0) {
            return;
        }
        for (size_t k = 0; k < handler->count; k++) {
            handler->tickets[k] = self->taken[k].ticket;
        }
        handler->round = ++self->rounds;
        (void)!send_work(self, handler);
        atomic_fetch_add_explicit(&self->shared->counts.delivered, handler->count,
                                  memory_order_relaxed);
    }
}

/* Those that nobody has acknowledged or rejected. What one rejection takes back is not rejected
 * once more. */
static void settle(consumer_actor_t *self, const consumer_handler_t *handler, capstan_err_t err,
                   const char *reason)
{
    if (err == CAPSTAN_OK && self->options.acknowledge_later) {
        return;
    }
    for (size_t i = 0; i < handler->count; i++) {
        uint64_t ticket = handler->tickets[i];
        if (!consumer_find(self->core, ticket) || !tickets_claim(&self->shared->tickets, ticket)) {
            continue;
        }
        if (err == CAPSTAN_OK) {
            consumer_acknowledge(self, ticket);
        } else {
            consumer_reject_because(self, ticket, &(consumer_say_t){.reason = slice_text(reason)});
        }
    }
}

static consumer_handler_t *find(const consumer_actor_t *self, capstan_ref_t actor)
{
    for (uint32_t i = 0; i < self->handler_count; i++) {
        if (capstan_ref_equal(self->handlers[i].actor, actor)) {
            return &self->handlers[i];
        }
    }
    return NULL;
}

static void release(consumer_actor_t *self, consumer_handler_t *handler)
{
    handler->count = 0;
    consumer_release(self->core, (uint32_t)(handler - self->handlers) + 1);
}

void consumer_on_worked(consumer_actor_t *self, const capstan_message_t *message)
{
    consumer_worked_t worked;
    if (codec_decode(consumer_worked_wire(), message->body, &worked, NULL) != CAPSTAN_OK) {
        return;
    }
    for (uint32_t i = 0; i < self->handler_count; i++) {
        consumer_handler_t *handler = &self->handlers[i];
        if (handler->count > 0 && handler->round == worked.round) {
            capstan_err_t err = (capstan_err_t)worked.error;
            settle(self, handler, err, capstan_err_text(err));
            release(self, handler);
            return;
        }
    }
}

bool consumer_handler_down(consumer_actor_t *self, capstan_ref_t actor, capstan_err_t reason)
{
    consumer_handler_t *handler = find(self, actor);
    if (!handler) {
        return false;
    }
    settle(self, handler, CAPSTAN_E_GONE, "its handler did not return");
    release(self, handler);
    forget(self, handler, reason);
    if (!self->closing && start(self, handler) != CAPSTAN_OK && !self->retrying) {
        self->retrying = true;
        capstan_timer_start(self->self, CONSUMER_RETRY_US, NULL);
    }
    return true;
}

bool consumer_is_idle(const consumer_actor_t *self)
{
    for (uint32_t i = 0; i < self->handler_count; i++) {
        if (self->handlers[i].count > 0) {
            return false;
        }
    }
    return true;
}

bool consumer_end_handlers(consumer_actor_t *self)
{
    bool none = true;
    for (uint32_t i = 0; i < self->handler_count; i++) {
        if (!capstan_ref_is_null(self->handlers[i].actor)) {
            none = false;
            (void)!capstan_stop(self->self, self->handlers[i].actor, 0);
        }
    }
    return none;
}

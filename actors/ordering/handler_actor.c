/* One of the handlers of a consumer: calls the program's function.
 *
 * Accepts   consumer_work (from its consumer), one at a time.
 * Sends     consumer_worked, when the function has returned.
 *
 * consumer_worked goes the way of what the function says by capstan_acknowledge and capstan_reject,
 * the ring of the consumer's cell, so that it comes behind that.
 *
 * One that hangs or ends its thread is lost with its actor; the consumer hears of it, rejects what
 * it had, and starts another. What the lost one may say yet is of a round that is over. */
#include "actors/ordering/consumer_shared.h"
#include "actors/ordering/event_view.h"
#include "runtime/runtime.h"

#include <stdlib.h>

enum { RETRY_US = 1000 }; /* while the ring is full */

struct handler {
    handler_arguments_t arguments;
    consumer_worked_t worked; /* the last one */
    event_headers_t headers;  /* of the events at hand */
    capstan_delivery_t deliveries[];
};

handler_t *handler_new(const handler_arguments_t *arguments)
{
    handler_t *self = calloc(1, sizeof *self + arguments->batch_max * sizeof self->deliveries[0]);
    if (self) {
        self->arguments = *arguments;
        self->arguments.shared = subscription_share(arguments->shared);
    }
    return self;
}

void handler_free(void *handler)
{
    handler_t *self = handler;
    subscription_give_back(self->arguments.shared);
    event_headers_fini(&self->headers);
    free(self);
}

static capstan_err_t init(capstan_actor_t *actor, void *argument)
{
    capstan_actor_set_state(actor, argument);
    return CAPSTAN_OK;
}

static capstan_err_t read_delivery(handler_t *self, const work_t *work,
                                   capstan_delivery_t *ret_delivery)
{
    event_t event;
    *ret_delivery = (capstan_delivery_t){
        .subscription = self->arguments.shared,
        .number = work->ticket,
        .partition = (uint32_t)work->partition,
        .attempts = work->attempts,
    };
    capstan_err_t err = event_view(work->event, &self->headers, &event, &ret_delivery->event);
    if (err == CAPSTAN_OK) {
        ret_delivery->offset = event.offset;
        ret_delivery->accepted_us = event.accepted_us;
    }
    return err;
}

static capstan_err_t read_work(handler_t *self, const consumer_work_t *request, size_t *ret_count)
{
    codec_list_t list;
    work_t work;
    size_t count = 0;
    self->headers.count = 0;
    capstan_err_t err = codec_list_open(work_wire(), request->list, &list);
    while (!err && count < self->arguments.batch_max && codec_list_next(&list, &work)) {
        err = read_delivery(self, &work, &self->deliveries[count++]);
    }
    for (size_t i = 0, place = 0; !err && i < count; i++) {
        place = event_headers_place(&self->headers, place, &self->deliveries[i].event);
    }
    *ret_count = count;
    return err;
}

static capstan_err_t call(capstan_actor_t *actor, handler_t *self, size_t count)
{
    const handler_arguments_t *arguments = &self->arguments;
    if (arguments->handle_batch) {
        return arguments->handle_batch(actor, arguments->context, self->deliveries, count);
    }
    return arguments->handle(actor, arguments->context, &self->deliveries[0]);
}

static void tell(capstan_actor_t *actor, const handler_t *self)
{
    buffer_t body = {0};
    codec_encode(consumer_worked_wire(), &self->worked, &body);
    capstan_err_t err = capstan_node_tell(capstan_actor_node(actor), self->arguments.consumer,
                                          MESSAGE_consumer_worked, buffer_slice(&body));
    if (err == CAPSTAN_E_MAILBOX_FULL) {
        capstan_timer_start(actor, RETRY_US, NULL);
    }
    buffer_fini(&body);
}

static void timer(capstan_actor_t *actor, uint64_t number, void *cookie)
{
    (void)number;
    (void)cookie;
    tell(actor, capstan_actor_state(actor));
}

static capstan_err_t receive(capstan_actor_t *actor, const capstan_message_t *message)
{
    handler_t *self = capstan_actor_state(actor);
    consumer_work_t work;
    size_t count;
    if (message->message != MESSAGE_consumer_work ||
        !capstan_ref_equal(message->sender, self->arguments.consumer) ||
        codec_decode(consumer_work_wire(), message->body, &work, NULL) != CAPSTAN_OK) {
        capstan_reply_error(actor, message, CAPSTAN_E_UNKNOWN_MESSAGE, NULL);
        return CAPSTAN_OK;
    }
    capstan_err_t err = read_work(self, &work, &count);
    err = err || count == 0 ? err : call(actor, self, count);
    self->worked = (consumer_worked_t){.round = work.round, .error = (uint64_t)err};
    tell(actor, self);
    return CAPSTAN_OK;
}

const capstan_behaviour_t handler_behaviour = {
    .name = "handler", .init = init, .receive = receive, .timer = timer};
const capstan_behaviour_t blocking_handler_behaviour = {
    .name = "handler", .init = init, .receive = receive, .timer = timer, .may_block = true};

/* What a consumer says to its group: acknowledgements, gathered until the end of the turn, and
 * rejections, which follow them at once. */
#include "actors/ordering/consumer_actor.h"
#include "runtime/runtime.h"

static void count(_Atomic uint64_t *figure, uint64_t change)
{
    atomic_fetch_add_explicit(figure, change, memory_order_relaxed);
}

/* Needs no room in the group's mailbox: what is lost would be the member's for ever. */
static void send(consumer_actor_t *self, const wire_record_t *message, const void *value)
{
    buffer_t body = {0};
    codec_encode(message, value, &body);
    (void)!actor_send(
        self->self, self->from,
        &(send_options_t){.message = message->id, .kind = CAPSTAN_KIND_EVENT, .always = true},
        buffer_slice(&body));
    buffer_fini(&body);
}

static void close_position(consumer_actor_t *self)
{
    if (self->position.offset == 0) {
        return;
    }
    if (self->positions.size == 0) {
        self->list = codec_list_begin(&self->positions);
    }
    codec_list_add(&self->list, position_wire(), &self->position);
    self->position = (position_t){0};
}

void consumer_acknowledge(consumer_actor_t *self, uint64_t ticket)
{
    const consumer_event_t *event = consumer_find(self->core, ticket);
    if (event->partition == self->position.partition && self->position.offset > 0 &&
        event->offset == self->position.offset + 1) {
        self->position.offset++;
    } else {
        close_position(self);
        self->position = (position_t){
            .partition = event->partition, .first = event->offset, .offset = event->offset};
    }
    consumer_done(self->core, ticket);
    count(&self->shared->counts.acknowledged, 1);
}

void consumer_say_all(consumer_actor_t *self)
{
    close_position(self);
    if (self->positions.size == 0) {
        return;
    }
    codec_list_end(&self->list);
    send(self, acknowledge_wire(),
         &(acknowledge_t){.subscription = self->number, .through = buffer_slice(&self->positions)});
    buffer_clear(&self->positions);
}

void consumer_reject_because(consumer_actor_t *self, uint64_t ticket, const consumer_say_t *why)
{
    const consumer_event_t *event = consumer_find(self->core, ticket);
    reject_t rejection = {.subscription = self->number,
                          .partition = event->partition,
                          .offset = event->offset,
                          .final = why->final,
                          .delay_ms = why->delay_ms,
                          .reason = why->reason};
    uint64_t held = consumer_figures(self->core).held;
    consumer_say_all(self);
    send(self, reject_wire(), &rejection);
    consumer_reject(self->core, ticket);
    count(&self->shared->counts.rejected, 1);
    count(&self->shared->counts.taken_back, held - 1 - consumer_figures(self->core).held);
}

/* What waits for a handler is not taken yet. */
void consumer_grant(consumer_actor_t *self)
{
    uint64_t taken = self->received_bytes - consumer_figures(self->core).bytes;
    if (self->member && taken >= self->granted_bytes + CONSUMER_GRANT_BYTES) {
        self->granted_bytes = taken;
        send(self, subscription_grant_wire(),
             &(subscription_grant_t){.bytes = taken, .subscription = self->number});
    }
}

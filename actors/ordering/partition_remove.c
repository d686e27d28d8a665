/* The end of a partition whose topic is deleted: nobody is served any longer, and its stream is
 * removed from the store, piece by piece. What the store refuses is tried again.
 *
 * Who publishes finds partitions by references that it keeps: for a moment after its stream is gone
 * the partition goes on to answer them, since what lies in its mailbox when it ends is answered by
 * nobody. If it is published to without a pause it ends all the same, with an error, after which
 * those who wait for answers ask again. */
#include "actors/ordering/partition_parts.h"

#include "runtime/runtime.h"

enum { LINGERS_MAX = 50 };

void removal_start(partition_actor_t *self, const capstan_message_t *message)
{
    self->removal = *message;
    self->removal.body = (slice_t){0};
    bool opened = self->stream > 0 && self->phase != PARTITION_OPENING;
    if (self->phase != PARTITION_REMOVING && opened) {
        capstan_cancel(self->self, self->ask);
        self->ask = 0;
        removal_continue(self);
    }
}

void removal_continue(partition_actor_t *self)
{
    self->phase = PARTITION_REMOVING;
    self->broken = CAPSTAN_E_UNKNOWN_TOPIC;
    partition_drop(self, self->broken);
    partition_groups_fini(&self->groups);
    reads_refuse(self, self->broken);
    buffer_t body = {0};
    codec_encode(stream_remove_wire(),
                 &(stream_remove_t){.stream = self->stream, .epoch = self->epoch}, &body);
    if (capstan_ask_for(self->self, NULL, self->journal, MESSAGE_stream_remove, buffer_slice(&body),
                        PARTITION_ASK_US, &self->removal_ask) != CAPSTAN_OK) {
        self->phase = PARTITION_BROKEN;
        capstan_timer_start(self->self, PARTITION_RETRY_US, NULL);
    }
    buffer_fini(&body);
}

bool removal_answer(partition_actor_t *self, const capstan_message_t *message)
{
    stream_removed_t removed;
    if (self->removal_ask == 0 || message->correlation != self->removal_ask) {
        return false;
    }
    self->removal_ask = 0;
    if (message->message != MESSAGE_stream_removed ||
        codec_decode(stream_removed_wire(), message->body, &removed, NULL) != CAPSTAN_OK) {
        self->phase =
            PARTITION_BROKEN; /* it is opened again, for the case that this has a reason */
        capstan_timer_start(self->self, PARTITION_RETRY_US, NULL);
    } else if (removed.more) {
        removal_continue(self);
    } else {
        self->removed = true;
        self->heard = false;
        capstan_timer_start(self->self, PARTITION_LINGER_US, NULL);
    }
    return true;
}

void removal_linger(partition_actor_t *self)
{
    if (self->heard && ++self->lingers < LINGERS_MAX) {
        self->heard = false;
        capstan_timer_start(self->self, PARTITION_LINGER_US, NULL);
        return;
    }
    capstan_reply(self->self, &self->removal, MESSAGE_done, (slice_t){0});
    capstan_actor_exit(self->self, self->heard ? CAPSTAN_E_UNKNOWN_TOPIC : CAPSTAN_OK);
}

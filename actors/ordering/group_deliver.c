/* From a group's core to its members: events are gathered per member and partition, and sent at the
 * end of the turn; parked ones go into the next mark. */
#include "actors/ordering/group_actor.h"

#include "actors/ordering/ordering_events.h"
#include "actors/ordering/ordering_metrics.h"
#include "runtime/base/ensure.h"
#include "runtime/runtime.h"
#include "runtime/telemetry/log.h"

static void send_parcel(group_actor_t *self, member_t *member, size_t partition)
{
    parcel_t *parcel = &member->parcels[partition];
    buffer_t body = {0};
    codec_list_end(&parcel->list);
    codec_encode(deliver_wire(),
                 &(deliver_t){.subscription = member->number,
                              .partition = partition,
                              .events = buffer_slice(&parcel->events),
                              .attempts = parcel->attempts},
                 &body);
    buffer_clear(&parcel->events);
    member->sent_bytes += body.size;
    (void)!actor_send(
        self->self, member->session,
        &(send_options_t){.message = MESSAGE_deliver, .kind = CAPSTAN_KIND_EVENT, .always = true},
        buffer_slice(&body));
    buffer_fini(&body);
}

static void deliver(group_actor_t *self, const group_effect_t *effect)
{
    member_t *member = group_find_member(self, effect->member);
    ENSURE(member);
    parcel_t *parcel = &member->parcels[effect->partition];
    if (parcel->events.size > 0 &&
        (parcel->attempts != effect->attempts || parcel->events.size > GROUP_READ_BYTES)) {
        send_parcel(self, member, effect->partition);
    }
    if (parcel->events.size == 0) {
        parcel->list = codec_list_begin(&parcel->events);
        parcel->attempts = effect->attempts;
    }
    codec_list_add_raw(&parcel->list, effect->event);
}

static void park(group_actor_t *self, const group_effect_t *effect)
{
    buffer_t record = {0};
    parked_t parked = {
        .event = slice_of(self->effects.bytes.data + effect->event_at, effect->event_size),
        .attempts = effect->attempts,
        .reason = effect->behind ? (slice_t){0} : self->reason,
        .since_us = capstan_utc_us(self->self),
        .waits = effect->waits,
        .behind = effect->behind};
    codec_encode(parked_wire(), &parked, &record);
    outbox_t *outbox = &self->sources[effect->partition].parked;
    outbox_add(outbox, &record.size, sizeof record.size);
    outbox_add(outbox, record.data, record.size);
    buffer_fini(&record);
    METRIC_ADD(ordering, events_parked, 1);
    if (!effect->behind) {
        LOG(ordering, event_parked, log_string("topic", self->topic),
            log_string("group", self->group), log_uint("partition", effect->partition),
            log_uint("offset", effect->offset), log_uint("attempts", effect->attempts));
    }
}

void group_take_effects(group_actor_t *self)
{
    for (size_t i = 0; i < self->effects.count; i++) {
        const group_effect_t *effect = &self->effects.list[i];
        switch (effect->kind) {
        case GROUP_DELIVER:
            deliver(self, effect);
            break;
        case GROUP_PARK:
            park(self, effect);
            break;
        case GROUP_UNPARK:
            outbox_add(&self->sources[effect->partition].unparked, &effect->offset,
                       sizeof effect->offset);
            break;
        }
    }
    group_effects_clear(&self->effects);
}

/* A member that does not take what it was sent gets nothing more; the others go on. */
void group_send_parcels(group_actor_t *self)
{
    for (member_t *member = self->members; member; member = member->next) {
        for (size_t i = 0; i < self->count; i++) {
            if (member->parcels[i].events.size > 0) {
                send_parcel(self, member, i);
            }
        }
        bool open = member->sent_bytes - member->granted_bytes < GROUP_WINDOW_BYTES;
        if (open != member->open) {
            member->open = open;
            group_set_open(self->core, member->number, open);
        }
    }
}

/* Members of topics' groups: events come, are made values, wait for their sagas, and are
 * acknowledged when what they led to is on disk. The group gives one event of a key at a time, so
 * that one which is given back has no successor here. */
#include "actors/saga/saga_shell.h"

#include "actors/ordering/ordering_messages.h"
#include "actors/saga/saga_events.h"
#include "actors/saga/saga_metrics.h"
#include "runtime/base/ensure.h"
#include "runtime/runtime.h"
#include "runtime/telemetry/log.h"

#include <stdlib.h>

enum { ATTEMPTS_MAX = 1000000 };

static const char group_name[] = "saga";

/* --- joining --------------------------------------------------------------------------------- */

static member_t *member_find(const members_t *self, slice_t topic)
{
    for (size_t i = 0; i < self->count; i++) {
        if (slice_equal(slice_text(self->list[i]->topic), topic)) {
            return self->list[i];
        }
    }
    return NULL;
}

/* What there is no room for is given back to come again, however often that takes. */
static void define_group(saga_shell_t *self, member_t *member)
{
    buffer_t policy = {0};
    codec_encode(group_policy_wire(), &(group_policy_t){.attempts_max = ATTEMPTS_MAX}, &policy);
    member->ask = shell_ask(self, self->topics, group_define_wire(),
                            &(group_define_t){.topic = slice_text(member->topic),
                                              .group = slice_text(group_name),
                                              .policy = buffer_slice(&policy)});
    member->retry_us = capstan_now_us(self->self) + MEMBER_RETRY_US;
    buffer_fini(&policy);
}

static void subscribe(saga_shell_t *self, member_t *member)
{
    member->ask = shell_ask(self, self->topics, subscribe_wire(),
                            &(subscribe_t){.topic = slice_text(member->topic),
                                           .group = slice_text(group_name),
                                           .events_max = self->settings->events_max,
                                           .key_events_max = 1});
    member->retry_us = capstan_now_us(self->self) + MEMBER_RETRY_US;
}

void members_join(saga_shell_t *self)
{
    members_t *members = &self->members;
    size_t position = 0;
    slice_t topic;
    while (coordinator_next_topic(self->core, &position, &topic)) {
        if (topic.size > MEMBER_TOPIC_MAX || member_find(members, topic)) {
            continue;
        }
        member_t *member = calloc(1, sizeof *member);
        members->list = realloc(members->list, (members->count + 1) * sizeof(member_t *));
        ENSURE(member && members->list);
        memcpy(member->topic, topic.data, topic.size);
        members->list[members->count++] = member;
    }
    members_tick(self);
}

void members_tick(saga_shell_t *self)
{
    for (size_t i = 0; i < self->members.count; i++) {
        member_t *member = self->members.list[i];
        if (!member->joined && member->ask == 0 && capstan_now_us(self->self) >= member->retry_us &&
            !self->stopping) {
            (member->defined ? subscribe : define_group)(self, member);
        }
    }
}

static void tell_absent(member_t *member, capstan_err_t err)
{
    if (!member->told) {
        member->told = true;
        LOG(saga, topic_absent, log_string("topic", member->topic), log_error(err));
    }
}

static void on_subscribed(saga_shell_t *self, member_t *member, const capstan_message_t *message)
{
    subscribed_t subscribed;
    capstan_err_t err = codec_decode(subscribed_wire(), message->body, &subscribed, NULL);
    err = err ? err : capstan_monitor(self->self, message->sender);
    if (err != CAPSTAN_OK) {
        tell_absent(member, err);
        return;
    }
    member->joined = true;
    member->told = false;
    member->group = message->sender;
    member->subscription = subscribed.subscription;
    member->received_bytes = member->held_bytes = member->granted_bytes = 0;
    LOG(saga, topic_joined, log_string("topic", member->topic));
}

bool members_answer(saga_shell_t *self, const capstan_message_t *message)
{
    for (size_t i = 0; i < self->members.count; i++) {
        member_t *member = self->members.list[i];
        if (member->ask == 0 || member->ask != message->correlation) {
            continue;
        }
        member->ask = 0;
        capstan_err_t err =
            message->kind == CAPSTAN_KIND_ERROR ? message_failure(message) : CAPSTAN_OK;
        if (!member->defined && (err == CAPSTAN_OK || err == CAPSTAN_E_GROUP_BUSY)) {
            member->defined = true;
            subscribe(self, member);
        } else if (err != CAPSTAN_OK) {
            tell_absent(member, err);
        } else {
            on_subscribed(self, member, message);
        }
        return true;
    }
    return false;
}

/* --- leaving --------------------------------------------------------------------------------- */

static void lose(saga_shell_t *self, member_t *member)
{
    if (member->joined) {
        capstan_demonitor(self->self, member->group);
    }
    member->joined = false;
    member->retry_us = capstan_now_us(self->self) + MEMBER_RETRY_US / 4;
    buffer_clear(&member->positions);
}

/* What is left counts as not tried. */
void members_leave(saga_shell_t *self)
{
    for (size_t i = 0; i < self->members.count; i++) {
        member_t *member = self->members.list[i];
        capstan_cancel(self->self, member->ask);
        member->ask = 0;
        if (member->joined) {
            (void)shell_ask(self, member->group, unsubscribe_wire(),
                            &(unsubscribe_t){.subscription = member->subscription});
            lose(self, member);
        }
    }
}

void members_down(saga_shell_t *self, capstan_ref_t actor)
{
    for (size_t i = 0; i < self->members.count; i++) {
        member_t *member = self->members.list[i];
        if (member->joined && capstan_ref_equal(member->group, actor)) {
            lose(self, member);
        }
    }
}

void members_fini(saga_shell_t *self)
{
    for (size_t i = 0; i < self->members.count; i++) {
        buffer_fini(&self->members.list[i]->positions);
        free(self->members.list[i]);
    }
    free(self->members.list);
    self->members = (members_t){0};
}

/* --- saying ---------------------------------------------------------------------------------- */

/* Needs no room in the group's mailbox: what is lost would be held for ever. */
static void say(saga_shell_t *self, const member_t *member, const wire_record_t *message,
                const void *value)
{
    buffer_t body = {0};
    codec_encode(message, value, &body);
    (void)!actor_send(
        self->self, member->group,
        &(send_options_t){.message = message->id, .kind = CAPSTAN_KIND_EVENT, .always = true},
        buffer_slice(&body));
    buffer_fini(&body);
}

/* NULL: under that number nothing is held any more. */
static member_t *holder(const saga_shell_t *self, size_t member, uint64_t subscription)
{
    member_t *holder = self->members.list[member];
    return holder->joined && holder->subscription == subscription ? holder : NULL;
}

void members_done(saga_shell_t *self, size_t index, uint64_t subscription, uint64_t partition,
                  uint64_t offset, uint64_t bytes)
{
    member_t *member = holder(self, index, subscription);
    METRIC_ADD(saga, events, 1);
    if (!member) {
        return; /* it comes again, and changes nothing */
    }
    if (member->positions.size == 0) {
        member->list = codec_list_begin(&member->positions);
    }
    codec_list_add(&member->list, position_wire(),
                   &(position_t){.partition = partition, .first = offset, .offset = offset});
    member->held_bytes -= bytes;
}

static void reject(saga_shell_t *self, const lookup_waiter_t *event, const char *reason)
{
    member_t *member = holder(self, event->member, event->subscription);
    if (!member) {
        return;
    }
    say(self, member, reject_wire(),
        &(reject_t){.subscription = member->subscription,
                    .partition = event->partition,
                    .offset = event->offset,
                    .final = reason != NULL,
                    .delay_ms = reason ? 0 : MEMBER_DELAY_MS,
                    .reason = slice_text(reason ? reason : "sagas have no room for it")});
    member->held_bytes -= event->event_bytes;
    if (reason) {
        METRIC_ADD(saga, events_rejected, 1);
        LOG(saga, event_rejected, log_string("topic", member->topic),
            log_uint("partition", event->partition), log_uint("offset", event->offset),
            log_string("reason", reason));
    } else {
        METRIC_ADD(saga, events_delayed, 1);
    }
}

void members_delay(saga_shell_t *self, const lookup_waiter_t *event)
{
    reject(self, event, NULL);
}

void members_turn_end(saga_shell_t *self)
{
    for (size_t i = 0; i < self->members.count; i++) {
        member_t *member = self->members.list[i];
        uint64_t taken = member->received_bytes - member->held_bytes;
        if (!member->joined) {
            continue;
        }
        if (member->positions.size > 0) {
            codec_list_end(&member->list);
            say(self, member, acknowledge_wire(),
                &(acknowledge_t){.subscription = member->subscription,
                                 .through = buffer_slice(&member->positions)});
            buffer_clear(&member->positions);
        }
        if (taken >= member->granted_bytes + MEMBER_GRANT_BYTES) {
            member->granted_bytes = taken;
            say(self, member, subscription_grant_wire(),
                &(subscription_grant_t){.bytes = taken, .subscription = member->subscription});
        }
    }
}

/* --- events ---------------------------------------------------------------------------------- */

static bool starts_by(const saga_shell_t *self, const char *topic)
{
    const plan_t *plan;
    for (size_t i = 0; (plan = coordinator_plan_at(self->core, i)); i++) {
        if (slice_equal(plan->start_topic, slice_text(topic))) {
            return true;
        }
    }
    return false;
}

/* While it waits, key and payload are kept as a record. */
static void take_event(saga_shell_t *self, lookup_waiter_t *place, slice_t record)
{
    event_t event;
    buffer_t space = {0};
    buffer_t body = {0};
    slice_t value;
    if (codec_decode(event_wire(), record, &event, NULL) != CAPSTAN_OK) {
        return;
    }
    place->offset = event.offset;
    const char *wrong = event.key.size > SAGA_KEY_MAX
                            ? "its key is longer than 256 bytes"
                            : payload_value(event.content_type, event.payload, &space, &value);
    if (wrong) {
        reject(self, place, wrong);
    } else {
        codec_encode(saga_notice_wire(),
                     &(saga_notice_t){.source = PLAN_EVENT, .name = event.key, .value = value},
                     &body);
        lookup_park_event(self, place, event.key, buffer_slice(&body));
    }
    buffer_fini(&space);
    buffer_fini(&body);
}

static void on_deliver(saga_shell_t *self, size_t index, const capstan_message_t *message)
{
    member_t *member = self->members.list[index];
    deliver_t deliver;
    codec_list_t list;
    if (codec_decode(deliver_wire(), message->body, &deliver, NULL) != CAPSTAN_OK ||
        codec_list_open(event_wire(), deliver.events, &list) != CAPSTAN_OK) {
        return;
    }
    bool starts = starts_by(self, member->topic);
    member->received_bytes += message->body.size;
    for (slice_t record; codec_list_next_raw(&list, &record);) {
        lookup_waiter_t place = {.kind = WAITER_EVENT,
                                 .member = index,
                                 .subscription = member->subscription,
                                 .partition = deliver.partition,
                                 .event_bytes = record.size,
                                 .starts = starts};
        member->held_bytes += record.size;
        take_event(self, &place, record);
    }
}

void members_hear(saga_shell_t *self, const capstan_message_t *message)
{
    uint64_t number;
    if (self->step != SAGA_READY || !codec_peek_uint(message->body, 1, &number)) {
        return;
    }
    for (size_t i = 0; i < self->members.count; i++) {
        member_t *member = self->members.list[i];
        if (!member->joined || !capstan_ref_equal(message->sender, member->group) ||
            number != member->subscription) {
            continue;
        }
        if (message->message == MESSAGE_deliver) {
            on_deliver(self, i, message);
        } else if (message->message == MESSAGE_subscription_ended) {
            lose(self, member);
        }
        return;
    }
}

static void owe_acknowledgement(saga_shell_t *self, const lookup_waiter_t *event)
{
    owed_add(&self->owed,
             &(owed_item_t){.kind = OWED_ACKNOWLEDGE,
                            .lsn = self->lsn_next,
                            .member = event->member,
                            .number = event->subscription,
                            .partition = event->partition,
                            .offset = event->offset,
                            .event_bytes = event->event_bytes},
             (slice_t){0});
}

void members_event(saga_shell_t *self, const lookup_waiter_t *event)
{
    saga_notice_t notice;
    capstan_err_t err =
        codec_decode(saga_notice_wire(), slice_of(event->body, event->body_size), &notice, NULL);
    ENSURE(err == CAPSTAN_OK);
    if (!holder(self, event->member, event->subscription)) {
        return;
    }
    err = coordinator_event(
        self->core, capstan_utc_us(self->self),
        &(coordinator_event_t){.topic = slice_text(self->members.list[event->member]->topic),
                               .partition = event->partition,
                               .offset = event->offset,
                               .key = notice.name,
                               .payload = notice.value,
                               .dice = shell_dice(self)},
        &self->effects);
    shell_take_effects(self);
    if (err == CAPSTAN_OK) {
        owe_acknowledgement(self, event);
    } else if (err == CAPSTAN_E_LIMIT || err == CAPSTAN_E_SAGA_WAITING_FULL) {
        members_delay(self, event);
    } else {
        reject(self, event, capstan_err_text(err));
    }
}

/* Those who want a topic's events: each look gets an actor of its own, the members of a group share
 * one, which is made for the first of them and stays. */
#include "actors/ordering/topics.h"

#include "actors/ordering/beginning.h"
#include "actors/ordering/group_actor.h"
#include "actors/ordering/ordering_events.h"
#include "actors/ordering/subscription_actor.h"
#include "runtime/base/ensure.h"
#include "runtime/runtime.h"
#include "runtime/telemetry/log.h"

#include <stdlib.h>
#include <string.h>

enum {
    EVENTS_MAX_USUAL = 1024,
};

/* Names are kept as C strings: one that is cut off at a zero byte would be another group's. */
static bool is_group_name(slice_t name)
{
    return name.size <= GROUP_NAME_MAX && (name.size == 0 || !memchr(name.data, '\0', name.size));
}

/* --- looks ----------------------------------------------------------------------------------- */

/* A session that has given up waiting for `subscribed` knows nothing of its subscription, so that
 * what one session can have is counted here. */
static bool may_look(const topics_t *self, capstan_ref_t session)
{
    size_t count = 0;
    for (size_t i = 0; i < self->look_count; i++) {
        count += capstan_ref_equal(self->looks[i].session, session);
    }
    return count < SUBSCRIPTIONS_PER_SESSION_MAX;
}

static void look(topics_t *self, const topic_t *topic, const capstan_message_t *message,
                 const subscribe_t *request, slice_t beginning)
{
    capstan_ref_t ref;
    capstan_err_t err = may_look(self, message->sender) ? CAPSTAN_OK : CAPSTAN_E_LIMIT;
    err = err ? err
              : capstan_spawn(
                    self->self, &subscription_behaviour,
                    &(capstan_spawn_options_t){
                        .argument = &(subscription_arguments_t){.number = ++self->subscription_last,
                                                                .subscribe = request,
                                                                .beginning = beginning,
                                                                .request = message,
                                                                .partitions = topic->refs,
                                                                .partition_count =
                                                                    topic->settings.partitions}},
                    &ref);
    err = err ? err : capstan_monitor(self->self, ref);
    if (err != CAPSTAN_OK) {
        capstan_reply_error(self->self, message, err, NULL);
        return;
    }
    self->looks = realloc(self->looks, (self->look_count + 1) * sizeof *self->looks);
    ENSURE(self->looks);
    self->looks[self->look_count++] = (look_t){.session = message->sender, .subscription = ref};
}

/* --- groups ---------------------------------------------------------------------------------- */

static topic_group_t *find_group(const topics_t *self, const topic_t *topic, slice_t name)
{
    for (size_t i = 0; i < self->group_count; i++) {
        topic_group_t *group = &self->groups[i];
        if (group->topic == topic && slice_equal(slice_text(group->name), name)) {
            return group;
        }
    }
    return NULL;
}

static capstan_err_t open_group(topics_t *self, const topic_group_t *group)
{
    buffer_t refs = {0};
    buffer_t body = {0};
    codec_list_writer_t list = codec_list_begin(&refs);
    for (uint64_t i = 0; i < group->topic->settings.partitions; i++) {
        codec_list_add(&list, partition_ref_wire(),
                       &(partition_ref_t){.actor = group->topic->refs[i]});
    }
    codec_list_end(&list);
    codec_encode(group_open_wire(),
                 &(group_open_t){.topic = slice_text(group->topic->name),
                                 .group = slice_text(group->name),
                                 .partitions = buffer_slice(&refs)},
                 &body);
    capstan_err_t err =
        capstan_tell(self->self, group->actor, MESSAGE_group_open, buffer_slice(&body));
    buffer_fini(&refs);
    buffer_fini(&body);
    return err;
}

/* Groups have a cell of their own: beside the partitions', since both have something to do with
 * every event. */
static capstan_err_t make_group(topics_t *self, const topic_t *topic, slice_t name,
                                topic_group_t **ret_group)
{
    topic_group_t group = {.topic = topic};
    ordering_settings_t *settings = (ordering_settings_t *)(uintptr_t)self->settings;
    memcpy(group.name, name.data, name.size);
    capstan_err_t err = capstan_spawn(
        self->self, &group_behaviour,
        &(capstan_spawn_options_t){.cell = "groups", .argument = settings}, &group.actor);
    err = err ? err : capstan_monitor(self->self, group.actor);
    err = err ? err : open_group(self, &group);
    if (err == CAPSTAN_OK) {
        self->groups = realloc(self->groups, (self->group_count + 1) * sizeof *self->groups);
        ENSURE(self->groups);
        *ret_group = &self->groups[self->group_count++];
        **ret_group = group;
    }
    return err;
}

capstan_err_t topics_group(topics_t *self, const topic_t *topic, slice_t name,
                           capstan_ref_t *ret_group)
{
    if (name.size == 0 || !is_group_name(name)) {
        return CAPSTAN_E_INVALID;
    }
    topic_group_t *group = find_group(self, topic, name);
    capstan_err_t err = group ? CAPSTAN_OK : make_group(self, topic, name, &group);
    if (err == CAPSTAN_OK) {
        *ret_group = group->actor;
    }
    return err;
}

static capstan_err_t join(topics_t *self, const topic_t *topic, const capstan_message_t *message,
                          const subscribe_t *request, slice_t beginning)
{
    capstan_ref_t group;
    capstan_err_t err = topics_group(self, topic, request->group, &group);
    if (err != CAPSTAN_OK) {
        return err;
    }
    buffer_t body = {0};
    codec_encode(
        group_join_wire(),
        &(group_join_t){.session = message->sender,
                        .correlation = message->correlation,
                        .subscription = ++self->subscription_last,
                        .events_max = request->events_max ? request->events_max : EVENTS_MAX_USUAL,
                        .key_events_max = request->key_events_max ? request->key_events_max : 1,
                        .beginning = beginning},
        &body);
    err = capstan_tell(self->self, group, MESSAGE_group_join, buffer_slice(&body));
    buffer_fini(&body);
    return err == CAPSTAN_E_GONE ? CAPSTAN_E_UNAVAILABLE : err;
}

static const char *what_is_wrong(const subscribe_t *request)
{
    if (!is_group_name(request->group)) {
        return "group: at most 128 bytes of UTF-8, none of them zero";
    }
    if (!is_group_name(request->from_group)) {
        return "from_group: at most 128 bytes of UTF-8, none of them zero";
    }
    if (request->events_max > GROUP_MEMBER_EVENTS_MAX) {
        return "events_max: 1 to 65536";
    }
    if (request->key_events_max > GROUP_MEMBER_EVENTS_MAX) {
        return "key_events_max: 1 to 65536";
    }
    return NULL;
}

void topics_on_subscribe(topics_t *self, const capstan_message_t *message)
{
    subscribe_t request;
    capstan_err_t err = codec_decode(subscribe_wire(), message->body, &request, NULL);
    const char *wrong = err == CAPSTAN_OK ? what_is_wrong(&request) : NULL;
    if (err != CAPSTAN_OK || wrong) {
        capstan_reply_error(self->self, message, err ? err : CAPSTAN_E_INVALID, wrong);
        return;
    }
    const topic_t *topic = topics_ready(self, message, request.topic);
    if (!topic) {
        return;
    }
    buffer_t beginning = {0};
    wrong =
        beginning_of(&request, topic->settings.partitions, capstan_utc_us(self->self), &beginning);
    if (wrong) {
        capstan_reply_error(self->self, message, CAPSTAN_E_INVALID, wrong);
    } else if (request.group.size == 0) {
        look(self, topic, message, &request, buffer_slice(&beginning));
    } else {
        err = join(self, topic, message, &request, buffer_slice(&beginning));
    }
    if (err != CAPSTAN_OK) {
        capstan_reply_error(self->self, message, err, NULL);
    }
    buffer_fini(&beginning);
}

void topics_close_groups(topics_t *self, const topic_t *topic)
{
    for (size_t i = 0; i < self->group_count;) {
        if (self->groups[i].topic == topic) {
            (void)!capstan_tell(self->self, self->groups[i].actor, MESSAGE_group_close,
                                (slice_t){0});
            self->groups[i] = self->groups[--self->group_count];
        } else {
            i++;
        }
    }
}

bool topics_subscriber_down(topics_t *self, const down_t *down)
{
    for (size_t i = 0; i < self->look_count; i++) {
        if (capstan_ref_equal(self->looks[i].subscription, down->actor)) {
            self->looks[i] = self->looks[--self->look_count];
            return true;
        }
    }
    for (size_t i = 0; i < self->group_count; i++) {
        const topic_group_t *group = &self->groups[i];
        if (capstan_ref_equal(group->actor, down->actor)) {
            LOG(ordering, group_failed, log_string("topic", group->topic->name),
                log_string("group", group->name), log_error((capstan_err_t)down->reason));
            self->groups[i] = self->groups[--self->group_count];
            return true;
        }
    }
    return false;
}

void topics_subscribers_fini(topics_t *self)
{
    free(self->looks);
    free(self->groups);
}

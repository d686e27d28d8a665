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
                        .argument =
                            &(subscription_arguments_t){.number = ++self->subscription_last,
                                                        .subscribe = request,
                                                        .beginning = beginning,
                                                        .request = message,
                                                        .partitions = topic->refs,
                                                        .partition_count = topic->count,
                                                        .barriers = topic->barriers,
                                                        .barrier_count = topic->barrier_count}},
                    &ref);
    err = err ? err : capstan_monitor(self->self, ref);
    if (err != CAPSTAN_OK) {
        capstan_reply_error(self->self, message, err, NULL);
        return;
    }
    self->looks = realloc(self->looks, (self->look_count + 1) * sizeof *self->looks);
    ENSURE(self->looks);
    self->looks[self->look_count++] =
        (look_t){.topic = topic, .session = message->sender, .subscription = ref};
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

static capstan_err_t tell_barrier(topics_t *self, capstan_ref_t group, const barrier_t *barrier)
{
    buffer_t places = {0};
    buffer_t body = {0};
    codec_list_writer_t list = codec_list_begin(&places);
    for (uint64_t i = 0; i < barrier->count; i++) {
        codec_list_add(&list, position_wire(),
                       &(position_t){.partition = i, .offset = barrier->offsets[i]});
    }
    codec_list_end(&list);
    codec_encode(group_barrier_wire(), &(group_barrier_t){.places = buffer_slice(&places)}, &body);
    capstan_err_t err = capstan_tell(self->self, group, MESSAGE_group_barrier, buffer_slice(&body));
    buffer_fini(&places);
    buffer_fini(&body);
    return err;
}

static capstan_err_t open_group(topics_t *self, const topic_group_t *group)
{
    buffer_t refs = {0};
    buffer_t body = {0};
    codec_list_writer_t list = codec_list_begin(&refs);
    for (uint64_t i = 0; i < group->topic->count; i++) {
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
    for (size_t i = 0; i < group->topic->barrier_count && err == CAPSTAN_OK; i++) {
        err = tell_barrier(self, group->actor, &group->topic->barriers[i]);
    }
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
    uint64_t events_max = request->events_max ? request->events_max : EVENTS_MAX_USUAL;
    buffer_t body = {0};
    codec_encode(
        group_join_wire(),
        &(group_join_t){.session = message->sender,
                        .correlation = message->correlation,
                        .subscription = ++self->subscription_last,
                        .events_max = events_max,
                        .key_events_max = request->key_events_max ? request->key_events_max : 1,
                        .concurrency = request->concurrency ? request->concurrency : events_max,
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
    if (request->concurrency > GROUP_MEMBER_EVENTS_MAX) {
        return "concurrency: 1 to 65536";
    }
    return NULL;
}

/* Whether the list names the partitions of a time before a change, each of them. */
static bool names_all_before(const topic_t *topic, slice_t resume, uint64_t *ret_count)
{
    bool named[TOPIC_PARTITIONS_MAX] = {0};
    uint64_t count = 0;
    codec_list_t list;
    position_t position;
    if (codec_list_open(position_wire(), resume, &list) != CAPSTAN_OK) {
        return false;
    }
    while (codec_list_next(&list, &position)) {
        if (position.partition >= topic->count || named[position.partition]) {
            return false;
        }
        named[position.partition] = true;
        count++;
    }
    for (size_t i = 0; i < topic->barrier_count; i++) {
        if (topic->barriers[i].count == count && count < topic->count) {
            *ret_count = count;
            return memchr(named, false, count) == NULL;
        }
    }
    return false;
}

/* A look that goes on where it stood in all partitions that it knew has seen nothing of those that
 * have come since. */
static void add_new_partitions(const topic_t *topic, subscribe_t *request, buffer_t *out)
{
    uint64_t count;
    codec_list_t list;
    position_t position;
    if (request->group.size > 0 || !names_all_before(topic, request->resume, &count) ||
        codec_list_open(position_wire(), request->resume, &list) != CAPSTAN_OK) {
        return;
    }
    codec_list_writer_t writer = codec_list_begin(out);
    while (codec_list_next(&list, &position)) {
        codec_list_add(&writer, position_wire(), &position);
    }
    for (uint64_t i = count; i < topic->count; i++) {
        codec_list_add(&writer, position_wire(), &(position_t){.partition = i});
    }
    codec_list_end(&writer);
    request->resume = buffer_slice(out);
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
    buffer_t resume = {0};
    add_new_partitions(topic, &request, &resume);
    wrong = beginning_of(&request, topic->count, capstan_utc_us(self->self), &beginning);
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
    buffer_fini(&resume);
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

void topics_send_away(topics_t *self, const topic_t *topic, capstan_err_t err)
{
    buffer_t body = {0};
    codec_encode(group_close_wire(), &(group_close_t){.error = (uint64_t)err}, &body);
    send_options_t options = {
        .message = MESSAGE_group_close, .kind = CAPSTAN_KIND_EVENT, .always = true};
    for (size_t i = 0; i < self->group_count; i++) {
        if (self->groups[i].topic == topic) {
            (void)!actor_send(self->self, self->groups[i].actor, &options, buffer_slice(&body));
        }
    }
    for (size_t i = 0; i < self->look_count; i++) {
        if (self->looks[i].topic == topic) {
            (void)!actor_send(self->self, self->looks[i].subscription, &options,
                              buffer_slice(&body));
        }
    }
    buffer_fini(&body);
}

bool topics_has_subscribers(const topics_t *self, const topic_t *topic)
{
    size_t count = 0;
    for (size_t i = 0; i < self->group_count; i++) {
        count += self->groups[i].topic == topic;
    }
    for (size_t i = 0; i < self->look_count; i++) {
        count += self->looks[i].topic == topic;
    }
    return count > 0;
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
            if (!group->topic->move) {
                LOG(ordering, group_failed, log_string("topic", group->topic->name),
                    log_string("group", group->name), log_error((capstan_err_t)down->reason));
            }
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

/* A consumer group of a topic.
 *
 * Accepts   group_open, group_barrier, group_join, group_set, group_release and group_close (from
 *           topics), acknowledge, reject, unsubscribe, subscription_grant (from its members'
 * sessions), down (of a session). Replies   subscribed to the session that joins, done to
 * unsubscribe, group_defined, parked_released. Sends     deliver, acknowledged, acknowledge_refused
 * and subscription_ended to sessions; partition_find, partition_group, partition_parked,
 * partition_read and partition_mark to the partitions.
 *
 * Durable: where it began, what is completed and what is parked, in the partitions. A crash
 * delivers again what was not acknowledged, or whose acknowledgement was not on disk, in order; how
 * often an event was tried is forgotten.
 *
 *   partition 0 ... P-1: one read open each --> core --> deliver --> session --> peer
 *                             ^                  |                      |
 *                             +---- mark <-------+---- acknowledge <----+
 *
 * An acknowledgement releases the key's successor at once; it is on disk with the next mark, of
 * which one per partition is under way, and which follows the one before after some milliseconds,
 * so that what many members say costs few commits. What a partition cannot store is said again.
 * Without members the group stores what is left, and then rests: it holds no events and no state.
 * It does not while parked events wait to be delivered again. */
#include "actors/ordering/group_actor.h"

#include "actors/ordering/beginning.h"
#include "actors/ordering/ordering_events.h"
#include "actors/ordering/ordering_metrics.h"
#include "runtime/base/ensure.h"
#include "runtime/runtime.h"
#include "runtime/runtime_messages.h"
#include "runtime/telemetry/log.h"

#include <stdlib.h>
#include <string.h>

member_t *group_find_member(group_actor_t *self, uint64_t number)
{
    member_t *member = self->member_last;
    if (member && member->number == number) {
        return member;
    }
    for (member = self->members; member && member->number != number;) {
        member = member->next;
    }
    self->member_last = member;
    return member;
}

static void send_to(group_actor_t *self, capstan_ref_t session, const wire_record_t *message,
                    const void *value)
{
    buffer_t body = {0};
    codec_encode(message, value, &body);
    (void)!actor_send(
        self->self, session,
        &(send_options_t){.message = message->id, .kind = CAPSTAN_KIND_EVENT, .always = true},
        buffer_slice(&body));
    buffer_fini(&body);
}

/* --- ends ------------------------------------------------------------------------------------ */

static void remove_member(group_actor_t *self, member_t *member)
{
    member_t **link = &self->members;
    while (*link != member) {
        link = &(*link)->next;
    }
    *link = member->next;
    self->member_last = NULL;
    self->member_count--;
    LOG(ordering, subscription_ended, log_string("topic", self->topic),
        log_string("group", self->group), log_uint("subscription", member->number));
    for (size_t i = 0; i < self->count; i++) {
        buffer_fini(&member->parcels[i].events);
    }
    free(member);
}

static void leave(group_actor_t *self, member_t *member, bool lost)
{
    group_leave(self->core, capstan_now_us(self->self), member->number, lost, &self->effects);
    self->reason = slice_text("its member was lost");
    group_take_effects(self);
    remove_member(self, member);
}

void group_end(group_actor_t *self, capstan_err_t err)
{
    if (self->ended) {
        return; /* it is told once, however many asks failed in one handler */
    }
    self->ended = true;
    for (member_t *member = self->members; member; member = member->next) {
        send_to(self, member->session, subscription_ended_wire(),
                &(subscription_ended_t){.subscription = member->number, .error = (uint64_t)err});
    }
    for (joining_t *joining = self->joining; joining; joining = joining->next) {
        capstan_reply_error(self->self, &joining->request, err, NULL);
    }
    while (self->releases) {
        group_release_end(self, err);
    }
    while (self->set) {
        group_set_end(self, err);
    }
    capstan_actor_exit(self->self, CAPSTAN_OK);
}

/* Nobody is left, and everything is stored. */
void group_rest(group_actor_t *self)
{
    for (size_t i = 0; i < self->count; i++) {
        source_t *source = &self->sources[i];
        capstan_cancel(self->self, source->read_ask);
        capstan_cancel(self->self, source->place_ask);
        source->read_ask = source->place_ask = 0;
        source->placed = false;
    }
    group_destroy(&self->core);
    self->awake = false;
}

/* --- beginning ------------------------------------------------------------------------------- */

static void on_open(group_actor_t *self, const capstan_message_t *message)
{
    group_open_t open;
    codec_list_t list;
    partition_ref_t partition;
    if (self->count > 0 || codec_decode(group_open_wire(), message->body, &open, NULL) ||
        codec_list_open(partition_ref_wire(), open.partitions, &list) || list.left == 0) {
        return;
    }
    ENSURE(open.topic.size < sizeof self->topic && open.group.size < sizeof self->group);
    memcpy(self->topic, open.topic.data, open.topic.size);
    memcpy(self->group, open.group.data, open.group.size);
    self->sources = calloc(list.left, sizeof *self->sources);
    ENSURE(self->sources);
    while (codec_list_next(&list, &partition)) {
        self->sources[self->count++].partition = partition.actor;
    }
}

static void on_barrier(group_actor_t *self, const capstan_message_t *message)
{
    group_barrier_t barrier;
    codec_list_t list;
    position_t place;
    if (codec_decode(group_barrier_wire(), message->body, &barrier, NULL) ||
        codec_list_open(position_wire(), barrier.places, &list)) {
        return;
    }
    size_t size = (self->barrier_count + 1) * self->count * sizeof *self->barriers;
    self->barriers = realloc(self->barriers, size);
    ENSURE(self->barriers);
    uint64_t *offsets = self->barriers + self->barrier_count++ * self->count;
    memset(offsets, 0, self->count * sizeof *offsets);
    while (codec_list_next(&list, &place)) {
        ENSURE(place.partition < self->count);
        offsets[place.partition] = place.offset;
    }
}

/* Members' acknowledgements that come too late are refused, and their events come again. */
static void on_close(group_actor_t *self, const capstan_message_t *message)
{
    group_close_t close = {0};
    if (message->body.size > 0 &&
        codec_decode(group_close_wire(), message->body, &close, NULL) != CAPSTAN_OK) {
        return;
    }
    self->closing = (capstan_err_t)close.error;
    if (close.error == 0) {
        group_end(self, CAPSTAN_E_UNKNOWN_TOPIC);
    }
}

/* --- joining --------------------------------------------------------------------------------- */

static capstan_err_t add_member(group_actor_t *self, const joining_t *joining)
{
    capstan_err_t err = self->member_count < GROUP_MEMBERS_MAX ? CAPSTAN_OK : CAPSTAN_E_LIMIT;
    err = err ? err : capstan_monitor(self->self, joining->request.sender);
    if (err != CAPSTAN_OK) {
        return err;
    }
    member_t *member = calloc(1, sizeof *member + self->count * sizeof member->parcels[0]);
    ENSURE(member);
    member->number = joining->number;
    member->session = joining->request.sender;
    member->open = true;
    member->next = self->members;
    self->members = member;
    self->member_count++;
    group_join(self->core, member->number, &joining->limits);
    return CAPSTAN_OK;
}

static void admit(group_actor_t *self, const joining_t *joining)
{
    slice_t beginning = buffer_slice(&joining->beginning);
    bool differs =
        beginning_binds(beginning) && !slice_equal(beginning, buffer_slice(&self->beginning));
    capstan_err_t err = differs ? CAPSTAN_E_START_DIFFERS : add_member(self, joining);
    if (err != CAPSTAN_OK) {
        capstan_reply_error(self->self, &joining->request, err,
                            err == CAPSTAN_E_LIMIT ? "a group has at most 1024 members" : NULL);
        return;
    }
    buffer_t policy = {0};
    buffer_t body = {0};
    group_policy_t in_force = group_policy_in_force(self);
    codec_encode(group_policy_wire(), &in_force, &policy);
    codec_encode(subscribed_wire(),
                 &(subscribed_t){.subscription = joining->number,
                                 .partitions = self->count,
                                 .policy = buffer_slice(&policy)},
                 &body);
    capstan_reply(self->self, &joining->request, MESSAGE_subscribed, buffer_slice(&body));
    buffer_fini(&policy);
    buffer_fini(&body);
    LOG(ordering, subscription_opened, log_string("topic", self->topic),
        log_string("group", self->group), log_uint("subscription", joining->number));
}

static void wake(group_actor_t *self)
{
    if (!self->awake) {
        self->awake = true;
        group_ask_places(self);
    }
}

/* It is awake for another reason, and nobody has joined: it may still be new. */
static void begin_anew(group_actor_t *self)
{
    if (!self->set && !self->releases && group_is_stored(self) &&
        group_figures(self->core).replayed == 0) {
        group_rest(self);
        wake(self);
    }
}

static void admit_all(group_actor_t *self)
{
    bool setting = self->set && self->set->storing;
    while (self->joining && !setting && !self->ended && group_is_placed(self)) {
        if (group_must_begin(self) && !self->members) {
            begin_anew(self);
            return;
        }
        joining_t *joining = self->joining;
        self->joining = joining->next;
        admit(self, joining);
        buffer_fini(&joining->beginning);
        free(joining);
    }
}

static void on_join(group_actor_t *self, const capstan_message_t *message)
{
    group_join_t join;
    if (codec_decode(group_join_wire(), message->body, &join, NULL) != CAPSTAN_OK) {
        return;
    }
    joining_t *joining = calloc(1, sizeof *joining);
    ENSURE(joining);
    *joining = (joining_t){
        .request = {.kind = CAPSTAN_KIND_REQUEST,
                    .sender = join.session,
                    .correlation = join.correlation},
        .number = join.subscription,
        .limits = {.events_max = join.events_max,
                   .key_events_max = join.key_events_max,
                   .concurrency = join.concurrency}};
    buffer_append(&joining->beginning, join.beginning.data, join.beginning.size);
    joining_t **link = &self->joining;
    while (*link) {
        link = &(*link)->next;
    }
    *link = joining;
}

/* --- what members say ------------------------------------------------------------------------ */

static void refuse(group_actor_t *self, const capstan_message_t *message, uint64_t subscription,
                   const position_t *position, capstan_err_t err)
{
    METRIC_ADD(ordering, acknowledgements_refused, 1);
    send_to(self, message->sender, acknowledge_refused_wire(),
            &(acknowledge_refused_t){.subscription = subscription,
                                     .partition = position->partition,
                                     .offset = position->offset,
                                     .error = (uint64_t)err});
}

/* FENCED: the number is not the sender's. */
static capstan_err_t check_member(group_actor_t *self, const capstan_message_t *message,
                                  uint64_t number, uint64_t partition)
{
    const member_t *member = group_find_member(self, number);
    if (!member || !capstan_ref_equal(member->session, message->sender)) {
        return CAPSTAN_E_FENCED;
    }
    return partition < self->count ? CAPSTAN_OK : CAPSTAN_E_NOT_HELD;
}

static void acknowledge(group_actor_t *self, const capstan_message_t *message, uint64_t number,
                        const position_t *position)
{
    uint64_t count = 0;
    capstan_err_t err = check_member(self, message, number, position->partition);
    err = err ? err
              : group_acknowledge(self->core, number, (uint32_t)position->partition,
                                  position->first, position->offset, &count, &self->effects);
    if (err != CAPSTAN_OK) {
        refuse(self, message, number, position, err);
        return;
    }
    METRIC_ADD(ordering, events_acknowledged, count);
    self->acknowledged += count;
    outbox_add(&self->sources[position->partition].owed,
               &(owed_t){.member = number, .events = count}, sizeof(owed_t));
}

static void on_acknowledge(group_actor_t *self, const capstan_message_t *message)
{
    acknowledge_t request;
    codec_list_t list;
    position_t position;
    if (codec_decode(acknowledge_wire(), message->body, &request, NULL) != CAPSTAN_OK ||
        codec_list_open(position_wire(), request.through, &list) != CAPSTAN_OK) {
        return;
    }
    while (codec_list_next(&list, &position)) {
        acknowledge(self, message, request.subscription, &position);
    }
    group_take_effects(self);
}

static void on_reject(group_actor_t *self, const capstan_message_t *message)
{
    enum { REASON_MAX = 256, DELAY_MS_MAX = 86400000 };
    reject_t request;
    if (codec_decode(reject_wire(), message->body, &request, NULL) != CAPSTAN_OK) {
        return;
    }
    uint64_t delay_ms = request.delay_ms < DELAY_MS_MAX ? request.delay_ms : DELAY_MS_MAX;
    group_rejection_t rejection = {.member = request.subscription,
                                   .partition = (uint32_t)request.partition,
                                   .offset = request.offset,
                                   .final = request.final,
                                   .delay_us = (int64_t)delay_ms * 1000};
    self->reason = request.reason.size <= REASON_MAX ? request.reason : (slice_t){0};
    capstan_err_t err = check_member(self, message, request.subscription, request.partition);
    err = err ? err
              : group_reject(self->core, capstan_now_us(self->self), &rejection, &self->effects);
    if (err != CAPSTAN_OK) {
        refuse(self, message, request.subscription,
               &(position_t){.partition = request.partition, .offset = request.offset}, err);
        return;
    }
    METRIC_ADD(ordering, events_refused_by_members, 1);
    group_take_effects(self);
}

static void on_grant(group_actor_t *self, const capstan_message_t *message)
{
    subscription_grant_t grant;
    member_t *member = NULL;
    if (codec_decode(subscription_grant_wire(), message->body, &grant, NULL) == CAPSTAN_OK) {
        member = group_find_member(self, grant.subscription);
    }
    if (member && capstan_ref_equal(member->session, message->sender) &&
        grant.bytes > member->granted_bytes && grant.bytes <= member->sent_bytes) {
        member->granted_bytes = grant.bytes;
    }
}

static void on_unsubscribe(group_actor_t *self, const capstan_message_t *message)
{
    unsubscribe_t request;
    capstan_err_t err = codec_decode(unsubscribe_wire(), message->body, &request, NULL);
    err = err ? err : check_member(self, message, request.subscription, 0);
    if (err != CAPSTAN_OK) {
        capstan_reply_error(self->self, message, err, NULL);
        return;
    }
    leave(self, group_find_member(self, request.subscription), false);
    capstan_reply(self->self, message, MESSAGE_done, slice_of("\x80", 1));
}

static void on_down(group_actor_t *self, const capstan_message_t *message)
{
    down_t down;
    if (codec_decode(down_wire(), message->body, &down, NULL) != CAPSTAN_OK) {
        return;
    }
    for (member_t *member = self->members, *next; member; member = next) {
        next = member->next;
        if (capstan_ref_equal(member->session, down.actor)) {
            leave(self, member, true);
        }
    }
}

static void on_status(group_actor_t *self, const capstan_message_t *message)
{
    group_figures_t figures = self->core ? group_figures(self->core) : (group_figures_t){0};
    buffer_t body = {0};
    codec_encode(group_report_wire(),
                 &(group_report_t){.members = self->member_count,
                                   .unfinished = figures.unfinished,
                                   .held = figures.held,
                                   .retrying = figures.retrying,
                                   .acknowledged = self->acknowledged},
                 &body);
    capstan_reply(self->self, message, MESSAGE_group_report, buffer_slice(&body));
    buffer_fini(&body);
}

/* --- the actor ------------------------------------------------------------------------------- */

static capstan_err_t receive(capstan_actor_t *actor, const capstan_message_t *message)
{
    group_actor_t *self = capstan_actor_state(actor);
    if (self->ended) {
        return CAPSTAN_OK;
    }
    if (self->count == 0) {
        on_open(self, message);
        return CAPSTAN_OK;
    }
    if (message->kind == CAPSTAN_KIND_REPLY || message->kind == CAPSTAN_KIND_ERROR) {
        if (!group_begin_answer(self, message) && !group_release_answer(self, message)) {
            group_on_answer(self, message);
        }
        return CAPSTAN_OK;
    }
    switch (message->message) {
    case MESSAGE_acknowledge:
        on_acknowledge(self, message);
        break;
    case MESSAGE_reject:
        on_reject(self, message);
        break;
    case MESSAGE_subscription_grant:
        on_grant(self, message);
        break;
    case MESSAGE_group_join:
        on_join(self, message);
        break;
    case MESSAGE_unsubscribe:
        on_unsubscribe(self, message);
        break;
    case MESSAGE_group_set:
        group_on_set(self, message);
        break;
    case MESSAGE_group_release:
        group_on_release(self, message);
        break;
    case MESSAGE_group_barrier:
        on_barrier(self, message);
        break;
    case MESSAGE_group_close:
        on_close(self, message);
        break;
    case MESSAGE_group_status:
        on_status(self, message);
        break;
    case MESSAGE_down:
        on_down(self, message);
        break;
    default:
        capstan_reply_error(actor, message, CAPSTAN_E_UNKNOWN_MESSAGE, NULL);
    }
    return CAPSTAN_OK;
}

static void arm(group_actor_t *self)
{
    int64_t due_us = group_due_us(self->core);
    if (due_us == self->due_us) {
        return;
    }
    capstan_timer_cancel(self->self, self->due_timer);
    self->due_us = due_us;
    if (due_us < INT64_MAX) {
        int64_t after_us = due_us - capstan_now_us(self->self);
        self->due_timer =
            capstan_timer_start(self->self, after_us > 0 ? after_us : 0, &self->due_us);
    }
}

/* Nothing more is delivered: what is acknowledged is stored, and then it ends. */
static void close_on(group_actor_t *self)
{
    if (self->core) {
        group_confirm(self);
        group_send_marks(self);
    }
    if (!self->core || self->retrying || group_is_stored(self)) {
        group_end(self, self->closing);
    }
}

static void turn_end(capstan_actor_t *actor)
{
    group_actor_t *self = capstan_actor_state(actor);
    if (self->closing && !self->ended) {
        close_on(self);
        return;
    }
    if (self->set || self->joining || self->releases) {
        wake(self);
    }
    group_set_on(self);
    admit_all(self);
    if (!self->core || self->ended) {
        return;
    }
    group_release_on(self);
    group_dispatch(self->core, capstan_now_us(actor), &self->effects);
    group_take_effects(self);
    group_send_parcels(self);
    group_confirm(self);
    group_send_marks(self);
    if (!self->ended && self->members) {
        group_open_reads(self);
    } else if (!self->ended && !self->joining && !self->releases && !self->set &&
               group_is_stored(self) && group_figures(self->core).replayed == 0) {
        group_rest(self);
    }
    if (self->stopping && (!self->core || group_is_stored(self))) {
        capstan_actor_exit(actor, CAPSTAN_OK);
    } else if (self->core) {
        arm(self);
    }
}

/* The end of a turn follows, in which what is due is delivered and stored. */
static void timer(capstan_actor_t *actor, uint64_t number, void *cookie)
{
    (void)number;
    group_actor_t *self = capstan_actor_state(actor);
    if (cookie == &self->retrying) {
        self->retrying = false;
    } else if (cookie == &self->pacing) {
        self->pacing = false;
    } else {
        self->due_us = INT64_MAX;
    }
}

/* What members acknowledged is stored first. */
static void stop(capstan_actor_t *actor)
{
    group_actor_t *self = capstan_actor_state(actor);
    self->stopping = true;
    if (!self->core || group_is_stored(self)) {
        capstan_actor_exit(actor, CAPSTAN_OK);
    }
}

static capstan_err_t init(capstan_actor_t *actor, void *argument)
{
    const ordering_settings_t *settings = argument;
    group_actor_t *self = calloc(1, sizeof *self);
    ENSURE(self);
    capstan_actor_set_state(actor, self);
    self->self = actor;
    self->due_us = INT64_MAX;
    self->settings = settings;
    return CAPSTAN_OK;
}

static void destroy(capstan_actor_t *actor)
{
    group_actor_t *self = capstan_actor_state(actor);
    if (!self) {
        return;
    }
    while (self->members) {
        remove_member(self, self->members);
    }
    while (self->releases) {
        group_release_end(self, CAPSTAN_E_GONE);
    }
    while (self->set) {
        group_set_end(self, CAPSTAN_E_GONE);
    }
    while (self->joining) {
        joining_t *joining = self->joining;
        self->joining = joining->next;
        buffer_fini(&joining->beginning);
        free(joining);
    }
    buffer_fini(&self->beginning);
    free(self->barriers);
    for (size_t i = 0; i < self->count; i++) {
        buffer_fini(&self->sources[i].parked.bytes);
        buffer_fini(&self->sources[i].unparked.bytes);
        buffer_fini(&self->sources[i].owed.bytes);
    }
    free(self->sources);
    group_effects_fini(&self->effects);
    group_destroy(&self->core);
    free(self);
}

const capstan_behaviour_t group_behaviour = {
    .name = "group",
    .init = init,
    .receive = receive,
    .timer = timer,
    .turn_end = turn_end,
    .stop = stop,
    .destroy = destroy,
};

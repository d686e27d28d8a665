/* The shell around a group's core, as the group actor is one: it asks the partition where it
 * stands, reads on, delivers, and stores what is completed. A member that is silent while it holds
 * events is lost, as one is whose connection ends. */
#include "tests/simulation/ordering_predicates.h"

enum {
    TICK_US = 700,
    ANSWER_US = 15000,  /* without an answer, a question is asked again */
    SILENCE_US = 60000, /* of a member that holds something */
    READ_BYTES = 4096,
    MARK_BYTES = 2000,     /* of parked events */
    OPERATE_PER_MILLE = 4, /* of ticks */
    TIMER_TICK = 1,
};

static void send(sim_group_t *self, capstan_ref_t to, const wire_record_t *message,
                 const void *value, uint64_t correlation)
{
    buffer_t body = {0};
    codec_encode(message, value, &body);
    core_send_t options = {.from = self->slot,
                           .target = to,
                           .message = message->id,
                           .correlation = correlation,
                           .ordered = true};
    /* The partition may be behind: then the question is asked again. */
    (void)!core_world_send(self->world->simulation, &options, buffer_slice(&body));
    buffer_fini(&body);
}

static uint64_t ask(sim_group_t *self, const wire_record_t *message, const void *value)
{
    capstan_ref_t shell = core_world_ref(self->world->simulation, self->world->shell.slot);
    self->asked_us = core_world_now(self->world->simulation);
    send(self, shell, message, value, ++self->question);
    return self->question;
}

static fact_t *note(sim_group_t *self, fact_kind_t kind, uint64_t member, uint64_t offset)
{
    fact_t *fact = world_record(self->world, kind);
    fact->who = self->group;
    fact->epoch = member;
    fact->offset = offset;
    return fact;
}

static sim_member_t *find_member(sim_group_t *self, uint64_t number)
{
    for (size_t i = 0; i < self->member_count; i++) {
        if (self->members[i].number == number) {
            return &self->members[i];
        }
    }
    return NULL;
}

/* ---- effects ---- */

static void deliver(sim_group_t *self, const group_effect_t *effect)
{
    sim_member_t *member = find_member(self, effect->member);
    ENSURE(member);
    event_t event;
    if (effect->offset > self->barrier && self->stored.frontier < self->barrier) {
        world_fail(self->world, "O1",
                   "group %u, offset %llu: behind the barrier %llu, up to which "
                   "only %llu is completed and stored",
                   self->group, (unsigned long long)effect->offset,
                   (unsigned long long)self->barrier, (unsigned long long)self->stored.frontier);
    }
    ENSURE(codec_decode(event_wire(), effect->event, &event, NULL) == CAPSTAN_OK);
    fact_t *fact = note(self, FACT_GIVE, effect->member, effect->offset);
    fact->key = world_index(event.key);
    fact->producer = world_index(event.producer);
    fact->sequence = event.sequence;
    buffer_t events = {0};
    codec_list_writer_t list = codec_list_begin(&events);
    codec_list_add_raw(&list, effect->event);
    codec_list_end(&list);
    send(self, member->ref, deliver_wire(),
         &(deliver_t){.subscription = member->number,
                      .events = buffer_slice(&events),
                      .attempts = effect->attempts},
         0);
    buffer_fini(&events);
    member->held++;
}

static void park(sim_group_t *self, const group_effect_t *effect)
{
    buffer_t record = {0};
    codec_encode(parked_wire(),
                 &(parked_t){.event = slice_of(self->effects.bytes.data + effect->event_at,
                                               effect->event_size),
                             .attempts = effect->attempts,
                             .since_us = world_utc(self->world),
                             .waits = effect->waits,
                             .behind = effect->behind},
                 &record);
    buffer_append(&self->parked, &record.size, sizeof record.size);
    buffer_append(&self->parked, record.data, record.size);
    buffer_fini(&record);
    note(self, FACT_PARK, 0, effect->offset);
}

static void take_effects(sim_group_t *self)
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
            buffer_append(&self->unparked, &effect->offset, sizeof effect->offset);
            break;
        }
    }
    group_effects_clear(&self->effects);
    const char *fault = group_check(self->core);
    if (fault) {
        static const char *const names[] = {"O1", "O2", "O9"};
        for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
            if (strncmp(fault, names[i], 2) == 0) {
                world_fail(self->world, names[i], "%s", fault);
            }
        }
    }
}

/* ---- storing ---- */

static size_t encode_parked(const sim_group_t *self, buffer_t *out)
{
    codec_list_writer_t list = codec_list_begin(out);
    size_t size;
    size_t at = 0;
    while (at < self->parked.size && at < MARK_BYTES) {
        memcpy(&size, self->parked.data + at, sizeof size);
        codec_list_add_raw(&list, slice_of(self->parked.data + at + sizeof size, size));
        at += sizeof size + size;
    }
    codec_list_end(&list);
    return at;
}

static void encode_unparked(const sim_group_t *self, buffer_t *out)
{
    codec_list_writer_t list = codec_list_begin(out);
    for (size_t at = 0; at < self->unparked.size; at += sizeof(uint64_t)) {
        uint64_t offset;
        memcpy(&offset, self->unparked.data + at, sizeof offset);
        codec_list_add(&list, position_wire(), &(position_t){.first = offset, .offset = offset});
    }
    codec_list_end(&list);
}

static void send_mark(sim_group_t *self)
{
    const completed_t nothing = {0};
    const completed_t *done = &nothing;
    uint64_t lsn = 0;
    buffer_t lists[3] = {{0}};
    self->parked_sent = encode_parked(self, &lists[1]);
    bool all = self->parked_sent == self->parked.size;
    bool completed = group_take_mark(self->core, 0, all, &done, &lsn);
    if (completed || self->parked_sent > 0 || self->unparked.size > 0) {
        completed_encode(done, 0, &lists[0]);
        encode_unparked(self, &lists[2]);
        self->unparked_sent = self->unparked.size;
        buffer_clear(&self->mark);
        codec_encode(group_mark_wire(),
                     &(group_mark_t){.group = world_key_name(self->group),
                                     .lsn = lsn,
                                     .done = buffer_slice(&lists[0]),
                                     .parked = buffer_slice(&lists[1]),
                                     .unparked = buffer_slice(&lists[2])},
                     &self->mark);
        self->mark_ask = ask(self, partition_mark_wire(),
                             &(partition_mark_t){.mark = buffer_slice(&self->mark)});
    }
    for (size_t i = 0; i < 3; i++) {
        buffer_fini(&lists[i]);
    }
}

static void cut_front(buffer_t *buffer, size_t size)
{
    if (size > 0) {
        memmove(buffer->data, buffer->data + size, buffer->size - size);
        buffer->size -= size;
    }
}

static uint64_t offset_of_parked(slice_t record)
{
    parked_t parked;
    event_t event;
    ENSURE(codec_decode(parked_wire(), record, &parked, NULL) == CAPSTAN_OK);
    ENSURE(codec_decode(event_wire(), parked.event, &event, NULL) == CAPSTAN_OK);
    return event.offset;
}

static void forget_mark(sim_group_t *self)
{
    size_t size;
    group_forget_mark(self->core, 0);
    for (size_t at = 0; at < self->parked.size; at += sizeof size + size) {
        memcpy(&size, self->parked.data + at, sizeof size);
        group_wait_for_record(
            self->core, 0, offset_of_parked(slice_of(self->parked.data + at + sizeof size, size)));
    }
}

static void on_marked(sim_group_t *self)
{
    group_mark_t mark;
    codec_list_t list;
    position_t position;
    ENSURE(codec_decode(group_mark_wire(), buffer_slice(&self->mark), &mark, NULL) == CAPSTAN_OK);
    ENSURE(codec_list_open(position_wire(), mark.done, &list) == CAPSTAN_OK);
    while (codec_list_next(&list, &position)) {
        note(self, FACT_STORE, 0, position.offset)->sequence = position.first;
        completed_add(&self->stored, position.first, position.offset);
    }
    ENSURE(codec_list_open(parked_wire(), mark.parked, &list) == CAPSTAN_OK);
    for (slice_t record; codec_list_next_raw(&list, &record);) {
        uint64_t offset = offset_of_parked(record);
        note(self, FACT_STORE, 0, offset)->sequence = offset;
        completed_add(&self->stored, offset, offset);
    }
    group_mark_stored(self->core, 0);
    cut_front(&self->parked, self->parked_sent);
    cut_front(&self->unparked, self->unparked_sent);
    self->parked_sent = self->unparked_sent = 0;
}

/* ---- where it stands ---- */

/* Behind any offset, or by a time. The partition stores it before anybody is admitted. */
static void begin(sim_group_t *self)
{
    static const char record[] = "somewhere";
    random_source_t *random = core_world_random(self->world->simulation);
    const sim_shell_t *shell = &self->world->shell;
    uint64_t offset = index_find(shell, INT64_MAX); /* the last one */
    offset = random_below(random, offset + 1);
    if (random_chance(random, 500)) {
        int64_t now_us = core_world_now(self->world->simulation);
        offset = index_find(shell, world_utc_base + random_between(random, 0, now_us));
    }
    buffer_t places = {0};
    codec_list_writer_t list = codec_list_begin(&places);
    codec_list_add(&list, position_wire(), &(position_t){.offset = offset});
    codec_list_end(&list);
    buffer_clear(&self->mark);
    codec_encode(group_mark_wire(),
                 &(group_mark_t){.group = world_key_name(self->group),
                                 .beginning = slice_text(record),
                                 .places = buffer_slice(&places)},
                 &self->mark);
    self->begin_ask =
        ask(self, partition_mark_wire(), &(partition_mark_t){.mark = buffer_slice(&self->mark)});
    buffer_fini(&places);
}

/* What lies before where it began is completed, whether the partition has been told so or not. */
static bool add_begun(sim_group_t *self, const group_stored_t *stored, completed_t *completed)
{
    codec_list_t list;
    position_t position;
    ENSURE(codec_list_open(position_wire(), stored->places, &list) == CAPSTAN_OK);
    if (!codec_list_next(&list, &position)) {
        return false;
    }
    note(self, FACT_BEGIN, 0, position.offset);
    if (position.offset == 0 || completed_has(completed, position.offset)) {
        return false;
    }
    completed_add(completed, 1, position.offset);
    return true;
}

static void on_stored(sim_group_t *self, slice_t body)
{
    group_stored_t stored;
    codec_list_t list;
    waiting_key_t waiting;
    completed_t completed = {0};
    ENSURE(codec_decode(group_stored_wire(), body, &stored, NULL) == CAPSTAN_OK);
    if (self->begins_at > 0 && stored.beginning.size == 0) {
        begin(self);
        return;
    }
    ENSURE(completed_decode(&completed, stored.done) == CAPSTAN_OK);
    bool untold = add_begun(self, &stored, &completed);
    self->core = group_new(&self->limits);
    group_add_barrier(self->core, &self->barrier);
    completed_clear(&self->stored);
    completed_add_all(&self->stored, &completed);
    group_place(self->core, 0, &completed, stored.lsn);
    if (untold) {
        group_forget_mark(self->core, 0);
    }
    group_place_parked(self->core, 0, stored.parked, stored.parked_bytes);
    ENSURE(codec_list_open(waiting_key_wire(), stored.waiting, &list) == CAPSTAN_OK);
    while (codec_list_next(&list, &waiting)) {
        group_place_waiting(self->core, 0, waiting.key);
    }
    note(self, FACT_PLACE, 0, 0);
    if (completed.frontier > 0) {
        note(self, FACT_PLACED, 0, completed.frontier)->sequence = 1;
    }
    for (size_t i = 0; i < completed.count; i++) {
        const offset_range_t *range = completed_range(&completed, i);
        note(self, FACT_PLACED, 0, range->last)->sequence = range->first;
    }
    completed_fini(&completed);
}

static void on_events(sim_group_t *self, slice_t body)
{
    partition_events_t events;
    ENSURE(codec_decode(partition_events_wire(), body, &events, NULL) == CAPSTAN_OK);
    capstan_err_t err = group_read(self->core,
                                   &(group_stretch_t){.events = events.deliver,
                                                      .sizes = events.sizes,
                                                      .lsn_next = events.lsn_next},
                                   &self->effects);
    if (err != CAPSTAN_OK) {
        world_fail(self->world, "O3", "group %u reads a hole", self->group);
    }
}

/* ---- members ---- */

static void leave(sim_group_t *self, sim_member_t *member)
{
    note(self, FACT_LEAVE, member->number, 0);
    group_leave(self->core, core_world_now(self->world->simulation), member->number, true,
                &self->effects);
    *member = self->members[--self->member_count];
}

static void on_subscribe(sim_group_t *self, const capstan_message_t *message)
{
    random_source_t *random = core_world_random(self->world->simulation);
    for (size_t i = 0; i < self->member_count; i++) {
        if (self->members[i].consumer == message->sender.slot) {
            leave(self, &self->members[i]);
            break;
        }
    }
    member_limits_t limits = {.events_max = (uint64_t)random_between(random, 1, 12),
                              .key_events_max = (uint64_t)random_between(random, 1, 4),
                              .concurrency = (uint64_t)random_between(random, 1, 12)};
    ENSURE(self->member_count < WORLD_MEMBERS);
    sim_member_t *member = &self->members[self->member_count++];
    *member = (sim_member_t){.number = ++self->world->subscription_last,
                             .consumer = message->sender.slot,
                             .ref = message->sender,
                             .heard_us = core_world_now(self->world->simulation)};
    group_join(self->core, member->number, &limits);
    send(self, message->sender, subscribed_wire(),
         &(subscribed_t){.subscription = member->number, .partitions = 1}, message->correlation);
}

/* Of what it holds in the stretch, which the core is about to complete. */
static void note_done(sim_group_t *self, uint64_t number, const position_t *position)
{
    const group_member_t *member = group_member_find(self->core, number);
    for (const group_event_t *event = member->partitions[0].first;
         event && event->offset <= position->offset; event = event->held_behind) {
        if (event->offset >= position->first) {
            note(self, FACT_DONE, number, event->offset);
        }
    }
}

/* The core judges, and a second opinion sees whether it is right to take it. */
static void on_acknowledge(sim_group_t *self, const capstan_message_t *message)
{
    acknowledge_t request;
    codec_list_t list;
    position_t position;
    ENSURE(codec_decode(acknowledge_wire(), message->body, &request, NULL) == CAPSTAN_OK);
    ENSURE(codec_list_open(position_wire(), request.through, &list) == CAPSTAN_OK);
    sim_member_t *member = find_member(self, request.subscription);
    while (codec_list_next(&list, &position)) {
        uint64_t count;
        size_t before = self->world->history.count;
        if (group_member_find(self->core, request.subscription)) {
            note_done(self, request.subscription, &position);
        }
        capstan_err_t err = group_acknowledge(self->core, request.subscription, 0, position.first,
                                              position.offset, &count, &self->effects);
        if (err != CAPSTAN_OK) {
            self->world->history.count = before;
        } else if (!member) {
            note(self, FACT_DONE, request.subscription, position.offset);
        } else {
            member->held -= count < member->held ? count : member->held;
        }
    }
}

static void on_reject(sim_group_t *self, const capstan_message_t *message)
{
    reject_t request;
    ENSURE(codec_decode(reject_wire(), message->body, &request, NULL) == CAPSTAN_OK);
    fact_t *fact = note(self, FACT_REJECT, request.subscription, request.offset);
    capstan_err_t err =
        group_reject(self->core, core_world_now(self->world->simulation),
                     &(group_rejection_t){.member = request.subscription, .offset = request.offset},
                     &self->effects);
    if (err != CAPSTAN_OK) {
        fact->offset = 0; /* nothing happened */
    }
}

static slice_t parked_record(const parked_event_t *event)
{
    parked_t parked;
    ENSURE(codec_decode(parked_wire(), slice_of(event->data, event->size), &parked, NULL) ==
           CAPSTAN_OK);
    return parked.event;
}

static void replay(sim_group_t *self, const stored_group_t *stored)
{
    for (size_t i = 0; i < stored->parked_count; i++) {
        const parked_event_t *event = stored->parked[i];
        if (!event->gone &&
            group_replay(self->core, 0, parked_record(event), &self->effects) == CAPSTAN_OK) {
            note(self, FACT_REPLAY, 0, event->offset);
        }
    }
}

static void discard(sim_group_t *self, const stored_group_t *stored)
{
    for (size_t i = 0; i < stored->parked_count; i++) {
        const parked_event_t *event = stored->parked[i];
        if (!event->gone && group_discard(self->core, 0, parked_record(event)) == CAPSTAN_OK) {
            note(self, FACT_DISCARD, 0, event->offset);
            buffer_append(&self->unparked, &event->offset, sizeof event->offset);
        }
    }
}

/* Somebody looks after what is parked: now and then, and when it holds up everything else. */
static void operate(sim_group_t *self)
{
    random_source_t *random = core_world_random(self->world->simulation);
    const stored_group_t *stored =
        partition_groups_find(&self->world->shell.groups, world_key_name(self->group));
    bool stuck = self->core->parking_stuck;
    if (!stored || (self->replays == 0 && !stuck) || self->parked.size > 0 ||
        self->unparked.size > 0 || self->mark_ask > 0 || self->world->shell.broken) {
        return;
    }
    self->replays -= self->replays > 0;
    if (stuck || random_chance(random, 300)) {
        discard(self, stored);
    } else {
        replay(self, stored);
    }
}

/* ---- the actor ---- */

static void receive(void *context, const capstan_message_t *message)
{
    sim_group_t *self = context;
    uint64_t answered = message->correlation;
    if (message->message == MESSAGE_group_stored && answered == self->place_ask) {
        self->place_ask = 0;
        on_stored(self, message->body);
    }
    if (message->message == MESSAGE_done && answered == self->begin_ask) {
        self->begin_ask = 0; /* it asks where it stands */
    }
    if (!self->core) {
        return; /* it answers nobody before it knows where it stands */
    }
    for (size_t i = 0; i < self->member_count; i++) {
        if (capstan_ref_equal(self->members[i].ref, message->sender)) {
            self->members[i].heard_us = core_world_now(self->world->simulation);
        }
    }
    if (message->message == MESSAGE_done && answered == self->mark_ask) {
        self->mark_ask = 0;
        on_marked(self);
    } else if (message->message == MESSAGE_partition_events && answered == self->read_ask) {
        self->read_ask = 0;
        on_events(self, message->body);
    } else if (message->message == MESSAGE_subscribe) {
        on_subscribe(self, message);
    } else if (message->message == MESSAGE_acknowledge) {
        on_acknowledge(self, message);
    } else if (message->message == MESSAGE_reject) {
        on_reject(self, message);
    }
    take_effects(self);
}

static void lose_silent_members(sim_group_t *self, int64_t now_us)
{
    for (size_t i = self->member_count; i > 0; i--) {
        if (now_us - self->members[i - 1].heard_us > SILENCE_US) {
            leave(self, &self->members[i - 1]);
        }
    }
}

static void ask_on(sim_group_t *self, int64_t now_us)
{
    if (!self->core && self->world->disk.count < self->begins_at) {
        return;
    }
    if (self->begin_ask > 0 && now_us - self->asked_us <= ANSWER_US) {
        return;
    }
    if (!self->core) {
        self->begin_ask = 0;
        if (self->place_ask == 0 || now_us - self->asked_us > ANSWER_US) {
            self->place_ask = ask(self, partition_group_wire(),
                                  &(partition_group_t){.group = world_key_name(self->group)});
        }
        return;
    }
    if (self->mark_ask > 0 && now_us - self->asked_us > ANSWER_US) {
        self->mark_ask = 0;
        self->parked_sent = self->unparked_sent = 0;
        forget_mark(self);
    }
    if (self->mark_ask == 0) {
        send_mark(self);
    }
    if (group_wants(self->core, 0)) { /* a partition with nothing new answers nothing */
        group_place_t place = group_read_place(self->core, 0);
        capstan_ref_t shell = core_world_ref(self->world->simulation, self->world->shell.slot);
        self->read_ask = ++self->question;
        send(self, shell, partition_read_wire(),
             &(partition_read_t){.lsn = place.lsn, .offset = place.offset, .bytes_max = READ_BYTES},
             self->read_ask);
    }
}

static void on_timer(void *context, uint64_t cookie)
{
    (void)cookie;
    sim_group_t *self = context;
    int64_t now_us = core_world_now(self->world->simulation);
    if (self->core) {
        lose_silent_members(self, now_us);
        if (random_chance(core_world_random(self->world->simulation), OPERATE_PER_MILLE)) {
            operate(self);
        }
        take_effects(self);
    }
    ask_on(self, now_us);
    core_world_timer(self->world->simulation, self->slot, TICK_US, TIMER_TICK);
}

static void turn_end(void *context)
{
    sim_group_t *self = context;
    if (self->core) {
        group_dispatch(self->core, core_world_now(self->world->simulation), &self->effects);
        take_effects(self);
    }
}

void sim_group_start(sim_group_t *self)
{
    core_world_timer(self->world->simulation, self->slot, TICK_US, TIMER_TICK);
}

static void count_steps(sim_group_t *self)
{
    for (size_t state = 0; state < GROUP_KEY_STATE_COUNT; state++) {
        for (size_t input = 0; input < GROUP_INPUT_COUNT; input++) {
            self->world->group_steps[state][input] += self->core->steps[state][input];
        }
    }
}

void sim_group_stop(sim_group_t *self)
{
    if (self->core) {
        count_steps(self);
    }
    group_destroy(&self->core);
    group_effects_fini(&self->effects);
    buffer_fini(&self->mark);
    buffer_fini(&self->parked);
    buffer_fini(&self->unparked);
    completed_fini(&self->stored);
    *self = (sim_group_t){.world = self->world,
                          .slot = self->slot,
                          .group = self->group,
                          .limits = self->limits,
                          .barrier = self->barrier,
                          .begins_at = self->begins_at,
                          .question = self->question,
                          .replays = self->replays};
}

bool sim_group_is_done(const sim_group_t *self)
{
    return self->core && self->mark_ask == 0 && self->parked.size == 0 &&
           self->unparked.size == 0 && group_figures(self->core).unfinished == 0 &&
           completed_is_empty(&self->core->partitions[0].unsaved) &&
           group_frontier(self->core, 0) ==
               partition_figures(self->world->shell.core).offset_next - 1;
}

const core_actor_t sim_group_behaviour = {
    .receive = receive, .timer = on_timer, .turn_end = turn_end};

/* The rules of a group: see group.h. */
#include "actors/ordering/group_events.h"
#include "actors/ordering/group_members.h"
#include "actors/ordering/partition.h"
#include "runtime/base/ensure.h"

#include <stdlib.h>

enum {
    CHECKPOINTS_MAX = 1024,
    READ_AHEAD_MIN = 4096, /* events */
    GROWING_LOOKED_AT = 4, /* keys of a member that are compared before it goes on with one */
    CHOICES_PER_OLDEST = 16,
    CHOICES_FULL = 256, /* the same for members that may get no further key yet */
    DOUBLINGS_MAX = 40,
    EVENTS_AT_ONCE = 16, /* whose keys are fetched into the cache together */
};

group_t *group_new(const group_limits_t *limits)
{
    ENSURE(limits->partitions > 0 && limits->events_max > 0 && limits->bytes_max > 0);
    group_t *self = calloc(1, sizeof *self + limits->partitions * sizeof self->partitions[0]);
    ENSURE(self);
    self->limits = *limits;
    return self;
}

void group_destroy(group_t **self_p)
{
    group_t *self = *self_p;
    if (!self) {
        return;
    }
    for (uint32_t i = 0; i < self->limits.partitions; i++) {
        completed_fini(&self->partitions[i].completed);
        completed_fini(&self->partitions[i].unsaved);
        completed_fini(&self->partitions[i].taken);
        free(self->partitions[i].checkpoints);
    }
    group_members_fini(self);
    group_events_fini(self);
    group_keys_fini(self);
    free(self->barriers.offsets);
    free(self);
    *self_p = NULL;
}

void group_effects_clear(group_effects_t *self)
{
    self->count = 0;
    buffer_clear(&self->bytes);
}

void group_effects_fini(group_effects_t *self)
{
    free(self->list);
    buffer_fini(&self->bytes);
    *self = (group_effects_t){0};
}

static group_effect_t *add_effect(group_effects_t *effects, group_effect_kind_t kind,
                                  const group_event_t *event)
{
    if (effects->count == effects->capacity) {
        effects->capacity = effects->capacity > 0 ? effects->capacity * 2 : 64;
        effects->list = realloc(effects->list, effects->capacity * sizeof *effects->list);
        ENSURE(effects->list);
    }
    group_effect_t *effect = &effects->list[effects->count++];
    *effect = (group_effect_t){.kind = kind,
                               .partition = event->partition,
                               .offset = event->offset,
                               .attempts = event->attempts};
    return effect;
}

/* --- places ---------------------------------------------------------------------------------- */

void group_place(group_t *self, uint32_t partition, const completed_t *completed, uint64_t lsn)
{
    group_partition_t *place = &self->partitions[partition];
    ENSURE(place->offset_read == 0);
    completed_add_all(&place->completed, completed);
    place->lsn = place->lsn_read = lsn;
    place->offset_read = place->marked.stored = place->completed.frontier;
}

void group_place_waiting(group_t *self, uint32_t partition, slice_t name)
{
    group_key_name_t named = group_key_named(self, partition, 0, name);
    group_key_t *key = group_key_get(self, &named);
    key->parked++;
    group_key_step(self, key, GROUP_INPUT_park, NULL);
}

void group_place_parked(group_t *self, uint32_t partition, uint64_t count, uint64_t bytes)
{
    self->partitions[partition].parked += count;
    self->partitions[partition].parked_bytes += bytes;
}

/* While no member has room, events are read ahead in proportion to what members have got done: a
 * group whose members take all that they may and then nothing more should cost little. */
static bool may_read_ahead(const group_t *self)
{
    return self->idle.count + self->busy.count > 0 ||
           self->unfinished - self->held < READ_AHEAD_MIN + self->counted.completed;
}

/* The ranges become fewer only by what is read below them: after a restart that is still to come.
 */
bool group_wants(group_t *self, uint32_t partition)
{
    const group_partition_t *place = &self->partitions[partition];
    if (place->offset_read >= group_read_limit(self, partition)) {
        return false;
    }
    bool ranges_left = place->completed.count < self->limits.ranges_max || place->unfinished == 0;
    return self->open_count > 0 && ranges_left && may_read_ahead(self) &&
           self->unfinished - self->stopped < self->limits.events_max &&
           self->stopped < self->limits.events_max && self->bytes < self->limits.bytes_max;
}

group_place_t group_read_place(const group_t *self, uint32_t partition)
{
    const group_partition_t *place = &self->partitions[partition];
    return (group_place_t){.lsn = place->lsn_read, .offset = place->offset_read};
}

uint64_t group_frontier(const group_t *self, uint32_t partition)
{
    return self->partitions[partition].completed.frontier;
}

/* When there are too many, every second one goes: what is left is a place to read on from all the
 * same, a little further back. */
static void add_checkpoint(group_partition_t *place, uint64_t offset, uint64_t lsn)
{
    if (place->checkpoint_count == CHECKPOINTS_MAX) {
        place->checkpoint_count /= 2;
        for (size_t i = 0; i < place->checkpoint_count; i++) {
            place->checkpoints[i] = place->checkpoints[2 * i + 1];
        }
    }
    if (place->checkpoint_count == place->checkpoint_capacity) {
        place->checkpoint_capacity = 2 * place->checkpoint_capacity + 16;
        place->checkpoints =
            realloc(place->checkpoints, place->checkpoint_capacity * sizeof *place->checkpoints);
        ENSURE(place->checkpoints);
    }
    place->checkpoints[place->checkpoint_count++] = (group_place_t){.offset = offset, .lsn = lsn};
}

static void use_checkpoints(group_partition_t *place)
{
    size_t passed = 0;
    while (passed < place->checkpoint_count &&
           place->checkpoints[passed].offset <= place->completed.frontier) {
        place->lsn = place->checkpoints[passed++].lsn;
    }
    if (passed > 0) { /* before the first read there is no memory for them */
        place->checkpoint_count -= passed;
        memmove(place->checkpoints, place->checkpoints + passed,
                place->checkpoint_count * sizeof *place->checkpoints);
    }
}

bool group_take_mark(group_t *self, uint32_t partition, bool all_parked,
                     const completed_t **ret_done, uint64_t *ret_lsn)
{
    group_partition_t *place = &self->partitions[partition];
    if (all_parked) {
        use_checkpoints(place);
        place->marked.taken = place->completed.frontier;
    }
    *ret_lsn = place->lsn;
    if (completed_is_empty(&place->unsaved)) {
        return false;
    }
    completed_t emptied = place->taken;
    completed_clear(&emptied);
    place->taken = place->unsaved;
    place->unsaved = emptied;
    *ret_done = &place->taken;
    return true;
}

void group_forget_mark(group_t *self, uint32_t partition)
{
    group_partition_t *place = &self->partitions[partition];
    place->marked.taken = place->marked.stored;
    completed_clear(&place->unsaved);
    completed_add_all(&place->unsaved, &place->completed);
}

void group_wait_for_record(group_t *self, uint32_t partition, uint64_t offset)
{
    completed_remove(&self->partitions[partition].unsaved, offset);
}

/* --- ends of events -------------------------------------------------------------------------- */

/* It is in no list any more. What is completed is said of the partition, at once or with others. */
static void finish(group_t *self, group_event_t *event, group_effects_t *effects)
{
    group_partition_t *place = &self->partitions[event->partition];
    if (event->parked) {
        place->parked--;
        place->parked_bytes -= event->size;
        add_effect(effects, GROUP_UNPARK, event);
    } else {
        place->unfinished--;
    }
    group_event_free(self, event);
}

static void say_completed(group_partition_t *place, const offset_range_t *range)
{
    if (range->first > 0) {
        completed_add(&place->completed, range->first, range->last);
        completed_add(&place->unsaved, range->first, range->last);
    }
}

static void leave_key(group_t *self, group_event_t *event)
{
    group_key_t *key = event->key;
    group_event_take_out(self, event);
    group_key_step(self, key,
                   key->count == 0  ? GROUP_INPUT_complete_all
                   : key->held == 0 ? GROUP_INPUT_complete_held
                                    : GROUP_INPUT_complete,
                   NULL);
}

/* Adds to `range` what follows it, and says it before it begins another one. */
static void complete(group_t *self, group_event_t *event, offset_range_t *range,
                     group_effects_t *effects)
{
    if (!event->parked && range->first > 0 && event->offset == range->last + 1) {
        range->last = event->offset;
    } else if (!event->parked) {
        say_completed(&self->partitions[event->partition], range);
        *range = (offset_range_t){event->offset, event->offset};
    }
    leave_key(self, event);
    self->counted.completed++;
    finish(self, event, effects);
}

/* The event goes, and with it the member's hold on the key. Whoever rejects an event lets go of all
 * that it holds of its key, whatever becomes of the event: a member need not know the limits. */
static void part_from_key(group_t *self, group_event_t *event)
{
    group_key_t *key = event->key;
    group_key_unhold(self, key);
    group_event_take_out(self, event);
    group_key_step(self, key, key->count == 0 ? GROUP_INPUT_complete_all : GROUP_INPUT_give_back,
                   NULL);
}

/* It is on record then, and counts as completed. */
static void record_parked(group_t *self, group_event_t *event, bool behind, bool waits,
                          group_effects_t *effects)
{
    group_partition_t *place = &self->partitions[event->partition];
    if (!event->parked) {
        group_effect_t *effect = add_effect(effects, GROUP_PARK, event);
        effect->event_at = effects->bytes.size;
        effect->event_size = event->size;
        effect->behind = behind;
        effect->waits = waits;
        buffer_append(&effects->bytes, event->data, event->size);
        completed_add(&place->completed, event->offset, event->offset);
        place->unfinished--;
        place->parked++;
        place->parked_bytes += event->size;
    }
    group_event_free(self, event);
}

static bool may_park(const group_t *self, const group_event_t *event)
{
    const group_partition_t *place = &self->partitions[event->partition];
    return event->parked || (place->parked < self->limits.parked_max &&
                             place->parked_bytes + event->size <= self->limits.parked_bytes_max);
}

/* A key that waits: what is behind the parked event is parked too. */
static void park_followers(group_t *self, group_key_t *key, group_effects_t *effects)
{
    for (group_event_t *event; (event = key->first);) {
        if (!may_park(self, event)) {
            self->parking_stuck = true;
            break;
        }
        group_event_take_out(self, event);
        key->parked++;
        record_parked(self, event, true, true, effects);
    }
    group_key_relist(self, key);
}

/* While parked events come back, what follows them waits in memory, to go on behind them. */
static void park_behind(group_t *self, group_key_t *key, group_effects_t *effects)
{
    if (key->first && !key->first->parked) {
        park_followers(self, key, effects);
    }
}

static void park(group_t *self, group_event_t *event, group_effects_t *effects)
{
    group_key_t *key = event->key;
    if (self->limits.when_exhausted == WHEN_EXHAUSTED_GO_ON ||
        self->limits.mode == GROUP_UNORDERED) {
        part_from_key(self, event);
        record_parked(self, event, false, false, effects);
        return;
    }
    group_key_unhold(self, key);
    group_event_take_out(self, event);
    group_key_step(self, key, GROUP_INPUT_park, NULL);
    key->parked++;
    record_parked(self, event, false, true, effects);
    park_followers(self, key, effects);
}

static int64_t delay_after(const group_limits_t *limits, uint32_t attempts)
{
    int64_t delay_us = limits->retry_us_min;
    for (uint32_t i = 1; i < attempts && i < DOUBLINGS_MAX && delay_us < limits->retry_us_max;
         i++) {
        delay_us *= 2;
    }
    return delay_us < limits->retry_us_max ? delay_us : limits->retry_us_max;
}

void group_fail(group_t *self, int64_t now_us, group_event_t *event, bool final, int64_t delay_us,
                group_effects_t *effects)
{
    event->attempts++;
    bool exhausted = self->limits.attempts_max > 0 && event->attempts >= self->limits.attempts_max;
    if ((exhausted || final) && may_park(self, event)) {
        park(self, event, effects);
        return;
    }
    if (self->limits.while_retried == WHILE_RETRIED_GO_ON) {
        part_from_key(self, event);
    } else {
        group_key_unhold(self, event->key);
        group_key_step(self, event->key, GROUP_INPUT_reject, NULL);
    }
    delay_us = delay_us > 0 ? delay_us : delay_after(&self->limits, event->attempts);
    group_retry_add(self, event, now_us + delay_us);
}

/* --- what members say ------------------------------------------------------------------------ */

static capstan_err_t find_held(group_t *self, uint64_t number, uint32_t partition, uint64_t offset,
                               group_event_t **ret_event)
{
    const group_member_t *member = group_member_find(self, number);
    capstan_err_t err = member ? CAPSTAN_OK : CAPSTAN_E_FENCED;
    if (!err) {
        *ret_event = group_event_find(self, partition, offset);
        bool held = *ret_event && (*ret_event)->given > 0 && (*ret_event)->key->member == member;
        err = held ? CAPSTAN_OK : CAPSTAN_E_NOT_HELD;
    }
    self->counted.refused += err != CAPSTAN_OK;
    return err;
}

/* Of those that a member holds, from `*event` on, which becomes the next one. They and their keys
 * lie far apart in memory: all are asked for before the first one is needed. */
static uint64_t complete_some(group_t *self, group_event_t **event, uint64_t last,
                              group_effects_t *effects)
{
    group_event_t *some[EVENTS_AT_ONCE];
    size_t count = 0;
    uint64_t near = (*event)->offset + EVENTS_AT_ONCE - 1;
    group_events_prefetch(self, (*event)->partition, (*event)->offset, near < last ? near : last);
    for (; count < EVENTS_AT_ONCE && *event && (*event)->offset <= last;
         *event = (*event)->held_behind) {
        __builtin_prefetch((*event)->key, 1);
        some[count++] = *event;
    }
    for (size_t i = 0; i < count; i++) {
        map_prefetch(&self->keys, some[i]->key->hash);
        __builtin_prefetch(some[i]->key->age_before, 1); /* it leaves its member's list */
        __builtin_prefetch(some[i]->key->age_behind, 1);
    }
    offset_range_t range = {0};
    group_partition_t *place = &self->partitions[some[0]->partition];
    for (size_t i = 0; i < count; i++) {
        complete(self, some[i], &range, effects);
    }
    say_completed(place, &range);
    return count;
}

capstan_err_t group_acknowledge(group_t *self, uint64_t member, uint32_t partition, uint64_t first,
                                uint64_t last, uint64_t *ret_count, group_effects_t *effects)
{
    group_event_t *event;
    capstan_err_t err = find_held(self, member, partition, last, &event);
    if (!err && first > 0) {
        err = find_held(self, member, partition, first, &event);
    } else if (!err) {
        event = event->key->member->partitions[partition].first;
    }
    if (err) {
        return err;
    }
    uint64_t count = 0;
    while (event && event->offset <= last) {
        count += complete_some(self, &event, last, effects);
    }
    *ret_count = count;
    return CAPSTAN_OK;
}

capstan_err_t group_reject(group_t *self, int64_t now_us, const group_rejection_t *rejection,
                           group_effects_t *effects)
{
    group_event_t *event;
    capstan_err_t err =
        find_held(self, rejection->member, rejection->partition, rejection->offset, &event);
    if (err == CAPSTAN_OK) {
        group_fail(self, now_us, event, rejection->final, rejection->delay_us, effects);
    }
    return err;
}

/* --- giving out ------------------------------------------------------------------------------ */

static uint64_t backlog(const group_key_t *key)
{
    return key->count - key->held;
}

/* Whether the member may be given a key that it does not hold yet. Where keys are few, one that
 * waits at a member behind the events of others is missing where a member has nothing to do: it
 * has to be about to come to it. */
static bool may_change(const group_t *self, const group_member_t *member)
{
    uint64_t at_a_time = member->limits.concurrency;
    return member->keys.count < at_a_time || member->held <= at_a_time ||
           self->ready.count >= self->open_count;
}

/* What the member goes on with: a key that it holds, while none that is ready has more to do. NULL:
 * nothing, or not yet. */
static group_key_t *choose(group_t *self, const group_member_t *member)
{
    bool change = may_change(self, member);
    self->choices++;
    if (self->ready.first && self->choices % (change ? CHOICES_PER_OLDEST : CHOICES_FULL) == 0) {
        return self->ready.first;
    }
    bool others_wait = self->ready.first || self->idle.first; /* keys for members, or members */
    if (!change && others_wait && member->keys.count > member->limits.concurrency) {
        return NULL; /* it works off what it has */
    }
    group_key_t *own = NULL;
    uint64_t looked = 0;
    for (group_key_t *key = member->may_grow.first; key && looked < GROWING_LOOKED_AT;
         key = key->list_behind, looked++) {
        own = own && backlog(own) >= backlog(key) ? own : key;
    }
    if (self->longest > 0 && (!own || backlog(own) < self->longest)) {
        return change ? self->buckets[self->longest].first : NULL;
    }
    return own;
}

static void give(group_t *self, group_member_t *member, group_key_t *key, group_effects_t *effects)
{
    group_key_step(self, key, GROUP_INPUT_give, member);
    while (key->pending && member->held < member->limits.events_max &&
           key->held < member->limits.key_events_max) {
        group_event_t *event = key->pending;
        group_event_hold(self, member, key);
        group_effect_t *effect = add_effect(effects, GROUP_DELIVER, event);
        effect->member = member->number;
        effect->event = slice_of(event->data, event->size);
    }
    group_key_relist(self, key);
    group_member_relist(self, member);
}

/* --- what comes in --------------------------------------------------------------------------- */

/* While nothing waits, events go on as they come, in the order of their offsets. */
static void give_at_once(group_t *self, group_key_t *key, group_effects_t *effects)
{
    if (key->may_grow && key->member->room && !self->ready.first) {
        give(self, key->member, key, effects);
    } else if (key->state == GROUP_KEY_READY && !key->age_before && !key->age_behind) {
        group_member_t *member = self->idle.first ? self->idle.first : self->busy.first;
        if (member) {
            group_member_rotate(member);
            give(self, member, key, effects);
        }
    }
}

static void arrive(group_t *self, group_event_t *event, group_key_t *key, group_input_t input,
                   group_effects_t *effects)
{
    bool waits = key->state == GROUP_KEY_WAITING && input == GROUP_INPUT_arrive;
    group_event_insert(key, event);
    group_key_step(self, key, input, NULL);
    if (waits) {
        park_behind(self, key, effects);
    } else {
        give_at_once(self, key, effects);
    }
}

static bool is_for_group(const group_t *self, diversion_t diverted)
{
    return self->limits.events == GROUP_EVENTS_DIVERTED
               ? diverted == DIVERTED_SKIPPED || diverted == DIVERTED_LATE
               : diverted == DIVERTED_NOT;
}

static void pass_over(group_t *self, group_partition_t *place, uint64_t offset)
{
    if (!completed_has(&place->completed, offset)) {
        completed_add(&place->completed, offset, offset);
        completed_add(&place->unsaved, offset, offset);
        self->counted.passed_over++;
    }
}

typedef struct arrival {
    uint64_t offset;
    group_key_name_t name;
    slice_t record;
} arrival_t;

/* The next event of a stretch; its key is fetched into the cache meanwhile. */
static bool open_arrival(group_t *self, uint32_t partition, slice_t *events, slice_t *sizes,
                         arrival_t *ret_arrival)
{
    uint32_t size;
    slice_t key;
    memcpy(&size, sizes->data, sizeof size);
    slice_t record = slice_of(events->data, size);
    if (size > events->size || !event_place(record, &ret_arrival->offset, &key)) {
        return false;
    }
    ret_arrival->record = record;
    ret_arrival->name = group_key_named(self, partition, ret_arrival->offset, key);
    map_prefetch(&self->keys, ret_arrival->name.hash);
    *events = slice_of((const uint8_t *)events->data + size, events->size - size);
    *sizes = slice_of((const uint8_t *)sizes->data + sizeof size, sizes->size - sizeof size);
    return true;
}

/* Offsets follow each other: a hole would be events that nobody gets. Of what is behind `limit`
 * nothing is taken. */
static capstan_err_t take_arrival(group_t *self, uint32_t partition, const arrival_t *arrival,
                                  uint64_t limit, group_effects_t *effects)
{
    group_partition_t *place = &self->partitions[partition];
    uint64_t offset = arrival->offset;
    if (offset <= place->offset_read || offset > limit) {
        return CAPSTAN_OK;
    }
    if (offset != place->offset_read + 1) {
        return CAPSTAN_E_MALFORMED;
    }
    place->offset_read = offset;
    if (!is_for_group(self, event_diversion(arrival->record))) {
        pass_over(self, place, offset);
    } else if (!completed_has(&place->completed, offset)) {
        place->unfinished++;
        group_event_t *event = group_event_new(self, partition, offset, arrival->record);
        arrive(self, event, group_key_get(self, &arrival->name), GROUP_INPUT_arrive, effects);
    }
    return CAPSTAN_OK;
}

/* A number of events at once, so that the memory of one's key comes while others are opened. What
 * stands before one that is no event is taken. */
static capstan_err_t read_some(group_t *self, const group_stretch_t *stretch, uint64_t limit,
                               slice_t *events, slice_t *sizes, group_effects_t *effects)
{
    arrival_t some[EVENTS_AT_ONCE];
    size_t count = 0;
    bool sound = true;
    while (sound && count < EVENTS_AT_ONCE && sizes->size > 0) {
        sound = open_arrival(self, stretch->partition, events, sizes, &some[count]);
        count += sound;
    }
    capstan_err_t err = CAPSTAN_OK;
    for (size_t i = 0; !err && i < count; i++) {
        err = take_arrival(self, stretch->partition, &some[i], limit, effects);
    }
    return err ? err : sound ? CAPSTAN_OK : CAPSTAN_E_MALFORMED;
}

capstan_err_t group_read(group_t *self, const group_stretch_t *stretch, group_effects_t *effects)
{
    group_partition_t *place = &self->partitions[stretch->partition];
    codec_list_t list;
    if (codec_list_open(event_wire(), stretch->events, &list) != CAPSTAN_OK ||
        stretch->sizes.size != list.left * sizeof(uint32_t)) {
        return CAPSTAN_E_MALFORMED;
    }
    uint64_t limit = group_read_limit(self, stretch->partition);
    slice_t sizes = stretch->sizes;
    slice_t events = slice_of((const uint8_t *)stretch->events.data + list.position,
                              stretch->events.size - list.position);
    while (sizes.size > 0) {
        capstan_err_t err = read_some(self, stretch, limit, &events, &sizes, effects);
        if (err) {
            return err;
        }
    }
    if (place->offset_read < limit) { /* at it, the rest of the stretch is to be read again */
        place->lsn_read = stretch->lsn_next;
        add_checkpoint(place, place->offset_read, stretch->lsn_next);
    }
    return events.size == 0 ? CAPSTAN_OK : CAPSTAN_E_MALFORMED;
}

/* A parked event that is not being delivered. */
static capstan_err_t open_parked(const group_t *self, uint32_t partition, slice_t record,
                                 uint64_t *ret_offset, group_key_name_t *ret_name)
{
    slice_t key;
    if (!event_place(record, ret_offset, &key)) {
        return CAPSTAN_E_MALFORMED;
    }
    *ret_name = group_key_named(self, partition, *ret_offset, key);
    return group_event_find(self, partition, *ret_offset) ? CAPSTAN_E_EXISTS : CAPSTAN_OK;
}

capstan_err_t group_replay(group_t *self, uint32_t partition, slice_t record,
                           group_effects_t *effects)
{
    uint64_t offset;
    group_key_name_t name;
    capstan_err_t err = open_parked(self, partition, record, &offset, &name);
    if (err != CAPSTAN_OK) {
        return err;
    }
    group_event_t *event = group_event_new(self, partition, offset, record);
    group_key_t *key = group_key_get(self, &name);
    event->parked = true;
    group_event_insert(key, event);
    if (key->state == GROUP_KEY_WAITING && --key->parked > 0) {
        group_key_step(self, key, GROUP_INPUT_arrive, NULL);
    } else {
        group_key_step(self, key, GROUP_INPUT_release, NULL);
        give_at_once(self, key, effects);
    }
    return CAPSTAN_OK;
}

capstan_err_t group_discard(group_t *self, uint32_t partition, slice_t record)
{
    uint64_t offset;
    group_key_name_t name;
    capstan_err_t err = open_parked(self, partition, record, &offset, &name);
    if (err != CAPSTAN_OK) {
        return err;
    }
    self->partitions[partition].parked--;
    self->partitions[partition].parked_bytes -= record.size;
    group_key_t *key = group_key_get(self, &name);
    if (key->state == GROUP_KEY_WAITING && --key->parked == 0) {
        group_key_step(self, key, key->count > 0 ? GROUP_INPUT_release : GROUP_INPUT_discard, NULL);
    } else if (key->state == GROUP_KEY_IDLE) {
        group_key_forget(self, key);
    }
    return CAPSTAN_OK;
}

/* --- turns ------------------------------------------------------------------------------------ */

/* An event that its successors overtook is back. If its key waits behind a parked one by now, so
 * does it: on record, where it goes back to if it was there. */
static void come_back(group_t *self, group_event_t *event, group_effects_t *effects)
{
    slice_t bytes = {0};
    uint64_t offset;
    ENSURE(event_place(slice_of(event->data, event->size), &offset, &bytes));
    group_key_name_t name = group_key_named(self, event->partition, event->offset, bytes);
    group_key_t *key = group_key_get(self, &name);
    if (key->state == GROUP_KEY_WAITING && event->parked) {
        key->parked++;
        record_parked(self, event, true, true, effects);
        return;
    }
    arrive(self, event, key,
           key->state == GROUP_KEY_WAITING ? GROUP_INPUT_arrive : GROUP_INPUT_release, effects);
}

static void retry_due(group_t *self, int64_t now_us, group_effects_t *effects)
{
    while (self->retry_count > 0 && self->retries[0]->due_us <= now_us) {
        group_event_t *event = self->retries[0];
        group_retry_remove(self, event);
        if (event->key) {
            group_key_step(self, event->key, GROUP_INPUT_due, NULL);
        } else {
            come_back(self, event, effects);
        }
    }
}

/* Those for which there was no room may have some now. */
static void unstick(group_t *self, group_effects_t *effects)
{
    if (!self->parking_stuck) {
        return;
    }
    self->parking_stuck = false;
    size_t position = 0;
    for (group_key_t *key; (key = map_next(&self->keys, &position));) {
        if (key->state == GROUP_KEY_WAITING) {
            park_behind(self, key, effects);
        }
    }
}

void group_dispatch(group_t *self, int64_t now_us, group_effects_t *effects)
{
    retry_due(self, now_us, effects);
    unstick(self, effects);
    for (group_member_t *member; self->ready.first && (member = self->idle.first);) {
        give(self, member, choose(self, member), effects);
    }
    uint64_t without = 0; /* members in a row for whom there was nothing */
    while (self->busy.first && without < self->busy.count) {
        group_member_t *member = self->busy.first;
        group_key_t *key = choose(self, member);
        group_member_rotate(member);
        if (key) {
            give(self, member, key, effects);
            without = 0;
        } else {
            without++;
        }
    }
}

int64_t group_due_us(const group_t *self)
{
    return self->retry_count > 0 ? self->retries[0]->due_us : INT64_MAX;
}

group_figures_t group_figures(const group_t *self)
{
    group_figures_t figures = self->counted;
    for (const group_member_t *member = self->members; member; member = member->next) {
        figures.members++;
    }
    figures.keys = self->keys.count;
    figures.unfinished = figures.replayed = self->unfinished;
    figures.bytes = self->bytes;
    figures.held = self->held;
    figures.retrying = self->retry_count;
    for (uint32_t i = 0; i < self->limits.partitions; i++) {
        figures.parked += self->partitions[i].parked;
        figures.ranges += self->partitions[i].completed.count;
        figures.replayed -= self->partitions[i].unfinished;
    }
    return figures;
}

/* Keys of a group: found by name, listed by state. */
#include "actors/ordering/group_members.h"
#include "runtime/base/ensure.h"

#include <stdlib.h>

/* The state that follows, plus one; 0: not a row of the table. */
static const uint8_t state_after[GROUP_KEY_STATE_COUNT][GROUP_INPUT_COUNT] = {
#define STATE(name, meaning)
#define INPUT(name, meaning)
#define TRANSITION(from, input, to, what)                                                          \
    [GROUP_KEY_##from][GROUP_INPUT_##input] = GROUP_KEY_##to + 1,
#include "actors/ordering/group_states.def"
#undef STATE
#undef INPUT
#undef TRANSITION
};

/* --- finding --------------------------------------------------------------------------------- */

static bool has_name(const void *value, const void *wanted)
{
    const group_key_t *key = value;
    return slice_equal(slice_of(key->name, key->size), *(const slice_t *)wanted);
}

group_key_name_t group_key_named(const group_t *self, uint32_t partition, uint64_t offset,
                                 slice_t key)
{
    return group_key_name(self->limits.mode, self->limits.hash_seed, partition, offset, key);
}

group_key_t *group_key_get(group_t *self, const group_key_name_t *name)
{
    slice_t bytes = group_key_name_bytes(name);
    group_key_t *key = map_find(&self->keys, name->hash, has_name, &bytes);
    if (!key) {
        key = malloc(sizeof *key + bytes.size); /* unlike calloc, it soon finds what was freed */
        ENSURE(key && bytes.size <= UINT32_MAX);
        *key = (group_key_t){.hash = name->hash, .size = (uint32_t)bytes.size};
        memcpy(key->name, bytes.data, bytes.size);
        map_add(&self->keys, name->hash, key);
    }
    return key;
}

void group_key_forget(group_t *self, group_key_t *key)
{
    ENSURE(!key->first);
    self->stopped -= key->stopped;
    map_remove(&self->keys, key->hash, key);
    free(key);
}

void group_keys_fini(group_t *self)
{
    size_t position = 0;
    for (void *key; (key = map_next(&self->keys, &position));) {
        free(key);
    }
    map_fini(&self->keys);
    free(self->buckets);
}

/* --- lists ----------------------------------------------------------------------------------- */

static void list_add(key_list_t *list, group_key_t *key)
{
    key->list_before = list->last;
    key->list_behind = NULL;
    *(list->last ? &list->last->list_behind : &list->first) = key;
    list->last = key;
    list->count++;
}

static void list_remove(key_list_t *list, group_key_t *key)
{
    *(key->list_before ? &key->list_before->list_behind : &list->first) = key->list_behind;
    *(key->list_behind ? &key->list_behind->list_before : &list->last) = key->list_before;
    list->count--;
}

static void age_add(key_list_t *list, group_key_t *key)
{
    key->age_before = list->last;
    key->age_behind = NULL;
    *(list->last ? &list->last->age_behind : &list->first) = key;
    list->last = key;
    list->count++;
}

static void age_remove(key_list_t *list, group_key_t *key)
{
    *(key->age_before ? &key->age_before->age_behind : &list->first) = key->age_behind;
    *(key->age_behind ? &key->age_behind->age_before : &list->last) = key->age_before;
    list->count--;
}

static void bucket_add(group_t *self, group_key_t *key)
{
    if (key->count >= self->bucket_count) {
        size_t count = self->bucket_count > 0 ? self->bucket_count : 16;
        while (count <= key->count) {
            count *= 2;
        }
        self->buckets = realloc(self->buckets, count * sizeof *self->buckets);
        ENSURE(self->buckets);
        memset(self->buckets + self->bucket_count, 0,
               (count - self->bucket_count) * sizeof *self->buckets);
        self->bucket_count = count;
    }
    key->bucket = key->count;
    list_add(&self->buckets[key->bucket], key);
    self->longest = key->bucket > self->longest ? key->bucket : self->longest;
}

static void bucket_remove(group_t *self, group_key_t *key)
{
    list_remove(&self->buckets[key->bucket], key);
    while (self->longest > 0 && !self->buckets[self->longest].first) {
        self->longest--;
    }
}

static void set_may_grow(group_key_t *key, bool may_grow)
{
    if (key->may_grow == may_grow) {
        return;
    }
    key->may_grow = may_grow;
    (may_grow ? list_add : list_remove)(&key->member->may_grow, key);
}

void group_key_relist(group_t *self, group_key_t *key)
{
    bool stops = key->state == GROUP_KEY_RETRYING || key->state == GROUP_KEY_WAITING;
    self->stopped += (stops ? key->count : 0) - key->stopped;
    key->stopped = stops ? key->count : 0;
    if (key->state == GROUP_KEY_READY && key->bucket != key->count) {
        bucket_remove(self, key);
        bucket_add(self, key);
    } else if (key->state == GROUP_KEY_HELD) {
        set_may_grow(key, key->pending && key->held < key->member->limits.key_events_max);
    }
}

static void leave_lists(group_t *self, group_key_t *key)
{
    if (key->state == GROUP_KEY_READY) {
        bucket_remove(self, key);
        age_remove(&self->ready, key);
    } else if (key->state == GROUP_KEY_HELD) {
        set_may_grow(key, false);
        age_remove(&key->member->keys, key);
        key->member = NULL;
    }
}

static void enter_lists(group_t *self, group_key_t *key, group_member_t *member)
{
    if (key->state == GROUP_KEY_READY) {
        bucket_add(self, key);
        age_add(&self->ready, key);
    } else if (key->state == GROUP_KEY_HELD) {
        key->member = member;
        age_add(&member->keys, key);
    }
}

void group_key_step(group_t *self, group_key_t *key, group_input_t input, group_member_t *member)
{
    uint8_t after = state_after[key->state][input];
    ENSURE(after != 0);
    self->steps[key->state][input]++;
    after--;
    if (after != key->state) {
        leave_lists(self, key);
        self->barriers.waiting += after == GROUP_KEY_WAITING;
        self->barriers.waiting -= key->state == GROUP_KEY_WAITING;
        key->state = after;
        enter_lists(self, key, member);
    }
    if (after == GROUP_KEY_IDLE) {
        group_key_forget(self, key);
    } else {
        group_key_relist(self, key);
    }
}

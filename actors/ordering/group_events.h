/* Events of a group: found by offset, and their places in lists. */
#ifndef ORDERING_GROUP_EVENTS_H
#define ORDERING_GROUP_EVENTS_H

#include "actors/ordering/group_state.h"

group_event_t *group_event_find(const group_t *self, uint32_t partition, uint64_t offset);
/* Fetches into the cache what a walk over these offsets will touch. */
void group_events_prefetch(const group_t *self, uint32_t partition, uint64_t first, uint64_t last);
/* A copy, which nobody holds and no key has yet. */
group_event_t *group_event_new(group_t *self, uint32_t partition, uint64_t offset, slice_t record);
void group_event_free(group_t *self, group_event_t *event);
/* Into its key's list, where its offset belongs among those that nobody holds. */
void group_event_insert(group_key_t *key, group_event_t *event);
/* Out of its key's list, and of its member's. */
void group_event_take_out(group_t *self, group_event_t *event);
/* The first pending event of the key goes to the member. */
void group_event_hold(group_t *self, group_member_t *member, group_key_t *key);
/* Takes back everything that a member holds of a key. */
void group_key_unhold(group_t *self, group_key_t *key);
void group_retry_add(group_t *self, group_event_t *event, int64_t due_us);
void group_retry_remove(group_t *self, group_event_t *event);
void group_events_fini(group_t *self);

#endif

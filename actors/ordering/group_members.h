/* Who takes part in a group, and who has room. Internal to the group's core. */
#ifndef ORDERING_GROUP_MEMBERS_H
#define ORDERING_GROUP_MEMBERS_H

#include "actors/ordering/group_state.h"

group_member_t *group_member_find(const group_t *self, uint64_t number);
/* Its limits or what it holds changed. */
void group_member_relist(group_t *self, group_member_t *member);
void group_member_rotate(group_member_t *member);
void group_members_fini(group_t *self);

/* group.c. Tried and failed once more: retried, or parked. `delay_us` 0: by the limits. */
void group_fail(group_t *self, int64_t now_us, group_event_t *event, bool final, int64_t delay_us,
                group_effects_t *effects);

#endif

/* Members of a group, and which of them may be given something. */
#include "actors/ordering/group_events.h"
#include "actors/ordering/group_members.h"
#include "runtime/base/ensure.h"

#include <stdlib.h>

group_member_t *group_member_find(const group_t *self, uint64_t number)
{
    group_member_t *member = self->members;
    while (member && member->number != number) {
        member = member->next;
    }
    return member;
}

static void room_enter(group_member_t *member, room_list_t *list)
{
    member->room = list;
    member->room_before = list->last;
    member->room_behind = NULL;
    *(list->last ? &list->last->room_behind : &list->first) = member;
    list->last = member;
    list->count++;
}

static void room_leave(group_member_t *member)
{
    room_list_t *list = member->room;
    group_member_t *before = member->room_before;
    group_member_t *behind = member->room_behind;
    *(before ? &before->room_behind : &list->first) = behind;
    *(behind ? &behind->room_before : &list->last) = before;
    list->count--;
    member->room = NULL;
}

void group_member_relist(group_t *self, group_member_t *member)
{
    bool has_room = member->open && member->held < member->limits.events_max;
    room_list_t *list = !has_room ? NULL : member->held == 0 ? &self->idle : &self->busy;
    if (member->room == list) {
        return;
    }
    if (member->room) {
        room_leave(member);
    }
    if (list) {
        room_enter(member, list);
    }
}

void group_member_rotate(group_member_t *member)
{
    room_list_t *list = member->room;
    if (list) {
        room_leave(member);
        room_enter(member, list);
    }
}

void group_join(group_t *self, uint64_t number, const member_limits_t *limits)
{
    ENSURE(!group_member_find(self, number));
    ENSURE(limits->events_max > 0 && limits->key_events_max > 0 && limits->concurrency > 0);
    group_member_t *member =
        calloc(1, sizeof *member + self->limits.partitions * sizeof member->partitions[0]);
    ENSURE(member);
    member->number = number;
    member->limits = *limits;
    member->open = true;
    member->next = self->members;
    self->members = member;
    self->open_count++;
    group_member_relist(self, member);
}

static group_event_t *held_longest(const group_t *self, const group_member_t *member)
{
    group_event_t *longest = NULL;
    for (uint32_t i = 0; i < self->limits.partitions; i++) {
        for (group_event_t *event = member->partitions[i].first; event;
             event = event->held_behind) {
            longest = longest && longest->given < event->given ? longest : event;
        }
    }
    return longest;
}

void group_leave(group_t *self, int64_t now_us, uint64_t number, bool lost,
                 group_effects_t *effects)
{
    group_member_t *member = group_member_find(self, number);
    ENSURE(member);
    group_event_t *suspect = lost ? held_longest(self, member) : NULL;
    if (suspect && suspect->attempts + 1 == self->limits.attempts_max) {
        group_fail(self, now_us, suspect, false, 0, effects);
    } else if (suspect) {
        suspect->attempts++;
    }
    for (group_key_t *key; (key = member->keys.first);) {
        group_key_unhold(self, key);
        group_key_step(self, key, GROUP_INPUT_give_back, NULL);
    }
    ENSURE(member->held == 0);
    if (member->room) {
        room_leave(member);
    }
    group_member_t **link = &self->members;
    while (*link != member) {
        link = &(*link)->next;
    }
    *link = member->next;
    self->open_count -= member->open;
    free(member);
}

void group_set_open(group_t *self, uint64_t number, bool open)
{
    group_member_t *member = group_member_find(self, number);
    ENSURE(member);
    self->open_count += (uint64_t)open - member->open;
    member->open = open;
    group_member_relist(self, member);
}

void group_members_fini(group_t *self)
{
    for (group_member_t *member = self->members, *next; member; member = next) {
        next = member->next;
        free(member);
    }
}

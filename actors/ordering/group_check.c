/* What a group's state must satisfy at rest. */
#include "actors/ordering/group_members.h"

typedef struct totals {
    uint64_t events;
    uint64_t held;
    uint64_t ready;
    uint64_t growing;
    uint64_t stopped;
} totals_t;

static const char *check_events(const group_key_t *key, totals_t *totals)
{
    uint64_t count = 0;
    uint64_t held = 0;
    bool pending = false;
    for (const group_event_t *event = key->first; event; event = event->behind) {
        pending = pending || event == key->pending;
        if (event->key != key || (event->given > 0) == pending) {
            return "O1: what is held of a key comes before what is not";
        }
        if (event->before && event->before->given == 0 &&
            !group_event_is_behind(event, event->before)) {
            return "O1: what nobody holds of a key stands in the order of its offsets";
        }
        count++;
        held += event->given > 0;
    }
    if (count != key->count || held != key->held) {
        return "O2: a key's events are counted";
    }
    totals->events += count;
    totals->held += held;
    return NULL;
}

static const char *check_key(const group_key_t *key, totals_t *totals)
{
    const char *fault = check_events(key, totals);
    if (fault) {
        return fault;
    }
    if ((key->state == GROUP_KEY_HELD) != (key->member != NULL) ||
        (key->state == GROUP_KEY_HELD) != (key->held > 0)) {
        return "O9: only a key that is neither retried nor parked is at a member";
    }
    if (key->count == 0 && key->state != GROUP_KEY_WAITING) {
        return "O2: a key without events is forgotten";
    }
    if (key->state == GROUP_KEY_READY && key->bucket != key->count) {
        return "O1: a ready key is listed by its backlog";
    }
    if (key->may_grow != (key->state == GROUP_KEY_HELD && key->pending &&
                          key->held < key->member->limits.key_events_max)) {
        return "O1: a member's key is listed as one that may grow exactly while it may";
    }
    totals->ready += key->state == GROUP_KEY_READY;
    totals->growing += key->may_grow;
    bool stops = key->state == GROUP_KEY_RETRYING || key->state == GROUP_KEY_WAITING;
    totals->stopped += stops ? key->count : 0;
    return NULL;
}

static const char *check_members(const group_t *self, const totals_t *totals)
{
    uint64_t held = 0;
    uint64_t growing = 0;
    uint64_t room = 0;
    for (const group_member_t *member = self->members; member; member = member->next) {
        uint64_t own = 0;
        for (uint32_t i = 0; i < self->limits.partitions; i++) {
            for (const group_event_t *event = member->partitions[i].first; event;
                 event = event->held_behind) {
                if (event->given == 0 || event->key->member != member || event->partition != i) {
                    return "O1: an event is held by one member";
                }
                if (event->held_behind && event->held_behind->offset <= event->offset) {
                    return "O1: what a member holds stands in the order of offsets";
                }
                own++;
            }
        }
        if (own != member->held || own > member->limits.events_max) {
            return "O1: a member holds no more than it may";
        }
        for (const group_key_t *key = member->may_grow.first; key; key = key->list_behind) {
            growing++;
        }
        held += own;
        room += member->room != NULL;
    }
    if (held != totals->held || held != self->held || growing != totals->growing) {
        return "O1: what is held is at a member";
    }
    return room == self->idle.count + self->busy.count ? NULL : "O1: members with room are listed";
}

static const char *check_partition(const group_partition_t *place)
{
    uint64_t above = 0;
    uint64_t last = place->completed.frontier + 1;
    for (size_t i = 0; i < place->completed.count; i++) {
        const offset_range_t *range = completed_range(&place->completed, i);
        if (range->first <= last || range->last < range->first) {
            return "O2: completed ranges are apart, ascending, and above the frontier";
        }
        last = range->last + 1;
        /* A restart may have left completed ones that are still to be read again. */
        uint64_t end = range->last < place->offset_read ? range->last : place->offset_read;
        above += end >= range->first ? end - range->first + 1 : 0;
    }
    uint64_t read = place->offset_read > place->completed.frontier
                        ? place->offset_read - place->completed.frontier
                        : 0;
    return read == above + place->unfinished
               ? NULL
               : "O2: what was read is completed or still to be done, and nothing is both";
}

static const char *check_table(const group_t *self, const group_partition_t *place, uint64_t *found)
{
    uint64_t count = 0;
    for (size_t i = 0; place->events && i <= place->events_mask; i++) {
        for (const group_event_t *event = place->events[i]; event; event = event->chain) {
            count++;
            if (event->generation > self->barriers.passed && !event->parked) {
                return "O1: nothing behind a barrier is read before all up to it is completed";
            }
        }
    }
    *found += count;
    return count == place->events_count ? NULL : "O2: a partition's events are counted";
}

const char *group_check(const group_t *self)
{
    totals_t totals = {0};
    size_t position = 0;
    for (group_key_t *key; (key = map_next(&self->keys, &position));) {
        const char *fault = check_key(key, &totals);
        if (fault) {
            return fault;
        }
    }
    uint64_t loose = 0;
    for (size_t i = 0; i < self->retry_count; i++) {
        loose += !self->retries[i]->key;
        if (self->retries[i]->retry_at != i + 1 ||
            self->retries[i]->due_us < self->retries[i > 0 ? (i - 1) / 2 : 0]->due_us) {
            return "O9: the next retry is known";
        }
    }
    uint64_t found = 0;
    for (uint32_t i = 0; i < self->limits.partitions; i++) {
        const char *fault = check_table(self, &self->partitions[i], &found);
        if (fault) {
            return fault;
        }
    }
    if (totals.events + loose != self->unfinished || self->unfinished != found) {
        return "O2: every unfinished event has a key";
    }
    if (totals.stopped != self->stopped) {
        return "O9: events that wait behind a rejected one are counted";
    }
    uint64_t ready = 0;
    for (const group_key_t *key = self->ready.first; key; key = key->age_behind) {
        ready++;
    }
    if (ready != totals.ready || ready != self->ready.count) {
        return "O1: every ready key is listed";
    }
    for (uint32_t i = 0; i < self->limits.partitions; i++) {
        const char *fault = check_partition(&self->partitions[i]);
        if (fault) {
            return fault;
        }
    }
    return check_members(self, &totals);
}

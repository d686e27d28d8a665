/* The inside of a group's core.
 *
 *   group --> members (list) --> per partition: events that it holds, ascending offsets (list)
 *         |      |               keys that it holds (list), those of them that may grow (list)
 *         |      `-- those with room: idle, busy (lists)
 *         |-> keys (map)  -->  key --> events, ascending offsets: [ held ][ pending ... (list)
 *         |-> per partition: events (table)
 *         |-> ready keys: by backlog (a list per length), by age (list)
 *         `-> retries: heap of events, by due time
 *
 * A key's events are in its list until they are done. The one exception: a rejected event that its
 * successors may overtake is in the heap only, and returns to its key when it is due. */
#ifndef ORDERING_GROUP_STATE_H
#define ORDERING_GROUP_STATE_H

#include "actors/ordering/group.h"
#include "actors/ordering/group_barrier.h"
#include "actors/ordering/group_key_name.h"
#include "runtime/base/map.h"

typedef enum group_key_state {
#define STATE(name, meaning) GROUP_KEY_##name,
#define INPUT(name, meaning)
#define TRANSITION(from, input, to, what)
#include "actors/ordering/group_states.def"
#undef STATE
#undef INPUT
#undef TRANSITION
    GROUP_KEY_STATE_COUNT
} group_key_state_t;

typedef enum group_input {
#define STATE(name, meaning)
#define INPUT(name, meaning) GROUP_INPUT_##name,
#define TRANSITION(from, input, to, what)
#include "actors/ordering/group_states.def"
#undef STATE
#undef INPUT
#undef TRANSITION
    GROUP_INPUT_COUNT
} group_input_t;

typedef struct group_event group_event_t;
typedef struct group_key group_key_t;
typedef struct group_member group_member_t;

struct group_event {
    group_event_t *chain;  /* in its partition's table of events */
    group_event_t *before; /* in its key's list */
    group_event_t *behind;
    group_event_t *held_before; /* in its member's list of its partition */
    group_event_t *held_behind;
    group_key_t *key; /* NULL: in the heap only */
    uint64_t offset;
    uint64_t given;  /* the how-manieth delivery of the group it was; 0: nobody holds it */
    size_t retry_at; /* its place in the heap of retries, plus 1; 0: it is not there */
    int64_t due_us;  /* in the heap */
    uint32_t partition;
    uint32_t attempts;
    uint32_t size;
    uint32_t capacity;  /* of `data`: its memory may have been another one's */
    uint8_t generation; /* barriers that it is behind */
    bool parked;        /* it is on record as parked, and delivered once more */
    uint8_t data[];
};

struct group_key {
    group_key_t *list_before; /* READY: among those of the same backlog; HELD and may_grow: among
                                 its member's that may grow */
    group_key_t *list_behind;
    group_key_t *age_before; /* READY: among all, in the order in which they became so; HELD: among
                                its member's */
    group_key_t *age_behind;
    group_event_t *first;
    group_event_t *last;
    group_event_t *pending; /* the first that nobody holds */
    group_member_t *member; /* HELD: who holds its first events */
    uint64_t hash;
    uint64_t count;   /* events in the list */
    uint64_t held;    /* of them */
    uint64_t parked;  /* WAITING: events on record that are not in the list */
    uint64_t bucket;  /* READY: the backlog under which it is listed */
    uint64_t stopped; /* RETRYING, WAITING: events, as they are counted in the group's */
    uint32_t size;    /* of the name */
    uint8_t state;    /* group_key_state_t; changed by group_key_step only */
    bool may_grow;    /* HELD: it is listed as such */
    uint8_t name[];
};

/* The keys that a list holds; which of the two pairs of links it uses is its user's business. */
typedef struct key_list {
    group_key_t *first;
    group_key_t *last;
    uint64_t count;
} key_list_t;

typedef struct held_list {
    group_event_t *first;
    group_event_t *last;
} held_list_t;

/* Members that may be given something, those that got something longest ago first. */
typedef struct room_list {
    group_member_t *first;
    group_member_t *last;
    uint64_t count;
} room_list_t;

struct group_member {
    group_member_t *next; /* of all */
    room_list_t *room;    /* that it is in; NULL: it may be given nothing */
    group_member_t *room_before;
    group_member_t *room_behind;
    uint64_t number;
    member_limits_t limits;
    uint64_t held;
    bool open;
    key_list_t keys;
    key_list_t may_grow;
    held_list_t partitions[];
};

typedef struct group_partition {
    completed_t completed;
    completed_t unsaved;    /* what the next mark says */
    completed_t taken;      /* what the last one said */
    group_event_t **events; /* by offset: chains, of which neighbours stand side by side */
    size_t events_mask;
    uint64_t events_count; /* the unfinished ones, and those of the parked that are back */
    uint64_t lsn;          /* where reading goes on behind the frontier */
    uint64_t lsn_read;
    uint64_t offset_read;
    uint64_t unfinished;
    uint64_t parked;
    uint64_t parked_bytes;
    group_marked_t marked;
    group_place_t *checkpoints; /* where reading goes on once everything before is completed */
    size_t checkpoint_count;
    size_t checkpoint_capacity;
} group_partition_t;

struct group {
    group_limits_t limits;
    group_member_t *members;
    uint64_t open_count; /* members that take what they are sent */
    room_list_t idle;    /* members that hold nothing */
    room_list_t busy;    /* those that hold something, and may have more */
    map_t keys;
    uint64_t unfinished;
    uint64_t bytes;
    uint64_t stopped; /* of the unfinished, in keys that are RETRYING or WAITING */
    uint64_t held;
    uint64_t given;     /* deliveries so far */
    uint64_t choices;   /* of keys so far */
    bool parking_stuck; /* a key that waits has events for which there was no room to be parked */

    key_list_t *buckets; /* READY keys by backlog */
    size_t bucket_count;
    size_t longest; /* no bucket behind it has a key */
    key_list_t ready;

    group_event_t *spare; /* the memory of events that are done, by `chain` */
    size_t spare_count;

    group_event_t **retries;
    size_t retry_count;
    size_t retry_capacity;

    group_figures_t counted;                                  /* completed, refused */
    uint64_t steps[GROUP_KEY_STATE_COUNT][GROUP_INPUT_COUNT]; /* how often each was taken */

    group_barriers_t barriers;
    group_partition_t partitions[];
};

/* group_key.c: keys, the lists of ready ones, and the one place where a key's state changes. */

group_key_name_t group_key_named(const group_t *self, uint32_t partition, uint64_t offset,
                                 slice_t key);
/* The entry is made, IDLE, when there is none. */
group_key_t *group_key_get(group_t *self, const group_key_name_t *name);
/* Puts the key into the lists of its new state; `member` is who holds it then. An IDLE one is
 * freed: it has no events. */
void group_key_step(group_t *self, group_key_t *key, group_input_t input, group_member_t *member);
/* Its events changed: lists it where it now belongs. */
void group_key_relist(group_t *self, group_key_t *key);
/* An IDLE one that was made in vain. */
void group_key_forget(group_t *self, group_key_t *key);
void group_keys_fini(group_t *self);

#endif

/* The shell of a consumer group: an actor that owns one group core. Internal to ordering/. */
#ifndef ORDERING_GROUP_ACTOR_H
#define ORDERING_GROUP_ACTOR_H

#include "actors/ordering/group.h"
#include "actors/ordering/ordering_settings.h"

#include <capstan/actor.h>

/* Its argument is the ordering_settings_t, which outlives it. The actor may be on another cell than
 * who starts it; whose group it is, the message group_open says. */
extern const capstan_behaviour_t group_behaviour;

enum {
    GROUP_MEMBERS_MAX = 1024,
    GROUP_MEMBER_EVENTS_MAX = 65536,
    GROUP_READ_BYTES = 128 << 10,
    GROUP_MARK_BYTES = 256 << 10, /* of parked events in one mark; one event is always in it */
    GROUP_WINDOW_BYTES = 4 << 20, /* of deliveries that a member has not taken from its session */
    GROUP_ASK_US = 60000000,
    GROUP_RETRY_US = 500000, /* before a mark is tried again that could not be stored */
    GROUP_PACE_US = 5000,    /* from marks to the next ones, while members are at work */
};

/* Events that a member acknowledged and whose mark is not on disk yet. */
typedef struct owed {
    uint64_t member;
    uint64_t events;
} owed_t;

/* A growing list of things for the next mark, of which the first `sent` are in one under way. */
typedef struct outbox {
    buffer_t bytes;
    size_t sent;
} outbox_t;

/* A partition, as the group sees it. */
typedef struct source {
    capstan_ref_t partition;
    bool placed;
    uint64_t begin; /* the group began behind this offset */
    uint64_t find_ask;
    uint64_t place_ask;
    uint64_t read_ask;
    uint64_t mark_ask;
    outbox_t parked;   /* records `parked`, each behind its size (a size_t) */
    outbox_t unparked; /* offsets (uint64_t) */
    outbox_t owed;     /* owed_t */
} source_t;

/* A deliver message under construction. */
typedef struct parcel {
    uint64_t attempts;
    buffer_t events;
    codec_list_writer_t list;
} parcel_t;

typedef struct member {
    struct member *next;
    uint64_t number;
    capstan_ref_t session;
    uint64_t sent_bytes;
    uint64_t granted_bytes;
    uint64_t stored; /* events whose acknowledgement is on disk */
    uint64_t told;   /* of them the member was told */
    bool open;
    parcel_t parcels[]; /* per partition */
} member_t;

/* A join that waits until the group knows where it stands. */
typedef struct joining {
    struct joining *next;
    capstan_message_t request; /* of the session, without its body */
    uint64_t number;
    member_limits_t limits;
    buffer_t beginning; /* record; empty: the usual one */
} joining_t;

/* A group that is new begins: what the partitions have said so far. */
typedef struct begin_job {
    size_t left; /* partitions that have not answered */
    bool known;  /* one knows the group behind which it begins */
    bool begun;  /* it is not new at all */
    bool too_far;
    uint64_t store_ask;
} begin_job_t;

/* A group_release: goes through the parked events of all partitions, page by page. One is under way
 * at a time; others wait. */
typedef struct release {
    struct release *next;
    capstan_message_t request; /* without its body */
    bool discard;
    bool all;
    buffer_t key;
    uint32_t partition; /* that is asked */
    uint64_t offset;    /* behind which */
    uint64_t ask;
    parked_released_t result;
} release_t;

/* A group_set that waits: until the group knows where it stands, and until its policy is stored. */
typedef struct policy_job {
    struct policy_job *next;
    capstan_message_t request; /* without its body */
    group_policy_t policy;
    bool storing; /* nobody joins meanwhile */
    bool sent;    /* it is in the mark under way */
} policy_job_t;

typedef struct group_actor {
    capstan_actor_t *self;
    char topic[129];
    char group[129];
    const ordering_settings_t *settings;
    group_policy_t policy; /* as it was stored, over the settings */
    buffer_t beginning;    /* record, as it was stored; empty: none */
    begin_job_t begin;
    bool awake;
    group_t *core; /* NULL: it rests, or does not know its policy yet */
    group_effects_t effects;
    slice_t reason; /* of the rejection that is being handled */
    member_t *members;
    member_t *member_last; /* found last */
    uint64_t acknowledged; /* events, since the actor was made */
    size_t member_count;
    joining_t *joining;
    release_t *releases;
    policy_job_t *set;
    bool retrying; /* a timer runs, after a mark could not be stored */
    bool pacing;   /* a timer runs, after marks were sent */
    bool ended;
    bool stopping;
    int64_t due_us; /* for when a timer of the core runs; INT64_MAX: none */
    uint64_t due_timer;
    size_t next;  /* source whose turn it is to be read, so that all get theirs */
    size_t count; /* 0: it was not opened yet */
    source_t *sources;
    capstan_err_t closing; /* it ends with this, once what members have acknowledged is stored */
    uint64_t *barriers;    /* an offset per partition, barrier after barrier */
    size_t barrier_count;
} group_actor_t;

/* group_actor.c */
member_t *group_find_member(group_actor_t *self, uint64_t number);
/* Ends all subscriptions, and the actor: topics makes another for the next one who subscribes. */
void group_end(group_actor_t *self, capstan_err_t err);

/* Nobody is left, and everything is stored: it forgets what it knows, until somebody wants
 * something. */
void group_rest(group_actor_t *self);

/* group_deliver.c: what the core wants done. */
void group_take_effects(group_actor_t *self);
void group_send_parcels(group_actor_t *self);

/* group_release.c: what was parked. */
void group_on_release(group_actor_t *self, const capstan_message_t *message);
/* Goes on with the first one, if the group knows where it stands. */
void group_release_on(group_actor_t *self);
bool group_release_answer(group_actor_t *self, const capstan_message_t *message);
void group_release_end(group_actor_t *self, capstan_err_t err);

/* group_policy.c: how the group treats keys and rejected events. */
/* With all its fields. */
group_policy_t group_policy_in_force(const group_actor_t *self);
void group_take_policy(group_actor_t *self, slice_t stored);
group_limits_t group_limits_of(const group_actor_t *self);
void group_on_set(group_actor_t *self, const capstan_message_t *message);
/* Goes on with the first one, if the group knows where it stands. */
void group_set_on(group_actor_t *self);
/* The policy that partition 0 is to store; false: none. */
bool group_policy_to_store(group_actor_t *self, buffer_t *out);
/* A mark is stored. True when the policy was in it: the group begins anew with it. */
bool group_policy_stored(group_actor_t *self);
void group_set_end(group_actor_t *self, capstan_err_t err);

/* group_begin.c: where a new group begins. */
void group_take_beginning(group_actor_t *self, const group_stored_t *stored);
/* True when the first who waits to join wants a beginning, and the group has stored none. */
bool group_must_begin(const group_actor_t *self);
void group_begin(group_actor_t *self);
bool group_begin_answer(group_actor_t *self, const capstan_message_t *message);

/* group_store.c: reading partitions, and storing what is completed. */
/* First partition 0, which has the policy, then the others. */
void group_ask_places(group_actor_t *self);
bool group_is_placed(const group_actor_t *self);
void group_open_reads(group_actor_t *self);
void group_send_marks(group_actor_t *self);
void group_confirm(group_actor_t *self);
/* True when nothing waits to be stored. */
bool group_is_stored(const group_actor_t *self);
void group_on_answer(group_actor_t *self, const capstan_message_t *message);
void outbox_add(outbox_t *self, const void *data, size_t size);

#endif

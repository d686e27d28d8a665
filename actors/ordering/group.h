/* The core of one consumer group of one topic: which member gets which event next, and what is
 * done. Pure: no clock, socket, thread, SQL, log or random number. Time is an argument, effects go
 * into the caller's buffer.
 *
 *   partition 0 --events-->  key a: [1 4] 7 9     held by member 2
 *   partition 1 --events-->  key b: 2 3           ready: no member holds any
 *        ...                 key c: (5) 6         retrying: 5 was rejected, waits for its time
 *                                 |
 *             completed, per partition: frontier and ranges above it --> mark --> the partition
 *
 * Invariants (group_check evaluates them):
 *  - the events of a key that are not done stand in the order of their offsets, but for those that
 *    may be overtaken; those that are held come first, and one member holds them all (O1);
 *  - an offset that was read is either completed or one of these events (O2);
 *  - a key whose first event is retried or parked has none at a member, unless the limits say that
 *    its successors go on (O9);
 *  - what is kept in memory is within its bounds: the group asks for nothing more before;
 *  - nothing behind a barrier was read before everything up to it was completed, and stored as
 * such.
 *
 * A barrier is where each partition ended when the number of partitions changed: from there on a
 * key may lie in another partition. An event's generation is the number of barriers that it is
 * behind; a key's events stand in the order of their generations first.
 *
 * While members keep up, they get events as they are read. A key goes to one that has nothing, if
 * there is one: with another it would wait behind what that one has. When events wait, a member
 * gets the key with the longest backlog: first come, first served wastes the workers' time when
 * keys are few more than workers, since the last keys are then worked off one by one. Every
 * sixteenth time it is the key that has waited longest, so that none waits for ever. While fewer
 * keys are ready than there are members, one that has enough to work on gets no further key, but
 * every 256th time; with more keys than it works on at a time it works them off first. */
#ifndef ORDERING_GROUP_H
#define ORDERING_GROUP_H

#include "actors/ordering/completed.h"
#include "actors/ordering/ordering_messages.h"
#include "runtime/base/buffer.h"

typedef enum group_mode {
    GROUP_BY_KEY = 1,       /* one member at a time per key */
    GROUP_BY_PARTITION = 2, /* per partition */
    GROUP_UNORDERED = 3,
} group_mode_t;

typedef enum group_while_retried {
    WHILE_RETRIED_WAIT = 1,  /* the key's successors wait for a rejected event */
    WHILE_RETRIED_GO_ON = 2, /* they overtake it */
} group_while_retried_t;

typedef enum group_when_exhausted {
    WHEN_EXHAUSTED_WAIT = 1,  /* the event is parked, and its successors behind it */
    WHEN_EXHAUSTED_GO_ON = 2, /* the event is parked, its successors go on */
} group_when_exhausted_t;

typedef enum group_events {
    GROUP_EVENTS_IN_ORDER = 1, /* what is diverted is passed over */
    GROUP_EVENTS_DIVERTED = 2, /* everything else is */
} group_events_t;

typedef struct group_limits {
    group_mode_t mode;
    group_events_t events;
    group_while_retried_t while_retried;
    group_when_exhausted_t when_exhausted;
    uint64_t attempts_max; /* 0: for ever */
    int64_t retry_us_min;  /* behind the first attempt; it doubles */
    int64_t retry_us_max;
    uint32_t partitions;
    uint64_t events_max; /* unfinished events in memory, from which on nothing is read: those of
                            keys that are retried or parked, and the others */
    uint64_t bytes_max;  /* of them, with what shares their memory */
    uint64_t ranges_max; /* completed ranges above a frontier */
    uint64_t parked_max; /* per partition; beyond these two an event is tried for ever */
    uint64_t parked_bytes_max;
    uint8_t hash_seed[16];
} group_limits_t;

typedef struct member_limits {
    uint64_t events_max;     /* that it holds */
    uint64_t key_events_max; /* of them of one key; 1: nothing of a key overtakes a rejected one
                                inside the member, whatever the member does */
    uint64_t concurrency;    /* that it works on at a time; what else it holds waits there */
} member_limits_t;

typedef enum group_effect_kind {
    GROUP_DELIVER, /* the event goes to the member */
    GROUP_PARK,    /* is to be recorded as parked: it counts as completed from then on */
    GROUP_UNPARK,  /* a parked event is done: its record goes */
} group_effect_kind_t;

typedef struct group_effect {
    group_effect_kind_t kind;
    uint32_t partition;
    uint64_t offset;
    uint64_t member;   /* DELIVER */
    uint64_t attempts; /* before this one */
    size_t event_at;   /* PARK: its record lies in `bytes` of the effects */
    size_t event_size;
    slice_t event; /* DELIVER: its record, good until the next call */
    bool behind;   /* PARK: because of the one before it */
    bool waits;    /* PARK: its successors wait */
} group_effect_t;

typedef struct group_effects {
    group_effect_t *list;
    size_t count;
    size_t capacity;
    buffer_t bytes;
} group_effects_t;

void group_effects_clear(group_effects_t *self);
void group_effects_fini(group_effects_t *self);

typedef struct group group_t;

group_t *group_new(const group_limits_t *limits);
void group_destroy(group_t **self_p);

enum { GROUP_BARRIERS_MAX = 64 };

/* Before everything else, oldest barrier first: an offset per partition. */
void group_add_barrier(group_t *self, const uint64_t *offsets);

/* Recovery, per partition and before its first events: what is completed (copied), where reading
 * goes on for the events behind the frontier, and the keys that wait behind a parked event. */
void group_place(group_t *self, uint32_t partition, const completed_t *completed, uint64_t lsn);
void group_place_waiting(group_t *self, uint32_t partition, slice_t key);
/* Events that are parked already, so that the bounds count them. */
void group_place_parked(group_t *self, uint32_t partition, uint64_t count, uint64_t bytes);

/* Numbers of members are never used again: an old one's acknowledgements are refused (O8). */
void group_join(group_t *self, uint64_t member, const member_limits_t *limits);
/* `lost`: it did not say goodbye. The event that it has held longest then counts as tried, because
 * it may be what the member failed from. */
void group_leave(group_t *self, int64_t now_us, uint64_t member, bool lost,
                 group_effects_t *effects);
/* False: it gets nothing until further notice, since it does not take what it has been sent. */
void group_set_open(group_t *self, uint64_t member, bool open);

/* Whether there is room to read on, and nothing to wait for at a barrier; and from where. */
bool group_wants(group_t *self, uint32_t partition);
typedef struct group_place {
    uint64_t lsn;
    uint64_t offset;
} group_place_t;
group_place_t group_read_place(const group_t *self, uint32_t partition);
/* A stretch of a partition: a LIST of events, copied, and the size of each (uint32_t). Offsets that
 * were read before are passed over, and so is what is behind a barrier that is not passed, which is
 * to be read again; from there on they have no hole. MALFORMED. */
typedef struct group_stretch {
    uint32_t partition;
    slice_t events;
    slice_t sizes;
    uint64_t lsn_next;
} group_stretch_t;
CAPSTAN_MUST_CHECK capstan_err_t group_read(group_t *self, const group_stretch_t *stretch,
                                            group_effects_t *effects);

/* The member has processed what it holds of the partition from `first` (0: from the first) to
 * `last`, which it must hold. FENCED: no such member any more. NOT_HELD. `ret_count` is how many
 * events are done by it. */
CAPSTAN_MUST_CHECK capstan_err_t group_acknowledge(group_t *self, uint64_t member,
                                                   uint32_t partition, uint64_t first,
                                                   uint64_t last, uint64_t *ret_count,
                                                   group_effects_t *effects);

typedef struct group_rejection {
    uint64_t member;
    uint32_t partition;
    uint64_t offset;
    bool final;       /* it is parked without a further attempt */
    int64_t delay_us; /* before the next attempt; 0: as the limits say */
} group_rejection_t;

/* The member could not process an event. FENCED, NOT_HELD. */
CAPSTAN_MUST_CHECK capstan_err_t group_reject(group_t *self, int64_t now_us,
                                              const group_rejection_t *rejection,
                                              group_effects_t *effects);

/* A parked event is to be delivered once more; it stays on record until it is done. A key that
 * waits goes on once all its parked events have come back. EXISTS: it has. MALFORMED. */
CAPSTAN_MUST_CHECK capstan_err_t group_replay(group_t *self, uint32_t partition, slice_t event,
                                              group_effects_t *effects);
/* A parked event was given up: its record goes. MALFORMED; EXISTS: it is being delivered. */
CAPSTAN_MUST_CHECK capstan_err_t group_discard(group_t *self, uint32_t partition, slice_t event);

/* Delivers what can be delivered. To be called when a turn's inputs are through. */
void group_dispatch(group_t *self, int64_t now_us, group_effects_t *effects);
/* When group_dispatch should be called at the latest; INT64_MAX: nothing is due. */
int64_t group_due_us(const group_t *self);

/* What was completed since the last mark was taken: a set to be added to what the partition has
 * stored; false: nothing. Parked events are not among it, their records complete them. `ret_lsn` is
 * where reading goes on, which moves on while each of those records is in this mark or before it
 * (`all_parked`). The set is good until the next call. */
bool group_take_mark(group_t *self, uint32_t partition, bool all_parked,
                     const completed_t **ret_done, uint64_t *ret_lsn);
/* The mark that was taken last is on disk. */
void group_mark_stored(group_t *self, uint32_t partition);
/* The mark could not be stored: the next one says everything again, but for the parked events that
 * wait to be recorded, of which the caller tells one by one. */
void group_forget_mark(group_t *self, uint32_t partition);
void group_wait_for_record(group_t *self, uint32_t partition, uint64_t offset);

typedef struct group_figures {
    uint64_t members;
    uint64_t keys;       /* with unfinished events, or waiting */
    uint64_t unfinished; /* events in memory */
    uint64_t bytes;
    uint64_t held;     /* of them at members */
    uint64_t retrying; /* of them rejected, waiting for their time */
    uint64_t parked;
    uint64_t replayed; /* of them in memory, to be delivered again */
    uint64_t ranges;   /* above the frontiers */
    uint64_t completed;
    uint64_t passed_over; /* events that are not for this group */
    uint64_t
        refused; /* acknowledgements and rejections of what was not held, or under an old number */
} group_figures_t;

group_figures_t group_figures(const group_t *self);
uint64_t group_frontier(const group_t *self, uint32_t partition);

/* The invariants above. NULL when all hold, otherwise the name of the first that does not
 * (constant text, beginning with its number in the list of invariants). */
const char *group_check(const group_t *self);

#endif

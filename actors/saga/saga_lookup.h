/* Requests, events and children that wait until sagas have been read from the store. Internal to
 * saga/.
 *
 *   lanes (map by term) --> lane "i" id:   waiter -> waiter -> waiter   in the order of arrival;
 *                       --> lane "w" key:  waiter                       the first has asked
 *
 * What comes for an id whose lane exists stands at its end, though the saga may be in memory by
 * now: order per id is kept. A lane goes with its last waiter. */
#ifndef SAGA_SAGA_LOOKUP_H
#define SAGA_SAGA_LOOKUP_H

#include "runtime/base/buffer.h"
#include "runtime/base/map.h"

#include <capstan/actor.h>

enum {
    LOOKUP_ASKS_MAX = 256, /* under way; the others wait for their turn */
    LOOKUP_TERM_MAX = 512,
    LOOKUP_TERMS_MAX = 2, /* of a waiter */
};

typedef enum waiter_kind {
    WAITER_REQUEST,
    WAITER_FORK,  /* `body` is a saga_begin */
    WAITER_EVENT, /* `body` is its payload, as a value */
    WAITER_CHILD,
} waiter_kind_t;

typedef struct lookup_waiter {
    struct lookup_waiter *next;
    waiter_kind_t kind;
    capstan_message_t message; /* of a request; its body is `body` */
    size_t member;             /* of an event, as the next four */
    uint64_t subscription;
    uint64_t partition;
    uint64_t offset;
    uint64_t event_bytes;
    bool starts;     /* a definition starts by events of the topic */
    uint64_t parent; /* of a child */
    uint64_t task;
    size_t body_size;
    uint8_t body[];
} lookup_waiter_t;

typedef struct lane {
    lookup_waiter_t *first;
    lookup_waiter_t **last;
    struct lane *next_asking; /* in the list of those that want to ask */
    bool asking;
    bool answered; /* for its first waiter */
    capstan_err_t err;
    unsigned terms; /* asked for so far */
    size_t term_size;
    uint8_t term[];
} lane_t;

typedef struct lookup_ask {
    uint64_t correlation; /* 0: free */
    lane_t *lane;
} lookup_ask_t;

typedef struct lookups {
    map_t lanes;
    lane_t *asking_first;
    lane_t **asking_last;
    lookup_ask_t asks[LOOKUP_ASKS_MAX];
    size_t ask_count;
    size_t waiters;
    uint64_t reads;       /* under way whose rows may come to memory: nobody leaves it meanwhile */
    uint64_t due_ask;     /* snapshot_range, or snapshot_get of what it named */
    bool due_loads;       /* the latter */
    int64_t due_from_us;  /* terms before are done */
    int64_t due_until_us; /* of the run; 0: none runs */
    int64_t due_next_us;  /* monotonic: the next run */
    buffer_t due_after;   /* key behind which the term at `due_from_us` goes on */
    bool due_end;
} lookups_t;

struct saga_shell;

/* True when it is handled later. `id` is whose saga it is for. */
bool lookup_park_request(struct saga_shell *self, const capstan_message_t *message, slice_t id);
void lookup_park_fork(struct saga_shell *self, const capstan_message_t *request, slice_t id,
                      slice_t begin);
/* An event of a topic; it is always looked up. */
void lookup_park_event(struct saga_shell *self, const lookup_waiter_t *event, slice_t key,
                       slice_t payload);
void lookup_park_child(struct saga_shell *self, uint64_t parent, uint64_t task, slice_t id);
bool lookup_answer(struct saga_shell *self, const capstan_message_t *message);
void lookup_turn_end(struct saga_shell *self);
/* Whoever waits hears the error; the core goes. */
void lookup_forget(struct saga_shell *self, capstan_err_t err);
void lookup_fini(struct saga_shell *self);
/* Takes rows to memory, and counts those that were not there. STORE_CORRUPT: some cannot be read,
 * and are left alone. */
CAPSTAN_MUST_CHECK capstan_err_t lookup_load(struct saga_shell *self, slice_t rows,
                                             uint64_t *ret_count);

/* --- saga_due.c: sagas whose time comes are read again ------------------------------------------
 */

void due_tick(struct saga_shell *self);
bool due_answer(struct saga_shell *self, const capstan_message_t *message);

#endif

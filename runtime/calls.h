/* The calls of a cell: the asks of its actors that wait for an answer, the requests that its actors
 * have not answered yet, and which ask is made on behalf of which request. A pure core: time is an
 * argument; whoever drives it sends the messages that follow.
 *
 *   ask        pending --answer | deadline | withdrawn | asker's end--> ended, in calls_end, once
 *
 *   request    queued --begin--> working --answered | actor's end--> forgotten
 *                |  cancel          |  cancel
 *                v                  v
 *             withdrawn          cancelled --told to the actor--> forgotten
 *         (dropped unread)
 *
 *   party (an actor) --asks------> ask <-> ask        all that it asked
 *                    --requests--> request <-> ...    all that it was asked and did not answer
 *   request --------- children --> ask <-> ask        all that was asked on its behalf
 *
 * Entries are found by index, because both tables move when they grow. Growth that fails aborts, as
 * in buffer.h. Everything costs O(1), except that a table that is full is walked before it grows.
 */
#ifndef RUNTIME_CALLS_H
#define RUNTIME_CALLS_H

#include "runtime/timers.h"

#include <capstan/actor.h>

#define CALLS_NONE UINT32_MAX

/* Who asks and is asked. Embedded in an actor. */
typedef struct party {
    void *owner;
    uint32_t asks;
    uint32_t requests;
} party_t;

/* Its number, the correlation, is (generation << 32 | index + 1); a number that has ended is never
 * valid again within four billion uses of its entry. */
typedef struct ask {
    party_t *party;
    void *waiter; /* the caller's: a thread that waits */
    capstan_ref_t target;
    uint64_t timer;
    uint32_t generation;
    uint32_t next; /* of the party, or in the free list */
    uint32_t previous;
    uint32_t request; /* on whose behalf, or CALLS_NONE */
    uint32_t next_child;
    uint32_t previous_child;
    bool pending;
} ask_t;

typedef enum request_state {
    REQUEST_FREE,
    REQUEST_QUEUED,    /* its message waits in the actor's mailbox */
    REQUEST_WITHDRAWN, /* so, and it was cancelled */
    REQUEST_WORKING,   /* its actor has read it and not answered */
    REQUEST_CANCELLED, /* so, and it was cancelled, which the actor does not know yet */
    REQUEST_TOLD,      /* and now it is being told; nobody finds it any more */
} request_state_t;

typedef struct request {
    party_t *party; /* NULL: its actor has ended before it was told */
    capstan_ref_t sender;
    uint64_t correlation;
    int64_t deadline_us; /* 0: none */
    uint32_t next;       /* of the party, or in the free list */
    uint32_t previous;
    uint32_t next_found; /* in its bucket */
    uint32_t next_cancelled;
    uint32_t children;
    request_state_t state;
} request_t;

typedef struct calls {
    timers_t *timers;
    ask_t *asks;
    uint32_t ask_capacity;
    uint32_t ask_free;
    request_t *requests;
    uint32_t request_capacity; /* a power of two, or 0; so many buckets too */
    uint32_t request_free;
    uint32_t *buckets;
    uint32_t cancelled_head; /* in the order in which they were cancelled */
    uint32_t cancelled_tail;
} calls_t;

/* The deadlines of asks run in `timers`, without owner, with the correlation as cookie. */
void calls_init(calls_t *self, timers_t *timers);
void calls_fini(calls_t *self);
void party_init(party_t *self, void *owner);

/* --- asks ------------------------------------------------------------------------------------ */

typedef struct ask_terms {
    capstan_ref_t target;
    int64_t deadline_us;
    uint32_t request; /* on whose behalf, or CALLS_NONE */
    void *waiter;
} ask_terms_t;

/* Returns the correlation. */
uint64_t calls_ask(calls_t *self, party_t *party, const ask_terms_t *terms);
/* The pending ask of that number, or NULL. Valid until the next call of calls_ask. */
const ask_t *calls_find(const calls_t *self, uint64_t correlation);
/* Ends an ask, and hands out what it was. The only way an ask ends; whoever comes second gets
 * false. */
bool calls_end(calls_t *self, uint64_t correlation, ask_t *ret_ask);
/* A pending ask of the party, or made on behalf of the request; 0 when there is none. */
uint64_t calls_ask_of(const calls_t *self, const party_t *party);
uint64_t calls_child_of(const calls_t *self, uint32_t request);

/* --- requests -------------------------------------------------------------------------------- */

/* A request has come into the party's mailbox. CALLS_NONE when it wants no answer. */
uint32_t calls_queue(calls_t *self, party_t *party, const capstan_message_t *message,
                     int64_t now_us);
/* Its message has been taken out again. False: it was withdrawn, and is forgotten. */
bool calls_begin(calls_t *self, uint32_t request);
/* It was answered, or dropped. What was asked on its behalf goes on, on nobody's behalf. */
void calls_forget(calls_t *self, uint32_t request);
/* The request of that asker that is worked on, or CALLS_NONE. One that came twice over a network is
 * there twice; each is found when its own message has been read. */
uint32_t calls_find_request(const calls_t *self, capstan_ref_t sender, uint64_t correlation);
/* A request of the party, whatever its state; CALLS_NONE when there is none. */
uint32_t calls_request_of(const party_t *party);
/* Valid until the next call of calls_queue. */
const request_t *calls_request(const calls_t *self, uint32_t request);

/* The asker wants no answer any more, also not to a request that came twice. Does nothing when it
 * is not there (any more). */
void calls_cancel(calls_t *self, capstan_ref_t sender, uint64_t correlation);
bool calls_has_cancelled(const calls_t *self);
/* Takes the next request whose actor has to be told that it was cancelled; CALLS_NONE when there is
 * none. Nobody finds it any more; it stays until calls_forget. */
uint32_t calls_take_cancelled(calls_t *self);

#endif

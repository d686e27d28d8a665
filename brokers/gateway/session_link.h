/* The shell of one session, shared by its actor, its output and the gateway; see
 * gateway_internal.h for who holds it. Only the session's cell touches it. */
#ifndef GATEWAY_SESSION_LINK_H
#define GATEWAY_SESSION_LINK_H

#include "brokers/gateway/gateway_internal.h"
#include "brokers/gateway/session.h"

enum {
    BATCH_BYTES = 256 * 1024,  /* a batch to a peer is sealed when it holds this much */
    REQUESTS_MAX = 1024,       /* of one session that wait for an answer */
    SUBSCRIPTIONS_MAX = 64,    /* of one session */
    TELLS_MAX = 32,            /* rows of tells that a crowded receiver holds back */
    REQUEST_TTL_US = 30000000, /* of a request that names none */
    REQUEST_TTL_US_MAX = 600000000,
};

/* A sealed batch that the socket did not take yet. */
typedef struct out_batch {
    struct out_batch *next;
    size_t size;
    uint8_t data[];
} out_batch_t;

/* A message that waits for the peer's credit: events, or a message of a user's table. */
typedef struct delivery {
    struct delivery *next;
    uint64_t subscription;     /* whose events; 0: a user's message */
    capstan_message_t message; /* its body follows */
    uint8_t body[];
} delivery_t;

/* Messages of a peer to one receiver, that want no answer, in a row of link sequences. */
typedef struct tells {
    capstan_ref_t target;
    uint64_t first; /* 0: there are none */
    uint64_t last;
} tells_t;

/* A request to the peer that it has not answered. */
typedef struct asked {
    uint64_t number; /* its correlation towards the peer */
    capstan_ref_t sender;
    uint64_t correlation;
} asked_t;

/* What envelopes say that differ in nothing else. */
typedef struct same_tell {
    uint32_t message; /* 0: no such envelope went before */
    uint32_t slot;
    uint32_t generation;
} same_tell_t;

/* A request of the peer that another actor answers. */
typedef struct pending {
    uint64_t ask;         /* correlation towards the actor */
    uint64_t correlation; /* the peer's */
    uint64_t sequence;    /* its link sequence */
    uint32_t message;
    uint64_t subscription; /* that unsubscribe ends; 0: another request */
} pending_t;

typedef struct subscription {
    uint64_t number;
    capstan_ref_t actor;
    uint64_t passed; /* bytes of deliver bodies put into batches */
    uint64_t told;   /* of them the actor was told */
} subscription_t;

struct link {
    byte_entry_t by_name; /* first: found by it */
    gateway_t *gateway;   /* NULL once the gateway let go of it */
    gateway_t *shared;    /* the same until the end: what is freed by the last */
    capstan_actor_t *actor;
    capstan_ref_t ref;
    session_t *core;
    link_t *previous; /* in the gateway's sessions */
    link_t *next;
    link_t *next_dirty;
    bool dirty;
    bool publishes; /* it has published */

    char name[NAME_BYTES_MAX];
    uint64_t number; /* of the incarnation */
    origin_t origin;
    int64_t opened_us;

    buffer_t out; /* the batch under construction */
    batch_writer_t writer;
    uint64_t first_sequence; /* of its first delivery; 0: none */
    out_batch_t *waiting_head;
    out_batch_t *waiting_tail;
    size_t waiting_bytes;

    delivery_t *deliveries_head;
    delivery_t *deliveries_tail;
    uint64_t deliveries_bytes;

    pending_t *pending;
    size_t pending_count;
    size_t pending_capacity; /* grows with what really waits: most peers ask one at a time */
    subscription_t subscriptions[SUBSCRIPTIONS_MAX];
    size_t subscription_count;

    tells_t row;              /* of the batch that is being read */
    tells_t tells[TELLS_MAX]; /* which wait until their receivers are less crowded */
    size_t tells_count;
    asked_t *asked;
    size_t asked_count;
    size_t asked_capacity;
    same_tell_t last_tell; /* in the batch under construction */
    bool holding;          /* users' messages wait in the actor's mailbox */
    bool intake_stopped;   /* the peer grants nothing more */
};

/* session_actor.c */
extern const capstan_behaviour_t session_behaviour;
/* Ends a session: the gateway lets go of it and its actor is told to end. */
void link_end(link_t *self, end_reason_t why);
/* Frees a session whose actor could not be started. */
void session_abandon(link_t *self);
/* Ends it for an error, which the peer is told first. */
void link_break(link_t *self, gateway_fault_t fault, uint64_t correlation, capstan_err_t err,
                const char *text);
/* A credited request of the session's peer, its cancel, or an acknowledgement. */
void link_on_request(link_t *self, const envelope_t *envelope, slice_t body, uint64_t sequence);
void link_on_cancel(link_t *self, uint64_t correlation);
void link_on_acknowledge(link_t *self, uint32_t message, slice_t body);
/* The outcome of a message that wants no reply: it was refused. */
void link_reject(link_t *self, uint64_t sequence, capstan_err_t err);
void link_refuse_request(link_t *self, const envelope_t *envelope, uint64_t sequence,
                         capstan_err_t err, const char *text);
/* Asks in the peer's name; the answer goes to it. */
void link_ask(link_t *self, const envelope_t *envelope, slice_t body, uint64_t sequence,
              capstan_ref_t target);
/* Numbers a message that needs credit; false when the session has ended over it. */
bool link_take(link_t *self, const envelope_t *envelope, slice_t body, uint64_t *ret_sequence);

/* session_users.c: messages of users' own tables. */
/* One of the peer's, answers included. */
void users_on_message(link_t *self, const envelope_t *envelope, slice_t body);
/* Behind the messages of a batch. */
void users_end_batch(link_t *self);
/* resolve */
void users_on_resolve(link_t *self, const envelope_t *envelope, slice_t body, uint64_t sequence);
/* One for the peer. */
void users_deliver(link_t *self, const capstan_message_t *message);
/* The asker of a request to the peer wants no answer any more. */
void users_cancelled(link_t *self, capstan_ref_t sender, uint64_t correlation);
/* A request to the peer has an asker still. */
bool users_is_asked(const link_t *self, uint64_t number);
/* Gives credit back for what crowded receivers have taken; false when some is still held back. */
bool users_settle(link_t *self);
/* Lets the actor handle users' messages, or not: whenever credit or room has changed. */
void users_pace(link_t *self);

/* session_output.c */
void link_emit(link_t *self, const envelope_t *envelope, slice_t body);
void link_emit_failure(link_t *self, uint64_t correlation, capstan_err_t err, const char *text);
/* A user's message, within the peer's credit; else it waits for that. */
void link_deliver_user(link_t *self, const capstan_message_t *message);
bool link_may_deliver(const link_t *self);
/* Sends a delivery as soon as the peer's credit allows. */
void link_deliver(link_t *self, subscription_t *subscription, slice_t body);
/* Sends what there is. It may end the session. */
void link_flush(link_t *self);
void link_output_fini(link_t *self);
subscription_t *link_subscription(link_t *self, uint64_t number);

static inline slice_t link_name(const link_t *self)
{
    return self->by_name.key;
}

#endif

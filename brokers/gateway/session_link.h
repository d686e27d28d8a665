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
    REQUEST_TTL_US = 30000000, /* of a request that names none */
    REQUEST_TTL_US_MAX = 600000000,
};

/* A sealed batch that the socket did not take yet. */
typedef struct out_batch {
    struct out_batch *next;
    size_t size;
    uint8_t data[];
} out_batch_t;

/* A deliver body that waits for the peer's credit. */
typedef struct delivery {
    struct delivery *next;
    uint64_t subscription;
    size_t size;
    uint8_t body[];
} delivery_t;

/* A request of the peer that another actor answers. */
typedef struct pending {
    uint64_t ask;         /* correlation towards the actor */
    uint64_t correlation; /* the peer's */
    uint64_t sequence;    /* its link sequence */
    uint32_t message;
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
void link_on_acknowledge(link_t *self, slice_t body);
void link_reject(link_t *self, uint64_t sequence, capstan_err_t err);

/* session_output.c */
void link_emit(link_t *self, const envelope_t *envelope, slice_t body);
void link_emit_failure(link_t *self, uint64_t correlation, capstan_err_t err, const char *text);
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

/* What the gateway's actor, its sessions' actors and its routes share. All of them run on one
 * cell, so they share plain structs; nothing here is touched by another thread.
 *
 *   gateway_t --connections[fd]--> connection_t --session--> link_t <--state-- session actor
 *       |  ^                                                   |
 *       |  +-------------------- gateway ----------------------+
 *       +-- names (peer's name -> link_t), dirty (link_t that have something to send)
 *       +-- routes (topic -> partition actors)
 *
 * A link_t belongs to its session's actor and is freed when that ends. The gateway lets go of it
 * earlier, in link_end: from then on it is in no list of the gateway. The gateway_t is freed by the
 * last of its actors to end. */
#ifndef GATEWAY_GATEWAY_INTERNAL_H
#define GATEWAY_GATEWAY_INTERNAL_H

#include "actors/ordering/ordering_messages.h"
#include "brokers/gateway/byte_index.h"
#include "brokers/gateway/gateway.h"
#include "brokers/gateway/gateway_events.h"
#include "brokers/gateway/gateway_messages.h"
#include "brokers/gateway/gateway_metrics.h"
#include "brokers/gateway/memory_guard.h"
#include "runtime/runtime.h"
#include "runtime/wire/batch.h"

#include <capstan/trace.h>
#include <zmq.h>

typedef enum gateway_fault {
#define FAULT(name, meaning) FAULT_##name,
#include "brokers/gateway/gateway_faults.def"
#undef FAULT
    FAULT_COUNT
} gateway_fault_t;

typedef enum end_reason {
#define END_REASON(name, meaning) END_REASON_##name,
#include "brokers/gateway/gateway_ends.def"
#undef END_REASON
    END_REASON_COUNT
} end_reason_t;

enum {
    NAME_BYTES_MAX = 128,    /* of peers and topics */
    KEY_BYTES_MAX = 1024,    /* of events */
    ROUTING_BYTES_MAX = 255, /* ZMTP's limit */
    PEER_MESSAGES = 0x66,    /* numbers below it can come from a peer, if they have a permission */
};

typedef struct gateway gateway_t;
typedef struct link link_t;
typedef struct routes routes_t;

/* Where a message came from. The descriptor finds the connection; a routing id alone would not
 * tell when its connection ended. */
typedef struct origin {
    int fd;
    uint8_t routing_size;
    uint8_t routing[ROUTING_BYTES_MAX];
} origin_t;

/* The newest connection of a descriptor. The monitor tells of descriptors in the order of their
 * lives, so an ACCEPTED begins a new connection and ends whatever session the earlier one had. */
typedef struct connection {
    bool alive;
    link_t *session;
} connection_t;

/* What is counted by kind; the rest are metrics. */
typedef struct gateway_figures {
    uint64_t ends[END_REASON_COUNT];
    uint64_t faults[FAULT_COUNT];
} gateway_figures_t;

/* Which messages may come from a peer by reference, and to whom the last one went. */
typedef struct users_rules {
    bool learnt;
    size_t tables; /* that were registered when the kinds were learnt */
    uint8_t kinds[0x10000 - WIRE_REFERENCE_ID_MIN]; /* 0: a user's of no registered table, any will
                                                       do */
    capstan_ref_t last;                             /* may be sent to */
    uint64_t asked; /* number of the last request to a peer. It begins anywhere, so that an answer
                       to another session's, or to an earlier node's, finds nothing */
} users_rules_t;

struct gateway {
    unsigned holders;       /* actors that have it */
    capstan_actor_t *actor; /* NULL once it has ended */
    const gateway_settings_t *settings;
    uint64_t event_bytes_max;
    capstan_ref_t topics;
    capstan_ref_t status;
    gateway_describe_fn *describe;
    void *describe_context;
    void (*release)(void *context);
    void *release_context;
    uint64_t node;
    uint32_t boot;
    char endpoint[288];

    void *router; /* NULL while the memory watchdog keeps it closed; so is the monitor */
    void *monitor;
    connection_t *connections; /* by descriptor */
    size_t connection_count;

    byte_index_t names;
    link_t *sessions;
    size_t session_count;
    link_t *dirty;
    uint64_t heartbeat_timer;
    uint64_t retry_timer; /* 0: nothing waits for the socket */
    bool intake_stopped;  /* nothing is read from peers any more */

    int statm; /* /proc/self/statm; -1: not open */
    uint64_t memory_timer;
    memory_guard_t memory;
    uint64_t resident; /* bytes, at the last check */
    unsigned reopen_failures;

    routes_t *routes;
    buffer_t scratch; /* one body under construction at a time */
    gateway_figures_t figures;
    const wire_record_t *rows[PEER_MESSAGES]; /* by message number; NULL: no such row */
    users_rules_t users;
};

/* gateway_socket.c */
CAPSTAN_MUST_CHECK capstan_err_t gateway_socket_open(gateway_t *self, const char *endpoint,
                                                     char *ret_text, size_t text_size);
/* Ends every connection and forgets it; accepts a socket that opened halfway. */
void gateway_socket_close(gateway_t *self);
/* Reads nothing more; what is sent goes out. When the socket is closed, what peers have not been
 * sent yet has a moment left. */
void gateway_socket_stop_intake(gateway_t *self);
/* How many connections there are, greeted or not. */
size_t gateway_socket_connections(const gateway_t *self);
/* Takes one message; false when there is none. `ret_batch` is initialised and to be closed.
 * `ret_frames` is false when it was not [routing id, batch]; the batch is then empty. */
bool gateway_socket_receive(gateway_t *self, origin_t *ret_origin, zmq_msg_t *ret_batch,
                            bool *ret_frames);
/* Sends one batch. MAILBOX_FULL: the peer's pipe is full; GONE: its connection has ended. */
CAPSTAN_MUST_CHECK capstan_err_t gateway_socket_send(gateway_t *self, const origin_t *to,
                                                     slice_t batch);
/* Takes what the monitor knows: descriptors come and go, sessions end with theirs. */
void gateway_socket_events(gateway_t *self);
connection_t *gateway_connection(gateway_t *self, int fd);

/* gateway_memory.c */
void gateway_memory_start(gateway_t *self);
void gateway_memory_stop(gateway_t *self);
/* On self->memory_timer. */
void gateway_memory_check(gateway_t *self);

/* gateway_actor.c */
void gateway_release(gateway_t *self);
/* A stranger or a session broke the protocol: counted and logged. */
void gateway_fault(gateway_t *self, gateway_fault_t fault, const origin_t *origin,
                   const link_t *session, capstan_err_t err);
/* Answers where there is no session, or where it has just ended; what is not taken is lost. */
void gateway_answer(gateway_t *self, const origin_t *to, const envelope_t *envelope, slice_t body);
void gateway_answer_failure(gateway_t *self, const origin_t *to, uint64_t correlation,
                            capstan_err_t err, const char *text);
void gateway_answer_not_greeted(gateway_t *self, const origin_t *to);
void gateway_mark_dirty(gateway_t *self, link_t *session);
void gateway_flush(gateway_t *self);

/* gateway_status.c */
void gateway_status_json(const gateway_t *self, buffer_t *out);

/* gateway_hello.c */
void gateway_on_hello(gateway_t *self, const origin_t *origin, const envelope_t *envelope,
                      slice_t body);

/* session_users.c: looks at the tables that are registered; before a batch is read. */
void users_learn(gateway_t *self);

/* gateway_routes.c: topic -> partition actors. */
routes_t *routes_new(gateway_t *gateway);
void routes_destroy(routes_t **self_p);
/* Passes a publish on, parks it until its topic is resolved, or rejects it. */
void routes_publish(routes_t *self, link_t *session, uint64_t sequence, slice_t body);
/* Hands over what was gathered of it: before anything else is done for a peer, and behind what came
 * at once. */
void routes_flush(routes_t *self);
/* An answer to topic_resolve; false when it is none of ours. */
bool routes_on_answer(routes_t *self, const capstan_message_t *message);
/* A session has ended: what it has parked is dropped. */
void routes_forget(routes_t *self, const link_t *session);
/* The body of topic_moved. */
void routes_on_moved(routes_t *self, slice_t body);
/* It has ended: its topic is asked for again. */
void routes_forget_partition(routes_t *self, capstan_ref_t partition);

#endif

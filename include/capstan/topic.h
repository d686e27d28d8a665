/* Topics: ordered, durable events of a node, published and consumed inside its process.
 *
 * An event has a key; events of one key are delivered in the order in which they were accepted. A
 * topic has partitions, and a key lies in one of them. A program that hosts a node opens the topics
 * of a store once; then any of its threads and actors publish, and handlers of its own consume as
 * members of groups (group.h). Peers (gateway.h) reach the same topics; it is the same protocol
 * that they speak (docs/protocol.md), without a socket.
 *
 *   err = capstan_topics_open(node, &(capstan_topics_options_t){.path = "shop.db"}, text, size);
 *   err = capstan_topic_ensure(node, "orders", NULL, &orders);
 *   err = capstan_node_publish(node, orders,
 *                              &(capstan_event_t){.key = capstan_slice_text("Ada"),
 *                                                 .payload = order},
 *                              1000000, &outcome); */
#ifndef CAPSTAN_TOPIC_H
#define CAPSTAN_TOPIC_H

#include <capstan/node.h>

/* --- the topics of a node -------------------------------------------------------------------- */

/* 0 stands for the default; what a value means and may be is in docs/config.md, under `store.path`
 * and `ordering.NAME`. */
typedef struct capstan_topics_options {
    const char *path; /* of the store, one file; its folder exists. NULL: capstan.db */
    uint64_t topics_max;
    uint64_t event_bytes_max;
    uint64_t hold_ms_max;
    uint64_t group_attempts_max; /* of groups whose policy says nothing else */
    uint64_t group_retry_ms_min;
    uint64_t group_retry_ms_max;
    uint32_t publishes_max;     /* published and not answered yet, from here; 0: 65,536 */
    uint64_t publish_bytes_max; /* of them; 0: 64 MiB */
} capstan_topics_options_t;

/* Opens a store, made when there is none, and recovers what is in it; once per node, before its
 * gateway is opened, whose peers then reach the topics too. Starts the actors `journal`,
 * `journal-reader`, `topics`, `saga` and `publisher`, on cells of their own, which end with the
 * node. From a thread that is no cell; blocks. `options` may be NULL. On failure `ret_text` (may be
 * NULL, with size 0) says what, where and what to do; when something had started already, the node
 * is to be stopped.
 * Errors: CONFIG (a value), EXISTS (they are open), STORE_LOCKED, STORE_PERMISSION, STORE_NEWER,
 * STORE_CORRUPT, STORE_IO, and those of capstan_node_spawn. */
CAPSTAN_API CAPSTAN_MUST_CHECK capstan_err_t
capstan_topics_open(capstan_node_t *node, const capstan_topics_options_t *options, char *ret_text,
                    size_t text_size);

typedef enum capstan_sequence {
    CAPSTAN_SEQUENCE_PRODUCER = 1, /* the source numbers each key's events 1, 2, 3 ...: what arrives
                                      twice is recognised, what arrives early is held */
    CAPSTAN_SEQUENCE_ARRIVAL = 2,  /* they are taken as they arrive */
} capstan_sequence_t;

/* 0: what the topic has; for a new one 16 partitions (at most 256), and ARRIVAL. */
typedef struct capstan_topic_options {
    uint32_t partitions;
    capstan_sequence_t sequence;
} capstan_topic_options_t;

/* A topic; the node owns it and frees it with itself. */
typedef struct capstan_topic capstan_topic_t;

/* Makes a topic, or finds the one that exists. `name` is 1 to 128 letters, digits and . _ - .
 * `options` may be NULL. From a thread that is no cell; blocks until the topic is on disk.
 * Errors: UNSUPPORTED (the topics are not open), INVALID (the name, an option), TOPIC_DIFFERS (it
 * exists with another definition), LIMIT (topics_max), the store's, STOPPING. */
CAPSTAN_API CAPSTAN_MUST_CHECK capstan_err_t
capstan_topic_ensure(capstan_node_t *node, const char *name, const capstan_topic_options_t *options,
                     capstan_topic_t **ret_topic);

/* The epoch of a producer in a topic of producers' sequences, for the events that it publishes.
 * `take_over` issues a new one, which fences every older one; the numbering goes on. From a thread
 * that is no cell; blocks. Errors: INVALID (1 to 128 bytes of UTF-8), the store's, STOPPING. */
CAPSTAN_API CAPSTAN_MUST_CHECK capstan_err_t capstan_producer_open(capstan_node_t *node,
                                                                   const capstan_topic_t *topic,
                                                                   const char *producer,
                                                                   bool take_over,
                                                                   uint64_t *ret_epoch);

/* --- events ---------------------------------------------------------------------------------- */

typedef struct capstan_header {
    capstan_slice_t name; /* UTF-8 */
    capstan_slice_t value;
} capstan_header_t;

typedef struct capstan_event {
    capstan_slice_t key;      /* 1 to 1,024 bytes */
    capstan_slice_t producer; /* UTF-8; topics of producers' sequences want it, and `sequence` */
    uint64_t producer_epoch;  /* 0: not fenced until one was issued */
    uint64_t sequence;        /* of the producer and key, from 1 */
    int64_t time_us;          /* of the event, UTC; 0: none */
    capstan_slice_t content_type; /* UTF-8; may be empty */
    const capstan_header_t *headers;
    size_t header_count;
    capstan_slice_t payload;
    int64_t not_before_us; /* UTC; it is stored at once, and put in order when this time has come;
                              topics of producers' sequences refuse it; 0: none */
} capstan_event_t;

/* What became of a published event. Whatever is not UNKNOWN or REJECTED is on disk. */
typedef enum capstan_result {
    CAPSTAN_RESULT_UNKNOWN = 0, /* perhaps stored: publish it again; if it has a sequence and was
                                   stored, it is a duplicate then; in a topic that is numbered by
                                   arrival within ordering.retry_horizon_ms (docs/config.md) */
    CAPSTAN_RESULT_STORED = 1,
    CAPSTAN_RESULT_DUPLICATE = 2, /* it was stored or held before */
    CAPSTAN_RESULT_HELD = 3,      /* until those of its key that precede it have arrived */
    CAPSTAN_RESULT_REJECTED = 4,  /* nothing was stored */
    CAPSTAN_RESULT_DIVERTED = 5,  /* late, or its sequence had been given up: it is kept apart */
    CAPSTAN_RESULT_DROPPED = 6,   /* late: only its identity was kept */
} capstan_result_t;

typedef struct capstan_outcome {
    capstan_result_t result;
    capstan_err_t reason; /* of REJECTED and UNKNOWN */
} capstan_outcome_t;

/* --- publishing ------------------------------------------------------------------------------
 *
 * Events of one key that one thread, or one actor, publishes in one of the three ways are accepted
 * in that order. At most publishes_max are unanswered at a time: more are refused with NO_CREDIT,
 * the sign to wait for what is under way. */

/* Publishes from inside a handler of `self`; never blocks. The event is copied. It is a
 * capstan_ask: one answer comes through `receive`, with the correlation. Errors: INVALID (an
 * argument that is not as above), TOO_LARGE, NOT_UTF8, and those of capstan_ask. */
CAPSTAN_API CAPSTAN_MUST_CHECK capstan_err_t capstan_publish(capstan_actor_t *self,
                                                             const capstan_topic_t *topic,
                                                             const capstan_event_t *event,
                                                             int64_t timeout_us,
                                                             uint64_t *ret_correlation);
/* True when `message` is the answer to a capstan_publish; an ask that ended without one is
 * UNKNOWN. To be called with the messages whose correlation is that of a publish. */
CAPSTAN_API bool capstan_message_is_outcome(const capstan_message_t *message,
                                            capstan_outcome_t *ret_outcome);

/* Publishes from a thread that is no cell, and waits for the outcome. Errors: as in
 * capstan_publish; TIMEOUT, GONE and STOPPING leave the outcome unknown, UNAVAILABLE too. */
CAPSTAN_API CAPSTAN_MUST_CHECK capstan_err_t capstan_node_publish(capstan_node_t *node,
                                                                  const capstan_topic_t *topic,
                                                                  const capstan_event_t *event,
                                                                  int64_t timeout_us,
                                                                  capstan_outcome_t *ret_outcome);

/* Told of the outcome, on the publisher's cell: it must not block, and may publish again. */
typedef void capstan_published_fn(void *context, const capstan_outcome_t *outcome);

/* Publishes from any thread, and never blocks. The event is copied. After CAPSTAN_OK `published`
 * (may be NULL) is called exactly once, during capstan_node_stop at the latest, and possibly before
 * this returns; after an error it is not called. Errors: INVALID, TOO_LARGE, NOT_UTF8, NO_CREDIT,
 * GONE, STOPPING. */
CAPSTAN_API CAPSTAN_MUST_CHECK capstan_err_t capstan_node_publish_async(
    capstan_node_t *node, const capstan_topic_t *topic, const capstan_event_t *event,
    capstan_published_fn *published, void *context);

#endif

/* Keyed actors: one for each key, made by the first message to its key.
 *
 * A kind of keyed actors has a name ("account"); a key is any bytes. The keys of a kind are spread
 * over the node's worker cells by their hash, and one key is always on the same cell, so that at
 * most one actor of a key lives at a time and messages from one sender to one key keep their order.
 *
 * An actor that has had no message for a while is saved and put to rest: its `save` hands out its
 * state as bytes, it ends, and the next message to its key starts it again from them. One with
 * pending asks, timers, watched descriptors or unanswered requests is not put to rest. The saved
 * bytes are kept in memory and do not survive the process; one that fails is started again by the
 * next message, from what was saved last. One that ends normally by itself is forgotten, with what
 * was saved of it.
 *
 *   static capstan_err_t init(capstan_actor_t *self, void *argument)
 *   {
 *       const capstan_keyed_start_t *start = argument;   // valid until init returns
 *       ... start->key, start->saved (empty at first), start->argument ...
 *   } */
#ifndef CAPSTAN_KEYED_H
#define CAPSTAN_KEYED_H

#include <capstan/node.h>

enum { CAPSTAN_KEY_BYTES_MAX = 1024 };

/* What `init` of a keyed actor gets as its argument. */
typedef struct capstan_keyed_start {
    capstan_slice_t key;
    capstan_slice_t saved; /* empty: it starts for the first time */
    void *argument;
} capstan_keyed_start_t;

/* A kind; the node owns it and frees it with itself. */
typedef struct capstan_keyed capstan_keyed_t;

typedef struct capstan_keyed_options {
    const char *name;                     /* of the kind; rules as for an actor's name */
    const capstan_behaviour_t *behaviour; /* must live as long as the node */
    void *argument;                       /* in each start; must live as long as the node */
    /* Puts the state into memory from malloc(), which the node frees; runs between two handlers on
     * the actor's cell. After an error the actor stays awake. NULL: actors are never put to rest.
     */
    capstan_err_t (*save)(capstan_actor_t *self, void **ret_data, size_t *ret_size);
    int64_t rest_us;           /* without a message for so long, an actor rests; 0: 60 s */
    uint64_t keys_max;         /* awake and resting; 0: 1,000,000 per worker cell */
    uint32_t mailbox_messages; /* of each actor; 0: 1,024 */
    uint64_t mailbox_bytes;    /* 0: 1 MiB */
    bool drop_oldest;          /* a full mailbox drops its oldest message instead of the newest */
} capstan_keyed_options_t;

/* Makes a kind. From a thread that is no cell; blocks until its keepers run. Errors: EXISTS,
 * INVALID (the name, the limits), and those of capstan_node_spawn; the name is still free when
 * there was nothing left for a cell. */
CAPSTAN_API CAPSTAN_MUST_CHECK capstan_err_t capstan_keyed_new(
    capstan_node_t *node, const capstan_keyed_options_t *options, capstan_keyed_t **ret_keyed);

/* The kind of that name. Any thread. Errors: NOT_FOUND. */
CAPSTAN_API CAPSTAN_MUST_CHECK capstan_err_t capstan_keyed_find(capstan_node_t *node,
                                                                const char *name,
                                                                capstan_keyed_t **ret_keyed);

/* As capstan_tell and capstan_ask, to the actor of a key. A message that does not fit the actor's
 * mailbox is dropped and counted (a request is answered MAILBOX_FULL). A message for a new key
 * beyond keys_max, or whose actor fails in init, is dropped; a request is answered LIMIT, or with
 * the error of init. Errors: INVALID (a key of 0 or more than 1,024 bytes), MAILBOX_FULL. */
CAPSTAN_API CAPSTAN_MUST_CHECK capstan_err_t capstan_keyed_tell(capstan_actor_t *self,
                                                                const capstan_keyed_t *keyed,
                                                                capstan_slice_t key,
                                                                uint32_t message,
                                                                capstan_slice_t body);
CAPSTAN_API CAPSTAN_MUST_CHECK capstan_err_t capstan_keyed_ask(
    capstan_actor_t *self, const capstan_keyed_t *keyed, capstan_slice_t key, uint32_t message,
    capstan_slice_t body, int64_t timeout_us, uint64_t *ret_correlation);

/* The same from a thread that is no cell: capstan_node_tell and capstan_node_ask. */
CAPSTAN_API CAPSTAN_MUST_CHECK capstan_err_t capstan_node_keyed_tell(capstan_node_t *node,
                                                                     const capstan_keyed_t *keyed,
                                                                     capstan_slice_t key,
                                                                     uint32_t message,
                                                                     capstan_slice_t body);
CAPSTAN_API CAPSTAN_MUST_CHECK capstan_err_t capstan_node_keyed_ask(
    capstan_node_t *node, const capstan_keyed_t *keyed, capstan_slice_t key, uint32_t message,
    capstan_slice_t body, int64_t timeout_us, void **ret_body, size_t *ret_size);

/* How many keys of the kind are awake and how many rest. Any thread; the figures are of slightly
 * different instants. */
typedef struct capstan_keyed_figures {
    uint64_t awake;
    uint64_t resting;
    uint64_t wakes;   /* starts from saved bytes */
    uint64_t rests;   /* times that an actor was put to rest */
    uint64_t refused; /* messages for keys beyond keys_max, or whose actor failed in init */
} capstan_keyed_figures_t;
CAPSTAN_API capstan_keyed_figures_t capstan_keyed_figures(const capstan_keyed_t *keyed);

#endif

/* Keyed actors inside the runtime. A kind has a keeper on each worker cell; a keeper hands a
 * message on to the actor of its key, which lives on the same cell, and makes it when there is
 * none.
 *
 *   sender --keyed_deliver{key, message, body}--> keeper --message--> actor of the key
 *                                                 key_table
 *
 * The actor answers the sender directly: a request is handed on with its sender, correlation and
 * deadline. Nothing here is durable. */
#ifndef RUNTIME_KEYED_H
#define RUNTIME_KEYED_H

#include "runtime/key_table.h"
#include "runtime/local_actor.h"

#include <capstan/keyed.h>

/* The keyed actor has ended; called by its cell in place of a message to the keeper. */
void keyed_ended(capstan_actor_t *actor);
/* A handler that the keeper called, of a keyed actor, has not returned, and that actor has ended.
 * Hands out what the handler may still read, if anything; to be freed by key_entry_free. */
struct key_entry *keyed_interrupted(capstan_actor_t *keeper);
/* Frees the kinds of a node, after its last actor has ended. */
void keyed_free_all(capstan_keyed_t *first);

#endif

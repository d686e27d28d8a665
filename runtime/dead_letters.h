/* Dead letters: who wants to hear of the messages that were sent and not delivered. Internal to
 * runtime/. Told by the cell that dropped one; nobody is told of a dead letter's own loss. */
#ifndef RUNTIME_DEAD_LETTERS_H
#define RUNTIME_DEAD_LETTERS_H

#include "runtime/slot.h"

#include <pthread.h>

enum {
    DEAD_LETTER_SUBSCRIBERS_MAX = 8,
    DEAD_LETTER_BODY_MAX = 256, /* of a body; the rest is cut off */
};

typedef struct dead_letters {
    /* Relaxed: a drop at the very moment of a subscription may go untold. */
    _Atomic uint32_t count;
    pthread_mutex_t mutex;
    capstan_ref_t subscribers[DEAD_LETTER_SUBSCRIBERS_MAX];
} dead_letters_t;

void dead_letters_init(dead_letters_t *self);
void dead_letters_fini(dead_letters_t *self);
dead_letters_t *node_dead_letters(capstan_node_t *node);

/* The cell's thread: the message was dropped. */
void dead_letters_tell(cell_t *cell, const capstan_message_t *message, drop_reason_t reason);

#endif

/* An actor as its cell sees it. Everything here belongs to the cell's thread. Internal to
 * runtime/. */
#ifndef RUNTIME_LOCAL_ACTOR_H
#define RUNTIME_LOCAL_ACTOR_H

#include "runtime/slot.h"

struct capstan_actor {
    cell_t *cell;
    slot_t *slot;
    capstan_ref_t ref;
    const capstan_behaviour_t *behaviour;
    void *state;
    capstan_actor_t *next_ready;
    capstan_actor_t *next_turned;
    capstan_actor_t *next_dead;
    capstan_actor_t *previous; /* all actors of the cell, newest first */
    capstan_actor_t *next;
    capstan_ref_t *watchers;
    size_t watcher_count;
    size_t watcher_capacity;
    uint32_t ask_head; /* its pending asks */
    uint32_t timer_count;
    bool ready;    /* in the ready list */
    bool turned;   /* in the turned list */
    bool running;  /* one of its handlers is on the stack */
    bool stopping; /* it has heard `stop` */
    bool exiting;
    bool dead; /* ended; its memory stays until the end of the turn */
    capstan_err_t reason;
};

capstan_err_t cell_adopt(cell_t *self, slot_t *slot, const capstan_behaviour_t *behaviour,
                         void *argument);
void cell_stop_actor(capstan_actor_t *actor);
/* One queued message of the actor; false when its queue is empty. */
bool actor_run_one(capstan_actor_t *self);
void actor_run_turn_end(capstan_actor_t *self);
void actor_run_timer(capstan_actor_t *self, uint64_t timer, void *cookie);
void actor_run_ready(capstan_actor_t *self, void *cookie);
/* Hands the actor a message that went through no mailbox: the end of its own ask. */
void actor_run_answer(capstan_actor_t *self, const capstan_message_t *message);
/* Frees the actors that ended in this turn. */
void cell_bury(cell_t *self);

#endif

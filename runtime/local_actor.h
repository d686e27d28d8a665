/* An actor as its cell sees it. Everything here belongs to the cell's thread. Internal to
 * runtime/. */
#ifndef RUNTIME_LOCAL_ACTOR_H
#define RUNTIME_LOCAL_ACTOR_H

#include "runtime/calls.h"
#include "runtime/park.h"
#include "runtime/refs.h"
#include "runtime/slot.h"

/* What two actors are to each other, seen from one of them. */
enum {
    LINK_WATCHES = 1, /* it wants to hear of the other's end */
    LINK_WATCHED = 2, /* the other wants to hear of its end */
    LINK_TIED = 4,    /* each ends when the other fails */
    LINK_PARENT = 8,  /* the other supervises it, and hears when it has started */
    LINK_ALL = 15,
};

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
    refs_t links;                      /* see actor_links.c */
    park_t *park;                      /* NULL until it first waits, or is waited for */
    struct key_entry *key;             /* of a keyed actor; NULL: it is none */
    party_t party;                     /* its calls */
    const capstan_message_t *handling; /* the request whose handler runs, until it is answered */
    uint32_t timer_count;
    struct timer_names *timer_names; /* of those it had before it moved, if any; see move.h */
    uint64_t kill_timer;             /* ends it when it does not stop in time; 0: none */
    struct waiter *spawner;          /* a thread that waits for its start; NULL: there is none */
    uint32_t failed_message;         /* whose handler failed; 0: it was no message's */
    bool ready;                      /* in the ready list */
    bool turned;                     /* in the turned list */
    bool running;                    /* one of its handlers is on the stack */
    bool traced;                     /* so, and it has a trace context of its own */
    bool outside;                    /* it stands for a peer: see outside.h */
    bool held;                       /* so, and it handles no user message */
    bool intake_stopped;             /* it was to hear `stop_intake` */
    bool stopping;                   /* it has heard `stop` */
    bool exiting;
    bool quiet;       /* its failure is told in another way than by the log */
    bool starting;    /* its init has run, and it will say itself when it has started */
    bool started;     /* who waits for that has been told */
    bool dead;        /* ended; its memory stays until the end of the turn */
    bool unborn;      /* its init has not run yet, and nothing else of it does */
    bool inner;       /* its handlers are the runtime's own code, which is not interrupted */
    bool interrupted; /* so it ended: the thread may still be inside */
    capstan_err_t reason;
};

/* A new actor: its slot is taken. */
typedef struct adoption {
    slot_t *slot;
    const capstan_behaviour_t *behaviour;
    void *argument;
    capstan_ref_t parent; /* who is bound to it from its beginning */
    uint32_t bonds;       /* LINK_..., 0 without a parent */
    bool answered;        /* who spawned it gets the error of its init, and nothing else of it */
    uint32_t restarts;    /* how often its supervisor has started it again */
} adoption_t;
/* Among many actors each message touches memory that no cache holds. It is fetched before it is
 * needed, all of it at once, instead of line by line where each is first used. NULL: nothing is. */
static inline void actor_fetch(const capstan_actor_t *self)
{
    for (size_t at = 0; self && at < sizeof *self; at += CACHE_LINE) {
        __builtin_prefetch((const char *)self + at, 1);
    }
}

/* Sends in the actor's name. A receiver that parks its senders may hold the message back, and the
 * actor with it. */
capstan_err_t actor_route(capstan_actor_t *self, const capstan_message_t *message, bool always);
/* Runs init, of an actor that is there or is made now; one whose init fails has ended when this
 * returns. */
capstan_err_t cell_adopt(cell_t *self, const adoption_t *adoption);
/* The actor is there at once, but its init runs when the running handler has returned: so a child
 * whose init hangs does not take its supervisor with it. What is sent to it meanwhile waits. */
void cell_adopt_later(cell_t *self, const adoption_t *adoption);
/* As capstan_spawn, for supervisors: bound to `self` from its beginning, whose `started` and `down`
 * tell how it goes; nothing of it is logged. */
capstan_err_t actor_spawn_child(capstan_actor_t *self, const capstan_behaviour_t *behaviour,
                                const capstan_spawn_options_t *options, uint32_t restarts,
                                capstan_ref_t *ret_ref);
/* Ends it at once; not from inside one of its handlers. */
void actor_end(capstan_actor_t *self, capstan_err_t reason);
/* Ends one whose handler another thread is inside; `message` is what that handles, or 0. */
void actor_end_interrupted(capstan_actor_t *self, uint32_t message);
/* It answers the request no more: another actor of the cell does. */
void request_handed_on(capstan_actor_t *self, const capstan_message_t *request);
/* As capstan_actor_exit, when the reason has been logged. */
void actor_exit_told(capstan_actor_t *self, capstan_err_t reason);
/* Its name, or its behaviour's. */
const char *actor_label(const capstan_actor_t *self);
/* Its supervisor has started it again. */
bool actor_is_restart(const capstan_actor_t *self);
/* Who supervises it; the null reference when nobody does. */
capstan_ref_t actor_parent(const capstan_actor_t *self);
/* Lets it hear `stop`; from the deadline on it is ended between two handlers, INT64_MAX: never. */
void cell_stop_intake(capstan_actor_t *actor);
void cell_stop_actor(capstan_actor_t *actor, int64_t timeout_us);
/* One queued message of the actor; false when there is none that it may handle. */
bool actor_run_one(capstan_actor_t *self);
bool actor_has_work(const capstan_actor_t *self);
void actor_run_turn_end(capstan_actor_t *self);
void actor_run_timer(capstan_actor_t *self, uint64_t timer, void *cookie);
void actor_run_ready(capstan_actor_t *self, void *cookie);
typedef capstan_err_t actor_save_fn(capstan_actor_t *self, void **ret_data, size_t *ret_size);
capstan_err_t actor_run_save(capstan_actor_t *self, actor_save_fn *save, void **ret_data,
                             size_t *ret_size);
/* Hands the actor a message that went through no mailbox: the end of its own ask. */
void actor_run_answer(capstan_actor_t *self, const capstan_message_t *message);
/* What an actor's links make of a message. */
typedef enum links_answer {
    LINKS_DELIVER, /* it is for its `receive` */
    LINKS_TAKEN,
    LINKS_END, /* one that it is linked with has failed */
} links_answer_t;
links_answer_t actor_take_control(capstan_actor_t *self, const capstan_message_t *message);
/* Tells all who have an interest that it has ended. */
void actor_tell_end(capstan_actor_t *self);
void actor_run_cancelled(capstan_actor_t *self, capstan_ref_t sender, uint64_t correlation);
/* Frees the actors that ended in this turn. */
void cell_bury(cell_t *self);

#endif

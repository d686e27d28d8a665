/* A world for cores, which have no actors of the runtime around them (those have
 * <capstan/simulation.h>), in virtual time and on one thread: hosts that crash and restart, actors
 * with the real mailbox core, and a network that loses, doubles, delays and reorders. Everything
 * follows from one seed: two runs of a seed take the same steps, and core_world_hash says so.
 *
 *   same host:   send -> reserve -> (delay, in order) -> push -> turn: take, receive, done
 *   other host:  send -> network (faults, cuts) -> reserve -> push -> turn: ...
 *
 * An actor's turn handles a few messages and then calls turn_end, as a cell does. A crash ends the
 * incarnation of every actor on the host: its queue is dropped as `stopped`, its timers and what
 * was on its way inside the host are gone, and replies to it find nobody. Memory of the actors is
 * the caller's business. */
#ifndef SIMULATION_CORE_WORLD_H
#define SIMULATION_CORE_WORLD_H

#include "runtime/base/slice.h"
#include "runtime/mailbox.h"
#include "runtime/simulation/random.h"

typedef struct core_world core_world_t;

typedef struct core_actor {
    void (*receive)(void *context, const capstan_message_t *message);
    void (*timer)(void *context, uint64_t cookie);
    void (*turn_end)(void *context); /* may be NULL */
} core_actor_t;

typedef struct network_faults {
    uint32_t loss; /* per mille, as are the next two */
    uint32_t duplicate;
    uint32_t reorder;
    int64_t delay_us_min;
    int64_t delay_us_max;
    int64_t reorder_us_max; /* how much later a reordered message comes */
} network_faults_t;

/* Told of each message that is handed to its receiver. `ordinal` counts the messages of one sender
 * to one receiver as they were sent, from 1. `ordered`: the path promises their order. */
typedef void core_world_delivered_fn(void *context, uint32_t from, uint32_t to, uint64_t ordinal,
                                     bool ordered);

core_world_t *core_world_new(uint64_t seed);
/* Drops everything that is queued or under way; what remains allocated then is a defect of the
 * simulation or of the actors. */
void core_world_destroy(core_world_t **self_p);

uint32_t core_world_add_host(core_world_t *self);
/* Returns the actor's slot: 0, 1, 2 ... */
uint32_t core_world_add_actor(core_world_t *self, uint32_t host, const core_actor_t *behaviour,
                              void *context, mailbox_limits_t limits);
void core_world_set_faults(core_world_t *self, const network_faults_t *faults);
void core_world_on_delivered(core_world_t *self, core_world_delivered_fn *delivered, void *context);

int64_t core_world_now(const core_world_t *self);
random_source_t *core_world_random(core_world_t *self);

/* Sends to `target.slot`: to that incarnation, or with generation 0 to whoever runs there.
 * `always` is for replies, as in the runtime. Between hosts, `ordered` is a connection: it loses
 * what a cut or a crash takes, but neither doubles nor reorders. Within a host every send is
 * ordered. False: the mailbox is full (same host only; a remote sender hears nothing). */
typedef struct core_send {
    uint32_t from;
    capstan_ref_t target;
    uint32_t message;
    uint64_t correlation;
    bool always;
    bool ordered;
} core_send_t;
bool core_world_send(core_world_t *self, const core_send_t *send, slice_t body);

/* Fires once, unless the actor's incarnation has ended by then. */
void core_world_timer(core_world_t *self, uint32_t slot, int64_t after_us, uint64_t cookie);
/* Calls a function of the world's own (a fault, an observation). */
typedef void core_world_call_fn(void *context, uint64_t argument);
void core_world_at(core_world_t *self, int64_t at_us, core_world_call_fn *call, void *context,
                   uint64_t argument);

void core_world_crash(core_world_t *self, uint32_t host);
void core_world_restart(core_world_t *self, uint32_t host);
bool core_world_is_up(const core_world_t *self, uint32_t host);
capstan_ref_t core_world_ref(const core_world_t *self, uint32_t slot);
/* Nothing passes between the two until then. */
void core_world_cut(core_world_t *self, uint32_t host, uint32_t other, int64_t until_us);

/* Takes the next step; false when there is none. */
bool core_world_step(core_world_t *self);

uint32_t core_world_actor_count(const core_world_t *self);
mailbox_account_t core_world_account(const core_world_t *self, uint32_t slot);
/* Messages that the actor's mailbox has counted as sent and nobody has handled yet: in its queue
 * and on their way inside the host. Found by walking them, independently of every counter. */
uint64_t core_world_in_flight(const core_world_t *self, uint32_t slot);

/* Mixes a word into the hash of the run. The steps mix themselves. */
void core_world_mix(core_world_t *self, uint64_t word);
uint64_t core_world_hash(const core_world_t *self);

#endif

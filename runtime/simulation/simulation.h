/* A world in virtual time, on one thread: hosts that crash and restart, actors with the real
 * mailbox core, and a network that loses, doubles, delays and reorders. Everything follows from
 * one seed: two runs of a seed take the same steps, and simulation_hash says so.
 *
 *   same host:   send -> reserve -> (delay, in order) -> push -> turn: take, receive, done
 *   other host:  send -> network (faults, cuts) -> reserve -> push -> turn: ...
 *
 * An actor's turn handles a few messages and then calls turn_end, as a cell does. A crash ends the
 * incarnation of every actor on the host: its queue is dropped as `stopped`, its timers and what
 * was on its way inside the host are gone, and replies to it find nobody. Memory of the actors is
 * the caller's business. */
#ifndef SIMULATION_SIMULATION_H
#define SIMULATION_SIMULATION_H

#include "runtime/base/slice.h"
#include "runtime/mailbox.h"
#include "runtime/simulation/random.h"

typedef struct simulation simulation_t;

typedef struct simulated {
    void (*receive)(void *context, const capstan_message_t *message);
    void (*timer)(void *context, uint64_t cookie);
    void (*turn_end)(void *context); /* may be NULL */
} simulated_t;

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
typedef void simulation_delivered_fn(void *context, uint32_t from, uint32_t to, uint64_t ordinal,
                                     bool ordered);

simulation_t *simulation_new(uint64_t seed);
/* Drops everything that is queued or under way; what remains allocated then is a defect of the
 * simulation or of the actors. */
void simulation_destroy(simulation_t **self_p);

uint32_t simulation_add_host(simulation_t *self);
/* Returns the actor's slot: 0, 1, 2 ... */
uint32_t simulation_add_actor(simulation_t *self, uint32_t host, const simulated_t *behaviour,
                              void *context, mailbox_limits_t limits);
void simulation_set_faults(simulation_t *self, const network_faults_t *faults);
void simulation_on_delivered(simulation_t *self, simulation_delivered_fn *delivered, void *context);

int64_t simulation_now(const simulation_t *self);
random_source_t *simulation_random(simulation_t *self);

/* Sends to `target.slot`: to that incarnation, or with generation 0 to whoever runs there.
 * `always` is for replies, as in the runtime. Between hosts, `ordered` is a connection: it loses
 * what a cut or a crash takes, but neither doubles nor reorders. Within a host every send is
 * ordered. False: the mailbox is full (same host only; a remote sender hears nothing). */
typedef struct simulated_send {
    uint32_t from;
    capstan_ref_t target;
    uint32_t message;
    uint64_t correlation;
    bool always;
    bool ordered;
} simulated_send_t;
bool simulation_send(simulation_t *self, const simulated_send_t *send, slice_t body);

/* Fires once, unless the actor's incarnation has ended by then. */
void simulation_timer(simulation_t *self, uint32_t slot, int64_t after_us, uint64_t cookie);
/* Calls a function of the world's own (a fault, an observation). */
typedef void simulation_call_fn(void *context, uint64_t argument);
void simulation_at(simulation_t *self, int64_t at_us, simulation_call_fn *call, void *context,
                   uint64_t argument);

void simulation_crash(simulation_t *self, uint32_t host);
void simulation_restart(simulation_t *self, uint32_t host);
bool simulation_is_up(const simulation_t *self, uint32_t host);
capstan_ref_t simulation_ref(const simulation_t *self, uint32_t slot);
/* Nothing passes between the two until then. */
void simulation_cut(simulation_t *self, uint32_t host, uint32_t other, int64_t until_us);

/* Takes the next step; false when there is none. */
bool simulation_step(simulation_t *self);

uint32_t simulation_actor_count(const simulation_t *self);
mailbox_account_t simulation_account(const simulation_t *self, uint32_t slot);
/* Messages that the actor's mailbox has counted as sent and nobody has handled yet: in its queue
 * and on their way inside the host. Found by walking them, independently of every counter. */
uint64_t simulation_in_flight(const simulation_t *self, uint32_t slot);

/* Mixes a word into the hash of the run. The steps mix themselves. */
void simulation_mix(simulation_t *self, uint64_t word);
uint64_t simulation_hash(const simulation_t *self);

#endif

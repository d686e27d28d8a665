/* Who does the work: participants, their senders, and the commands that are out. Internal to saga/.
 *
 *   participants: name --> senders: each a window, and queues by priority of what waits for it
 *   commands (map by saga, task, phase): waiting in a queue, or out at its sender
 *
 * A saga's commands go to the sender that its number and the sender's reference hash highest with:
 * to the same one as long as that is there, and when one goes only its sagas go elsewhere. A
 * command whose attempt has expired leaves the window, and is known until its saga has ended, so
 * that a late answer to it is heard. */
#ifndef SAGA_SAGA_PARTICIPANTS_H
#define SAGA_SAGA_PARTICIPANTS_H

#include "actors/saga/plan.h"
#include "runtime/base/map.h"

#include <capstan/actor.h>

enum {
    PARTICIPANT_WINDOW = 1000,
    PARTICIPANT_WINDOW_MAX = 10000,
    PARTICIPANT_SENDERS_MAX = 256,
    PARTICIPANTS_MAX = 10000,
    PARTICIPANT_PRIORITIES = 10,
    PARTICIPANT_BATCH_BYTES = 256 << 10,
};

typedef enum command_state {
    COMMAND_WAITS,
    COMMAND_OUT,
    COMMAND_EXPIRED,
} command_state_t;

typedef struct command {
    uint64_t number;
    uint64_t task;
    uint64_t phase;
    uint64_t attempt;
    struct participant *participant;
    struct sender *sender;
    command_state_t state;
    unsigned priority;
    struct command *next; /* in a queue */
    int64_t timeout_us;
    int64_t expires_us; /* monotonic, of one that is out */
    void *data;         /* the record, while it waits */
    size_t size;
} command_t;

typedef struct command_queue {
    command_t *first;
    command_t *last;
} command_queue_t;

typedef struct sender {
    capstan_ref_t ref;
    uint64_t window;
    uint64_t out;
    uint64_t waiting;
    command_queue_t queues[PARTICIPANT_PRIORITIES];
} sender_t;

typedef struct participant {
    char name[PLAN_NAME_MAX + 1];
    sender_t **senders;
    size_t count;
} participant_t;

typedef struct participants {
    participant_t **list;
    size_t count;
    map_t commands;
    uint64_t waiting_counted; /* in the metric */
    uint64_t waiting;
    size_t sweep; /* position in `commands` */
    int64_t sweep_next_us;
    int64_t refused_told_us; /* monotonic: when the log was last told of results that cannot be */
} participants_t;

struct saga_shell;

/* saga_participants.c */
void participants_open(struct saga_shell *self, const capstan_message_t *message);
/* A command whose intent is on disk; its bytes are taken. */
void participants_command(struct saga_shell *self, slice_t name, void *data, size_t size);
void participants_down(struct saga_shell *self, capstan_ref_t sender);
/* The core was thrown away; senders stay. */
void participants_forget(struct saga_shell *self);
void participants_fini(struct saga_shell *self);
command_t *command_find(const participants_t *self, const command_t *identity);
/* It is not in a queue. */
void command_leave(participants_t *self, command_t *command);
/* NULL: it does not do this participant's work. */
sender_t *participant_sender(const participant_t *self, capstan_ref_t ref);

/* saga_commands.c */
void participants_results(struct saga_shell *self, const capstan_message_t *message);
void participants_turn_end(struct saga_shell *self);
void participants_tick(struct saga_shell *self);

#endif

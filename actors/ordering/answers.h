/* What a partition owes: answers that wait until what they depend on is on disk, in order.
 *
 * Publishes are answered with one `outcomes` message per session and commit; requests with a reply
 * of their own. */
#ifndef ORDERING_ANSWERS_H
#define ORDERING_ANSWERS_H

#include "actors/ordering/ordering_messages.h"
#include "runtime/wire/wire_messages.h"

#include <capstan/actor.h>

typedef struct answer {
    capstan_ref_t to;
    uint64_t correlation; /* of a publish: its link sequence */
    uint64_t lsn;         /* due once everything below this lsn is on disk */
    uint64_t result;      /* of a publish: event_result_t; 0: a request, answered by `reply` */
    capstan_err_t err;
    uint32_t reply; /* message number */
    uint64_t value; /* of group_stored: the group's place in the partition's list, plus 1, or 0;
                       of scheduled_cancelled: how many events */
} answer_t;

typedef struct answers {
    answer_t *ring; /* capacity is a power of two */
    size_t capacity;
    size_t head;
    size_t count;
    size_t publishes; /* of them */
} answers_t;

void answers_fini(answers_t *self);
void answers_add(answers_t *self, const answer_t *answer);

/* Takes the oldest answer if it is due. */
bool answers_take(answers_t *self, uint64_t lsn_committed, answer_t *ret_answer);

/* Groups outcomes by session and joins neighbouring sequences. */
typedef struct outcome_group {
    capstan_ref_t session;
    buffer_t bytes;
    codec_list_writer_t list;
    outcome_t range; /* the last one, still growing; first is 0 when there is none */
} outcome_group_t;

typedef struct outcome_groups {
    outcome_group_t *groups;
    size_t count;    /* in use */
    size_t capacity; /* that own a buffer */
} outcome_groups_t;

void outcome_groups_add(outcome_groups_t *self, const answer_t *answer);
/* Sends each session its list, and empties the groups. */
void outcome_groups_send(outcome_groups_t *self, capstan_actor_t *actor);
void outcome_groups_fini(outcome_groups_t *self);

#endif

/* The predicates of a participant's inbox (S4, S6, S8), over what was seen of one task: effects
 * that came to be, and answers. An answer may be seen behind the effects of later commands. For
 * tests and simulations of whatever participant. */
#ifndef KIT_INBOX_CHECK_H
#define KIT_INBOX_CHECK_H

#include "actors/saga/inbox.h"

/* A zeroed one has seen nothing. */
typedef struct inbox_seen {
    unsigned effects;    /* of the action */
    unsigned undos;      /* of the compensation */
    bool closed;         /* it was said that the action has no effect and never will */
    bool failed;         /* the action failed for good */
    bool answered[3];    /* `done`, by phase - 1 */
    uint64_t results[3]; /* hash of what went with it */
} inbox_seen_t;

/* The action, or its compensation, has its effect (once more). NULL: it may; else which rule says
 * that it may not. */
const char *inbox_check_effect(inbox_seen_t *self, inbox_phase_t phase);

/* It was answered; what is answered of an effect comes behind that. `heard` is the greatest epoch
 * that the participant was told before, `epoch` the command's. */
const char *inbox_check_answer(inbox_seen_t *self, const participant_result_t *result,
                               uint64_t heard, uint64_t epoch);

#endif

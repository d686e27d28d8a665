/* What both shells of a participant share: commands go in, answers come out, and in between they
 * are done, many in one transaction. Knows no actor and no peer. One thread.
 *
 *   worker_add(from, body) --> queue --worker_work--> answers --worker_answer--> to `from`
 *
 * A transaction takes what is queued, up to a bound; its answers count when it is committed. So a
 * burst costs one wait for the disk, and a single command waits for nobody else. When a transaction
 * is lost (a full disk, a handler that made SQLite end it), its commands are tried once more, each
 * in one of its own, so that one of them does not hold up the others. What is lost again is not
 * answered: it may be on the disk after all, and `failed` would say too much. The coordinator sends
 * it again. */
#ifndef SAGA_PARTICIPANT_WORK_H
#define SAGA_PARTICIPANT_WORK_H

#include "actors/saga/saga_messages.h"

#include <capstan/participant.h>

typedef struct worker worker_t;

/* Checks the options, and opens the inbox. `options` is copied, but for strings that only the
 * shells use. Errors: those of capstan_participant_start. */
CAPSTAN_MUST_CHECK capstan_err_t worker_new(const capstan_participant_options_t *options,
                                            worker_t **ret_worker, char *ret_text,
                                            size_t text_size);
void worker_destroy(worker_t **self_p);

/* The body of `participant_open`; lives as long as the worker. */
slice_t worker_opening(const worker_t *self);
/* The body of `participant_opened`: its epoch is the least that is heard from now on; on disk when
 * this returns without an error. Errors: MALFORMED and the codec's, STALE_EPOCH (a greater one was
 * heard), the store's. */
CAPSTAN_MUST_CHECK capstan_err_t worker_opened(worker_t *self, slice_t body);

/* Takes the body of `participant_commands`, which is copied. Also from inside a handler. */
void worker_add(worker_t *self, capstan_ref_t from, slice_t body);
/* Does a transaction of what is queued; nothing from inside a handler. Returns how many commands it
 * had. */
size_t worker_work(worker_t *self);
/* Whether something is left in the queue. */
bool worker_has_work(const worker_t *self);

/* The oldest body of `participant_results` that is to be sent; false: there is none. */
bool worker_answer(const worker_t *self, capstan_ref_t *ret_to, slice_t *ret_body);
void worker_answered(worker_t *self);

#endif

/* Where the rows of an inbox lie: in a database of SQLite that the program's handler writes too, on
 * disk or in memory. One thread; every function blocks.
 *
 *   begin -- epoch -- (get -- [protect -- the handler writes -- keep | undo] -- put)* -- commit
 *
 * After an error of anything here the transaction is to be rolled back: nothing of it counts.
 * Errors: STORE_FULL, STORE_IO, STORE_LOCKED,
 * STORE_PERMISSION, STORE_CORRUPT, STORE_NEWER, NO_MEMORY. */
#ifndef SAGA_PARTICIPANT_STORE_H
#define SAGA_PARTICIPANT_STORE_H

#include "actors/saga/inbox.h"

#include <sqlite3.h>

typedef struct inbox_store inbox_store_t;

/* `path` NULL: in memory. On failure `ret_text` says what and where. */
CAPSTAN_MUST_CHECK capstan_err_t inbox_store_open(const char *path, inbox_store_t **ret_store,
                                                  char *ret_text, size_t text_size);
void inbox_store_close(inbox_store_t **self_p);

sqlite3 *inbox_store_database(const inbox_store_t *self);

/* Begins to write; waits a few seconds for another process that does. `ret_epoch`: the greatest one
 * that was heard. */
CAPSTAN_MUST_CHECK capstan_err_t inbox_store_begin(inbox_store_t *self, uint64_t *ret_epoch);
CAPSTAN_MUST_CHECK capstan_err_t inbox_store_set_epoch(inbox_store_t *self, uint64_t epoch);
/* On disk when it returns without an error. */
CAPSTAN_MUST_CHECK capstan_err_t inbox_store_commit(inbox_store_t *self);
void inbox_store_rollback(inbox_store_t *self);

/* The task's row, NONE when there is none. Its slices live until the next call of this. */
CAPSTAN_MUST_CHECK capstan_err_t inbox_store_get(inbox_store_t *self, const saga_command_t *task,
                                                 inbox_row_t *ret_row);
CAPSTAN_MUST_CHECK capstan_err_t inbox_store_put(inbox_store_t *self, const saga_command_t *task,
                                                 const inbox_row_t *row, int64_t now_us);

/* What is written between `protect` and `undo` is undone; `keep` leaves it in the transaction.
 * Meanwhile no statement can end that, but an error of SQLite's may have, which these then return.
 */
CAPSTAN_MUST_CHECK capstan_err_t inbox_store_protect(inbox_store_t *self);
CAPSTAN_MUST_CHECK capstan_err_t inbox_store_keep(inbox_store_t *self);
CAPSTAN_MUST_CHECK capstan_err_t inbox_store_undo(inbox_store_t *self);

/* Forgets rows that were last changed more than `retention_us` ago: of the next `count` ones, in
 * the order of their keys, and from the first again. Once it has seen them all, it has nothing to
 * do until the oldest that is left is due. */
CAPSTAN_MUST_CHECK capstan_err_t inbox_store_forget(inbox_store_t *self, int64_t now_us,
                                                    int64_t retention_us, uint64_t count);

#endif

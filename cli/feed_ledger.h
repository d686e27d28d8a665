/* The ledger of `capstan feed`: CSV with the columns line,key,seq,action,outcome, a line for each
 * row as soon as its fate is known.
 *   action   sent | duplicate (an injected copy) | dropped | bad
 *   outcome  stored | held | diverted | late | duplicate | rejected:NAME; empty for dropped; what
 * is wrong for bad */
#ifndef CLI_FEED_LEDGER_H
#define CLI_FEED_LEDGER_H

#include "cli/feed_input.h"

typedef struct feed_ledger feed_ledger_t;

/* Opens `path` for writing, `-` is stdout. NULL when that fails; errno says why. */
feed_ledger_t *feed_ledger_open(const char *path);
/* False when not everything could be written. NULL may be closed. */
bool feed_ledger_close(feed_ledger_t **self_p);

/* A NULL ledger takes everything and writes nothing. */
void feed_ledger_row(feed_ledger_t *self, const feed_row_t *row, const char *outcome);
void feed_ledger_rejected(feed_ledger_t *self, const feed_row_t *row, capstan_err_t err);
void feed_ledger_dropped(feed_ledger_t *self, const feed_row_t *row);
void feed_ledger_bad(feed_ledger_t *self, const feed_bad_t *bad);

#endif

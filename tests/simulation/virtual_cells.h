/* The real cells of a real node, in virtual time and on one thread: a platform whose clock is the
 * test's, and whose cells take a turn when the test says so. Batches go through ZeroMQ, at once and
 * in order. Whoever waits for a cell lets all of them take a turn. */
#ifndef SIMULATION_VIRTUAL_CELLS_H
#define SIMULATION_VIRTUAL_CELLS_H

#include "runtime/node_internal.h"

/* What passes while someone waits: called instead of the wait, as often as it takes. */
typedef void virtual_wait_fn(void *context);

/* One node at a time, of the thread that calls this. */
CAPSTAN_MUST_CHECK capstan_err_t virtual_node_new(const capstan_node_options_t *options,
                                                  int64_t now_us, virtual_wait_fn *wait,
                                                  void *context, capstan_node_t **ret_node);
int64_t virtual_now(void);
void virtual_advance(int64_t by_us);
/* One turn of a cell, which reads this from its clock. */
bool virtual_turn(cell_t *cell, int64_t clock_us);

#endif

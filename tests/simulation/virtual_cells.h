/* The real cells of a real node, in virtual time and on one thread: nothing of the runtime is
 * rebuilt. The linker hands the calls of our own code to the functions here (--wrap):
 *
 *   clock_gettime             gives the virtual time
 *   cell_start_thread         makes no thread: virtual_turn takes the cell's turns
 *   pthread_cond_(timed)wait  whoever waits for a cell lets all of them take a turn
 *   pthread_timedjoin_np      runs a cell to its end, once it was told to end
 *
 * Only the thread that called virtual_begin is meant; libzmq's threads and the log's are real. A
 * foreign thread's ask needs a thread of its own and is not possible. */
#ifndef SIMULATION_VIRTUAL_CELLS_H
#define SIMULATION_VIRTUAL_CELLS_H

#include "runtime/cell.h"

/* What passes while someone waits: called instead of the wait, as often as it takes. */
typedef void virtual_wait_fn(void *context);

void virtual_begin(int64_t now_us, virtual_wait_fn *wait, void *context);
void virtual_end(void);
int64_t virtual_now(void);
void virtual_advance(int64_t by_us);
/* One turn of a cell, which reads this from its clock. */
bool virtual_turn(cell_t *cell, int64_t clock_us);

#endif

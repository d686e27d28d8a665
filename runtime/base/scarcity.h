/* What a process runs out of: descriptors and threads, asked for before somebody needs them who
 * cannot take a refusal. What was there a moment ago may be taken by another thread by now: nothing
 * that can report an error itself is to be asked for here. */
#ifndef BASE_SCARCITY_H
#define BASE_SCARCITY_H

#include <capstan/error.h>

/* Whether `count` more descriptors can be opened, 64 at most. Errors: NO_DESCRIPTOR, NO_MEMORY,
 * SYSTEM. */
CAPSTAN_MUST_CHECK capstan_err_t descriptors_check(unsigned count);
/* Whether `count` more threads with stacks of the usual size can run at once, 8 at most; takes some
 * 20 us for each. Errors: NO_THREAD. */
CAPSTAN_MUST_CHECK capstan_err_t threads_check(unsigned count);

/* What a call that made a descriptor left in errno. Errors: as of descriptors_check. */
CAPSTAN_MUST_CHECK capstan_err_t descriptor_error(int number);

#endif

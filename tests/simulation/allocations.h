/* How many blocks of memory were handed out and not given back. The linker has to put the
 * functions of allocations.c before the allocator's (--wrap). */
#ifndef SIMULATION_ALLOCATIONS_H
#define SIMULATION_ALLOCATIONS_H

#include <stdint.h>

int64_t allocations(void);

#endif

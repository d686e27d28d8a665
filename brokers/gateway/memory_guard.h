/* The core of the memory watchdog: when every connection is closed, and when the listener opens
 * again. Pure: the caller reads the resident memory and keeps the time.
 *
 * A reset frees whatever connections can hold, so another one is of use only for memory that came
 * since. Therefore: reset when the process holds more than `bytes_max`, and at least a quarter of
 * `bytes_max` more than the least it held since the last reset. Where the memory is not the
 * gateway's, there is one reset and then one per further quarter: backing off in bytes, not in
 * time, keeps a stranger bounded also while something else is too large. In all,
 *
 *        resident <= max(bytes_max, what a reset leaves + bytes_max / 4) + what comes between
 * checks
 */
#ifndef GATEWAY_MEMORY_GUARD_H
#define GATEWAY_MEMORY_GUARD_H

#include <stdbool.h>
#include <stdint.h>

/* Sockets are closed, and their messages freed, by libzmq's threads: the listener stays closed for
 * at least three checks, and for as long as the memory still falls, up to twenty. */
enum {
    MEMORY_GUARD_CLOSED_MIN = 3,
    MEMORY_GUARD_CLOSED_MAX = 20,
};

typedef struct memory_guard {
    uint64_t bytes_max;
    uint64_t lowest;   /* resident, since the last reset; 0 before the first */
    uint64_t previous; /* resident at the check before, while closed */
    unsigned checks;   /* since it closed */
} memory_guard_t;

/* While open, at each check: true when it is time for a reset. */
bool memory_guard_is_over(memory_guard_t *self, uint64_t resident);
/* The reset has begun. */
void memory_guard_close(memory_guard_t *self, uint64_t resident);
/* While closed, at each check: true when the listener is to open. What is held then counts as what
 * the reset left. */
bool memory_guard_has_settled(memory_guard_t *self, uint64_t resident);

#endif

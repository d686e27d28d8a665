/* Erasing what the events of a key say: payload, headers, content type. What orders them stays:
 * key, offset, producer and sequence, so that nobody sees a hole and duplicates are recognised.
 * Pure. */
#ifndef ORDERING_ERASE_H
#define ORDERING_ERASE_H

#include "actors/ordering/ordering_messages.h"
#include "runtime/base/buffer.h"

/* True: the event is of the key and was not erased before. */
bool erase_concerns(slice_t event, slice_t key);
/* Appends the record `event` without what it says. MALFORMED. */
CAPSTAN_MUST_CHECK capstan_err_t erase_event(slice_t event, buffer_t *out);
/* The record `parked`, whose event is of the key. */
CAPSTAN_MUST_CHECK capstan_err_t erase_parked(slice_t parked, buffer_t *out);
/* A record of a partition's log. When it says something of the key, what is left of it is appended
 * to `out`; `count` is raised by the events of the log that are in it, without those that a group
 * has parked. MALFORMED. */
CAPSTAN_MUST_CHECK capstan_err_t erase_record(uint64_t kind, slice_t data, slice_t key,
                                              buffer_t *out, uint64_t *count);

#endif

/* What the simulated shell does about keys that are in the store only; part of it. */
#ifndef TESTS_ORDERING_LOOKUP_H
#define TESTS_ORDERING_LOOKUP_H

#include "tests/simulation/ordering_world.h"

/* True when the message is handled later. */
bool lookup_take(sim_shell_t *self, const capstan_message_t *message);
/* The rows have been read. */
void lookup_timer(sim_shell_t *self);
void lookup_turn_end(sim_shell_t *self);
void lookup_stop(sim_shell_t *self);

/* At once: what the record is about is in memory then. */
void lookup_for_record(sim_shell_t *self, uint32_t record, slice_t data);
/* Rows of keys that the core does not have in memory. */
typedef void lookup_row_fn(void *context, slice_t name, slice_t value);
void lookup_cold_rows(const sim_shell_t *self, lookup_row_fn *add, void *context);
/* What the store says was accepted of a key that is not in memory. */
uint64_t lookup_accepted(const sim_shell_t *self, slice_t producer, slice_t key);

#endif

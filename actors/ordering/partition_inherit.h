/* The records `inherited` of a partition's log. Internal to the partition's core. */
#ifndef ORDERING_PARTITION_INHERIT_H
#define ORDERING_PARTITION_INHERIT_H

#include "actors/ordering/partition_state.h"

/* STORE_CORRUPT. */
CAPSTAN_MUST_CHECK capstan_err_t inherited_load(partition_t *self, slice_t data);

/* Whether another partition has the key after the change. */
bool key_leaves(const partition_share_t *share, slice_t key);

#endif

/* Which of a number of partitions a key belongs to: the same in every process, for ever. */
#ifndef BASE_KEY_PARTITION_H
#define BASE_KEY_PARTITION_H

#include "runtime/base/slice.h"

#include <stdint.h>
#include <xxhash.h>

static inline uint64_t key_partition(slice_t key, uint64_t partitions)
{
    return XXH64(key.data, key.size, 0) % partitions;
}

#endif

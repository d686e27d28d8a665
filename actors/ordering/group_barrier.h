/* What holds back a group's reading. Internal to the group's core. */
#ifndef ORDERING_GROUP_BARRIER_H
#define ORDERING_GROUP_BARRIER_H

#include "actors/ordering/group.h"

typedef struct group_barriers {
    uint64_t *offsets; /* one per partition, barrier after barrier */
    size_t count;
    size_t passed;
    uint32_t reached; /* partitions that have come to the next one: from 0 to here */
    uint64_t waiting; /* keys that are WAITING */
} group_barriers_t;

/* A partition's frontier as it is on disk. */
typedef struct group_marked {
    uint64_t taken; /* with the last mark */
    uint64_t stored;
} group_marked_t;

/* The last offset that may be read of the partition now. */
uint64_t group_read_limit(group_t *self, uint32_t partition);
struct group_event;
/* In the order of a key's events. */
bool group_event_is_behind(const struct group_event *event, const struct group_event *other);
/* How many barriers the event is behind. */
uint8_t group_generation(const group_t *self, uint32_t partition, uint64_t offset);

#endif

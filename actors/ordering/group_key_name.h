/* What a group and its members find an event's key by. By the group's mode that is the event's own
 * key, its partition, or its place: then each event is a key of its own. */
#ifndef ORDERING_GROUP_KEY_NAME_H
#define ORDERING_GROUP_KEY_NAME_H

#include "actors/ordering/group.h"
#include "runtime/base/map.h"

typedef struct group_key_name {
    uint64_t hash;
    uint64_t place[2]; /* partition and offset */
    slice_t key;       /* without data: so many bytes of the place are the name */
} group_key_name_t;

static inline slice_t group_key_name_bytes(const group_key_name_t *name)
{
    return name->key.data ? name->key : slice_of(name->place, name->key.size);
}

/* `key` must outlive the name. */
static inline group_key_name_t group_key_name(group_mode_t mode, const uint8_t hash_seed[16],
                                              uint32_t partition, uint64_t offset, slice_t key)
{
    group_key_name_t name = {.place = {partition, offset}, .key = key};
    if (mode == GROUP_BY_PARTITION) {
        name.key = (slice_t){.size = sizeof name.place[0]};
    } else if (mode == GROUP_UNORDERED) {
        name.key = (slice_t){.size = sizeof name.place};
    }
    name.hash = siphash13(hash_seed, 0, group_key_name_bytes(&name));
    return name;
}

#endif

/* What leaves the coordinator's actor once everything that was appended before it is on disk (S3):
 * replies, commands, acknowledgements of events. A queue in the order in which it came about.
 * Internal to saga/. */
#ifndef SAGA_SAGA_OWED_H
#define SAGA_SAGA_OWED_H

#include "runtime/base/slice.h"

#include <capstan/actor.h>

typedef enum owed_kind {
    OWED_REPLY,
    OWED_COMMAND,
    OWED_ACKNOWLEDGE, /* an event of a topic */
    OWED_RESTS,       /* a saga: who waits for its end hears of it */
    OWED_ALERT,
} owed_kind_t;

typedef struct owed_item {
    owed_kind_t kind;
    uint64_t lsn; /* everything below it is to be on disk */
    capstan_ref_t to;
    uint64_t correlation;
    uint32_t message; /* of a reply */
    uint64_t number;  /* of a saga; of a member: its subscription */
    slice_t participant;
    size_t member;
    uint64_t partition;
    uint64_t offset;
    uint64_t event_bytes;
    void *data; /* body of the reply, record of the command; owned */
    size_t size;
} owed_item_t;

typedef struct owed {
    owed_item_t *list;
    size_t first;
    size_t end;
    size_t capacity;
} owed_t;

/* `data` is copied. */
void owed_add(owed_t *self, const owed_item_t *item, slice_t data);
/* The oldest, when it may leave; the caller frees its data. */
bool owed_take(owed_t *self, uint64_t lsn_committed, owed_item_t *ret_item);
void owed_fini(owed_t *self);

#endif

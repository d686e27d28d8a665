/* What a partition knows of the groups that consume it: what each has completed, and its parked
 * events. Pure; the state is what the log's `group_mark` records say, and applying one twice
 * changes nothing.
 *
 * Snapshot rows, whose keys begin with the byte that tells their kind:
 *   'f' group                                          group_mark: what is completed
 *   'q' group's size (one byte) group offset (8 bytes) parked */
#ifndef ORDERING_PARTITION_GROUPS_H
#define ORDERING_PARTITION_GROUPS_H

#include "actors/ordering/completed.h"
#include "actors/ordering/ordering_messages.h"
#include "runtime/base/buffer.h"

enum {
    GROUP_NAME_MAX = 128,
    PARTITION_GROUPS_MAX = 1024, /* peers choose the names */
};

typedef struct parked_event {
    uint64_t offset;
    bool changed; /* since the last snapshot */
    bool gone;    /* its row is still to be deleted */
    size_t size;
    uint8_t data[]; /* record `parked` */
} parked_event_t;

typedef struct stored_group {
    char name[GROUP_NAME_MAX + 1];
    completed_t completed;
    uint64_t lsn; /* where reading goes on behind the frontier */
    bool changed;
    buffer_t policy;         /* record group_policy; empty: none */
    buffer_t beginning;      /* record beginning; empty: none */
    buffer_t places;         /* with it: LIST of positions */
    parked_event_t **parked; /* ascending offsets, those that are gone among them */
    size_t parked_count;
    size_t parked_capacity;
} stored_group_t;

typedef struct partition_groups {
    stored_group_t *list;
    size_t count;
} partition_groups_t;

void partition_groups_fini(partition_groups_t *self);
stored_group_t *partition_groups_find(const partition_groups_t *self, slice_t name);

/* Applies the record `group_mark`. MALFORMED, TOO_LARGE (the name), LIMIT (of groups). */
CAPSTAN_MUST_CHECK capstan_err_t partition_groups_apply(partition_groups_t *self, slice_t mark);

/* Of parked events of the key nothing is left but what orders them. Returns how many. */
uint64_t partition_groups_erase(partition_groups_t *self, slice_t key);
/* Events up to here are kept no longer: all groups count as having completed them. Returns how many
 * they had not. */
uint64_t partition_groups_expire(partition_groups_t *self, uint64_t offset);

/* True when the row is one of a group. */
bool partition_groups_owns_row(slice_t key);
CAPSTAN_MUST_CHECK capstan_err_t partition_groups_load_row(partition_groups_t *self, slice_t key,
                                                           slice_t value);
/* Hands out every row that changed since the last time; a value without data deletes the row. */
typedef void partition_groups_row_fn(void *context, slice_t key, slice_t value);
void partition_groups_save(partition_groups_t *self, partition_groups_row_fn *add, void *context);
/* For a snapshot that could not be written: all rows are handed out again. Rows that were deleted
 * stay known until then. */
void partition_groups_touch(partition_groups_t *self);
/* The snapshot is on disk. */
void partition_groups_saved(partition_groups_t *self);

/* The body of group_stored, all but the end of the partition. */
void partition_groups_describe(const stored_group_t *group, buffer_t *done, buffer_t *waiting,
                               group_stored_t *ret_stored);
/* Parked events behind `offset` as a LIST, at most `events_max` and about `bytes_max`, one at
 * least. Returns the offset of the last one, 0 when there is none; `ret_more`: others follow. */
uint64_t partition_groups_parked(const stored_group_t *group, uint64_t offset, uint64_t events_max,
                                 size_t bytes_max, buffer_t *out, bool *ret_more);
/* A LIST of group_progress. */
void partition_groups_list(const partition_groups_t *self, buffer_t *out);
void completed_encode(const completed_t *completed, uint64_t partition, buffer_t *out);
/* MALFORMED. */
CAPSTAN_MUST_CHECK capstan_err_t completed_decode(completed_t *completed, slice_t positions);

#endif

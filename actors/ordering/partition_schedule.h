/* Events whose time has not come: stored and answered, and put in order when it has. Only where
 * events are numbered by arrival: a delayed one would hold up its key's successors elsewhere.
 * Internal to the partition's core.
 *
 *   due (heap, by time and then by number) --> scheduled_t: record `event` without an offset
 *                                                 ^   ^
 *   by_number, by_id (maps) ----------------------+---+
 *   gone (list): no longer waiting, but perhaps still a row of the snapshot on disk
 *
 * In the log a record `scheduled_mark` says that one waits, and `scheduled_end` that it does no
 * longer; the event with its offset stands beside that, in the same transaction. Each is judged by
 * itself when it is read again, so that rows of a snapshot may be newer than the log behind them.
 *
 * An id is known as long as its event waits, and for the topic's window behind that. */
#ifndef ORDERING_PARTITION_SCHEDULE_H
#define ORDERING_PARTITION_SCHEDULE_H

#include "actors/ordering/partition_state.h"

typedef struct scheduled {
    row_t row; /* its name is the producer's */
    uint64_t number;
    int64_t due_us;
    uint64_t sequence;
    size_t heap_at;
    uint8_t *data; /* its record, without an offset */
    size_t size;
    struct scheduled *gone_next;
    bool has_id;
    bool gone;
    bool deleted; /* that its row is to be deleted was handed out */
    uint8_t producer[];
} scheduled_t;

typedef struct schedule {
    scheduled_t **due; /* binary heap, first due first */
    size_t count;
    size_t capacity;
    uint64_t bytes;
    uint64_t number_next;
    map_t by_number;
    map_t by_id;
    scheduled_t *gone;
    uint64_t scheduled; /* since the process started */
    uint64_t released;
    uint64_t cancelled;
} schedule_t;

void schedule_init(partition_t *self);
void schedule_fini(partition_t *self);
/* OK, or NOT_DELAYABLE: its time cannot be one to wait for here. */
CAPSTAN_MUST_CHECK capstan_err_t schedule_check(const partition_t *self, int64_t now_us,
                                                const publish_t *event);
/* The event's record is `record`; LIMIT when there is no room for it. */
CAPSTAN_MUST_CHECK capstan_err_t schedule_add(partition_t *self, slice_t record,
                                              partition_effects_t *effects);
bool schedule_has_id(const partition_t *self, slice_t producer, uint64_t sequence);
void schedule_figures(const partition_t *self, partition_figures_t *figures);
/* When the first one's time comes; INT64_MAX: none waits. */
int64_t schedule_due_us(const partition_t *self);
/* Puts those in order whose time has come, a bounded number of them. */
void schedule_release(partition_t *self, int64_t now_us, partition_effects_t *effects);

/* A record of the log, or a row of the snapshot without the byte of its kind. STORE_CORRUPT. */
CAPSTAN_MUST_CHECK capstan_err_t schedule_load(partition_t *self, slice_t data);
CAPSTAN_MUST_CHECK capstan_err_t schedule_load_end(partition_t *self, slice_t data);
CAPSTAN_MUST_CHECK capstan_err_t schedule_load_row(partition_t *self, slice_t key, slice_t value);
/* Key and value of its row; no value deletes it. */
void schedule_save(scheduled_t *scheduled, uint8_t kind, buffer_t *row_key, buffer_t *row_value);
void schedule_touch(partition_t *self);
/* The rows that were handed out are on disk. */
void schedule_saved(partition_t *self);
/* NULL, or which rule does not hold. */
const char *schedule_fault(const partition_t *self);

#endif

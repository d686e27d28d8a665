/* The core of one partition: order, duplicates, held events, fencing. Pure: no clock, socket,
 * thread, SQL, log or random number. Time is an argument, effects go into the caller's buffer.
 *
 * Identity in a producer-sequenced topic is (producer, key, sequence). Per (producer, key):
 *
 *      accepted = 4        gap        held
 *   1  2  3  4  |  5 missing  |  6  7     9
 *   ------------+-------------+------------------> sequence
 *   duplicate   |  accepted   |  duplicate of a held one, held, or OUT_OF_ORDER
 *
 * A gap ends FILLED, or by a verdict: its first missing sequences are given up, DEAD when their
 * producer says that nothing can fill it, FORCED by a person or the gap's timeout. They then count
 * as accepted above, what was held behind them is released, and the verdict is a row of the skip
 * ledger. An event that comes for one of them all the same is diverted: accepted with an offset and
 * a mark, once, and outside its key's order.
 *
 * In an arrival topic an event may have an id: its producer's name and a number of its choice. It
 * is taken once within the window for which ids are remembered.
 *
 * There, too, an event may be delayed: it is stored and answered at once (record
 * `scheduled_mark`), and put in order when its time has come, as if it came then
 * (`scheduled_end`, and `event` with its offset). It is judged by event time at that moment.
 *
 * Event time: the watermark is the smallest time of the sources that are not idle, a source being a
 * producer, or the whole partition where events are numbered by arrival. Times of the future count
 * as now. An event that is further behind it than allowed is late, which is judged once, when it is
 * taken, and stored with it.
 *
 * Invariants (partition_check evaluates them):
 *  - {1 .. highest seen} is the disjoint union of accepted, held, missing and skipped (O3);
 *  - what is in the skip ledger was never accepted or held when it came there (O4);
 *  - an event is appended as accepted exactly once, with consecutive offsets (O7, O10);
 *  - held and scheduled items and bytes are within their limits (O5);
 *  - a delayed event is put in order once, not before its time, in the order of times (O12).
 *
 * The state is what the log says: applying the records of the log to an empty partition (or to a
 * snapshot) gives the same state as the steps that wrote them. Records: `event` with an offset
 * (accepted; it also discharges a held one of the same identity), `event` without an offset
 * (held), `producer_mark`, `skip`, `watermark_mark`, `scheduled_mark`, `scheduled_end`. Applying a
 * record twice changes nothing, so that a snapshot may be written in chunks. The log never refers
 * back: a released event is written again with its offset. `inherited` says what another partition
 * has accepted of a key that came from there.
 *
 * Answers for events in the same step order as their appends: an answer holds once everything
 * appended before it is on disk. */
#ifndef ORDERING_PARTITION_H
#define ORDERING_PARTITION_H

#include "actors/ordering/ordering_messages.h"
#include "runtime/base/buffer.h"

typedef enum sequence_mode {
    SEQUENCE_PRODUCER = 1,
    SEQUENCE_ARRIVAL = 2,
} sequence_mode_t;

/* Field `diverted` of an event. */
typedef enum diversion {
    DIVERTED_NOT = 0,
    DIVERTED_SKIPPED = 1,
    DIVERTED_LATE = 2,
    DIVERTED_DROPPED = 3,
    DIVERTED_REMOVED = 4, /* by compaction: this stands in its place, and offsets have no hole */
} diversion_t;

/* What an event's record says of it; quick. */
diversion_t event_diversion(slice_t event);

typedef enum late_policy {
    LATE_OFF = 1,
    LATE_DELIVER = 2,
    LATE_DIVERT = 3,
    LATE_DROP = 4,
} late_policy_t;

typedef struct partition_limits {
    sequence_mode_t mode;
    uint64_t held_items_max;     /* per partition */
    uint64_t held_bytes_max;     /* per partition, of encoded event records */
    uint64_t key_held_items_max; /* per key */
    int64_t hold_us_max;         /* a gap older than this holds no further event */
    int64_t gap_timeout_us;      /* a gap older than this is given up; 0: never */
    int64_t id_window_us;        /* how long ids are remembered; 0: not at all */
    late_policy_t late_policy;
    int64_t lateness_us;          /* so far behind the watermark an event is not late yet */
    int64_t watermark_step_us;    /* so much it moves at least; at least 1 */
    int64_t idle_us;              /* a source that was not seen for so long does not hold it back */
    uint64_t ids_max;             /* per partition */
    uint64_t scheduled_items_max; /* per partition */
    uint64_t scheduled_bytes_max; /* of encoded event records */
    uint64_t resident_keys_max;   /* in memory; beyond it see partition_cold.h; 0: all are */
    uint64_t skips_max;    /* rows of the skip ledger, and stretches of what came after all */
    uint8_t hash_seed[16]; /* SipHash key: keys are strangers' bytes */
} partition_limits_t;

typedef enum event_result {
    EVENT_STORED = 1,
    EVENT_DUPLICATE = 2,
    EVENT_HELD = 3,
    EVENT_REJECTED = 4,
    EVENT_DIVERTED = 5,
    EVENT_DROPPED = 6,
} event_result_t;

typedef enum gap_verdict {
    GAP_DEAD = 2,
    GAP_FORCED = 3,
} gap_verdict_t;

/* What a step wants done, in order. `data` of an append lies in `bytes` of the same effects. */
typedef enum partition_effect_kind {
    PARTITION_APPEND, /* write a record: `record` RECORD_event, RECORD_producer_mark or RECORD_skip
                       */
    PARTITION_ANSWER, /* answer the publish with `token` */
} partition_effect_kind_t;

typedef struct partition_effect {
    partition_effect_kind_t kind;
    uint32_t record;
    size_t data_at;
    size_t data_size;
    uint64_t offset; /* append of an accepted event: its offset; else 0 */
    uint64_t token;
    event_result_t result;
    bool scheduled;    /* of EVENT_STORED: it waits for its time */
    capstan_err_t err; /* of EVENT_REJECTED */
} partition_effect_t;

typedef struct partition_effects {
    partition_effect_t *list;
    size_t count;
    size_t capacity;
    buffer_t bytes;
} partition_effects_t;

void partition_effects_clear(partition_effects_t *self);
void partition_effects_fini(partition_effects_t *self);

typedef struct partition partition_t;

partition_t *partition_new(const partition_limits_t *limits);
void partition_destroy(partition_t **self_p);
/* The limits in time, which may change at any time; the others are those of partition_new. */
void partition_limit(partition_t *self, const partition_limits_t *limits);

/* Ask for the memory that a publish of a key will touch, a little before it does: of many publishes
 * first the places of all keys, then what is there. They do nothing while all keys fit the caches.
 */
uint64_t partition_fetch_place(partition_t *self, slice_t producer, slice_t key);
void partition_fetch_key(const partition_t *self, uint64_t place);

/* One event. `now_us` is UTC and durable. Effects are appended to `effects`. */
void partition_publish(partition_t *self, int64_t now_us, uint64_t token, const publish_t *event,
                       partition_effects_t *effects);

/* A producer got a new epoch. A smaller or equal one changes nothing, nor does a name that no
 * event can have. */
void partition_fence(partition_t *self, slice_t producer, uint64_t producer_epoch,
                     partition_effects_t *effects);

/* Gives up missing sequences of a key. `first` 0: from the first missing one; `last` 0: up to the
 * next one that is held. A producer (GAP_DEAD) may give up what nothing has come behind yet; a
 * person may not. Said twice, it changes nothing. `ret` gets what was given up; its slices live
 * until the next change.
 * Errors: NOT_MISSING: one of them is accepted or held, or nothing is known to be missing;
 * OUT_OF_ORDER: something before them is missing too; FENCED; LIMIT: the ledger is full; INVALID:
 * the topic is numbered by arrival, or the sequences or the names cannot be. */
CAPSTAN_MUST_CHECK capstan_err_t partition_skip(partition_t *self, const skip_t *request,
                                                skip_t *ret, partition_effects_t *effects);
/* Does what is due, some of it if it is much: gives up gaps that are older than the timeout, and
 * puts events in order whose time has come, by that time and then as they were taken. */
void partition_expire(partition_t *self, int64_t now_us, partition_effects_t *effects);
/* When partition_expire has something to do; INT64_MAX: never, as far as is known. */
int64_t partition_due_us(const partition_t *self);
/* The ledger's rows, the newest `count` at most; returns how many. Slices live until the next
 * change. `filled` of them is left out. */
size_t partition_skips(const partition_t *self, skip_t *ret_skips, size_t count);
/* Whether events of the key wait for a missing one, of any producer. */
bool partition_holds_key(const partition_t *self, slice_t key);

/* Gives up events of a key that wait for their time: the one of an id, or all. Returns how many. */
uint64_t partition_cancel_scheduled(partition_t *self, int64_t now_us,
                                    const partition_cancel_t *request,
                                    partition_effects_t *effects);
/* Takes from the events of a key that wait for their time what they say. */
void partition_erase_scheduled(partition_t *self, slice_t key);

/* The newest epoch that was issued to the producer; 0 when none was. */
uint64_t partition_epoch_known(partition_t *self, slice_t producer);

/* Recovery: rows of a snapshot in any order, then records of the log in order. With a bound on the
 * keys in memory, rows in the order of their names, and all that are in the store: those of keys
 * beyond it are not kept.
 * Errors: STORE_CORRUPT for bytes that the tables cannot decode or that contradict the state. */
CAPSTAN_MUST_CHECK capstan_err_t partition_load_row(partition_t *self, slice_t key, slice_t value);
CAPSTAN_MUST_CHECK capstan_err_t partition_load_record(partition_t *self, uint32_t record,
                                                       slice_t data);

/* Which of the partitions this is, and their number before and after a change. */
typedef struct partition_share {
    uint64_t index;
    uint64_t before;
    uint64_t after;
} partition_share_t;

/* Hands out what others inherit, as records `inherited` for partition_load_record, about
 * `bytes_max` at once: what was accepted of each key that leaves, with what it holds, and all ids,
 * whose keys are not known. From `position` (at first 0) on; false: there is more. Between the
 * calls nothing may change. What was accepted is kept: said to it once more, it changes nothing. */
typedef void partition_give_fn(void *context, slice_t data);
bool partition_give(partition_t *self, const partition_share_t *share, uint64_t *position,
                    size_t bytes_max, partition_give_fn *add, void *context);

/* This is one of so many partitions: what is held of keys that are not its own is forgotten. To be
 * called again after each recovery. */
void partition_leave(partition_t *self, uint64_t index, uint64_t partitions);

/* Snapshot: hands out up to about `bytes_max` of rows that changed since they were last handed
 * out (the rest stays marked). Returns true when every row that had changed when this pass of
 * calls began has been handed out; what changes meanwhile waits for the next pass, so that a pass
 * ends under any load. The position that the snapshot names is that of the log when the pass
 * began. Rows may be newer than it, never older.
 *
 * A row holds what the core knows, also what is not on disk yet: it must not be written before
 * everything that was appended up to the call that handed it out. */
typedef void partition_row_fn(void *context, slice_t key, slice_t value);
bool partition_save(partition_t *self, size_t bytes_max, partition_row_fn *add, void *context);
/* The rows that were handed out, by the pass that has ended last, are on disk. */
void partition_saved(partition_t *self);
/* Rows that have changed since they were handed out last. */
uint64_t partition_unsaved(const partition_t *self);
/* Marks every row as changed and gives up a running pass, so that the next save is complete: for
 * a snapshot that could not be written. */
void partition_touch_all(partition_t *self);

typedef struct partition_figures {
    uint64_t offset_next;
    uint64_t keys;      /* also those that are */
    uint64_t keys_cold; /* in the store only */
    uint64_t evicted;   /* keys that have become so since the process started, or was read */
    uint64_t held_items;
    uint64_t held_bytes;
    uint64_t gaps;
    int64_t oldest_gap_us; /* 0: none */
    uint64_t accepted;     /* since the process started */
    uint64_t duplicates;
    uint64_t rejected;
    uint64_t diverted;
    uint64_t filled;  /* gaps that ended by an event */
    uint64_t skipped; /* sequences that were given up */
    uint64_t skips;   /* rows of the ledger, of all times */
    bool skips_full;
    uint64_t ids;             /* that are remembered */
    uint64_t scheduled_items; /* events whose time has not come */
    uint64_t scheduled_bytes;
    int64_t scheduled_due_us; /* when that of the first one comes; 0: there is none */
    uint64_t scheduled;       /* since the process started */
    uint64_t released;
    uint64_t cancelled;
    int64_t watermark_us; /* INT64_MIN: none */
    uint64_t late_delivered;
    uint64_t late_diverted; /* of those in order; an event behind a gap is counted as it comes */
    uint64_t late_dropped;
} partition_figures_t;

partition_figures_t partition_figures(const partition_t *self);

/* The oldest open gaps, at most `count`; returns how many. Slices live until the next change. */
size_t partition_gaps(const partition_t *self, gap_t *ret_gaps, size_t count);

/* The invariants above. NULL when all hold, otherwise the name of the first that does not
 * (constant text, beginning with its number in the list of invariants, for example "O3"). */
const char *partition_check(const partition_t *self);

#endif

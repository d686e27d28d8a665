/* What a partition keeps of its compaction. Internal to ordering/. */
#ifndef ORDERING_PARTITION_COMPACTION_H
#define ORDERING_PARTITION_COMPACTION_H

#include "actors/ordering/compaction.h"

/* rests --enough is dirty--> waits --snapshot--> notes --> cleans --> ends --> rests
 * Whatever fails leads back to rests; the next tick begins anew. */
typedef enum compaction_step {
    COMPACTION_RESTS,
    COMPACTION_WAITS,  /* for a snapshot that covers the bound */
    COMPACTION_NOTES,  /* reads the dirty part */
    COMPACTION_CLEANS, /* reads the log from its beginning, and replaces */
    COMPACTION_ENDS,   /* what was overwritten leaves the write-ahead log */
} compaction_step_t;

typedef struct compaction {
    bool timed; /* its timer runs */
    compaction_step_t step;
    compaction_mark_t mark; /* everything before is clean */
    bool saved;             /* the mark is in the snapshot, or on its way there */
    log_place_t bound;      /* this run goes no further */
    uint64_t lsn_known;     /* of the log when the bound was found */
    uint64_t lsn;           /* how far the step has come */
    uint64_t lsn_end;       /* of CLEANS */
    uint64_t ask;
    compaction_keys_t keys;
    bool full;             /* of keys: the dirty part ends earlier */
    uint64_t noted_offset; /* of the last event of the dirty part */
    uint64_t noted_bytes;  /* of all events before its end */
    int64_t tombstone_us;
    compaction_counts_t counts;
} compaction_t;

#endif

/* The shell of a partition: an actor that owns one partition core. Internal to ordering/. */
#ifndef ORDERING_PARTITION_ACTOR_H
#define ORDERING_PARTITION_ACTOR_H

#include "actors/journal/journal_messages.h"
#include "actors/ordering/answers.h"
#include "actors/ordering/log_index.h"
#include "actors/ordering/ordering_settings.h"
#include "actors/ordering/partition.h"
#include "actors/ordering/partition_compaction.h"
#include "actors/ordering/partition_groups.h"
#include "actors/ordering/partition_lookups.h"
#include "actors/ordering/payload_schema.h"
#include "actors/ordering/read_back.h"
#include "actors/ordering/tail.h"
#include "actors/ordering/topic_settings.h"

#include <capstan/actor.h>

/* Passed to init, which copies it. */
typedef struct partition_arguments {
    const char *topic;
    uint64_t index;
    const topic_settings_t *topic_settings; /* copied */
    bool stopped;                           /* as a step of partition_move makes it */
    const ordering_settings_t *settings;
    capstan_ref_t topics; /* hears partition_ready */
    capstan_ref_t journal;
    capstan_ref_t reader;
} partition_arguments_t;

extern const capstan_behaviour_t partition_behaviour;

enum {
    PARTITION_TOPIC_MAX = 128,
    PARTITION_APPENDS_MAX = 2, /* in flight: one is written while the next is gathered */
    PARTITION_WATERMARK_STEP_US = 100000,
    PARTITION_ASK_US = 60000000,
    PARTITION_DUE_BYTES = 1 << 20, /* gathered, beyond which what is due waits for the disk */
    PARTITION_CLOCK_US = 1000000,  /* a step of the wall clock is seen after so long */
    PARTITION_RETRY_US = 200000,   /* before the state is rebuilt after a refused append */
    PARTITION_LINGER_US = 200000,  /* after it was removed, for those who have not heard of it */
    PARTITION_READ_BYTES = 1 << 20,
    PARTITION_SNAPSHOT_BYTES = 256 << 10,
    PARTITION_READ_BACK_BYTES = 512 << 10, /* of the log, for a group that has fallen behind */
    PARTITION_PARKED_BYTES = 512 << 10,    /* of a page of parked events */
    PARTITION_MOVE_BYTES = 256 << 10,      /* of a page of what others inherit */
    /* What a crash loses at most of a topic whose events are answered before they are on disk;
     * beyond it answers wait, so that producers feel a slow disk. */
    PARTITION_ACCEPTED_BYTES = 4 << 20,
};

typedef enum partition_phase {
    PARTITION_OPENING,  /* waits for stream_opened */
    PARTITION_SNAPSHOT, /* reads the rows of the snapshot */
    PARTITION_LOG,      /* reads the log behind the snapshot */
    PARTITION_READY,
    PARTITION_BROKEN,   /* an append was refused: waits, then opens again */
    PARTITION_REMOVING, /* its topic is deleted */
} partition_phase_t;

/* A partition_read that waits for events: from the consumer, or for the reader's answer. */
typedef struct parked_read {
    struct parked_read *next;
    capstan_message_t request; /* without its body */
    partition_read_t read;
    tail_cursor_t cursor;
    uint64_t journal_ask; /* correlation of the journal_read under way; 0: waits for a commit */
} parked_read_t;

/* A partition_find that waits: for a commit, or for the reader's answer. */
typedef struct find {
    struct find *next;
    capstan_message_t request; /* without its body */
    uint64_t from;             /* begin_from_t */
    int64_t time_us;
    uint64_t lsn;     /* of a time: how far the log was looked through */
    uint64_t lsn_end; /* of the log when the question came */
    uint64_t ask;     /* correlation of the journal_read under way */
    partition_found_t found;
} find_t;

/* A partition_erase: one is under way at a time. */
typedef struct erasure {
    struct erasure *next;
    capstan_message_t request; /* without its body */
    buffer_t key;
    bool begun;
    bool scrubbed;
    uint64_t lsn; /* how far the log was gone through */
    uint64_t lsn_end;
    uint64_t snapshot; /* a snapshot must name at least this lsn */
    uint64_t events;
    uint64_t ask;
} erasure_t;

typedef struct partition_actor {
    capstan_actor_t *self;
    char topic[PARTITION_TOPIC_MAX + 1];
    uint64_t index;
    const ordering_settings_t *settings;
    capstan_ref_t topics;
    capstan_ref_t journal;
    capstan_ref_t reader;
    topic_settings_t topic_settings;
    partition_limits_t limits; /* by the settings of both */
    payload_schema_t *schema;  /* NULL: payloads are as they like */
    int64_t payload_told_us;   /* when the log was last told of one that is not as it says */

    partition_phase_t phase;
    capstan_err_t broken; /* why the last append was refused */
    uint64_t ask;         /* of recovery */
    partition_t *core;
    partition_effects_t effects;
    uint64_t stream;
    uint64_t epoch;
    uint64_t lsn_next;      /* of the next record that is gathered */
    uint64_t lsn_sent;      /* everything below it has been sent to the journal */
    uint64_t lsn_sealed;    /* everything below it is in sealed segments of the tail */
    uint64_t lsn_committed; /* everything below it is on disk */
    buffer_t row_after;     /* snapshot: key of the last row read */

    buffer_t gathered; /* records for the next append, a LIST */
    codec_list_writer_t gather;
    uint64_t append_asks[PARTITION_APPENDS_MAX]; /* correlations; 0: free */
    size_t appends;

    uint64_t backlog_bytes[PARTITION_APPENDS_MAX]; /* of each append under way */

    answers_t answers;
    outcome_groups_t outcomes;
    tail_t tail;
    read_back_t back; /* for groups that are behind it */
    log_index_t log_index;
    parked_read_t *parked;
    find_t *finds;
    partition_groups_t groups;
    buffer_t skipped; /* gap_skipped_t of the answers that wait, in their order */
    int64_t
        due_timer_us; /* UTC time for which the timer of what is due is set; INT64_MAX: none is */
    uint64_t late[3]; /* of the core's, counted so far: delivered, diverted, dropped */
    uint64_t gaps_filled; /* of the core's, counted so far */
    uint64_t scheduled;   /* of the core's, counted so far */
    uint64_t released;
    uint64_t cancelled;
    uint64_t scheduled_items; /* that this partition has added to the metric */
    bool skips_full;          /* and said so */

    uint64_t records_since_snapshot;
    bool saving;            /* a snapshot pass is under way */
    uint64_t snapshot_lsn;  /* that it will name */
    uint64_t snapshot_ask;  /* chunk under way */
    uint64_t snapshot_done; /* what the last one named */
    bool snapshot_wanted;   /* before its time, for the sake of retention */

    bool retention_runs;     /* its timer does; also the timer's cookie */
    uint64_t begin_recorded; /* lsn behind the record that moved the beginning last */
    uint64_t truncated;      /* the journal's log begins here */
    uint64_t truncating;
    uint64_t truncate_ask;

    compaction_t compaction;
    lookups_t lookups;
    erasure_t *erasures;
    capstan_message_t removal; /* partition_remove, without its body; kind 0: none */
    uint64_t removal_ask;      /* piece under way */
    bool removed;
    bool stopped; /* takes no publish: the number of partitions is about to change */
    bool steady;  /* since then its core has not been replaced */
    bool stopping;
    bool heard;       /* somebody published since the last look */
    uint64_t lingers; /* how often it has looked */
} partition_actor_t;

#endif

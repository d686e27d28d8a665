/* What the topics have to do, each beside the request that wants it. Internal to ordering/. */
#ifndef ORDERING_TOPICS_JOBS_H
#define ORDERING_TOPICS_JOBS_H

#include "actors/ordering/partition_groups.h"
#include "actors/ordering/topic_settings.h"

#include <capstan/actor.h>

enum {
    TOPIC_NAME_MAX = 128,
    TOPIC_PARTITIONS_MAX = 256,
};

typedef struct topic topic_t;

/* A request that waits for its topic to be ready. */
typedef struct topic_waiter {
    capstan_message_t request; /* without its body */
    topic_change_t wanted;     /* topic_ensure: what was asked for */
    bool created;              /* this request made the topic */
} topic_waiter_t;

typedef struct producer_epoch {
    uint64_t epoch;
    size_t size;
    char name[];
} producer_epoch_t;

typedef enum topic_mark_kind {
    MARK_MADE,    /* the topic, with its settings */
    MARK_ALTERED, /* the topic, with other settings */
    MARK_EPOCH,   /* of a producer */
    MARK_DELETING,
    MARK_DELETED,
    MARK_MOVING, /* the topic is about to get another number of partitions */
    MARK_MOVED,  /* it has */
} topic_mark_kind_t;

/* A mark to be appended to the topics' own stream; one is under way at a time. */
typedef struct topic_mark_job {
    struct topic_mark_job *next;
    topic_mark_kind_t kind;
    topic_t *topic;
    capstan_message_t request;  /* topic_alter, topic_delete or producer_open, without its body */
    topic_change_t change;      /* ALTERED */
    bool force;                 /* ALTERED */
    topic_settings_t settings;  /* ALTERED: what they become */
    uint64_t partitions;        /* MOVING: how many it is to get */
    producer_epoch_t *producer; /* EPOCH */
    uint64_t epoch;
} topic_mark_job_t;

/* What every partition has to be told before a request is answered. */
typedef struct spread_job {
    struct spread_job *next;
    capstan_message_t request; /* topic_alter or producer_open, without its body */
    char topic[TOPIC_NAME_MAX + 1];
    topic_settings_t settings;
    uint64_t epoch;
    size_t left;
    uint64_t asks[TOPIC_PARTITIONS_MAX];
} spread_job_t;

typedef struct status_part {
    const topic_t *topic;
    char group[GROUP_NAME_MAX + 1]; /* empty: a partition */
    uint64_t ask;
    buffer_t report; /* body of partition_report or group_report; empty when it did not answer */
} status_part_t;

/* ordering_status, topic_describe: gathers reports. */
typedef struct status_job {
    struct status_job *next;
    capstan_message_t request;
    size_t left;
    size_t place; /* behind the part that answered last */
    size_t count;
    status_part_t *parts; /* those of one topic are neighbours, its partitions first */
} status_job_t;

/* A request that somebody else answers. */
typedef struct relay_job {
    struct relay_job *next;
    capstan_message_t request; /* without its body */
    uint64_t ask;
    uint64_t partitions; /* of the topic */
    buffer_t body;       /* topic_erase: what is asked, of further partitions too */
    capstan_ref_t *more;
    size_t more_count;
    uint64_t erased; /* by those that have answered */
} relay_job_t;

/* topic_delete: asks the groups for their members. */
typedef struct delete_job {
    struct delete_job *next;
    capstan_message_t request; /* without its body */
    char topic[TOPIC_NAME_MAX + 1];
    size_t left;
    size_t count;
    struct delete_group {
        char name[GROUP_NAME_MAX + 1];
        uint64_t ask;
    } groups[];
} delete_job_t;

/* Of a topic that is being deleted. */
typedef struct removal {
    capstan_message_t request; /* topic_delete, without its body; kind 0: nobody waits any more */
    bool done[TOPIC_PARTITIONS_MAX];
    uint64_t asks[TOPIC_PARTITIONS_MAX];
    bool marking; /* all are done, and it is being stored */
} removal_t;

/* Where the partitions of a topic ended when their number changed. */
typedef struct barrier {
    uint64_t partitions; /* their number before */
    uint64_t count;      /* with those of still earlier times */
    uint64_t offsets[TOPIC_PARTITIONS_MAX];
} barrier_t;

/* A request that came while the number of partitions changed. */
typedef struct deferred {
    struct deferred *next;
    capstan_message_t message; /* its body is what follows */
    uint8_t body[];
} deferred_t;

typedef enum move_step {
    MOVE_STARTING,   /* new partitions recover; the others go on meanwhile */
    MOVE_STOPPING,   /* all take no publish any more */
    MOVE_GIVING,     /* `source` says what others inherit */
    MOVE_INHERITING, /* they do */
    MOVE_MARKING,    /* it is being stored: from here on it is not called off */
    MOVE_CLOSING,    /* those who consume are sent away */
    MOVE_ENDING,     /* partitions go on */
} move_step_t;

/* Of a topic whose number of partitions changes. */
typedef struct topic_move {
    capstan_message_t request; /* topic_alter, without its body */
    move_step_t step;
    uint64_t before;
    uint64_t after;
    capstan_err_t err; /* it was called off */
    char text[TOPIC_TEXT_BYTES];
    capstan_err_t failed; /* a partition cannot recover */
    uint64_t source;
    uint64_t position;
    bool progress; /* since the last look */
    size_t left;   /* of the asks */
    uint64_t asks[TOPIC_PARTITIONS_MAX];
    uint64_t offsets[TOPIC_PARTITIONS_MAX];
    uint64_t ids[TOPIC_PARTITIONS_MAX];
    bool watermark_known;
    int64_t watermark_us; /* the smallest of them */
} topic_move_t;

#endif

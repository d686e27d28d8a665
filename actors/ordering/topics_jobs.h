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

#endif

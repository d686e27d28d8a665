/* The topics of a node, as the actor `topics` keeps them. Internal to ordering/. */
#ifndef ORDERING_TOPICS_H
#define ORDERING_TOPICS_H

#include "actors/journal/journal_messages.h"
#include "actors/ordering/ordering.h"
#include "actors/ordering/partition_actor.h"
#include "actors/ordering/topics_jobs.h"
#include "runtime/base/json_writer.h"
#include "runtime/base/map.h"
#include "runtime/runtime_messages.h"

enum {
    TOPICS_ASK_US = 60000000,
    TOPICS_RETRY_US = 500000,
    PRODUCER_NAME_MAX = 128,
    TOPIC_WAITERS_MAX = 1024,
    SUBSCRIPTIONS_PER_SESSION_MAX = 64,
    /* In one report, which is one message: keys are strangers' bytes, up to 1 KiB. */
    STATUS_GROUPS_MAX = 1024, /* in one report */
    STATUS_GAPS_MAX = 64,
};

typedef enum topic_phase {
    TOPIC_MARKING,  /* its mark is on its way to the disk */
    TOPIC_STARTING, /* its partitions recover */
    TOPIC_READY,
    TOPIC_MOVING,   /* the number of its partitions changes */
    TOPIC_FAILED,   /* a partition cannot recover */
    TOPIC_DELETING, /* unknown to everybody; its name is taken until its streams are gone */
} topic_phase_t;

struct topic {
    char name[TOPIC_NAME_MAX + 1];
    topic_settings_t settings;
    topic_phase_t phase;
    capstan_err_t failed;
    uint64_t count; /* partitions that have events: those of the settings, or more from before */
    uint64_t made;  /* partitions that may have a stream: more where a change was called off */
    capstan_ref_t *refs; /* as many */
    bool *ready;
    barrier_t *barriers; /* oldest first */
    size_t barrier_count;
    topic_move_t *move;
    deferred_t *deferred;
    topic_waiter_t *waiters;
    size_t waiter_count;
    map_t producers; /* of producer_epoch_t */
    removal_t *removal;
};

/* Who looks at a topic. */
typedef struct look {
    const topic_t *topic;
    capstan_ref_t session;
    capstan_ref_t subscription;
} look_t;

/* A group that was asked for since the node's start. */
typedef struct topic_group {
    const topic_t *topic;
    char name[GROUP_NAME_MAX + 1];
    capstan_ref_t actor;
} topic_group_t;

typedef struct topics {
    capstan_actor_t *self;
    const ordering_settings_t *settings;
    capstan_ref_t journal;
    capstan_ref_t reader;
    uint8_t seed[16];

    bool loaded;
    bool placed;         /* knows where the stream ends; false from a failure to the next opening */
    capstan_err_t doubt; /* why the first job's append failed; it may have landed all the same */
    uint64_t ask;        /* of loading, and of the append under way */
    capstan_err_t damaged; /* the list cannot be read: the answer to everything */
    uint64_t stream;
    uint64_t epoch;
    uint64_t lsn_next;
    uint64_t lsn_read;

    topic_t **list;
    size_t count;
    topic_mark_job_t *job_head; /* the first one is under way when `ask` is set */
    topic_mark_job_t *job_tail;
    spread_job_t *spreads;
    status_job_t *statuses;
    relay_job_t *relays;
    delete_job_t *deletes;
    capstan_message_t settler;  /* topics_settle that waits, without its body; kind 0: none */
    uint64_t subscription_last; /* begins with the boot: numbers are never used again */
    look_t *looks;
    size_t look_count;
    topic_group_t *groups;
    size_t group_count;
    capstan_ref_t *routers; /* who has asked where partitions are, and keeps it */
    size_t router_count;
} topics_t;

/* topics_actor.c: what its parts share. A question of its own is one at a time, `ask`. */
void topics_ask(topics_t *self, capstan_ref_t target, const wire_record_t *message,
                const void *body);
void topics_reply(topics_t *self, const capstan_message_t *request, const wire_record_t *message,
                  const void *body);
void topics_reply_info(topics_t *self, const capstan_message_t *request, const char *topic,
                       const topic_settings_t *settings, bool created);
/* Starts the partitions of a topic that is on disk. */
void topics_launch(topics_t *self, topic_t *topic);
void topics_serve_waiters(topics_t *self, topic_t *topic);
/* Makes the topic if there is none, and answers the waiter once it is ready. */
void topics_ensure(topics_t *self, slice_t name, topic_waiter_t *waiter);
void topics_on_request(topics_t *self, const capstan_message_t *message);
/* If all its partitions have recovered. */
void topics_become_ready(topics_t *self, topic_t *topic);
/* Answers the request, or keeps it for later, and returns NULL when the topic is unknown or not
 * ready. */
topic_t *topics_ready(topics_t *self, const capstan_message_t *message, slice_t name);

/* topics_marks.c: a mark is appended, and then acted on. Copies the job. */
void marks_add(topics_t *self, const topic_mark_job_t *job);
/* Appends the first mark if the stream's place is known. */
void marks_run(topics_t *self);
/* The first mark is on disk, or could not be written. */
void marks_finish(topics_t *self, capstan_err_t err);
void marks_fini(topics_t *self);

/* topics_spread.c: tells every partition what was stored, and answers the job's request then. */
void spread_epoch(topics_t *self, const topic_mark_job_t *job);
void spread_settings(topics_t *self, const topic_mark_job_t *job);
bool spread_answer(topics_t *self, const capstan_message_t *message);
void spreads_fini(topics_t *self);

/* topics_list.c: finding, making and starting topics. */
topic_t *topics_find(const topics_t *self, slice_t name);
bool topic_name_is_valid(slice_t name);
topic_t *topics_add(topics_t *self, slice_t name, const topic_settings_t *settings);
void topics_remove(topics_t *self, topic_t *topic);
void topics_fini(topics_t *self);
capstan_err_t topic_start(topics_t *self, topic_t *topic);
/* One partition's actor. */
capstan_err_t topic_spawn(topics_t *self, topic_t *topic, uint64_t partition);
producer_epoch_t *topic_producer(topics_t *self, topic_t *topic, slice_t name);
/* There may be so many streams. */
void topic_grow(topic_t *topic, uint64_t made);
/* From here on it has so many partitions; `offsets` of its `count` are where they end. */
void topic_add_barrier(topic_t *topic, uint64_t partitions, const uint64_t *offsets);

/* topics_delete.c. */
void topics_on_delete(topics_t *self, const capstan_message_t *message);
bool delete_answer(topics_t *self, const capstan_message_t *message);
/* That it is to be deleted is on disk: what it has is removed. `request` may be NULL. */
void delete_begin(topics_t *self, topic_t *topic, const capstan_message_t *request);
/* Whatever is still to be done for topics that are being deleted. */
void delete_continue(topics_t *self);
/* That nothing is left of it is on disk. */
void delete_end(topics_t *self, topic_t *topic);
void deletes_fini(topics_t *self);

/* topics_subscribe.c: looks and groups. */
void topics_on_subscribe(topics_t *self, const capstan_message_t *message);
/* The group's actor, made when there is none. INVALID: no group can have that name. */
capstan_err_t topics_group(topics_t *self, const topic_t *topic, slice_t name,
                           capstan_ref_t *ret_group);
/* False: it was neither. */
bool topics_subscriber_down(topics_t *self, const down_t *down);
void topics_subscribers_fini(topics_t *self);

/* The topic is deleted: its groups' members are told. */
void topics_close_groups(topics_t *self, const topic_t *topic);
/* Groups and looks end with an error that is said to whom they serve. */
void topics_send_away(topics_t *self, const topic_t *topic, capstan_err_t err);
bool topics_has_subscribers(const topics_t *self, const topic_t *topic);

/* topics_status.c: questions to many, whose answers become one report. */
void status_start(topics_t *self, const capstan_message_t *message);
void describe_start(topics_t *self, const capstan_message_t *message);
/* The topic is going to be freed. */
void status_forget(topics_t *self, const topic_t *topic);
bool status_answer(topics_t *self, const capstan_message_t *message);
void status_fini(topics_t *self);
/* The members of an object: the sums over the topic's partitions, whose parts begin at `from`, and
 * end at `to` or with the first group. */
void status_emit_figures(json_writer_t *json, const status_job_t *job, size_t from, size_t to,
                         size_t *gaps_left);
void status_emit_figure(json_writer_t *json, const char *name, uint64_t value);

/* topics_describe.c: a job about one topic as a JSON object. */
void describe_emit(json_writer_t *json, const status_job_t *job);
/* The member `groups` of a topic, whose parts are [from, to). */
void describe_emit_groups(json_writer_t *json, const status_job_t *job, size_t from, size_t to,
                          size_t *groups_left);

#endif

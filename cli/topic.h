/* The actions of `capstan topic`; each gets a peer that is connected, and returns the exit status.
 */
#ifndef CLI_TOPIC_H
#define CLI_TOPIC_H

#include "brokers/peer/peer.h"
#include "cli/options.h"

enum { TOPIC_ANSWER_US = 60000000 };

typedef struct topic_options {
    const char *to;    /* the node's endpoint */
    const char *topic; /* NULL: none was named */
    const char *group;
    const char *key; /* NULL: all */
    const char *sequence;
    uint64_t partitions; /* 0: the node's default */
    option_list_t set;   /* name=value */
    uint64_t limit;
    const char *mode; /* of a group; NULL and 0: as it is */
    const char *retried;
    const char *exhausted;
    uint64_t attempts;
    uint64_t retry_ms_min;
    uint64_t retry_ms_max;
    const char *events;
    const char *producer;
    const char *reason;
    uint64_t first; /* sequences; 0: as the node finds them */
    uint64_t last;
    bool all;
    bool force;
    bool json;
} topic_options_t;

/* Prints what did not work, with which topic or group, and at which node; returns EXIT_FAILED. */
int topic_failed(const topic_options_t *options, capstan_err_t err, const char *text);

/* topic_settings.c */
int topic_create(peer_t *peer, const topic_options_t *options);
int topic_describe(peer_t *peer, const topic_options_t *options);
int topic_alter(peer_t *peer, const topic_options_t *options);
int topic_delete(peer_t *peer, const topic_options_t *options);
int topic_erase(peer_t *peer, const topic_options_t *options);
int topic_cancel(peer_t *peer, const topic_options_t *options);
/* topic.c */
int topic_list(peer_t *peer, const topic_options_t *options);
/* topic_group.c */
int topic_group(peer_t *peer, const topic_options_t *options);
/* topic_parked.c */
int topic_parked(peer_t *peer, const topic_options_t *options);
int topic_replay(peer_t *peer, const topic_options_t *options);
int topic_discard(peer_t *peer, const topic_options_t *options);
/* topic_gaps.c */
int topic_gaps(peer_t *peer, const topic_options_t *options);
int topic_skip(peer_t *peer, const topic_options_t *options);

#endif

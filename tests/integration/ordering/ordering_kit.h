/* A node with journal and ordering but without a gateway, on any disk, and clients that play the
 * sessions: each is an actor on a cell of its own, driven from the test's thread, which waits for
 * what it recorded. Waits are bounded; one that is over says so by its result. */
#ifndef ORDERING_ORDERING_KIT_H
#define ORDERING_ORDERING_KIT_H

#include "actors/journal/journal.h"
#include "actors/ordering/partition_groups.h"
#include "actors/ordering/ordering_messages.h"
#include "actors/ordering/ordering_settings.h"
#include "actors/ordering/partition.h"
#include "runtime/simulation/random.h"
#include "runtime/wire/wire_messages.h"
#include "tests/integration/journal/store_fixture.h"
#include "tests/kit/vfs_powerloss.h"

#include <capstan/node.h>
#include <pthread.h>

#define BENCH_US INT64_C(20000000) /* how long anything may take; a sanitizer's build is slow */

enum { BENCH_PARTITIONS_MAX = 16, BENCH_KEY_BYTES = 8 };

typedef struct bench {
    fixture_t fixture; /* the folder: of the lock at least */
    const char *vfs;   /* NULL: the real disk */
    bool synchronous_off;
    bool strict;
    uint64_t checkpoint_bytes;
    ordering_settings_t settings;

    capstan_node_t *node;
    capstan_ref_t journal;
    capstan_ref_t reader;
    capstan_ref_t topics;
    capstan_ref_t partitions[BENCH_PARTITIONS_MAX]; /* of the topic that was resolved last */
    size_t partition_count;
} bench_t;

/* A folder, and settings with small bounds: snapshots every 64 records, a tail of 4 KiB. */
void bench_init(bench_t *self);
void bench_fini(bench_t *self);
/* Starts a node on what the disk holds, and waits until it has recovered. On an error nothing is
 * left running. */
CAPSTAN_MUST_CHECK capstan_err_t bench_start(bench_t *self);
void bench_stop(bench_t *self);

/* Asks an actor from the test's thread. The slices of the reply live until the next call. */
CAPSTAN_MUST_CHECK capstan_err_t bench_ask(bench_t *self, capstan_ref_t target,
                                           const wire_record_t *request, const void *value,
                                           const wire_record_t *reply, void *ret_reply);
/* Makes the topic of producers' sequences, and learns where its partitions are. */
CAPSTAN_MUST_CHECK capstan_err_t bench_topic(bench_t *self, const char *topic, uint64_t partitions,
                                             topic_info_t *ret_info);
/* One group's frontier in a partition, as the partition knows it. */
uint64_t bench_frontier(bench_t *self, uint64_t partition, const char *group);
/* Events that the partitions have accepted; waits until each of them answers. */
uint64_t bench_accepted(bench_t *self);

/* --- clients --- */

/* One event: what is in it follows from these numbers. */
typedef struct item {
    uint32_t key;
    uint32_t size; /* of the payload */
    uint64_t sequence;
    uint64_t epoch;
} item_t;

typedef struct result {
    uint64_t result; /* event_result_t; 0: not answered */
    capstan_err_t err;
} result_t;

typedef struct got {
    uint64_t partition;
    uint64_t offset;
    uint64_t sequence;
    uint32_t key;
    uint32_t size;
} got_t;

typedef struct client client_t;

client_t *client_new(bench_t *bench, const char *topic);
/* Ends its actor, if the node has not. Before bench_stop or after it. */
void client_destroy(client_t **self_p);
/* Ends its actor, as the end of a session does. */
void client_end(client_t *self);

/* Asks the topics actor as this session. As bench_ask. */
CAPSTAN_MUST_CHECK capstan_err_t client_ask(client_t *self, const wire_record_t *request,
                                            const void *value, const wire_record_t *reply,
                                            void *ret_reply);

/* Publishes; the items get the next link sequences, the first of which is returned. */
uint64_t client_publish(client_t *self, const item_t *items, size_t count);
/* The partition that a key belongs to. */
uint64_t bench_partition_of(const bench_t *self, uint32_t key);
/* Waits for the outcomes of everything published. */
bool client_settled(client_t *self);
result_t client_result(client_t *self, uint64_t sequence);

typedef struct client_place {
    const char *group; /* NULL: a look */
    bool latest;
    const position_t *resume;
    size_t resume_count;
    bool keep_grants; /* does not tell the subscription that anything was passed on */
} client_place_t;

CAPSTAN_MUST_CHECK capstan_err_t client_subscribe(client_t *self, const client_place_t *place);
/* Waits until so many events were delivered, since the client was made. */
bool client_received(client_t *self, size_t count);
/* The number of them by now, after a moment in which more could come. */
size_t client_count(client_t *self);
got_t client_got(client_t *self, size_t index);
void client_acknowledge(client_t *self, uint64_t partition, uint64_t offset);
void client_grant(client_t *self);
/* Why the subscription was ended, after a wait; CAPSTAN_OK: it was not. */
capstan_err_t client_ended(client_t *self);
/* The largest deliver body that came. */
size_t client_deliver_bytes_max(client_t *self);
/* What a client must never see: an outcome twice, a payload that is not the item's. */
uint64_t client_faults(client_t *self);

/* NULL when what was delivered since `from` is in order: per partition offsets without a hole or
 * a double, per key sequences likewise. The first of each begin at 1 when `whole` is set. */
const char *client_disorder(client_t *self, size_t from, bool whole);

#endif

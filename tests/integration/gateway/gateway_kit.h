/* A node with a gateway and small actors that stand for topics, partitions and subscriptions, and
 * a raw peer that can send any bytes. */
#ifndef GATEWAY_KIT_H
#define GATEWAY_KIT_H

#include "actors/ordering/ordering_messages.h"
#include "brokers/gateway/gateway.h"
#include "brokers/gateway/gateway_messages.h"
#include "runtime/runtime.h"
#include "runtime/wire/batch.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <poll.h>
#include <stdatomic.h>
#include <time.h>
#include <zmq.h>

enum {
    KIT_PARTITIONS = 4,
    KIT_WAIT_MS = 10000,          /* how long anything may take before the test has failed */
    MESSAGE_kit_release = 0x8000, /* to topics: answer what is parked */
    MESSAGE_kit_kill,             /* to topics: the newest subscription ends without a word */
};

/* What the actors saw; written on their cell, read by the test. */
typedef struct kit_seen {
    _Atomic uint64_t published;
    _Atomic uint64_t by_partition[KIT_PARTITIONS];
    _Atomic uint64_t subscriptions;
    _Atomic uint64_t subscriptions_ended; /* they watched their session end */
    _Atomic uint64_t granted;             /* bytes, the newest subscription_grant */
    _Atomic uint64_t acknowledged;
    _Atomic uint64_t resolves;
    _Atomic uint64_t parked;    /* topic_ensure of "slow", which is never answered */
    _Atomic uint64_t cancelled; /* of them, those that were cancelled */
} kit_seen_t;

typedef struct kit {
    capstan_node_t *node;
    gateway_settings_t settings;
    gateway_arguments_t arguments;
    slice_t description; /* what `describe` answers */
    capstan_ref_t topics;
    capstan_ref_t gateway;
    kit_seen_t seen;
    bool strict_wire;
    uint64_t deliveries;             /* what a subscription sends at once */
    uint64_t delivery_bytes;         /* payload of each */
    uint32_t subscription_mailbox;   /* messages; 0: the node's default */
    _Atomic uint64_t publishes_left; /* until the partition that takes it fails; 0: none does */
} kit_t;

/* One node per process, so one kit; the actors find it here. */
extern kit_t kit;

/* The settings that kit_start uses, to be changed before it. */
void kit_defaults(void);
void kit_start(void);
void kit_start_with(slice_t description);
void kit_stop(void);
/* Waits until `*counter` is at least `value`. */
void kit_wait(const _Atomic uint64_t *counter, uint64_t value);
/* A figure of the gateway, by its path in the report ("session_count", "protocol_errors/frames"),
 * or a metric of its by name ("memory_resets"), read after the gateway has reported. */
uint64_t kit_figure(const char *path);
void kit_wait_figure(const char *path, uint64_t value);
uint16_t kit_port(void);
/* A plain TCP client, for no ZMTP or half of it; -1: nobody listens. Any thread. */
int kit_tcp_connect(void);

/* The raw peer. */
typedef struct raw_peer {
    void *context;
    void *socket;
    buffer_t batch;
    batch_writer_t writer;
    uint64_t sequence; /* of the next credited message */
    zmq_msg_t input;
    bool has_input;
    batch_reader_t reader;
    link_header_t header; /* the newest one received */
} raw_peer_t;

void raw_open(raw_peer_t *self);
void raw_close(raw_peer_t *self);
void raw_send_bytes(raw_peer_t *self, const void *data, size_t size, int flags);
/* Adds to the batch under construction; raw_send sends it. */
void raw_add(raw_peer_t *self, const envelope_t *envelope, slice_t body);
void raw_send(raw_peer_t *self, const link_header_t *header);
void raw_hello(raw_peer_t *self, const char *name, uint64_t session);
void raw_publish(raw_peer_t *self, const char *topic, const char *key, const char *payload);
/* The next message; its body lives until the next call. The test fails when there is none. */
void raw_receive(raw_peer_t *self, envelope_t *ret_envelope, slice_t *ret_body);
/* Receives a message and checks its number. */
slice_t raw_expect(raw_peer_t *self, uint32_t message);
/* Receives a `failure` and checks its error. */
void raw_expect_failure(raw_peer_t *self, capstan_err_t err);
/* Hello, and its welcome. */
void raw_greet(raw_peer_t *self, const char *name, uint64_t session);

#endif

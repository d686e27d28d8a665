/* The coordinator as a member of the group `saga` of each topic that a definition names. Internal
 * to saga/. */
#ifndef SAGA_SAGA_TOPICS_H
#define SAGA_SAGA_TOPICS_H

#include "runtime/base/buffer.h"
#include "runtime/wire/codec.h"

#include <capstan/actor.h>

enum {
    MEMBER_TOPIC_MAX = 128,
    MEMBER_RETRY_US = 2000000,
    MEMBER_DELAY_MS = 1000, /* of an event for which there is no room */
    MEMBER_GRANT_BYTES = 64 << 10,
};

typedef struct member {
    char topic[MEMBER_TOPIC_MAX + 1];
    bool defined; /* the group's policy was said, or cannot be: others are members already */
    bool joined;
    capstan_ref_t group;
    uint64_t subscription;
    uint64_t ask;     /* group_define or subscribe that is under way */
    int64_t retry_us; /* monotonic */
    bool told;        /* the log, that it cannot join */
    uint64_t received_bytes;
    uint64_t held_bytes;
    uint64_t granted_bytes;
    buffer_t positions; /* to be acknowledged, a list */
    codec_list_writer_t list;
} member_t;

typedef struct members {
    member_t **list;
    size_t count;
} members_t;

struct saga_shell;
struct lookup_waiter;

/* Joins the groups of topics that are new. */
void members_join(struct saga_shell *self);
bool members_answer(struct saga_shell *self, const capstan_message_t *message);
/* What a group says. */
void members_hear(struct saga_shell *self, const capstan_message_t *message);
void members_down(struct saga_shell *self, capstan_ref_t actor);
/* An event whose sagas are in memory. */
void members_event(struct saga_shell *self, const struct lookup_waiter *event);
/* And one whose sagas could not be read. */
void members_delay(struct saga_shell *self, const struct lookup_waiter *event);
void members_done(struct saga_shell *self, size_t member, uint64_t subscription, uint64_t partition,
                  uint64_t offset, uint64_t bytes);
void members_turn_end(struct saga_shell *self);
void members_tick(struct saga_shell *self);
/* What was not acknowledged is to come again. */
void members_leave(struct saga_shell *self);
void members_fini(struct saga_shell *self);

/* saga_payload.c: the payload of an event as a value: JSON by its content type or first byte,
 * otherwise msgpack. NULL, or what is wrong with it. `out` may be where `*ret_value` points. */
const char *payload_value(slice_t content_type, slice_t payload, buffer_t *out, slice_t *ret_value);

#endif

/* The gateway: where external peers connect. See gateway_actor.c for its mailbox. */
#ifndef GATEWAY_GATEWAY_H
#define GATEWAY_GATEWAY_H

#include "brokers/gateway/gateway_settings.h"
#include "runtime/base/slice.h"

#include <capstan/actor.h>

/* Answers `describe`: the text in a format, "" for the usual one; the empty slice when there is no
 * such format. Called on the gateway's cell; the text lives until the next call. */
typedef slice_t gateway_describe_fn(void *context, slice_t format);

/* Argument of the gateway's init. The struct is copied; what its pointers lead to must outlive the
 * gateway. The two buffers are written during init only. */
typedef struct gateway_arguments {
    const gateway_settings_t *settings;
    uint64_t event_bytes_max; /* largest event body that is passed on */
    capstan_ref_t topics;     /* answers topic_resolve and what peers ask about topics */
    capstan_ref_t status;     /* answers `status`; null: it is refused UNSUPPORTED */
    gateway_describe_fn *describe;
    void *describe_context;
    void (*release)(void *context); /* called last, when nothing of it is used; NULL: nothing to do
                                     */
    void *release_context;
    bool begun;           /* out: init has run, so that `release` is or will be called */
    char endpoint[288];   /* out: what is bound, with the real port */
    char error_text[512]; /* out, when init fails: what, where and what to do */
} gateway_arguments_t;

/* Its init fails with INVALID, NOT_LOOPBACK, ADDRESS_IN_USE, LIMIT or SYSTEM. */
extern const capstan_behaviour_t gateway_behaviour;

#endif

/* The gateway: where external peers connect. See gateway_actor.c for its mailbox. */
#ifndef GATEWAY_GATEWAY_H
#define GATEWAY_GATEWAY_H

#include "brokers/gateway/gateway_settings.h"
#include "runtime/base/slice.h"

#include <capstan/actor.h>

/* Argument of the gateway's init. `settings`, `describe` and the struct's refs are copied or must
 * outlive the gateway where they are pointers; the two buffers are written during init only. */
typedef struct gateway_arguments {
    const gateway_settings_t *settings; /* must outlive the gateway */
    uint64_t event_bytes_max;           /* largest event body that is passed on */
    capstan_ref_t topics;               /* answers topic_resolve and what peers ask about topics */
    capstan_ref_t status;               /* answers `status`; null: it is refused UNSUPPORTED */
    slice_t describe;                   /* answer to `describe`, JSON; must outlive the gateway */
    char endpoint[288];                 /* out: what is bound, with the real port */
    char error_text[512];               /* out, when init fails: what, where and what to do */
} gateway_arguments_t;

/* Its init fails with INVALID, NOT_LOOPBACK, ADDRESS_IN_USE, LIMIT or SYSTEM. */
extern const capstan_behaviour_t gateway_behaviour;

#endif

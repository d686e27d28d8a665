/* Trace contexts on their way, and the one that a running handler has. Internal to runtime/.
 *
 * What has no context must not pay for those that have. So a queued message has no place for one: a
 * flag says that its context stands right before its body, where the envelope ends with it anyway.
 *
 *   ... envelope: key 11, bin 25 | context (25 bytes) | head of the body | body
 *                                  ^-- message_trace                       ^-- message.body.data
 *
 * And a cell has one pointer, `trace`: NULL but while a handler with a context runs. Everything
 * that is sent meanwhile carries that context; a spawn runs the init of the new actor in it. */
#ifndef RUNTIME_TRACE_H
#define RUNTIME_TRACE_H

#include "runtime/slot.h"
#include "runtime/wire/batch.h"

#include <capstan/trace.h>

enum {
    TRACE_BYTES = 25,
    TRACE_ROOM = TRACE_BYTES + 5, /* and the greatest head of a body */
};
_Static_assert(sizeof(capstan_trace_t) == TRACE_BYTES, "a context is copied as it stands");

/* In capstan_message_t.flags of a received message; not on the wire. */
#define MESSAGE_TRACED (UINT32_C(1) << 31)

/* The run of a handler in a context. Scopes are nested where a handler spawns on its own cell: the
 * innermost one is that of the actor that runs, if that is `traced`. */
typedef struct trace_scope {
    struct trace_scope *outer;
    capstan_trace_t context; /* what is sent carries */
    uint8_t parent_id[8];
    uint32_t message;
    int64_t began_us; /* UTC */
    int64_t began_ns; /* monotonic */
} trace_scope_t;

/* How far before its body a message's context begins: the head of msgpack's bin lies between. */
static inline size_t trace_distance(size_t body_size)
{
    return TRACE_BYTES + (body_size < 256 ? 2 : body_size < 65536 ? 3 : 5);
}

static inline bool message_is_traced(const capstan_message_t *message)
{
    return (message->flags & MESSAGE_TRACED) != 0;
}

/* The context of a received message that has one. */
static inline const capstan_trace_t *message_trace(const capstan_message_t *message)
{
    const uint8_t *body = message->body.data;
    return (const capstan_trace_t *)(body - trace_distance(message->body.size));
}

/* What the envelope's flags say of a context. */
static inline uint32_t trace_wire_flag(const capstan_trace_t *context)
{
    return context->flags & CAPSTAN_TRACE_SAMPLED ? WIRE_KIND_FLAG_SAMPLED : 0;
}

/* Enters a context that is a child of `parent`. `message` is what the handler runs for, or 0. */
__attribute__((cold)) void trace_enter(capstan_actor_t *self, const capstan_trace_t *parent,
                                       uint32_t message);
/* Head sampling of what comes from outside without a context: NULL for most, and `root` for what is
 * picked. Its context has no span: whoever handles the message first is the trace's beginning. */
trace_scope_t *trace_pick(cell_t *cell, trace_scope_t *root);
/* Leaves it again. */
__attribute__((cold)) void trace_leave(capstan_actor_t *self);

#endif

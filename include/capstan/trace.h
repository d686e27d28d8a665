/* Traces: which messages follow from which, across actors, cells and peers, after the W3C
 * recommendation "Trace Context" (https://www.w3.org/TR/trace-context-1/).
 *
 *   peer --traceparent--> gateway --tell--> actor A --ask--> actor B
 *                         span 1            span 2           span 3      one trace id
 *
 * A handler that runs for a message with a context runs in a context of its own: the same trace, a
 * new span id, whose parent is the sender's span. Everything it sends by tell, ask and reply
 * carries that context; there is nothing to pass on. What it sends later, from a timer or at the
 * end of a turn, belongs to no trace, unless it continues one there.
 *
 * A trace begins in three ways: a peer sends a context; a message that comes in without one (from a
 * peer, or by capstan_node_tell and capstan_node_ask) is picked by head sampling, see
 * capstan_node_options_t.trace_sample; or an actor starts one. The handler runs of a sampled trace
 * are recorded as spans. A message without a context carries no byte more for it. */
#ifndef CAPSTAN_TRACE_H
#define CAPSTAN_TRACE_H

#include <capstan/actor.h>
#include <capstan/node.h>
#include <stddef.h>

enum {
    CAPSTAN_TRACE_SAMPLED = 1,     /* the one flag that the recommendation defines */
    CAPSTAN_TRACEPARENT_SIZE = 56, /* of its text, with the terminating zero */
};

/* A context, as it stands in an envelope: 25 bytes. */
typedef struct capstan_trace {
    uint8_t trace_id[16]; /* never all zero */
    uint8_t span_id[8];   /* of the handler run that the context belongs to; never all zero */
    uint8_t flags;
} capstan_trace_t;

/* The context of the running handler, NULL when there is none. It lives until the handler returns
 * or continues another one. */
CAPSTAN_API const capstan_trace_t *capstan_trace_current(const capstan_actor_t *self);

/* Begins a trace with random ids, whose first span is the rest of the running handler. It is
 * sampled by the node's trace_sample. Does nothing when the handler has a context already. */
CAPSTAN_API void capstan_trace_start(capstan_actor_t *self);

/* Goes on as a child of `parent`, which came by another way than a message: it was kept since an
 * earlier handler, or stood in the header of an HTTP request. A span of this handler so far ends
 * here. A parent whose ids are zero is ignored. */
CAPSTAN_API void capstan_trace_continue(capstan_actor_t *self, const capstan_trace_t *parent);

/* Reads the text of the header `traceparent`, strictly: lower case, no blanks, no zero id; a higher
 * version is read as far as this one goes. Any thread. Errors: INVALID; the recommendation wants
 * such a header to be ignored. */
CAPSTAN_API CAPSTAN_MUST_CHECK capstan_err_t capstan_trace_parse(capstan_slice_t text,
                                                                 capstan_trace_t *ret_trace);
/* Writes it, in version 00. Any thread. */
CAPSTAN_API void capstan_trace_print(const capstan_trace_t *trace,
                                     char ret_text[CAPSTAN_TRACEPARENT_SIZE]);

/* A handler run of a sampled trace. */
typedef struct capstan_span {
    capstan_trace_t trace; /* its own context */
    uint8_t parent_id[8];  /* zero: it began the trace */
    char actor[64];        /* the actor's name */
    uint32_t message;      /* number of the message's row; 0: another handler than `receive` */
    int64_t started_us;    /* UTC */
    int64_t duration_ns;
    bool failed; /* the handler ended its actor with an error */
} capstan_span_t;

/* Takes recorded spans out, oldest first, at most `count`; returns how many. 1,024 are kept;
 * further ones are lost and counted (metric runtime.spans_lost). Any thread; never blocks longer
 * than another such call. */
CAPSTAN_API size_t capstan_spans_take(capstan_node_t *node, capstan_span_t *ret_spans,
                                      size_t count);

#endif

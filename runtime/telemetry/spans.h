/* Recorded spans that wait for a reader: a bounded ring. Any thread puts; takers take turns. */
#ifndef TELEMETRY_SPANS_H
#define TELEMETRY_SPANS_H

#include "runtime/base/ring.h"

#include <capstan/trace.h>
#include <pthread.h>

#define SPANS_MAX 1024

typedef struct spans {
    pthread_mutex_t taking;
    ring_t ring;
} spans_t;

/* Errors: NO_MEMORY. */
CAPSTAN_MUST_CHECK capstan_err_t spans_init(spans_t *self);
/* Accepts what was never initialised, but zeroed. */
void spans_fini(spans_t *self);

/* Copies the span, or counts it as lost. Never waits. */
void spans_put(spans_t *self, const capstan_span_t *span);
size_t spans_take(spans_t *self, capstan_span_t *ret_spans, size_t count);

#endif

#include "runtime/telemetry/spans.h"

#include "runtime/base/ensure.h"
#include "runtime/runtime_metrics.h"

#include <stdlib.h>

capstan_err_t spans_init(spans_t *self)
{
    pthread_mutex_init(&self->taking, NULL);
    return ring_init(&self->ring, SPANS_MAX) ? CAPSTAN_OK : CAPSTAN_E_NO_MEMORY;
}

void spans_fini(spans_t *self)
{
    if (self->ring.slots) {
        for (void *span; (span = ring_pop(&self->ring));) {
            free(span);
        }
        ring_fini(&self->ring);
        pthread_mutex_destroy(&self->taking);
    }
}

void spans_put(spans_t *self, const capstan_span_t *span)
{
    capstan_span_t *copy = malloc(sizeof *copy);
    ENSURE(copy);
    *copy = *span;
    METRIC_ADD(runtime, spans, 1);
    if (!ring_push(&self->ring, copy)) {
        METRIC_ADD(runtime, spans_lost, 1);
        free(copy);
    }
}

size_t spans_take(spans_t *self, capstan_span_t *ret_spans, size_t count)
{
    size_t taken = 0;
    pthread_mutex_lock(&self->taking);
    for (capstan_span_t *span; taken < count && (span = ring_pop(&self->ring)); taken++) {
        ret_spans[taken] = *span;
        free(span);
    }
    pthread_mutex_unlock(&self->taking);
    return taken;
}

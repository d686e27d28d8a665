/* Payloads against the topic's schema, before anything is made of an event: one that is refused has
 * left nothing behind, and its number is free for the event that its producer sends instead. */
#include "actors/ordering/partition_parts.h"

#include "actors/ordering/ordering_events.h"
#include "actors/ordering/ordering_metrics.h"
#include "runtime/base/ensure.h"
#include "runtime/runtime.h"
#include "runtime/telemetry/log.h"

enum { TELL_US = 1000000 };

void payloads_configure(partition_actor_t *self)
{
    payload_fault_t fault;
    payload_schema_destroy(&self->schema);
    if (self->topic_settings.payload_schema.size > 0) {
        /* The topics have read it before they stored it. */
        slice_t text = buffer_slice(&self->topic_settings.payload_schema);
        ENSURE(payload_schema_parse(text, &self->schema, &fault) == CAPSTAN_OK);
    }
}

/* Whoever publishes gets the error's number alone; where and what is in the log, as long as that
 * does not fill it. */
static void tell(partition_actor_t *self, const payload_fault_t *fault)
{
    int64_t now_us = capstan_now_us(self->self);
    METRIC_ADD(ordering, events_payload_invalid, 1);
    if (self->payload_told_us == 0 || now_us - self->payload_told_us >= TELL_US) {
        self->payload_told_us = now_us;
        LOG(ordering, payload_refused, log_string("topic", self->topic),
            log_uint("partition", self->index), log_string("where", fault->where),
            log_string("what", fault->what));
    }
}

capstan_err_t payloads_check(partition_actor_t *self, const publish_t *event)
{
    payload_fault_t fault;
    /* Where a topic is compacted, an event without payload says that its key is no more. */
    bool tombstone = event->payload.size == 0 && compaction_is_wanted(self);
    if (!self->schema || tombstone) {
        return CAPSTAN_OK;
    }
    capstan_err_t err =
        payload_schema_check(self->schema, event->content_type, event->payload, &fault);
    if (err != CAPSTAN_OK) {
        tell(self, &fault);
    }
    return err;
}

/* The gateway's part of the node's state, as JSON. */
#include "brokers/gateway/session_link.h"
#include "runtime/base/json_writer.h"

enum {
    SESSIONS_LISTED_MAX = 256, /* the reply has to fit a batch */
};

static void write_count(json_writer_t *json, const char *name, uint64_t value)
{
    emit_key(json, name);
    emit_uint(json, value);
}

static void write_session(json_writer_t *json, const link_t *session)
{
    session_figures_t figures = session_figures(session->core);
    emit_object_begin(json);
    emit_key(json, "name");
    emit_text(json, link_name(session));
    write_count(json, "session", session->number);
    write_count(json, "opened_us", (uint64_t)session->opened_us);
    write_count(json, "received", figures.received);
    write_count(json, "unanswered", figures.open);
    write_count(json, "delivered", figures.delivered);
    write_count(json, "subscriptions", session->subscription_count);
    write_count(json, "waiting_bytes", session->waiting_bytes + session->deliveries_bytes);
    emit_object_end(json);
}

void gateway_status_json(const gateway_t *self, buffer_t *out)
{
    json_writer_t json = json_writer(out);
    emit_object_begin(&json);
    emit_key(&json, "endpoint");
    emit_string(&json, self->endpoint);
    write_count(&json, "session_count", self->session_count);
    write_count(&json, "connections", gateway_socket_connections(self));
    write_count(&json, "resident_bytes", self->resident);
    emit_key(&json, "protocol_errors");
    emit_object_begin(&json);
#define FAULT(name, meaning) write_count(&json, #name, self->figures.faults[FAULT_##name]);
#include "brokers/gateway/gateway_faults.def"
#undef FAULT
    emit_object_end(&json);
    emit_key(&json, "sessions_ended");
    emit_object_begin(&json);
#define END_REASON(name, meaning) write_count(&json, #name, self->figures.ends[END_REASON_##name]);
#include "brokers/gateway/gateway_ends.def"
#undef END_REASON
    emit_object_end(&json);
    emit_key(&json, "sessions");
    emit_array_begin(&json);
    size_t listed = 0;
    for (const link_t *session = self->sessions; session && listed < SESSIONS_LISTED_MAX;
         session = session->next, listed++) {
        write_session(&json, session);
    }
    emit_array_end(&json);
    emit_object_end(&json);
}

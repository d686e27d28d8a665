/* Opening sessions: one per name and one per connection; the higher session number wins. */
#include "brokers/gateway/session_link.h"
#include "runtime/base/ensure.h"

#include <stdio.h>

enum { MESSAGE_BYTES = 64 }; /* what a mailbox counts for a message beside its body */

static void refuse(gateway_t *self, const origin_t *origin, const envelope_t *envelope,
                   capstan_err_t err, const char *text)
{
    gateway_fault(self, FAULT_refused_hello, origin, NULL, err);
    gateway_answer_failure(self, origin, envelope->correlation, err, text);
}

static capstan_err_t read_hello(const envelope_t *envelope, slice_t body, hello_t *ret_hello,
                                char *ret_text, size_t text_size)
{
    codec_fault_t fault = {0};
    capstan_err_t err = codec_decode(hello_wire(), body, ret_hello, &fault);
    if (err != CAPSTAN_OK) {
        snprintf(ret_text, text_size, "hello: %s%s%s", capstan_err_text(err),
                 fault.field ? ": " : "", fault.field ? fault.field : "");
        return err;
    }
    if (envelope->kind != CAPSTAN_KIND_REQUEST) {
        snprintf(ret_text, text_size, "hello is a request");
        return CAPSTAN_E_MALFORMED;
    }
    if (ret_hello->version_min > WIRE_VERSION || ret_hello->version_max < WIRE_VERSION) {
        snprintf(ret_text, text_size, "this node speaks version %d, the peer %llu to %llu",
                 WIRE_VERSION, (unsigned long long)ret_hello->version_min,
                 (unsigned long long)ret_hello->version_max);
        return CAPSTAN_E_WRONG_VERSION;
    }
    if (ret_hello->name.size == 0 || ret_hello->name.size > NAME_BYTES_MAX) {
        snprintf(ret_text, text_size, "a peer's name has 1 to %d bytes", NAME_BYTES_MAX);
        return CAPSTAN_E_INVALID;
    }
    return CAPSTAN_OK;
}

/* Makes way for a new session of that name; STALE_SESSION when the existing one is the newer. */
static capstan_err_t retire(gateway_t *self, const origin_t *origin, const hello_t *hello)
{
    link_t *existing = (link_t *)byte_index_find(&self->names, hello->name);
    if (!existing) {
        return CAPSTAN_OK;
    }
    if (existing->number >= hello->session) {
        return CAPSTAN_E_STALE_SESSION;
    }
    if (existing->origin.fd != origin->fd) {
        gateway_answer_failure(self, &existing->origin, 0, CAPSTAN_E_STALE_SESSION, NULL);
    }
    link_end(existing, END_REASON_retired);
    return CAPSTAN_OK;
}

static void link_into(gateway_t *self, link_t *session, connection_t *connection)
{
    session->next = self->sessions;
    if (self->sessions) {
        self->sessions->previous = session;
    }
    self->sessions = session;
    self->session_count++;
    METRIC_ADD(gateway, sessions_open, 1);
    METRIC_ADD(gateway, sessions_opened, 1);
    byte_index_add(&self->names, &session->by_name);
    connection->session = session;
}

static capstan_err_t open_session(gateway_t *self, const origin_t *origin, const hello_t *hello,
                                  link_t **ret_session)
{
    connection_t *connection = gateway_connection(self, origin->fd);
    /* Half of it is as much as one peer sends ahead: see session_users.c. */
    uint64_t messages = 2 * self->settings->credit_messages;
    link_t *session = calloc(1, sizeof *session);
    ENSURE(session && connection);
    memcpy(session->name, hello->name.data, hello->name.size);
    session->by_name.key = slice_of(session->name, hello->name.size);
    session->number = hello->session;
    session->origin = *origin;
    session->opened_us = capstan_utc_us(self->actor);
    session->shared = self;
    session->core = session_new(
        &(session_limits_t){
            .messages_window = self->settings->credit_messages,
            .bytes_window = self->settings->credit_bytes,
            .silence_us = 3 * (int64_t)self->settings->heartbeat_ms * 1000,
        },
        capstan_now_us(self->actor));
    self->holders++; /* the session's destroy gives it back, whether or not it starts */
    session->gateway = self;
    link_into(self, session, connection);
    capstan_err_t err =
        capstan_spawn(self->actor, &session_behaviour,
                      &(capstan_spawn_options_t){
                          .argument = session,
                          .mailbox_messages = (uint32_t)messages,
                          .mailbox_bytes = self->settings->outbox_bytes + messages * MESSAGE_BYTES,
                          .external = true,
                      },
                      &session->ref);
    if (err != CAPSTAN_OK && !session->actor) {
        session_abandon(session);
    }
    if (err == CAPSTAN_OK) {
        *ret_session = session;
    }
    return err;
}

static void welcome(gateway_t *self, link_t *session, const envelope_t *envelope)
{
    buffer_clear(&self->scratch);
    codec_encode(welcome_wire(),
                 &(welcome_t){.version = WIRE_VERSION,
                              .node = self->node,
                              .boot = self->boot,
                              .heartbeat_ms = self->settings->heartbeat_ms,
                              .event_bytes_max = self->event_bytes_max},
                 &self->scratch);
    link_emit(session,
              &(envelope_t){.message = MESSAGE_welcome,
                            .kind = CAPSTAN_KIND_REPLY,
                            .correlation = envelope->correlation},
              buffer_slice(&self->scratch));
    LOG(gateway, session_opened, log_text("peer", link_name(session)),
        log_uint("session", session->number), log_uint("sessions", self->session_count));
}

void gateway_on_hello(gateway_t *self, const origin_t *origin, const envelope_t *envelope,
                      slice_t body)
{
    char text[256];
    hello_t hello;
    capstan_err_t err = read_hello(envelope, body, &hello, text, sizeof text);
    if (err != CAPSTAN_OK) {
        refuse(self, origin, envelope, err, text);
        return;
    }
    /* What the monitor knows comes first: the descriptor may have got another connection. */
    gateway_socket_events(self);
    const connection_t *connection = gateway_connection(self, origin->fd);
    if (!connection || !connection->alive) {
        return;
    }
    err = retire(self, origin, &hello);
    if (err != CAPSTAN_OK) {
        refuse(self, origin, envelope, err, NULL);
        return;
    }
    /* Another name, or another routing id on this connection: that session is over. */
    if (connection->session) {
        link_end(connection->session, END_REASON_retired);
    }
    if (self->session_count >= self->settings->sessions_max) {
        refuse(self, origin, envelope, CAPSTAN_E_LIMIT, "gateway.sessions_max is reached");
        return;
    }
    link_t *session;
    err = open_session(self, origin, &hello, &session);
    if (err != CAPSTAN_OK) {
        refuse(self, origin, envelope, err, NULL);
        return;
    }
    welcome(self, session, envelope);
}

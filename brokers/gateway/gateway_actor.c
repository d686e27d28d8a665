/* The gateway's actor: it owns the ROUTER that external peers connect to.
 *
 * Accepts  gateway_status (answered gateway_report), answers to its own topic_resolve, down (the
 *          partitions of the topics that it knows), topic_moved (topics)
 * Sends    topic_resolve to the topics actor; session_end to session actors
 * Starts   one session actor per greeted peer, on its own cell (session_actor.c)
 *
 * What peers send is read here and acted on in the name of their session's actor: a publish goes
 * straight to its partition, a message of a user's table to its target, with the session as sender.
 * Per turn a budget of batches is taken, then each peer that has something coming is sent one
 * batch.
 *
 * Nothing is durable. A crash or stop loses the sessions and what they have not been answered;
 * peers greet again and send that once more. */
#include "brokers/gateway/session_link.h"
#include "runtime/base/ensure.h"
#include "runtime/runtime_messages.h"

#include <stdio.h>

enum {
    BATCHES_PER_TURN = 256,
    BYTES_PER_TURN = 1 << 20, /* what is passed on before more is read stays in the caches */
    RETRY_US = 2000,          /* how soon a full pipe is tried again */
};

static void collect_rows(gateway_t *self, const wire_table_t *table)
{
    for (size_t i = 0; i < table->count; i++) {
        const wire_record_t *row = table->records[i]();
        if (row->kind != CAPSTAN_KIND_RECORD && row->id < PEER_MESSAGES) {
            self->rows[row->id] = row;
        }
    }
}

static capstan_err_t init(capstan_actor_t *actor, void *argument)
{
    gateway_arguments_t *arguments = argument;
    const capstan_node_t *node = capstan_actor_node(actor);
    gateway_t *self = calloc(1, sizeof *self);
    ENSURE(self);
    capstan_actor_set_state(actor, self);
    self->holders = 1;
    self->statm = -1;
    self->actor = actor;
    self->settings = arguments->settings;
    self->event_bytes_max = arguments->event_bytes_max;
    self->topics = arguments->topics;
    self->status = arguments->status;
    self->describe = arguments->describe;
    self->describe_context = arguments->describe_context;
    self->release = arguments->release;
    self->release_context = arguments->release_context;
    arguments->begun = true;
    self->node = node_id(node);
    self->boot = node_boot(node);
    uint32_t random;
    node_random(node, &random, sizeof random);
    self->users.asked = random / 2; /* a million a second have 36 minutes until it takes 9 bytes */
    byte_index_init(&self->names);
    self->routes = routes_new(self);
    collect_rows(self, &gateway_table);
    collect_rows(self, &ordering_table);
    self->rows[MESSAGE_cancel] = cancel_wire();
    capstan_err_t err = gateway_socket_open(self, arguments->settings->endpoint,
                                            arguments->error_text, sizeof arguments->error_text);
    if (err != CAPSTAN_OK) {
        return err;
    }
    self->heartbeat_timer =
        capstan_timer_start(actor, (int64_t)self->settings->heartbeat_ms * 1000, NULL);
    snprintf(arguments->endpoint, sizeof arguments->endpoint, "%s", self->endpoint);
    LOG(gateway, listening, log_string("endpoint", self->endpoint));
    gateway_memory_start(self);
    return CAPSTAN_OK;
}

/* --- answers where there is no session ------------------------------------------------------- */

void gateway_fault(gateway_t *self, gateway_fault_t fault, const origin_t *origin,
                   const link_t *session, capstan_err_t err)
{
    static const char *const names[] = {
#define FAULT(name, meaning) #name,
#include "brokers/gateway/gateway_faults.def"
#undef FAULT
    };
    self->figures.faults[fault]++;
    METRIC_ADD(gateway, faults, 1);
    slice_t peer = session ? link_name(session) : (slice_t){0};
    if (fault == FAULT_no_credit) {
        LOG(gateway, credit_exceeded, log_text("peer", peer));
    } else if (fault == FAULT_not_greeted) {
        LOG(gateway, not_greeted, log_int("descriptor", origin->fd));
    } else if (fault != FAULT_unread) {
        LOG(gateway, protocol_error, log_string("fault", names[fault]), log_error(err),
            log_text("peer", peer), log_int("descriptor", origin->fd));
    }
}

void gateway_answer(gateway_t *self, const origin_t *to, const envelope_t *envelope, slice_t body)
{
    buffer_t batch = {0};
    batch_writer_t writer = batch_begin(&batch);
    batch_add(&writer, envelope, body);
    batch_seal(&writer, &(link_header_t){.version = WIRE_VERSION, .count = writer.count});
    if (gateway_socket_send(self, to, buffer_slice(&batch)) != CAPSTAN_OK) {
        gateway_fault(self, FAULT_unread, to, NULL, CAPSTAN_OK);
    }
    buffer_fini(&batch);
}

void gateway_answer_failure(gateway_t *self, const origin_t *to, uint64_t correlation,
                            capstan_err_t err, const char *text)
{
    const char *words = text ? text : capstan_err_text(err);
    buffer_clear(&self->scratch);
    codec_encode(failure_wire(), &(failure_t){.number = (uint64_t)err, .text = slice_text(words)},
                 &self->scratch);
    gateway_answer(self, to,
                   &(envelope_t){.message = MESSAGE_failure,
                                 .kind = CAPSTAN_KIND_ERROR,
                                 .correlation = correlation},
                   buffer_slice(&self->scratch));
}

void gateway_answer_not_greeted(gateway_t *self, const origin_t *to)
{
    buffer_clear(&self->scratch);
    codec_encode(not_greeted_wire(), &(not_greeted_t){.node = self->node, .boot = self->boot},
                 &self->scratch);
    gateway_answer(self, to,
                   &(envelope_t){.message = MESSAGE_not_greeted, .kind = CAPSTAN_KIND_EVENT},
                   buffer_slice(&self->scratch));
}

/* --- what peers send ------------------------------------------------------------------------- */

/* The session that a batch belongs to. A batch that an earlier connection of the same descriptor
 * left behind has another routing id. */
static link_t *session_of(gateway_t *self, const origin_t *origin)
{
    const connection_t *connection = gateway_connection(self, origin->fd);
    link_t *session = connection ? connection->session : NULL;
    if (!session || session->origin.routing_size != origin->routing_size ||
        memcmp(session->origin.routing, origin->routing, origin->routing_size) != 0) {
        return NULL;
    }
    return session;
}

bool link_take(link_t *session, const envelope_t *envelope, slice_t body, uint64_t *ret_sequence)
{
    capstan_err_t err = session_take(session->core, body.size, ret_sequence);
    if (err != CAPSTAN_OK) {
        link_break(session, FAULT_no_credit, envelope->correlation, err, NULL);
        return false;
    }
    return true;
}

/* An answer of kind ERROR has Capstan's own number. */
static bool is_by_reference(const envelope_t *envelope)
{
    return (envelope->message >= WIRE_REFERENCE_ID_MIN && envelope->message <= UINT16_MAX &&
            envelope->kind != CAPSTAN_KIND_ERROR) ||
           (envelope->message == MESSAGE_failure && envelope->kind == CAPSTAN_KIND_ERROR);
}

static void on_other(gateway_t *self, link_t *session, const envelope_t *envelope, slice_t body)
{
    const wire_record_t *row =
        envelope->message < PEER_MESSAGES ? self->rows[envelope->message] : NULL;
    bool open_to_all = envelope->message == MESSAGE_ping || envelope->message == MESSAGE_goodbye ||
                       envelope->message == MESSAGE_cancel;
    uint64_t correlation = envelope->kind == CAPSTAN_KIND_REQUEST ? envelope->correlation : 0;
    if (!row || (row->permission[0] == 0 && !open_to_all)) {
        link_break(session, FAULT_unknown_message, correlation, CAPSTAN_E_UNKNOWN_MESSAGE, NULL);
        return;
    }
    if (envelope->kind != (uint64_t)row->kind) {
        link_break(session, FAULT_malformed, correlation, CAPSTAN_E_MALFORMED,
                   "the envelope's kind is not the one of its message");
        return;
    }
    uint64_t sequence;
    switch (envelope->message) {
    case MESSAGE_ping:
        link_emit(session,
                  &(envelope_t){.message = MESSAGE_pong,
                                .kind = CAPSTAN_KIND_REPLY,
                                .correlation = envelope->correlation},
                  slice_of("\x80", 1));
        break;
    case MESSAGE_goodbye:
        link_end(session, END_REASON_goodbye);
        break;
    case MESSAGE_acknowledge:
    case MESSAGE_reject:
        link_on_acknowledge(session, row->id, body);
        break;
    case MESSAGE_cancel:
        link_on_cancel(session, envelope->correlation);
        break;
    default:
        if (link_take(session, envelope, body, &sequence)) {
            link_on_request(session, envelope, body, sequence);
        }
        break;
    }
}

static void on_message(gateway_t *self, link_t *session, const envelope_t *envelope, slice_t body)
{
    if (envelope->message == MESSAGE_publish && envelope->kind == CAPSTAN_KIND_EVENT) {
        uint64_t sequence;
        if (link_take(session, envelope, body, &sequence)) {
            METRIC_ADD(gateway, publishes, 1);
            routes_publish(self->routes, session, sequence, body);
        }
        return;
    }
    if (is_by_reference(envelope)) {
        users_on_message(session, envelope, body);
    } else {
        on_other(self, session, envelope, body);
    }
}

static void refuse_batch(gateway_t *self, const origin_t *origin, link_t *session,
                         gateway_fault_t fault, capstan_err_t err, const char *text)
{
    if (session) {
        link_break(session, fault, 0, err, text);
        return;
    }
    gateway_fault(self, fault, origin, NULL, err);
    gateway_answer_failure(self, origin, 0, err, text);
}

/* The header counts for the session that the batch's messages belong to; a hello in between makes
 * a new one. False when that session has ended. */
static bool begin_batch(gateway_t *self, link_t *session, const link_header_t *header)
{
    capstan_err_t err = session_on_batch(session->core, capstan_now_us(self->actor), header);
    if (err != CAPSTAN_OK) {
        link_break(session, FAULT_malformed, 0, err,
                   "the batch's link sequence is not the next one");
    } else if (session->deliveries_head || session->holding) {
        gateway_mark_dirty(self, session); /* the header may have brought their credit */
    }
    return err == CAPSTAN_OK;
}

/* Neighbours often differ in their bodies only. */
static bool next_message(batch_reader_t *reader, envelope_t *envelope, slice_t *ret_body)
{
    return batch_next_same(reader, ret_body) || batch_next(reader, envelope, ret_body);
}

static void read_messages(gateway_t *self, const origin_t *origin, batch_reader_t *reader)
{
    link_t *session = session_of(self, origin);
    bool begun = false;
    envelope_t envelope;
    slice_t body;
    while (next_message(reader, &envelope, &body)) {
        METRIC_ADD(gateway, messages_in, 1);
        if (envelope.message == MESSAGE_hello) {
            gateway_on_hello(self, origin, &envelope, body);
            session = session_of(self, origin);
            begun = false;
            continue;
        }
        if (!session) {
            gateway_fault(self, FAULT_not_greeted, origin, NULL, CAPSTAN_E_NOT_GREETED);
            gateway_answer_not_greeted(self, origin);
            return;
        }
        if (!begun && !begin_batch(self, session, &reader->header)) {
            return;
        }
        begun = true;
        if (envelope.message != MESSAGE_publish || envelope.trace.size > 0) {
            routes_flush(self->routes); /* in no context of what follows */
        }
        actor_trace_enter(self->actor, envelope.trace, (uint32_t)envelope.message);
        on_message(self, session, &envelope, body);
        actor_trace_leave(self->actor);
        if (!session->gateway) {
            return;
        }
    }
    if (session) {
        users_end_batch(session);
    }
    if (reader->fault.err != CAPSTAN_OK) {
        char text[160];
        snprintf(text, sizeof text, "%s, at byte %zu of the batch%s%s",
                 capstan_err_text(reader->fault.err), reader->fault.position,
                 reader->fault.field ? ": " : "", reader->fault.field ? reader->fault.field : "");
        refuse_batch(self, origin, session, FAULT_malformed, reader->fault.err, text);
    } else if (session && !begun) {
        (void)begin_batch(self, session, &reader->header);
    }
}

static void take_batch(gateway_t *self, const origin_t *origin, slice_t bytes, bool frames)
{
    METRIC_ADD(gateway, batches_in, 1);
    METRIC_ADD(gateway, bytes_in, bytes.size);
    if (!frames) {
        refuse_batch(self, origin, session_of(self, origin), FAULT_frames, CAPSTAN_E_MALFORMED,
                     "a message is one frame: the batch");
        return;
    }
    batch_reader_t reader;
    capstan_err_t err = batch_open(bytes, &reader);
    if (err != CAPSTAN_OK) {
        gateway_fault_t fault =
            err == CAPSTAN_E_WRONG_VERSION ? FAULT_wrong_version : FAULT_malformed;
        refuse_batch(self, origin, session_of(self, origin), fault, err, NULL);
        return;
    }
    METRIC_RECORD(gateway, batch_messages, reader.header.count);
    users_learn(self);
    read_messages(self, origin, &reader);
}

static void ready(capstan_actor_t *actor, void *cookie)
{
    gateway_t *self = capstan_actor_state(actor);
    if (cookie == self->router) {
        size_t bytes = 0;
        for (int i = 0; i < BATCHES_PER_TURN && bytes < BYTES_PER_TURN; i++) {
            origin_t origin;
            zmq_msg_t batch;
            bool frames;
            if (!gateway_socket_receive(self, &origin, &batch, &frames)) {
                break;
            }
            bytes += zmq_msg_size(&batch);
            take_batch(self, &origin, slice_of(zmq_msg_data(&batch), zmq_msg_size(&batch)), frames);
            zmq_msg_close(&batch);
        }
        routes_flush(self->routes);
    }
    /* Behind the batches: what a peer sent before it went away still counts. */
    gateway_socket_events(self);
}

/* --- turns and timers ------------------------------------------------------------------------ */

void gateway_mark_dirty(gateway_t *self, link_t *session)
{
    if (!session->dirty) {
        session->dirty = true;
        session->next_dirty = self->dirty;
        self->dirty = session;
    }
}

/* Whoever could not send all stays dirty, and the timer comes back for it. */
void gateway_flush(gateway_t *self)
{
    link_t *session = self->dirty;
    self->dirty = NULL;
    while (session) {
        link_t *next = session->next_dirty;
        session->dirty = false;
        if (session->gateway) {
            link_flush(session);
        }
        session = next;
    }
    if (self->dirty && self->retry_timer == 0) {
        self->retry_timer = capstan_timer_start(self->actor, RETRY_US, self);
    }
}

static void turn_end(capstan_actor_t *actor)
{
    gateway_flush(capstan_actor_state(actor));
}

static void end_silent(gateway_t *self, int64_t now_us)
{
    link_t *next;
    for (link_t *session = self->sessions; session; session = next) {
        next = session->next;
        if (session_is_silent(session->core, now_us)) {
            link_end(session, END_REASON_silent);
        }
    }
}

static void timer(capstan_actor_t *actor, uint64_t number, void *cookie)
{
    (void)cookie;
    gateway_t *self = capstan_actor_state(actor);
    if (number == self->retry_timer) {
        self->retry_timer = 0; /* turn_end flushes */
        return;
    }
    if (number == self->memory_timer) {
        gateway_memory_check(self);
        return;
    }
    if (!self->intake_stopped) { /* else nobody listens to them */
        end_silent(self, capstan_now_us(actor));
    }
    self->heartbeat_timer =
        capstan_timer_start(actor, (int64_t)self->settings->heartbeat_ms * 1000, NULL);
}

/* What a partition had taken when it failed, nobody answers any more. Peers send again what is not
 * answered once they have greeted again, so each that waits for answers is to do so. */
static void on_partition_down(gateway_t *self, const capstan_message_t *message)
{
    down_t down;
    if (codec_decode(down_wire(), message->body, &down, NULL) != CAPSTAN_OK) {
        return;
    }
    routes_forget_partition(self->routes, down.actor);
    if (down.reason == CAPSTAN_OK || self->intake_stopped) {
        return;
    }
    for (link_t *session = self->sessions, *next; session; session = next) {
        next = session->next;
        if (session->publishes && session_figures(session->core).open > 0) {
            link_end(session, END_REASON_partition_failed);
            gateway_answer_not_greeted(self, &session->origin);
        }
    }
}

static capstan_err_t receive(capstan_actor_t *actor, const capstan_message_t *message)
{
    gateway_t *self = capstan_actor_state(actor);
    if (message->message == MESSAGE_gateway_status) {
        buffer_t json = {0};
        gateway_status_json(self, &json);
        buffer_clear(&self->scratch);
        codec_encode(gateway_report_wire(), &(gateway_report_t){.json = buffer_slice(&json)},
                     &self->scratch);
        capstan_reply(actor, message, MESSAGE_gateway_report, buffer_slice(&self->scratch));
        buffer_fini(&json);
    } else if (message->message == MESSAGE_down) {
        on_partition_down(self, message);
    } else if (message->message == MESSAGE_topic_moved) {
        routes_on_moved(self->routes, message->body);
    } else if (!routes_on_answer(self->routes, message)) {
        capstan_reply_error(actor, message, CAPSTAN_E_UNKNOWN_MESSAGE, NULL);
    }
    return CAPSTAN_OK;
}

/* --- end ------------------------------------------------------------------------------------- */

/* What was read is worked off, and its outcomes go out; what was not comes again, to the next node,
 * because it is not answered. */
static void stop_intake(capstan_actor_t *actor)
{
    gateway_t *self = capstan_actor_state(actor);
    self->intake_stopped = true;
    gateway_socket_stop_intake(self);
}

static void stop(capstan_actor_t *actor)
{
    gateway_flush(capstan_actor_state(actor));
    capstan_actor_exit(actor, CAPSTAN_OK);
}

void gateway_release(gateway_t *self)
{
    ENSURE(self->holders > 0);
    if (--self->holders == 0) {
        byte_index_fini(&self->names);
        buffer_fini(&self->scratch);
        free(self->connections);
        if (self->release) {
            self->release(self->release_context);
        }
        free(self);
    }
}

static void destroy(capstan_actor_t *actor)
{
    gateway_t *self = capstan_actor_state(actor);
    if (!self) {
        return;
    }
    while (self->sessions) {
        link_end(self->sessions, END_REASON_stopping);
    }
    routes_destroy(&self->routes);
    gateway_socket_close(self);
    gateway_memory_stop(self);
    self->actor = NULL;
    gateway_release(self);
}

const capstan_behaviour_t gateway_behaviour = {
    .name = "gateway",
    .init = init,
    .receive = receive,
    .timer = timer,
    .ready = ready,
    .turn_end = turn_end,
    .stop_intake = stop_intake,
    .stop = stop,
    .destroy = destroy,
};

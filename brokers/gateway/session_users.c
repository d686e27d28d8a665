/* Messages that cross a session by reference: what its peer sends to actors and to other peers, and
 * what they send to it. They are those of users' own tables, and of Capstan's concerns from 0x100
 * on (sagas). Bodies are not looked into.
 *
 *   peer ==event, request==> session's actor --> an actor that is open to peers, another session
 *   peer <==event, request== session's actor <-- whoever has its reference
 *            answers, both ways, need no credit
 *
 * Towards the node, credit follows the receiver: what the peer sends to one whose mailbox is half
 * full stays unsettled until that has emptied, so that a slow receiver slows the peer. It is looked
 * at again with each flush, and the gateway's timer brings one.
 *
 * Towards the peer, what it has granted no credit for waits in the mailbox of the session's actor,
 * which is bounded; a sender beyond that hears MAILBOX_FULL. */
#include "brokers/gateway/session_link.h"
#include "runtime/base/ensure.h"
#include "runtime/outside.h"
#include "runtime/registry.h"

enum { KIND_CLOSED = 0xff }; /* no peer may send it, or it is no message */

static const char peer_prefix[] = "peer/";

/* --- which messages -------------------------------------------------------------------------- */

static void learn_table(users_rules_t *self, const wire_table_t *table)
{
    for (size_t i = 0; i < table->count; i++) {
        const wire_record_t *row = table->records[i]();
        /* Records of Capstan's have numbers of their own, which are no messages'. */
        if (row->id >= WIRE_REFERENCE_ID_MIN &&
            (row->kind != CAPSTAN_KIND_RECORD || row->id >= CAPSTAN_USER_ID_MIN)) {
            bool open = row->kind == CAPSTAN_KIND_REPLY || row->permission[0] != 0;
            self->kinds[row->id - WIRE_REFERENCE_ID_MIN] =
                open ? (uint8_t)row->kind : (uint8_t)KIND_CLOSED;
        }
    }
}

void users_learn(gateway_t *self)
{
    registry_t *registry = node_registry(capstan_actor_node(self->actor));
    users_rules_t *rules = &self->users;
    if (rules->learnt && registry_count(registry) == rules->tables) {
        return;
    }
    table_list_t built_in = registry_built_in(registry);
    if (!rules->learnt) { /* a number of Capstan's that it does not know is nobody's */
        memset(rules->kinds, KIND_CLOSED, CAPSTAN_USER_ID_MIN - WIRE_REFERENCE_ID_MIN);
        rules->learnt = true;
    }
    size_t count;
    const wire_table_t **tables = registry_all(registry, built_in, &count);
    for (size_t i = 0; i < count; i++) {
        learn_table(rules, tables[i]);
    }
    rules->tables = count - built_in.count;
    free(tables);
}

/* A message that its table does not let in breaks the protocol, as one of Capstan's own does. */
static bool is_allowed(link_t *self, const envelope_t *envelope)
{
    uint8_t kind = self->gateway->users.kinds[envelope->message - WIRE_REFERENCE_ID_MIN];
    uint64_t correlation = envelope->kind == CAPSTAN_KIND_REQUEST ? envelope->correlation : 0;
    if (kind == KIND_CLOSED) {
        link_break(self, FAULT_unknown_message, correlation, CAPSTAN_E_UNKNOWN_MESSAGE, NULL);
        return false;
    }
    if (kind != 0 && kind != envelope->kind) {
        link_break(self, FAULT_malformed, correlation, CAPSTAN_E_MALFORMED,
                   "the envelope's kind is not the one of its message");
        return false;
    }
    return true;
}

/* --- from the peer --------------------------------------------------------------------------- */

/* The session, the target and the size of a message; its reference is of this node and short. */
static capstan_err_t find_target(const link_t *self, const envelope_t *envelope, slice_t body,
                                 capstan_ref_t *ret_target)
{
    gateway_t *gateway = self->gateway;
    capstan_ref_t target = {.slot = envelope->target.slot,
                            .generation = envelope->target.generation};
    if (capstan_ref_is_null(target)) {
        return CAPSTAN_E_INVALID;
    }
    if (body.size > gateway->event_bytes_max) {
        return CAPSTAN_E_TOO_LARGE;
    }
    if (envelope->target.node != gateway->node || envelope->target.boot != gateway->boot) {
        return CAPSTAN_E_GONE;
    }
    if (!capstan_ref_equal(target, gateway->users.last)) {
        if (!node_is_external(capstan_actor_node(self->actor), target)) {
            return CAPSTAN_E_GONE;
        }
        gateway->users.last = target;
    }
    *ret_target = target;
    return CAPSTAN_OK;
}

/* Gives the credit of a row back, unless its receiver is crowded. */
static bool settle_row(link_t *self, const tells_t *row)
{
    if (node_is_crowded(capstan_actor_node(self->actor), row->target)) {
        return false;
    }
    session_settle_range(self->core, row->first, row->last);
    return true;
}

static void hold_back(link_t *self, const tells_t *row)
{
    tells_t *last = self->tells_count > 0 ? &self->tells[self->tells_count - 1] : NULL;
    if (last && last->last + 1 == row->first && capstan_ref_equal(last->target, row->target)) {
        last->last = row->last;
    } else if (self->tells_count < TELLS_MAX) {
        self->tells[self->tells_count++] = *row;
    } else { /* to so many at once: the bounds of their mailboxes remain */
        session_settle_range(self->core, row->first, row->last);
    }
}

void users_end_batch(link_t *self)
{
    if (self->row.first == 0) {
        return;
    }
    if (!settle_row(self, &self->row)) {
        hold_back(self, &self->row);
    }
    self->row = (tells_t){.first = 0};
    gateway_mark_dirty(self->gateway, self); /* its grant may be due */
}

bool users_settle(link_t *self)
{
    size_t kept = 0;
    for (size_t i = 0; i < self->tells_count; i++) {
        if (!settle_row(self, &self->tells[i])) {
            self->tells[kept++] = self->tells[i];
        }
    }
    self->tells_count = kept;
    return kept == 0;
}

static void add_to_row(link_t *self, capstan_ref_t target, uint64_t sequence)
{
    if (self->row.last + 1 != sequence || !capstan_ref_equal(self->row.target, target)) {
        users_end_batch(self);
        self->row = (tells_t){.target = target, .first = sequence};
    }
    self->row.last = sequence;
}

static void tell(link_t *self, const envelope_t *envelope, slice_t body)
{
    uint64_t sequence;
    if (!link_take(self, envelope, body, &sequence)) {
        return;
    }
    capstan_ref_t target;
    capstan_err_t err = find_target(self, envelope, body, &target);
    if (err == CAPSTAN_OK) {
        uint64_t ttl_us =
            envelope->ttl_us < REQUEST_TTL_US_MAX ? envelope->ttl_us : REQUEST_TTL_US_MAX;
        err = actor_send(
            self->actor, target,
            &(send_options_t){.message = (uint32_t)envelope->message,
                              .kind = CAPSTAN_KIND_EVENT,
                              .deadline_us =
                                  ttl_us > 0 ? capstan_now_us(self->actor) + (int64_t)ttl_us : 0},
            body);
    }
    if (err != CAPSTAN_OK) {
        METRIC_ADD(gateway, users_refused, 1);
        link_reject(self, sequence, err);
    } else {
        add_to_row(self, target, sequence);
    }
}

static void ask(link_t *self, const envelope_t *envelope, slice_t body)
{
    uint64_t sequence;
    if (envelope->correlation == 0) {
        link_break(self, FAULT_malformed, 0, CAPSTAN_E_MALFORMED,
                   "a request without a correlation cannot be answered");
        return;
    }
    if (!link_take(self, envelope, body, &sequence)) {
        return;
    }
    capstan_ref_t target;
    capstan_err_t err = find_target(self, envelope, body, &target);
    if (err != CAPSTAN_OK) {
        METRIC_ADD(gateway, users_refused, 1);
        link_refuse_request(self, envelope, sequence, err, NULL);
        return;
    }
    link_ask(self, envelope, body, sequence, target);
}

static asked_t *find_asked(const link_t *self, uint64_t number)
{
    for (size_t i = 0; i < self->asked_count; i++) {
        if (self->asked[i].number == number) {
            return &self->asked[i];
        }
    }
    return NULL;
}

static void forget_asked(link_t *self, asked_t *asked)
{
    *asked = self->asked[--self->asked_count];
    users_pace(self);
}

static void pass_failure(link_t *self, const capstan_message_t *request, slice_t body)
{
    failure_t failure;
    char text[256];
    if (codec_decode(failure_wire(), body, &failure, NULL) != CAPSTAN_OK || failure.number == 0 ||
        failure.number > UINT16_MAX) {
        capstan_reply_error(self->actor, request, CAPSTAN_E_INTERNAL, NULL);
        return;
    }
    size_t size = failure.text.size < sizeof text ? failure.text.size : sizeof text - 1;
    if (size > 0) {
        memcpy(text, failure.text.data, size);
    }
    text[size] = 0;
    capstan_reply_error(self->actor, request, (capstan_err_t)failure.number,
                        size > 0 ? text : NULL);
}

/* The peer answers what it was asked. */
static void answer(link_t *self, const envelope_t *envelope, slice_t body)
{
    asked_t *asked = find_asked(self, envelope->correlation);
    if (!asked) {
        self->gateway->figures.faults[FAULT_late_answer]++;
        return;
    }
    capstan_message_t request = {.kind = CAPSTAN_KIND_REQUEST,
                                 .sender = asked->sender,
                                 .target = self->ref,
                                 .correlation = asked->correlation};
    forget_asked(self, asked);
    if (envelope->kind == CAPSTAN_KIND_ERROR) {
        pass_failure(self, &request, body);
    } else if (body.size > self->gateway->event_bytes_max) {
        capstan_reply_error(self->actor, &request, CAPSTAN_E_TOO_LARGE, NULL);
    } else {
        capstan_reply(self->actor, &request, (uint32_t)envelope->message, body);
    }
}

void users_on_message(link_t *self, const envelope_t *envelope, slice_t body)
{
    METRIC_ADD(gateway, users_in, 1);
    if (envelope->kind == CAPSTAN_KIND_ERROR) {
        answer(self, envelope, body);
    } else if (!is_allowed(self, envelope)) {
        return;
    } else if (envelope->kind == CAPSTAN_KIND_EVENT) {
        tell(self, envelope, body);
    } else if (envelope->kind == CAPSTAN_KIND_REQUEST) {
        ask(self, envelope, body);
    } else if (envelope->kind == CAPSTAN_KIND_REPLY) {
        answer(self, envelope, body);
    } else {
        link_break(self, FAULT_malformed, 0, CAPSTAN_E_MALFORMED, "no such kind of message");
    }
}

/* --- whom ------------------------------------------------------------------------------------ */

static capstan_err_t find_address(const link_t *self, slice_t address, capstan_ref_t *ret_ref)
{
    size_t prefix = sizeof peer_prefix - 1;
    if (address.size <= prefix || memcmp(address.data, peer_prefix, prefix) != 0) {
        return node_resolve_external(capstan_actor_node(self->actor), address, ret_ref);
    }
    slice_t name = slice_of((const char *)address.data + prefix, address.size - prefix);
    const link_t *peer = (const link_t *)byte_index_find(&self->gateway->names, name);
    if (!peer) {
        return CAPSTAN_E_NOT_FOUND;
    }
    *ret_ref = peer->ref;
    return CAPSTAN_OK;
}

/* A reference that means the same to a peer, and after a restart of the node nobody. */
static capstan_ref_t outer_ref(const gateway_t *gateway, capstan_ref_t ref)
{
    if (ref.node == 0 && ref.generation > 0) {
        ref.node = gateway->node;
        ref.boot = gateway->boot;
    }
    return ref;
}

void users_on_resolve(link_t *self, const envelope_t *envelope, slice_t body, uint64_t sequence)
{
    resolve_t resolve;
    capstan_ref_t ref;
    capstan_err_t err = codec_decode(resolve_wire(), body, &resolve, NULL);
    if (err == CAPSTAN_OK) {
        err = find_address(self, resolve.address, &ref);
    }
    if (err != CAPSTAN_OK) {
        link_refuse_request(self, envelope, sequence, err, NULL);
        return;
    }
    buffer_t *answer = &self->gateway->scratch;
    buffer_clear(answer);
    codec_encode(resolved_wire(), &(resolved_t){.actor = outer_ref(self->gateway, ref)}, answer);
    link_emit(self,
              &(envelope_t){.message = MESSAGE_resolved,
                            .kind = CAPSTAN_KIND_REPLY,
                            .correlation = envelope->correlation},
              buffer_slice(answer));
    session_settle(self->core, sequence);
}

/* --- to the peer ----------------------------------------------------------------------------- */

static uint64_t add_asked(link_t *self, const capstan_message_t *request)
{
    if (self->asked_count == self->asked_capacity) {
        self->asked_capacity = self->asked_capacity > 0 ? self->asked_capacity * 2 : 8;
        self->asked = realloc(self->asked, self->asked_capacity * sizeof *self->asked);
        ENSURE(self->asked);
    }
    uint64_t number = ++self->gateway->users.asked;
    self->asked[self->asked_count++] =
        (asked_t){.number = number, .sender = request->sender, .correlation = request->correlation};
    return number;
}

bool users_is_asked(const link_t *self, uint64_t number)
{
    return find_asked(self, number) != NULL;
}

void users_deliver(link_t *self, const capstan_message_t *message)
{
    bool never = self->intake_stopped && !link_may_deliver(self);
    capstan_err_t err = message->body.size > self->gateway->event_bytes_max ? CAPSTAN_E_TOO_LARGE
                        : never                                             ? CAPSTAN_E_STOPPING
                                                                            : CAPSTAN_OK;
    if (err != CAPSTAN_OK) {
        METRIC_ADD(gateway, users_lost, 1);
        capstan_reply_error(self->actor, message, err, NULL);
        return;
    }
    capstan_message_t outer = *message;
    capstan_node_t *node = capstan_actor_node(self->actor);
    outer.sender = node_is_external(node, message->sender)
                       ? outer_ref(self->gateway, message->sender)
                       : (capstan_ref_t){.generation = 0};
    if (message->kind == CAPSTAN_KIND_REQUEST) {
        outer.correlation = add_asked(self, message);
    }
    link_deliver_user(self, &outer);
    users_pace(self);
}

void users_cancelled(link_t *self, capstan_ref_t sender, uint64_t correlation)
{
    for (size_t i = 0; i < self->asked_count; i++) {
        asked_t *asked = &self->asked[i];
        if (asked->correlation == correlation && capstan_ref_equal(asked->sender, sender)) {
            link_emit(self,
                      &(envelope_t){.message = MESSAGE_cancel,
                                    .kind = CAPSTAN_KIND_EVENT,
                                    .correlation = asked->number},
                      slice_of("\x80", 1));
            forget_asked(self, asked);
            return;
        }
    }
}

void users_pace(link_t *self)
{
    bool hold = !self->intake_stopped && (self->deliveries_head || !link_may_deliver(self) ||
                                          self->asked_count >= REQUESTS_MAX);
    if (self->actor && hold != self->holding) {
        self->holding = hold;
        actor_hold(self->actor, hold);
    }
}

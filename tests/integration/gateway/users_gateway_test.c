/* Messages by reference, of users' own tables and of sagas, across the gateway: from peers to
 * actors that are open to them, from actors to peers, and from peer to peer; and what becomes of
 * those that cannot pass. */
#include "gateway_kit.h"

#include "actors/saga/saga_messages.h"
#include "node/tables.h"
#include "runtime/registry.h"
#include "runtime/runtime_messages.h"
#include "tests/kit/shop_messages.h"

#include <capstan/peer.h>
#include <pthread.h>

enum {
    ASK_US = 10000000,
    COMMANDS = 1500,    /* more than is granted at once, less than a session's mailbox takes */
    USER_note = 0x9000, /* an event: counted */
    USER_echo,          /* a request: its body comes back */
    USER_fail,          /* a request: answered by an error */
    USER_never,         /* a request: not answered, until it is cancelled */
    USER_call_back,     /* an event: the actor asks its sender, and notes the answer */
    USER_count_down,    /* an event: the actor sends its sender so many notes */
    USER_wait,          /* an event: the actor blocks until it is let go */
};

/* --- actors ------------------------------------------------------------------------------------
 */

typedef struct desk {
    _Atomic uint64_t notes;
    _Atomic uint64_t out_of_order;
    _Atomic uint64_t never;     /* requests that came */
    _Atomic uint64_t cancelled; /* of them, withdrawn */
    _Atomic uint64_t answers;   /* to what it asked a peer */
    _Atomic uint64_t errors;
    _Atomic uint64_t last_error;
    _Atomic uint64_t refused; /* notes that it could not send */
    _Atomic uint64_t waits;
    _Atomic bool go;
    capstan_ref_t ref;
} desk_t;

static desk_t desk;

static uint64_t number_of(slice_t body)
{
    uint64_t number = 0;
    if (body.size >= sizeof number) {
        memcpy(&number, body.data, sizeof number);
    }
    return number;
}

static void on_note(slice_t body)
{
    if (number_of(body) != atomic_fetch_add(&desk.notes, 1)) {
        atomic_fetch_add(&desk.out_of_order, 1);
    }
}

static void count_down(capstan_actor_t *self, const capstan_message_t *message)
{
    uint64_t count = number_of(message->body);
    for (uint64_t i = 0; i < count; i++) {
        if (capstan_tell(self, message->sender, USER_note, slice_of(&i, sizeof i)) != CAPSTAN_OK) {
            atomic_fetch_add(&desk.refused, 1);
        }
    }
}

/* To a participant; what is in them only it could read. */
static void send_commands(capstan_actor_t *self, const capstan_message_t *message)
{
    for (uint64_t i = 0; i < COMMANDS; i++) {
        cr_assert_eq(capstan_tell(self, message->sender, MESSAGE_participant_commands,
                                  slice_of(&i, sizeof i)),
                     CAPSTAN_OK);
    }
}

static capstan_err_t desk_receive(capstan_actor_t *self, const capstan_message_t *message)
{
    uint64_t correlation;
    capstan_err_t err;
    if (capstan_message_is_error(message, &err, NULL)) {
        atomic_store(&desk.last_error, (uint64_t)err);
        atomic_fetch_add(&desk.errors, 1);
        return CAPSTAN_OK;
    }
    switch (message->message) {
    case USER_note:
        on_note(message->body);
        break;
    case USER_echo:
        if (message->kind == CAPSTAN_KIND_REPLY) {
            atomic_fetch_add(&desk.answers, 1);
        } else {
            capstan_reply(self, message, USER_echo, message->body);
        }
        break;
    case USER_fail:
        capstan_reply_error(self, message, CAPSTAN_E_STORE_FULL, "no room for it");
        break;
    case USER_never:
        atomic_fetch_add(&desk.never, 1);
        break;
    case USER_call_back:
        cr_assert_eq(
            capstan_ask(self, message->sender, USER_echo, message->body, ASK_US, &correlation),
            CAPSTAN_OK);
        break;
    case USER_count_down:
        count_down(self, message);
        break;
    case MESSAGE_participant_open:
        capstan_reply(self, message, MESSAGE_participant_opened, message->body);
        send_commands(self, message);
        break;
    case MESSAGE_participant_results:
        on_note(message->body);
        break;
    case USER_wait:
        atomic_fetch_add(&desk.waits, 1);
        while (!atomic_load(&desk.go)) {
            poll(NULL, 0, 1);
        }
        break;
    default:
        break;
    }
    return CAPSTAN_OK;
}

static void desk_cancelled(capstan_actor_t *self, capstan_ref_t sender, uint64_t correlation)
{
    (void)self;
    (void)sender;
    (void)correlation;
    atomic_fetch_add(&desk.cancelled, 1);
}

static const capstan_behaviour_t desk_behaviour = {
    .name = "desk", .receive = desk_receive, .cancelled = desk_cancelled, .may_block = true};

static void start_with(capstan_spawn_options_t options)
{
    capstan_ref_t ref;
    kit_start();
    options.name = "desk";
    options.placement = CAPSTAN_PLACE_OWN;
    options.external = true;
    cr_assert_eq(capstan_node_spawn(kit.node, &desk_behaviour, &options, &desk.ref), CAPSTAN_OK);
    cr_assert_eq(capstan_node_spawn(kit.node, &desk_behaviour,
                                    &(capstan_spawn_options_t){.name = "back-office"}, &ref),
                 CAPSTAN_OK);
}

static void start(void)
{
    start_with((capstan_spawn_options_t){.mailbox_messages = 0});
}

/* --- peers -------------------------------------------------------------------------------------
 */

typedef struct heard {
    uint64_t notes;
    uint64_t out_of_order;
    uint64_t requests;
    uint64_t cancelled;
    uint64_t refused;
    capstan_err_t err;
    capstan_ref_t sender;
    bool mute; /* it keeps what it is asked to itself */
    bool fail; /* it answers with an error */
} heard_t;

static void peer_receive(capstan_peer_t *self, void *context, const capstan_peer_message_t *message)
{
    heard_t *heard = context;
    heard->sender = message->sender;
    if (message->kind == CAPSTAN_KIND_EVENT) {
        heard->out_of_order += number_of(message->body) != heard->notes;
        heard->notes++;
        return;
    }
    heard->requests++;
    if (heard->fail) {
        capstan_peer_reply_error(self, message, CAPSTAN_E_NOT_FOUND, "not here");
    } else if (!heard->mute) {
        capstan_peer_reply(self, message, USER_echo, message->body);
    }
}

static void peer_cancelled(capstan_peer_t *self, void *context, uint64_t correlation)
{
    heard_t *heard = context;
    (void)self;
    (void)correlation;
    heard->cancelled++;
}

static void peer_refused(capstan_peer_t *self, void *context, capstan_err_t err, uint64_t count)
{
    heard_t *heard = context;
    (void)self;
    heard->refused += count;
    heard->err = err;
}

static capstan_peer_t *connect_peer(const char *name, heard_t *heard)
{
    char text[256];
    capstan_peer_t *peer;
    capstan_err_t err =
        capstan_peer_connect(&(capstan_peer_options_t){.endpoint = kit.arguments.endpoint,
                                                       .name = name,
                                                       .context = heard,
                                                       .receive = peer_receive,
                                                       .cancelled = peer_cancelled,
                                                       .refused = peer_refused},
                             &peer, text, sizeof text);
    cr_assert_eq(err, CAPSTAN_OK, "%s", text);
    return peer;
}

static capstan_ref_t resolve(capstan_peer_t *peer, const char *address)
{
    capstan_ref_t ref = {0};
    cr_assert_eq(capstan_peer_resolve(peer, address, ASK_US, &ref), CAPSTAN_OK, "%s", address);
    return ref;
}

static void tell(capstan_peer_t *peer, capstan_ref_t target, uint32_t message, uint64_t number)
{
    capstan_err_t err;
    do {
        err = capstan_peer_tell(peer, target, message, slice_of(&number, sizeof number));
        if (err == CAPSTAN_E_NO_CREDIT) {
            capstan_peer_poll(peer, 1000);
        }
    } while (err == CAPSTAN_E_NO_CREDIT);
    cr_assert_eq(err, CAPSTAN_OK, "%s", capstan_err_name(err));
}

/* Serves the peers until the number is there, whoever changes it. */
#define SERVE_UNTIL(condition, first, second)                                                      \
    do {                                                                                           \
        int rounds = 0;                                                                            \
        while (!(condition)) {                                                                     \
            cr_assert_lt(rounds++, KIT_WAIT_MS, "never: %s", #condition);                          \
            capstan_peer_poll(first, 1000);                                                        \
            if (second) {                                                                          \
                capstan_peer_poll(second, 0);                                                      \
            }                                                                                      \
        }                                                                                          \
    } while (false)

#define NOBODY ((capstan_peer_t *)NULL)

/* --- peers and actors --------------------------------------------------------------------------
 */

static void ask_and_tell(void)
{
    start();
    heard_t heard = {0};
    capstan_peer_t *peer = connect_peer("till", &heard);
    capstan_ref_t ref = resolve(peer, "desk");
    cr_assert_eq(ref.node, node_id(kit.node));
    for (uint64_t i = 0; i < 5000; i++) { /* more than is granted at once */
        tell(peer, ref, USER_note, i);
    }
    capstan_buffer_t answer = {0};
    cr_assert_eq(
        capstan_peer_ask(peer, ref, USER_echo, slice_text("there and back"), ASK_US, &answer),
        CAPSTAN_OK);
    cr_assert(slice_equal(capstan_buffer_slice(&answer), slice_text("there and back")));
    cr_assert_eq(atomic_load(&desk.notes), 5000u); /* asked last, answered last */
    cr_assert_eq(atomic_load(&desk.out_of_order), 0u);
    cr_assert_eq(capstan_peer_ask(peer, ref, USER_fail, (slice_t){0}, ASK_US, NULL),
                 CAPSTAN_E_STORE_FULL);
    cr_assert_eq(capstan_peer_ask(peer, ref, USER_never, (slice_t){0}, 50000, NULL),
                 CAPSTAN_E_TIMEOUT);
    kit_wait(&desk.cancelled, 1); /* the time that was left went along */
    cr_assert_eq(heard.refused, 0u);
    cr_assert_eq(kit_figure("users_in"), 5003u);
    capstan_buffer_fini(&answer);
    capstan_peer_close(&peer, ASK_US);
    kit_stop();
}

Test(users, are_told_and_asked_by_peers)
{
    ask_and_tell();
}

Test(users, are_told_and_asked_by_peers_under_strict_wire)
{
    kit.strict_wire = true;
    ask_and_tell();
}

static void call_back(void)
{
    start();
    heard_t heard = {0};
    capstan_peer_t *peer = connect_peer("till", &heard);
    capstan_ref_t ref = resolve(peer, "desk");
    tell(peer, ref, USER_count_down, 3000); /* more than the mailbox of a session takes at once */
    SERVE_UNTIL(heard.notes + atomic_load(&desk.refused) == 3000, peer, NOBODY);
    tell(peer, ref, USER_call_back, 0);
    SERVE_UNTIL(atomic_load(&desk.answers) == 1, peer, NOBODY);
    cr_assert(capstan_ref_equal(heard.sender, ref));
    heard.fail = true;
    tell(peer, ref, USER_call_back, 0);
    SERVE_UNTIL(atomic_load(&desk.errors) == 1, peer, NOBODY);
    cr_assert_eq(atomic_load(&desk.last_error), (uint64_t)CAPSTAN_E_NOT_FOUND);
    heard = (heard_t){.mute = true};
    tell(peer, ref, USER_call_back, 0);
    SERVE_UNTIL(heard.requests == 1, peer, NOBODY);
    capstan_peer_close(&peer, ASK_US); /* it goes, and owes an answer */
    kit_wait(&desk.errors, 2);
    cr_assert_eq(atomic_load(&desk.last_error), (uint64_t)CAPSTAN_E_GONE);
    kit_stop();
}

Test(users, tell_and_ask_peers)
{
    call_back();
}

Test(users, tell_and_ask_peers_under_strict_wire)
{
    kit.strict_wire = true;
    call_back();
}

Test(users, are_found_only_when_they_are_open_to_peers)
{
    start();
    heard_t heard = {0};
    capstan_peer_t *peer = connect_peer("till", &heard);
    const char *const hidden[] = {"back-office", "gateway", "topics", "",         "peer/",
                                  "peer/nobody", "desk/1",  ".port",  "node:desk"};
    for (size_t i = 0; i < sizeof hidden / sizeof hidden[0]; i++) {
        capstan_ref_t ref;
        cr_assert_eq(capstan_peer_resolve(peer, hidden[i], ASK_US, &ref), CAPSTAN_E_NOT_FOUND, "%s",
                     hidden[i]);
    }
    capstan_ref_t wrong[6]; /* hidden, never there, of another boot, of another node, short */
    for (size_t i = 0; i < 6; i++) {
        wrong[i] = resolve(peer, "desk");
    }
    cr_assert_eq(capstan_node_resolve(kit.node, "back-office", &wrong[0]), CAPSTAN_OK);
    wrong[0].node = node_id(kit.node);
    wrong[0].boot = node_boot(kit.node);
    wrong[1].slot = UINT32_MAX;
    wrong[2].generation++;
    wrong[3].boot++;
    wrong[4].node++;
    wrong[5].node = wrong[5].boot = 0;
    for (size_t i = 0; i < 6; i++) {
        cr_assert_eq(capstan_peer_ask(peer, wrong[i], USER_echo, (slice_t){0}, ASK_US, NULL),
                     CAPSTAN_E_GONE, "%zu", i);
        tell(peer, wrong[i], USER_note, 0);
    }
    SERVE_UNTIL(heard.refused == 6, peer, NOBODY);
    cr_assert_eq(heard.err, CAPSTAN_E_GONE);
    cr_assert_eq(kit_figure("users_refused"), 12u);
    cr_assert_eq(kit_figure("session_count"), 1u);
    capstan_peer_close(&peer, ASK_US);
    kit_stop();
}

Test(users, whose_mailbox_is_full_refuse_the_peer)
{
    start_with((capstan_spawn_options_t){.mailbox_messages = 8,
                                         .overflow = CAPSTAN_OVERFLOW_PARK}); /* it never parks */
    heard_t heard = {0};
    capstan_peer_t *peer = connect_peer("till", &heard);
    capstan_ref_t ref = resolve(peer, "desk");
    tell(peer, ref, USER_wait, 0);
    SERVE_UNTIL(atomic_load(&desk.waits) == 1, peer, NOBODY);
    for (uint64_t i = 0; i < 20; i++) {
        tell(peer, ref, USER_note, i);
    }
    SERVE_UNTIL(heard.refused >= 12, peer, NOBODY);
    cr_assert_eq(heard.err, CAPSTAN_E_MAILBOX_FULL);
    cr_assert_eq(capstan_peer_ask(peer, ref, USER_echo, (slice_t){0}, ASK_US, NULL),
                 CAPSTAN_E_MAILBOX_FULL);
    atomic_store(&desk.go, true);
    SERVE_UNTIL(atomic_load(&desk.notes) + heard.refused == 20, peer, NOBODY);
    capstan_peer_close(&peer, ASK_US);
    kit_stop();
}

/* The actor takes nothing; its mailbox, of 4,096, is half full soon. */
Test(users, that_are_slow_slow_their_peers)
{
    start_with((capstan_spawn_options_t){.mailbox_messages = 4096});
    heard_t heard = {0};
    capstan_peer_t *peer = connect_peer("till", &heard);
    capstan_ref_t ref = resolve(peer, "desk");
    tell(peer, ref, USER_wait, 0);
    SERVE_UNTIL(atomic_load(&desk.waits) == 1, peer, NOBODY);
    uint64_t sent = 0;
    for (int quiet = 0; quiet < 100;) { /* until what the peer keeps for later is full, too */
        capstan_err_t err =
            sent < 4096 ? capstan_peer_tell(peer, ref, USER_note, slice_of(&sent, sizeof sent))
                        : CAPSTAN_E_NO_CREDIT;
        sent += err == CAPSTAN_OK;
        quiet += err != CAPSTAN_OK;
        if (err != CAPSTAN_OK || sent % 64 == 0) {
            capstan_peer_poll(peer, 1000);
        }
    }
    uint64_t passed = kit_figure("users_in");
    cr_assert_geq(passed, 2048u);
    cr_assert_leq(passed, 2048u + 1024u + 64u); /* half of the mailbox, and what is granted */
    atomic_store(&desk.go, true);
    SERVE_UNTIL(atomic_load(&desk.notes) == sent, peer, NOBODY);
    cr_assert_eq(heard.refused, 0u);
    cr_assert_eq(atomic_load(&desk.out_of_order), 0u);
    capstan_peer_close(&peer, ASK_US);
    kit_stop();
}

/* --- of sagas ----------------------------------------------------------------------------------
 */

static void know_tables(void)
{
    table_list_t tables;
    tables.tables = node_tables(&tables.count);
    registry_know(node_registry(kit.node), tables);
}

static void sagas_by_reference(void)
{
    start();
    know_tables();
    heard_t heard = {0};
    capstan_peer_t *peer = connect_peer("till", &heard);
    capstan_ref_t ref = resolve(peer, "desk");
    capstan_buffer_t answer = {0};
    cr_assert_eq(capstan_peer_ask(peer, ref, MESSAGE_participant_open, slice_text("unread"), ASK_US,
                                  &answer),
                 CAPSTAN_OK);
    cr_assert(slice_equal(capstan_buffer_slice(&answer), slice_text("unread")));
    SERVE_UNTIL(heard.notes == COMMANDS, peer, NOBODY);
    cr_assert_eq(heard.out_of_order, 0u);
    cr_assert(capstan_ref_equal(heard.sender, ref));
    for (uint64_t i = 0; i < 5000; i++) {
        tell(peer, ref, MESSAGE_participant_results, i);
    }
    SERVE_UNTIL(atomic_load(&desk.notes) == 5000, peer, NOBODY);
    cr_assert_eq(atomic_load(&desk.out_of_order), 0u);
    cr_assert_eq(heard.refused, 0u);
    capstan_buffer_fini(&answer);
    capstan_peer_close(&peer, ASK_US);
    kit_stop();
}

Test(users, are_joined_by_the_messages_of_sagas)
{
    sagas_by_reference();
}

Test(users, are_joined_by_the_messages_of_sagas_under_strict_wire)
{
    kit.strict_wire = true;
    sagas_by_reference();
}

/* The mailbox of an actor that takes nothing slows the peer, whatever the messages are. */
Test(users, of_sagas_that_are_slow_slow_their_peers)
{
    start_with((capstan_spawn_options_t){.mailbox_messages = 4096});
    know_tables();
    heard_t heard = {0};
    capstan_peer_t *peer = connect_peer("till", &heard);
    capstan_ref_t ref = resolve(peer, "desk");
    tell(peer, ref, USER_wait, 0);
    SERVE_UNTIL(atomic_load(&desk.waits) == 1, peer, NOBODY);
    uint64_t sent = 0;
    for (int quiet = 0; quiet < 100;) {
        capstan_err_t err = sent < 4096 ? capstan_peer_tell(peer, ref, MESSAGE_participant_results,
                                                            slice_of(&sent, sizeof sent))
                                        : CAPSTAN_E_NO_CREDIT;
        sent += err == CAPSTAN_OK;
        quiet += err != CAPSTAN_OK;
        if (err != CAPSTAN_OK || sent % 64 == 0) {
            capstan_peer_poll(peer, 1000);
        }
    }
    cr_assert_leq(kit_figure("users_in"), 2048u + 1024u + 64u);
    atomic_store(&desk.go, true);
    SERVE_UNTIL(atomic_load(&desk.notes) == sent, peer, NOBODY);
    cr_assert_eq(heard.refused, 0u);
    capstan_peer_close(&peer, ASK_US);
    kit_stop();
}

/* --- peer to peer ------------------------------------------------------------------------------
 */

static void between_peers(void)
{
    start();
    heard_t first = {0};
    heard_t second = {0};
    capstan_peer_t *one = connect_peer("one", &first);
    capstan_peer_t *two = connect_peer("two", &second);
    capstan_ref_t ref = resolve(one, "peer/two");
    for (uint64_t i = 0; i < 5000; i++) {
        tell(one, ref, USER_note, i);
        if (i % 256 == 0) {
            capstan_peer_poll(two, 0);
        }
    }
    SERVE_UNTIL(second.notes == 5000, two, one);
    cr_assert_eq(second.out_of_order, 0u);
    tell(two, second.sender, USER_note, 0); /* back to whom it came from */
    SERVE_UNTIL(first.notes == 1, two, one);
    capstan_peer_close(&two, ASK_US);
    kit_wait_figure("session_count", 1);
    tell(one, ref, USER_note, 0);
    SERVE_UNTIL(first.refused == 1, one, NOBODY);
    cr_assert_eq(first.err, CAPSTAN_E_GONE);
    capstan_peer_close(&one, ASK_US);
    kit_stop();
}

Test(users, pass_from_peer_to_peer)
{
    between_peers();
}

Test(users, pass_from_peer_to_peer_under_strict_wire)
{
    kit.strict_wire = true;
    between_peers();
}

static capstan_peer_t *served; /* by another thread */

static void *serve(void *argument)
{
    const _Atomic bool *over = argument;
    while (!atomic_load(over)) {
        capstan_peer_poll(served, 1000);
    }
    return NULL;
}

Test(users, ask_from_peer_to_peer)
{
    start();
    heard_t first = {0};
    heard_t second = {0};
    _Atomic bool over = false;
    pthread_t thread;
    capstan_peer_t *one = connect_peer("one", &first);
    served = connect_peer("two", &second);
    capstan_ref_t ref = resolve(one, "peer/two");
    cr_assert_eq(pthread_create(&thread, NULL, serve, &over), 0);
    capstan_buffer_t answer = {0};
    for (int i = 0; i < 100; i++) {
        cr_assert_eq(capstan_peer_ask(one, ref, USER_echo, slice_text("x"), ASK_US, &answer),
                     CAPSTAN_OK);
    }
    cr_assert_eq(answer.size, 100u);
    capstan_buffer_fini(&answer);
    atomic_store(&over, true);
    pthread_join(thread, NULL);
    second.mute = true;
    cr_assert_eq(capstan_peer_ask(one, ref, USER_echo, (slice_t){0}, 20000, NULL),
                 CAPSTAN_E_TIMEOUT);
    SERVE_UNTIL(second.cancelled == 1, served, NOBODY);
    capstan_peer_close(&served, ASK_US);
    capstan_peer_close(&one, ASK_US);
    kit_stop();
}

/* --- with bytes: peers that do not play along --------------------------------------------------
 */

static void add_user(raw_peer_t *peer, uint64_t message, uint64_t kind, capstan_ref_t target)
{
    raw_add(peer,
            &(envelope_t){.message = message,
                          .kind = kind,
                          .correlation = kind == CAPSTAN_KIND_EVENT ? 0 : 7,
                          .target = target},
            slice_of("\x80", 1));
}

static capstan_ref_t raw_resolve(raw_peer_t *peer, const char *address)
{
    buffer_t body = {0};
    codec_encode(resolve_wire(), &(resolve_t){.address = slice_text(address)}, &body);
    raw_add(
        peer,
        &(envelope_t){.message = MESSAGE_resolve, .kind = CAPSTAN_KIND_REQUEST, .correlation = 3},
        buffer_slice(&body));
    raw_send(peer, NULL);
    resolved_t resolved;
    cr_assert_eq(codec_decode(resolved_wire(), raw_expect(peer, MESSAGE_resolved), &resolved, NULL),
                 CAPSTAN_OK);
    buffer_fini(&body);
    return resolved.actor;
}

static void expect_rejected(raw_peer_t *peer, uint64_t sequence, capstan_err_t err)
{
    outcomes_t outcomes;
    outcome_t outcome;
    codec_list_t list;
    slice_t body = raw_expect(peer, MESSAGE_outcomes);
    cr_assert_eq(codec_decode(outcomes_wire(), body, &outcomes, NULL), CAPSTAN_OK);
    cr_assert_eq(codec_list_open(outcome_wire(), outcomes.list, &list), CAPSTAN_OK);
    cr_assert(codec_list_next(&list, &outcome));
    cr_assert_eq(outcome.first, sequence);
    cr_assert_eq(outcome.result, 4u);
    cr_assert_eq(outcome.error, (uint64_t)err);
}

Test(users, cannot_be_sent_what_does_not_fit_and_the_session_goes_on)
{
    start();
    raw_peer_t peer;
    raw_open(&peer);
    add_user(&peer, USER_note, CAPSTAN_KIND_EVENT, desk.ref);
    raw_send(&peer, NULL);
    raw_expect(&peer, MESSAGE_not_greeted);
    raw_greet(&peer, "bad", 1);
    capstan_ref_t ref = raw_resolve(&peer, "desk");
    add_user(&peer, USER_note, CAPSTAN_KIND_EVENT, (capstan_ref_t){0});
    raw_send(&peer, NULL);
    expect_rejected(&peer, 2, CAPSTAN_E_INVALID);
    add_user(&peer, USER_echo, CAPSTAN_KIND_REQUEST, (capstan_ref_t){0});
    raw_send(&peer, NULL);
    raw_expect_failure(&peer, CAPSTAN_E_INVALID);
    char *large = calloc(1, 1048577);
    raw_add(&peer, &(envelope_t){.message = USER_note, .kind = CAPSTAN_KIND_EVENT, .target = ref},
            slice_of(large, 1048577));
    raw_send(&peer, NULL);
    expect_rejected(&peer, 4, CAPSTAN_E_TOO_LARGE);
    free(large);
    for (uint64_t kind = CAPSTAN_KIND_REPLY; kind <= CAPSTAN_KIND_ERROR; kind += 2) {
        add_user(&peer, kind == CAPSTAN_KIND_ERROR ? MESSAGE_failure : (uint64_t)USER_echo, kind,
                 ref);
        raw_send(&peer, NULL); /* an answer to nothing */
    }
    kit_wait_figure("protocol_errors/late_answer", 2);
    cr_assert_eq(kit_figure("session_count"), 1u);
    add_user(&peer, USER_echo, CAPSTAN_KIND_REQUEST, ref);
    raw_send(&peer, NULL);
    raw_expect(&peer, USER_echo);
    raw_close(&peer);
    kit_stop();
}

Test(users, have_tables_that_say_what_peers_may_send)
{
    start();
    know_tables();
    cr_assert_eq(capstan_node_register(kit.node, &shop_table, NULL, 0), CAPSTAN_OK);
    const struct {
        uint64_t message;
        uint64_t kind;
        const char *fault;
        uint64_t count;
        capstan_err_t err;
    } wrong[] = {
        {MESSAGE_shop_closed, CAPSTAN_KIND_EVENT, "protocol_errors/unknown_message", 1,
         CAPSTAN_E_UNKNOWN_MESSAGE}, /* no permission */
        {0x8001, CAPSTAN_KIND_EVENT, "protocol_errors/unknown_message", 2,
         CAPSTAN_E_UNKNOWN_MESSAGE}, /* a record */
        {MESSAGE_shop_order, CAPSTAN_KIND_EVENT, "protocol_errors/malformed", 1,
         CAPSTAN_E_MALFORMED}, /* a request */
        {USER_note, 5, "protocol_errors/malformed", 2, CAPSTAN_E_MALFORMED},
        {0x7fff, CAPSTAN_KIND_EVENT, "protocol_errors/unknown_message", 3,
         CAPSTAN_E_UNKNOWN_MESSAGE},
        {0x10000, CAPSTAN_KIND_EVENT, "protocol_errors/unknown_message", 4,
         CAPSTAN_E_UNKNOWN_MESSAGE},
        {MESSAGE_participant_commands, CAPSTAN_KIND_EVENT, "protocol_errors/unknown_message", 5,
         CAPSTAN_E_UNKNOWN_MESSAGE}, /* no permission */
        {MESSAGE_participant_open, CAPSTAN_KIND_EVENT, "protocol_errors/malformed", 3,
         CAPSTAN_E_MALFORMED}, /* a request */
        {MESSAGE_down, CAPSTAN_KIND_EVENT, "protocol_errors/unknown_message", 6,
         CAPSTAN_E_UNKNOWN_MESSAGE}, /* of the runtime's own */
    };
    raw_peer_t peer;
    raw_open(&peer);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        raw_greet(&peer, "bad", i + 1);
        capstan_ref_t ref = raw_resolve(&peer, "desk");
        add_user(&peer, wrong[i].message, wrong[i].kind, ref);
        raw_send(&peer, NULL);
        raw_expect_failure(&peer, wrong[i].err);
        raw_expect(&peer, MESSAGE_not_greeted);
        cr_assert_eq(kit_figure(wrong[i].fault), wrong[i].count, "%zu", i);
    }
    raw_greet(&peer, "good", 1);
    add_user(&peer, MESSAGE_shop_order, CAPSTAN_KIND_REQUEST, raw_resolve(&peer, "desk"));
    raw_send(&peer, NULL); /* not answered by the desk, but passed on */
    raw_close(&peer);
    kit_wait_figure("session_count", 0);
    kit_stop();
}

/* It greets and grants nothing. What others send it waits in its session's mailbox; what does not
 * fit is refused. */
Test(users, wait_for_a_peer_that_takes_nothing_within_bounds)
{
    enum { BOUND = 2 * 1024, WINDOW = 1024 };
    start();
    raw_peer_t greedy;
    raw_open(&greedy);
    raw_greet(&greedy, "greedy", 1);
    heard_t heard[3] = {{0}};
    capstan_peer_t *peers[3];
    for (int i = 0; i < 3; i++) {
        peers[i] = connect_peer((const char *[]){"a", "b", "c"}[i], &heard[i]);
        capstan_ref_t ref = resolve(peers[i], "peer/greedy");
        for (uint64_t n = 0; n < BOUND; n++) {
            cr_assert_eq(capstan_peer_tell(peers[i], ref, USER_note, slice_of(&n, sizeof n)),
                         CAPSTAN_OK);
        }
    }
    uint64_t refused = 0;
    for (int rounds = 0; refused == 0; rounds++) {
        cr_assert_lt(rounds, KIT_WAIT_MS);
        for (int i = 0; i < 3; i++) {
            capstan_peer_poll(peers[i], 1000);
            refused += heard[i].refused;
            cr_assert(heard[i].refused == 0 || heard[i].err == CAPSTAN_E_MAILBOX_FULL);
        }
    }
    cr_assert_leq(kit_figure("users_in") - kit_figure("users_refused"), BOUND + 1u);
    cr_assert_eq(kit_figure("session_count"), 4u);
    raw_close(&greedy); /* with it goes what waited, and its senders go on */
    kit_wait_figure("session_count", 3);
    capstan_ref_t ref = resolve(peers[0], "desk");
    for (uint64_t n = 0; n < 2 * WINDOW; n++) {
        tell(peers[0], ref, USER_note, n);
    }
    SERVE_UNTIL(atomic_load(&desk.notes) == 2 * WINDOW, peers[0], NOBODY);
    for (int i = 0; i < 3; i++) {
        capstan_peer_close(&peers[i], 0);
    }
    kit_stop();
}

/* The stop does not wait for a peer that takes nothing. */
Test(users, that_wait_for_a_peer_do_not_hold_up_the_stop)
{
    start();
    raw_peer_t greedy;
    raw_open(&greedy);
    raw_greet(&greedy, "greedy", 1);
    heard_t heard = {0};
    capstan_peer_t *peer = connect_peer("a", &heard);
    capstan_ref_t ref = resolve(peer, "peer/greedy");
    for (uint64_t n = 0; n < 500; n++) {
        tell(peer, ref, USER_note, n);
    }
    capstan_peer_poll(peer, 0);
    kit_wait_figure("users_in", 500);
    kit_stop();
    capstan_peer_close(&peer, 0);
    raw_close(&greedy);
}

/* Goal: an actor that is moved from cell to cell while others send to it loses nothing, sees what
 * each of them sends in its order, and keeps its timers and those who watch it. */
#include "runtime/node_internal.h"

#include <capstan/keyed.h>
#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

enum {
    MESSAGE_number = 0x9000, /* body: a number_t */
    MESSAGE_send,            /* body: a reference; sends numbers there without end */
    MESSAGE_rest,            /* ends it, and answers */
    MESSAGE_echo,            /* request */
    MESSAGE_question,        /* request; is answered by the next one that is not moved over */
    MESSAGE_answer,          /* request; also of the question that waits */
    MESSAGE_cancel_timer,    /* request */
    MESSAGE_watch,           /* body: a reference; monitors it */
    MESSAGE_leave,
    MESSAGE_ask, /* body: a reference; asks it something that it does not answer */
    SENDERS = 3, /* actors, each on a cell of its own */
    THREADS = 2, /* beside them, which are no cells */
    MOVES = 60,
    AT_ONCE = 20,
    EVERY_US = 200,
    WAIT_US = 60000000,
};

typedef struct number {
    uint32_t sender;
    uint32_t ordinal;
} number_t;

typedef struct target {
    _Atomic uint32_t last[SENDERS + THREADS];
    _Atomic int out_of_order;
    _Atomic int ticks;
    _Atomic int late_ticks; /* of the timer that was cancelled */
    uint64_t late_timer;
    capstan_message_t question;
} target_t;

typedef struct sender {
    uint32_t index;
    capstan_ref_t target;
    _Atomic uint32_t sent;
    bool resting;
} sender_t;

static _Atomic int downs;
static _Atomic bool threads_rest;

static capstan_ref_t ref_in(const capstan_message_t *message)
{
    capstan_ref_t ref;
    cr_assert_eq(message->body.size, sizeof ref);
    memcpy(&ref, message->body.data, sizeof ref);
    return ref;
}

/* --- who is moved ---------------------------------------------------------------------------- */

static capstan_err_t target_init(capstan_actor_t *self, void *argument)
{
    target_t *target = argument;
    capstan_actor_set_state(self, target);
    target->late_timer = capstan_timer_start(self, INT64_C(60) * WAIT_US, &target->late_ticks);
    capstan_timer_start(self, 500, &target->ticks);
    return CAPSTAN_OK;
}

static void take_number(target_t *target, const capstan_message_t *message)
{
    number_t number;
    memcpy(&number, message->body.data, sizeof number);
    _Atomic uint32_t *last = &target->last[number.sender];
    atomic_fetch_add(&target->out_of_order, number.ordinal != atomic_load(last) + 1);
    atomic_store(last, number.ordinal);
}

static capstan_err_t target_receive(capstan_actor_t *self, const capstan_message_t *message)
{
    target_t *target = capstan_actor_state(self);
    switch (message->message) {
    case MESSAGE_number:
        take_number(target, message);
        break;
    case MESSAGE_question:
        target->question = *message;
        break;
    case MESSAGE_answer:
        capstan_reply(self, &target->question, MESSAGE_answer, (slice_t){0});
        capstan_reply(self, message, MESSAGE_answer, (slice_t){0});
        break;
    case MESSAGE_cancel_timer:
        capstan_timer_cancel(self, target->late_timer);
        capstan_reply(self, message, MESSAGE_answer, (slice_t){0});
        break;
    default:
        capstan_actor_exit(self, CAPSTAN_OK);
    }
    return CAPSTAN_OK;
}

static void target_timer(capstan_actor_t *self, uint64_t timer, void *cookie)
{
    target_t *target = capstan_actor_state(self);
    atomic_fetch_add((_Atomic int *)cookie, 1);
    if (timer != target->late_timer) {
        capstan_timer_start(self, 500, cookie);
    }
}

static const capstan_behaviour_t target_behaviour = {
    .name = "target", .init = target_init, .receive = target_receive, .timer = target_timer};

/* --- who sends ------------------------------------------------------------------------------- */

static void send_some(capstan_actor_t *self)
{
    sender_t *sender = capstan_actor_state(self);
    for (int i = 0; i < AT_ONCE; i++) {
        number_t number = {sender->index, atomic_load(&sender->sent) + 1};
        if (capstan_tell(self, sender->target, MESSAGE_number, slice_of(&number, sizeof number)) !=
            CAPSTAN_OK) {
            break; /* MAILBOX_FULL: it was not sent */
        }
        atomic_store(&sender->sent, number.ordinal);
    }
    if (!sender->resting) {
        capstan_timer_start(self, EVERY_US, NULL);
    }
}

static void send_again(capstan_actor_t *self, uint64_t timer, void *cookie)
{
    (void)timer;
    (void)cookie;
    send_some(self);
}

static capstan_err_t sender_init(capstan_actor_t *self, void *argument)
{
    capstan_actor_set_state(self, argument);
    return CAPSTAN_OK;
}

static capstan_err_t sender_receive(capstan_actor_t *self, const capstan_message_t *message)
{
    sender_t *sender = capstan_actor_state(self);
    uint64_t correlation;
    capstan_ref_t who;
    capstan_err_t reason;
    if (capstan_message_is_down(message, &who, &reason)) {
        atomic_fetch_add(&downs, 1);
        return CAPSTAN_OK;
    }
    switch (message->message) {
    case MESSAGE_send:
        sender->target = ref_in(message);
        send_some(self);
        break;
    case MESSAGE_rest:
        sender->resting = true;
        capstan_reply(self, message, MESSAGE_answer, (slice_t){0});
        break;
    case MESSAGE_echo:
        capstan_reply(self, message, MESSAGE_answer, (slice_t){0});
        break;
    case MESSAGE_watch:
        return capstan_monitor(self, ref_in(message));
    case MESSAGE_ask:
        return capstan_ask(self, ref_in(message), MESSAGE_question, (slice_t){0}, WAIT_US,
                           &correlation);
    default:
        break;
    }
    return CAPSTAN_OK;
}

static const capstan_behaviour_t sender_behaviour = {
    .name = "sender", .init = sender_init, .receive = sender_receive, .timer = send_again};

typedef struct thread {
    capstan_node_t *node;
    capstan_ref_t echo; /* is asked between two numbers, so that others get to run */
    sender_t sender;
} thread_t;

static void *send_from_thread(void *argument)
{
    thread_t *self = argument;
    sender_t *sender = &self->sender;
    while (!atomic_load(&threads_rest)) {
        number_t number = {sender->index, atomic_load(&sender->sent) + 1};
        if (capstan_node_tell(self->node, sender->target, MESSAGE_number,
                              slice_of(&number, sizeof number)) == CAPSTAN_OK) {
            atomic_store(&sender->sent, number.ordinal);
        }
        (void)!capstan_node_ask(self->node, self->echo, MESSAGE_echo, (slice_t){0}, WAIT_US, NULL,
                                NULL);
    }
    return NULL;
}

/* --- the tests ------------------------------------------------------------------------------- */

static capstan_ref_t spawn(capstan_node_t *node, const capstan_behaviour_t *behaviour,
                           const char *cell, void *argument)
{
    capstan_ref_t ref;
    cr_assert_eq(capstan_node_spawn(node, behaviour,
                                    &(capstan_spawn_options_t){.name = cell,
                                                               .cell = cell,
                                                               .argument = argument,
                                                               .mailbox_messages = 1000},
                                    &ref),
                 CAPSTAN_OK);
    return ref;
}

static void tell_ref(capstan_node_t *node, capstan_ref_t to, uint32_t message, capstan_ref_t ref)
{
    cr_assert_eq(capstan_node_tell(node, to, message, slice_of(&ref, sizeof ref)), CAPSTAN_OK);
}

static void ask(capstan_node_t *node, capstan_ref_t to, uint32_t message)
{
    capstan_err_t err;
    do {
        err = capstan_node_ask(node, to, message, (slice_t){0}, WAIT_US, NULL, NULL);
    } while (err == CAPSTAN_E_MAILBOX_FULL);
    cr_assert_eq(err, CAPSTAN_OK);
}

static void move(capstan_node_t *node, capstan_ref_t ref, const char *cell)
{
    cr_assert_eq(capstan_node_move(node, ref, cell), CAPSTAN_OK);
    cr_assert_str_eq(slot_cell(node_slot(node, ref.slot))->name, cell);
}

static void expect_order(bool strict)
{
    static const char *const cells[] = {"a", "b", "c", "d"};
    capstan_node_t *node;
    target_t target = {.ticks = 0};
    sender_t senders[SENDERS] = {{.index = 0}, {.index = 1}, {.index = 2}};
    thread_t threads[THREADS];
    pthread_t handles[THREADS];
    capstan_ref_t refs[SENDERS];
    const capstan_node_options_t options = {.strict_wire = strict};
    atomic_store(&threads_rest, false);
    cr_assert_eq(capstan_node_new(&options, &node), CAPSTAN_OK);
    capstan_ref_t ref = spawn(node, &target_behaviour, "d", &target);
    for (uint32_t i = 0; i < SENDERS; i++) {
        refs[i] = spawn(node, &sender_behaviour, cells[i], &senders[i]);
        tell_ref(node, refs[i], MESSAGE_send, ref);
    }
    for (uint32_t i = 0; i < THREADS; i++) {
        threads[i] = (thread_t){
            .node = node, .echo = refs[i], .sender = {.index = SENDERS + i, .target = ref}};
        cr_assert_eq(pthread_create(&handles[i], NULL, send_from_thread, &threads[i]), 0);
    }
    for (int i = 0; i < MOVES; i++) {
        move(node, ref, cells[i % 4]);
    }
    int ticks = atomic_load(&target.ticks);
    while (atomic_load(&target.ticks) < ticks + 3) {
        sched_yield();
    }
    atomic_store(&threads_rest, true);
    for (uint32_t i = 0; i < THREADS; i++) {
        pthread_join(handles[i], NULL);
    }
    for (uint32_t i = 0; i < SENDERS; i++) {
        ask(node, refs[i], MESSAGE_rest);
    }
    ask(node, ref, MESSAGE_cancel_timer);
    for (uint32_t i = 0; i < SENDERS; i++) {
        while (atomic_load(&target.last[i]) != atomic_load(&senders[i].sent)) {
            sched_yield();
        }
    }
    for (uint32_t i = 0; i < THREADS; i++) {
        while (atomic_load(&target.last[SENDERS + i]) != atomic_load(&threads[i].sender.sent)) {
            sched_yield();
        }
    }
    cr_assert_eq(atomic_load(&target.out_of_order), 0);
    cr_assert_eq(atomic_load(&target.late_ticks), 0);
    mailbox_account_t account = mailbox_account(&node_slot(node, ref.slot)->mailbox);
    cr_assert_eq(account.dropped_all, 0);
    cr_assert_eq(capstan_node_stop(&node, WAIT_US, NULL, NULL), CAPSTAN_OK);
}

Test(move, loses_nothing_and_keeps_the_order_of_each_sender)
{
    expect_order(false);
}

Test(move, does_so_under_strict_wire)
{
    expect_order(true);
}

typedef struct asking {
    capstan_node_t *node;
    capstan_ref_t ref;
    capstan_err_t err;
} asking_t;

static void *ask_a_question(void *argument)
{
    asking_t *self = argument;
    self->err = capstan_node_ask(self->node, self->ref, MESSAGE_question, (slice_t){0}, WAIT_US,
                                 NULL, NULL);
    return NULL;
}

static uint64_t delivered(capstan_node_t *node, capstan_ref_t ref)
{
    return mailbox_account(&node_slot(node, ref.slot)->mailbox).delivered;
}

Test(move, takes_with_it_what_the_actor_works_on_and_who_watches_it)
{
    capstan_node_t *node;
    pthread_t thread;
    target_t target = {.ticks = 0};
    sender_t sender = {.index = 0};
    cr_assert_eq(capstan_node_new(NULL, &node), CAPSTAN_OK);
    capstan_ref_t ref = spawn(node, &target_behaviour, "a", &target);
    capstan_ref_t watcher = spawn(node, &sender_behaviour, "b", &sender);
    tell_ref(node, watcher, MESSAGE_watch, ref);
    asking_t asking = {.node = node, .ref = ref};
    cr_assert_eq(pthread_create(&thread, NULL, ask_a_question, &asking), 0);
    while (delivered(node, ref) < 2) {
        sched_yield();
    }
    move(node, ref, "c");
    move(node, ref, "c");
    move(node, ref, "b");
    ask(node, ref, MESSAGE_answer);
    pthread_join(thread, NULL);
    cr_assert_eq(asking.err, CAPSTAN_OK);
    capstan_ref_t found;
    cr_assert_eq(capstan_node_resolve(node, "a", &found), CAPSTAN_OK);
    cr_assert(capstan_ref_equal(found, ref));
    cr_assert_eq(capstan_node_tell(node, ref, MESSAGE_leave, (slice_t){0}), CAPSTAN_OK);
    while (atomic_load(&downs) == 0) {
        sched_yield();
    }
    cr_assert_eq(capstan_node_move(node, ref, "a"), CAPSTAN_E_GONE);
    cr_assert_eq(capstan_node_stop(&node, WAIT_US, NULL, NULL), CAPSTAN_OK);
    cr_assert_eq(atomic_load(&downs), 1);
}

Test(move, is_refused_while_the_actor_waits_for_an_answer_and_for_those_of_an_own_cell)
{
    static const capstan_behaviour_t patient = {
        .name = "patient", .receive = sender_receive, .may_block = true};
    capstan_node_t *node;
    target_t target = {.ticks = 0};
    sender_t sender = {.index = 0};
    capstan_ref_t own;
    cr_assert_eq(capstan_node_new(NULL, &node), CAPSTAN_OK);
    capstan_ref_t ref = spawn(node, &target_behaviour, "a", &target);
    capstan_ref_t asker = spawn(node, &sender_behaviour, "b", &sender);
    tell_ref(node, asker, MESSAGE_ask, ref);
    while (delivered(node, ref) < 1) {
        sched_yield();
    }
    cr_assert_eq(capstan_node_move(node, asker, "a"), CAPSTAN_E_UNAVAILABLE);
    ask(node, ref, MESSAGE_answer);
    while (capstan_node_move(node, asker, "a") != CAPSTAN_OK) {
        sched_yield();
    }
    cr_assert_eq(capstan_node_move(node, spawn(node, &patient, "c", NULL), "a"),
                 CAPSTAN_E_UNSUPPORTED);
    cr_assert_eq(capstan_node_spawn(node, &sender_behaviour,
                                    &(capstan_spawn_options_t){.placement = CAPSTAN_PLACE_OWN,
                                                               .argument = &sender},
                                    &own),
                 CAPSTAN_OK);
    cr_assert_eq(capstan_node_move(node, own, "a"), CAPSTAN_E_UNSUPPORTED);
    cr_assert_eq(capstan_node_stop(&node, WAIT_US, NULL, NULL), CAPSTAN_OK);
}

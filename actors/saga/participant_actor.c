/* A participant in the process of its node.
 *
 * Accepts   participant_commands (from the coordinator), participant_close (from a thread),
 *           participant_opened (a reply), down (of the coordinator).
 * Replies   done, to participant_close.
 * Sends     participant_open and participant_results, to the coordinator.
 *
 * It lives on a cell of its own and may block there: in the program's handler, and while a
 * transaction is written. What comes meanwhile lies in its mailbox and goes into the next one, when
 * the turn ends. Durable is what the inbox holds; a crash loses commands that were taken and not
 * stored, which the coordinator sends again. */
#include "actors/saga/participant_shared.h"

#include "actors/ordering/ordering_messages.h"
#include "runtime/base/ensure.h"

#include <stdlib.h>

enum { FULL_PAUSE_US = 10000 }; /* the coordinator's mailbox took no more */

typedef struct participant_actor {
    capstan_actor_t *self;
    capstan_participant_t *shared;
    worker_t *worker;
    capstan_ref_t coordinator; /* null: to be looked for */
    uint64_t ask;              /* correlation of participant_open; 0: none */
    uint64_t look_timer;       /* 0: not running, as the next one */
    uint64_t send_timer;
    uint64_t work_timer;
} participant_actor_t;

/* --- the coordinator ------------------------------------------------------------------------- */

static void look_later(participant_actor_t *self)
{
    self->coordinator = (capstan_ref_t){0};
    if (self->look_timer == 0) {
        self->look_timer = capstan_timer_start(self->self, PARTICIPANT_PAUSE_US, NULL);
    }
}

static void look(participant_actor_t *self)
{
    capstan_err_t err = capstan_resolve(self->self, participant_coordinator, &self->coordinator);
    err = err ? err : capstan_monitor(self->self, self->coordinator);
    err = err ? err
              : capstan_ask(self->self, self->coordinator, MESSAGE_participant_open,
                            worker_opening(self->worker), PARTICIPANT_ASK_US, &self->ask);
    if (err != CAPSTAN_OK) {
        self->ask = 0;
        look_later(self);
    }
}

static void on_opened(participant_actor_t *self, const capstan_message_t *message)
{
    if (message->correlation != self->ask) {
        return;
    }
    self->ask = 0;
    if (message->message != MESSAGE_participant_opened ||
        worker_opened(self->worker, message->body) != CAPSTAN_OK) {
        look_later(self);
    }
}

static void on_down(participant_actor_t *self, capstan_ref_t who)
{
    if (capstan_ref_equal(who, self->coordinator)) {
        self->ask = 0;
        look_later(self);
    }
}

/* --- commands -------------------------------------------------------------------------------- */

/* Whoever has gone needs no answers: its successor asks itself. */
static void send_answers(participant_actor_t *self)
{
    capstan_ref_t to;
    slice_t body;
    while (self->send_timer == 0 && worker_answer(self->worker, &to, &body)) {
        if (capstan_tell(self->self, to, MESSAGE_participant_results, body) ==
            CAPSTAN_E_MAILBOX_FULL) {
            self->send_timer = capstan_timer_start(self->self, FULL_PAUSE_US, NULL);
        } else {
            worker_answered(self->worker);
        }
    }
}

static void work(participant_actor_t *self)
{
    if (self->worker) {
        (void)worker_work(self->worker);
        send_answers(self);
    }
}

static void work_all(participant_actor_t *self)
{
    while (self->worker && worker_has_work(self->worker)) {
        work(self);
    }
}

static void on_close(participant_actor_t *self, const capstan_message_t *request)
{
    work_all(self);
    worker_destroy(&self->worker); /* nothing of the program's is called behind the answer */
    capstan_reply(self->self, request, MESSAGE_done, slice_of("\x80", 1));
    capstan_actor_exit(self->self, CAPSTAN_OK);
}

static capstan_err_t receive(capstan_actor_t *actor, const capstan_message_t *message)
{
    participant_actor_t *self = capstan_actor_state(actor);
    capstan_ref_t who;
    if (capstan_message_is_down(message, &who, NULL)) {
        on_down(self, who);
    } else if (message->kind == CAPSTAN_KIND_REPLY || message->kind == CAPSTAN_KIND_ERROR) {
        on_opened(self, message);
    } else if (message->message == MESSAGE_participant_commands &&
               message->kind == CAPSTAN_KIND_EVENT) {
        worker_add(self->worker, message->sender, message->body);
    } else if (message->message == MESSAGE_participant_close &&
               message->kind == CAPSTAN_KIND_REQUEST) {
        on_close(self, message);
    } else {
        capstan_reply_error(actor, message, CAPSTAN_E_UNKNOWN_MESSAGE, NULL);
    }
    return CAPSTAN_OK;
}

/* A transaction in a turn, so that its answers leave while the next one is made. */
static void turn_end(capstan_actor_t *actor)
{
    participant_actor_t *self = capstan_actor_state(actor);
    work(self);
    if (self->worker && worker_has_work(self->worker) && self->work_timer == 0) {
        self->work_timer = capstan_timer_start(actor, 0, NULL);
    }
}

static void timer(capstan_actor_t *actor, uint64_t number, void *cookie)
{
    participant_actor_t *self = capstan_actor_state(actor);
    (void)cookie;
    if (number == self->send_timer) {
        self->send_timer = 0;
        send_answers(self);
    } else if (number == self->work_timer) {
        self->work_timer = 0;
    } else {
        self->look_timer = 0;
        look(self);
    }
}

/* --- life ------------------------------------------------------------------------------------ */

static capstan_err_t init(capstan_actor_t *actor, void *argument)
{
    const participant_arguments_t *arguments = argument;
    worker_t *worker;
    capstan_err_t err =
        worker_new(arguments->options, &worker, arguments->text, arguments->text_size);
    if (err != CAPSTAN_OK) {
        return err;
    }
    participant_actor_t *self = calloc(1, sizeof *self);
    ENSURE(self);
    self->self = actor;
    self->worker = worker;
    self->shared = arguments->shared;
    atomic_fetch_add_explicit(&self->shared->owners, 1, memory_order_relaxed);
    self->shared->actor = capstan_actor_ref(actor);
    capstan_actor_set_state(actor, self);
    look(self);
    return CAPSTAN_OK;
}

static void stop(capstan_actor_t *actor)
{
    work_all(capstan_actor_state(actor));
    capstan_actor_exit(actor, CAPSTAN_OK);
}

static void destroy(capstan_actor_t *actor)
{
    participant_actor_t *self = capstan_actor_state(actor);
    if (self) {
        worker_destroy(&self->worker);
        atomic_store_explicit(&self->shared->ended, true, memory_order_release);
        participant_give_back(self->shared);
        free(self);
    }
}

const capstan_behaviour_t participant_behaviour = {
    .name = "participant",
    .init = init,
    .receive = receive,
    .timer = timer,
    .turn_end = turn_end,
    .stop = stop,
    .destroy = destroy,
    .may_block = true,
};

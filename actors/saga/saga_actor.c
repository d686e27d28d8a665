/* The sagas of a node: the actor `saga`, external, on a cell of its own.
 *
 * Accepts   saga_define, saga_start, saga_result, saga_show, saga_list, saga_count, saga_signal,
 *           saga_operate, saga_definitions, participant_open, participant_results; deliver and
 *           subscription_ended of groups; `down` of participants and groups; answers of the
 *           journal, its reader and the topics.
 * Replies   saga_defined, saga_started, saga_summary, saga_shown, saga_page, saga_counts, done,
 *           saga_operated, saga_definition_list, participant_opened.
 * Sends     participant_commands to participants; acknowledge, reject and subscription_grant to
 *           groups, subscribe to topics; stream_open, journal_append, snapshot_write and
 *           journal_truncate to the journal, what reads to its reader.
 *
 * Durable: everything that was answered, and every intent whose command has left. A crash loses
 * what was gathered and not committed: nobody was told of it, and no participant either. What is
 * lost of memory is who waits (each asks again), the windows of participants (each opens again and
 * gets once more what is under way), and what was read of topics and not acknowledged.
 *
 * What a turn appends is one append, with at most two under way; replies, commands and
 * acknowledgements are owed until that is on disk. When an append is refused, the core knows what
 * the store does not: it is thrown away with everything that waits, and rebuilt. That is one path
 * for a full disk, a lost epoch and a commit in doubt.
 *
 * Limits: one store has one coordinator, whose core runs on one thread. A page of a list waits for
 * a pass of the snapshot, so that it is exact. */
#include "actors/saga/saga_shell.h"

#include "actors/ordering/ordering_messages.h"
#include "actors/saga/saga_metrics.h"
#include "runtime/base/ensure.h"
#include "runtime/runtime.h"

#include <stdlib.h>

enum { HELD_UP_US = 1000 }; /* the journal or its reader is behind: it is looked after again */

uint64_t shell_dice(saga_shell_t *self)
{
    return random_next(&self->dice);
}

void shell_refuse(saga_shell_t *self, const capstan_message_t *request, capstan_err_t err,
                  const char *text)
{
    capstan_reply_error(self->self, request, err, text);
}

uint64_t shell_ask(saga_shell_t *self, capstan_ref_t target, const wire_record_t *message,
                   const void *value)
{
    buffer_t body = {0};
    uint64_t correlation = 0;
    codec_encode(message, value, &body);
    capstan_err_t err = capstan_ask_for(self->self, NULL, target, message->id, buffer_slice(&body),
                                        SAGA_ASK_US, &correlation);
    buffer_fini(&body);
    return err == CAPSTAN_OK ? correlation : 0;
}

/* --- requests -------------------------------------------------------------------------------- */

void shell_handle(saga_shell_t *self, const capstan_message_t *message)
{
    switch (message->message) {
    case MESSAGE_saga_start:
        requests_start(self, message);
        break;
    case MESSAGE_saga_result:
        waiters_result(self, message);
        break;
    case MESSAGE_saga_show:
        requests_show(self, message);
        break;
    case MESSAGE_saga_signal:
        requests_signal(self, message);
        break;
    default:
        ENSURE(message->message == MESSAGE_saga_operate);
        operations_one(self, message);
    }
}

/* True when the request names a saga: then which. */
static bool names_saga(const capstan_message_t *message, slice_t *ret_id)
{
    static const struct {
        uint32_t message;
        uint8_t field;
    } ids[] = {{MESSAGE_saga_start, 2},
               {MESSAGE_saga_result, 1},
               {MESSAGE_saga_show, 1},
               {MESSAGE_saga_signal, 1},
               {MESSAGE_saga_operate, 2}};
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        if (message->message == ids[i].message) {
            return codec_peek_slice(message->body, ids[i].field, ret_id) ||
                   message->message != MESSAGE_saga_operate;
        }
    }
    return false;
}

static void on_request(saga_shell_t *self, const capstan_message_t *message)
{
    slice_t id = {0};
    if (self->step != SAGA_READY) {
        shell_refuse(self, message, self->broken ? self->broken : CAPSTAN_E_UNAVAILABLE, NULL);
    } else if (self->stopping) {
        shell_refuse(self, message, CAPSTAN_E_STOPPING, NULL);
    } else if (names_saga(message, &id)) {
        if (!lookup_park_request(self, message, id)) {
            shell_handle(self, message);
        }
    } else if (message->message == MESSAGE_saga_define) {
        definitions_define(self, message);
    } else if (message->message == MESSAGE_saga_definitions) {
        definitions_list(self, message);
    } else if (message->message == MESSAGE_saga_list) {
        queries_list(self, message);
    } else if (message->message == MESSAGE_saga_count) {
        queries_count(self, message);
    } else if (message->message == MESSAGE_saga_operate) {
        queries_operate(self, message);
    } else if (message->message == MESSAGE_participant_open) {
        participants_open(self, message);
    } else {
        shell_refuse(self, message, CAPSTAN_E_UNKNOWN_MESSAGE, NULL);
    }
}

static void on_answer(saga_shell_t *self, const capstan_message_t *message)
{
    if (!shell_recovery_answer(self, message) && !shell_append_answer(self, message) &&
        !lookup_answer(self, message) && !stored_ids_answer(self, message) &&
        !rows_answer(self, message) && !forget_answer(self, message) &&
        !queries_answer(self, message)) {
        (void)members_answer(self, message);
    }
}

static capstan_err_t receive(capstan_actor_t *actor, const capstan_message_t *message)
{
    saga_shell_t *self = capstan_actor_state(actor);
    capstan_ref_t who;
    capstan_err_t reason;
    if (capstan_message_is_down(message, &who, &reason)) {
        participants_down(self, who);
        members_down(self, who);
    } else if (message->kind == CAPSTAN_KIND_REPLY || message->kind == CAPSTAN_KIND_ERROR) {
        on_answer(self, message);
    } else if (message->kind == CAPSTAN_KIND_REQUEST) {
        on_request(self, message);
    } else if (message->message == MESSAGE_participant_results) {
        participants_results(self, message);
    } else {
        members_hear(self, message);
    }
    return CAPSTAN_OK;
}

static void cancelled(capstan_actor_t *actor, capstan_ref_t sender, uint64_t correlation)
{
    saga_shell_t *self = capstan_actor_state(actor);
    waiters_cancel(self, sender, correlation);
    queries_cancel(self, sender, correlation);
}

/* --- time ------------------------------------------------------------------------------------ */

/* What is due is gathered as the journal takes it. */
static void run_time(saga_shell_t *self)
{
    int64_t now_us = capstan_utc_us(self->self);
    if (coordinator_due_us(self->core) <= now_us &&
        self->gathered.size < self->settings->append_bytes_max) {
        coordinator_time(self->core, now_us, shell_dice(self), SAGA_INPUTS_MAX, &self->effects);
        shell_take_effects(self);
    }
}

/* Once for all that were resumed in the turn. */
static void send_again(saga_shell_t *self)
{
    if (self->resend) {
        self->resend = false;
        coordinator_resend(self->core, capstan_utc_us(self->self), shell_dice(self), NULL,
                           &self->effects);
        shell_take_effects(self);
    }
}

/* Whether something is to be done as soon as others let it. */
static bool is_held_up(const saga_shell_t *self)
{
    return eviction_wants(self) || (self->lookups.asking_first && self->lookups.ask_count == 0) ||
           (self->gathered.size > 0 && self->appends == 0);
}

/* One timer runs: until what is due next, or for a tick. */
static void set_timer(saga_shell_t *self)
{
    int64_t now_us = capstan_utc_us(self->self);
    int64_t due_us = self->step != SAGA_READY ? INT64_MAX
                     : is_held_up(self)       ? now_us + HELD_UP_US
                                              : coordinator_due_us(self->core);
    int64_t wanted_us = due_us - now_us < SAGA_TICK_US ? due_us : now_us + SAGA_TICK_US;
    wanted_us = wanted_us > now_us ? wanted_us : now_us + HELD_UP_US;
    if (self->timer != 0 && self->timer_us <= wanted_us && self->timer_us > now_us) {
        return;
    }
    capstan_timer_cancel(self->self, self->timer);
    self->timer = capstan_timer_start(self->self, wanted_us - now_us, &self->timer);
    self->timer_us = wanted_us;
}

static void tick(saga_shell_t *self)
{
    participants_tick(self);
    members_tick(self);
    due_tick(self);
    forget_tick(self);
    stored_ids_tick(self);
}

static void timer(capstan_actor_t *actor, uint64_t number, void *cookie)
{
    saga_shell_t *self = capstan_actor_state(actor);
    if (cookie == &self->timer) {
        self->timer = number == self->timer ? 0 : self->timer;
    } else if (self->step == SAGA_BROKEN) {
        shell_recover(self);
    }
}

/* --- figures --------------------------------------------------------------------------------- */

static void count_figures(saga_shell_t *self)
{
    coordinator_figures_t now = {0};
    coordinator_figures_t *before = &self->counted;
    if (self->core) {
        now = coordinator_figures(self->core);
    }
    METRIC_ADD(saga, resident, now.resident - before->resident);
    METRIC_ADD(saga, running, now.running - before->running);
    METRIC_ADD(saga, waiting, now.waiting - before->waiting);
    METRIC_ADD(saga, bytes, now.bytes - before->bytes);
    if (self->core) {
        METRIC_ADD(saga, started, now.started - before->started);
        METRIC_ADD(saga, completed, now.completed - before->completed);
        METRIC_ADD(saga, compensated, now.compensated - before->compensated);
        METRIC_ADD(saga, cancelled, now.cancelled - before->cancelled);
        METRIC_ADD(saga, parked, now.parked - before->parked);
        METRIC_ADD(saga, inputs, now.inputs - before->inputs);
    }
    *before = now;
}

static void turn_end(capstan_actor_t *actor)
{
    saga_shell_t *self = capstan_actor_state(actor);
    if (self->step == SAGA_READY) {
        tick(self);
        run_time(self);
        send_again(self);
        eviction_turn_end(self);
        lookup_turn_end(self);
        shell_release(self); /* what needed no append */
        shell_append(self);
        rows_turn_end(self);
        participants_turn_end(self);
        members_turn_end(self);
    }
    count_figures(self);
    if (self->stopping && shell_is_stored(self)) {
        members_leave(self);
        capstan_actor_exit(actor, CAPSTAN_OK);
        return;
    }
    set_timer(self);
}

/* --- the actor ------------------------------------------------------------------------------- */

static capstan_err_t init(capstan_actor_t *actor, void *argument)
{
    const saga_arguments_t *arguments = argument;
    saga_shell_t *self = calloc(1, sizeof *self);
    ENSURE(self);
    capstan_actor_set_state(actor, self);
    self->self = actor;
    self->settings = arguments->settings;
    self->journal = arguments->journal;
    self->reader = arguments->reader;
    self->topics = arguments->topics;
    node_random(capstan_actor_node(actor), self->seed, sizeof self->seed);
    node_random(capstan_actor_node(actor), &self->dice.state, sizeof self->dice.state);
    actor_defer_started(actor);
    shell_recover(self);
    return CAPSTAN_OK;
}

static void stop(capstan_actor_t *actor)
{
    saga_shell_t *self = capstan_actor_state(actor);
    self->stopping = true;
    waiters_refuse(self, CAPSTAN_E_STOPPING);
    queries_refuse(self, CAPSTAN_E_STOPPING);
    if (!self->started) {
        capstan_actor_exit(actor, CAPSTAN_E_STOPPING);
    }
}

static void destroy(capstan_actor_t *actor)
{
    saga_shell_t *self = capstan_actor_state(actor);
    if (!self) {
        return;
    }
    lookup_fini(self);
    stored_ids_fini(&self->stored_ids);
    queries_fini(&self->queries);
    waiters_fini(&self->waiters);
    participants_fini(self);
    members_fini(self);
    rows_fini(self);
    owed_fini(&self->owed);
    coordinator_destroy(&self->core);
    coordinator_effects_fini(&self->effects);
    count_figures(self);
    buffer_fini(&self->gathered);
    buffer_fini(&self->row_after);
    buffer_fini(&self->page);
    free(self);
}

const capstan_behaviour_t saga_behaviour = {
    .name = "saga",
    .init = init,
    .receive = receive,
    .cancelled = cancelled,
    .timer = timer,
    .stop = stop,
    .turn_end = turn_end,
    .destroy = destroy,
};

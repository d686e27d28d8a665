/* A supervisor.
 *
 * Accepts   child_start, child_stop; started and down of its children.
 * Replies   child_started, child_stopped.
 * Sends     started, when all its first children have been up.
 *
 * Nothing is durable: an incarnation that is started again begins with the first children that its
 * options name; those that were asked for later are gone.
 *
 * The rules are in supervision.h. A child is bound to its supervisor from its first moment, so that
 * its end is told however early it comes. When the supervisor above fails, this one ends at once,
 * and its children with it: their names are free for the next incarnation. */
#include "runtime/supervisor_child.h"

#include "runtime/base/ensure.h"
#include "runtime/runtime_events.h"
#include "runtime/runtime_messages.h"
#include "runtime/runtime_metrics.h"
#include "runtime/simulation/random.h"
#include "runtime/telemetry/log.h"

#include <stdlib.h>

typedef struct supervisor {
    capstan_actor_t *actor;
    capstan_ref_t parent; /* the supervisor above; null: there is none */
    supervision_t core;
    supervision_effects_t effects;
    children_t children;
    random_source_t random;
} supervisor_t;

/* --- answers --------------------------------------------------------------------------------- */

static capstan_message_t without_body(const capstan_message_t *request)
{
    capstan_message_t copy = *request;
    copy.body = (slice_t){0};
    return copy;
}

/* Answers a request that waits, if there is one, once. */
static void answer(supervisor_t *self, capstan_message_t *request, capstan_err_t err,
                   uint32_t message, slice_t body)
{
    if (request->kind == 0) {
        return;
    }
    if (err != CAPSTAN_OK) {
        capstan_reply_error(self->actor, request, err, NULL);
    } else {
        capstan_reply(self->actor, request, message, body);
    }
    request->kind = 0;
}

static void answer_starter(supervisor_t *self, child_t *child)
{
    buffer_t body = {0};
    codec_encode(child_started_wire(), &(child_started_t){.actor = child->ref}, &body);
    answer(self, &child->starter, CAPSTAN_OK, MESSAGE_child_started, buffer_slice(&body));
    buffer_fini(&body);
}

/* --- effects --------------------------------------------------------------------------------- */

/* Appends the effects of the step; run_effects goes on with them. */
static void step(supervisor_t *self, supervision_input_t input)
{
    input.now_us = capstan_now_us(self->actor);
    input.random = random_next(&self->random);
    supervision_step(&self->core, &input, &self->effects);
}

static void child_ended(supervisor_t *self, child_t *child, capstan_err_t reason)
{
    children_set_ref(&self->children, child, (capstan_ref_t){0});
    step(self,
         (supervision_input_t){.kind = SUPERVISION_ENDED, .child = &child->core, .reason = reason});
}

/* A node that stops starts nobody: the child's place stays empty until the supervisor hears of it,
 * too. */
static void start_child(supervisor_t *self, child_t *child)
{
    capstan_ref_t ref;
    capstan_err_t err = actor_spawn_child(self->actor, child->behaviour, &child->spawn,
                                          (uint32_t)(child->core.starts - 1), &ref);
    if (err == CAPSTAN_OK) {
        children_set_ref(&self->children, child, ref);
        METRIC_ADD(runtime, children_restarted, child->core.starts > 1);
        if (!child->spawn.cell && child->spawn.placement == CAPSTAN_PLACE_SPREAD) {
            const cell_t *cell = slot_cell(node_slot(capstan_actor_node(self->actor), ref.slot));
            snprintf(child->cell, sizeof child->cell, "%s", cell->name);
            child->spawn.cell = child->cell; /* it returns there */
        }
    } else if (err != CAPSTAN_E_STOPPING) {
        child_ended(self, child, err);
    }
}

static void stop_child(supervisor_t *self, child_t *child)
{
    if (capstan_ref_is_null(child->ref)) {
        child_ended(self, child, CAPSTAN_E_STOPPING);
    } else {
        (void)!capstan_stop(self->actor, child->ref, child->stop_us); /* GONE: its down comes */
    }
}

static void wait_for(supervisor_t *self, child_t *child, int64_t wait_us)
{
    capstan_timer_cancel(self->actor, child->timer);
    child->timer = capstan_timer_start(self->actor, wait_us, child);
}

static void forget(supervisor_t *self, child_t *child, capstan_err_t reason)
{
    answer(self, &child->starter, reason != CAPSTAN_OK ? reason : CAPSTAN_E_STOPPING, 0,
           (slice_t){0});
    answer(self, &child->stopper, CAPSTAN_OK, MESSAGE_child_stopped, (slice_t){0});
    capstan_timer_cancel(self->actor, child->timer);
    children_remove(&self->children, child);
}

/* That a supervisor which is started again does not come up is told by the one above, who does not
 * tell it again and again. */
static void tell(const supervisor_t *self, const supervision_effect_t *effect)
{
    const child_t *child = (const child_t *)effect->child;
    log_field_t supervisor = log_string("supervisor", actor_label(self->actor));
    log_field_t name = log_string("child", child->name->text);
    if (effect->kind == EFFECT_FAILED) {
        LOG(runtime, child_failed, supervisor, name, log_error(effect->reason),
            log_uint("restart_us", (uint64_t)effect->wait_us));
    } else if (effect->kind == EFFECT_LOOP) {
        LOG(runtime, child_loops, supervisor, name, log_error(effect->reason),
            log_uint("restart_us", (uint64_t)effect->wait_us));
    } else if (effect->kind == EFFECT_UNSTARTED && !actor_is_restart(self->actor)) {
        LOG(runtime, child_unstarted, supervisor, name, log_error(effect->reason));
    } else if (effect->kind == EFFECT_LIMIT) {
        METRIC_ADD(runtime, supervisors_escalated, 1);
        LOG(runtime, restart_limit, supervisor, name, log_error(effect->reason),
            log_uint("restarts", child->core.limits.restarts_max),
            log_uint("window_us", (uint64_t)child->core.limits.window_us));
    }
}

static void carry_out(supervisor_t *self, const supervision_effect_t *effect)
{
    child_t *child = (child_t *)effect->child;
    switch (effect->kind) {
    case EFFECT_START:
        start_child(self, child);
        break;
    case EFFECT_STOP:
        stop_child(self, child);
        break;
    case EFFECT_WAIT:
        wait_for(self, child, effect->wait_us);
        break;
    case EFFECT_FORGET:
        forget(self, child, effect->reason);
        break;
    case EFFECT_FAILED:
    case EFFECT_LOOP:
    case EFFECT_LIMIT:
    case EFFECT_UNSTARTED:
        tell(self, effect);
        break;
    case EFFECT_READY:
        actor_started(self->actor);
        break;
    case EFFECT_END:
        actor_exit_told(self->actor, effect->reason);
        break;
    }
}

/* An effect may bring further steps, whose effects stand behind it. */
static void run_effects(supervisor_t *self)
{
    for (size_t i = 0; i < self->effects.count; i++) {
        supervision_effect_t effect = self->effects.list[i];
        carry_out(self, &effect);
    }
    self->effects.count = 0;
}

static void take(supervisor_t *self, supervision_input_t input)
{
    step(self, input);
    run_effects(self);
}

/* --- messages -------------------------------------------------------------------------------- */

static const char *text_of(slice_t slice, char *text, size_t size)
{
    snprintf(text, size, "%.*s", (int)slice.size, slice.size > 0 ? (const char *)slice.data : "");
    return text[0] ? text : NULL;
}

static void on_child_start(supervisor_t *self, const capstan_message_t *message)
{
    child_start_t request;
    child_t *child;
    char name[NAME_BYTES_MAX + 2]; /* one that is too long stays so */
    char cell[CELL_NAME_SIZE];
    capstan_err_t err = codec_decode(child_start_wire(), message->body, &request, NULL);
    if (err == CAPSTAN_OK) {
        err =
            children_add(&self->children,
                         &(capstan_child_t){
                             .behaviour = (const capstan_behaviour_t *)(uintptr_t)request.behaviour,
                             .spawn = {.name = text_of(request.name, name, sizeof name),
                                       .cell = text_of(request.cell, cell, sizeof cell),
                                       .placement = (capstan_placement_t)request.placement,
                                       .argument = (void *)(uintptr_t)request.argument,
                                       .mailbox_messages = (uint32_t)request.mailbox_messages,
                                       .mailbox_bytes = request.mailbox_bytes,
                                       .overflow = (capstan_overflow_t)request.overflow,
                                       .external = request.external},
                             .restart = (capstan_restart_t)request.restart,
                             .restarts_max = (uint32_t)request.restarts_max,
                             .window_us = request.window_us,
                             .backoff_us_min = request.backoff_us_min,
                             .backoff_us_max = request.backoff_us_max,
                             .stop_us = request.stop_us,
                         },
                         &child);
    }
    if (err != CAPSTAN_OK) {
        capstan_reply_error(self->actor, message, err, NULL);
        return;
    }
    child->starter = without_body(message);
    take(self, (supervision_input_t){.kind = SUPERVISION_ADD, .child = &child->core});
}

static void on_child_stop(supervisor_t *self, const capstan_message_t *message)
{
    child_stop_t request;
    char name[NAME_BYTES_MAX + 2];
    capstan_err_t err = codec_decode(child_stop_wire(), message->body, &request, NULL);
    const char *wanted = err == CAPSTAN_OK ? text_of(request.name, name, sizeof name) : NULL;
    child_t *child = wanted ? children_find_name(&self->children, wanted) : NULL;
    if (!child || child->stopper.kind != 0) {
        err = child ? CAPSTAN_E_STOPPING : err != CAPSTAN_OK ? err : CAPSTAN_E_NOT_FOUND;
        capstan_reply_error(self->actor, message, err, NULL);
        return;
    }
    child->stopper = without_body(message);
    take(self, (supervision_input_t){.kind = SUPERVISION_REMOVE, .child = &child->core});
}

static void on_started(supervisor_t *self, const capstan_message_t *message)
{
    child_t *child = children_find_ref(&self->children, message->sender);
    if (!child || child->core.state == CHILD_RUNNING) {
        return; /* nobody but the runtime says so, and once */
    }
    answer_starter(self, child);
    take(self, (supervision_input_t){.kind = SUPERVISION_STARTED, .child = &child->core});
}

static void on_down(supervisor_t *self, capstan_ref_t who, capstan_err_t reason)
{
    child_t *child = children_find_ref(&self->children, who);
    if (child) {
        child_ended(self, child, reason);
        run_effects(self);
    } else if (capstan_ref_equal(who, self->parent)) {
        capstan_actor_exit(self->actor, CAPSTAN_E_LINKED);
    }
}

static capstan_err_t receive(capstan_actor_t *actor, const capstan_message_t *message)
{
    supervisor_t *self = capstan_actor_state(actor);
    capstan_ref_t who;
    capstan_err_t reason;
    if (capstan_message_is_down(message, &who, &reason)) {
        on_down(self, who, reason);
    } else if (message->message == MESSAGE_started) {
        on_started(self, message);
    } else if (message->message == MESSAGE_child_start) {
        on_child_start(self, message);
    } else if (message->message == MESSAGE_child_stop) {
        on_child_stop(self, message);
    } else {
        capstan_reply_error(actor, message, CAPSTAN_E_UNKNOWN_MESSAGE, NULL);
    }
    return CAPSTAN_OK;
}

/* --- life ------------------------------------------------------------------------------------ */

static capstan_err_t init(capstan_actor_t *actor, void *argument)
{
    const capstan_supervisor_options_t *options = argument;
    if (!options || options->strategy > CAPSTAN_REST_FOR_ONE) {
        return CAPSTAN_E_INVALID;
    }
    supervisor_t *self = calloc(1, sizeof *self);
    ENSURE(self);
    capstan_actor_set_state(actor, self);
    self->actor = actor;
    self->parent = actor_parent(actor);
    self->core.strategy = options->strategy;
    uint8_t seed[16];
    node_random(capstan_actor_node(actor), &self->random.state, sizeof self->random.state);
    node_random(capstan_actor_node(actor), seed, sizeof seed);
    children_init(&self->children, seed);
    for (size_t i = 0; i < options->child_count; i++) {
        child_t *child;
        capstan_err_t err = children_add(&self->children, &options->children[i], &child);
        if (err != CAPSTAN_OK) {
            return err;
        }
        supervision_add(&self->core, &child->core);
    }
    actor_defer_started(actor);
    take(self, (supervision_input_t){.kind = SUPERVISION_BEGIN});
    return CAPSTAN_OK;
}

static void timer(capstan_actor_t *actor, uint64_t number, void *cookie)
{
    (void)number;
    child_t *child = cookie;
    child->timer = 0;
    take(capstan_actor_state(actor),
         (supervision_input_t){.kind = SUPERVISION_DUE, .child = &child->core});
}

static void stop(capstan_actor_t *actor)
{
    take(capstan_actor_state(actor), (supervision_input_t){.kind = SUPERVISION_STOP});
}

static void destroy(capstan_actor_t *actor)
{
    supervisor_t *self = capstan_actor_state(actor);
    if (!self) {
        return;
    }
    children_fini(&self->children);
    free(self->effects.list);
    free(self);
}

const capstan_behaviour_t capstan_supervisor_behaviour = {
    .name = "supervisor",
    .init = init,
    .receive = receive,
    .timer = timer,
    .stop = stop,
    .destroy = destroy,
    .traps_exits = true,
};

#include "tests/integration/runtime/ask_kit.h"

#include <capstan/node.h>
#include <sched.h>
#include <stdlib.h>

/* --- what an actor has pending and kept ------------------------------------------------------ */

static void add_pending(ask_actor_t *self, uint64_t ask, const capstan_message_t *request)
{
    if (self->pending_count == self->pending_capacity) {
        self->pending_capacity = self->pending_capacity ? self->pending_capacity * 2 : 16;
        self->pending = realloc(self->pending, self->pending_capacity * sizeof *self->pending);
    }
    self->pending[self->pending_count] = (struct ask_pending){.ask = ask};
    if (request) {
        self->pending[self->pending_count].request = *request;
    }
    self->pending_count++;
}

static void keep(ask_actor_t *self, const capstan_message_t *request)
{
    if (self->kept_count == self->kept_capacity) {
        self->kept_capacity = self->kept_capacity ? self->kept_capacity * 2 : 16;
        self->kept = realloc(self->kept, self->kept_capacity * sizeof *self->kept);
    }
    self->kept[self->kept_count++] = *request;
    self->report.kept = self->kept_count;
}

/* Counts the end of an ask, and takes it out of those that are pending. */
static bool take_pending(ask_actor_t *self, const capstan_message_t *message,
                         struct ask_pending *ret_pending)
{
    size_t i = 0;
    while (i < self->pending_count && self->pending[i].ask != message->correlation) {
        i++;
    }
    if (i == self->pending_count) {
        self->report.stray++;
        return false;
    }
    *ret_pending = self->pending[i];
    self->pending[i] = self->pending[--self->pending_count];
    capstan_err_t err = message->kind == CAPSTAN_KIND_ERROR ? message_failure(message) : CAPSTAN_OK;
    self->report.answered += err == CAPSTAN_OK;
    self->report.timeouts += err == CAPSTAN_E_TIMEOUT;
    self->report.gone += err == CAPSTAN_E_GONE;
    self->report.cancelled += err == CAPSTAN_E_CANCELLED;
    self->report.other += err != CAPSTAN_OK && err != CAPSTAN_E_TIMEOUT && err != CAPSTAN_E_GONE &&
                          err != CAPSTAN_E_CANCELLED;
    return true;
}

/* --- handlers -------------------------------------------------------------------------------- */

static capstan_err_t init(capstan_actor_t *actor, void *argument)
{
    capstan_actor_set_state(actor, argument);
    return CAPSTAN_OK;
}

static void destroy(capstan_actor_t *actor)
{
    ask_actor_t *self = capstan_actor_state(actor);
    free(self->pending);
    free(self->kept);
    self->pending = NULL;
    self->kept = NULL;
}

static void ask_on(capstan_actor_t *actor, ask_actor_t *self, const capstan_message_t *request,
                   bool handling)
{
    uint64_t ask;
    capstan_err_t err =
        handling ? capstan_ask(actor, self->next, ASK_question, (slice_t){0}, ASK_LONG_US, &ask)
                 : capstan_ask_for(actor, request, self->next, ASK_question, (slice_t){0},
                                   ASK_LONG_US, &ask);
    if (err == CAPSTAN_OK) {
        self->report.asked++;
        add_pending(self, ask, request);
    } else {
        capstan_reply_error(actor, request, err, NULL);
    }
}

static void on_question(capstan_actor_t *actor, ask_actor_t *self, const capstan_message_t *message)
{
    self->report.requests++;
    self->report.deadline_us = message->deadline_us;
    if (self->relays && self->later) {
        keep(self, message);
        capstan_timer_start(actor, 0, NULL);
    } else if (self->relays) {
        ask_on(actor, self, message, true);
    } else if (self->keeps) {
        keep(self, message);
    } else {
        capstan_reply(actor, message, ASK_answer, (slice_t){0});
    }
}

static void timer(capstan_actor_t *actor, uint64_t number, void *cookie)
{
    (void)number;
    (void)cookie;
    ask_actor_t *self = capstan_actor_state(actor);
    while (self->kept_count > 0) {
        ask_on(actor, self, &self->kept[--self->kept_count], false);
    }
    self->report.kept = 0;
}

static void on_order(capstan_actor_t *actor, ask_actor_t *self, const capstan_message_t *message)
{
    ask_order_t order;
    memcpy(&order, message->body.data, sizeof order);
    for (uint64_t i = 0; i < order.count; i++) {
        uint64_t ask;
        cr_assert_eq(
            capstan_ask(actor, order.target, ASK_question, (slice_t){0}, order.timeout_us, &ask),
            CAPSTAN_OK);
        self->report.asked++;
        add_pending(self, ask, NULL);
    }
}

static void withdraw(capstan_actor_t *actor, ask_actor_t *self)
{
    while (self->pending_count > 0) {
        capstan_cancel(actor, self->pending[--self->pending_count].ask);
    }
}

static void reply_all(capstan_actor_t *actor, ask_actor_t *self)
{
    for (size_t i = 0; i < self->kept_count; i++) {
        capstan_reply(actor, &self->kept[i], ASK_answer, (slice_t){0});
    }
    self->kept_count = 0;
    self->report.kept = 0;
}

static void block(const capstan_message_t *message)
{
    ask_plug_t *plug;
    memcpy(&plug, message->body.data, sizeof plug);
    sem_post(&plug->blocked);
    while (sem_wait(&plug->drawn) != 0) {
    }
}

static void on_event(capstan_actor_t *actor, ask_actor_t *self, const capstan_message_t *message)
{
    switch (message->message) {
    case ASK_ask:
        on_order(actor, self, message);
        break;
    case ASK_withdraw:
        withdraw(actor, self);
        break;
    case ASK_reply_all:
        reply_all(actor, self);
        break;
    case ASK_forget_all:
        self->kept_count = 0;
        self->report.kept = 0;
        break;
    case ASK_quit:
        capstan_actor_exit(actor, CAPSTAN_OK);
        break;
    case ASK_plug:
        block(message);
        break;
    default:
        cr_assert_fail("message %u", message->message);
    }
}

static capstan_err_t receive(capstan_actor_t *actor, const capstan_message_t *message)
{
    ask_actor_t *self = capstan_actor_state(actor);
    struct ask_pending pending;
    if (message->message == ASK_report) {
        capstan_reply(actor, message, ASK_report, (slice_t){&self->report, sizeof self->report});
    } else if (message->kind == CAPSTAN_KIND_EVENT) {
        on_event(actor, self, message);
    } else if (message->kind == CAPSTAN_KIND_REQUEST) {
        on_question(actor, self, message);
    } else if (take_pending(self, message, &pending) && self->relays) {
        if (message->kind == CAPSTAN_KIND_REPLY) {
            capstan_reply(actor, &pending.request, ASK_answer, (slice_t){0});
        } else {
            capstan_reply_error(actor, &pending.request, message_failure(message), NULL);
        }
    }
    return CAPSTAN_OK;
}

static void cancelled(capstan_actor_t *actor, capstan_ref_t sender, uint64_t correlation)
{
    ask_actor_t *self = capstan_actor_state(actor);
    self->report.told++;
    for (size_t i = 0; i < self->kept_count; i++) {
        if (self->kept[i].correlation == correlation &&
            capstan_ref_equal(self->kept[i].sender, sender)) {
            self->kept[i] = self->kept[--self->kept_count];
            self->report.kept = self->kept_count;
            return;
        }
    }
}

const capstan_behaviour_t ask_behaviour = {
    .name = "asking",
    .init = init,
    .receive = receive,
    .cancelled = cancelled,
    .timer = timer,
    .destroy = destroy,
};

/* --- what a test calls ----------------------------------------------------------------------- */

capstan_node_t *ask_start(bool strict)
{
    capstan_node_t *node;
    cr_assert_eq(capstan_node_new(&(capstan_node_options_t){.strict_wire = strict}, &node),
                 CAPSTAN_OK);
    return node;
}

void ask_stop(capstan_node_t *node)
{
    cr_assert_eq(capstan_node_stop(&node, ASK_LONG_US, NULL, NULL), CAPSTAN_OK);
}

capstan_ref_t ask_spawn(capstan_node_t *node, const char *name, const char *cell,
                        ask_actor_t *actor)
{
    capstan_ref_t ref;
    cr_assert_eq(capstan_node_spawn(
                     node, &ask_behaviour,
                     &(capstan_spawn_options_t){.name = name, .cell = cell, .argument = actor},
                     &ref),
                 CAPSTAN_OK);
    return ref;
}

void ask_pause(void)
{
    sched_yield();
}

static void tell_body(capstan_node_t *node, capstan_ref_t target, uint32_t message, slice_t body)
{
    cr_assert_eq(capstan_node_tell(node, target, message, body), CAPSTAN_OK);
}

void ask_tell(capstan_node_t *node, capstan_ref_t target, uint32_t message)
{
    tell_body(node, target, message, (slice_t){0});
}

void ask_order(capstan_node_t *node, capstan_ref_t asker, const ask_order_t *order)
{
    tell_body(node, asker, ASK_ask, (slice_t){order, sizeof *order});
}

ask_report_t ask_report(capstan_node_t *node, capstan_ref_t ref)
{
    void *body;
    size_t size;
    ask_report_t report;
    cr_assert_eq(capstan_node_ask(node, ref, ASK_report, (slice_t){0}, ASK_LONG_US, &body, &size),
                 CAPSTAN_OK);
    cr_assert_eq(size, sizeof report);
    memcpy(&report, body, size);
    free(body);
    return report;
}

void ask_plug(capstan_node_t *node, capstan_ref_t target, ask_plug_t *plug)
{
    cr_assert_eq(sem_init(&plug->blocked, 0, 0), 0);
    cr_assert_eq(sem_init(&plug->drawn, 0, 0), 0);
    tell_body(node, target, ASK_plug, (slice_t){&plug, sizeof plug});
    while (sem_wait(&plug->blocked) != 0) {
    }
}

void ask_unplug(ask_plug_t *plug)
{
    sem_post(&plug->drawn);
}

typedef struct search {
    const char *name;
    drop_reason_t reason;
    uint64_t dropped;
} search_t;

static void look(void *context, const actor_figures_t *figures)
{
    search_t *search = context;
    if (strcmp(figures->name, search->name) == 0) {
        search->dropped += figures->account.dropped[search->reason];
    }
}

uint64_t ask_dropped(capstan_node_t *node, const char *name, drop_reason_t reason)
{
    search_t search = {.name = name, .reason = reason};
    node_figures(node, look, &search);
    return search.dropped;
}

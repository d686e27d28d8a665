/* The state of the node.
 *
 * Accepts   status, actors
 * Replies   status_report, actors_report
 * Sends     gateway_status, ordering_status, journal_status; a part that does not answer in time is
 *           null in the report.
 *
 * The table of actors is walked in pieces, one per turn, so that a large one holds up neither those
 * who spawn nor the other actors of this cell. Nothing is durable. */
#include "node/status_actor.h"

#include "actors/journal/journal_messages.h"
#include "actors/ordering/ordering_messages.h"
#include "brokers/gateway/gateway_messages.h"
#include "node/census.h"
#include "node/descriptors.h"
#include "runtime/base/ensure.h"
#include "runtime/base/json_writer.h"
#include "runtime/runtime.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PART_US = 3000000,
    QUESTIONS_MAX = 64,
    STATUS_ROWS = 64,     /* of actors, in a status_report */
    PIECE_PLACES = 16384, /* of the table of actors: a millisecond or two */
    WATCH_MS_MAX = 60000,
};

typedef enum part {
    PART_GATEWAY,
    PART_TOPICS,
    PART_JOURNAL,
    PART_COUNT,
} part_t;

typedef struct question {
    struct question *next;
    capstan_message_t request; /* without its body */
    uint64_t asks[PART_COUNT]; /* 0: answered */
    buffer_t parts[PART_COUNT];
    census_t *census;
    uint32_t place; /* where the walk goes on */
    bool walked;
} question_t;

typedef struct status_actor {
    capstan_actor_t *self;
    status_arguments_t arguments;
    int64_t started_us;
    question_t *questions;
    size_t question_count;
} status_actor_t;

static void emit_figure(json_writer_t *json, const char *name, uint64_t value)
{
    emit_key(json, name);
    emit_uint(json, value);
}

static void emit_cell(void *context, const cell_figures_t *figures)
{
    json_writer_t *json = context;
    emit_object_begin(json);
    emit_key(json, "name");
    emit_string(json, figures->name);
    emit_key(json, "state");
    emit_string(json, figures->state);
    emit_figure(json, "stalls", figures->stalls);
    if (*figures->handler) {
        emit_key(json, "actor");
        emit_string(json, figures->actor);
        emit_key(json, "handler");
        emit_string(json, figures->handler);
        emit_key(json, "message");
        emit_string(json, figures->message);
        emit_figure(json, "handler_us", (uint64_t)figures->handler_us);
    }
    emit_object_end(json);
}

static void emit_cells(json_writer_t *json, capstan_node_t *node)
{
    emit_key(json, "cells");
    emit_array_begin(json);
    node_cells(node, emit_cell, json);
    emit_array_end(json);
}

static void emit_part(json_writer_t *json, const char *name, const buffer_t *part)
{
    emit_key(json, name);
    if (part->size > 0) {
        emit_raw(json, buffer_slice(part));
    } else {
        emit_null(json);
    }
}

static void emit_node(const status_actor_t *self, json_writer_t *json)
{
    const capstan_node_t *node = capstan_actor_node(self->self);
    char id[17];
    snprintf(id, sizeof id, "%016lx", (unsigned long)node_id(node));
    emit_key(json, "node");
    emit_string(json, id);
    emit_key(json, "name");
    emit_string(json, self->arguments.name);
    emit_figure(json, "boot", node_boot(node));
    emit_figure(json, "uptime_us", (uint64_t)(capstan_now_us(self->self) - self->started_us));
}

static void answer(status_actor_t *self, const question_t *question)
{
    bool whole = question->request.message == MESSAGE_status;
    buffer_t text = {0};
    buffer_t body = {0};
    json_writer_t json = json_writer(&text);
    emit_object_begin(&json);
    emit_node(self, &json);
    if (whole) {
        emit_part(&json, "gateway", &question->parts[PART_GATEWAY]);
        emit_part(&json, "topics", &question->parts[PART_TOPICS]);
        emit_part(&json, "journal", &question->parts[PART_JOURNAL]);
        emit_cells(&json, capstan_actor_node(self->self));
    }
    census_emit(question->census, &json);
    if (whole) {
        metrics_emit(&json, node_metrics, NODE_METRICS_COUNT);
    }
    emit_object_end(&json);
    if (whole) {
        codec_encode(status_report_wire(), &(status_report_t){.json = buffer_slice(&text)}, &body);
    } else {
        codec_encode(actors_report_wire(), &(actors_report_t){.json = buffer_slice(&text)}, &body);
    }
    capstan_reply(self->self, &question->request,
                  whole ? MESSAGE_status_report : MESSAGE_actors_report, buffer_slice(&body));
    buffer_fini(&body);
    buffer_fini(&text);
}

/* --- questions ------------------------------------------------------------------------------- */

static question_t *question_new(status_actor_t *self, const capstan_message_t *request,
                                const census_options_t *options)
{
    question_t *question = calloc(1, sizeof *question);
    ENSURE(question);
    question->request = *request;
    question->request.body = (slice_t){0};
    question->census = census_new(options);
    question->next = self->questions;
    self->questions = question;
    self->question_count++;
    return question;
}

static void free_question(question_t *question)
{
    for (size_t i = 0; i < PART_COUNT; i++) {
        buffer_fini(&question->parts[i]);
    }
    census_destroy(&question->census);
    free(question);
}

static void finish(status_actor_t *self, question_t *question)
{
    answer(self, question);
    question_t **link = &self->questions;
    while (*link != question) {
        link = &(*link)->next;
    }
    *link = question->next;
    self->question_count--;
    free_question(question);
}

static bool is_complete(const question_t *question)
{
    for (size_t i = 0; i < PART_COUNT; i++) {
        if (question->asks[i] > 0) {
            return false;
        }
    }
    return question->walked;
}

/* One piece of the walk; the timer brings the next one. */
static void walk(status_actor_t *self, question_t *question)
{
    question->place = node_figures_from(capstan_actor_node(self->self), question->place,
                                        PIECE_PLACES, census_add, question->census);
    question->walked = question->place == 0;
    if (!question->walked) {
        capstan_timer_start(self->self, 0, question);
    } else if (is_complete(question)) {
        finish(self, question);
    }
}

static void ask_parts(status_actor_t *self, question_t *question)
{
    const status_arguments_t *arguments = &self->arguments;
    capstan_ref_t gateway = {0};
    /* The gateway starts after this actor, because it is told where to find it. */
    (void)!capstan_node_resolve(capstan_actor_node(self->self), "gateway", &gateway);
    const struct {
        capstan_ref_t actor;
        uint32_t message;
    } parts[PART_COUNT] = {
        [PART_GATEWAY] = {gateway, MESSAGE_gateway_status},
        [PART_TOPICS] = {arguments->topics, MESSAGE_ordering_status},
        [PART_JOURNAL] = {arguments->journal, MESSAGE_journal_status},
    };
    for (size_t i = 0; i < PART_COUNT; i++) {
        if (capstan_ask(self->self, parts[i].actor, parts[i].message, (slice_t){0}, PART_US,
                        &question->asks[i]) != CAPSTAN_OK) {
            question->asks[i] = 0;
        }
    }
}

static void on_status(status_actor_t *self, const capstan_message_t *message)
{
    question_t *question = question_new(self, message, &(census_options_t){.limit = STATUS_ROWS});
    ask_parts(self, question);
    walk(self, question);
}

static void on_actors(status_actor_t *self, const capstan_message_t *message)
{
    actors_t request;
    capstan_err_t err = codec_decode(actors_wire(), message->body, &request, NULL);
    if (err != CAPSTAN_OK) {
        capstan_reply_error(self->self, message, err, NULL);
        return;
    }
    if (request.watch_ms > 0) {
        uint64_t watch_ms = request.watch_ms < WATCH_MS_MAX ? request.watch_ms : WATCH_MS_MAX;
        node_watch(capstan_actor_node(self->self), (int64_t)watch_ms * 1000);
    }
    walk(self, question_new(self, message,
                            &(census_options_t){.each = request.each,
                                                .sort = request.sort,
                                                .limit = request.limit,
                                                .with_times = request.watch_ms > 0}));
}

static void put_journal(buffer_t *part, const journal_report_t *report)
{
    json_writer_t json = json_writer(part);
    emit_object_begin(&json);
    emit_figure(&json, "commits", report->commits);
    emit_figure(&json, "records", report->records);
    emit_figure(&json, "bytes", report->bytes);
    emit_figure(&json, "refused", report->refused);
    emit_key(&json, "last_error");
    if (report->error > 0) {
        emit_string(&json, capstan_err_name((capstan_err_t)report->error));
    } else {
        emit_null(&json);
    }
    emit_object_end(&json);
}

static void take_part(question_t *question, size_t place, const capstan_message_t *message)
{
    buffer_t *part = &question->parts[place];
    gateway_report_t gateway;
    ordering_report_t ordering;
    journal_report_t journal;
    question->asks[place] = 0;
    if (message->message == MESSAGE_gateway_report &&
        codec_decode(gateway_report_wire(), message->body, &gateway, NULL) == CAPSTAN_OK) {
        buffer_append(part, gateway.json.data, gateway.json.size);
    } else if (message->message == MESSAGE_ordering_report &&
               codec_decode(ordering_report_wire(), message->body, &ordering, NULL) == CAPSTAN_OK) {
        buffer_append(part, ordering.json.data, ordering.json.size);
    } else if (message->message == MESSAGE_journal_report &&
               codec_decode(journal_report_wire(), message->body, &journal, NULL) == CAPSTAN_OK) {
        put_journal(part, &journal);
    }
}

static void on_answer(status_actor_t *self, const capstan_message_t *message)
{
    for (question_t *question = self->questions; question; question = question->next) {
        for (size_t i = 0; i < PART_COUNT; i++) {
            if (question->asks[i] == 0 || question->asks[i] != message->correlation) {
                continue;
            }
            take_part(question, i, message);
            if (is_complete(question)) {
                finish(self, question);
            }
            return;
        }
    }
}

static capstan_err_t receive(capstan_actor_t *actor, const capstan_message_t *message)
{
    status_actor_t *self = capstan_actor_state(actor);
    if (message->kind != CAPSTAN_KIND_REQUEST) {
        on_answer(self, message);
    } else if (self->question_count == QUESTIONS_MAX) {
        capstan_reply_error(actor, message, CAPSTAN_E_LIMIT, NULL);
    } else if (message->message == MESSAGE_status) {
        on_status(self, message);
    } else if (message->message == MESSAGE_actors) {
        on_actors(self, message);
    } else {
        capstan_reply_error(actor, message, CAPSTAN_E_UNKNOWN_MESSAGE, NULL);
    }
    return CAPSTAN_OK;
}

static void timer(capstan_actor_t *actor, uint64_t number, void *cookie)
{
    (void)number;
    walk(capstan_actor_state(actor), cookie);
}

static capstan_err_t init(capstan_actor_t *actor, void *argument)
{
    status_actor_t *self = calloc(1, sizeof *self);
    ENSURE(self);
    capstan_actor_set_state(actor, self);
    self->self = actor;
    self->arguments = *(const status_arguments_t *)argument;
    self->started_us = capstan_now_us(actor);
    return CAPSTAN_OK;
}

static void destroy(capstan_actor_t *actor)
{
    status_actor_t *self = capstan_actor_state(actor);
    while (self && self->questions) {
        question_t *question = self->questions;
        self->questions = question->next;
        free_question(question);
    }
    free(self);
}

const capstan_behaviour_t status_behaviour = {
    .name = "status", .init = init, .receive = receive, .timer = timer, .destroy = destroy};

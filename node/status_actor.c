/* The state of the node.
 *
 * Accepts   status
 * Replies   status_report
 * Sends     gateway_status, ordering_status, journal_status; a part that does not answer in time is
 *           null in the report.
 *
 * Nothing is durable. */
#include "node/status_actor.h"

#include "actors/journal/journal_messages.h"
#include "actors/ordering/ordering_messages.h"
#include "brokers/gateway/gateway_messages.h"
#include "node/descriptors.h"
#include "runtime/base/ensure.h"
#include "runtime/base/json_writer.h"
#include "runtime/runtime.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PART_US = 3000000, QUESTIONS_MAX = 64, KINDS_MAX = 64 };

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

/* The actors of one name and cell: a node has thousands of partitions, and the report is one
 * message. */
typedef struct actor_kind {
    char name[64];
    char cell[32];
    uint64_t count;
    mailbox_account_t sum;
    uint64_t in_flight;
    uint64_t restarts;
} actor_kind_t;

typedef struct actor_kinds {
    actor_kind_t list[KINDS_MAX];
    size_t count;
} actor_kinds_t;

static void add_actor(void *context, const actor_figures_t *figures)
{
    actor_kinds_t *kinds = context;
    size_t i = 0;
    while (i < kinds->count && (strcmp(kinds->list[i].name, figures->name) != 0 ||
                                strcmp(kinds->list[i].cell, figures->cell) != 0)) {
        i++;
    }
    if (i == KINDS_MAX) {
        return;
    }
    actor_kind_t *kind = &kinds->list[i];
    if (i == kinds->count) {
        kinds->count++;
        snprintf(kind->name, sizeof kind->name, "%s", figures->name);
        snprintf(kind->cell, sizeof kind->cell, "%s", figures->cell);
    }
    kind->count++;
    kind->sum.sent += figures->account.sent;
    kind->sum.delivered += figures->account.delivered;
    kind->sum.dropped_all += figures->account.dropped_all;
    kind->sum.refused += figures->account.refused;
    kind->in_flight += figures->in_flight;
    kind->restarts += figures->restarts;
}

static void emit_actors(json_writer_t *json, capstan_node_t *node)
{
    actor_kinds_t *kinds = calloc(1, sizeof *kinds);
    ENSURE(kinds);
    node_figures(node, add_actor, kinds);
    emit_key(json, "actors");
    emit_array_begin(json);
    for (size_t i = 0; i < kinds->count; i++) {
        const actor_kind_t *kind = &kinds->list[i];
        emit_object_begin(json);
        emit_key(json, "name");
        emit_string(json, kind->name);
        emit_key(json, "cell");
        emit_string(json, kind->cell);
        emit_figure(json, "count", kind->count);
        emit_figure(json, "sent", kind->sum.sent);
        emit_figure(json, "delivered", kind->sum.delivered);
        emit_figure(json, "dropped", kind->sum.dropped_all);
        emit_figure(json, "refused", kind->sum.refused);
        emit_figure(json, "in_flight", kind->in_flight);
        emit_figure(json, "restarts", kind->restarts);
        emit_object_end(json);
    }
    emit_array_end(json);
    free(kinds);
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

static void answer(status_actor_t *self, const question_t *question)
{
    capstan_node_t *node = capstan_actor_node(self->self);
    buffer_t text = {0};
    buffer_t body = {0};
    char id[17];
    snprintf(id, sizeof id, "%016lx", (unsigned long)node_id(node));
    json_writer_t json = json_writer(&text);
    emit_object_begin(&json);
    emit_key(&json, "node");
    emit_string(&json, id);
    emit_key(&json, "name");
    emit_string(&json, self->arguments.name);
    emit_figure(&json, "boot", node_boot(node));
    emit_figure(&json, "uptime_us", (uint64_t)(capstan_now_us(self->self) - self->started_us));
    emit_part(&json, "gateway", &question->parts[PART_GATEWAY]);
    emit_part(&json, "topics", &question->parts[PART_TOPICS]);
    emit_part(&json, "journal", &question->parts[PART_JOURNAL]);
    emit_cells(&json, node);
    emit_actors(&json, node);
    metrics_emit(&json, node_metrics, NODE_METRICS_COUNT);
    emit_object_end(&json);
    codec_encode(status_report_wire(), &(status_report_t){.json = buffer_slice(&text)}, &body);
    capstan_reply(self->self, &question->request, MESSAGE_status_report, buffer_slice(&body));
    buffer_fini(&body);
    buffer_fini(&text);
}

static void free_question(question_t *question)
{
    for (size_t i = 0; i < PART_COUNT; i++) {
        buffer_fini(&question->parts[i]);
    }
    free(question);
}

static bool is_complete(const question_t *question)
{
    for (size_t i = 0; i < PART_COUNT; i++) {
        if (question->asks[i] > 0) {
            return false;
        }
    }
    return true;
}

static void on_status(status_actor_t *self, const capstan_message_t *message)
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
    if (self->question_count == QUESTIONS_MAX) {
        capstan_reply_error(self->self, message, CAPSTAN_E_LIMIT, NULL);
        return;
    }
    question_t *question = calloc(1, sizeof *question);
    ENSURE(question);
    question->request = *message;
    question->request.body = (slice_t){0};
    for (size_t i = 0; i < PART_COUNT; i++) {
        if (capstan_ask(self->self, parts[i].actor, parts[i].message, (slice_t){0}, PART_US,
                        &question->asks[i]) != CAPSTAN_OK) {
            question->asks[i] = 0;
        }
    }
    if (is_complete(question)) {
        answer(self, question);
        free_question(question);
        return;
    }
    question->next = self->questions;
    self->questions = question;
    self->question_count++;
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
    for (question_t **link = &self->questions, *question; (question = *link);
         link = &question->next) {
        for (size_t i = 0; i < PART_COUNT; i++) {
            if (question->asks[i] == 0 || question->asks[i] != message->correlation) {
                continue;
            }
            take_part(question, i, message);
            if (is_complete(question)) {
                answer(self, question);
                *link = question->next;
                self->question_count--;
                free_question(question);
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
    } else if (message->message == MESSAGE_status) {
        on_status(self, message);
    } else {
        capstan_reply_error(actor, message, CAPSTAN_E_UNKNOWN_MESSAGE, NULL);
    }
    return CAPSTAN_OK;
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
    .name = "status", .init = init, .receive = receive, .destroy = destroy};

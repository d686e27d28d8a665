/* The contexts of running handlers, and their spans. Everything here runs on the actor's cell. */
#include "runtime/trace.h"

#include "runtime/base/ensure.h"
#include "runtime/grip.h"
#include "runtime/node_internal.h"
#include "runtime/runtime_events.h"

#include <stdlib.h>
#include <string.h>

enum { SAMPLE_ALL = 1000000 };

/* Ids must not repeat, nothing more: they are no secrets. A simulated node draws the same ones in
 * each run. */
static uint64_t draw(cell_t *cell)
{
    if (cell->random.state == 0) {
        node_random(cell->node, &cell->random.state, sizeof cell->random.state);
    }
    return random_next(&cell->random);
}

static void draw_bytes(cell_t *cell, uint8_t *ret_bytes, size_t size)
{
    for (size_t at = 0; at < size; at += sizeof(uint64_t)) {
        uint64_t word;
        while ((word = draw(cell)) == 0) { /* no id is zero */
        }
        memcpy(ret_bytes + at, &word, sizeof word);
    }
}

static bool is_zero(const uint8_t *bytes, size_t size)
{
    static const uint8_t zeros[16];
    return memcmp(bytes, zeros, size) == 0;
}

static bool is_sampled(const capstan_trace_t *context)
{
    return (context->flags & CAPSTAN_TRACE_SAMPLED) != 0;
}

/* --- spans ----------------------------------------------------------------------------------- */

static void record(capstan_actor_t *self, const trace_scope_t *scope)
{
    if (!is_sampled(&scope->context)) {
        return;
    }
    capstan_span_t span = {
        .trace = scope->context,
        .message = scope->message,
        .started_us = scope->began_us,
        .duration_ns = self->cell->platform->now_ns(self->cell->node) - scope->began_ns,
        .failed = self->exiting && self->reason != CAPSTAN_OK,
    };
    memcpy(span.parent_id, scope->parent_id, sizeof span.parent_id);
    snprintf(span.actor, sizeof span.actor, "%s",
             atomic_load_explicit(&self->slot->label, memory_order_relaxed));
    spans_put(&self->cell->node->spans, &span);
}

size_t capstan_spans_take(capstan_node_t *node, capstan_span_t *ret_spans, size_t count)
{
    return spans_take(&node->spans, ret_spans, count);
}

static const char *hex_of(const uint8_t *bytes, size_t size, char *text)
{
    for (size_t i = 0; i < size; i++) {
        snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    }
    return text;
}

static void log_span(const capstan_span_t *span)
{
    char trace[33];
    char own[17];
    char parent[17];
    LOG_EACH(
        runtime, span,
        log_string("trace_id", hex_of(span->trace.trace_id, sizeof span->trace.trace_id, trace)),
        log_string("span_id", hex_of(span->trace.span_id, sizeof span->trace.span_id, own)),
        log_string("parent_id", is_zero(span->parent_id, sizeof span->parent_id)
                                    ? ""
                                    : hex_of(span->parent_id, sizeof span->parent_id, parent)),
        log_string("actor", span->actor), log_uint("message", span->message),
        log_int("started_us", span->started_us), log_int("duration_ns", span->duration_ns),
        log_uint("failed", span->failed));
}

void node_log_spans(capstan_node_t *self)
{
    capstan_span_t span;
    for (size_t i = 0; i < SPANS_MAX && spans_take(&self->spans, &span, 1) == 1; i++) {
        log_span(&span);
    }
}

/* --- scopes ---------------------------------------------------------------------------------- */

void trace_enter(capstan_actor_t *self, const capstan_trace_t *parent, uint32_t message)
{
    cell_t *cell = self->cell;
    if (self->traced) {
        record(self, cell->trace);
    } else {
        trace_scope_t *inner = malloc(sizeof *inner);
        ENSURE(inner);
        inner->outer = cell->trace;
        cell->trace = inner;
        self->traced = true;
    }
    trace_scope_t *scope = cell->trace;
    scope->context = *parent;
    memcpy(scope->parent_id, parent->span_id, sizeof scope->parent_id);
    draw_bytes(cell, scope->context.span_id, sizeof scope->context.span_id);
    scope->message = message;
    if (is_sampled(parent)) {
        scope->began_us = cell->platform->utc_us(cell->node);
        scope->began_ns = cell->platform->now_ns(cell->node);
    }
}

static bool is_picked(cell_t *cell)
{
    uint32_t share = node_options(cell->node)->trace_sample;
    return share > 0 && draw(cell) % SAMPLE_ALL < share;
}

/* A trace without a span yet. */
static capstan_trace_t new_trace(cell_t *cell, bool sampled)
{
    capstan_trace_t trace = {.flags = sampled ? CAPSTAN_TRACE_SAMPLED : 0};
    draw_bytes(cell, trace.trace_id, sizeof trace.trace_id);
    return trace;
}

trace_scope_t *trace_pick(cell_t *cell, trace_scope_t *root)
{
    if (!is_picked(cell)) {
        return NULL;
    }
    *root = (trace_scope_t){.context = new_trace(cell, true)};
    return root;
}

void trace_leave(capstan_actor_t *self)
{
    trace_scope_t *scope = self->cell->trace;
    record(self, scope);
    self->cell->trace = scope->outer;
    self->traced = false;
    free(scope);
}

/* --- what handlers call ---------------------------------------------------------------------- */

const capstan_trace_t *capstan_trace_current(const capstan_actor_t *self)
{
    const trace_scope_t *trace = grip_is_lost() ? NULL : self->cell->trace;
    return trace ? &trace->context : NULL;
}

void capstan_trace_start(capstan_actor_t *self)
{
    bool user;
    if (grip_enter(&user) && !self->cell->trace) {
        capstan_trace_t trace = new_trace(self->cell, is_picked(self->cell));
        trace_enter(self, &trace, 0);
    }
    grip_leave(user);
}

/* False when it is none. */
static bool enter_foreign(capstan_actor_t *self, capstan_trace_t parent, uint32_t message)
{
    if (is_zero(parent.trace_id, sizeof parent.trace_id) ||
        is_zero(parent.span_id, sizeof parent.span_id)) {
        return false;
    }
    parent.flags &= CAPSTAN_TRACE_SAMPLED;
    trace_enter(self, &parent, message);
    return true;
}

void capstan_trace_continue(capstan_actor_t *self, const capstan_trace_t *parent)
{
    bool user;
    if (grip_enter(&user)) {
        (void)enter_foreign(self, *parent, 0);
    }
    grip_leave(user);
}

static void enter_for_one(capstan_actor_t *self, slice_t context, uint32_t message)
{
    capstan_trace_t parent;
    if (context.size == sizeof parent) {
        memcpy(&parent, context.data, sizeof parent);
        if (enter_foreign(self, parent, message)) {
            return;
        }
    }
    if (is_picked(self->cell)) {
        parent = new_trace(self->cell, true);
        trace_enter(self, &parent, message);
    }
}

void actor_trace_enter(capstan_actor_t *self, slice_t context, uint32_t message)
{
    bool user;
    if (grip_enter(&user)) {
        enter_for_one(self, context, message);
    }
    grip_leave(user);
}

void actor_trace_leave(capstan_actor_t *self)
{
    bool user;
    if (grip_enter(&user) && self->traced) {
        trace_leave(self);
    }
    grip_leave(user);
}

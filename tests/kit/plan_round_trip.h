/* From a plan back to a record of its definition, and whether nothing was lost on the way. */
#ifndef TESTS_PLAN_ROUND_TRIP_H
#define TESTS_PLAN_ROUND_TRIP_H

#include "actors/saga/plan.h"
#include "runtime/base/ensure.h"

/* Pieces of a record that is being written; all are kept until its end. */
typedef struct kit_pieces {
    buffer_t pieces[4 * PLAN_NODES_MAX + 8];
    size_t count;
} kit_pieces_t;

static inline buffer_t *kit_piece(kit_pieces_t *self)
{
    ENSURE(self->count < sizeof self->pieces / sizeof self->pieces[0]);
    return &self->pieces[self->count++];
}

static inline slice_t kit_retry(kit_pieces_t *pieces, const plan_retry_t *retry)
{
    buffer_t *out = kit_piece(pieces);
    saga_retry_t record = {.initial_ms = (uint64_t)retry->initial_us / 1000,
                           .factor_percent = retry->factor_percent,
                           .max_ms = (uint64_t)retry->max_us / 1000,
                           .attempts_max = retry->attempts_max,
                           .jitter_percent = retry->jitter_percent,
                           .final = retry->final};
    codec_encode(saga_retry_wire(), &record, out);
    return buffer_slice(out);
}

static inline slice_t kit_test(kit_pieces_t *pieces, const value_test_t *test)
{
    buffer_t *out = kit_piece(pieces);
    saga_test_t record = {.path = test->path, .operator= test->operator, .operand = test->operand };
    if (test->operator) {
        codec_encode(saga_test_wire(), &record, out);
    }
    return buffer_slice(out);
}

static inline saga_node_t kit_node(kit_pieces_t *pieces, const plan_node_t *node)
{
    bool acts = node->kind == PLAN_STEP || node->kind == PLAN_CHILD;
    return (saga_node_t){
        .kind = node->kind,
        .parent = node->parent == PLAN_NONE ? 0 : node->parent + 1,
        .name = node->name,
        .class = node->class,
        .participant = node->participant,
        .action = node->action,
        .compensation = node->compensation,
        .input = node->input,
        .retry = acts ? kit_retry(pieces, &node->retry) : slice_of(NULL, 0),
        .attempt_timeout_ms = (uint64_t)node->attempt_us / 1000,
        .step_timeout_ms = (uint64_t)node->step_us / 1000,
        .test = kit_test(pieces, &node->test),
        .count_max = node->count_max,
        .sleep_ms = (uint64_t)node->sleep_us / 1000,
        .source = node->source,
        .topic = node->topic,
        .signal = node->signal,
        .list = node->list,
        .needed = node->needed,
        .width_max = node->width_max,
        .definition = node->definition,
        .version = node->version,
        .outcome = node->outcome,
        .undo = node->undo,
        .line = node->line,
    };
}

/* Writes a plan's record from what was read, every default explicit. */
static inline void kit_write(const plan_t *plan, buffer_t *out)
{
    static kit_pieces_t pieces;
    pieces.count = 0;
    buffer_t *nodes = kit_piece(&pieces);
    buffer_t *attributes = kit_piece(&pieces);
    codec_list_writer_t list = codec_list_begin(nodes);
    for (uint32_t i = 0; i < plan->count; i++) {
        saga_node_t node = kit_node(&pieces, &plan->nodes[i]);
        codec_list_add(&list, saga_node_wire(), &node);
    }
    codec_list_end(&list);
    list = codec_list_begin(attributes);
    for (uint32_t i = 0; i < plan->attributes; i++) {
        saga_attribute_t attribute = {.name = plan->attribute_names[i],
                                      .path = plan->attribute_paths[i]};
        codec_list_add(&list, saga_attribute_wire(), &attribute);
    }
    codec_list_end(&list);
    saga_definition_t whole = {
        .name = plan->name,
        .version = plan->version,
        .nodes = buffer_slice(nodes),
        .deadline_ms = (uint64_t)plan->deadline_us / 1000,
        .undo_order = plan->undo_order,
        .undo_deadline_ms = (uint64_t)plan->undo_deadline_us / 1000,
        .undo_retry = kit_retry(&pieces, &plan->undo_retry),
        .key = plan->key,
        .lock = plan->lock,
        .waiting_max = plan->waiting_max,
        .start_topic = plan->start_topic,
        .start_test = kit_test(&pieces, &plan->start_test),
        .schedule = plan->schedule,
        .running_max = plan->running_max,
        .starts_per_minute = plan->starts_per_minute,
        .priority = plan->priority,
        .attributes = buffer_slice(attributes),
        .retention_ms = (uint64_t)plan->retention_us / 1000,
        .outcome = plan->outcome,
    };
    codec_encode(saga_definition_wire(), &whole, out);
    for (size_t i = 0; i < pieces.count; i++) {
        buffer_fini(&pieces.pieces[i]);
    }
}

static inline bool same_links(const plan_t *a, const plan_t *b)
{
    bool same = a->count == b->count;
    for (uint32_t i = 0; same && i < a->count; i++) {
        same = a->nodes[i].first == b->nodes[i].first && a->nodes[i].next == b->nodes[i].next;
    }
    return same;
}

/* Whether a definition that is accepted is so again when it is written from what was read, and says
 * the same then. */
static inline bool plan_survives(slice_t record, plan_fault_t *fault)
{
    plan_t *plan = NULL;
    plan_t *again = NULL;
    buffer_t first = {0};
    buffer_t second = {0};
    bool good = !plan_read(record, &plan, fault);
    if (good) {
        kit_write(plan, &first);
        good = !plan_read(buffer_slice(&first), &again, fault);
    }
    if (good) {
        kit_write(again, &second);
        good = same_links(plan, again) && slice_equal(buffer_slice(&first), buffer_slice(&second));
    }
    plan_destroy(&plan);
    plan_destroy(&again);
    buffer_fini(&first);
    buffer_fini(&second);
    return good;
}

#endif

/* Definitions for tests: records from nodes in C. */
#ifndef TESTS_PLAN_KIT_H
#define TESTS_PLAN_KIT_H

#include "actors/saga/plan.h"

/* Initialisers of slices, for tables of rows. */
#define TEXT(text)                                                                                 \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }
#define BYTES(text)                                                                                \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }
/* Record `saga_test`: whether there is an input.a. */
#define ON_INPUT                                                                                   \
    BYTES("\x82\x01\xa7"                                                                           \
          "input.a\x02\x07")

#define SEQUENCE(parent_)                                                                          \
    {                                                                                              \
        .kind = PLAN_SEQUENCE, .parent = parent_                                                   \
    }
#define PARALLEL(parent_)                                                                          \
    {                                                                                              \
        .kind = PLAN_PARALLEL, .parent = parent_                                                   \
    }
#define CHOICE(parent_)                                                                            \
    {                                                                                              \
        .kind = PLAN_CHOICE, .parent = parent_                                                     \
    }
#define BRANCH(parent_)                                                                            \
    {                                                                                              \
        .kind = PLAN_BRANCH, .parent = parent_                                                     \
    }
#define BRANCH_IF(parent_)                                                                         \
    {                                                                                              \
        .kind = PLAN_BRANCH, .parent = parent_, .test = ON_INPUT                                   \
    }
#define LOOP(parent_)                                                                              \
    {                                                                                              \
        .kind = PLAN_LOOP, .parent = parent_, .test = ON_INPUT, .count_max = 9                     \
    }
#define SLEEP(parent_)                                                                             \
    {                                                                                              \
        .kind = PLAN_SLEEP, .parent = parent_, .sleep_ms = 1000                                    \
    }
#define AWAIT(parent_, name_)                                                                      \
    {                                                                                              \
        .kind = PLAN_AWAIT, .parent = parent_, .name = TEXT(name_)                                 \
    }
#define ON_SIGNAL(parent_, signal_)                                                                \
    {                                                                                              \
        .kind = PLAN_BRANCH, .parent = parent_, .source = PLAN_SIGNAL, .signal = TEXT(signal_)     \
    }
#define ON_EVENT(parent_, topic_)                                                                  \
    {                                                                                              \
        .kind = PLAN_BRANCH, .parent = parent_, .source = PLAN_EVENT, .topic = TEXT(topic_)        \
    }
#define ON_TIMEOUT(parent_)                                                                        \
    {                                                                                              \
        .kind = PLAN_BRANCH, .parent = parent_, .source = PLAN_TIMEOUT, .sleep_ms = 5000           \
    }
#define EACH(parent_, name_)                                                                       \
    {                                                                                              \
        .kind = PLAN_EACH, .parent = parent_, .name = TEXT(name_), .list = TEXT("input.list"),     \
        .count_max = 100                                                                           \
    }
#define END_NODE(parent_)                                                                          \
    {                                                                                              \
        .kind = PLAN_END, .parent = parent_, .outcome = TEXT("over")                               \
    }
#define END_UNDO(parent_)                                                                          \
    {                                                                                              \
        .kind = PLAN_END, .parent = parent_, .outcome = TEXT("over"), .undo = true                 \
    }
#define STEP_OF(parent_, name_, ...)                                                               \
    {                                                                                              \
        .kind = PLAN_STEP, .parent = parent_, .name = TEXT(name_), .participant = TEXT("stock"),   \
        .action = TEXT("do"), __VA_ARGS__                                                          \
    }
#define STEP(parent_, name_)      STEP_OF(parent_, name_, .compensation = TEXT("undo"))
#define PIVOT(parent_, name_)     STEP_OF(parent_, name_, .class = PLAN_PIVOT)
#define RETRIABLE(parent_, name_) STEP_OF(parent_, name_, .class = PLAN_RETRIABLE)
#define READ(parent_, name_)      STEP_OF(parent_, name_, .class = PLAN_READ)
#define CHILD(parent_, name_)                                                                      \
    {                                                                                              \
        .kind = PLAN_CHILD, .parent = parent_, .name = TEXT(name_),                                \
        .definition = TEXT("shipping"), .class = PLAN_READ                                         \
    }

enum { KIT_NODES_MAX = 16 };

/* A definition; the nodes end at the first without a kind. */
typedef struct kit_definition {
    saga_definition_t whole; /* without a name it is order, version 1 */
    saga_node_t nodes[KIT_NODES_MAX];
} kit_definition_t;

/* Puts the record into the buffer, which is cleared first. */
static inline slice_t kit_record(const kit_definition_t *definition, buffer_t *out)
{
    buffer_t nodes = {0};
    saga_definition_t whole = definition->whole;
    codec_list_writer_t list = codec_list_begin(&nodes);
    for (size_t i = 0; i < KIT_NODES_MAX && definition->nodes[i].kind > 0; i++) {
        codec_list_add(&list, saga_node_wire(), &definition->nodes[i]);
    }
    codec_list_end(&list);
    whole.nodes = buffer_slice(&nodes);
    whole.name = whole.name.size > 0 ? whole.name : slice_text("order");
    whole.version = whole.version > 0 ? whole.version : 1;
    buffer_clear(out);
    codec_encode(saga_definition_wire(), &whole, out);
    buffer_fini(&nodes);
    return buffer_slice(out);
}

#endif

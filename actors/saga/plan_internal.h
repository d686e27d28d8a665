/* Shared between the reading of a definition and its checks. */
#ifndef SAGA_PLAN_INTERNAL_H
#define SAGA_PLAN_INTERNAL_H

#include "actors/saga/plan.h"

enum { PLAN_TOPIC_MAX = 128 };

/* What is being looked at, as messages name it. */
typedef struct plan_place {
    const plan_t *plan;
    uint32_t node; /* PLAN_NONE: the definition itself */
    plan_fault_t *fault;
    const char *field; /* of the definition; NULL: no certain one */
} plan_place_t;

/* Writes "step reserve: <message>" and returns SAGA_DEFINITION, for `return plan_refuse(...)`. */
capstan_err_t plan_refuse(const plan_place_t *at, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* 1 to PLAN_NAME_MAX letters, digits and . _ - */
bool plan_name_valid(slice_t name);
/* The same, of up to PLAN_TOPIC_MAX. */
bool plan_topic_valid(slice_t name);
/* The word for a kind, and of which node `inner` is a part; PLAN_NONE: of none of these kinds. */
const char *plan_kind_word(plan_kind_t kind);
uint32_t plan_ancestor(const plan_t *plan, uint32_t inner, uint32_t kinds);
#define PLAN_BIT(kind) (UINT32_C(1) << (kind))

/* Whether a node's fields are those of its kind. */
CAPSTAN_MUST_CHECK capstan_err_t plan_check_fields(const plan_place_t *at, const saga_node_t *node);
/* Whether what has been read is safe; see plan_read. The whole, and its parts: each node by itself;
 * what paths refer to; and the ways through the definition. */
CAPSTAN_MUST_CHECK capstan_err_t plan_check(const plan_t *plan, plan_fault_t *fault);
CAPSTAN_MUST_CHECK capstan_err_t plan_check_scopes(const plan_t *plan, plan_fault_t *fault);
CAPSTAN_MUST_CHECK capstan_err_t plan_check_ways(const plan_t *plan, plan_fault_t *fault);

/* For "%.*s": a text for messages, cut where it is long. */
#define PLAN_TEXT(slice)                                                                           \
    (int)((slice).size < PLAN_NAME_MAX ? (slice).size : PLAN_NAME_MAX), (const char *)(slice).data

#endif

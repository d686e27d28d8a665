/* A saga as `saga_shown` tells it, and where its tasks stand in its definition. */
#ifndef CLI_SAGA_VIEW_H
#define CLI_SAGA_VIEW_H

#include "actors/saga/plan.h"
#include "cli/saga_client.h"

#define SAGA_VIEW_NONE UINT32_MAX /* no task */

enum { SAGA_VIEW_STATES = 16 }; /* more than task states there are; 0: an unknown one */

typedef struct saga_view_task {
    saga_task_t task;
    uint32_t first; /* index of its first child */
    uint32_t next;  /* of its next sibling */
    uint32_t last;  /* of its last child */
} saga_view_task_t;

/* All slices point into the body that was read. */
typedef struct saga_view {
    saga_state_t state;
    saga_begin_t begin;
    plan_t *plan; /* NULL: its version is not known there, or is none that this program reads */
    slice_t definition;      /* its record */
    saga_view_task_t *tasks; /* ascending numbers */
    uint32_t count;
    uint32_t first; /* index of the first task without a parent */
} saga_view_t;

/* Reads the body of `saga_shown`. Errors: MALFORMED and the codec's. */
CAPSTAN_MUST_CHECK capstan_err_t saga_view_read(slice_t shown, saga_view_t *ret_view);
/* Asks the node for it; it lives until the next request. Errors: UNKNOWN_SAGA, and as above. */
CAPSTAN_MUST_CHECK capstan_err_t saga_view_ask(saga_client_t *client, slice_t id,
                                               saga_view_t *ret_view);
void saga_view_fini(saga_view_t *self);

/* The plan's node of a task; NULL: unknown. */
const plan_node_t *saga_view_node(const saga_view_t *self, const saga_task_t *task);

/* How many tasks of a node are in each state. */
typedef struct saga_marks {
    uint32_t of[SAGA_VIEW_STATES];
} saga_marks_t;

/* Of each node of the plan, to be freed; NULL without a plan. */
saga_marks_t *saga_view_marks(const saga_view_t *self);
/* Appends "DONE", or "2 DONE, 1 CALLING"; nothing when there is no task. */
void saga_marks_append(const saga_marks_t *marks, buffer_t *out);
/* The state that matters most of them: what is stuck, then what has failed, then what is under
 * way. 0: there is no task. */
uint64_t saga_marks_state(const saga_marks_t *marks);

#endif

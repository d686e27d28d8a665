/* The ways through a definition: whether on each of them everything that may have to be undone can
 * be. A way has a point from which on nothing is undone: its pivot, or, where it has none, its
 * first retriable node. Behind it nothing may fail for good, so nothing there is compensatable.
 *
 * What is done at once, or again, has no order: the point of one child of a parallel is that of the
 * others too, and a point within a loop or an each is one for all that is in it. */
#include "actors/saga/plan_internal.h"
#include "runtime/base/ensure.h"

typedef struct way {
    uint32_t point; /* PLAN_NONE: not yet */
    bool ended;     /* by an end: nothing comes behind it */
} way_t;

static capstan_err_t check_node(const plan_place_t *at, way_t *way);

static capstan_err_t check_pivot(const plan_place_t *at, way_t *way)
{
    const plan_t *plan = at->plan;
    const uint32_t kinds = PLAN_BIT(PLAN_PARALLEL) | PLAN_BIT(PLAN_EACH) | PLAN_BIT(PLAN_LOOP);
    uint32_t around = plan_ancestor(plan, at->node, kinds);
    if (around != PLAN_NONE) {
        return plan_refuse(at,
                           "a pivot within a node of kind %s: move it out, since of one that "
                           "is done at once with others, or again, nobody knows what is behind "
                           "it",
                           plan_kind_word(plan->nodes[around].kind));
    }
    if (way->point == PLAN_NONE) {
        way->point = at->node;
        return CAPSTAN_OK;
    }
    const plan_node_t *before = &plan->nodes[way->point];
    if (before->class == PLAN_PIVOT) {
        return plan_refuse(at, "a second pivot behind %.*s: make it retriable",
                           PLAN_TEXT(before->name));
    }
    const plan_place_t retriable = {.plan = plan, .node = way->point, .fault = at->fault};
    return plan_refuse(&retriable,
                       "retriable, and before the pivot %.*s: make it compensatable, "
                       "or move it behind",
                       PLAN_TEXT(plan->nodes[at->node].name));
}

static capstan_err_t check_class(const plan_place_t *at, way_t *way)
{
    const plan_node_t *nodes = at->plan->nodes;
    switch (nodes[at->node].class) {
    case PLAN_PIVOT:
        return check_pivot(at, way);
    case PLAN_RETRIABLE:
        way->point = way->point == PLAN_NONE ? at->node : way->point;
        return CAPSTAN_OK;
    case PLAN_COMPENSATABLE:
        return way->point == PLAN_NONE
                   ? CAPSTAN_OK
                   : plan_refuse(at,
                                 "compensatable, but behind the %s %.*s nothing is undone: "
                                 "make it retriable, or move it before",
                                 nodes[way->point].class == PLAN_PIVOT ? "pivot" : "retriable",
                                 PLAN_TEXT(nodes[way->point].name));
    default:
        return CAPSTAN_OK;
    }
}

static capstan_err_t check_end(const plan_place_t *at, way_t *way)
{
    const plan_node_t *nodes = at->plan->nodes;
    const uint32_t kinds = PLAN_BIT(PLAN_PARALLEL) | PLAN_BIT(PLAN_EACH);
    uint32_t around = plan_ancestor(at->plan, at->node, kinds);
    if (around != PLAN_NONE) {
        return plan_refuse(at,
                           "an end within a node of kind %s, where others are at work: move it "
                           "out",
                           plan_kind_word(nodes[around].kind));
    }
    if (nodes[at->node].undo && way->point != PLAN_NONE) {
        return plan_refuse(at, "behind %.*s nothing is undone: end without undo",
                           PLAN_TEXT(nodes[way->point].name));
    }
    way->ended = true;
    return CAPSTAN_OK;
}

/* Children one after another. */
static capstan_err_t check_list(const plan_place_t *at, way_t *way)
{
    const plan_node_t *nodes = at->plan->nodes;
    capstan_err_t err = CAPSTAN_OK;
    for (uint32_t i = nodes[at->node].first; !err && i != PLAN_NONE; i = nodes[i].next) {
        const plan_place_t child = {.plan = at->plan, .node = i, .fault = at->fault};
        err = way->ended ? plan_refuse(&child, "stands behind an end, and is never come to: leave "
                                               "it out")
                         : check_node(&child, way);
    }
    return err;
}

/* One child of several; the ways that go on meet behind it. */
static capstan_err_t check_branches(const plan_place_t *at, way_t *way)
{
    const plan_node_t *nodes = at->plan->nodes;
    way_t behind = {.point = PLAN_NONE, .ended = true};
    bool certain = nodes[at->node].kind == PLAN_AWAIT; /* that one is taken */
    capstan_err_t err = CAPSTAN_OK;
    for (uint32_t i = nodes[at->node].first; !err && i != PLAN_NONE; i = nodes[i].next) {
        const plan_place_t branch = {.plan = at->plan, .node = i, .fault = at->fault};
        way_t inside = *way;
        err = check_list(&branch, &inside);
        certain = certain || nodes[i].test.operator== 0;
        behind.ended = behind.ended && inside.ended;
        if (!inside.ended && behind.point == PLAN_NONE) {
            behind.point = inside.point;
        }
    }
    if (!certain) {
        behind.ended = false;
    }
    if (behind.point == PLAN_NONE) {
        behind.point = way->point;
    }
    *way = behind;
    return err;
}

/* The first node in a subtree from which on nothing is undone. */
static uint32_t point_within(const plan_t *plan, uint32_t root)
{
    uint32_t behind = root;
    while (behind != PLAN_NONE && plan->nodes[behind].next == PLAN_NONE) {
        behind = plan->nodes[behind].parent;
    }
    uint32_t end = behind == PLAN_NONE ? plan->count : plan->nodes[behind].next;
    for (uint32_t i = root; i < end; i++) {
        if (plan->nodes[i].class == PLAN_PIVOT || plan->nodes[i].class == PLAN_RETRIABLE) {
            return i;
        }
    }
    return PLAN_NONE;
}

/* Children at once, or again and again. */
static capstan_err_t check_unordered(const plan_place_t *at, way_t *way)
{
    const plan_node_t *nodes = at->plan->nodes;
    if (way->point == PLAN_NONE) {
        uint32_t point = point_within(at->plan, at->node);
        way->point = point != PLAN_NONE && nodes[point].class == PLAN_PIVOT ? PLAN_NONE : point;
    }
    way_t inside = *way;
    if (nodes[at->node].kind != PLAN_PARALLEL) {
        return check_list(at, &inside);
    }
    capstan_err_t err = CAPSTAN_OK;
    for (uint32_t i = nodes[at->node].first; !err && i != PLAN_NONE; i = nodes[i].next) {
        const plan_place_t child = {.plan = at->plan, .node = i, .fault = at->fault};
        inside = *way;
        err = check_node(&child, &inside);
    }
    return err;
}

static capstan_err_t check_node(const plan_place_t *at, way_t *way)
{
    switch (at->plan->nodes[at->node].kind) {
    case PLAN_STEP:
    case PLAN_CHILD:
        return check_class(at, way);
    case PLAN_SEQUENCE:
    case PLAN_BRANCH:
        return check_list(at, way);
    case PLAN_CHOICE:
    case PLAN_AWAIT:
        return check_branches(at, way);
    case PLAN_PARALLEL:
    case PLAN_LOOP:
    case PLAN_EACH:
        return check_unordered(at, way);
    case PLAN_END:
        return check_end(at, way);
    case PLAN_SLEEP:
        return CAPSTAN_OK;
    }
    ENSURE(false);
}

capstan_err_t plan_check_ways(const plan_t *plan, plan_fault_t *fault)
{
    const plan_place_t root = {.plan = plan, .node = 0, .fault = fault};
    way_t way = {.point = PLAN_NONE};
    return check_node(&root, &way);
}

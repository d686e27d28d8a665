/* A supervisor and children that note what happens to them, on a node that a scene is played on. */
#ifndef RUNTIME_TREE_KIT_H
#define RUNTIME_TREE_KIT_H

#include "runtime/runtime.h"

#include <criterion/criterion.h>
#include <capstan/supervisor.h>
#include <sched.h>
#include <stdatomic.h>

enum {
    MESSAGE_die = 0x8000, /* it fails */
    MESSAGE_leave,        /* it ends normally */
    MESSAGE_ping,         /* request */
    WAIT_US = 60000000,
};

/* What a child is like. Its small letter stands in the trace when its init has succeeded, its
 * capital when it is gone. */
typedef struct member {
    char letter;
    _Atomic int init_failures; /* how many more there will be */
    bool fails_in_stop;
    bool ignores_stop;
} member_t;

typedef struct tree {
    capstan_node_t *node;
    bool several_cells;
    member_t a;
    member_t b;
    member_t c;
} tree_t;

/* One node per process, so one tree. */
extern tree_t tree;

/* Goes through a scene in every arrangement: children on one cell and on several, messages within
 * a cell passed by pointer and with strict_wire. */
void tree_play(void (*act)(void));

/* A child that returns at once, as often as it takes, and whose name is its letter. */
capstan_child_t tree_child(member_t *member);
/* The supervisor "tree" on a cell of its own. */
capstan_err_t tree_try(capstan_strategy_t strategy, const capstan_child_t *children, size_t count,
                       capstan_ref_t *ret_ref);
capstan_ref_t tree_start(capstan_strategy_t strategy, const capstan_child_t *children,
                         size_t count);
capstan_ref_t tree_start_abc(capstan_strategy_t strategy);
void tree_stop_node(void);

/* What the children have noted so far. */
const char *tree_trace(void);
void tree_await_trace(const char *wanted);

void tree_tell(capstan_ref_t ref, uint32_t message);
capstan_err_t tree_ping(capstan_ref_t ref);
/* The incarnation that answers now; other than `old`. */
capstan_ref_t tree_resolve(const char *name);
capstan_ref_t tree_await_other(const char *name, capstan_ref_t old);
void tree_await_gone(capstan_ref_t ref);

/* Actors of the node, but for those of its cells. */
size_t tree_actors(void);
void tree_await_nobody(void);

/* A member's, for actors with other handlers beside it. */
capstan_err_t tree_member_receive(capstan_actor_t *self, const capstan_message_t *message);

#endif

/* An actor that does what the test tells it, and reports what happened to it. */
#ifndef RUNTIME_PUPPET_KIT_H
#define RUNTIME_PUPPET_KIT_H

#include "runtime/runtime.h"

#include <criterion/criterion.h>
#include <capstan/node.h>

enum { PUPPET_STOP_US = 60000000 };

typedef enum puppet_deed {
    PUPPET_MONITOR, /* `other` */
    PUPPET_DEMONITOR,
    PUPPET_LINK,
    PUPPET_UNLINK,
    PUPPET_STOP,  /* `other`, within `number` us */
    PUPPET_SYNC,  /* answers when `other` has answered: what was sent to it before has arrived */
    PUPPET_SPAWN, /* a puppet as `spawn` says; the report holds its reference */
    PUPPET_FAIL,  /* its handler returns the error `number` */
    PUPPET_EXIT,  /* it exits with the reason `number` */
    PUPPET_FAIL_TIMER, /* it exits with the error `number` in that handler */
    PUPPET_FAIL_READY,
    PUPPET_FAIL_TURN,
    PUPPET_FAIL_STOP,
    PUPPET_IGNORE_STOP, /* it does not end when it hears stop */
    PUPPET_REPORT,
} puppet_deed_t;

/* How a puppet is made. */
typedef struct puppet_spawn {
    char cell[16];
    bool traps_exits;
    bool monitor;
    bool link;
    capstan_err_t fail_init;
} puppet_spawn_t;

typedef struct puppet_order {
    puppet_deed_t deed;
    capstan_ref_t other;
    int64_t number;
    puppet_spawn_t spawn;
} puppet_order_t;

typedef struct puppet_report {
    uint64_t downs;
    capstan_ref_t down_actor; /* of the last one */
    capstan_err_t down_reason;
    uint64_t stops; /* how often it heard stop */
    capstan_ref_t spawned;
    capstan_err_t err; /* of the deed */
} puppet_report_t;

capstan_node_t *puppet_node(bool strict);
void puppet_node_stop(capstan_node_t *node);
capstan_ref_t puppet_new(capstan_node_t *node, const puppet_spawn_t *spawn);
/* Tells it, and waits for its report. */
puppet_report_t puppet_tell(capstan_node_t *node, capstan_ref_t puppet,
                            const puppet_order_t *order);
/* The same for a deed that may end it: nobody waits for an answer. */
void puppet_send(capstan_node_t *node, capstan_ref_t puppet, const puppet_order_t *order);
puppet_report_t puppet_report(capstan_node_t *node, capstan_ref_t puppet);
/* Returns when the actor has ended and everything that its end sent to `other` has arrived there;
 * `beside` is a puppet on the cell of the ended one. */
void puppet_await_end(capstan_node_t *node, capstan_ref_t puppet, capstan_ref_t beside,
                      capstan_ref_t other);

#endif

/* Actors for the tests of asks: an asker, a relay that asks on, and a keeper that answers when it
 * is told to. Each counts what it hears, and says so when it is asked. */
#ifndef TESTS_ASK_KIT_H
#define TESTS_ASK_KIT_H

#include "runtime/runtime.h"

#include <criterion/criterion.h>
#include <semaphore.h>

enum {
    ASK_question = 0x8000, /* request */
    ASK_answer,            /* its reply */
    ASK_ask,               /* body: ask_order_t */
    ASK_withdraw,          /* cancel all that is pending */
    ASK_reply_all,         /* answer all that is kept */
    ASK_forget_all,        /* drop what is kept without an answer */
    ASK_quit,
    ASK_plug,   /* body: ask_plug_t *; block until the plug is drawn */
    ASK_report, /* request, answered with ask_report_t */
    ASK_SECONDS = 1000000,
    ASK_LONG_US = 600 * ASK_SECONDS,
};

typedef struct ask_order {
    capstan_ref_t target;
    uint64_t count;
    int64_t timeout_us;
} ask_order_t;

typedef struct ask_plug {
    sem_t blocked; /* posted once the cell is blocked */
    sem_t drawn;
} ask_plug_t;

typedef struct ask_report {
    uint64_t asked;
    uint64_t answered;
    uint64_t timeouts;
    uint64_t gone;
    uint64_t cancelled; /* asks that ended with CANCELLED */
    uint64_t other;
    uint64_t stray;      /* answers to what was not pending */
    uint64_t requests;   /* questions read */
    uint64_t told;       /* requests that were said to be cancelled */
    uint64_t kept;       /* questions read, not answered and not told */
    int64_t deadline_us; /* of the last question */
} ask_report_t;

typedef struct ask_actor {
    bool keeps;         /* questions wait for ASK_reply_all */
    bool relays;        /* questions are asked on to `next` */
    bool later;         /* not in their handler, but from a timer */
    capstan_ref_t next; /* whom a relay asks */
    ask_report_t report;
    struct ask_pending {
        uint64_t ask;
        capstan_message_t request; /* of a relay: on whose behalf */
    } * pending;
    size_t pending_count;
    size_t pending_capacity;
    capstan_message_t *kept;
    size_t kept_count;
    size_t kept_capacity;
} ask_actor_t;

/* `argument` is an ask_actor_t whose first members are set; it stays the caller's, and is read
 * after the node has stopped. */
extern const capstan_behaviour_t ask_behaviour;

capstan_node_t *ask_start(bool strict);
void ask_stop(capstan_node_t *node);
capstan_ref_t ask_spawn(capstan_node_t *node, const char *name, const char *cell,
                        ask_actor_t *actor);
void ask_tell(capstan_node_t *node, capstan_ref_t target, uint32_t message);
/* Tells the asker to ask. */
void ask_order(capstan_node_t *node, capstan_ref_t asker, const ask_order_t *order);
ask_report_t ask_report(capstan_node_t *node, capstan_ref_t ref);
/* Asks for the report until the member that is meant has this value. */
#define ASK_UNTIL(node, ref, member, value)                                                        \
    while (ask_report((node), (ref)).member != (uint64_t)(value)) {                                \
        ask_pause();                                                                               \
    }
void ask_pause(void);
void ask_plug(capstan_node_t *node, capstan_ref_t target, ask_plug_t *plug);
void ask_unplug(ask_plug_t *plug);
/* What the actor of that name has dropped for that reason; also M1, which has to hold at rest. */
uint64_t ask_dropped(capstan_node_t *node, const char *name, drop_reason_t reason);

#endif

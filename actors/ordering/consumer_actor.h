/* The shell of a consumer in the process. Internal to ordering/. */
#ifndef ORDERING_CONSUMER_ACTOR_H
#define ORDERING_CONSUMER_ACTOR_H

#include "actors/ordering/consumer.h"
#include "actors/ordering/consumer_shared.h"

enum {
    CONSUMER_ASK_US = 60000000,
    CONSUMER_RETRY_US =
        500000, /* before it tries again to become a member, or to start a handler */
    CONSUMER_GRANT_BYTES = 1 << 20, /* a quarter of what a group sends ahead of the grants */
};

typedef struct consumer_handler {
    capstan_ref_t actor; /* null: it is to be started */
    handler_t *state;    /* of the actor */
    uint64_t *tickets;   /* of what it works on */
    size_t count;        /* 0: it is free */
    uint64_t round;
} consumer_handler_t;

typedef struct consumer_actor {
    capstan_actor_t *self;
    capstan_subscription_t *shared;
    capstan_ref_t topics;
    char topic[129];
    char group[129];
    char cell[64];
    capstan_subscribe_options_t options;
    handler_arguments_t arguments; /* of the handlers */
    char *text;                    /* of who waits for the start; NULL when it has started */
    size_t text_size;

    consumer_t *core;
    consumer_handler_t *handlers;
    uint32_t handler_count;
    uint64_t rounds;
    consumer_event_t *taken; /* for consumer_take */
    uint64_t ask;            /* subscribe or unsubscribe that is under way */
    bool retrying;           /* a timer runs */

    bool member;
    capstan_ref_t from; /* the group's actor */
    uint64_t number;    /* of the subscription */
    uint64_t received_bytes;
    uint64_t granted_bytes;
    uint64_t stored_before; /* under earlier numbers */
    buffer_t positions;     /* to be acknowledged, a list */
    codec_list_writer_t list;
    position_t position; /* the last one, which may grow; offset 0: none */

    bool paused;             /* the node lets nothing in any more */
    bool closing;            /* nobody gets anything any more */
    capstan_err_t failed;    /* why it did not start */
    capstan_message_t close; /* consumer_close, without its body; kind 0: none */
} consumer_actor_t;

/* consumer_actor.c */
/* It is no member any more, and tries to become one again. */
void consumer_lose(consumer_actor_t *self, capstan_err_t err);

/* consumer_say.c: what is said to the group. */
void consumer_acknowledge(consumer_actor_t *self, uint64_t ticket);
void consumer_reject_because(consumer_actor_t *self, uint64_t ticket, const consumer_say_t *why);
/* Sends what is gathered. */
void consumer_say_all(consumer_actor_t *self);
void consumer_grant(consumer_actor_t *self);

/* consumer_handlers.c */
CAPSTAN_MUST_CHECK capstan_err_t consumer_start_handlers(consumer_actor_t *self);
/* Hands out what waits to those who are free. */
void consumer_dispatch(consumer_actor_t *self);
void consumer_on_worked(consumer_actor_t *self, const capstan_message_t *message);
/* False: it was none of them. */
bool consumer_handler_down(consumer_actor_t *self, capstan_ref_t actor, capstan_err_t reason);
bool consumer_is_idle(const consumer_actor_t *self);
/* Tells them to end; true when none is left. */
bool consumer_end_handlers(consumer_actor_t *self);

#endif

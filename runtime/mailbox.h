/* A mailbox: a bounded queue of messages, and an account of every one of them. A pure core: the
 * cells and the simulator drive the same code.
 *
 *   any thread                      the owner's cell
 *   mailbox_reserve --(transport)--> mailbox_push --> queue --> mailbox_take --> mailbox_done
 *        |                                |                                         |
 *   sent + 1                        mailbox_drop(reason)                       delivered + 1
 *
 * M1: sent = delivered + sum of dropped + in flight, where in flight is what a walk finds in the
 * transport and in the queue. `sent` is the only word that other threads write. */
#ifndef RUNTIME_MAILBOX_H
#define RUNTIME_MAILBOX_H

#include <capstan/actor.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef enum drop_reason {
#define DROP(name, meaning) DROP_##name,
#include "runtime/drops.def"
#undef DROP
    DROP_COUNT
} drop_reason_t;

const char *drop_reason_name(drop_reason_t reason);

/* A queued message. Whoever allocates it embeds it; the mailbox only links it. */
typedef struct mail {
    struct mail *next;
    capstan_message_t message;
} mail_t;

typedef struct mailbox {
    /* Written by senders: relaxed, because the message itself travels through a queue that
     * orders memory; the limit check may be late by what is being sent at this instant. Only
     * counting a message as sent is sequentially consistent: see route_send. */
    _Alignas(64) _Atomic uint64_t sent_messages;
    _Atomic uint64_t sent_bytes;
    _Atomic uint64_t refused; /* sends that failed for want of space; they are not `sent` */

    /* Written by the owner, read by senders for the limit and by status. */
    _Alignas(64) _Atomic uint64_t done_messages; /* delivered + dropped */
    _Atomic uint64_t done_bytes;
    _Atomic uint64_t delivered;
    _Atomic uint64_t dropped[DROP_COUNT];

    uint64_t messages_max;
    uint64_t bytes_max;

    mail_t *head; /* owner only */
    mail_t *tail;
    uint64_t queued;
} mailbox_t;

typedef struct mailbox_limits {
    uint64_t messages_max;
    uint64_t bytes_max;
} mailbox_limits_t;

void mailbox_init(mailbox_t *self, mailbox_limits_t limits);

/* Any thread. Takes room for one message of `bytes`; false when there is none. With `always` (a
 * reply, an acknowledgement, control) it counts the message and never refuses. */
bool mailbox_reserve(mailbox_t *self, uint64_t bytes, bool always);

/* Any thread. Takes a reservation back: the message was not sent after all. */
void mailbox_unreserve(mailbox_t *self, uint64_t bytes);

/* Owner. Queues a message that was reserved. */
void mailbox_push(mailbox_t *self, mail_t *mail);

/* Owner. Takes the oldest message, or NULL. It counts as in flight until mailbox_done or
 * mailbox_drop is called for it. */
mail_t *mailbox_take(mailbox_t *self);
void mailbox_done(mailbox_t *self, uint64_t bytes);
void mailbox_drop(mailbox_t *self, uint64_t bytes, drop_reason_t reason);

/* True when everything that was sent is delivered or dropped. Exact at rest. */
bool mailbox_is_settled(const mailbox_t *self);

/* The account, for status and for M1. Exact at rest. `queued` is counted by mailbox_walk. */
typedef struct mailbox_account {
    uint64_t sent;
    uint64_t delivered;
    uint64_t dropped[DROP_COUNT];
    uint64_t dropped_all;
    uint64_t refused;
} mailbox_account_t;

mailbox_account_t mailbox_account(const mailbox_t *self);

/* Owner. Counts the queue by walking it, independently of every counter. */
uint64_t mailbox_walk(const mailbox_t *self);

#endif

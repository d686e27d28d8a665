/* A mailbox: a bounded queue of messages, and an account of every one of them. A pure core: the
 * cells and the simulator drive the same code.
 *
 *   any thread                      the owner's cell
 *   mailbox_reserve --(transport)--> mailbox_push --> lanes --> mailbox_take --> mailbox_done
 *        |                                |                                         |
 *   sent + 1                        mailbox_drop(reason)                       delivered + 1
 *
 * M1: sent = delivered + sum of dropped + in flight, where in flight is what a walk finds in the
 * transport and in the lanes. `sent` is the only word of the account that other threads write.
 *
 * Messages and their bytes are counted in one word, so that a sender needs one locked instruction
 * for both bounds: the lower bits count messages, the upper ones bytes. The words only grow, and
 * wrap; the difference of two of them is what lies between, exactly, as long as less than 2^26
 * messages and 2^37 bytes do. */
#ifndef RUNTIME_MAILBOX_H
#define RUNTIME_MAILBOX_H

#include <capstan/actor.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum {
    CACHE_LINE = 64,
    MAILBOX_COUNT_BITS = 26,
    MAILBOX_COUNT_MASK = (1 << MAILBOX_COUNT_BITS) - 1,
    MAILBOX_MESSAGES_MAX = 1 << 24, /* of a bound; replies and control may go beyond it */
};
#define MAILBOX_BYTES_MAX (UINT64_C(1) << 36)

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

/* Messages of one lane are taken in their order, those of the priority lane before all others. */
typedef enum mail_lane { LANE_PRIORITY, LANE_NORMAL, LANE_COUNT } mail_lane_t;

typedef struct mailbox {
    /* Written by senders: relaxed, because the message itself travels through a queue that
     * orders memory; the limit check may be late by what is being sent at this instant. */
    _Alignas(64) _Atomic uint64_t sent;
    /* What some sender last read of `done`: as long as that leaves room, the owner's line stays in
     * the owner's cache. It may be old, never too new, so it never makes room that is not there. */
    _Atomic uint64_t done_seen;
    _Atomic uint64_t refused; /* sends that failed for want of space; they are not `sent` */
    _Atomic uint64_t bytes_max;
    _Atomic uint32_t messages_max;
    /* The slot that the owner waits for, plus 1; 0 when it does not. Sequentially consistent: see
     * park.h. */
    _Atomic uint32_t waits_for;
    /* What the owner's handlers took, while somebody wants to know; written by the owner, and here
     * because this line has room. */
    _Atomic uint64_t busy_ns;
    _Atomic uint32_t runs;

    /* Written by the owner, read by senders for the limit and by status. */
    _Alignas(64) _Atomic uint64_t done; /* delivered and dropped */
    _Atomic uint64_t delivered;
    _Atomic uint64_t dropped[DROP_COUNT];
    _Atomic uint32_t base; /* messages done before this account began, modulo 2^26 */

    uint32_t queued;       /* owner only, as is all that follows */
    uint64_t queued_bytes; /* bodies */
    mail_t *heads[LANE_COUNT];
    mail_t *tails[LANE_COUNT];

    /* The age of what is queued, in two generations: all of it came at `oldest_us` or later, what
     * is behind the first `older` messages came `newer_after_us` after that, or later. */
    _Atomic int64_t oldest_us; /* 0: nothing is queued; read by status */
    uint32_t newer_after_us;   /* saturates */
    uint32_t older;
} mailbox_t;

typedef struct mailbox_limits {
    uint64_t messages_max; /* 1 to MAILBOX_MESSAGES_MAX */
    uint64_t bytes_max;    /* 1 to MAILBOX_BYTES_MAX */
} mailbox_limits_t;

/* Of memory that nobody else knows yet. */
void mailbox_init(mailbox_t *self, mailbox_limits_t limits);
/* Of a mailbox whose earlier owner has ended; senders who do not know that yet may still send. */
void mailbox_set_limits(mailbox_t *self, mailbox_limits_t limits);
/* Owner. A new account begins: what was done counts no more, what is on its way does. */
void mailbox_begin(mailbox_t *self);

/* What senders write, and what the owner does, on its way into the cache: see actor_fetch. */
static inline void mailbox_fetch_sent(const mailbox_t *self)
{
    __builtin_prefetch(&self->sent, 1);
}
static inline void mailbox_fetch_owned(const mailbox_t *self)
{
    __builtin_prefetch(&self->done, 1);
    __builtin_prefetch(&self->heads, 1);
}

/* Any thread. Takes room for one message of `bytes`; false when there is none. With `always` (a
 * reply, an acknowledgement, control) it counts the message and never refuses. */
bool mailbox_reserve(mailbox_t *self, uint64_t bytes, bool always);

/* Any thread. Takes a reservation back: the message was not sent after all. */
void mailbox_unreserve(mailbox_t *self, uint64_t bytes);

/* Owner. Queues a message that was reserved. */
void mailbox_push(mailbox_t *self, mail_t *mail, mail_lane_t lane);

/* Owner. Takes the next message, or NULL. It counts as in flight until mailbox_done or
 * mailbox_drop is called for it. */
mail_t *mailbox_take(mailbox_t *self);
/* The same of one lane. */
mail_t *mailbox_take_lane(mailbox_t *self, mail_lane_t lane);
/* Owner. A message is about to be queued. */
static inline void mailbox_note_arrival(mailbox_t *self, int64_t now_us)
{
    if (self->queued == 0) {
        self->older = 0;
        self->newer_after_us = 0;
        atomic_store_explicit(&self->oldest_us, now_us, memory_order_relaxed);
    }
}
/* Owner. So many messages were taken in a row. */
void mailbox_note_run(mailbox_t *self, uint32_t taken, int64_t now_us);
/* Any thread. The oldest queued message has waited since then, or less: at least half of that in a
 * steady flow. 0 when nothing is queued. */
int64_t mailbox_oldest_us(const mailbox_t *self);

/* Owner. The handlers of one run took so long. */
void mailbox_note_busy(mailbox_t *self, int64_t duration_ns);

void mailbox_done(mailbox_t *self, uint64_t bytes);
void mailbox_drop(mailbox_t *self, uint64_t bytes, drop_reason_t reason);

/* Any thread. Whether what is in flight has reached the bound; at rest exact. `share` 2 asks for
 * half of the bound. */
bool mailbox_is_full(const mailbox_t *self, uint32_t share);

/* Owner. Whether what is queued leaves no room for a body of `bytes`; what is on its way does not
 * count. `overhead` is what each message takes beside its body. */
bool mailbox_queue_is_full(const mailbox_t *self, uint64_t bytes, uint64_t overhead);

/* True when everything that was sent is delivered or dropped. Exact at rest. */
bool mailbox_is_settled(const mailbox_t *self);

/* The account, for status and for M1. Exact at rest. */
typedef struct mailbox_account {
    uint64_t sent;
    uint64_t delivered;
    uint64_t dropped[DROP_COUNT];
    uint64_t dropped_all;
    uint64_t refused;
} mailbox_account_t;

mailbox_account_t mailbox_account(const mailbox_t *self);

/* Owner. Counts the lanes by walking them, independently of every counter. */
uint64_t mailbox_walk(const mailbox_t *self);

#endif

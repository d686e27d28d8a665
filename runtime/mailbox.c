#include "runtime/mailbox.h"

#include "runtime/base/ensure.h"

#include <string.h>

static const char *const reason_names[DROP_COUNT] = {
#define DROP(name, meaning) [DROP_##name] = #name,
#include "runtime/drops.def"
#undef DROP
};

const char *drop_reason_name(drop_reason_t reason)
{
    ENSURE(reason < DROP_COUNT);
    return reason_names[reason];
}

/* The bytes of a word stand above its messages. */
static uint64_t unit(uint64_t bytes)
{
    return (bytes << MAILBOX_COUNT_BITS) + 1;
}

/* Only the owner writes these words, so a load and a store are enough: no locked instruction. */
static void owner_add(_Atomic uint64_t *word, uint64_t amount)
{
    atomic_store_explicit(word, atomic_load_explicit(word, memory_order_relaxed) + amount,
                          memory_order_relaxed);
}

static uint64_t load(const _Atomic uint64_t *word)
{
    return atomic_load_explicit(word, memory_order_relaxed);
}

void mailbox_init(mailbox_t *self, mailbox_limits_t limits)
{
    memset(self, 0, sizeof *self);
    mailbox_set_limits(self, limits);
}

void mailbox_set_limits(mailbox_t *self, mailbox_limits_t limits)
{
    ENSURE(limits.messages_max <= MAILBOX_MESSAGES_MAX && limits.bytes_max <= MAILBOX_BYTES_MAX);
    atomic_store_explicit(&self->messages_max, (uint32_t)limits.messages_max, memory_order_relaxed);
    atomic_store_explicit(&self->bytes_max, limits.bytes_max, memory_order_relaxed);
}

void mailbox_begin(mailbox_t *self)
{
    mailbox_account_t account = mailbox_account(self);
    uint64_t base = atomic_load_explicit(&self->base, memory_order_relaxed) + account.delivered +
                    account.dropped_all;
    atomic_store_explicit(&self->base, (uint32_t)base & MAILBOX_COUNT_MASK, memory_order_relaxed);
    atomic_store_explicit(&self->delivered, 0, memory_order_relaxed);
    atomic_store_explicit(&self->refused, 0, memory_order_relaxed);
    atomic_store_explicit(&self->busy_ns, 0, memory_order_relaxed);
    atomic_store_explicit(&self->runs, 0, memory_order_relaxed);
    atomic_store_explicit(&self->oldest_us, 0, memory_order_relaxed);
    for (size_t i = 0; i < DROP_COUNT; i++) {
        atomic_store_explicit(&self->dropped[i], 0, memory_order_relaxed);
    }
}

/* Signed: other senders' messages may have come and gone since `sent` was read. */
static bool fits(const mailbox_t *self, uint64_t between, uint64_t bytes)
{
    int64_t messages_queued = (int64_t)between < 0 ? 0 : (int64_t)(between & MAILBOX_COUNT_MASK);
    int64_t bytes_queued = (int64_t)between >> MAILBOX_COUNT_BITS;
    return messages_queued <
               (int64_t)atomic_load_explicit(&self->messages_max, memory_order_relaxed) &&
           bytes_queued + (int64_t)bytes <= (int64_t)load(&self->bytes_max);
}

bool mailbox_reserve(mailbox_t *self, uint64_t bytes, bool always)
{
    uint64_t before = atomic_fetch_add_explicit(&self->sent, unit(bytes), memory_order_relaxed);
    if (always || fits(self, before - load(&self->done_seen), bytes)) {
        return true;
    }
    uint64_t done = load(&self->done);
    if (fits(self, before - done, bytes)) {
        atomic_store_explicit(&self->done_seen, done, memory_order_relaxed);
        return true;
    }
    mailbox_unreserve(self, bytes);
    atomic_fetch_add_explicit(&self->refused, 1, memory_order_relaxed);
    return false;
}

void mailbox_unreserve(mailbox_t *self, uint64_t bytes)
{
    atomic_fetch_sub_explicit(&self->sent, unit(bytes), memory_order_relaxed);
}

void mailbox_push(mailbox_t *self, mail_t *mail, mail_lane_t lane)
{
    mail->next = NULL;
    if (self->tails[lane]) {
        self->tails[lane]->next = mail;
    } else {
        self->heads[lane] = mail;
    }
    self->tails[lane] = mail;
    self->queued++;
    self->queued_bytes += mail->message.body.size;
}

/* While one message is handled, the body of the next one comes, and the one behind that, which came
 * as such when the one before was handled. */
static void fetch_ahead(const mail_t *next)
{
    __builtin_prefetch(next->message.body.data);
    if (next->next) {
        __builtin_prefetch(next->next, 1);
        __builtin_prefetch((const char *)next->next + CACHE_LINE, 1);
    }
}

mail_t *mailbox_take_lane(mailbox_t *self, mail_lane_t lane)
{
    mail_t *mail = self->heads[lane];
    if (mail) {
        self->heads[lane] = mail->next;
        if (mail->next) {
            fetch_ahead(mail->next);
        } else {
            self->tails[lane] = NULL;
        }
        self->queued--;
        self->queued_bytes -= mail->message.body.size;
    }
    return mail;
}

mail_t *mailbox_take(mailbox_t *self)
{
    mail_t *mail = mailbox_take_lane(self, LANE_PRIORITY);
    return mail ? mail : mailbox_take_lane(self, LANE_NORMAL);
}

/* Everything behind the older generation is the next older one. */
void mailbox_note_run(mailbox_t *self, uint32_t taken, int64_t now_us)
{
    if (self->queued == 0) {
        atomic_store_explicit(&self->oldest_us, 0, memory_order_relaxed);
        return;
    }
    self->older = self->older > taken ? self->older - taken : 0;
    if (self->older == 0) {
        int64_t oldest_us = mailbox_oldest_us(self) + self->newer_after_us;
        int64_t after_us = now_us - oldest_us;
        atomic_store_explicit(&self->oldest_us, oldest_us, memory_order_relaxed);
        self->newer_after_us = after_us < UINT32_MAX ? (uint32_t)after_us : UINT32_MAX;
        self->older = self->queued;
    }
}

int64_t mailbox_oldest_us(const mailbox_t *self)
{
    return atomic_load_explicit(&self->oldest_us, memory_order_relaxed);
}

void mailbox_note_busy(mailbox_t *self, int64_t duration_ns)
{
    owner_add(&self->busy_ns, (uint64_t)duration_ns);
    uint32_t runs = atomic_load_explicit(&self->runs, memory_order_relaxed);
    atomic_store_explicit(&self->runs, runs + 1, memory_order_relaxed);
}

static void settle(mailbox_t *self, uint64_t bytes)
{
    owner_add(&self->done, unit(bytes));
}

void mailbox_done(mailbox_t *self, uint64_t bytes)
{
    owner_add(&self->delivered, 1);
    settle(self, bytes);
}

void mailbox_drop(mailbox_t *self, uint64_t bytes, drop_reason_t reason)
{
    ENSURE(reason < DROP_COUNT);
    owner_add(&self->dropped[reason], 1);
    settle(self, bytes);
}

bool mailbox_is_full(const mailbox_t *self, uint32_t share)
{
    uint64_t between = load(&self->sent) - load(&self->done);
    uint64_t messages_max = atomic_load_explicit(&self->messages_max, memory_order_relaxed);
    return (between & MAILBOX_COUNT_MASK) * share >= messages_max ||
           (between >> MAILBOX_COUNT_BITS) * share >= load(&self->bytes_max);
}

bool mailbox_queue_is_full(const mailbox_t *self, uint64_t bytes, uint64_t overhead)
{
    uint64_t after = self->queued_bytes + bytes + (self->queued + UINT64_C(1)) * overhead;
    return self->queued >= atomic_load_explicit(&self->messages_max, memory_order_relaxed) ||
           after > load(&self->bytes_max);
}

/* `sent` has the count modulo 2^26. What was delivered and dropped is known in full, and the rest
 * is in flight. */
mailbox_account_t mailbox_account(const mailbox_t *self)
{
    mailbox_account_t account = {
        .delivered = load(&self->delivered),
        .refused = load(&self->refused),
    };
    for (size_t i = 0; i < DROP_COUNT; i++) {
        account.dropped[i] = load(&self->dropped[i]);
        account.dropped_all += account.dropped[i];
    }
    uint64_t ended = account.delivered + account.dropped_all;
    uint64_t base = atomic_load_explicit(&self->base, memory_order_relaxed);
    account.sent = ended + ((load(&self->sent) - base - ended) & MAILBOX_COUNT_MASK);
    return account;
}

bool mailbox_is_settled(const mailbox_t *self)
{
    return atomic_load_explicit(&self->sent, memory_order_acquire) ==
           atomic_load_explicit(&self->done, memory_order_acquire);
}

uint64_t mailbox_walk(const mailbox_t *self)
{
    uint64_t count = 0;
    for (size_t lane = 0; lane < LANE_COUNT; lane++) {
        for (const mail_t *mail = self->heads[lane]; mail; mail = mail->next) {
            count++;
        }
    }
    return count;
}

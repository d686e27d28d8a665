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
    self->messages_max = limits.messages_max;
    self->bytes_max = limits.bytes_max;
}

bool mailbox_reserve(mailbox_t *self, uint64_t bytes, bool always)
{
    uint64_t sent = atomic_fetch_add_explicit(&self->sent_messages, 1, memory_order_seq_cst);
    uint64_t sent_bytes = atomic_fetch_add_explicit(&self->sent_bytes, bytes, memory_order_relaxed);
    if (always) {
        return true;
    }
    /* Signed: other senders' messages may have come and gone since `sent` was read. */
    int64_t messages_queued = (int64_t)(sent - load(&self->done_messages));
    int64_t bytes_queued = (int64_t)(sent_bytes - load(&self->done_bytes));
    bool fits = messages_queued < (int64_t)self->messages_max &&
                bytes_queued + (int64_t)bytes <= (int64_t)self->bytes_max;
    if (!fits) {
        mailbox_unreserve(self, bytes);
        atomic_fetch_add_explicit(&self->refused, 1, memory_order_relaxed);
    }
    return fits;
}

void mailbox_unreserve(mailbox_t *self, uint64_t bytes)
{
    atomic_fetch_sub_explicit(&self->sent_messages, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&self->sent_bytes, bytes, memory_order_relaxed);
}

void mailbox_push(mailbox_t *self, mail_t *mail)
{
    mail->next = NULL;
    if (self->tail) {
        self->tail->next = mail;
    } else {
        self->head = mail;
    }
    self->tail = mail;
    self->queued++;
}

mail_t *mailbox_take(mailbox_t *self)
{
    mail_t *mail = self->head;
    if (mail) {
        self->head = mail->next;
        if (!self->head) {
            self->tail = NULL;
        }
        self->queued--;
    }
    return mail;
}

static void settle(mailbox_t *self, uint64_t bytes)
{
    owner_add(&self->done_messages, 1);
    owner_add(&self->done_bytes, bytes);
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

mailbox_account_t mailbox_account(const mailbox_t *self)
{
    mailbox_account_t account = {
        .sent = load(&self->sent_messages),
        .delivered = load(&self->delivered),
        .refused = load(&self->refused),
    };
    for (size_t i = 0; i < DROP_COUNT; i++) {
        account.dropped[i] = load(&self->dropped[i]);
        account.dropped_all += account.dropped[i];
    }
    return account;
}

bool mailbox_is_settled(const mailbox_t *self)
{
    return atomic_load_explicit(&self->sent_messages, memory_order_seq_cst) ==
           load(&self->done_messages);
}

uint64_t mailbox_walk(const mailbox_t *self)
{
    uint64_t count = 0;
    for (const mail_t *mail = self->head; mail; mail = mail->next) {
        count++;
    }
    return count;
}

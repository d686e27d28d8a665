#include "brokers/gateway/session.h"

#include "runtime/base/ensure.h"

#include <stdlib.h>

enum {
    SLOTS_MIN = 64, /* one word of the bitmap */
};

typedef enum slot_state {
    SLOT_OPEN,
    SLOT_ANSWERED, /* the peer has not been told yet */
    SLOT_SETTLED,
} slot_state_t;

typedef struct slot {
    uint32_t bytes;
    uint16_t err;
    uint8_t result;
    uint8_t state;
} slot_t;

struct session {
    session_limits_t limits;
    int64_t heard_us;

    uint64_t received; /* highest link sequence of the peer */
    uint64_t received_bytes;
    uint64_t floor; /* every sequence up to it is settled */
    uint64_t floor_bytes;
    uint64_t told_messages; /* grants the peer has been told */
    uint64_t told_bytes;

    slot_t *slots;   /* of sequence s: slots[s & mask] */
    uint64_t *fresh; /* bit per slot: SLOT_ANSWERED */
    uint64_t mask;
    uint64_t fresh_low; /* all fresh ones lie from here */
    uint64_t fresh_high;
    uint64_t fresh_count;

    uint64_t granted_messages; /* by the peer */
    uint64_t granted_bytes;
    uint64_t delivered;
    uint64_t delivered_bytes;
    uint64_t stray;
};

static void allocate(session_t *self, uint64_t count)
{
    self->slots = calloc(count, sizeof *self->slots);
    self->fresh = calloc(count / 64, sizeof *self->fresh);
    ENSURE(self->slots && self->fresh);
    self->mask = count - 1;
}

session_t *session_new(const session_limits_t *limits, int64_t now_us)
{
    ENSURE(limits->messages_window > 0 && limits->bytes_window > 0);
    session_t *self = calloc(1, sizeof *self);
    ENSURE(self);
    self->limits = *limits;
    self->heard_us = now_us;
    allocate(self, SLOTS_MIN);
    return self;
}

void session_destroy(session_t **self_p)
{
    session_t *self = *self_p;
    if (self) {
        free(self->slots);
        free(self->fresh);
        free(self);
        *self_p = NULL;
    }
}

static slot_t *slot_at(const session_t *self, uint64_t sequence)
{
    return &self->slots[sequence & self->mask];
}

static uint64_t fresh_bit(uint64_t sequence)
{
    return UINT64_C(1) << (sequence & 63);
}

static uint64_t *fresh_word(const session_t *self, uint64_t sequence)
{
    return &self->fresh[(sequence & self->mask) / 64];
}

/* The ring starts small and doubles with what is really unanswered: most peers never fill it. */
static void grow(session_t *self)
{
    session_t old = *self;
    allocate(self, (old.mask + 1) * 2);
    for (uint64_t sequence = self->floor + 1; sequence <= self->received; sequence++) {
        *slot_at(self, sequence) = *slot_at(&old, sequence);
        if (slot_at(self, sequence)->state == SLOT_ANSWERED) {
            *fresh_word(self, sequence) |= fresh_bit(sequence);
        }
    }
    free(old.slots);
    free(old.fresh);
}

capstan_err_t session_on_batch(session_t *self, int64_t now_us, const link_header_t *header)
{
    self->heard_us = now_us;
    if (header->credit_messages > self->granted_messages) {
        self->granted_messages = header->credit_messages;
    }
    if (header->credit_bytes > self->granted_bytes) {
        self->granted_bytes = header->credit_bytes;
    }
    bool next = header->sequence == 0 || header->sequence == self->received + 1;
    return next ? CAPSTAN_OK : CAPSTAN_E_MALFORMED;
}

bool session_is_silent(const session_t *self, int64_t now_us)
{
    return now_us - self->heard_us >= self->limits.silence_us;
}

capstan_err_t session_take(session_t *self, size_t body_bytes, uint64_t *ret_sequence)
{
    ENSURE(body_bytes <= UINT32_MAX);
    if (self->received - self->floor >= self->limits.messages_window ||
        self->received_bytes - self->floor_bytes >= self->limits.bytes_window) {
        return CAPSTAN_E_NO_CREDIT;
    }
    if (self->received - self->floor > self->mask) {
        grow(self);
    }
    self->received++;
    self->received_bytes += body_bytes;
    *slot_at(self, self->received) = (slot_t){.bytes = (uint32_t)body_bytes, .state = SLOT_OPEN};
    *ret_sequence = self->received;
    return CAPSTAN_OK;
}

static void advance(session_t *self)
{
    while (self->floor < self->received) {
        const slot_t *slot = slot_at(self, self->floor + 1);
        if (slot->state != SLOT_SETTLED) {
            return;
        }
        self->floor++;
        self->floor_bytes += slot->bytes;
    }
}

static bool is_open(const session_t *self, uint64_t sequence)
{
    return sequence > self->floor && sequence <= self->received &&
           slot_at(self, sequence)->state == SLOT_OPEN;
}

void session_settle(session_t *self, uint64_t sequence)
{
    if (!is_open(self, sequence)) {
        self->stray++;
        return;
    }
    slot_at(self, sequence)->state = SLOT_SETTLED;
    advance(self);
}

void session_settle_range(session_t *self, uint64_t first, uint64_t last)
{
    for (uint64_t sequence = first; sequence <= last; sequence++) {
        ENSURE(is_open(self, sequence));
        slot_at(self, sequence)->state = SLOT_SETTLED;
    }
    advance(self);
}

void session_answer(session_t *self, const outcome_t *outcome)
{
    uint64_t first = outcome->first > self->floor ? outcome->first : self->floor + 1;
    uint64_t last = outcome->last < self->received ? outcome->last : self->received;
    if (first != outcome->first || last != outcome->last) {
        self->stray++;
    }
    for (uint64_t sequence = first; sequence <= last; sequence++) {
        slot_t *slot = slot_at(self, sequence);
        if (slot->state != SLOT_OPEN) {
            self->stray++;
            continue;
        }
        slot->state = SLOT_ANSWERED;
        slot->result = (uint8_t)outcome->result;
        slot->err = (uint16_t)outcome->error;
        *fresh_word(self, sequence) |= fresh_bit(sequence);
        if (self->fresh_count == 0 || sequence < self->fresh_low) {
            self->fresh_low = sequence;
        }
        if (self->fresh_count == 0 || sequence > self->fresh_high) {
            self->fresh_high = sequence;
        }
        self->fresh_count++;
    }
}

/* The first fresh sequence from `from` on; there is one. */
static uint64_t next_fresh(const session_t *self, uint64_t from)
{
    for (;;) {
        uint64_t word = *fresh_word(self, from) >> (from & 63);
        if (word != 0) {
            return from + (uint64_t)__builtin_ctzll(word);
        }
        from += 64 - (from & 63);
        ENSURE(from <= self->fresh_high);
    }
}

/* Takes the longest range of equal answers that begins at `first`. */
static outcome_t take_range(session_t *self, uint64_t first)
{
    const slot_t *head = slot_at(self, first);
    outcome_t range = {.first = first, .last = first, .result = head->result, .error = head->err};
    for (uint64_t sequence = first; sequence <= self->fresh_high; sequence++) {
        slot_t *slot = slot_at(self, sequence);
        if (slot->state != SLOT_ANSWERED || slot->result != range.result ||
            slot->err != range.error) {
            break;
        }
        slot->state = SLOT_SETTLED;
        *fresh_word(self, sequence) &= ~fresh_bit(sequence);
        self->fresh_count--;
        range.last = sequence;
    }
    return range;
}

bool session_write_outcomes(session_t *self, buffer_t *out)
{
    if (self->fresh_count == 0) {
        return false;
    }
    buffer_t list = {0};
    codec_list_writer_t writer = codec_list_begin(&list);
    for (int i = 0; self->fresh_count > 0 && i < SESSION_RANGES_MAX; i++) {
        outcome_t range = take_range(self, next_fresh(self, self->fresh_low));
        outcome_add(&writer, &range);
        self->fresh_low = range.last + 1;
    }
    codec_list_end(&writer);
    codec_encode(outcomes_wire(), &(outcomes_t){.list = buffer_slice(&list)}, out);
    buffer_fini(&list);
    advance(self);
    return true;
}

static uint64_t grant_messages(const session_t *self)
{
    return self->floor + self->limits.messages_window;
}

static uint64_t grant_bytes(const session_t *self)
{
    return self->floor_bytes + self->limits.bytes_window;
}

link_header_t session_header(session_t *self, uint64_t first_sequence)
{
    self->told_messages = grant_messages(self);
    self->told_bytes = grant_bytes(self);
    return (link_header_t){.version = 1,
                           .sequence = first_sequence,
                           .credit_messages = self->told_messages,
                           .credit_bytes = self->told_bytes};
}

bool session_grant_is_due(const session_t *self)
{
    return (grant_messages(self) - self->told_messages) * 4 >= self->limits.messages_window ||
           (grant_bytes(self) - self->told_bytes) * 4 >= self->limits.bytes_window;
}

bool session_may_deliver(const session_t *self)
{
    return self->delivered < self->granted_messages && self->delivered_bytes < self->granted_bytes;
}

uint64_t session_deliver(session_t *self, size_t body_bytes)
{
    ENSURE(session_may_deliver(self));
    self->delivered_bytes += body_bytes;
    return ++self->delivered;
}

session_figures_t session_figures(const session_t *self)
{
    return (session_figures_t){.received = self->received,
                               .open = self->received - self->floor,
                               .delivered = self->delivered,
                               .stray = self->stray};
}

#include "brokers/peer/peer_link.h"

#include "runtime/base/ensure.h"

enum {
    ENTRIES_MIN = 64,
    BYTES_MIN = 16384,
    OUTCOME_REJECTED = 4, /* see record `outcome` */
};

typedef struct entry {
    uint64_t token;
    uint64_t at; /* position in `bytes`; grows, its place is `at & (capacity - 1)` */
    uint32_t size;
    uint32_t body_bytes;
    bool request;
    bool tell;
    bool answered;
    bool abandoned;
} entry_t;

struct peer_link {
    peer_link_limits_t limits;

    entry_t *entries; /* ring; of index i: entries[i & mask] */
    uint64_t mask;
    uint64_t head;
    uint64_t sent;
    uint64_t tail;
    uint64_t base;      /* index of link sequence 1 */
    uint64_t answered;  /* between head and tail */
    uint64_t abandoned; /* of those without an answer */

    /* Ring of encoded messages, none of them split at its end. Neighbours in `entries` are
     * neighbours here, except where the ring's end was left empty. */
    uint8_t *bytes;
    uint64_t capacity;
    uint64_t bytes_tail;
    uint64_t bytes_kept;
    uint64_t bytes_unsent; /* of them */

    uint64_t granted_messages;
    uint64_t granted_bytes;
    uint64_t sent_bytes; /* body bytes sent in this session */
};

peer_link_t *peer_link_new(const peer_link_limits_t *limits)
{
    ENSURE(limits->messages_max > 0 && limits->batch_messages > 0);
    peer_link_t *self = calloc(1, sizeof *self);
    ENSURE(self);
    self->limits = *limits;
    self->entries = calloc(ENTRIES_MIN, sizeof *self->entries);
    self->mask = ENTRIES_MIN - 1;
    self->bytes = malloc(BYTES_MIN);
    self->capacity = BYTES_MIN;
    ENSURE(self->entries && self->bytes);
    return self;
}

void peer_link_destroy(peer_link_t **self_p)
{
    peer_link_t *self = *self_p;
    if (self) {
        free(self->entries);
        free(self->bytes);
        free(self);
        *self_p = NULL;
    }
}

static entry_t *entry_at(const peer_link_t *self, uint64_t index)
{
    return &self->entries[index & self->mask];
}

static uint8_t *bytes_at(const peer_link_t *self, uint64_t at)
{
    return self->bytes + (at & (self->capacity - 1));
}

static void grow_entries(peer_link_t *self)
{
    uint64_t count = (self->mask + 1) * 2;
    entry_t *entries = calloc(count, sizeof *entries);
    ENSURE(entries);
    for (uint64_t i = self->head; i < self->tail; i++) {
        entries[i & (count - 1)] = *entry_at(self, i);
    }
    free(self->entries);
    self->entries = entries;
    self->mask = count - 1;
}

/* Where a message of `size` bytes goes so that the ring's end does not split it. */
static uint64_t place(const peer_link_t *self, size_t size)
{
    uint64_t left = self->capacity - (self->bytes_tail & (self->capacity - 1));
    return size <= left ? self->bytes_tail : self->bytes_tail + left;
}

static bool has_room(const peer_link_t *self, size_t size)
{
    uint64_t head = self->head < self->tail ? entry_at(self, self->head)->at : self->bytes_tail;
    return place(self, size) + size - head <= self->capacity;
}

static void grow_bytes(peer_link_t *self)
{
    peer_link_t old = *self;
    self->capacity *= 2;
    self->bytes = malloc(self->capacity);
    ENSURE(self->bytes);
    self->bytes_tail = 0;
    for (uint64_t i = self->head; i < self->tail; i++) {
        entry_t *entry = entry_at(self, i);
        memcpy(self->bytes + self->bytes_tail, bytes_at(&old, entry->at), entry->size);
        entry->at = self->bytes_tail;
        self->bytes_tail += entry->size;
    }
    free(old.bytes);
}

capstan_err_t peer_link_queue(peer_link_t *self, const peer_item_t *item)
{
    size_t size = item->encoded.size;
    bool empty = self->head == self->tail;
    if (self->tail - self->head >= self->limits.messages_max ||
        (!empty && self->bytes_kept + size > self->limits.bytes_max)) {
        return CAPSTAN_E_NO_CREDIT;
    }
    if (empty) {
        self->bytes_tail = 0;
    }
    if (self->tail - self->head > self->mask) {
        grow_entries(self);
    }
    while (!has_room(self, size)) {
        grow_bytes(self);
    }
    uint64_t at = place(self, size);
    memcpy(bytes_at(self, at), item->encoded.data, size);
    self->bytes_tail = at + size;
    self->bytes_kept += size;
    self->bytes_unsent += size;
    *entry_at(self, self->tail++) = (entry_t){.token = item->token,
                                              .at = at,
                                              .size = (uint32_t)size,
                                              .body_bytes = item->body_bytes,
                                              .request = item->request,
                                              .tell = item->tell};
    return CAPSTAN_OK;
}

void peer_link_restart(peer_link_t *self)
{
    uint64_t kept = self->head;
    for (uint64_t i = self->head; i < self->tail; i++) {
        const entry_t *entry = entry_at(self, i);
        if (entry->answered || entry->abandoned) {
            self->bytes_kept -= entry->size;
        } else {
            *entry_at(self, kept++) = *entry;
        }
    }
    self->tail = kept;
    self->bytes_unsent = self->bytes_kept;
    self->sent = self->head;
    self->base = self->head;
    self->answered = 0;
    self->abandoned = 0;
    self->granted_messages = 0;
    self->granted_bytes = 0;
    self->sent_bytes = 0;
}

void peer_link_grant(peer_link_t *self, uint64_t messages, uint64_t bytes)
{
    if (messages > self->granted_messages) {
        self->granted_messages = messages;
    }
    if (bytes > self->granted_bytes) {
        self->granted_bytes = bytes;
    }
}

uint32_t peer_link_fill(peer_link_t *self, batch_writer_t *writer, uint64_t *ret_sequence)
{
    uint32_t count = 0;
    uint64_t sent_bytes = self->sent_bytes;
    uint64_t index = self->sent;
    size_t begin = writer->out->size;
    /* The node's rule, see session.h: the message that uses up the bytes may overrun them. */
    while (index < self->tail && count < self->limits.batch_messages &&
           index - self->base < self->granted_messages && sent_bytes < self->granted_bytes) {
        const entry_t *entry = entry_at(self, index);
        if (count > 0 && writer->out->size - begin + entry->size > self->limits.batch_bytes) {
            break;
        }
        buffer_append(writer->out, bytes_at(self, entry->at), entry->size);
        sent_bytes += entry->body_bytes;
        index++;
        count++;
    }
    writer->count += count;
    if (count > 0) {
        *ret_sequence = self->sent - self->base + 1;
    }
    return count;
}

static void mark_answered(peer_link_t *self, uint64_t index)
{
    entry_t *entry = entry_at(self, index);
    self->abandoned -= entry->abandoned;
    entry->answered = true;
    self->answered++;
    while (self->head < self->sent && entry_at(self, self->head)->answered) {
        self->bytes_kept -= entry_at(self, self->head)->size;
        self->head++;
        self->answered--;
    }
}

void peer_link_sent(peer_link_t *self, uint32_t count)
{
    ENSURE(count <= self->tail - self->sent);
    for (uint32_t i = 0; i < count; i++) {
        const entry_t *entry = entry_at(self, self->sent++);
        self->sent_bytes += entry->body_bytes;
        self->bytes_unsent -= entry->size;
        if (entry->tell) {
            mark_answered(self, self->sent - 1);
        }
    }
}

uint64_t peer_link_unsent(const peer_link_t *self)
{
    return self->tail - self->sent;
}

uint64_t peer_link_unsent_bytes(const peer_link_t *self)
{
    return self->bytes_unsent;
}

uint64_t peer_link_unanswered(const peer_link_t *self)
{
    return self->tail - self->head - self->answered - self->abandoned;
}

uint64_t peer_link_answer(peer_link_t *self, const outcome_t *outcome, peer_link_outcome_fn *each,
                          void *context)
{
    uint64_t refused = 0;
    if (outcome->first == 0 || outcome->last < outcome->first) {
        return 0;
    }
    /* Indexes are looked up afresh: `each` may queue, and so move the rings. */
    for (uint64_t sequence = outcome->first; sequence <= outcome->last; sequence++) {
        uint64_t index = self->base + sequence - 1;
        if (index >= self->sent) {
            break;
        }
        /* What was done with has its outcome, or is a tell, which only an error has an outcome of.
         */
        const entry_t *entry = index < self->head ? NULL : entry_at(self, index);
        if (!entry || entry->tell) {
            refused += outcome->result == OUTCOME_REJECTED;
            continue;
        }
        if (entry->answered || entry->request) {
            continue;
        }
        uint64_t token = entry->token;
        mark_answered(self, index);
        each(context, token, outcome->result, (capstan_err_t)outcome->error);
    }
    return refused;
}

static bool find_request(const peer_link_t *self, uint64_t correlation, uint64_t *ret_index)
{
    for (uint64_t i = self->head; i < self->tail; i++) {
        const entry_t *entry = entry_at(self, i);
        if (entry->request && !entry->answered && entry->token == correlation) {
            *ret_index = i;
            return true;
        }
    }
    return false;
}

bool peer_link_settle(peer_link_t *self, uint64_t correlation)
{
    uint64_t index;
    bool found = find_request(self, correlation, &index) && index < self->sent;
    if (found) {
        mark_answered(self, index);
    }
    return found;
}

void peer_link_abandon(peer_link_t *self, uint64_t correlation)
{
    uint64_t index;
    if (find_request(self, correlation, &index) && !entry_at(self, index)->abandoned) {
        entry_at(self, index)->abandoned = true;
        self->abandoned++;
    }
}

/* How messages move between cells, and within one: blocks, outboxes, the inbox. */
#include "runtime/cell.h"

#include "runtime/base/ensure.h"
#include "runtime/context.h"
#include "runtime/dead_letters.h"
#include "runtime/move.h"
#include "runtime/outside.h"
#include "runtime/park.h"
#include "runtime/runtime_metrics.h"
#include "runtime/socket.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    COPY_BELOW = 4096,                      /* a smaller batch is copied and its buffer kept */
    BUFFER_BYTES = CELL_BATCH_BYTES + 8192, /* room for the message that fills it */
    MESSAGE_ROOM = 512,                     /* around a body: the batch's head and its envelope */
    RETURNS_MAX = 64,                       /* buffers that lie ready for a cell: 4.5 MiB */
};

block_t *block_new(size_t size)
{
    block_t *self = malloc(sizeof *self + size);
    ENSURE(self);
    self->references = 1;
    self->received = false;
    self->used = 0;
    self->size = size;
    return self;
}

void block_release(block_t *self)
{
    ENSURE(self->references > 0);
    if (--self->references > 0) {
        return;
    }
    if (self->received) {
        zmq_msg_close(&self->batch);
    }
    free(self);
}

static void add_mails(cell_t *self)
{
    mail_slab_t *slab = aligned_alloc(_Alignof(mail_slab_t), sizeof *slab);
    ENSURE(slab);
    slab->next = self->mail_slabs;
    self->mail_slabs = slab;
    for (size_t i = SLAB_MAILS; i > 0; i--) {
        slab->mails[i - 1].mail.next = (mail_t *)self->mail_free;
        self->mail_free = &slab->mails[i - 1];
    }
}

cell_mail_t *cell_mail_new(cell_t *self)
{
    if (__builtin_expect(!self->mail_free, 0)) {
        add_mails(self);
    }
    cell_mail_t *mail = self->mail_free;
    self->mail_free = (cell_mail_t *)mail->mail.next;
    if (self->mail_free) { /* it was put away long ago when many wait */
        __builtin_prefetch(self->mail_free, 1);
        __builtin_prefetch((const char *)self->mail_free + CACHE_LINE, 1);
    }
    return mail;
}

void mail_slabs_free(mail_slab_t *list)
{
    while (list) {
        mail_slab_t *slab = list;
        list = slab->next;
        free(slab);
    }
}

void cell_count_drop(cell_t *self, slot_t *slot, const capstan_message_t *message,
                     drop_reason_t reason)
{
    mailbox_drop(&slot->mailbox, message_cost(message), reason);
    METRIC_ADD(runtime, messages_dropped, 1);
    dead_letters_tell(self, message, reason);
}

void cell_free_mail(cell_t *self, cell_mail_t *mail)
{
    block_release(mail->block);
    mail->mail.next = (mail_t *)self->mail_free;
    self->mail_free = mail;
}

static void drop(cell_t *self, slot_t *slot, const capstan_message_t *message, drop_reason_t reason)
{
    cell_count_drop(self, slot, message, reason);
    if (reason != DROP_overflow) {
        route_refuse(self, message, CAPSTAN_E_GONE, NULL);
    } else {
        route_refuse(self, message, CAPSTAN_E_MAILBOX_FULL, NULL);
    }
}

/* An incarnation that ended by hanging may still have had messages on their way. */
static drop_reason_t why_gone(const cell_t *self, capstan_ref_t target)
{
    bool hung = refs_find(&self->hung, (capstan_ref_t){.slot = target.slot,
                                                       .generation = target.generation}) > 0;
    return hung ? DROP_cell_hung : DROP_stopped;
}

void cell_make_ready(cell_t *self, capstan_actor_t *actor)
{
    if (actor->ready) {
        return;
    }
    actor->ready = true;
    actor->next_ready = NULL;
    if (self->ready_tail) {
        self->ready_tail->next_ready = actor;
    } else {
        self->ready_head = actor;
    }
    self->ready_tail = actor;
}

static bool is_word(uint32_t message)
{
    return message == MESSAGE_cancel || message == MESSAGE_park_wait ||
           message == MESSAGE_park_over || message == MESSAGE_moving ||
           message == MESSAGE_moved_fence || message == MESSAGE_moved;
}

/* What is not queued, because it must not wait behind the very messages that it is about. */
static bool take_word(cell_t *self, slot_t *slot, const capstan_message_t *message)
{
    if (message->message > RUNTIME_MESSAGES_LAST || !is_word(message->message)) {
        return false;
    }
    mailbox_done(&slot->mailbox, message_cost(message));
    self->delivered++;
    if (message->message == MESSAGE_cancel) {
        calls_cancel(&self->calls, message->sender, message->correlation);
    } else if (message->message == MESSAGE_park_wait) {
        park_add_waiter(slot->actor, message->sender);
    } else if (message->message == MESSAGE_park_over) {
        park_retry(slot->actor);
    } else {
        move_take_word(self, message);
    }
    if (slot->actor) {
        park_settle(slot->actor);
    }
    return true;
}

/* Answers and the runtime's own messages are never dropped for want of room. */
static bool may_overflow(const capstan_message_t *message)
{
    bool own =
        message->message >= RUNTIME_MESSAGES_FIRST && message->message <= RUNTIME_MESSAGES_LAST;
    return !own && message->kind != CAPSTAN_KIND_REPLY && message->kind != CAPSTAN_KIND_ERROR;
}

static void drop_oldest(cell_t *self, slot_t *slot)
{
    cell_mail_t *mail = (cell_mail_t *)mailbox_take_lane(&slot->mailbox, LANE_NORMAL);
    if (mail->request != CALLS_NONE) {
        calls_forget(&self->calls, mail->request);
    }
    drop(self, slot, &mail->mail.message, DROP_overflow);
    cell_free_mail(self, mail);
}

/* A mailbox whose policy is to drop makes room; true when there is none, and it drops this one. */
static bool overflows(cell_t *self, slot_t *slot, const capstan_message_t *message)
{
    mailbox_t *mailbox = &slot->mailbox;
    if (!overflow_is_receivers(slot) || !may_overflow(message)) {
        return false;
    }
    bool oldest =
        atomic_load_explicit(&slot->overflow, memory_order_relaxed) == CAPSTAN_OVERFLOW_DROP_OLDEST;
    while (mailbox_queue_is_full(mailbox, message->body.size, MESSAGE_OVERHEAD)) {
        const mail_t *first = mailbox->heads[LANE_NORMAL];
        if (!oldest || !first || !may_overflow(&first->message)) {
            drop(self, slot, message, DROP_overflow);
            return true;
        }
        drop_oldest(self, slot);
    }
    return false;
}

/* What an actor that stands for a peer is told by the node does not wait behind what its peer is
 * sent. */
static mail_lane_t lane_of(const capstan_actor_t *actor, const capstan_message_t *message)
{
    if (__builtin_expect(actor->outside, 0)) {
        return message_is_by_reference(message) ? LANE_NORMAL : LANE_PRIORITY;
    }
    return message->flags & WIRE_KIND_FLAG_PRIORITY ? LANE_PRIORITY : LANE_NORMAL;
}

/* The actor is not here: it is on its way, or has ended. */
__attribute__((cold, noinline)) static void keep_or_drop(cell_t *self, slot_t *slot,
                                                         const capstan_message_t *message,
                                                         const void *body, block_t *block)
{
    capstan_message_t copy = *message;
    copy.body.data = body;
    if (!move_keep(self, slot, &copy, block, false)) {
        drop(self, slot, message, why_gone(self, message->target));
    }
}

void cell_deliver(cell_t *self, slot_t *slot, const capstan_message_t *message, const void *body,
                  block_t *block)
{
    uint32_t live = atomic_load_explicit(&slot->generation, memory_order_relaxed);
    if (live != message->target.generation || !slot->actor) {
        keep_or_drop(self, slot, message, body, block);
        return;
    }
    if (take_word(self, slot, message) || overflows(self, slot, message)) {
        return;
    }
    cell_mail_t *mail = cell_mail_new(self);
    mail->mail.message = *message;
    mail->mail.message.body.data = body;
    mail->block = block;
    mail->request = CALLS_NONE;
    if (message->kind == CAPSTAN_KIND_REQUEST) {
        mail->request = calls_queue(&self->calls, &slot->actor->party, message, self->now_us);
    }
    block->references++;
    mailbox_note_arrival(&slot->mailbox, self->now_us);
    mailbox_push(&slot->mailbox, &mail->mail, lane_of(slot->actor, message));
    cell_make_ready(self, slot->actor);
}

/* A message with a context is rare, and has a block of its own: see trace.h. */
__attribute__((cold, noinline)) static void send_traced(cell_t *self, slot_t *slot,
                                                        const capstan_message_t *message)
{
    capstan_message_t copy = *message;
    size_t size = message->body.size;
    block_t *block = block_new(TRACE_ROOM + size);
    uint8_t *body = block->data + TRACE_ROOM;
    memcpy(body - trace_distance(size), &self->trace->context, TRACE_BYTES);
    if (size > 0) {
        memcpy(body, message->body.data, size);
    }
    copy.body.data = body;
    copy.flags |= MESSAGE_TRACED | trace_wire_flag(&self->trace->context);
    cell_deliver(self, slot, &copy, body, block);
    block_release(block);
}

/* Bodies begin at a cache line, and go on at one as long as their sizes allow it. */
static block_t *next_block(cell_t *self)
{
    if (self->block) {
        block_release(self->block);
    }
    self->block = block_new(CELL_BLOCK_BYTES);
    self->block->used = -(uintptr_t)self->block->data % CACHE_LINE;
    return self->block;
}

/* Most bodies are small: two or four moves that may overlap cost less than a call. */
static void copy_body(uint8_t *to, const uint8_t *from, size_t size)
{
    if (size < 16 || size > 64) {
        if (size > 0) {
            memcpy(to, from, size);
        }
        return;
    }
    memcpy(to, from, 16);
    memcpy(to + size - 16, from + size - 16, 16);
    if (size > 32) {
        memcpy(to + 16, from + 16, 16);
        memcpy(to + size - 32, from + size - 32, 16);
    }
}

/* A body within the cell is copied once, into a block that many bodies share. */
void transport_send_local(cell_t *self, slot_t *slot, const capstan_message_t *message)
{
    if (__builtin_expect(self->trace != NULL, 0)) {
        send_traced(self, slot, message);
        return;
    }
    size_t size = message->body.size;
    block_t *block = self->block;
    bool own = size > CELL_BLOCK_BYTES / 4;
    if (own) {
        block = block_new(size);
    } else if (!block || block->size - block->used < size) {
        block = next_block(self);
    }
    uint8_t *body = block->data + block->used;
    copy_body(body, message->body.data, size);
    block->used += size;
    cell_deliver(self, slot, message, body, block);
    if (own) {
        block_release(block);
    }
}

/* --- sockets to other cells ------------------------------------------------------------------ */

typedef struct endpoint {
    char text[32];
} endpoint_t;

static endpoint_t endpoint_of(const cell_t *cell)
{
    endpoint_t endpoint;
    snprintf(endpoint.text, sizeof endpoint.text, "inproc://cell-%u", cell->index);
    return endpoint;
}

/* What a cell is called by the outlets of the others. */
static uint8_t routing_id_of(const cell_t *cell)
{
    return (uint8_t)(cell->index + 1);
}

/* No high-water marks: what is under way is bounded by the receivers' mailboxes. */
static capstan_err_t open_socket(cell_t *self, int type, void **ret_socket)
{
    int none = 0;
    capstan_err_t err = context_socket(node_zmq(self->node), type, ret_socket);
    if (err == CAPSTAN_OK) {
        zmq_setsockopt(*ret_socket, ZMQ_SNDHWM, &none, sizeof none);
        zmq_setsockopt(*ret_socket, ZMQ_RCVHWM, &none, sizeof none);
        zmq_setsockopt(*ret_socket, ZMQ_LINGER, &none, sizeof none);
    }
    return err;
}

capstan_err_t transport_open(cell_t *self)
{
    int yes = 1;
    capstan_err_t err = open_socket(self, ZMQ_DEALER, &self->inbox);
    err = err ? err : open_socket(self, ZMQ_ROUTER, &self->outlet);
    if (err == CAPSTAN_OK) {
        zmq_setsockopt(self->outlet, ZMQ_ROUTER_MANDATORY, &yes, sizeof yes);
        err = zmq_bind(self->inbox, endpoint_of(self).text) == 0 ? CAPSTAN_OK : CAPSTAN_E_SYSTEM;
    }
    return err;
}

/* libzmq closes a socket some time later; the endpoint of a cell that could not start is wanted by
 * the next one before that. */
void transport_close(cell_t *self)
{
    if (self->inbox) {
        (void)zmq_unbind(self->inbox, endpoint_of(self).text);
        zmq_close(self->inbox);
    }
    if (self->outlet) {
        zmq_close(self->outlet);
    }
}

static void connect_outlet(cell_t *self, const cell_t *to)
{
    uint8_t id = routing_id_of(to);
    ENSURE(zmq_setsockopt(self->outlet, ZMQ_CONNECT_ROUTING_ID, &id, sizeof id) == 0);
    ENSURE(zmq_connect(self->outlet, endpoint_of(to).text) == 0);
}

/* --- batches to other cells ------------------------------------------------------------------ */

/* Called by libzmq on whatever thread closes the message. */
static void return_batch(void *data, void *hint)
{
    batch_returns_t *returns = hint;
    if (atomic_fetch_add_explicit(&returns->count, 1, memory_order_relaxed) >= RETURNS_MAX) {
        atomic_fetch_sub_explicit(&returns->count, 1, memory_order_relaxed);
        free(data);
        return;
    }
    void *head = atomic_load_explicit(&returns->head, memory_order_relaxed);
    do {
        memcpy(data, &head, sizeof head);
    } while (!atomic_compare_exchange_weak_explicit(&returns->head, &head, data,
                                                    memory_order_release, memory_order_relaxed));
}

static void free_batch(void *data, void *hint)
{
    (void)hint;
    free(data);
}

static void *next_buffer(void *data)
{
    void *next;
    memcpy(&next, data, sizeof next);
    return next;
}

void batch_returns_fini(batch_returns_t *self)
{
    for (void *data = atomic_load(&self->head); data;) {
        void *next = next_buffer(data);
        free(data);
        data = next;
    }
}

/* A usual one, or one for a message that is larger. */
static void take_buffer(cell_t *self, buffer_t *buffer, size_t bytes)
{
    if (bytes > BUFFER_BYTES) {
        buffer_reserve(buffer, bytes);
        return;
    }
    batch_returns_t *returns = node_batch_returns(self->node, self->index);
    if (!self->buffers) {
        self->buffers = atomic_exchange_explicit(&returns->head, NULL, memory_order_acquire);
    }
    if (self->buffers) {
        buffer->data = self->buffers;
        self->buffers = next_buffer(buffer->data);
        atomic_fetch_sub_explicit(&returns->count, 1, memory_order_relaxed);
    } else {
        buffer->data = malloc(BUFFER_BYTES);
        ENSURE(buffer->data);
    }
    buffer->capacity = BUFFER_BYTES;
}

void transport_send_batch(cell_t *self, cell_t *to, outbox_t *outbox)
{
    zmq_msg_t batch;
    size_t size = outbox->buffer.size;
    if (size < COPY_BELOW) {
        ENSURE(zmq_msg_init_size(&batch, size) == 0);
        memcpy(zmq_msg_data(&batch), outbox->buffer.data, size);
        buffer_clear(&outbox->buffer);
    } else {
        bool usual = outbox->buffer.capacity == BUFFER_BYTES;
        ENSURE(zmq_msg_init_data(&batch, buffer_take(&outbox->buffer), size,
                                 usual ? return_batch : free_batch,
                                 node_batch_returns(self->node, self->index)) == 0);
    }
    if (!outbox->connected) {
        connect_outlet(self, to);
        outbox->connected = true;
    }
    atomic_fetch_add_explicit(&to->batches_sent, 1, memory_order_relaxed);
    socket_send(self->outlet, routing_id_of(to), &batch, to);
}

static void flush_to(cell_t *self, cell_t *to)
{
    outbox_t *outbox = &self->outboxes[to->index];
    if (outbox->buffer.size > 0) {
        batch_seal(&outbox->writer, &(link_header_t){.version = WIRE_VERSION});
        self->platform->send(self, to, outbox);
    }
}

static plain_envelope_t plain(const capstan_message_t *message)
{
    return (plain_envelope_t){
        .message = message->message,
        .kind = message->kind,
        .flags = message->flags,
        .sender_slot = message->sender.slot,
        .sender_generation = message->sender.generation,
        .target_slot = message->target.slot,
        .target_generation = message->target.generation,
        .plain = message->correlation == 0 && message->deadline_us == 0 &&
                 message->owner_epoch == 0 && message->sender.node == 0 &&
                 message->target.node == 0,
    };
}

static void add_message(outbox_t *outbox, const capstan_message_t *message,
                        const trace_scope_t *trace)
{
    plain_envelope_t mine = plain(message);
    if (trace) {
        mine.plain = 0;
    }
    if (mine.plain && memcmp(&mine, &outbox->last, sizeof mine) == 0) {
        batch_add_same(&outbox->writer, message->body);
        return;
    }
    /* The cells of a node have one clock, so the deadline itself goes, and the time that a message
     * waits for its cell counts. Over tcp it is the time that is left. */
    envelope_t envelope = {
        .message = message->message,
        .kind = message->kind,
        .correlation = message->correlation,
        .sender = message->sender,
        .target = message->target,
        .ttl_us = (uint64_t)message->deadline_us,
        .flags = message->flags,
        .owner_epoch = message->owner_epoch,
    };
    if (trace) {
        envelope.trace = slice_of(&trace->context, TRACE_BYTES);
        envelope.flags |= trace_wire_flag(&trace->context);
    }
    batch_add(&outbox->writer, &envelope, message->body);
    outbox->last = mine;
}

static void flush_now(cell_t *self, cell_t *to)
{
    flush_to(self, to);
    for (size_t i = 0; i < self->dirty_count; i++) {
        if (self->dirty[i] == to->index) {
            self->dirty[i] = self->dirty[--self->dirty_count];
            break;
        }
    }
}

/* A message that is larger than what is left of a buffer begins the next batch: to make the buffer
 * larger would copy what is in it. */
void transport_send_remote(cell_t *self, cell_t *to, const capstan_message_t *message)
{
    outbox_t *outbox = &self->outboxes[to->index];
    size_t left = outbox->buffer.capacity - outbox->buffer.size;
    if (outbox->buffer.size >= COPY_BELOW && message->body.size + MESSAGE_ROOM > left) {
        flush_now(self, to);
    }
    if (outbox->buffer.size == 0) {
        if (outbox->buffer.capacity == 0) {
            take_buffer(self, &outbox->buffer, message->body.size + MESSAGE_ROOM);
        }
        outbox->writer = batch_begin(&outbox->buffer);
        outbox->last.plain = 0;
        self->dirty[self->dirty_count++] = to->index;
    }
    add_message(outbox, message, self->trace);
    if (outbox->buffer.size >= CELL_BATCH_BYTES) {
        flush_now(self, to);
    }
}

void transport_flush(cell_t *self)
{
    while (self->dirty_count > 0) {
        flush_to(self, node_cell_at(self->node, self->dirty[--self->dirty_count]));
    }
}

static capstan_message_t message_of(const envelope_t *envelope)
{
    return (capstan_message_t){
        .message = (uint32_t)envelope->message,
        .kind = (uint32_t)envelope->kind,
        .flags = (uint32_t)envelope->flags,
        .sender = envelope->sender,
        .target = envelope->target,
        .correlation = envelope->correlation,
        .owner_epoch = envelope->owner_epoch,
        .deadline_us = (int64_t)envelope->ttl_us,
    };
}

static void deliver_all(cell_t *self, batch_reader_t *reader, block_t *block)
{
    envelope_t envelope;
    capstan_message_t message = {0};
    slot_t *slot = NULL;
    bool forwarded = false;
    bool away = false; /* its actor has moved */
    for (;;) {
        if (!batch_next_same(reader, &message.body)) {
            slice_t body;
            if (!batch_next(reader, &envelope, &body)) {
                break;
            }
            message = message_of(&envelope);
            message.body = body;
            if (envelope.trace.size > 0) {
                message.flags |= MESSAGE_TRACED;
                ENSURE((const void *)message_trace(&message) == envelope.trace.data);
            }
            slot = node_slot(self->node, envelope.target.slot);
            ENSURE(slot);
            away = slot_cell(slot) != self;
            forwarded = message.flags & MESSAGE_FORWARDED;
            message.flags &= ~MESSAGE_FORWARDED;
        }
        if (__builtin_expect(away, 0)) {
            move_forward(self, slot, &message);
        } else if (!__builtin_expect(forwarded, 0) ||
                   !move_keep(self, slot, &message, block, true)) {
            cell_deliver(self, slot, &message, message.body.data, block);
        }
    }
    ENSURE(reader->fault.err == CAPSTAN_OK);
}

block_t *transport_receive_batch(cell_t *self, slice_t *ret_batch)
{
    zmq_msg_t batch;
    zmq_msg_init(&batch);
    if (socket_receive(self->inbox, &batch, self) < 0) {
        ENSURE(zmq_errno() == EAGAIN);
        zmq_msg_close(&batch);
        return NULL;
    }
    block_t *block = block_new(0);
    block->received = true;
    zmq_msg_init(&block->batch);
    zmq_msg_move(&block->batch, &batch);
    *ret_batch = slice_of(zmq_msg_data(&block->batch), zmq_msg_size(&block->batch));
    return block;
}

static bool take_batch(cell_t *self)
{
    /* Asking an empty socket costs a system call, most of what a look costs. Senders count before
     * they send, so that a batch is never overlooked; one that is counted and not there yet is
     * found by the next look, or wakes the poll. */
    if (atomic_load_explicit(&self->batches_sent, memory_order_relaxed) == self->batches_received) {
        return false;
    }
    self->received = self->platform->receive(self, &self->batch);
    self->batches_received += self->received != NULL;
    return self->received != NULL;
}

/* Batches in an inbox come from our own cells, so a fault in one is a programming error. */
bool transport_receive(cell_t *self)
{
    if (!self->received && !take_batch(self)) {
        return false;
    }
    /* Whoever sent this may have spawned its receiver just before: the spawn stands in the commands
     * by now, but perhaps it did not yet when the turn began. */
    cell_run_commands(self);
    batch_reader_t reader;
    capstan_err_t err = batch_open(self->batch, &reader);
    ENSURE(err == CAPSTAN_OK);
    block_t *block = self->received;
    self->received = NULL;
    deliver_all(self, &reader, block);
    block_release(block);
    return true;
}

void transport_fini(cell_t *self)
{
    for (size_t i = 0; i < CELLS_MAX; i++) {
        buffer_fini(&self->outboxes[i].buffer);
    }
    for (void *data = self->buffers; data;) {
        void *next = next_buffer(data);
        free(data);
        data = next;
    }
    self->buffers = NULL;
    if (self->block) {
        block_release(self->block);
        self->block = NULL;
    }
    if (self->received) {
        block_release(self->received);
        self->received = NULL;
    }
}

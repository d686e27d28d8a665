/* How messages move between cells, and within one. Internal to runtime/.
 *
 * Within a cell a body is copied once, into a block that many bodies share; between cells it is
 * encoded into the outbox of the other cell, and the received batch is the block. Everything here
 * is for the cell's thread. */
#ifndef RUNTIME_TRANSPORT_H
#define RUNTIME_TRANSPORT_H

#include "runtime/base/buffer.h"
#include "runtime/slot.h"
#include "runtime/wire/batch.h"

#include <zmq.h>

enum {
    CELL_BATCH_BYTES = 65536, /* an outbox is flushed when it holds this much */
    CELL_BLOCK_BYTES = 65536, /* bodies of messages within the cell lie in blocks of this size */
};

/* Memory that several queued messages share: a received batch, or a block of local bodies. */
typedef struct block {
    uint32_t references;
    bool received; /* `batch` is open and must be closed */
    size_t used;
    size_t size;
    zmq_msg_t batch;
    uint8_t data[];
} block_t;

typedef struct cell_mail {
    mail_t mail; /* first: mail_t * and cell_mail_t * are the same address */
    block_t *block;
    uint32_t request; /* in the cell's calls; CALLS_NONE: not one that wants an answer */
} cell_mail_t;
_Static_assert(sizeof(cell_mail_t) == 128, "two cache lines");

enum { SLAB_MAILS = 32 };

/* Mails are made so many at once, and freed with their cell, when no thread has one any more. */
typedef struct mail_slab {
    _Alignas(128) cell_mail_t mails[SLAB_MAILS];
    struct mail_slab *next;
} mail_slab_t;
void mail_slabs_free(mail_slab_t *list);

/* All that an envelope says when nobody asks, waits or traces: most envelopes of a batch say the
 * same as the one before. */
typedef struct plain_envelope {
    uint32_t message;
    uint32_t kind;
    uint32_t flags;
    uint32_t sender_slot;
    uint32_t sender_generation;
    uint32_t target_slot;
    uint32_t target_generation;
    uint32_t plain; /* 1 when it is one */
} plain_envelope_t;

typedef struct outbox {
    bool connected; /* the outlet with the other cell's inbox; on first use */
    buffer_t buffer;
    batch_writer_t writer;
    plain_envelope_t last;
} outbox_t;

/* Large batch buffers come back to the cell that sent them: malloc is slow for memory that one
 * thread takes and another one frees. Any thread pushes, the owner takes all at once, so that no
 * entry can come back under a reader's hands. Relaxed count: it bounds what lies here roughly. */
typedef struct batch_returns {
    _Alignas(64) _Atomic(void *) head; /* the first bytes of a buffer are the next one */
    _Atomic uint32_t count;
} batch_returns_t;
void batch_returns_fini(batch_returns_t *self);

block_t *block_new(size_t size);
void block_release(block_t *self);

/* The receiver's mailbox has been reserved. */
void transport_send_local(cell_t *self, slot_t *slot, const capstan_message_t *message);
void transport_send_remote(cell_t *self, cell_t *to, const capstan_message_t *message);
void transport_flush(cell_t *self);
/* Takes one batch from the inbox and queues its messages; false when there is none. */
bool transport_receive(cell_t *self);
/* Frees what the cell kept for later messages. */
void transport_fini(cell_t *self);

/* The way through inproc sockets: see platform.h. Each cell has two, opened before its first turn:
 * its inbox (DEALER), and its outlet (ROUTER) to the inboxes of all others. A socket per pair would
 * save a frame per batch, and cost a descriptor per pair, refused in the middle of some turn. */
CAPSTAN_MUST_CHECK capstan_err_t transport_open(cell_t *self);
void transport_close(cell_t *self);
void transport_send_batch(cell_t *self, cell_t *to, outbox_t *outbox);
block_t *transport_receive_batch(cell_t *self, slice_t *ret_batch);

/* Queues a message on this cell, or drops it when its receiver has ended. `body` is where the body
 * lies in the block, of which it takes a reference. */
void cell_deliver(cell_t *self, slot_t *slot, const capstan_message_t *message, const void *body,
                  block_t *block);
/* Counts a message as dropped, and tells those who collect dead letters. */
void cell_count_drop(cell_t *self, slot_t *slot, const capstan_message_t *message,
                     drop_reason_t reason);
cell_mail_t *cell_mail_new(cell_t *self);
void cell_free_mail(cell_t *self, cell_mail_t *mail);
/* Puts an actor with mail into the ready list, once. */
void cell_make_ready(cell_t *self, capstan_actor_t *actor);

#endif

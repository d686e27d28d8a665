/* Moving a live actor to another cell, between two of its handlers. Its references stay valid, no
 * message is lost, and those of one sender keep their order. Internal to runtime/.
 *
 *   mover              old cell                    every other cell         new cell
 *   COMMAND_MOVE ----> takes the actor out
 *                      COMMAND_MOVE_IN ---------------------------------->  waits for it
 *                      slot.cell = new
 *                      queue ===forwarded===============================>>  first
 *                      moving, behind all
 *                      that it has sent  ======>>  sees the new cell
 *                      forwards what comes     <<  moved_fence, behind
 *                                                  all that it sent here
 *   no thread is still                             sends to the new cell =>>  second
 *   sending to the old
 *   ring; COMMAND_MOVE_END --> drains it
 *                      COMMAND_MOVE_END, moved,
 *                      behind all forwarded  ===========================>>  the actor goes on:
 *                                                                           first, then second
 *
 * A slot says which cell its actor is on, and senders look there for each message. So there is a
 * time when some still send to the old cell; what they sent there before is to come before what
 * they send to the new one. When every cell has said that it sends there no more, behind all that
 * it did send, and the ring of the foreign threads has been drained, nothing can come to the old
 * cell any more. The same round trip shows that what the actor itself has sent from the old cell
 * has come before anything that it sends from the new one. Meanwhile the actor rests, and the new
 * cell keeps apart what came by way of the old one and what came directly. Whoever sends pays
 * nothing for all this. */
#ifndef RUNTIME_MOVE_H
#define RUNTIME_MOVE_H

#include "runtime/handover.h"
#include "runtime/transport.h"

/* In the flags of a message between two cells: it came by way of the old one. */
#define MESSAGE_FORWARDED (UINT32_C(1) << 30)

typedef struct move move_t;

/* The old cell: a COMMAND_MOVE. */
void move_out(cell_t *self, command_t *command);
/* The new cell: a COMMAND_MOVE_IN. */
void move_in(cell_t *self, move_t *move);
/* A COMMAND_MOVE_END: nothing comes to the old cell's ring any more; and then, to the new one: all
 * that was forwarded is on its way. It hands on who waits for the end. */
void move_end(cell_t *self, command_t *command);
/* The old cell: sends it on. The message may lie in a queue, or in a batch. */
void move_forward(cell_t *self, slot_t *slot, const capstan_message_t *message);
/* The old cell, after its ring was drained. */
void move_ring_drained(cell_t *self);
/* The new cell: keeps a message for an actor that is on its way; false when there is none. Takes a
 * reference of the block. */
bool move_keep(cell_t *self, slot_t *slot, const capstan_message_t *message, block_t *block,
               bool forwarded);
/* The same for a COMMAND_STOP_ACTOR. */
bool move_keep_stop(cell_t *self, const command_t *command);
/* A moving, moved_fence or moved that came to the cell's port. */
void move_take_word(cell_t *self, const capstan_message_t *message);

/* A new actor is there: what was sent to it from its own cell before waits here, too. */
void move_born(cell_t *self, slot_t *slot);

/* The number that a timer of a moved actor had when it was started, and the one that it has. */
uint64_t move_timer_given(capstan_actor_t *actor, uint64_t timer);
uint64_t move_timer_now(capstan_actor_t *actor, uint64_t timer);

/* Counts what is kept here for the slot; for M1. */
uint32_t move_kept(const cell_t *self, const slot_t *slot);
/* The node is gone: who was on his way here is ended with the cell's other actors. */
void moves_abandon(cell_t *self);

#endif

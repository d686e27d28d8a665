/* What the files of a partition's actor do for each other. Internal to ordering/. */
#ifndef ORDERING_PARTITION_PARTS_H
#define ORDERING_PARTITION_PARTS_H

#include "actors/ordering/partition_actor.h"

/* partition_actor.c. */
/* Gathers a record for the next append; returns the lsn behind it. */
uint64_t partition_gather(partition_actor_t *self, uint32_t record, slice_t data);

/* Gives up the state with all that was not answered, which is answered with the error. */
void partition_drop(partition_actor_t *self, capstan_err_t err);
void partition_take_effects(partition_actor_t *self, const capstan_message_t *message);
/* A publish or a request, of which all keys are known. */
void partition_handle(partition_actor_t *self, const capstan_message_t *message);
/* The same is not handled. */
void partition_refuse(partition_actor_t *self, const capstan_message_t *message, capstan_err_t err);

/* partition_lookups.c: keys that are in the store only. */
/* True when it is handled later, since it or one before it names such a key. */
bool lookups_take(partition_actor_t *self, const capstan_message_t *message);
bool lookups_answer(partition_actor_t *self, const capstan_message_t *message);
void lookups_turn_end(partition_actor_t *self);
/* Whoever waits hears the error. */
void lookups_refuse(partition_actor_t *self, capstan_err_t err);
/* And the core was replaced. */
void lookups_forget(partition_actor_t *self, capstan_err_t err);
void lookups_fini(partition_actor_t *self);
/* Recovery: asks for the rows that the page of the log in the message wants. With `*ret_ask` 0 it
 * wants none; otherwise the page is kept until the answer is handed to lookups_page. */
CAPSTAN_MUST_CHECK capstan_err_t lookups_for_page(partition_actor_t *self,
                                                  const capstan_message_t *message,
                                                  uint64_t *ret_ask);
/* STORE_CORRUPT. The page is as it came, and lives until the next one is kept. */
CAPSTAN_MUST_CHECK capstan_err_t lookups_page(partition_actor_t *self,
                                              const capstan_message_t *message,
                                              capstan_message_t *ret_page);
#define LOOKUPS_GIVE UINT64_MAX /* position of a partition_move that goes on with cold keys */
void lookups_give(partition_actor_t *self, const capstan_message_t *message,
                  const partition_move_t *move);
/* From the first to the last step that gives, no key goes out of memory. */
void lookups_give_begin(partition_actor_t *self);
void lookups_give_end(partition_actor_t *self);

/* partition_gaps.c: verdicts on gaps, asked for or due. */
void gaps_on_skip(partition_actor_t *self, const capstan_message_t *message);
void gaps_on_list(partition_actor_t *self, const capstan_message_t *message);
/* Delayed events are given up. */
void gaps_on_cancel(partition_actor_t *self, const capstan_message_t *message);
/* The reply to the oldest gap_skipped that waits. */
void gaps_reply(partition_actor_t *self, const capstan_message_t *request);
/* A record `skip` is about to be stored. */
void gaps_note_skip(partition_actor_t *self, slice_t record);
/* After each turn; and when the timer of what is due has run out. */
void gaps_turn_end(partition_actor_t *self);
void gaps_expire(partition_actor_t *self);
/* The core was replaced. */
void gaps_forget(partition_actor_t *self);

/* partition_counts.c: what the core has counted becomes metrics; and when it was replaced. */
void counts_turn_end(partition_actor_t *self, const partition_figures_t *figures);
void counts_forget(partition_actor_t *self);

/* partition_recovery.c: from the store to a core that is ready. */
void recovery_start(partition_actor_t *self);
/* True when the message was an answer that recovery waited for. */
bool recovery_answer(partition_actor_t *self, const capstan_message_t *message);

/* partition_reads.c: serving consumers. */
void reads_add(partition_actor_t *self, const capstan_message_t *message);
/* Whoever asked has given up waiting, or has ended. */
void reads_cancel(partition_actor_t *self, capstan_ref_t sender, uint64_t correlation);
/* A commit or a recovery: whoever can be served is. */
void reads_wake(partition_actor_t *self);
bool reads_answer(partition_actor_t *self, const capstan_message_t *message);
/* The partition cannot recover: nobody waits for it any longer. */
void reads_refuse(partition_actor_t *self, capstan_err_t err);
void reads_fini(partition_actor_t *self);

/* partition_find.c: where somebody begins to read. */
void finds_add(partition_actor_t *self, const capstan_message_t *message);
void finds_cancel(partition_actor_t *self, capstan_ref_t sender, uint64_t correlation);
/* After a commit. */
void finds_wake(partition_actor_t *self);
bool finds_answer(partition_actor_t *self, const capstan_message_t *message);
void finds_refuse(partition_actor_t *self, capstan_err_t err);
void finds_fini(partition_actor_t *self);

/* partition_snapshot.c. */
void snapshot_continue(partition_actor_t *self);
bool snapshot_answer(partition_actor_t *self, const capstan_message_t *message);
/* The core was replaced: a pass under way names rows of the old one. */
void snapshot_forget(partition_actor_t *self);

/* partition_retention.c. */
/* The topic's settings have changed, or the index was made anew. */
void retention_configure(partition_actor_t *self);
void retention_tick(partition_actor_t *self);
/* No event from here on may go: a group has not processed it. */
uint64_t retention_offset_held(const partition_actor_t *self);
/* After a commit. */
void retention_continue(partition_actor_t *self);
bool retention_answer(partition_actor_t *self, const capstan_message_t *message);
/* The record of a beginning is read again. STORE_CORRUPT. */
CAPSTAN_MUST_CHECK capstan_err_t retention_load(partition_actor_t *self, slice_t data);

/* partition_compaction.c. */
bool compaction_is_wanted(const partition_actor_t *self);
/* The topic's settings have changed. */
void compaction_configure(partition_actor_t *self);
void compaction_tick(partition_actor_t *self);
/* After a snapshot or an erasure. */
void compaction_go_on(partition_actor_t *self);
bool compaction_answer(partition_actor_t *self, const capstan_message_t *message);
bool compaction_owns_row(slice_t key);
/* STORE_CORRUPT. */
CAPSTAN_MUST_CHECK capstan_err_t compaction_load_row(partition_actor_t *self, slice_t value);
void compaction_save(partition_actor_t *self, partition_row_fn *add, void *context);
/* A snapshot could not be written: the mark is handed out again. */
void compaction_touch(partition_actor_t *self);
/* The core was replaced. */
void compaction_forget(partition_actor_t *self);

/* partition_payload.c. */
/* The topic's settings have changed. */
void payloads_configure(partition_actor_t *self);
/* PAYLOAD_INVALID. */
CAPSTAN_MUST_CHECK capstan_err_t payloads_check(partition_actor_t *self, const publish_t *event);

/* partition_erase.c. */
void erasures_add(partition_actor_t *self, const capstan_message_t *message);
/* After a commit or a snapshot. */
void erasures_go_on(partition_actor_t *self);
bool erasures_answer(partition_actor_t *self, const capstan_message_t *message);
void erasures_refuse(partition_actor_t *self, capstan_err_t err);
void erasures_fini(partition_actor_t *self);

/* partition_move.c: the number of partitions changes. */
void moves_on_step(partition_actor_t *self, const capstan_message_t *message);
/* The reply to a step that was to wait for what was before it on disk. */
void moves_reply(partition_actor_t *self, const capstan_message_t *request);

void moves_give_reply(partition_actor_t *self, const capstan_message_t *request,
                      const partition_moved_t *moved);

/* partition_remove.c. */
void removal_start(partition_actor_t *self, const capstan_message_t *message);
/* The stream is open: removes it. */
void removal_continue(partition_actor_t *self);
bool removal_answer(partition_actor_t *self, const capstan_message_t *message);
void removal_linger(partition_actor_t *self);

#endif

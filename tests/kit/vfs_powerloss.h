/* A disk in memory, as an SQLite VFS, that can lose its power, fill up and fail to sync.
 *
 * It keeps for each file what was synced and the writes since. When the power fails, every later
 * operation fails; when it is back, a seed decides what of the unsynced writes had reached the
 * disk: nothing, all, the first ones with the last one torn, any of them in any order, or any of
 * their sectors, of which some hold garbage. Bytes outside a write's range are never touched
 * (SQLite's "powersafe overwrite", which its Unix VFS assumes too). A new name, or a removed one,
 * is sure to be on the disk only once something was synced after it.
 *
 * Any thread: one method runs at a time. */
#ifndef KIT_VFS_POWERLOSS_H
#define KIT_VFS_POWERLOSS_H

#include <stdbool.h>
#include <stdint.h>

typedef struct powerloss powerloss_t;

/* An empty disk, registered with SQLite under `name`, which must outlive it. */
powerloss_t *powerloss_new(const char *name);
/* Every file must be closed. */
void powerloss_destroy(powerloss_t **self_p);

/* Operations that change the disk (write, truncate, sync, delete) since it was made. */
uint64_t powerloss_operations(powerloss_t *self);

/* The power fails in the operation after the next `operations` ones. */
void powerloss_fail_after(powerloss_t *self, uint64_t operations);
bool powerloss_failed(powerloss_t *self);

/* The power is back. Every file must be closed. */
void powerloss_restore(powerloss_t *self, uint64_t seed);

/* Files hold so many bytes together at most; what would be more is refused as "disk full". */
void powerloss_set_capacity(powerloss_t *self, uint64_t bytes);
uint64_t powerloss_used(powerloss_t *self);

/* While set, a sync fails. */
void powerloss_fail_syncs(powerloss_t *self, bool fail);

#endif

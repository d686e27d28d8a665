#include "tests/kit/vfs_powerloss.h"

#include "runtime/base/buffer.h"
#include "runtime/base/ensure.h"
#include "runtime/simulation/random.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    FILES_MAX = 8,
    NAME_BYTES_MAX = 512,
    SHM_REGIONS_MAX = 64,
    SECTOR_BYTES = 4096,
};

/* A change of a file that no sync has covered yet. */
typedef struct change {
    bool truncate; /* to `offset` */
    uint64_t offset;
    size_t size;
    uint8_t *data;
} change_t;

typedef struct shm {
    int users; /* handles that have mapped it; the last one to let go frees it */
    void *regions[SHM_REGIONS_MAX];
    int shared[SQLITE_SHM_NLOCK];
    const void *exclusive[SQLITE_SHM_NLOCK]; /* whose it is */
} shm_t;

/*   synced:  what survives for sure      changes: what may survive, oldest first
 *   current: synced with all changes, which is what a reader sees */
typedef struct disk_file {
    char name[NAME_BYTES_MAX]; /* "" is a free slot */
    buffer_t synced;
    buffer_t current;
    change_t *changes;
    size_t change_count;
    size_t change_capacity;
    bool exists;        /* for those who look now */
    bool exists_synced; /* for sure, after a loss of power */
    int open_count;
    int lock_shared;
    const void *lock_writer;    /* holds RESERVED or more */
    const void *lock_exclusive; /* holds EXCLUSIVE */
    shm_t shm;
} disk_file_t;

struct powerloss {
    sqlite3_vfs vfs; /* first: SQLite hands it back */
    sqlite3_vfs *system;
    pthread_mutex_t mutex; /* guards everything below, files and handles too */
    disk_file_t files[FILES_MAX];
    uint64_t operations;
    uint64_t fail_at; /* UINT64_MAX: never */
    uint64_t capacity;
    bool failed;
    bool fail_syncs;
};

typedef struct handle {
    sqlite3_file base; /* first: SQLite hands it back */
    powerloss_t *disk;
    disk_file_t *file;
    int lock;
    bool shm_mapped;
    uint8_t shm_shared; /* bit per slot that this handle shares */
    bool remove_at_close;
} handle_t;

/* --- one method at a time --- */

static powerloss_t *hold(powerloss_t *self)
{
    pthread_mutex_lock(&self->mutex);
    return self;
}

static void let_go(powerloss_t **self_p)
{
    pthread_mutex_unlock(&(*self_p)->mutex);
}

static powerloss_t *disk_of(sqlite3_file *base)
{
    return ((handle_t *)base)->disk;
}

/* Holds the disk until the calling function returns. */
#define HOLD(disk) __attribute__((cleanup(let_go), unused)) powerloss_t *held = hold(disk)

/* --- files --- */

static disk_file_t *find_file(powerloss_t *self, const char *name)
{
    for (size_t i = 0; i < FILES_MAX; i++) {
        if (strcmp(self->files[i].name, name) == 0) {
            return &self->files[i];
        }
    }
    return NULL;
}

static void forget_changes(disk_file_t *file)
{
    for (size_t i = 0; i < file->change_count; i++) {
        free(file->changes[i].data);
    }
    file->change_count = 0;
}

static void clear_file(disk_file_t *file)
{
    forget_changes(file);
    free(file->changes);
    buffer_fini(&file->synced);
    buffer_fini(&file->current);
    for (size_t i = 0; i < SHM_REGIONS_MAX; i++) {
        free(file->shm.regions[i]);
    }
    *file = (disk_file_t){0};
}

static void resize(buffer_t *bytes, uint64_t size)
{
    if (size > bytes->size) {
        size_t more = (size_t)size - bytes->size;
        memset(buffer_reserve(bytes, more), 0, more);
    }
    bytes->size = (size_t)size;
}

static void overwrite(buffer_t *bytes, uint64_t offset, const void *data, size_t size)
{
    if (offset + size > bytes->size) {
        resize(bytes, offset + size);
    }
    if (size > 0) {
        memcpy(bytes->data + offset, data, size);
    }
}

static void apply(buffer_t *bytes, const change_t *change)
{
    if (change->truncate) {
        resize(bytes, change->offset);
    } else {
        overwrite(bytes, change->offset, change->data, change->size);
    }
}

static void add_change(disk_file_t *file, change_t change, const void *data)
{
    if (file->change_count == file->change_capacity) {
        file->change_capacity = 2 * file->change_capacity + 16;
        file->changes = realloc(file->changes, file->change_capacity * sizeof *file->changes);
        ENSURE(file->changes);
    }
    if (data && change.size > 0) {
        change.data = malloc(change.size);
        ENSURE(change.data);
        memcpy(change.data, data, change.size);
    }
    file->changes[file->change_count++] = change;
    apply(&file->current, &change);
}

/* Counts an operation. False when there is no power for it. An operation in which the power fails
 * has begun: `ret_last` tells a write to leave its trace. */
static bool has_power(powerloss_t *self, bool *ret_last)
{
    *ret_last = false;
    if (self->failed) {
        return false;
    }
    self->operations++;
    if (self->operations > self->fail_at) {
        self->failed = true;
        *ret_last = true;
        return false;
    }
    return true;
}

/* --- what survives --- */

/* Some sectors of a write, and of those some as garbage, as a torn write can leave them. */
static void apply_sectors(buffer_t *bytes, const change_t *change, size_t sector,
                          random_source_t *random)
{
    for (size_t done = 0; done < change->size;) {
        uint64_t at = change->offset + done;
        size_t part = sector - (size_t)(at % sector);
        part = part < change->size - done ? part : change->size - done;
        uint64_t fate = random_below(random, 8);
        if (fate == 0) {
            uint8_t *garbage = malloc(part);
            ENSURE(garbage);
            for (size_t i = 0; i < part; i++) {
                garbage[i] = (uint8_t)random_next(random);
            }
            overwrite(bytes, at, garbage, part);
            free(garbage);
        } else if (fate < 5) {
            overwrite(bytes, at, change->data + done, part);
        }
        done += part;
    }
}

typedef enum survival {
    SURVIVE_NONE,
    SURVIVE_ALL,
    SURVIVE_FIRST, /* the first ones, the last of these torn */
    SURVIVE_ANY,   /* whole writes, each or not */
    SURVIVE_SECTORS,
    SURVIVAL_COUNT,
} survival_t;

static void survive(disk_file_t *file, survival_t survival, size_t sector, random_source_t *random)
{
    size_t kept = survival == SURVIVE_NONE ? 0 : file->change_count;
    if (survival == SURVIVE_FIRST && kept > 0) {
        kept = 1 + (size_t)random_below(random, kept);
    }
    for (size_t i = 0; i < kept; i++) {
        const change_t *change = &file->changes[i];
        bool torn = survival == SURVIVE_SECTORS || (survival == SURVIVE_FIRST && i + 1 == kept);
        bool whole = survival != SURVIVE_ANY || random_below(random, 2) == 0;
        if (torn && !change->truncate) {
            apply_sectors(&file->synced, change, sector, random);
        } else if (torn ? random_below(random, 2) == 0 : whole) {
            apply(&file->synced, change);
        }
    }
    forget_changes(file);
    buffer_clear(&file->current);
    buffer_append(&file->current, file->synced.data, file->synced.size);
}

void powerloss_restore(powerloss_t *self, uint64_t seed)
{
    HOLD(self);
    random_source_t random = (random_source_t){.state = seed};
    survival_t survival = (survival_t)random_below(&random, SURVIVAL_COUNT);
    size_t sector = random_below(&random, 2) == 0 ? 512 : 4096;
    for (size_t i = 0; i < FILES_MAX; i++) {
        disk_file_t *file = &self->files[i];
        if (file->name[0] == '\0') {
            continue;
        }
        ENSURE(file->open_count == 0 && file->shm.users == 0);
        survive(file, survival, sector, &random);
        if (file->exists != file->exists_synced) {
            file->exists = random_below(&random, 2) == 0;
        }
        if (file->exists) {
            file->exists_synced = true;
        } else {
            clear_file(file);
        }
    }
    self->failed = false;
    self->fail_at = UINT64_MAX;
}

/* --- the file's methods --- */

static disk_file_t *file_of(sqlite3_file *base)
{
    return ((handle_t *)base)->file;
}

static int file_close(sqlite3_file *base)
{
    HOLD(disk_of(base));
    handle_t *handle = (handle_t *)base;
    handle->file->open_count--;
    if (handle->remove_at_close) {
        clear_file(handle->file);
    }
    return SQLITE_OK;
}

static int file_read(sqlite3_file *base, void *out, int amount, sqlite3_int64 offset)
{
    HOLD(disk_of(base));
    const disk_file_t *file = file_of(base);
    if (((handle_t *)base)->disk->failed) {
        return SQLITE_IOERR_READ;
    }
    size_t wanted = (size_t)amount;
    size_t at = (size_t)offset;
    size_t there = at < file->current.size ? file->current.size - at : 0;
    there = there < wanted ? there : wanted;
    if (there > 0) {
        memcpy(out, file->current.data + at, there);
    }
    memset((uint8_t *)out + there, 0, wanted - there);
    return there == wanted ? SQLITE_OK : SQLITE_IOERR_SHORT_READ;
}

static uint64_t used(const powerloss_t *self)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < FILES_MAX; i++) {
        sum += self->files[i].exists ? self->files[i].current.size : 0;
    }
    return sum;
}

static int file_write(sqlite3_file *base, const void *data, int amount, sqlite3_int64 offset)
{
    HOLD(disk_of(base));
    powerloss_t *disk = ((handle_t *)base)->disk;
    disk_file_t *file = file_of(base);
    change_t change = {.offset = (uint64_t)offset, .size = (size_t)amount};
    uint64_t end = change.offset + change.size;
    uint64_t growth = end > file->current.size ? end - file->current.size : 0;
    bool last = false;
    bool power = has_power(disk, &last);
    if (power && growth > 0 && used(disk) + growth > disk->capacity) {
        return SQLITE_FULL;
    }
    if (power || last) {
        add_change(file, change, data);
    }
    return power ? SQLITE_OK : SQLITE_IOERR_WRITE;
}

static int file_truncate(sqlite3_file *base, sqlite3_int64 size)
{
    HOLD(disk_of(base));
    bool last = false;
    bool power = has_power(((handle_t *)base)->disk, &last);
    if (power || last) {
        add_change(file_of(base), (change_t){.truncate = true, .offset = (uint64_t)size}, NULL);
    }
    return power ? SQLITE_OK : SQLITE_IOERR_TRUNCATE;
}

static int file_sync(sqlite3_file *base, int flags)
{
    HOLD(disk_of(base));
    (void)flags;
    powerloss_t *disk = ((handle_t *)base)->disk;
    bool last = false;
    if (!has_power(disk, &last) || disk->fail_syncs) {
        return SQLITE_IOERR_FSYNC;
    }
    disk_file_t *file = file_of(base);
    forget_changes(file);
    buffer_clear(&file->synced);
    buffer_append(&file->synced, file->current.data, file->current.size);
    /* As the Unix VFS does for a new file: its folder is synced with it. */
    for (size_t i = 0; i < FILES_MAX; i++) {
        disk->files[i].exists_synced = disk->files[i].exists;
    }
    return SQLITE_OK;
}

static int file_size(sqlite3_file *base, sqlite3_int64 *ret_size)
{
    HOLD(disk_of(base));
    *ret_size = (sqlite3_int64)file_of(base)->current.size;
    return SQLITE_OK;
}

static int file_lock(sqlite3_file *base, int level)
{
    HOLD(disk_of(base));
    handle_t *handle = (handle_t *)base;
    disk_file_t *file = handle->file;
    if (level <= handle->lock) {
        return SQLITE_OK;
    }
    if (file->lock_exclusive && file->lock_exclusive != handle) {
        return SQLITE_BUSY;
    }
    if (level >= SQLITE_LOCK_RESERVED && file->lock_writer && file->lock_writer != handle) {
        return SQLITE_BUSY;
    }
    if (level == SQLITE_LOCK_EXCLUSIVE && file->lock_shared > 1) {
        return SQLITE_BUSY;
    }
    if (handle->lock == SQLITE_LOCK_NONE) {
        file->lock_shared++;
    }
    if (level >= SQLITE_LOCK_RESERVED) {
        file->lock_writer = handle;
    }
    if (level == SQLITE_LOCK_EXCLUSIVE) {
        file->lock_exclusive = handle;
    }
    handle->lock = level;
    return SQLITE_OK;
}

static int file_unlock(sqlite3_file *base, int level)
{
    HOLD(disk_of(base));
    handle_t *handle = (handle_t *)base;
    disk_file_t *file = handle->file;
    if (file->lock_writer == handle && level < SQLITE_LOCK_RESERVED) {
        file->lock_writer = NULL;
    }
    if (file->lock_exclusive == handle && level < SQLITE_LOCK_EXCLUSIVE) {
        file->lock_exclusive = NULL;
    }
    if (handle->lock > SQLITE_LOCK_NONE && level == SQLITE_LOCK_NONE) {
        file->lock_shared--;
    }
    handle->lock = level < handle->lock ? level : handle->lock;
    return SQLITE_OK;
}

static int file_check_reserved(sqlite3_file *base, int *ret_reserved)
{
    HOLD(disk_of(base));
    *ret_reserved = file_of(base)->lock_writer != NULL;
    return SQLITE_OK;
}

static int file_control(sqlite3_file *base, int operation, void *argument)
{
    (void)base;
    (void)operation;
    (void)argument;
    return SQLITE_NOTFOUND;
}

static int file_sector_size(sqlite3_file *base)
{
    (void)base;
    return SECTOR_BYTES;
}

static int file_characteristics(sqlite3_file *base)
{
    (void)base;
    return SQLITE_IOCAP_POWERSAFE_OVERWRITE;
}

/* --- the wal-index: shared memory, which no loss of power survives --- */

static int shm_map(sqlite3_file *base, int region, int size, int extend, void volatile **ret_region)
{
    HOLD(disk_of(base));
    handle_t *handle = (handle_t *)base;
    shm_t *shm = &handle->file->shm;
    ENSURE(region < SHM_REGIONS_MAX);
    if (!handle->shm_mapped) {
        handle->shm_mapped = true;
        shm->users++;
    }
    if (!shm->regions[region] && extend) {
        shm->regions[region] = calloc(1, (size_t)size);
        ENSURE(shm->regions[region]);
    }
    *ret_region = shm->regions[region];
    return SQLITE_OK;
}

static bool shm_free(const shm_t *shm, const handle_t *handle, int slot, bool exclusive)
{
    int others = shm->shared[slot] - (handle->shm_shared >> slot & 1);
    bool owned = shm->exclusive[slot] && shm->exclusive[slot] != handle;
    return !owned && !(exclusive && others > 0);
}

static void shm_set(shm_t *shm, handle_t *handle, int slot, int flags)
{
    bool shares = handle->shm_shared >> slot & 1;
    bool share = (flags & SQLITE_SHM_LOCK) && (flags & SQLITE_SHM_SHARED);
    if (flags & SQLITE_SHM_EXCLUSIVE) {
        shm->exclusive[slot] = flags & SQLITE_SHM_LOCK ? handle : NULL;
    } else if (share != shares) {
        shm->shared[slot] += share ? 1 : -1;
        handle->shm_shared = (uint8_t)(handle->shm_shared ^ (1u << slot));
    }
}

static int shm_lock(sqlite3_file *base, int offset, int count, int flags)
{
    HOLD(disk_of(base));
    handle_t *handle = (handle_t *)base;
    shm_t *shm = &handle->file->shm;
    for (int i = offset; (flags & SQLITE_SHM_LOCK) && i < offset + count; i++) {
        if (!shm_free(shm, handle, i, flags & SQLITE_SHM_EXCLUSIVE)) {
            return SQLITE_BUSY;
        }
    }
    for (int i = offset; i < offset + count; i++) {
        shm_set(shm, handle, i, flags);
    }
    return SQLITE_OK;
}

static void shm_barrier(sqlite3_file *base)
{
    (void)base;
    atomic_thread_fence(memory_order_seq_cst);
}

static int shm_unmap(sqlite3_file *base, int remove)
{
    HOLD(disk_of(base));
    (void)remove;
    handle_t *handle = (handle_t *)base;
    shm_t *shm = &handle->file->shm;
    for (int i = 0; i < SQLITE_SHM_NLOCK; i++) {
        shm_set(shm, handle, i, SQLITE_SHM_UNLOCK | SQLITE_SHM_SHARED);
        if (shm->exclusive[i] == handle) {
            shm->exclusive[i] = NULL;
        }
    }
    if (handle->shm_mapped && --shm->users == 0) {
        for (size_t i = 0; i < SHM_REGIONS_MAX; i++) {
            free(shm->regions[i]);
        }
        *shm = (shm_t){0};
    }
    handle->shm_mapped = false;
    return SQLITE_OK;
}

static const sqlite3_io_methods methods = {
    .iVersion = 2,
    .xClose = file_close,
    .xRead = file_read,
    .xWrite = file_write,
    .xTruncate = file_truncate,
    .xSync = file_sync,
    .xFileSize = file_size,
    .xLock = file_lock,
    .xUnlock = file_unlock,
    .xCheckReservedLock = file_check_reserved,
    .xFileControl = file_control,
    .xSectorSize = file_sector_size,
    .xDeviceCharacteristics = file_characteristics,
    .xShmMap = shm_map,
    .xShmLock = shm_lock,
    .xShmBarrier = shm_barrier,
    .xShmUnmap = shm_unmap,
};

/* --- the disk's methods --- */

static disk_file_t *make_file(powerloss_t *self, const char *name)
{
    disk_file_t *file = find_file(self, name);
    if (!file) {
        file = find_file(self, "");
        ENSURE(file && strlen(name) < NAME_BYTES_MAX);
        memcpy(file->name, name, strlen(name) + 1);
    }
    if (!file->exists) { /* new, or removed without a sync since */
        add_change(file, (change_t){.truncate = true}, NULL);
        file->exists = true;
    }
    return file;
}

static int disk_open(sqlite3_vfs *vfs, const char *name, sqlite3_file *base, int flags,
                     int *ret_flags)
{
    HOLD((powerloss_t *)vfs);
    powerloss_t *self = (powerloss_t *)vfs;
    handle_t *handle = (handle_t *)base;
    *handle = (handle_t){0};
    char temporary[32];
    snprintf(temporary, sizeof temporary, "temporary-%p", (void *)handle);
    name = name ? name : temporary;
    disk_file_t *file = find_file(self, name);
    bool there = file && file->exists;
    if (self->failed || (!there && !(flags & SQLITE_OPEN_CREATE))) {
        return SQLITE_CANTOPEN;
    }
    *handle = (handle_t){.base.pMethods = &methods,
                         .disk = self,
                         .file = make_file(self, name),
                         .remove_at_close = flags & SQLITE_OPEN_DELETEONCLOSE};
    handle->file->open_count++;
    if (ret_flags) {
        *ret_flags = flags;
    }
    return SQLITE_OK;
}

static int disk_delete(sqlite3_vfs *vfs, const char *name, int sync)
{
    HOLD((powerloss_t *)vfs);
    powerloss_t *self = (powerloss_t *)vfs;
    bool last = false;
    bool power = has_power(self, &last);
    disk_file_t *file = find_file(self, name);
    if (!file || !file->exists) {
        return power ? SQLITE_IOERR_DELETE_NOENT : SQLITE_IOERR_DELETE;
    }
    if (power || last) {
        file->exists = false;
    }
    if (power && (sync || !file->exists_synced)) {
        clear_file(file);
    }
    return power ? SQLITE_OK : SQLITE_IOERR_DELETE;
}

static int disk_access(sqlite3_vfs *vfs, const char *name, int flags, int *ret_there)
{
    HOLD((powerloss_t *)vfs);
    (void)flags;
    const disk_file_t *file = find_file((powerloss_t *)vfs, name);
    *ret_there = file && file->exists;
    return SQLITE_OK;
}

static int disk_full_path(sqlite3_vfs *vfs, const char *name, int size, char *out)
{
    (void)vfs;
    int length = snprintf(out, (size_t)size, "%s", name);
    return length < size ? SQLITE_OK : SQLITE_CANTOPEN;
}

static int disk_randomness(sqlite3_vfs *vfs, int size, char *out)
{
    sqlite3_vfs *system = ((powerloss_t *)vfs)->system;
    return system->xRandomness(system, size, out);
}

/* Another thread may give way meanwhile. */
static int disk_wait(sqlite3_vfs *vfs, int microseconds)
{
    sqlite3_vfs *system = ((powerloss_t *)vfs)->system;
    return system->xSleep(system, microseconds);
}

static int disk_time(sqlite3_vfs *vfs, sqlite3_int64 *ret_time)
{
    sqlite3_vfs *system = ((powerloss_t *)vfs)->system;
    return system->xCurrentTimeInt64(system, ret_time);
}

static int disk_error(sqlite3_vfs *vfs, int size, char *out)
{
    (void)vfs;
    (void)size;
    (void)out;
    return 0;
}

powerloss_t *powerloss_new(const char *name)
{
    powerloss_t *self = calloc(1, sizeof *self);
    ENSURE(self);
    pthread_mutex_init(&self->mutex, NULL);
    self->system = sqlite3_vfs_find(NULL);
    self->capacity = UINT64_MAX;
    self->fail_at = UINT64_MAX;
    self->vfs = (sqlite3_vfs){.iVersion = 2,
                              .szOsFile = (int)sizeof(handle_t),
                              .mxPathname = NAME_BYTES_MAX - 1,
                              .zName = name,
                              .xOpen = disk_open,
                              .xDelete = disk_delete,
                              .xAccess = disk_access,
                              .xFullPathname = disk_full_path,
                              .xRandomness = disk_randomness,
                              .xSleep = disk_wait,
                              .xCurrentTimeInt64 = disk_time,
                              .xGetLastError = disk_error};
    ENSURE(sqlite3_vfs_register(&self->vfs, 0) == SQLITE_OK);
    return self;
}

void powerloss_destroy(powerloss_t **self_p)
{
    powerloss_t *self = *self_p;
    *self_p = NULL;
    sqlite3_vfs_unregister(&self->vfs);
    pthread_mutex_destroy(&self->mutex);
    for (size_t i = 0; i < FILES_MAX; i++) {
        ENSURE(self->files[i].open_count == 0);
        clear_file(&self->files[i]);
    }
    free(self);
}

uint64_t powerloss_operations(powerloss_t *self)
{
    HOLD(self);
    return self->operations;
}

void powerloss_fail_after(powerloss_t *self, uint64_t operations)
{
    HOLD(self);
    self->fail_at = self->operations + operations;
}

bool powerloss_failed(powerloss_t *self)
{
    HOLD(self);
    return self->failed;
}

void powerloss_set_capacity(powerloss_t *self, uint64_t bytes)
{
    HOLD(self);
    self->capacity = bytes;
}

uint64_t powerloss_used(powerloss_t *self)
{
    HOLD(self);
    return used(self);
}

void powerloss_fail_syncs(powerloss_t *self, bool fail)
{
    HOLD(self);
    self->fail_syncs = fail;
}

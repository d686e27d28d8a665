/* A disk that takes its time, for a process that a test starts with LD_PRELOAD: what was written
 * since the last sync leaves at SLOW_DISK_BYTES_PER_S, and the sync waits until it has. Writes
 * themselves go to the page cache and are as fast as ever, as on a real disk. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

static _Atomic uint64_t unsynced_bytes;

static uint64_t bytes_per_s(void)
{
    const char *text = getenv("SLOW_DISK_BYTES_PER_S");
    return text ? strtoull(text, NULL, 10) : 0;
}

static void wait_for_disk(void)
{
    uint64_t bytes = atomic_exchange(&unsynced_bytes, 0);
    uint64_t rate = bytes_per_s();
    if (rate > 0) {
        uint64_t ns = bytes * 1000000000 / rate;
        struct timespec left = {.tv_sec = (time_t)(ns / 1000000000),
                                .tv_nsec = (long)(ns % 1000000000)};
        while (nanosleep(&left, &left) != 0) {
        }
    }
}

/* SQLite writes its files with one of these, and syncs with one of those. */
#define WRITE(name, offset_type)                                                                   \
    ssize_t name(int fd, const void *data, size_t size, offset_type offset)                        \
    {                                                                                              \
        ssize_t (*next)(int, const void *, size_t, offset_type) =                                  \
            (ssize_t(*)(int, const void *, size_t, offset_type))dlsym(RTLD_NEXT, #name);           \
        atomic_fetch_add(&unsynced_bytes, size);                                                   \
        return next(fd, data, size, offset);                                                       \
    }

#define SYNC(name)                                                                                 \
    int name(int fd)                                                                               \
    {                                                                                              \
        int (*next)(int) = (int (*)(int))dlsym(RTLD_NEXT, #name);                                  \
        wait_for_disk();                                                                           \
        return next(fd);                                                                           \
    }

WRITE(pwrite, off_t)
WRITE(pwrite64, off64_t)
SYNC(fsync)
SYNC(fdatasync)

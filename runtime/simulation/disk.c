/* The disk of a simulated node: files in memory, of which a crash takes what was not synced. */
#include "runtime/simulation/world.h"

#include "runtime/base/ensure.h"

#include <stdlib.h>

enum {
    FILES_MAX = 64,
    FILE_NAME_MAX = 63,
    FILE_BYTES_MAX = 64 << 20,
    SYNC_US = 200,
    TORN = 500000, /* of a million crashes, per file */
};

/* `content` is what is read. Since it was `synced` it was emptied (`replaced`), or not, and the
 * last `fresh` bytes were appended. */
typedef struct disk_file {
    char name[FILE_NAME_MAX + 1];
    buffer_t content;
    buffer_t synced;
    bool replaced;
    size_t fresh;
    bool lasting; /* a crash leaves it there, though perhaps empty */
} disk_file_t;

static machine_t *machine_at(capstan_simulation_t *self, uint32_t node)
{
    ENSURE(node < self->machine_count);
    return self->machines[node];
}

static bool fails(machine_t *machine)
{
    return world_decide(machine->world, DECISION_disk, machine->index, 0,
                        (odds_t){machine->world->faults.disk_errors * 1000, 1}) > 0;
}

static disk_file_t *find(const machine_t *machine, const char *name)
{
    for (size_t i = 0; i < machine->disk.file_count; i++) {
        if (strcmp(machine->disk.files[i].name, name) == 0) {
            return &machine->disk.files[i];
        }
    }
    return NULL;
}

static capstan_err_t find_or_make(machine_t *machine, const char *name, disk_file_t **ret_file)
{
    disk_file_t *file = find(machine, name);
    size_t size = strlen(name);
    if (size == 0 || size > FILE_NAME_MAX) {
        return CAPSTAN_E_INVALID;
    }
    if (!file && machine->disk.file_count == FILES_MAX) {
        return CAPSTAN_E_STORE_FULL;
    }
    if (!file) {
        if (!machine->disk.files) {
            machine->disk.files = calloc(FILES_MAX, sizeof *machine->disk.files);
            ENSURE(machine->disk.files);
        }
        file = &machine->disk.files[machine->disk.file_count++];
        memcpy(file->name, name, size + 1);
    }
    *ret_file = file;
    return CAPSTAN_OK;
}

static capstan_err_t write_bytes(machine_t *machine, const char *name, slice_t bytes, bool replace)
{
    disk_file_t *file;
    if (fails(machine)) {
        return CAPSTAN_E_STORE_IO;
    }
    capstan_err_t err = find_or_make(machine, name, &file);
    if (err != CAPSTAN_OK) {
        return err;
    }
    size_t before = replace ? 0 : file->content.size;
    if (bytes.size > FILE_BYTES_MAX - before) {
        return CAPSTAN_E_STORE_FULL;
    }
    if (replace) {
        buffer_clear(&file->content);
        file->fresh = 0;
        file->replaced = true;
    }
    buffer_append(&file->content, bytes.data, bytes.size);
    file->fresh += bytes.size;
    return CAPSTAN_OK;
}

capstan_err_t capstan_simulation_disk_append(capstan_simulation_t *self, uint32_t node,
                                             const char *file, capstan_slice_t bytes)
{
    return write_bytes(machine_at(self, node), file, bytes, false);
}

capstan_err_t capstan_simulation_disk_write(capstan_simulation_t *self, uint32_t node,
                                            const char *file, capstan_slice_t bytes)
{
    return write_bytes(machine_at(self, node), file, bytes, true);
}

capstan_err_t capstan_simulation_disk_sync(capstan_simulation_t *self, uint32_t node,
                                           const char *name)
{
    machine_t *machine = machine_at(self, node);
    disk_file_t *file = find(machine, name);
    if (!file || fails(machine)) {
        return file ? CAPSTAN_E_STORE_IO : CAPSTAN_E_NOT_FOUND;
    }
    buffer_clear(&file->synced);
    buffer_append(&file->synced, file->content.data, file->content.size);
    file->replaced = false;
    file->fresh = 0;
    file->lasting = true;
    if (self->turning && self->turning->machine == machine) {
        self->turning->delay_us += SYNC_US;
    }
    return CAPSTAN_OK;
}

capstan_err_t capstan_simulation_disk_read(capstan_simulation_t *self, uint32_t node,
                                           const char *name, capstan_buffer_t *out)
{
    machine_t *machine = machine_at(self, node);
    const disk_file_t *file = find(machine, name);
    if (!file || fails(machine)) {
        return file ? CAPSTAN_E_STORE_IO : CAPSTAN_E_NOT_FOUND;
    }
    buffer_append(out, file->content.data, file->content.size);
    return CAPSTAN_OK;
}

/* Of what was done since the last sync a beginning is left, in bytes; the emptying of a file that
 * is written anew counts as one. */
static void lose(machine_t *machine, disk_file_t *file)
{
    uint64_t done = world_decide(machine->world, DECISION_torn, machine->index, 0,
                                 (odds_t){TORN, file->fresh + file->replaced});
    const uint8_t *fresh = file->content.data + (file->content.size - file->fresh);
    if (done > 0 && file->replaced) {
        buffer_clear(&file->synced);
        done--;
        file->lasting = true;
    }
    buffer_append(&file->synced, fresh, done);
    file->lasting |= done > 0;
    buffer_clear(&file->content);
    buffer_append(&file->content, file->synced.data, file->synced.size);
    file->replaced = false;
    file->fresh = 0;
}

void disk_crash(machine_t *self)
{
    size_t kept = 0;
    for (size_t i = 0; i < self->disk.file_count; i++) {
        disk_file_t *file = &self->disk.files[i];
        if (file->replaced || file->fresh > 0) {
            lose(self, file);
        }
        if (file->lasting) {
            self->disk.files[kept++] = *file;
        } else {
            buffer_fini(&file->content);
            buffer_fini(&file->synced);
        }
    }
    self->disk.file_count = kept;
}

void disk_fini(disk_t *self)
{
    for (size_t i = 0; i < self->file_count; i++) {
        buffer_fini(&self->files[i].content);
        buffer_fini(&self->files[i].synced);
    }
    free(self->files);
    *self = (disk_t){0};
}

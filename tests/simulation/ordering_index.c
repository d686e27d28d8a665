/* The index of the log, against the log on the disk. */
#include "tests/simulation/ordering_predicates.h"

enum {
    FIELD_OFFSET = 1, /* of record `event` */
    FIELD_ACCEPTED_US = 10,
};

/* The next accepted event at this place in the log or behind it; false: none. */
static bool next_event(const disk_t *disk, size_t *at, uint64_t *ret_offset, int64_t *ret_taken_us)
{
    for (; *at < disk->count; ++*at) {
        const disk_record_t *record = &disk->log[*at];
        slice_t data = slice_of(record->data, record->size);
        uint64_t taken_us;
        if (record->kind == RECORD_event && codec_peek_uint(data, FIELD_OFFSET, ret_offset)) {
            ENSURE(codec_peek_uint(data, FIELD_ACCEPTED_US, &taken_us));
            *ret_taken_us = (int64_t)taken_us;
            ++*at;
            return true;
        }
    }
    return false;
}

static uint64_t look_from(const disk_t *disk, uint64_t lsn, uint64_t offset, int64_t time_us)
{
    size_t at = (size_t)lsn - 1;
    uint64_t found;
    int64_t taken_us;
    while (next_event(disk, &at, &found, &taken_us) && taken_us < time_us) {
        offset = found;
    }
    return offset;
}

uint64_t index_find(const sim_shell_t *shell, int64_t time_us)
{
    log_place_t place = log_index_before(&shell->log_index, time_us);
    if (place.lsn > shell->world->disk.count) { /* it is not on disk yet */
        place = (log_place_t){.offset = 1, .lsn = 1};
    }
    return look_from(&shell->world->disk, place.lsn, place.offset - 1, time_us);
}

/* Of an event somewhere in the log. */
static bool some_event(const world_t *world, uint64_t *ret_offset, int64_t *ret_taken_us)
{
    random_source_t *random = core_world_random(world->simulation);
    size_t at = world->disk.count > 0 ? random_below(random, world->disk.count) : 0;
    return next_event(&world->disk, &at, ret_offset, ret_taken_us);
}

void predicate_of_index(world_t *world)
{
    const sim_shell_t *shell = &world->shell;
    uint64_t offset;
    int64_t taken_us;
    if (!some_event(world, &offset, &taken_us)) {
        return;
    }
    uint64_t lsn = log_index_lsn(&shell->log_index, offset);
    size_t at = lsn > 0 ? (size_t)lsn - 1 : 0;
    uint64_t first = 0;
    int64_t ignored_us;
    if (!next_event(&world->disk, &at, &first, &ignored_us) || first > offset) {
        world_fail(world, "O10", "a replay from offset %llu begins with %llu",
                   (unsigned long long)offset, (unsigned long long)first);
    }
    uint64_t by_index = index_find(shell, taken_us);
    uint64_t wanted = look_from(&world->disk, 1, 0, taken_us);
    if (by_index != wanted) {
        world_fail(world, "O10", "a replay from a time begins behind offset %llu, not %llu",
                   (unsigned long long)by_index, (unsigned long long)wanted);
    }
}

/* The compaction of the log on the disk, in steps with everything else between them, cut short by
 * every crash; and what it may remove (O10). What a record said before is kept for the other
 * predicates, which judge what was appended. */
#include "tests/simulation/ordering_predicates.h"

#include "actors/ordering/partition.h"

enum {
    STEP_RECORDS_MAX = 500,
    KEYS_MAX = WORLD_KEYS_MAX,
};

static slice_t first_said(const disk_record_t *record)
{
    return slice_of(record->data, record->size);
}

slice_t disk_says(const disk_record_t *record)
{
    return record->stub.size > 0 ? buffer_slice(&record->stub) : first_said(record);
}

/* Everything before has been processed by every group, and that is on disk. */
static uint64_t offset_held(const world_t *world)
{
    const partition_groups_t *groups = &world->shell.groups;
    uint64_t held = groups->count == WORLD_GROUPS ? UINT64_MAX : 0;
    for (size_t i = 0; i < groups->count; i++) {
        uint64_t next = groups->list[i].completed.frontier + 1;
        held = next < held ? next : held;
    }
    return held;
}

static bool is_before(const disk_record_t *record, uint64_t held)
{
    enum { FIELD_OFFSET = 1 };
    uint64_t offset;
    return record->kind != RECORD_event ||
           !codec_peek_uint(first_said(record), FIELD_OFFSET, &offset) || offset < held;
}

static void begin(world_t *world)
{
    sim_compaction_t *run = &world->compaction;
    random_source_t *random = core_world_random(world->simulation);
    const disk_t *disk = &world->disk;
    uint64_t held = offset_held(world);
    uint64_t bound = disk->snapshot_lsn > 0 ? disk->snapshot_lsn - 1 : 0;
    uint8_t seed[16] = "fifteen bytes..";
    run->end = run->mark;
    compaction_keys_init(&run->keys, 1 + random_below(random, KEYS_MAX), seed);
    while (run->end < bound && is_before(&disk->log[run->end], held) &&
           compaction_note(&run->keys, disk->log[run->end].kind, disk_says(&disk->log[run->end]))) {
        run->end++;
    }
    run->at = 0;
    run->runs = true;
}

void compaction_crash(world_t *world)
{
    compaction_keys_fini(&world->compaction.keys);
    world->compaction.runs = false;
}

void compaction_step(world_t *world)
{
    sim_compaction_t *run = &world->compaction;
    random_source_t *random = core_world_random(world->simulation);
    const sim_shell_t *shell = &world->shell;
    compaction_counts_t counts = {0};
    if (!run->wanted || shell->lsn_on_disk < shell->lsn_next) {
        return;
    }
    if (!run->runs) {
        begin(world);
    }
    uint64_t left = random_below(random, STEP_RECORDS_MAX);
    for (; run->at < run->end && left > 0; run->at++, left--) {
        disk_record_t *record = &world->disk.log[run->at];
        buffer_t stub = {0};
        compaction_clean(&run->keys, record->kind, disk_says(record), INT64_MIN, &stub, &counts);
        if (stub.size > 0) {
            buffer_fini(&record->stub);
            record->stub = stub;
        }
    }
    if (run->at == run->end) {
        run->mark = run->end;
        compaction_crash(world);
    }
}

/* From the end of the log: whether a newer event of the key has been met. */
void predicate_of_compaction(world_t *world)
{
    bool newer[WORLD_KEYS_MAX] = {false};
    for (size_t i = world->disk.count; i-- > 0;) {
        const disk_record_t *record = &world->disk.log[i];
        event_t was;
        event_t is;
        if (record->kind != RECORD_event) {
            continue;
        }
        ENSURE(codec_decode(event_wire(), first_said(record), &was, NULL) == CAPSTAN_OK);
        ENSURE(codec_decode(event_wire(), disk_says(record), &is, NULL) == CAPSTAN_OK);
        uint32_t key = world_index(was.key);
        bool in_order = was.offset > 0 && was.diverted == DIVERTED_NOT;
        bool may_go = was.offset == 0 || (in_order && newer[key]);
        if (is.offset != was.offset || (record->stub.size > 0 && !may_go)) {
            world_fail(world, "O10", "compaction removed offset %llu of key %u, the last one",
                       (unsigned long long)was.offset, key);
            return;
        }
        newer[key] = newer[key] || in_order;
    }
}

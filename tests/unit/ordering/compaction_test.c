/* Compaction: whatever is cleaned, in whatever order of runs that end early, the last event of each
 * key stays, and nothing goes that has no newer one. */
#include "actors/ordering/compaction.h"

#include "actors/ordering/partition.h"
#include "runtime/simulation/random.h"

#include <criterion/criterion.h>

enum {
    RECORDS = 600,
    KEYS = 12,
    RUNS = 40,
    TAKEN_US = 1000000,
};

static const uint8_t seed[16] = "fifteen bytes..";

typedef struct log_entry {
    uint64_t kind;
    buffer_t now;   /* what the log says */
    buffer_t first; /* what it said */
} log_entry_t;

static log_entry_t entries[RECORDS];
static random_source_t dice = {.state = 20};
static uint64_t last_of_key[KEYS]; /* offset of the last event that is in order */

static void put_event(log_entry_t *entry, uint64_t offset, int key, diversion_t diverted)
{
    char name = (char)('a' + key);
    entry->kind = RECORD_event;
    codec_encode(event_wire(),
                 &(event_t){.offset = offset,
                            .key = {&name, 1},
                            .payload = slice_text("said"),
                            .accepted_us = TAKEN_US,
                            .diverted = diverted},
                 &entry->now);
}

/* Events in order, diverted ones, held ones, and marks in between. */
static void make_log(void)
{
    uint64_t offset = 0;
    for (size_t i = 0; i < RECORDS; i++) {
        int key = (int)random_below(&dice, KEYS);
        uint64_t what = random_below(&dice, 10);
        if (what == 0) {
            entries[i].kind = RECORD_producer_mark;
            codec_encode(producer_mark_wire(),
                         &(producer_mark_t){.producer = slice_text("p"), .producer_epoch = 1},
                         &entries[i].now);
        } else if (what == 1) {
            put_event(&entries[i], 0, key, DIVERTED_NOT);
        } else {
            diversion_t diverted = what == 2 ? DIVERTED_LATE : DIVERTED_NOT;
            put_event(&entries[i], ++offset, key, diverted);
            last_of_key[key] = diverted == DIVERTED_NOT ? offset : last_of_key[key];
        }
        buffer_append(&entries[i].first, entries[i].now.data, entries[i].now.size);
    }
}

static void check_entry(const log_entry_t *entry)
{
    event_t was;
    event_t is;
    if (slice_equal(buffer_slice(&entry->now), buffer_slice(&entry->first))) {
        return;
    }
    cr_assert_eq(entry->kind, RECORD_event);
    cr_assert_eq(codec_decode(event_wire(), buffer_slice(&entry->first), &was, NULL), CAPSTAN_OK);
    cr_assert_eq(codec_decode(event_wire(), buffer_slice(&entry->now), &is, NULL), CAPSTAN_OK);
    cr_assert_eq(is.offset, was.offset);
    cr_assert(is.key.size == 0 && is.payload.size == 0);
    cr_assert_eq(event_diversion(buffer_slice(&entry->now)), DIVERTED_REMOVED);
    cr_assert_eq(was.diverted, DIVERTED_NOT);
    int key = *(const char *)was.key.data - 'a';
    cr_assert(was.offset == 0 || was.offset < last_of_key[key], "%lu of key %d went",
              (unsigned long)was.offset, key);
}

/* One run over what is dirty between `mark` and `bound`, which a crash may end early. Returns the
 * new mark. */
static size_t run(size_t mark, size_t bound, size_t keys_max, size_t crash)
{
    compaction_keys_t keys;
    compaction_counts_t counts = {0};
    buffer_t stub = {0};
    size_t end = mark;
    compaction_keys_init(&keys, keys_max, seed);
    while (end < bound &&
           compaction_note(&keys, entries[end].kind, buffer_slice(&entries[end].now))) {
        end++;
    }
    for (size_t i = 0; i < end && i < crash; i++) {
        buffer_clear(&stub);
        compaction_clean(&keys, entries[i].kind, buffer_slice(&entries[i].now), INT64_MIN, &stub,
                         &counts);
        if (stub.size > 0) {
            buffer_clear(&entries[i].now);
            buffer_append(&entries[i].now, stub.data, stub.size);
        }
        check_entry(&entries[i]);
    }
    buffer_fini(&stub);
    compaction_keys_fini(&keys);
    return crash < end ? mark : end;
}

static size_t count_removed(void)
{
    size_t count = 0;
    for (size_t i = 0; i < RECORDS; i++) {
        count += entries[i].kind == RECORD_event &&
                 event_diversion(buffer_slice(&entries[i].now)) == DIVERTED_REMOVED;
    }
    return count;
}

Test(compaction, keeps_the_last_event_of_each_key_whatever_ends_its_runs)
{
    make_log();
    size_t mark = 0;
    for (size_t i = 0; i < RUNS; i++) {
        size_t bound = mark + random_below(&dice, RECORDS - mark + 1);
        size_t keys_max = 3 + random_below(&dice, KEYS);
        size_t crash = random_chance(&dice, 333) ? random_below(&dice, RECORDS) : RECORDS;
        mark = run(mark, bound, keys_max, crash);
    }
    while (mark < RECORDS) {
        mark = run(mark, RECORDS, 3, RECORDS);
    }
    size_t events = 0;
    size_t left = 0;
    for (size_t i = 0; i < RECORDS; i++) {
        uint64_t offset;
        bool in_order = entries[i].kind == RECORD_event &&
                        event_diversion(buffer_slice(&entries[i].now)) == DIVERTED_NOT;
        left += in_order && codec_peek_uint(buffer_slice(&entries[i].now), 1, &offset);
        events += entries[i].kind == RECORD_event;
    }
    cr_assert_eq(left, KEYS, "one event of each key is left");
    size_t removed = count_removed();
    run(0, RECORDS, KEYS, RECORDS);
    cr_assert_eq(count_removed(), removed, "a run over what is clean changes nothing");
    cr_assert_gt(events, removed + KEYS, "diverted events stay");
    for (size_t i = 0; i < RECORDS; i++) {
        buffer_fini(&entries[i].now);
        buffer_fini(&entries[i].first);
    }
}

static size_t clean_one(const compaction_keys_t *keys, const event_t *event, int64_t tombstone_us)
{
    buffer_t record = {0};
    buffer_t stub = {0};
    compaction_counts_t counts = {0};
    codec_encode(event_wire(), event, &record);
    compaction_clean(keys, RECORD_event, buffer_slice(&record), tombstone_us, &stub, &counts);
    size_t removed = counts.removed;
    cr_assert_eq(stub.size > 0, removed > 0);
    cr_assert_eq(counts.kept_bytes, removed > 0 ? 0 : record.size);
    buffer_fini(&record);
    buffer_fini(&stub);
    return removed;
}

Test(compaction, lets_old_tombstones_go_and_what_was_erased_stay)
{
    compaction_keys_t keys;
    event_t event = {.offset = 7, .key = slice_text("k"), .accepted_us = TAKEN_US};
    compaction_keys_init(&keys, 8, seed);
    cr_assert_eq(clean_one(&keys, &event, INT64_MIN), 0);
    cr_assert_eq(clean_one(&keys, &event, TAKEN_US), 0);
    cr_assert_eq(clean_one(&keys, &event, TAKEN_US + 1), 1);
    event.erased = 1;
    cr_assert_eq(clean_one(&keys, &event, TAKEN_US + 1), 0);
    event.erased = 0;
    event.payload = slice_text("x");
    cr_assert_eq(clean_one(&keys, &event, TAKEN_US + 1), 0);
    compaction_keys_fini(&keys);
}

Test(compaction, knows_as_many_keys_as_it_may_and_no_more)
{
    enum { MANY = 5000 };
    compaction_keys_t keys;
    compaction_keys_init(&keys, MANY, seed);
    for (uint64_t round = 0; round < 2; round++) {
        for (uint64_t i = 0; i <= MANY; i++) {
            buffer_t record = {0};
            codec_encode(event_wire(),
                         &(event_t){.offset = 1 + round * MANY + i, .key = {&i, sizeof i}},
                         &record);
            cr_assert_eq(compaction_note(&keys, RECORD_event, buffer_slice(&record)), i < MANY);
            buffer_fini(&record);
        }
    }
    cr_assert_eq(keys.count, MANY);
    uint64_t key = 17;
    event_t event = {.offset = 1 + key, .key = {&key, sizeof key}, .payload = slice_text("x")};
    cr_assert_eq(clean_one(&keys, &event, INT64_MIN), 1);
    event.offset += MANY;
    cr_assert_eq(clean_one(&keys, &event, INT64_MIN), 0);
    compaction_keys_fini(&keys);
}

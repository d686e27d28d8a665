/* What a partition's state must satisfy at rest, and its oldest gaps. */
#include "actors/ordering/partition_schedule.h"
#include "actors/ordering/partition_skip.h"

#include "runtime/base/ensure.h"

#include <stdlib.h>

static int oldest_first(const void *a, const void *b)
{
    int64_t left = (*(hold_t *const *)a)->since_us;
    int64_t right = (*(hold_t *const *)b)->since_us;
    return (left > right) - (left < right);
}

size_t partition_gaps(const partition_t *self, gap_t *ret_gaps, size_t count)
{
    hold_t **all = calloc(self->gap_count + 1, sizeof(hold_t *));
    ENSURE(all);
    if (self->gap_count > 0) {
        memcpy(all, self->gaps, self->gap_count * sizeof(hold_t *));
    }
    qsort(all, self->gap_count, sizeof(hold_t *), oldest_first);
    size_t found = self->gap_count < count ? self->gap_count : count;
    for (size_t i = 0; i < found; i++) {
        const hold_t *hold = all[i];
        ret_gaps[i] = (gap_t){.producer = producer_name(producer_of(self, hold->entry)),
                              .key = key_name(hold->entry),
                              .missing = hold->entry->accepted + 1,
                              .last_missing = hold->list[0].sequence - 1,
                              .held = hold->count,
                              .since_us = hold->since_us};
    }
    free(all);
    return found;
}

typedef struct totals {
    uint64_t accepted;
    uint64_t items;
    uint64_t bytes;
    size_t gaps;
    uint64_t skips;
    uint64_t stretches;
} totals_t;

/* The rows of a key's ledger are apart from each other and below what counts as accepted. */
static const char *check_skips(const skip_list_t *list, totals_t *totals)
{
    uint64_t last = 0;
    for (size_t i = 0; i < list->count; i++) {
        const skip_entry_t *skip = list->list[i];
        if (skip->entry != list->entry || skip->first <= last || skip->last < skip->first ||
            skip->last > list->entry->accepted ||
            skip->filled_count > skip->last - skip->first + 1) {
            return "O4: what is given up was missing, and is given up once";
        }
        last = skip->last;
        totals->skips++;
        totals->stretches += completed_range_count(&skip->filled);
    }
    return list->entry->row.skipped ? NULL : "O4: a key knows what was given up of it";
}

static const char *check_key(const partition_t *self, const key_entry_t *entry, totals_t *totals)
{
    totals->accepted += entry->accepted - skip_left(self, entry);
    if ((entry->hold != NULL) != (entry->row.phase != KEY_IN_ORDER)) {
        return "O3: a key has held events exactly while it has a gap";
    }
    const hold_t *hold = entry->hold;
    if (!hold) {
        return NULL;
    }
    if (hold->entry != entry || hold->heap_at >= self->gap_count ||
        self->gaps[hold->heap_at] != hold) {
        return "O3: every gap is in the list of gaps";
    }
    int64_t since_us = INT64_MAX;
    uint64_t last = entry->accepted + 1;
    for (size_t i = 0; i < hold->count; i++) {
        const held_event_t *held = &hold->list[i];
        if (held->sequence <= last) {
            return "O3: accepted, missing and held are disjoint";
        }
        last = held->sequence;
        since_us = held->taken_us < since_us ? held->taken_us : since_us;
        totals->bytes += held->size;
    }
    if (hold->count == 0 || hold->since_us != since_us) {
        return "O3: a gap is as old as the first evidence of it";
    }
    if (hold->count > self->found.key_held_items_max) {
        return "O5: a key holds no more than it may";
    }
    totals->items += hold->count;
    totals->gaps++;
    return NULL;
}

const char *partition_check(const partition_t *self)
{
    totals_t totals = {.accepted = self->cold_accepted};
    size_t position = 0;
    for (key_entry_t *entry; (entry = map_next(&self->keys, &position));) {
        const char *fault = check_key(self, entry, &totals);
        if (fault) {
            return fault;
        }
    }
    position = 0;
    for (skip_list_t *list; (list = map_next(&self->skip_lists, &position));) {
        const char *fault = check_skips(list, &totals);
        if (fault) {
            return fault;
        }
    }
    if (totals.skips != self->skips || totals.stretches != self->skip_stretches) {
        return "O4: the rows of the ledger are counted";
    }
    for (size_t i = 1; i < self->gap_count; i++) {
        if (self->gaps[i]->since_us < self->gaps[(i - 1) / 2]->since_us) {
            return "O3: the oldest gap is known";
        }
    }
    if (totals.gaps != self->gap_count) {
        return "O3: every gap has a key";
    }
    if (totals.items != self->held_items || totals.bytes != self->held_bytes) {
        return "O5: held events are counted";
    }
    if (self->held_items > self->found.held_items_max ||
        self->held_bytes > self->found.held_bytes_max) {
        return "O5: held events are within their bounds";
    }
    const char *fault = schedule_fault(self);
    if (fault) {
        return fault;
    }
    uint64_t own = self->offset_next - 1;
    bool counts = totals.accepted == own || (self->inherits && totals.accepted > own);
    if (self->limits.mode == SEQUENCE_PRODUCER && !counts) {
        return "O7: as many events are accepted as there are offsets";
    }
    return NULL;
}

/* What a partition's state must satisfy at rest, and its oldest gaps. */
#include "actors/ordering/partition_state.h"

size_t partition_gaps(const partition_t *self, gap_t *ret_gaps, size_t count)
{
    size_t found = 0;
    /* One walk with an insertion sort of the few that are wanted. */
    for (size_t i = 0; i < self->gap_count && count > 0; i++) {
        const hold_t *hold = self->gaps[i];
        if (found == count && hold->since_us >= ret_gaps[found - 1].since_us) {
            continue;
        }
        size_t at = found < count ? found++ : found - 1;
        for (; at > 0 && ret_gaps[at - 1].since_us > hold->since_us; at--) {
            ret_gaps[at] = ret_gaps[at - 1];
        }
        ret_gaps[at] = (gap_t){.producer = producer_name(hold->entry->producer),
                               .key = key_name(hold->entry),
                               .missing = hold->entry->accepted + 1,
                               .held = hold->count,
                               .since_us = hold->since_us};
    }
    return found;
}

typedef struct totals {
    uint64_t accepted;
    uint64_t items;
    uint64_t bytes;
    size_t gaps;
} totals_t;

static const char *check_key(const partition_t *self, const key_entry_t *entry, totals_t *totals)
{
    totals->accepted += entry->accepted;
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
    totals_t totals = {0};
    size_t position = 0;
    for (key_entry_t *entry; (entry = map_next(&self->keys, &position));) {
        const char *fault = check_key(self, entry, &totals);
        if (fault) {
            return fault;
        }
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
    if (self->limits.mode == SEQUENCE_PRODUCER && totals.accepted != self->offset_next - 1) {
        return "O7: as many events are accepted as there are offsets";
    }
    return NULL;
}

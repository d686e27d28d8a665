/* Verdicts on gaps: the skip ledger, what fills it all the same, and the gaps' timeout. */
#include "actors/ordering/partition_skip.h"

#include "actors/ordering/partition_groups.h"
#include "actors/ordering/partition_schedule.h"
#include "runtime/base/ensure.h"

enum {
    EXPIRED_AT_ONCE = 256, /* gaps; the rest in the next turn, so that no step is long */
    REASON_BYTES_MAX = 256,
};

#define SEQUENCE_MAX (UINT64_MAX / 2)

/* --- the ledger ------------------------------------------------------------------------------ */

static bool list_is(const void *value, const void *wanted)
{
    return ((const skip_list_t *)value)->entry == wanted;
}

static uint64_t hash_of(const partition_t *self, const key_entry_t *entry)
{
    return siphash13(self->limits.hash_seed, entry->producer, key_name(entry));
}

static skip_list_t *list_of(const partition_t *self, const key_entry_t *entry)
{
    return entry->row.skipped ? map_find(&self->skip_lists, hash_of(self, entry), list_is, entry)
                              : NULL;
}

static skip_list_t *list_get(partition_t *self, key_entry_t *entry)
{
    skip_list_t *list = list_of(self, entry);
    if (!list) {
        list = calloc(1, sizeof *list);
        ENSURE(list);
        list->entry = entry;
        map_add(&self->skip_lists, hash_of(self, entry), list);
        entry->row.skipped = true;
    }
    return list;
}

/* The first row that ends at the sequence or behind it; `count` when none does. */
static size_t find_place(const skip_list_t *list, uint64_t sequence)
{
    size_t low = 0;
    size_t high = list->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (list->list[middle]->last < sequence) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

skip_entry_t *skip_find(const partition_t *self, const key_entry_t *entry, uint64_t sequence)
{
    const skip_list_t *list = list_of(self, entry);
    size_t at = list ? find_place(list, sequence) : 0;
    return list && at < list->count && list->list[at]->first <= sequence ? list->list[at] : NULL;
}

static skip_entry_t *add(partition_t *self, key_entry_t *entry, const skip_t *from)
{
    skip_list_t *list = list_get(self, entry);
    if (list->count == list->capacity) {
        list->capacity = list->capacity > 0 ? list->capacity * 2 : 2;
        list->list = realloc(list->list, list->capacity * sizeof *list->list);
        ENSURE(list->list);
    }
    skip_entry_t *skip = calloc(1, sizeof *skip + from->reason.size);
    ENSURE(skip);
    *skip = (skip_entry_t){.row = {.kind = ROW_SKIP},
                           .entry = entry,
                           .first = from->first,
                           .last = from->last,
                           .at_us = from->at_us,
                           .since_us = from->since_us,
                           .producer_epoch = from->producer_epoch,
                           .verdict = (gap_verdict_t)from->verdict,
                           .reason_size = from->reason.size};
    if (from->reason.size > 0) {
        memcpy(skip->reason, from->reason.data, from->reason.size);
    }
    size_t at = find_place(list, skip->first);
    memmove(&list->list[at + 1], &list->list[at], (list->count - at) * sizeof(skip_entry_t *));
    list->list[at] = skip;
    list->count++;
    self->skips++;
    return skip;
}

uint64_t skip_left(const partition_t *self, const key_entry_t *entry)
{
    const skip_list_t *list = list_of(self, entry);
    uint64_t left = 0;
    for (size_t i = 0; list && i < list->count; i++) {
        left += list->list[i]->last - list->list[i]->first + 1 - list->list[i]->filled_count;
    }
    return left;
}

bool skip_is_filled(const skip_entry_t *skip, uint64_t sequence)
{
    return completed_has(&skip->filled, sequence - skip->first + 1);
}

void skip_fill(partition_t *self, skip_entry_t *skip, uint64_t sequence)
{
    uint64_t place = sequence - skip->first + 1;
    self->skip_stretches -= completed_range_count(&skip->filled);
    completed_add(&skip->filled, place, place);
    self->skip_stretches += completed_range_count(&skip->filled);
    skip->filled_count++;
    row_changed(self, &skip->row);
}

bool skips_are_full(const partition_t *self)
{
    return self->skips + self->skip_stretches >= self->limits.skips_max;
}

static skip_t describe(const partition_t *self, const skip_entry_t *skip)
{
    return (skip_t){.producer = producer_name(producer_of(self, skip->entry)),
                    .key = key_name(skip->entry),
                    .first = skip->first,
                    .last = skip->last,
                    .verdict = skip->verdict,
                    .at_us = skip->at_us,
                    .since_us = skip->since_us,
                    .producer_epoch = skip->producer_epoch,
                    .reason = slice_of(skip->reason, skip->reason_size)};
}

void skip_encode(partition_t *self, const skip_entry_t *skip, buffer_t *out)
{
    skip_t value = describe(self, skip);
    if (!completed_is_empty(&skip->filled)) {
        buffer_clear(&self->row_list);
        completed_encode(&skip->filled, 0, &self->row_list);
        value.filled = buffer_slice(&self->row_list);
    }
    codec_encode(skip_wire(), &value, out);
}

void skips_encode(partition_t *self, const key_entry_t *entry, buffer_t *out)
{
    const skip_list_t *skips = list_of(self, entry);
    buffer_t record = {0};
    codec_list_writer_t list = codec_list_begin(out);
    for (size_t i = 0; skips && i < skips->count; i++) {
        buffer_clear(&record);
        skip_encode(self, skips->list[i], &record);
        codec_list_add_raw(&list, buffer_slice(&record));
    }
    codec_list_end(&list);
    buffer_fini(&record);
}

static int newest_first(const void *a, const void *b)
{
    const skip_entry_t *left = *(skip_entry_t *const *)a;
    const skip_entry_t *right = *(skip_entry_t *const *)b;
    return left->at_us != right->at_us
               ? (left->at_us < right->at_us) - (left->at_us > right->at_us)
               : (left->first < right->first) - (left->first > right->first);
}

size_t partition_skips(const partition_t *self, skip_t *ret_skips, size_t count)
{
    skip_entry_t **all = calloc(self->skips + 1, sizeof(skip_entry_t *));
    ENSURE(all);
    size_t found = 0;
    size_t position = 0;
    for (skip_list_t *list; (list = map_next(&self->skip_lists, &position));) {
        for (size_t i = 0; i < list->count; i++) {
            all[found++] = list->list[i];
        }
    }
    qsort(all, found, sizeof(skip_entry_t *), newest_first);
    found = found < count ? found : count;
    for (size_t i = 0; i < found; i++) {
        ret_skips[i] = describe(self, all[i]);
    }
    free(all);
    return found;
}

void skips_touch(partition_t *self)
{
    size_t position = 0;
    for (skip_list_t *list; (list = map_next(&self->skip_lists, &position));) {
        for (size_t i = 0; i < list->count; i++) {
            row_changed(self, &list->list[i]->row);
        }
    }
}

void skips_fini(partition_t *self)
{
    size_t position = 0;
    for (skip_list_t *list; (list = map_next(&self->skip_lists, &position));) {
        for (size_t i = 0; i < list->count; i++) {
            completed_fini(&list->list[i]->filled);
            free(list->list[i]);
        }
        free(list->list);
        free(list);
    }
    map_fini(&self->skip_lists);
}

/* --- verdicts -------------------------------------------------------------------------------- */

static skip_entry_t *give_up(partition_t *self, key_entry_t *entry, const skip_t *request,
                             partition_effects_t *effects)
{
    skip_entry_t *skip = add(self, entry, request);
    if (entry->hold) {
        skip->since_us = entry->hold->since_us;
    }
    size_t data_at = effects->bytes.size;
    skip_encode(self, skip, &effects->bytes);
    partition_add_append(effects, RECORD_skip, data_at, 0);
    self->skipped += skip->last - skip->first + 1;
    entry->accepted = skip->last;
    row_changed(self, &skip->row);
    row_changed(self, &entry->row);
    partition_release(self, entry, effects, KEY_INPUT_skip, KEY_INPUT_skip_last);
    return skip;
}

static capstan_err_t check_names(const partition_t *self, const skip_t *request)
{
    bool good = self->limits.mode == SEQUENCE_PRODUCER && request->key.size > 0 &&
                request->key.size <= KEY_BYTES_MAX && request->producer.size > 0 &&
                request->producer.size <= PRODUCER_BYTES_MAX &&
                request->reason.size <= REASON_BYTES_MAX && request->last <= SEQUENCE_MAX &&
                (request->last == 0 || request->first <= request->last);
    return good ? CAPSTAN_OK : CAPSTAN_E_INVALID;
}

/* Fills in what the request leaves open, and says whether all of it is missing, or was given up
 * before (EXISTS). */
static capstan_err_t check_missing(const partition_t *self, const key_entry_t *entry, skip_t *what)
{
    uint64_t accepted = entry ? entry->accepted : 0;
    const hold_t *hold = entry ? entry->hold : NULL;
    what->first = what->first > 0 ? what->first : accepted + 1;
    if (what->last == 0) {
        what->last = hold ? hold->list[0].sequence - 1 : 0;
    }
    if (what->last < what->first ||
        (!hold && what->verdict == GAP_FORCED && what->last > accepted)) {
        return CAPSTAN_E_NOT_MISSING;
    }
    if (what->last <= accepted) {
        const skip_entry_t *skip = skip_find(self, entry, what->first);
        return skip && what->last <= skip->last ? CAPSTAN_E_EXISTS : CAPSTAN_E_NOT_MISSING;
    }
    if (what->first <= accepted || (hold && what->last >= hold->list[0].sequence)) {
        return CAPSTAN_E_NOT_MISSING;
    }
    return what->first > accepted + 1 ? CAPSTAN_E_OUT_OF_ORDER : CAPSTAN_OK;
}

capstan_err_t partition_skip(partition_t *self, const skip_t *request, skip_t *ret,
                             partition_effects_t *effects)
{
    capstan_err_t err = check_names(self, request);
    if (err) {
        return err;
    }
    producer_t *producer = producer_find(self, request->producer);
    uint64_t epoch = producer ? producer->epoch : 0;
    if (request->verdict == GAP_DEAD && request->producer_epoch < epoch) {
        return CAPSTAN_E_FENCED;
    }
    key_entry_t *entry = producer ? key_find(self, producer, request->key) : NULL;
    skip_t what = *request;
    err = check_missing(self, entry, &what);
    if (err == CAPSTAN_E_EXISTS) {
        *ret = describe(self, skip_find(self, entry, what.first));
        return CAPSTAN_OK;
    }
    if (!err && skips_are_full(self)) {
        err = CAPSTAN_E_LIMIT;
    }
    if (err) {
        return err;
    }
    if (request->verdict == GAP_DEAD && request->producer_epoch > epoch) {
        partition_fence(self, request->producer, request->producer_epoch, effects);
    }
    entry = entry ? entry : key_get(self, producer_get(self, request->producer), request->key);
    *ret = describe(self, give_up(self, entry, &what, effects));
    return CAPSTAN_OK;
}

static int64_t gap_due_us(const partition_t *self)
{
    bool waits = self->limits.gap_timeout_us > 0 && self->gap_count > 0 && !skips_are_full(self);
    return waits ? self->gaps[0]->since_us + self->limits.gap_timeout_us : INT64_MAX;
}

int64_t partition_due_us(const partition_t *self)
{
    return self->limits.mode == SEQUENCE_ARRIVAL ? schedule_due_us(self) : gap_due_us(self);
}

void partition_expire(partition_t *self, int64_t now_us, partition_effects_t *effects)
{
    schedule_release(self, now_us, effects);
    for (size_t i = 0; i < EXPIRED_AT_ONCE && gap_due_us(self) <= now_us; i++) {
        key_entry_t *entry = self->gaps[0]->entry;
        (void)!give_up(self, entry,
                       &(skip_t){.first = entry->accepted + 1,
                                 .last = entry->hold->list[0].sequence - 1,
                                 .verdict = GAP_FORCED,
                                 .at_us = now_us,
                                 .reason = slice_text("the gap's timeout")},
                       effects);
    }
}

/* --- recovery -------------------------------------------------------------------------------- */

static bool is_sound(const skip_t *skip)
{
    return skip->producer.size > 0 && skip->producer.size <= PRODUCER_BYTES_MAX &&
           skip->key.size > 0 && skip->key.size <= KEY_BYTES_MAX && skip->first > 0 &&
           skip->first <= skip->last && skip->last <= SEQUENCE_MAX &&
           (skip->verdict == GAP_DEAD || skip->verdict == GAP_FORCED);
}

/* To what is known of it already. */
static capstan_err_t load_filled(partition_t *self, skip_entry_t *skip, slice_t filled)
{
    uint64_t size = skip->last - skip->first + 1;
    self->skip_stretches -= completed_range_count(&skip->filled);
    if (filled.size > 0 && completed_decode(&skip->filled, filled)) {
        return CAPSTAN_E_STORE_CORRUPT;
    }
    const completed_t *all = &skip->filled;
    skip->filled_count = all->frontier;
    uint64_t last = all->frontier;
    for (size_t i = 0; i < all->count; i++) {
        const offset_range_t *range = completed_range(all, i);
        skip->filled_count += range->last - range->first + 1;
        last = range->last;
    }
    self->skip_stretches += completed_range_count(all);
    return last <= size ? CAPSTAN_OK : CAPSTAN_E_STORE_CORRUPT;
}

/* The ledger's row and the key's may have been saved at different times: each is judged by
 * itself. */
capstan_err_t skip_load(partition_t *self, slice_t value, bool from_log)
{
    skip_t skip;
    if (codec_decode(skip_wire(), value, &skip, NULL) || !is_sound(&skip)) {
        return CAPSTAN_E_STORE_CORRUPT;
    }
    key_entry_t *entry = key_get(self, producer_get(self, skip.producer), skip.key);
    if (!skip_find(self, entry, skip.first)) {
        skip_entry_t *added = add(self, entry, &skip);
        if (load_filled(self, added, skip.filled)) {
            return CAPSTAN_E_STORE_CORRUPT;
        }
        if (from_log) {
            row_changed(self, &added->row);
        }
    }
    if (!from_log || skip.last <= entry->accepted) {
        return CAPSTAN_OK;
    }
    const hold_t *hold = entry->hold;
    if (skip.first != entry->accepted + 1 || (hold && hold->list[0].sequence <= skip.last)) {
        return CAPSTAN_E_STORE_CORRUPT;
    }
    /* What it released follows in the log, and takes the held ones away. */
    entry->accepted = skip.last;
    row_changed(self, &entry->row);
    key_step(self, entry, hold ? KEY_INPUT_skip : KEY_INPUT_skip_last);
    return CAPSTAN_OK;
}

capstan_err_t skip_merge(partition_t *self, slice_t value)
{
    skip_t skip;
    if (codec_decode(skip_wire(), value, &skip, NULL) || !is_sound(&skip)) {
        return CAPSTAN_E_STORE_CORRUPT;
    }
    key_entry_t *entry = key_get(self, producer_get(self, skip.producer), skip.key);
    skip_entry_t *known = skip_find(self, entry, skip.first);
    known = known ? known : add(self, entry, &skip);
    row_changed(self, &known->row);
    return known->last == skip.last ? load_filled(self, known, skip.filled)
                                    : CAPSTAN_E_STORE_CORRUPT;
}

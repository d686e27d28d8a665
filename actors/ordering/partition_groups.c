#include "actors/ordering/partition_groups.h"

#include "actors/ordering/erase.h"
#include "runtime/base/ensure.h"

#include <stdlib.h>
#include <string.h>

enum {
    ROW_GROUP = 'f',
    ROW_PARKED = 'q',
    FIELD_OFFSET = 1, /* of record `event` */
};

void partition_groups_fini(partition_groups_t *self)
{
    for (size_t i = 0; i < self->count; i++) {
        stored_group_t *group = &self->list[i];
        completed_fini(&group->completed);
        buffer_fini(&group->policy);
        buffer_fini(&group->beginning);
        buffer_fini(&group->places);
        for (size_t k = 0; k < group->parked_count; k++) {
            free(group->parked[k]);
        }
        free(group->parked);
    }
    free(self->list);
    *self = (partition_groups_t){0};
}

stored_group_t *partition_groups_find(const partition_groups_t *self, slice_t name)
{
    for (size_t i = 0; i < self->count; i++) {
        if (slice_equal(slice_text(self->list[i].name), name)) {
            return &self->list[i];
        }
    }
    return NULL;
}

static stored_group_t *get(partition_groups_t *self, slice_t name)
{
    stored_group_t *group = partition_groups_find(self, name);
    if (group) {
        return group;
    }
    self->list = realloc(self->list, (self->count + 1) * sizeof *self->list);
    ENSURE(self->list);
    group = &self->list[self->count++];
    *group = (stored_group_t){0};
    memcpy(group->name, name.data, name.size);
    return group;
}

/* --- sets of offsets as lists of stretches --------------------------------------------------- */

void completed_encode(const completed_t *completed, uint64_t partition, buffer_t *out)
{
    codec_list_writer_t list = codec_list_begin(out);
    if (completed->frontier > 0) {
        codec_list_add(
            &list, position_wire(),
            &(position_t){.partition = partition, .first = 1, .offset = completed->frontier});
    }
    for (size_t i = 0; i < completed->count; i++) {
        const offset_range_t *range = completed_range(completed, i);
        codec_list_add(
            &list, position_wire(),
            &(position_t){.partition = partition, .first = range->first, .offset = range->last});
    }
    codec_list_end(&list);
}

capstan_err_t completed_decode(completed_t *completed, slice_t positions)
{
    codec_list_t list;
    position_t position;
    if (codec_list_open(position_wire(), positions, &list) != CAPSTAN_OK) {
        return CAPSTAN_E_MALFORMED;
    }
    while (codec_list_next(&list, &position)) {
        uint64_t first = position.first > 0 ? position.first : 1;
        if (position.offset < first || position.offset == UINT64_MAX) {
            return CAPSTAN_E_MALFORMED;
        }
        completed_add(completed, first, position.offset);
    }
    return list.fault.err ? CAPSTAN_E_MALFORMED : CAPSTAN_OK;
}

/* --- parked events --------------------------------------------------------------------------- */

static size_t find_place(const stored_group_t *group, uint64_t offset)
{
    size_t low = 0;
    size_t high = group->parked_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (group->parked[middle]->offset < offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

static capstan_err_t add_parked(stored_group_t *group, slice_t data)
{
    parked_t parked;
    uint64_t offset;
    if (codec_decode(parked_wire(), data, &parked, NULL) != CAPSTAN_OK ||
        !codec_peek_uint(parked.event, FIELD_OFFSET, &offset)) {
        return CAPSTAN_E_MALFORMED;
    }
    if (offset == 0 || offset == UINT64_MAX) {
        return CAPSTAN_E_MALFORMED;
    }
    completed_add(&group->completed, offset, offset);
    size_t at = find_place(group, offset);
    parked_event_t *known = at < group->parked_count ? group->parked[at] : NULL;
    if (known && known->offset == offset && !known->gone) {
        return CAPSTAN_OK;
    }
    parked_event_t *event = malloc(sizeof *event + data.size);
    ENSURE(event);
    *event = (parked_event_t){.offset = offset, .changed = true, .size = data.size};
    memcpy(event->data, data.data, data.size);
    if (known && known->offset == offset) {
        free(known);
        group->parked[at] = event;
        return CAPSTAN_OK;
    }
    if (group->parked_count == group->parked_capacity) {
        group->parked_capacity = group->parked_capacity > 0 ? group->parked_capacity * 2 : 8;
        group->parked = realloc(group->parked, group->parked_capacity * sizeof(parked_event_t *));
        ENSURE(group->parked);
    }
    memmove(group->parked + at + 1, group->parked + at,
            (group->parked_count - at) * sizeof(parked_event_t *));
    group->parked[at] = event;
    group->parked_count++;
    return CAPSTAN_OK;
}

static void remove_parked(stored_group_t *group, uint64_t offset)
{
    size_t at = find_place(group, offset);
    if (at < group->parked_count && group->parked[at]->offset == offset) {
        group->parked[at]->gone = group->parked[at]->changed = true;
    }
}

/* --- marks ----------------------------------------------------------------------------------- */

static capstan_err_t apply_parked(stored_group_t *group, const group_mark_t *mark)
{
    codec_list_t list;
    position_t position;
    capstan_err_t err = codec_list_open(parked_wire(), mark->parked, &list);
    for (slice_t record; err == CAPSTAN_OK && codec_list_next_raw(&list, &record);) {
        err = add_parked(group, record);
    }
    err = err ? err : list.fault.err;
    err = err ? err : codec_list_open(position_wire(), mark->unparked, &list);
    while (err == CAPSTAN_OK && codec_list_next(&list, &position)) {
        remove_parked(group, position.offset);
    }
    return err ? err : list.fault.err;
}

static void keep(buffer_t *buffer, slice_t bytes)
{
    buffer_clear(buffer);
    buffer_append(buffer, bytes.data, bytes.size);
}

capstan_err_t partition_groups_apply(partition_groups_t *self, slice_t bytes)
{
    group_mark_t mark;
    if (codec_decode(group_mark_wire(), bytes, &mark, NULL) != CAPSTAN_OK || mark.group.size == 0) {
        return CAPSTAN_E_MALFORMED;
    }
    if (mark.group.size > GROUP_NAME_MAX) {
        return CAPSTAN_E_TOO_LARGE;
    }
    if (self->count >= PARTITION_GROUPS_MAX && !partition_groups_find(self, mark.group)) {
        return CAPSTAN_E_LIMIT;
    }
    stored_group_t *group = get(self, mark.group);
    group->changed = true;
    group->lsn = mark.lsn > group->lsn ? mark.lsn : group->lsn;
    if (mark.policy.size > 0) {
        keep(&group->policy, mark.policy);
    }
    if (mark.beginning.size > 0) {
        keep(&group->beginning, mark.beginning);
        keep(&group->places, mark.places);
    }
    capstan_err_t err = completed_decode(&group->completed, mark.done);
    err = err ? err : apply_parked(group, &mark);
    return err ? CAPSTAN_E_MALFORMED : CAPSTAN_OK;
}

/* --- rows ------------------------------------------------------------------------------------ */

static bool erase(parked_event_t **place, slice_t key)
{
    parked_event_t *old = *place;
    parked_t parked;
    buffer_t left = {0};
    slice_t data = slice_of(old->data, old->size);
    if (codec_decode(parked_wire(), data, &parked, NULL) != CAPSTAN_OK ||
        !erase_concerns(parked.event, key) || erase_parked(data, &left) != CAPSTAN_OK) {
        buffer_fini(&left);
        return false;
    }
    parked_event_t *event = malloc(sizeof *event + left.size);
    ENSURE(event);
    *event = *old;
    event->changed = true;
    event->size = left.size;
    memcpy(event->data, left.data, left.size);
    buffer_fini(&left);
    free(old);
    *place = event;
    return true;
}

uint64_t partition_groups_erase(partition_groups_t *self, slice_t key)
{
    uint64_t count = 0;
    for (size_t i = 0; i < self->count; i++) {
        for (size_t k = 0; k < self->list[i].parked_count; k++) {
            count += erase(&self->list[i].parked[k], key);
        }
    }
    return count;
}

uint64_t partition_groups_expire(partition_groups_t *self, uint64_t offset)
{
    uint64_t unread = 0;
    for (size_t i = 0; i < self->count; i++) {
        completed_t *completed = &self->list[i].completed;
        if (completed->frontier >= offset) {
            continue;
        }
        unread += offset - completed->frontier;
        for (size_t k = 0; k < completed->count; k++) {
            const offset_range_t *range = completed_range(completed, k);
            uint64_t last = range->last < offset ? range->last : offset;
            unread -= range->first <= last ? last - range->first + 1 : 0;
        }
        completed_add(completed, 1, offset);
        self->list[i].changed = true;
    }
    return unread;
}

bool partition_groups_owns_row(slice_t key)
{
    uint8_t kind = key.size > 0 ? *(const uint8_t *)key.data : 0;
    return kind == ROW_GROUP || kind == ROW_PARKED;
}

capstan_err_t partition_groups_load_row(partition_groups_t *self, slice_t key, slice_t value)
{
    const uint8_t *bytes = key.data;
    if (bytes[0] == ROW_GROUP) {
        return partition_groups_apply(self, value) ? CAPSTAN_E_STORE_CORRUPT : CAPSTAN_OK;
    }
    size_t name_size = key.size > 1 ? bytes[1] : 0;
    if (name_size == 0 || name_size > GROUP_NAME_MAX ||
        key.size != 2 + name_size + sizeof(uint64_t)) {
        return CAPSTAN_E_STORE_CORRUPT;
    }
    stored_group_t *group = get(self, slice_of(bytes + 2, name_size));
    return add_parked(group, value) ? CAPSTAN_E_STORE_CORRUPT : CAPSTAN_OK;
}

static void save_group(stored_group_t *group, partition_groups_row_fn *add, void *context)
{
    buffer_t key = {0};
    buffer_t done = {0};
    buffer_t value = {0};
    slice_t name = slice_text(group->name);
    buffer_append(&key, &(uint8_t){ROW_GROUP}, 1);
    buffer_append(&key, name.data, name.size);
    completed_encode(&group->completed, 0, &done);
    codec_encode(group_mark_wire(),
                 &(group_mark_t){.group = name,
                                 .lsn = group->lsn,
                                 .done = buffer_slice(&done),
                                 .policy = buffer_slice(&group->policy),
                                 .beginning = buffer_slice(&group->beginning),
                                 .places = buffer_slice(&group->places)},
                 &value);
    add(context, buffer_slice(&key), buffer_slice(&value));
    group->changed = false;
    buffer_fini(&key);
    buffer_fini(&done);
    buffer_fini(&value);
}

static void save_parked(const stored_group_t *group, parked_event_t *event,
                        partition_groups_row_fn *add, void *context)
{
    buffer_t key = {0};
    slice_t name = slice_text(group->name);
    const uint8_t head[2] = {ROW_PARKED, (uint8_t)name.size};
    buffer_append(&key, head, sizeof head);
    buffer_append(&key, name.data, name.size);
    for (int shift = 56; shift >= 0; shift -= 8) {
        buffer_append(&key, &(uint8_t){(uint8_t)(event->offset >> shift)}, 1);
    }
    add(context, buffer_slice(&key),
        event->gone ? (slice_t){0} : slice_of(event->data, event->size));
    event->changed = false;
    buffer_fini(&key);
}

void partition_groups_save(partition_groups_t *self, partition_groups_row_fn *add, void *context)
{
    for (size_t i = 0; i < self->count; i++) {
        stored_group_t *group = &self->list[i];
        if (group->changed) {
            save_group(group, add, context);
        }
        for (size_t k = 0; k < group->parked_count; k++) {
            if (group->parked[k]->changed) {
                save_parked(group, group->parked[k], add, context);
            }
        }
    }
}

void partition_groups_touch(partition_groups_t *self)
{
    for (size_t i = 0; i < self->count; i++) {
        self->list[i].changed = true;
        for (size_t k = 0; k < self->list[i].parked_count; k++) {
            self->list[i].parked[k]->changed = true;
        }
    }
}

void partition_groups_saved(partition_groups_t *self)
{
    for (size_t i = 0; i < self->count; i++) {
        stored_group_t *group = &self->list[i];
        size_t kept = 0;
        for (size_t k = 0; k < group->parked_count; k++) {
            parked_event_t *event = group->parked[k];
            if (event->gone && !event->changed) {
                free(event);
            } else {
                group->parked[kept++] = event;
            }
        }
        group->parked_count = kept;
    }
}

/* --- what a group asks when it begins -------------------------------------------------------- */

void partition_groups_describe(const stored_group_t *group, buffer_t *done, buffer_t *waiting,
                               group_stored_t *ret_stored)
{
    codec_list_writer_t list = codec_list_begin(waiting);
    for (size_t i = 0; i < group->parked_count; i++) {
        const parked_event_t *event = group->parked[i];
        parked_t parked;
        slice_t key;
        if (event->gone ||
            codec_decode(parked_wire(), slice_of(event->data, event->size), &parked, NULL)) {
            continue;
        }
        ret_stored->parked++;
        ret_stored->parked_bytes += parked.event.size;
        if (parked.waits && codec_peek_slice(parked.event, 2, &key)) {
            codec_list_add(&list, waiting_key_wire(), &(waiting_key_t){.key = key});
        }
    }
    codec_list_end(&list);
    completed_encode(&group->completed, ret_stored->partition, done);
    ret_stored->known = true;
    ret_stored->lsn = group->lsn;
    ret_stored->done = buffer_slice(done);
    ret_stored->waiting = buffer_slice(waiting);
    ret_stored->policy = buffer_slice(&group->policy);
    ret_stored->beginning = buffer_slice(&group->beginning);
    ret_stored->places = buffer_slice(&group->places);
}

static uint64_t count_completed(const completed_t *completed)
{
    uint64_t count = completed->frontier;
    for (size_t i = 0; i < completed->count; i++) {
        const offset_range_t *range = completed_range(completed, i);
        count += range->last - range->first + 1;
    }
    return count;
}

void partition_groups_list(const partition_groups_t *self, buffer_t *out)
{
    codec_list_writer_t list = codec_list_begin(out);
    for (size_t i = 0; i < self->count; i++) {
        const stored_group_t *group = &self->list[i];
        group_progress_t progress = {.group = slice_text(group->name),
                                     .completed = count_completed(&group->completed)};
        for (size_t k = 0; k < group->parked_count; k++) {
            progress.parked += !group->parked[k]->gone;
        }
        codec_list_add(&list, group_progress_wire(), &progress);
    }
    codec_list_end(&list);
}

uint64_t partition_groups_parked(const stored_group_t *group, uint64_t offset, uint64_t events_max,
                                 size_t bytes_max, buffer_t *out, bool *ret_more)
{
    uint64_t last = 0;
    uint64_t count = 0;
    codec_list_writer_t list = codec_list_begin(out);
    *ret_more = false;
    for (size_t i = find_place(group, offset + 1); i < group->parked_count; i++) {
        const parked_event_t *event = group->parked[i];
        if (event->gone) {
            continue;
        }
        if (count > 0 && (count == events_max || out->size + event->size > bytes_max)) {
            *ret_more = true;
            break;
        }
        codec_list_add_raw(&list, slice_of(event->data, event->size));
        last = event->offset;
        count++;
    }
    codec_list_end(&list);
    return last;
}

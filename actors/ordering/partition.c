/* The rules of one partition: see partition.h. */
#include "actors/ordering/partition_ids.h"
#include "actors/ordering/partition_schedule.h"
#include "actors/ordering/partition_skip.h"
#include "actors/ordering/partition_time.h"

#include "runtime/base/ensure.h"

partition_t *partition_new(const partition_limits_t *limits)
{
    ENSURE(limits->mode == SEQUENCE_PRODUCER || limits->mode == SEQUENCE_ARRIVAL);
    partition_t *self = calloc(1, sizeof *self);
    ENSURE(self);
    self->limits = *limits;
    self->found = *limits;
    self->offset_next = 1;
    self->pass_stored = true; /* there is none */
    schedule_init(self);
    self->row = (row_t){.kind = ROW_PARTITION};
    self->watermark_us = INT64_MIN;
    return self;
}

void partition_limit(partition_t *self, const partition_limits_t *limits)
{
    self->limits.gap_timeout_us = limits->gap_timeout_us;
    self->limits.late_policy = limits->late_policy;
    self->limits.lateness_us = limits->lateness_us;
    self->limits.idle_us = limits->idle_us;
    self->limits.id_window_us = limits->id_window_us;
}

void partition_destroy(partition_t **self_p)
{
    partition_t *self = *self_p;
    if (!self) {
        return;
    }
    ids_fini(self); /* before the rows that changed go */
    holds_fini(self);
    skips_fini(self);
    watermark_fini(&self->sources);
    schedule_fini(self);
    keys_fini(self);
    buffer_fini(&self->row_key);
    buffer_fini(&self->row_value);
    buffer_fini(&self->row_list);
    free(self);
    *self_p = NULL;
}

void partition_effects_clear(partition_effects_t *self)
{
    self->count = 0;
    buffer_clear(&self->bytes);
}

void partition_effects_fini(partition_effects_t *self)
{
    free(self->list);
    buffer_fini(&self->bytes);
    *self = (partition_effects_t){0};
}

static partition_effect_t *add_effect(partition_effects_t *effects)
{
    if (effects->count == effects->capacity) {
        size_t capacity = effects->capacity > 0 ? effects->capacity * 2 : 64;
        partition_effect_t *list = realloc(effects->list, capacity * sizeof *list);
        ENSURE(list);
        effects->list = list;
        effects->capacity = capacity;
    }
    return &effects->list[effects->count++];
}

/* The record's bytes were appended to `effects->bytes` since it had the size `data_at`. */
void partition_add_append(partition_effects_t *effects, uint32_t record, size_t data_at,
                          uint64_t offset)
{
    *add_effect(effects) = (partition_effect_t){.kind = PARTITION_APPEND,
                                                .record = record,
                                                .data_at = data_at,
                                                .data_size = effects->bytes.size - data_at,
                                                .offset = offset};
}

static void answer(partition_effects_t *effects, uint64_t token, event_result_t result)
{
    *add_effect(effects) =
        (partition_effect_t){.kind = PARTITION_ANSWER, .token = token, .result = result};
}

static void reject(partition_t *self, partition_effects_t *effects, uint64_t token,
                   capstan_err_t err)
{
    self->rejected++;
    *add_effect(effects) = (partition_effect_t){
        .kind = PARTITION_ANSWER, .token = token, .result = EVENT_REJECTED, .err = err};
}

static void encode(const partition_t *self, int64_t now_us, uint64_t offset, event_mark_t mark,
                   const publish_t *event, buffer_t *out)
{
    bool numbered = self->limits.mode == SEQUENCE_PRODUCER ||
                    id_is_wanted(self, event->producer, event->sequence);
    bool whole = mark.diverted != DIVERTED_DROPPED;
    event_encode(&(event_t){.offset = offset,
                            .key = event->key,
                            .producer = event->producer,
                            .producer_epoch = event->producer_epoch,
                            .sequence = numbered ? event->sequence : 0,
                            .time_us = event->time_us,
                            .content_type = whole ? event->content_type : (slice_t){0},
                            .headers = whole ? event->headers : (slice_t){0},
                            .payload = whole ? event->payload : (slice_t){0},
                            .accepted_us = now_us,
                            .diverted = mark.diverted,
                            .late = mark.late,
                            .not_before_us = event->not_before_us},
                 out);
}

uint64_t partition_take_offset(partition_t *self)
{
    self->accepted++;
    row_changed(self, &self->row);
    return self->offset_next++;
}

/* `producer` is NULL in arrival topics. Returns the answer. */
static event_result_t append_accepted(partition_t *self, producer_t *producer, int64_t now_us,
                                      const publish_t *event, partition_effects_t *effects)
{
    event_mark_t mark = time_judge(self, now_us, event);
    size_t data_at = effects->bytes.size;
    uint64_t offset = partition_take_offset(self);
    encode(self, now_us, offset, mark, event, &effects->bytes);
    partition_add_append(effects, RECORD_event, data_at, offset);
    time_take(self, producer, now_us, event, mark, effects);
    return mark.diverted == DIVERTED_NOT    ? EVENT_STORED
           : mark.diverted == DIVERTED_LATE ? EVENT_DIVERTED
                                            : EVENT_DROPPED;
}

static event_result_t accept_next(partition_t *self, key_entry_t *entry, int64_t now_us,
                                  const publish_t *event, partition_effects_t *effects)
{
    event_result_t result = append_accepted(self, producer_of(self, entry), now_us, event, effects);
    entry->accepted++;
    row_changed(self, &entry->row);
    if (!entry->hold) {
        key_step(self, entry, KEY_INPUT_next);
        return result;
    }
    self->filled += entry->hold->list[0].sequence == entry->accepted + 1;
    partition_release(self, entry, effects, KEY_INPUT_fill, KEY_INPUT_fill_last);
    return result;
}

void partition_release(partition_t *self, key_entry_t *entry, partition_effects_t *effects,
                       key_input_t some, key_input_t all)
{
    const hold_t *hold = entry->hold;
    size_t count = hold ? hold->count : 0;
    size_t released = 0;
    while (released < count && hold->list[released].sequence == entry->accepted + 1) {
        const held_event_t *held = &hold->list[released];
        size_t data_at = effects->bytes.size;
        uint64_t offset = partition_take_offset(self);
        event_encode_released(slice_of(held->data, held->size), offset, &effects->bytes);
        partition_add_append(effects, RECORD_event, data_at, offset);
        entry->accepted++;
        released++;
    }
    key_step(self, entry, released == count ? all : some);
    if (released > 0) {
        hold_forget(self, entry, released);
    }
}

/* An event whose sequence was given up: it is kept, outside its key's order. */
static void divert(partition_t *self, key_entry_t *entry, skip_entry_t *skip, int64_t now_us,
                   uint64_t token, const publish_t *event, partition_effects_t *effects)
{
    if (skip_is_filled(skip, event->sequence)) {
        key_step(self, entry, KEY_INPUT_duplicate);
        self->duplicates++;
        answer(effects, token, EVENT_DUPLICATE);
    } else if (skips_are_full(self)) {
        reject(self, effects, token, CAPSTAN_E_LIMIT);
    } else {
        skip_fill(self, skip, event->sequence);
        size_t data_at = effects->bytes.size;
        uint64_t offset = partition_take_offset(self);
        event_mark_t mark = {.diverted = DIVERTED_SKIPPED};
        encode(self, now_us, offset, mark, event, &effects->bytes);
        partition_add_append(effects, RECORD_event, data_at, offset);
        time_take(self, producer_of(self, entry), now_us, event, mark, effects);
        key_step(self, entry, KEY_INPUT_divert);
        self->diverted++;
        answer(effects, token, EVENT_DIVERTED);
    }
}

static key_entry_t *make_key(partition_t *self, const publish_t *event)
{
    return key_get(self, producer_get(self, event->producer), event->key);
}

/* An event behind a gap. It is encoded before it is known whether there is room for it: the bound
 * is one of encoded bytes. */
static void hold_or_refuse(partition_t *self, key_entry_t *entry, int64_t now_us, uint64_t token,
                           const publish_t *event, partition_effects_t *effects)
{
    const hold_t *hold = entry ? entry->hold : NULL;
    /* What was too old stays so when the clock steps back. */
    bool blocked = entry && entry->row.phase == KEY_BLOCKED;
    if (blocked || (hold && now_us - hold->since_us > self->limits.hold_us_max)) {
        key_step(self, entry, blocked ? KEY_INPUT_refuse : KEY_INPUT_expire);
        reject(self, effects, token, CAPSTAN_E_OUT_OF_ORDER);
        return;
    }
    size_t data_at = effects->bytes.size;
    event_mark_t mark = time_judge(self, now_us, event);
    encode(self, now_us, 0, mark, event, &effects->bytes);
    size_t size = effects->bytes.size - data_at;
    if (self->held_items >= self->limits.held_items_max ||
        self->held_bytes + size > self->limits.held_bytes_max ||
        (hold && hold->count >= self->limits.key_held_items_max)) {
        effects->bytes.size = data_at;
        key_step(self, entry, KEY_INPUT_refuse);
        reject(self, effects, token, CAPSTAN_E_OUT_OF_ORDER);
        return;
    }
    entry = entry ? entry : make_key(self, event);
    hold_add(self, entry, event->sequence, now_us, slice_of(effects->bytes.data + data_at, size));
    row_changed(self, &entry->row);
    key_step(self, entry, KEY_INPUT_ahead);
    partition_add_append(effects, RECORD_event, data_at, 0);
    time_take(self, producer_of(self, entry), now_us, event, mark, effects);
    answer(effects, token, EVENT_HELD);
}

/* `entry` is NULL for a key that is not known; a rejected event does not make it known. */
static void publish_numbered(partition_t *self, key_entry_t *entry, int64_t now_us, uint64_t token,
                             const publish_t *event, partition_effects_t *effects)
{
    uint64_t accepted = entry ? entry->accepted : 0;
    skip_entry_t *skip =
        entry && entry->row.skipped ? skip_find(self, entry, event->sequence) : NULL;
    if (skip) {
        divert(self, entry, skip, now_us, token, event, effects);
    } else if (event->sequence == accepted + 1) {
        entry = entry ? entry : make_key(self, event);
        answer(effects, token, accept_next(self, entry, now_us, event, effects));
    } else if (event->sequence <= accepted || (entry && hold_contains(entry, event->sequence))) {
        key_step(self, entry, KEY_INPUT_duplicate);
        self->duplicates++;
        answer(effects, token, EVENT_DUPLICATE);
    } else {
        hold_or_refuse(self, entry, now_us, token, event, effects);
    }
}

/* An event whose time has not come. It is judged when it is put in order. */
static void schedule_or_refuse(partition_t *self, int64_t now_us, uint64_t token,
                               const publish_t *event, partition_effects_t *effects)
{
    buffer_t *record = &self->row_list;
    buffer_clear(record);
    encode(self, now_us, 0, (event_mark_t){0}, event, record);
    capstan_err_t err = schedule_add(self, buffer_slice(record), effects);
    if (err) {
        reject(self, effects, token, err);
    } else {
        answer(effects, token, EVENT_STORED);
        effects->list[effects->count - 1].scheduled = true;
    }
}

static void publish_arriving(partition_t *self, int64_t now_us, uint64_t token,
                             const publish_t *event, partition_effects_t *effects)
{
    bool has_id = id_is_wanted(self, event->producer, event->sequence);
    ids_expire(self, now_us);
    schedule_release(self, now_us, effects); /* what is due comes before what comes now */
    if (has_id && (id_is_known(self, event->producer, event->sequence) ||
                   schedule_has_id(self, event->producer, event->sequence))) {
        self->duplicates++;
        answer(effects, token, EVENT_DUPLICATE);
    } else if (has_id && self->ids.count + self->schedule->by_id.count >= self->limits.ids_max) {
        reject(self, effects, token, CAPSTAN_E_LIMIT);
    } else if (event->not_before_us > now_us) {
        schedule_or_refuse(self, now_us, token, event, effects);
    } else {
        event_result_t result = append_accepted(self, NULL, now_us, event, effects);
        if (has_id) {
            id_add(self, event->producer, event->sequence, now_us);
        }
        answer(effects, token, result);
    }
}

static capstan_err_t check_sizes(const partition_t *self, const publish_t *event)
{
    bool anonymous = self->limits.mode == SEQUENCE_ARRIVAL;
    if (event->key.size == 0 || (event->producer.size == 0 && !anonymous)) {
        return CAPSTAN_E_FIELD_MISSING;
    }
    if (event->key.size > KEY_BYTES_MAX || event->producer.size > PRODUCER_BYTES_MAX) {
        return CAPSTAN_E_TOO_LARGE;
    }
    return CAPSTAN_OK;
}

void partition_publish(partition_t *self, int64_t now_us, uint64_t token, const publish_t *event,
                       partition_effects_t *effects)
{
    capstan_err_t err = check_sizes(self, event);
    err = err ? err : schedule_check(self, now_us, event);
    if (err) {
        reject(self, effects, token, err);
        return;
    }
    if (self->limits.mode == SEQUENCE_ARRIVAL) {
        publish_arriving(self, now_us, token, event, effects);
        return;
    }
    producer_t *producer = producer_find(self, event->producer);
    uint64_t epoch = producer ? producer->epoch : 0;
    /* Before everything else: a zombie hears that it is one, whatever it sends. */
    if (event->producer_epoch < epoch) {
        reject(self, effects, token, CAPSTAN_E_FENCED);
        return;
    }
    if (event->sequence == 0) {
        reject(self, effects, token, CAPSTAN_E_SEQUENCE_MISSING);
        return;
    }
    if (event->producer_epoch > epoch) {
        partition_fence(self, event->producer, event->producer_epoch, effects);
    }
    key_entry_t *entry = producer ? key_find(self, producer, event->key) : NULL;
    publish_numbered(self, entry, now_us, token, event, effects);
}

void partition_fence(partition_t *self, slice_t name, uint64_t producer_epoch,
                     partition_effects_t *effects)
{
    if (name.size == 0 || name.size > PRODUCER_BYTES_MAX) {
        return; /* no event can have such a name */
    }
    producer_t *producer = producer_find(self, name);
    if (producer_epoch <= (producer ? producer->epoch : 0)) {
        return;
    }
    producer = producer ? producer : producer_get(self, name);
    producer->epoch = producer_epoch;
    row_changed(self, &producer->row);
    size_t data_at = effects->bytes.size;
    producer_mark_t mark = {.producer = name, .producer_epoch = producer_epoch};
    codec_encode(producer_mark_wire(), &mark, &effects->bytes);
    partition_add_append(effects, RECORD_producer_mark, data_at, 0);
}

partition_figures_t partition_figures(const partition_t *self)
{
    partition_figures_t figures = {
        .offset_next = self->offset_next,
        .keys = self->keys.count + self->cold_count,
        .keys_cold = self->cold_count,
        .evicted = self->evicted,
        .held_items = self->held_items,
        .held_bytes = self->held_bytes,
        .gaps = self->gap_count,
        .oldest_gap_us = self->gap_count > 0 ? self->gaps[0]->since_us : 0,
        .accepted = self->accepted,
        .duplicates = self->duplicates,
        .rejected = self->rejected,
        .diverted = self->diverted,
        .filled = self->filled,
        .skipped = self->skipped,
        .skips = self->skips,
        .skips_full = skips_are_full(self),
        .watermark_us = self->watermark_us,
        .ids = self->ids.count,
        .late_delivered = self->late[LATE_DELIVER],
        .late_diverted = self->late[LATE_DIVERT],
        .late_dropped = self->late[LATE_DROP],
    };
    schedule_figures(self, &figures);
    return figures;
}

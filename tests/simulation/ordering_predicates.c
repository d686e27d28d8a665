#include "tests/simulation/ordering_predicates.h"

#include "actors/ordering/partition_cold.h"
#include "actors/ordering/partition_skip.h"
#include "tests/simulation/ordering_lookup.h"

typedef unsigned long long ull;

/* ---- the log, decoded ---- */

typedef struct record {
    uint32_t kind;
    uint32_t producer;
    uint32_t key;
    uint64_t sequence;
    uint64_t epoch;
    uint64_t last; /* RECORD_skip: `sequence` is the first */
    uint64_t verdict;
    uint64_t offset; /* 0: held */
    bool diverted;   /* its sequence had been given up */
    diversion_t mark;
    bool late;
    int64_t time_us;
    bool timeout; /* RECORD_skip: by the gap's timeout */
    int64_t taken_us;
    uint64_t hash;
    size_t size;
    bool intact; /* the payload is what the identity says */
} record_t;

/* What the log says about one identity; lsn 0: nothing. */
typedef struct identity {
    uint64_t lsn_first;
    uint64_t lsn_accepted;
    uint64_t lsn_skipped;
    uint64_t lsn_diverted;
    int64_t taken_us;
    size_t size;
} identity_t;

typedef struct model {
    const world_t *world;
    record_t *records; /* record of lsn n is records[n - 1] */
    size_t count;
    identity_t *identities;
    size_t base[WORLD_PRODUCERS_MAX][WORLD_KEYS_MAX];
    uint64_t accepted[WORLD_PRODUCERS_MAX][WORLD_KEYS_MAX];
} model_t;

static identity_t *find(const model_t *model, uint32_t producer, uint32_t key, uint64_t sequence)
{
    ENSURE(sequence <= model->world->sources[producer].key_last[key]);
    return &model->identities[model->base[producer][key] + sequence];
}

static record_t decode(const disk_record_t *from)
{
    record_t record = {.kind = from->kind, .size = from->size};
    slice_t data = slice_of(from->data, from->size);
    if (from->kind == RECORD_event) {
        event_t event;
        ENSURE(codec_decode(event_wire(), data, &event, NULL) == CAPSTAN_OK);
        record.producer = world_index(event.producer);
        record.key = world_index(event.key);
        record.sequence = event.sequence;
        record.epoch = event.producer_epoch;
        record.offset = event.offset;
        record.mark = (diversion_t)event.diverted;
        record.diverted = record.mark == DIVERTED_SKIPPED;
        record.late = event.late;
        record.time_us = event.time_us;
        record.taken_us = event.accepted_us;
        record.hash = world_hash(data);
        uint8_t payload[256];
        size_t size = world_payload(record.producer, record.key, record.sequence, payload);
        size = record.mark == DIVERTED_DROPPED ? 0 : size;
        record.intact = slice_equal(event.payload, slice_of(payload, size)) &&
                        event.time_us == (int64_t)event.sequence;
    } else if (from->kind == RECORD_producer_mark) {
        producer_mark_t mark;
        ENSURE(codec_decode(producer_mark_wire(), data, &mark, NULL) == CAPSTAN_OK);
        record.producer = world_index(mark.producer);
        record.epoch = mark.producer_epoch;
    } else if (from->kind == RECORD_watermark_mark) {
        watermark_mark_t mark;
        ENSURE(codec_decode(watermark_mark_wire(), data, &mark, NULL) == CAPSTAN_OK);
        record.time_us = mark.watermark_us;
    } else if (from->kind == RECORD_skip) {
        skip_t skip;
        ENSURE(codec_decode(skip_wire(), data, &skip, NULL) == CAPSTAN_OK);
        record.producer = world_index(skip.producer);
        record.key = world_index(skip.key);
        record.sequence = skip.first;
        record.last = skip.last;
        record.verdict = skip.verdict;
        record.epoch = skip.producer_epoch;
        record.taken_us = skip.at_us;
        record.timeout = skip.reason.size > 0;
    }
    return record;
}

static void note_skipped(const model_t *model, const record_t *record, uint64_t lsn)
{
    for (uint64_t sequence = record->sequence; sequence <= record->last; sequence++) {
        identity_t *identity = find(model, record->producer, record->key, sequence);
        identity->lsn_skipped = identity->lsn_skipped > 0 ? identity->lsn_skipped : lsn;
    }
}

static void note_event(const model_t *model, const record_t *record, uint64_t lsn)
{
    identity_t *identity = find(model, record->producer, record->key, record->sequence);
    if (identity->lsn_first == 0) {
        identity->lsn_first = lsn;
        identity->taken_us = record->taken_us;
        identity->size = record->size;
    }
    uint64_t *place = record->diverted ? &identity->lsn_diverted : &identity->lsn_accepted;
    if (record->offset > 0 && *place == 0) {
        *place = lsn;
    }
}

/* A held event whose key has left and come back. */
static bool is_said_again(const model_t *model, size_t lsn)
{
    const record_t *record = &model->records[lsn - 1];
    return model->world->moves > 0 && record->kind == RECORD_event && record->offset == 0 &&
           find(model, record->producer, record->key, record->sequence)->lsn_first < lsn;
}

/* Accepted in order, or given up. */
static bool is_settled(const identity_t *identity)
{
    return identity->lsn_accepted > 0 || identity->lsn_skipped > 0;
}

static void model_init(model_t *model, const world_t *world)
{
    const disk_t *disk = &world->disk;
    *model = (model_t){.world = world, .count = disk->count};
    size_t size = 0;
    for (uint32_t producer = 0; producer < world->source_count; producer++) {
        for (uint32_t key = 0; key < WORLD_KEYS_MAX; key++) {
            model->base[producer][key] = size;
            size += world->sources[producer].key_last[key] + 1;
        }
    }
    model->identities = calloc(size, sizeof *model->identities);
    model->records = calloc(disk->count + 1, sizeof *model->records);
    ENSURE(model->identities && model->records);
    for (size_t i = 0; i < disk->count; i++) {
        record_t record = decode(&disk->log[i]);
        model->records[i] = record;
        if (record.kind == RECORD_event) {
            note_event(model, &record, i + 1);
        } else if (record.kind == RECORD_skip) {
            note_skipped(model, &record, i + 1);
        }
    }
    for (uint32_t producer = 0; producer < world->source_count; producer++) {
        for (uint32_t key = 0; key < WORLD_KEYS_MAX; key++) {
            uint64_t *accepted = &model->accepted[producer][key];
            while (*accepted < world->sources[producer].key_last[key] &&
                   is_settled(find(model, producer, key, *accepted + 1))) {
                ++*accepted;
            }
        }
    }
}

static void model_fini(model_t *model)
{
    free(model->records);
    free(model->identities);
}

/* ---- messages ---- */

/* sent = delivered + dropped + in flight, in flight found by walking the queues. */
static void predicate_M1(world_t *world)
{
    for (uint32_t slot = 0; slot < core_world_actor_count(world->simulation); slot++) {
        mailbox_account_t account = core_world_account(world->simulation, slot);
        uint64_t in_flight = core_world_in_flight(world->simulation, slot);
        if (account.sent != account.delivered + account.dropped_all + in_flight) {
            world_fail(world, "M1",
                       "actor %u: sent %llu, delivered %llu, dropped %llu, in flight %llu", slot,
                       (ull)account.sent, (ull)account.delivered, (ull)account.dropped_all,
                       (ull)in_flight);
        }
    }
}

/* From one sender to one receiver in the order sent, or not at all. */
static void predicate_M3(world_t *world)
{
    enum { SLOTS = 64 };
    uint64_t last[SLOTS][SLOTS] = {{0}};
    for (size_t i = 0; i < world->history.passage_count; i++) {
        const passage_t *passage = &world->history.passages[i];
        if (passage->ordinal <= last[passage->from][passage->to]) {
            world_fail(world, "M3", "actor %u heard from %u message %llu after %llu", passage->to,
                       passage->from, (ull)passage->ordinal, (ull)last[passage->from][passage->to]);
        }
        last[passage->from][passage->to] = passage->ordinal;
    }
}

/* ---- the log ---- */

/* One key: the core's accepted and held sequences are those of the log. */
static void compare_key(world_t *world, const model_t *model, uint32_t producer, uint32_t key)
{
    partition_t *core = world->shell.core;
    producer_t *known = producer_find(core, world_producer_name(producer));
    key_entry_t *entry = known ? key_find(core, known, world_key_name(key)) : NULL;
    uint64_t accepted = entry ? entry->accepted : 0;
    if (partition_wants(core, world_producer_name(producer), world_key_name(key))) {
        accepted = lookup_accepted(&world->shell, world_producer_name(producer),
                                   world_key_name(key));
    }
    if (accepted != model->accepted[producer][key]) {
        world_fail(world, "O3", "p%u k%u: %llu accepted, %llu in the log", producer, key,
                   (ull)accepted, (ull)model->accepted[producer][key]);
        return;
    }
    for (uint64_t sequence = 1; sequence <= accepted; sequence++) {
        const identity_t *identity = find(model, producer, key, sequence);
        const skip_entry_t *skip = entry ? skip_find(core, entry, sequence) : NULL;
        if ((skip != NULL) != (identity->lsn_skipped > 0) ||
            (skip && skip_is_filled(skip, sequence) != (identity->lsn_diverted > 0))) {
            world_fail(world, "O3", "p%u k%u %llu: the ledger differs from the log", producer, key,
                       (ull)sequence);
        }
    }
    for (uint64_t sequence = accepted + 1; sequence <= world->sources[producer].key_last[key];
         sequence++) {
        bool in_log = find(model, producer, key, sequence)->lsn_first > 0;
        if (in_log != (entry && hold_contains(entry, sequence))) {
            world_fail(world, "O3", "p%u k%u %llu is %sheld in the log", producer, key,
                       (ull)sequence, in_log ? "" : "not ");
        }
    }
}

/* {1 .. highest seen} is the union of accepted, held and missing: in the core as in the log, which
 * only stays so when nothing that was in it is lost. */
static void compare_with_log(world_t *world, const model_t *model)
{
    for (uint32_t producer = 0; world->shell.core && producer < world->source_count; producer++) {
        for (uint32_t key = 0; key < WORLD_KEYS_MAX; key++) {
            compare_key(world, model, producer, key);
        }
    }
}

/* What a producer was told is in the log at that time. */
static void check_answers(world_t *world, const model_t *model)
{
    for (size_t i = 0; i < world->history.count; i++) {
        const fact_t *fact = &world->history.facts[i];
        if (fact->kind != FACT_ANSWER || fact->result == EVENT_REJECTED) {
            continue;
        }
        const identity_t *identity = find(model, fact->producer, fact->key, fact->sequence);
        bool diverted = fact->result == EVENT_DIVERTED && identity->lsn_skipped > 0;
        bool first = fact->result == EVENT_DUPLICATE || fact->result == EVENT_HELD;
        uint64_t lsn = diverted ? identity->lsn_diverted
                       : first  ? identity->lsn_first
                                : identity->lsn_accepted;
        if (lsn == 0 || lsn > fact->log_size) {
            world_fail(world, fact->result == EVENT_DUPLICATE ? "O7" : "O3",
                       "p%u k%u %llu was answered %d and is not in the log", fact->producer,
                       fact->key, (ull)fact->sequence, (int)fact->result);
        }
    }
}

/* A gap that nobody had to end has been given up all the same. */
static bool may_be_more(const model_t *model, uint32_t producer, uint32_t key)
{
    uint64_t dropped = model->world->sources[producer].key_dropped[key];
    return dropped > 0 && find(model, producer, key, dropped)->lsn_skipped > 0;
}

/* Everything that the sources have is accepted, but for what follows an event that was lost before
 * it was ever sent. */
static void check_completeness(world_t *world, const model_t *model)
{
    for (uint32_t producer = 0; producer < world->source_count; producer++) {
        const source_t *source = &world->sources[producer];
        for (uint32_t key = 0; key < WORLD_KEYS_MAX; key++) {
            uint64_t dropped = source->key_dropped[key];
            uint64_t wanted = dropped > 0 ? dropped - 1 : source->key_last[key];
            uint64_t most = source->key_last[key];
            if (world_gaps_end(world) && (world->declares || dropped < most)) {
                wanted = most;
            }
            uint64_t accepted = model->accepted[producer][key];
            if (accepted < wanted || (accepted > wanted && !may_be_more(model, producer, key))) {
                world_fail(world, "O3", "p%u k%u: %llu of %llu are accepted", producer, key,
                           (ull)accepted, (ull)wanted);
            }
        }
    }
}

static void predicate_O3(world_t *world, const model_t *model, bool complete)
{
    check_answers(world, model);
    if (complete) {
        compare_with_log(world, model);
        check_completeness(world, model);
    }
}

typedef struct held_totals {
    uint64_t items;
    uint64_t bytes;
    uint64_t key_items[WORLD_PRODUCERS_MAX][WORLD_KEYS_MAX];
    uint64_t accepted[WORLD_PRODUCERS_MAX][WORLD_KEYS_MAX];
} held_totals_t;

/* When the key's first missing sequence was first seen to be missing, before record `lsn`; for a
 * held event, or by it. */
static int64_t gap_since(const model_t *model, const held_totals_t *totals, uint64_t lsn)
{
    const record_t *record = &model->records[lsn - 1];
    int64_t since_us = record->kind == RECORD_skip ? INT64_MAX : record->taken_us;
    uint64_t last = model->world->sources[record->producer].key_last[record->key];
    for (uint64_t sequence = totals->accepted[record->producer][record->key] + 1; sequence <= last;
         sequence++) {
        const identity_t *identity = find(model, record->producer, record->key, sequence);
        if (identity->lsn_first > 0 && identity->lsn_first < lsn && identity->taken_us < since_us) {
            since_us = identity->taken_us;
        }
    }
    return since_us;
}

/* What is given up was missing when it was, as far as anybody could know: no event of it had been
 * taken. DEAD is only what its producer has lost, FORCED by the timeout only what was old enough.
 */
static void predicate_O4(world_t *world, const model_t *model)
{
    held_totals_t totals = {0};
    for (size_t i = 0; i < model->count; i++) {
        const record_t *record = &model->records[i];
        uint64_t *accepted = &totals.accepted[record->producer][record->key];
        if (record->kind == RECORD_event && record->offset > 0 && !record->diverted) {
            *accepted = record->sequence;
        }
        if (record->kind != RECORD_skip) {
            continue;
        }
        for (uint64_t sequence = record->sequence; sequence <= record->last; sequence++) {
            const identity_t *identity = find(model, record->producer, record->key, sequence);
            if ((identity->lsn_first > 0 && identity->lsn_first < i + 1) ||
                identity->lsn_skipped != i + 1) {
                world_fail(world, "O4", "lsn %zu: p%u k%u %llu was committed or given up before",
                           i + 1, record->producer, record->key, (ull)sequence);
            }
        }
        int64_t since_us = gap_since(model, &totals, i + 1);
        if (record->timeout &&
            (since_us == INT64_MAX || record->taken_us - since_us < world->limits.gap_timeout_us)) {
            world_fail(world, "O4", "lsn %zu: the gap is not old enough", i + 1);
        }
        *accepted = record->last;
    }
}

/* The reorder buffer is bounded in items, bytes and time at every point of the log. */
static void predicate_O5(world_t *world, const model_t *model)
{
    const partition_limits_t *limits = &world->limits;
    held_totals_t totals = {0};
    for (size_t i = 0; i < model->count; i++) {
        const record_t *record = &model->records[i];
        if (record->kind == RECORD_skip) {
            totals.accepted[record->producer][record->key] = record->last;
        }
        if (record->kind != RECORD_event || record->diverted || is_said_again(model, i + 1)) {
            continue;
        }
        const identity_t *identity = find(model, record->producer, record->key, record->sequence);
        uint64_t *key_items = &totals.key_items[record->producer][record->key];
        if (record->offset > 0) {
            totals.accepted[record->producer][record->key] = record->sequence;
            if (identity->lsn_first < i + 1 && identity->lsn_accepted == i + 1) {
                totals.items--;
                totals.bytes -= identity->size;
                --*key_items;
            }
            continue;
        }
        int64_t age_us = record->taken_us - gap_since(model, &totals, i + 1);
        totals.items++;
        totals.bytes += record->size;
        ++*key_items;
        if (totals.items > limits->held_items_max || totals.bytes > limits->held_bytes_max ||
            *key_items > limits->key_held_items_max || age_us > limits->hold_us_max) {
            world_fail(world, "O5",
                       "lsn %zu: %llu events, %llu bytes, %llu of the key, gap of %lld us", i + 1,
                       (ull)totals.items, (ull)totals.bytes, (ull)*key_items, (long long)age_us);
        }
    }
}

/* A plainer opinion on event time, from the log alone. */
typedef struct clock_opinion {
    int64_t time_us[WORLD_PRODUCERS_MAX];
    int64_t seen_us[WORLD_PRODUCERS_MAX]; /* 0: never */
    bool idle[WORLD_PRODUCERS_MAX];       /* until it is seen again */
    int64_t watermark_us;
} clock_opinion_t;

static void opinion_see(clock_opinion_t *self, const record_t *record, int64_t idle_us)
{
    for (size_t i = 0; i < WORLD_PRODUCERS_MAX; i++) {
        self->idle[i] = self->idle[i] || record->taken_us - self->seen_us[i] > idle_us;
    }
    int64_t *time_us = &self->time_us[record->producer];
    int64_t *seen_us = &self->seen_us[record->producer];
    *time_us = *seen_us == 0 || record->time_us > *time_us ? record->time_us : *time_us;
    *seen_us = record->taken_us > *seen_us ? record->taken_us : *seen_us;
    self->idle[record->producer] = false;
}

static int64_t opinion_least(const clock_opinion_t *self)
{
    int64_t least_us = INT64_MAX;
    for (size_t i = 0; i < WORLD_PRODUCERS_MAX; i++) {
        bool live = self->seen_us[i] != 0 && !self->idle[i];
        least_us = live && self->time_us[i] < least_us ? self->time_us[i] : least_us;
    }
    return least_us;
}

static void judge_mark(world_t *world, const record_t *record, int64_t watermark_us, size_t lsn)
{
    const partition_limits_t *limits = &world->limits;
    bool late = limits->late_policy != LATE_OFF && !record->diverted && watermark_us != INT64_MIN &&
                record->time_us < watermark_us - limits->lateness_us;
    diversion_t mark = record->diverted                             ? DIVERTED_SKIPPED
                       : late && limits->late_policy == LATE_DIVERT ? DIVERTED_LATE
                       : late && limits->late_policy == LATE_DROP   ? DIVERTED_DROPPED
                                                                    : DIVERTED_NOT;
    if (record->mark != mark || record->late != (late && limits->late_policy == LATE_DELIVER)) {
        world_fail(world, "O6", "lsn %zu: an event of %lld at watermark %lld is marked %d %d", lsn,
                   (long long)record->time_us, (long long)watermark_us, (int)record->mark,
                   record->late);
    }
}

/* The watermark goes on, and never beyond a source that is not idle; each event is judged once, by
 * the watermark of that moment, and gets what the policy says; a recovery changes nothing of it. */
static void predicate_O6(world_t *world, const model_t *model)
{
    clock_opinion_t opinion = {.watermark_us = INT64_MIN};
    for (size_t i = 0; i < model->count; i++) {
        const record_t *record = &model->records[i];
        if (record->kind == RECORD_watermark_mark) {
            if (record->time_us <= opinion.watermark_us ||
                record->time_us > opinion_least(&opinion)) {
                world_fail(world, "O6", "lsn %zu: watermark %lld after %lld, sources are at %lld",
                           i + 1, (long long)record->time_us, (long long)opinion.watermark_us,
                           (long long)opinion_least(&opinion));
            }
            opinion.watermark_us = record->time_us;
        } else if (record->kind == RECORD_event &&
                   find(model, record->producer, record->key, record->sequence)->lsn_first ==
                       i + 1) {
            judge_mark(world, record, opinion.watermark_us, i + 1);
            opinion_see(&opinion, record, world->limits.idle_us);
        }
    }
    partition_t *core = world->shell.core;
    if (core && partition_figures(core).watermark_us != opinion.watermark_us) {
        world_fail(world, "O6", "the watermark is %lld, and on record %lld",
                   (long long)partition_figures(core).watermark_us,
                   (long long)opinion.watermark_us);
    }
}

static void check_epochs(world_t *world, const model_t *model)
{
    uint64_t epoch[WORLD_PRODUCERS_MAX] = {0};
    for (size_t i = 0; i < model->count; i++) {
        const record_t *record = &model->records[i];
        uint64_t *known = &epoch[record->producer];
        if (record->kind == RECORD_producer_mark) {
            if (record->epoch <= *known) {
                world_fail(world, "O7", "lsn %zu: epoch %llu after %llu", i + 1, (ull)record->epoch,
                           (ull)*known);
            }
            *known = record->epoch;
        } else if (record->kind == RECORD_skip && record->verdict == GAP_DEAD &&
                   record->epoch != *known) {
            world_fail(world, "O7", "lsn %zu: a verdict of epoch %llu, known is %llu", i + 1,
                       (ull)record->epoch, (ull)*known);
        } else if (record->kind == RECORD_event &&
                   find(model, record->producer, record->key, record->sequence)->lsn_first ==
                       i + 1 &&
                   record->epoch != *known) {
            world_fail(world, "O7", "lsn %zu: an event of epoch %llu, known is %llu", i + 1,
                       (ull)record->epoch, (ull)*known);
        }
    }
    for (size_t i = 0; i < world->history.count; i++) {
        const fact_t *fact = &world->history.facts[i];
        if (fact->kind == FACT_ANSWER && fact->err == CAPSTAN_E_FENCED &&
            fact->epoch >= epoch[fact->producer]) {
            world_fail(world, "O7", "p%u with the newest epoch was fenced", fact->producer);
        }
    }
}

static void check_diverted(world_t *world, const record_t *record, const identity_t *identity,
                           uint64_t lsn)
{
    if (record->offset == 0 || identity->lsn_first != lsn || identity->lsn_skipped == 0 ||
        identity->lsn_skipped > lsn) {
        world_fail(world, "O7",
                   "lsn %llu: p%u k%u %llu is diverted, and was not given up, or twice", (ull)lsn,
                   record->producer, record->key, (ull)record->sequence);
    }
}

/* The same identity is accepted once, whatever its epoch; a jump is not accepted; an event of an
 * older epoch is not taken. */
static void predicate_O7(world_t *world, const model_t *model)
{
    uint64_t accepted[WORLD_PRODUCERS_MAX][WORLD_KEYS_MAX] = {{0}};
    for (size_t i = 0; i < model->count; i++) {
        const record_t *record = &model->records[i];
        uint64_t *last = &accepted[record->producer][record->key];
        if (record->kind == RECORD_skip && record->sequence == *last + 1) {
            *last = record->last;
        }
        if (record->kind != RECORD_event || is_said_again(model, i + 1)) {
            continue;
        }
        const identity_t *identity = find(model, record->producer, record->key, record->sequence);
        if (record->diverted) {
            check_diverted(world, record, identity, i + 1);
            continue;
        }
        bool right = record->offset > 0
                         ? record->sequence == *last + 1
                         : record->sequence > *last + 1 && identity->lsn_first == i + 1;
        if (!right) {
            world_fail(world, "O7", "lsn %zu: p%u k%u %llu %s after %llu", i + 1, record->producer,
                       record->key, (ull)record->sequence, record->offset > 0 ? "accepted" : "held",
                       (ull)*last);
        }
        *last = record->offset > 0 ? record->sequence : *last;
    }
    check_epochs(world, model);
}

/* Offsets are consecutive, and whoever reads an offset, whenever, gets the same bytes: those that
 * were published. */
static void predicate_O10(world_t *world, const model_t *model)
{
    uint64_t *hashes = calloc(model->count + 2, sizeof *hashes);
    ENSURE(hashes);
    uint64_t last = 0;
    for (size_t i = 0; i < model->count; i++) {
        const record_t *record = &model->records[i];
        if (record->kind != RECORD_event) {
            continue;
        }
        if (!record->intact) {
            world_fail(world, "O10", "lsn %zu: not the bytes that were published", i + 1);
        }
        if (record->offset > 0) {
            if (record->offset != last + 1) {
                world_fail(world, "O10", "lsn %zu: offset %llu after %llu", i + 1,
                           (ull)record->offset, (ull)last);
                break;
            }
            hashes[++last] = record->hash;
        }
    }
    for (size_t i = 0; i < world->history.count; i++) {
        const fact_t *fact = &world->history.facts[i];
        if (fact->kind == FACT_DELIVERY &&
            (fact->offset > last || fact->hash != hashes[fact->offset])) {
            world_fail(world, "O10", "group %u got other bytes at offset %llu", fact->who,
                       (ull)fact->offset);
        }
    }
    free(hashes);
}

/* Epochs are issued, and kept by whoever restarts. */
static void predicate_O11(world_t *world, const model_t *model)
{
    enum { SLOTS = 64 };
    uint64_t issued[WORLD_PRODUCERS_MAX] = {0};
    uint64_t epoch[SLOTS] = {0};
    bool started[SLOTS] = {false};
    for (size_t i = 0; i < world->history.count; i++) {
        const fact_t *fact = &world->history.facts[i];
        if (fact->kind == FACT_ISSUE) {
            issued[fact->producer] = fact->epoch;
        }
        if (fact->kind != FACT_START) {
            continue;
        }
        if (fact->epoch > issued[fact->producer] ||
            (started[fact->who] && fact->epoch != epoch[fact->who])) {
            world_fail(world, "O11", "p%u began again with epoch %llu", fact->producer,
                       (ull)fact->epoch);
        }
        started[fact->who] = true;
        epoch[fact->who] = fact->epoch;
    }
    for (size_t i = 0; i < model->count; i++) {
        const record_t *record = &model->records[i];
        if (record->kind == RECORD_skip && record->verdict == GAP_DEAD &&
            (record->sequence != record->last ||
             record->sequence != world->sources[record->producer].key_dropped[record->key])) {
            world_fail(world, "O11", "lsn %zu: DEAD, and its producer has it", i + 1);
        }
        if (record->epoch > issued[record->producer]) {
            world_fail(world, "O11", "lsn %zu: epoch %llu was never issued", i + 1,
                       (ull)record->epoch);
        }
    }
}

void predicate_at_cut(world_t *world)
{
    predicate_M1(world);
}

void predicate_after_recovery(world_t *world)
{
    model_t model;
    model_init(&model, world);
    compare_with_log(world, &model);
    predicate_O6(world, &model);
    model_fini(&model);
}

void predicates_judge(world_t *world)
{
    bool complete = world->history.failure_count == 0;
    model_t model;
    model_init(&model, world);
    predicate_M1(world);
    predicate_M3(world);
    predicate_of_compaction(world);
    predicates_of_groups(world, complete);
    predicate_O3(world, &model, complete);
    predicate_O4(world, &model);
    predicate_O5(world, &model);
    if (complete) {
        predicate_O6(world, &model);
    }
    predicate_O7(world, &model);
    predicate_O10(world, &model);
    predicate_O11(world, &model);
    model_fini(&model);
}

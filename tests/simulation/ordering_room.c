/* O5: a producer that is refused an event ahead of its key's sequence is refused at a bound, not
 * before: the bounds are settings, and what is within them is held. */
#include "tests/simulation/ordering_predicates.h"

#include "actors/ordering/partition_time.h"

/* What the policy on late events leaves of it. */
static size_t size_of_held(const partition_t *core, const publish_t *publish, int64_t now_us)
{
    buffer_t record = {0};
    event_mark_t mark = time_judge(core, now_us, publish);
    bool whole = mark.diverted != DIVERTED_DROPPED;
    event_encode(&(event_t){.key = publish->key,
                            .producer = publish->producer,
                            .producer_epoch = publish->producer_epoch,
                            .sequence = publish->sequence,
                            .time_us = publish->time_us,
                            .content_type = whole ? publish->content_type : (slice_t){0},
                            .headers = whole ? publish->headers : (slice_t){0},
                            .payload = whole ? publish->payload : (slice_t){0},
                            .accepted_us = now_us,
                            .diverted = mark.diverted,
                            .late = mark.late},
                 &record);
    size_t size = record.size;
    buffer_fini(&record);
    return size;
}

bool predicate_has_room(const world_t *world, const publish_t *publish)
{
    const partition_limits_t *limits = &world->limits;
    partition_t *core = world->shell.core;
    partition_figures_t figures = partition_figures(core);
    producer_t *producer = producer_find(core, publish->producer);
    const key_entry_t *entry = producer ? key_find(core, producer, publish->key) : NULL;
    const hold_t *hold = entry ? entry->hold : NULL;
    int64_t now_us = world_utc(world);
    bool too_old =
        hold && (entry->row.phase == KEY_BLOCKED || now_us - hold->since_us > limits->hold_us_max);
    return !too_old && figures.held_items < limits->held_items_max &&
           figures.held_bytes + size_of_held(core, publish, now_us) <= limits->held_bytes_max &&
           (!hold || hold->count < limits->key_held_items_max);
}

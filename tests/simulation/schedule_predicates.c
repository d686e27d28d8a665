/* What must hold of delayed events. The log on the disk is read with a plain table, which knows
 * nothing of the core.
 *
 * O5: so many wait as may, in items and bytes, and one is refused at those bounds only.
 * O7: what is sent again under its id is taken once.
 * O10: offsets are consecutive, and the bytes are those that were published.
 * O12: a delayed event is put in order once, not before its time, and before any that is due later,
 * was accepted later for the same time, or comes when it is due; what was answered is put in order,
 * unless it was cancelled: then it is not; a kill changes nothing of it. */
#include "runtime/base/ensure.h"
#include "tests/simulation/schedule_world.h"

#include <inttypes.h>
#include <stdlib.h>

typedef struct waiting_event {
    uint64_t number;
    size_t index;
    int64_t due_us;
    size_t bytes;
} waiting_event_t;

typedef struct reading {
    waiting_event_t list[SCHEDULE_EVENTS]; /* in the order of acceptance */
    size_t count;
    size_t bytes;
    uint64_t offset_last;
    uint8_t put_in_order[SCHEDULE_EVENTS]; /* how often */
    bool cancelled[SCHEDULE_EVENTS];
    size_t expected; /* the event of the record `scheduled_end` before, plus one; 0: none */
} reading_t;

static event_t read_event(slice_t data)
{
    event_t event;
    ENSURE(codec_decode(event_wire(), data, &event, NULL) == CAPSTAN_OK);
    return event;
}

static void on_mark(schedule_world_t *world, reading_t *reading, slice_t data)
{
    scheduled_mark_t mark;
    ENSURE(codec_decode(scheduled_mark_wire(), data, &mark, NULL) == CAPSTAN_OK);
    event_t event = read_event(mark.event);
    ENSURE(reading->count < SCHEDULE_EVENTS);
    for (size_t i = 0; i < reading->count; i++) {
        if (reading->list[i].number == mark.number) {
            schedule_fail(world, "O12", "two that wait have the number %" PRIu64, mark.number);
        }
    }
    reading->list[reading->count++] = (waiting_event_t){.number = mark.number,
                                                        .index = schedule_index(event.key),
                                                        .due_us = event.not_before_us,
                                                        .bytes = mark.event.size};
    reading->bytes += mark.event.size;
    if (reading->count > world->limits.scheduled_items_max ||
        reading->bytes > world->limits.scheduled_bytes_max) {
        schedule_fail(world, "O5", "%zu events of %zu bytes wait", reading->count, reading->bytes);
    }
}

static void on_end(schedule_world_t *world, reading_t *reading, slice_t data)
{
    scheduled_end_t mark;
    size_t at = 0;
    ENSURE(codec_decode(scheduled_end_wire(), data, &mark, NULL) == CAPSTAN_OK);
    while (at < reading->count && reading->list[at].number != mark.number) {
        at++;
    }
    if (at == reading->count) {
        schedule_fail(world, "O12", "number %" PRIu64 " ends, and does not wait", mark.number);
        return;
    }
    const waiting_event_t ended = reading->list[at];
    for (size_t i = 0; i < reading->count && mark.cancelled_us == 0; i++) {
        const waiting_event_t *other = &reading->list[i];
        if (other->due_us < ended.due_us || (other->due_us == ended.due_us && i < at)) {
            schedule_fail(world, "O12", "event %zu is put in order before event %zu", ended.index,
                          other->index);
        }
    }
    reading->bytes -= ended.bytes;
    reading->count--;
    memmove(&reading->list[at], &reading->list[at + 1],
            (reading->count - at) * sizeof reading->list[0]);
    reading->cancelled[ended.index] = mark.cancelled_us != 0;
    reading->expected = mark.cancelled_us == 0 ? ended.index + 1 : 0;
}

static void on_event(schedule_world_t *world, reading_t *reading, slice_t data)
{
    uint8_t payload[SCHEDULE_PAYLOAD_MAX];
    event_t event = read_event(data);
    size_t index = schedule_index(event.key);
    size_t size = event.diverted == DIVERTED_DROPPED ? 0 : schedule_payload(index, payload);
    if (event.offset != reading->offset_last + 1 ||
        !slice_equal(event.payload, slice_of(payload, size)) ||
        event.not_before_us != world->events[index].due_us) {
        schedule_fail(world, "O10", "event %zu at offset %" PRIu64 " is not what was published",
                      index, event.offset);
    }
    if (event.not_before_us > event.accepted_us ||
        (reading->expected > 0 && reading->expected != index + 1)) {
        schedule_fail(world, "O12",
                      "event %zu is put in order %" PRId64 " us early, or for another", index,
                      event.not_before_us - event.accepted_us);
    }
    for (size_t i = 0; i < reading->count && reading->expected == 0; i++) {
        if (reading->list[i].due_us <= event.accepted_us) {
            schedule_fail(world, "O12", "event %zu is put in order before event %zu, which is due",
                          index, reading->list[i].index);
        }
    }
    if (reading->cancelled[index]) {
        schedule_fail(world, "O12", "event %zu is put in order, and was cancelled", index);
    }
    if (++reading->put_in_order[index] > 1) {
        schedule_fail(world, event.not_before_us > 0 ? "O12" : "O7", "event %zu is there twice",
                      index);
    }
    reading->offset_last = event.offset;
    reading->expected = 0;
}

static reading_t *read_log(schedule_world_t *world)
{
    reading_t *reading = calloc(1, sizeof *reading);
    ENSURE(reading);
    for (size_t i = 0; i < world->log.count; i++) {
        slice_t data = buffer_slice(&world->log.list[i].data);
        if (world->log.list[i].kind == RECORD_scheduled_mark) {
            on_mark(world, reading, data);
        } else if (world->log.list[i].kind == RECORD_scheduled_end) {
            on_end(world, reading, data);
        } else if (world->log.list[i].kind == RECORD_event) {
            on_event(world, reading, data);
        }
    }
    return reading;
}

/* By the clock of the world, whatever the record says. */
void predicate_of_append(schedule_world_t *world, uint32_t kind, slice_t data)
{
    if (kind != RECORD_event) {
        return;
    }
    event_t event = read_event(data);
    size_t index = schedule_index(event.key);
    if (world->events[index].cancelled) {
        schedule_fail(world, "O12", "event %zu was cancelled, and is put in order", index);
    }
    if (event.accepted_us != world->now_us || world->events[index].due_us > world->now_us) {
        schedule_fail(world, "O12", "event %zu is put in order %" PRId64 " us early", index,
                      world->events[index].due_us - world->now_us);
    }
}

void predicate_of_answer(schedule_world_t *world, const sim_answer_t *answer)
{
    const sim_event_t *event = &world->events[answer->event];
    if (answer->result != EVENT_REJECTED && !event->on_disk) {
        schedule_fail(world, "O12", "event %zu was answered %d and is not on disk", answer->event,
                      (int)answer->result);
    }
}

void predicate_of_recovery(schedule_world_t *world)
{
    reading_t *reading = read_log(world);
    partition_figures_t figures = partition_figures(world->core);
    int64_t due_us = 0;
    for (size_t i = 0; i < reading->count; i++) {
        int64_t its_us = reading->list[i].due_us;
        due_us = i == 0 || its_us < due_us ? its_us : due_us;
    }
    const char *fault = partition_check(world->core);
    if (fault || figures.scheduled_items != reading->count ||
        figures.scheduled_bytes != reading->bytes || figures.scheduled_due_us != due_us ||
        figures.offset_next != reading->offset_last + 1) {
        schedule_fail(
            world, "O12",
            "%" PRIu64 " of %" PRIu64 " bytes wait after a restart, by the log %zu of %zu",
            figures.scheduled_items, figures.scheduled_bytes, reading->count, reading->bytes);
    }
    free(reading);
}

void predicate_of_log(schedule_world_t *world, bool complete)
{
    reading_t *reading = read_log(world);
    for (size_t i = 0; complete && i < SCHEDULE_EVENTS; i++) {
        uint64_t ends = reading->put_in_order[i] + (uint64_t)reading->cancelled[i];
        if (world->events[i].answered && ends != 1) {
            schedule_fail(world, "O12", "event %zu was answered and never put in order", i);
        }
    }
    if (complete && reading->count > 0) {
        schedule_fail(world, "O12", "%zu events wait for ever", reading->count);
    }
    world->figures.events = reading->offset_last;
    free(reading);
}

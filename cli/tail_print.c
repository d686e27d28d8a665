#include "cli/tail_print.h"

#include "cli/csv_writer.h"
#include "cli/feed_time.h"
#include "cli/tail_payload.h"
#include "runtime/base/ensure.h"
#include "runtime/base/json_writer.h"

struct tail_printer {
    tail_format_t format;
    slice_t topic;
    buffer_t names;   /* the header's names as msgpack strs, one after the other */
    uint32_t columns; /* 0: no event was printed */
};

tail_printer_t *tail_printer_new(tail_format_t format, const char *topic)
{
    tail_printer_t *self = calloc(1, sizeof *self);
    ENSURE(self);
    self->format = format;
    self->topic = slice_text(topic);
    return self;
}

void tail_printer_destroy(tail_printer_t **self_p)
{
    tail_printer_t *self = *self_p;
    if (self) {
        buffer_fini(&self->names);
        free(self);
        *self_p = NULL;
    }
}

/* ---- CSV. ---- */

static const char no_fields[] = "its payload is no map of texts";
static const char other_fields[] = "its fields are not those of the header";

static void append_column(bool first, bool alone, slice_t field, buffer_t *out)
{
    if (!first) {
        csv_write_byte(',', out);
    }
    csv_write_field(field, alone, out);
}

/* Prints the header line and remembers the names. */
static bool print_header(tail_printer_t *self, payload_walk_t walk, uint32_t count, buffer_t *out)
{
    buffer_clear(&self->names);
    for (uint32_t i = 0; i < count; i++) {
        slice_t name;
        slice_t value;
        if (walk_str(&walk.at, walk.end, &name) || walk_str(&walk.at, walk.end, &value)) {
            return false;
        }
        append_column(i == 0, count == 1, name, out);
        uint8_t *end = pack_str(buffer_reserve(&self->names, name.size + PACK_HEAD_MAX), name);
        self->names.size = (size_t)(end - self->names.data);
    }
    csv_write_byte('\n', out);
    return true;
}

/* Moves behind the next of the header's names when the row has it here too. The same writer gives
 * the same bytes; another writer's are compared as texts. */
static bool take_name(payload_walk_t *walk, payload_walk_t *names)
{
    payload_walk_t behind = *names;
    slice_t expected;
    slice_t found;
    if (walk_str(&behind.at, behind.end, &expected)) {
        return false;
    }
    size_t size = (size_t)(behind.at - names->at);
    if (payload_left(walk) >= size && memcmp(walk->at, names->at, size) == 0) {
        walk->at += size;
    } else if (walk_str(&walk->at, walk->end, &found) || !slice_equal(found, expected)) {
        return false;
    }
    *names = behind;
    return true;
}

static const char *print_fields(const tail_printer_t *self, payload_walk_t walk, buffer_t *out)
{
    payload_walk_t names = payload_walk(buffer_slice(&self->names));
    for (uint32_t i = 0; i < self->columns; i++) {
        slice_t value;
        if (!take_name(&walk, &names)) {
            return other_fields;
        }
        if (walk_str(&walk.at, walk.end, &value)) {
            return no_fields;
        }
        append_column(i == 0, self->columns == 1, value, out);
    }
    csv_write_byte('\n', out);
    return payload_left(&walk) == 0 ? NULL : no_fields;
}

static const char *print_csv(tail_printer_t *self, const event_t *event, buffer_t *out)
{
    size_t before = out->size;
    payload_walk_t walk = payload_walk(event->payload);
    uint32_t count;
    if (walk_map(&walk.at, walk.end, &count) || count == 0) {
        return no_fields;
    }
    bool first = self->columns == 0;
    if (!first && count != self->columns) {
        return other_fields;
    }
    if (first && !print_header(self, walk, count, out)) {
        out->size = before;
        return no_fields;
    }
    self->columns = count;
    const char *fault = print_fields(self, walk, out);
    if (fault) {
        out->size = before;
        self->columns = first ? 0 : count;
    }
    return fault;
}

/* ---- JSON. ---- */

static void member_text(json_writer_t *json, const char *name, slice_t text)
{
    if (text.size > 0) {
        emit_key(json, name);
        emit_text(json, text);
    }
}

static void print_key(json_writer_t *json, slice_t key)
{
    if (payload_is_text(key)) {
        member_text(json, "key", key);
    } else {
        emit_key(json, "key_base64");
        emit_raw(json, (slice_t){0}); /* the value follows in place */
        payload_write_base64(key, json->out);
    }
}

static void member_time(json_writer_t *json, const char *name, int64_t time_us)
{
    if (time_us != 0) {
        char time[FEED_TIME_TEXT_SIZE];
        feed_time_format(time_us, time);
        member_text(json, name, slice_text(time));
    }
}

static void print_json(const tail_printer_t *self, uint64_t partition, const event_t *event,
                       buffer_t *out)
{
    json_writer_t json = json_writer(out);
    emit_object_begin(&json);
    member_text(&json, "topic", self->topic);
    emit_key(&json, "partition");
    emit_uint(&json, partition);
    emit_key(&json, "offset");
    emit_uint(&json, event->offset);
    print_key(&json, event->key);
    member_text(&json, "producer", event->producer);
    if (event->sequence > 0) {
        emit_key(&json, "sequence");
        emit_uint(&json, event->sequence);
    }
    member_time(&json, "time", event->time_us);
    member_time(&json, "accepted", event->accepted_us);
    member_time(&json, "not_before", event->not_before_us);
    member_text(&json, "content_type", event->content_type);
    if (event->erased) {
        emit_key(&json, "erased");
        emit_bool(&json, true);
    } else {
        emit_key(&json, "payload");
        emit_raw(&json, (slice_t){0}); /* the value follows in place */
        payload_write_json(event->payload, out);
    }
    emit_object_end(&json);
    csv_write_byte('\n', out);
}

const char *tail_print(tail_printer_t *self, uint64_t partition, const event_t *event,
                       buffer_t *out)
{
    if (self->format == TAIL_CSV) {
        return event->erased ? NULL : print_csv(self, event, out); /* it has no columns any more */
    }
    print_json(self, partition, event, out);
    return NULL;
}

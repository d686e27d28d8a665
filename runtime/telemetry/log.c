#include "runtime/telemetry/log.h"

#include "runtime/base/ensure.h"
#include "runtime/base/json_writer.h"
#include "runtime/runtime_metrics.h"
#include "runtime/telemetry/log_writer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static _Atomic int output = STDERR_FILENO;
static _Atomic int output_format = LOG_FORMAT_AUTO;
static _Atomic uint64_t lost_untold;
static _Thread_local bool muted;
/* Rows that were suppressed at least once. Pushed with release after the row's `next` is set, read
 * with acquire; rows are never taken out. */
static _Atomic(log_event_t *) suppressed_rows;

static const char *level_name(log_level_t level)
{
    static const char *const names[] = {"info", "warning", "error"};
    return names[level];
}

static uint64_t monotonic_second(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return (uint64_t)now.tv_sec;
}

static bool for_people(void)
{
    int format = atomic_load_explicit(&output_format, memory_order_relaxed);
    if (format == LOG_FORMAT_AUTO) {
        format = isatty(atomic_load_explicit(&output, memory_order_relaxed)) ? LOG_FORMAT_TEXT
                                                                             : LOG_FORMAT_JSON;
        atomic_store_explicit(&output_format, format, memory_order_relaxed);
    }
    return format == LOG_FORMAT_TEXT;
}

/* RFC 3339, UTC, microseconds. */
static void format_time(char *ret_text, size_t size)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    struct tm utc;
    gmtime_r(&now.tv_sec, &utc);
    char date[32];
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(ret_text, size, "%s.%06ldZ", date, now.tv_nsec / 1000);
}

static void append_text(buffer_t *out, const char *text)
{
    buffer_append(out, text, strlen(text));
}

/* Cuts at a character's beginning, so that the cut does not look like broken UTF-8. */
static slice_t cut_text(slice_t text, bool *ret_cut)
{
    *ret_cut = text.size > LOG_TEXT_BYTES_MAX;
    if (*ret_cut) {
        text.size = LOG_TEXT_BYTES_MAX;
        for (int back = 0; back < 3 && (((const uint8_t *)text.data)[text.size] & 0xc0) == 0x80;
             back++) {
            text.size--;
        }
    }
    return text;
}

/* A field's value as it stands within a line; in JSON numbers have no quotes. */
static void append_value(buffer_t *out, const log_field_t *field, bool people)
{
    char text[24];
    switch (field->type) {
    case LOG_FIELD_UINT:
        snprintf(text, sizeof text, "%" PRIu64, field->number);
        append_text(out, text);
        break;
    case LOG_FIELD_INT:
        snprintf(text, sizeof text, "%" PRId64, (int64_t)field->number);
        append_text(out, text);
        break;
    case LOG_FIELD_HEX:
        snprintf(text, sizeof text, people ? "%016" PRIx64 : "\"%016" PRIx64 "\"", field->number);
        append_text(out, text);
        break;
    default: {
        bool cut;
        append_text(out, "\"");
        emit_escaped(out, cut_text(field->text, &cut));
        append_text(out, cut ? "...\"" : "\"");
        break;
    }
    }
}

static void append_field(buffer_t *out, const log_field_t *field, bool people)
{
    append_text(out, people ? " " : ",\"");
    append_text(out, field->name);
    append_text(out, people ? "=" : "\":");
    append_value(out, field, people);
}

/* A field that does not fit with room for the line's end is left out, and `cut` says so. */
static void append_fields(buffer_t *out, const log_field_t *fields, bool people)
{
    const size_t reserve = sizeof ",\"cut\":1}\n";
    bool cut = false;
    for (; fields->type != LOG_FIELD_END; fields++) {
        size_t before = out->size;
        append_field(out, fields, people);
        if (out->size > LOG_LINE_BYTES_MAX - reserve) {
            out->size = before;
            cut = true;
        }
    }
    if (cut) {
        log_field_t mark = log_uint("cut", 1);
        append_field(out, &mark, people);
    }
}

static void append_head(buffer_t *out, const log_event_t *event, bool people)
{
    char now[64];
    format_time(now, sizeof now);
    char head[512];
    snprintf(head, sizeof head,
             people ? "%s %-7s %s.%s: %s"
                    : "{\"time\":\"%s\",\"level\":\"%s\",\"event\":\"%s.%s\",\"message\":\"%s\"",
             now, level_name(event->level), event->concern, event->name, event->message);
    append_text(out, head);
}

static void put_line(slice_t text, uint64_t told)
{
    log_line_t *line = malloc(sizeof *line + text.size);
    ENSURE(line);
    line->fd = atomic_load_explicit(&output, memory_order_relaxed);
    line->told = told;
    line->size = text.size;
    memcpy(line->text, text.data, text.size);
    log_writer_put(line);
}

void log_line_lost(const log_line_t *line)
{
    METRIC_ADD(runtime, log_lines_lost, 1);
    atomic_fetch_add_explicit(&lost_untold, line->told + 1, memory_order_relaxed);
}

static void emit(const log_event_t *event, const log_field_t *fields)
{
    if (atomic_load_explicit(&output, memory_order_relaxed) < 0) {
        return;
    }
    bool people = for_people();
    buffer_t line = {0};
    append_head(&line, event, people);
    uint64_t lost = atomic_exchange_explicit(&lost_untold, 0, memory_order_relaxed);
    if (lost > 0) {
        log_field_t field = log_uint("lines_lost", lost);
        append_field(&line, &field, people);
    }
    append_fields(&line, fields, people);
    append_text(&line, people ? "\n" : "}\n");
    put_line(buffer_slice(&line), lost);
    buffer_fini(&line);
}

static void list_row(log_event_t *event)
{
    if (atomic_flag_test_and_set_explicit(&event->listed, memory_order_relaxed)) {
        return;
    }
    log_event_t *first = atomic_load_explicit(&suppressed_rows, memory_order_relaxed);
    do {
        atomic_store_explicit(&event->next, first, memory_order_relaxed);
    } while (!atomic_compare_exchange_weak_explicit(&suppressed_rows, &first, event,
                                                    memory_order_release, memory_order_relaxed));
}

/* Counts one occurrence; false when the row had enough of them in this second. */
static bool admit(log_event_t *event, uint64_t second)
{
    uint64_t window = atomic_load_explicit(&event->window, memory_order_relaxed);
    for (;;) {
        uint64_t count = window >> 32 == (second & UINT32_MAX) ? window & UINT32_MAX : 0;
        if (count >= LOG_ROW_PER_SECOND) {
            atomic_fetch_add_explicit(&event->suppressed, 1, memory_order_relaxed);
            list_row(event);
            return false;
        }
        if (atomic_compare_exchange_weak_explicit(&event->window, &window,
                                                  second << 32 | (count + 1), memory_order_relaxed,
                                                  memory_order_relaxed)) {
            return true;
        }
    }
}

/* Tells how often each row was suppressed; of rows still in their second only when `all`. */
static void tell_suppressed(uint64_t second, bool all)
{
    log_event_t *event = atomic_load_explicit(&suppressed_rows, memory_order_acquire);
    for (; event; event = atomic_load_explicit(&event->next, memory_order_relaxed)) {
        uint64_t window = atomic_load_explicit(&event->window, memory_order_relaxed);
        if (!all && window >> 32 == (second & UINT32_MAX)) {
            continue;
        }
        uint64_t count = atomic_exchange_explicit(&event->suppressed, 0, memory_order_relaxed);
        if (count > 0) {
            emit(event, (const log_field_t[]){log_uint("suppressed", count), LOG_END});
        }
    }
}

bool log_mute(bool mute)
{
    bool before = muted;
    muted = mute;
    return before;
}

void log_write(log_event_t *event, const log_field_t *fields)
{
    if (muted) {
        return;
    }
    uint64_t second = monotonic_second();
    tell_suppressed(second, false);
    if (admit(event, second)) {
        emit(event, fields);
    }
}

void log_write_each(const log_event_t *event, const log_field_t *fields)
{
    if (!muted) {
        emit(event, fields);
    }
}

void log_flush(void)
{
    tell_suppressed(monotonic_second(), true);
}

void log_redirect(int fd, log_format_t format)
{
    atomic_store_explicit(&output, fd, memory_order_relaxed);
    atomic_store_explicit(&output_format, (int)format, memory_order_relaxed);
}

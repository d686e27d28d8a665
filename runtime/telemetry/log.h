/* The log: one line per event on stderr, JSON for machines, text on a terminal.
 *
 *   LOG(gateway, session_opened, log_text("peer", name), log_uint("sessions", count));
 *
 * An event is a row of a concern's X_events.def. Its message is constant; what varies is in the
 * fields. Strangers' bytes may be given as they are: control characters are escaped and invalid
 * UTF-8 is replaced. A line has at most LOG_LINE_BYTES_MAX bytes.
 *
 * Any thread, except where a function says otherwise. Nobody waits for the log's reader: a thread
 * of its own writes the lines (log_writer.h). When too many wait for it, a line is lost and counted
 * (runtime.log_lines_lost), and the next one that is taken says how many were lost. A row that
 * occurs more than LOG_ROW_PER_SECOND times within a second is suppressed for the rest of it; one
 * line afterwards says how often. */
#ifndef TELEMETRY_LOG_H
#define TELEMETRY_LOG_H

#include "runtime/base/slice.h"

#include <capstan/error.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Not above PIPE_BUF: a pipe that others write to takes such a line whole. */
#define LOG_LINE_BYTES_MAX 4096
/* Of one text field; the rest is cut off, marked by three dots. */
#define LOG_TEXT_BYTES_MAX 256
#define LOG_ROW_PER_SECOND 10

typedef enum log_level {
    LOG_LEVEL_INFO,    /* the course of things */
    LOG_LEVEL_WARNING, /* someone outside did wrong, or a limit was met; the node goes on */
    LOG_LEVEL_ERROR,   /* the node or a part of it fails to do its work */
} log_level_t;

/* One row. The last three members belong to the log. */
typedef struct log_event {
    const char *concern;
    const char *name;
    const char *message;
    log_level_t level;
    /* The monotonic second in the upper half, occurrences within it in the lower: one word, so
     * that they change together. Relaxed: they guard no other memory. */
    _Atomic uint64_t window;
    _Atomic uint64_t suppressed;
    /* In the list of rows that were suppressed at least once; set once, never cleared. */
    _Atomic(struct log_event *) next;
    atomic_flag listed;
} log_event_t;

typedef struct log_field {
    enum {
        LOG_FIELD_END,
        LOG_FIELD_TEXT,
        LOG_FIELD_UINT,
        LOG_FIELD_INT,
        LOG_FIELD_HEX,
    } type;
    const char *name; /* a constant */
    slice_t text;
    uint64_t number;
} log_field_t;

/* Bytes that need not be text; they are copied before LOG returns. */
static inline log_field_t log_text(const char *name, slice_t text)
{
    return (log_field_t){.type = LOG_FIELD_TEXT, .name = name, .text = text};
}

/* A C string; NULL is the empty text. */
static inline log_field_t log_string(const char *name, const char *text)
{
    return log_text(name, slice_text(text));
}

static inline log_field_t log_uint(const char *name, uint64_t value)
{
    return (log_field_t){.type = LOG_FIELD_UINT, .name = name, .number = value};
}

static inline log_field_t log_int(const char *name, int64_t value)
{
    return (log_field_t){.type = LOG_FIELD_INT, .name = name, .number = (uint64_t)value};
}

/* 16 hexadecimal digits: how node ids are written everywhere. */
static inline log_field_t log_hex(const char *name, uint64_t value)
{
    return (log_field_t){.type = LOG_FIELD_HEX, .name = name, .number = value};
}

/* The field "error": the name of the error's row. */
static inline log_field_t log_error(capstan_err_t err)
{
    return log_string("error", capstan_err_name(err));
}

/* LOG(concern, row, fields...), with no field or more. */
#define LOG(...) LOG_ROW(__VA_ARGS__, LOG_END)
#define LOG_ROW(concern, row, ...)                                                                 \
    log_write(&concern##_events[EVENT_##concern##_##row], (const log_field_t[]){__VA_ARGS__})
/* The same for what is bounded in another way: no row is suppressed. */
#define LOG_EACH(...) LOG_ROW_EACH(__VA_ARGS__, LOG_END)
#define LOG_ROW_EACH(concern, row, ...)                                                            \
    log_write_each(&concern##_events[EVENT_##concern##_##row], (const log_field_t[]){__VA_ARGS__})
#define LOG_END                                                                                    \
    (log_field_t)                                                                                  \
    {                                                                                              \
        .type = LOG_FIELD_END                                                                      \
    }

/* `fields` ends with a LOG_FIELD_END. Use LOG. */
void log_write(log_event_t *event, const log_field_t *fields);
void log_write_each(const log_event_t *event, const log_field_t *fields);

/* Reports what was suppressed and not yet told: called about once a second, and before the end. */
void log_flush(void);

/* The calling thread logs nothing until it says otherwise: for what only happens in a simulation.
 * Returns what it was before. */
bool log_mute(bool mute);

/* Sends the log elsewhere, or nowhere when `fd` is -1; before other threads log. */
typedef enum log_format {
    LOG_FORMAT_AUTO, /* text on a terminal, JSON elsewhere */
    LOG_FORMAT_JSON,
    LOG_FORMAT_TEXT,
} log_format_t;
void log_redirect(int fd, log_format_t format);

#endif

/* Who writes the log's lines: a thread of their own, so that nobody else ever waits for the reader.
 * Internal to the log.
 *
 *   any thread --log_writer_put--> ring of LOG_LINES_MAX lines --> thread "log" --write(2)-->
 * stderr
 *
 * To ask a descriptor first does not help: poll says that a terminal takes something, and the write
 * of a line that does not fit altogether waits for ever when the terminal is suspended. A
 * descriptor of our own in non-blocking mode cannot be had everywhere (sockets, other users'
 * terminals), and the mode of the one that we have belongs to other programs too.
 *
 * The thread lives while a node does. Before and after, when no actor runs, lines are written by
 * whoever logs, if the descriptor says that it takes them. */
#ifndef TELEMETRY_LOG_WRITER_H
#define TELEMETRY_LOG_WRITER_H

#include <capstan/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Lines that wait; further ones are lost, and counted. With LOG_LINE_BYTES_MAX, 4 MiB at most. */
#define LOG_LINES_MAX 1024

typedef struct log_line {
    int fd;
    uint64_t told; /* lines whose loss this line tells of */
    size_t size;
    uint8_t text[];
} log_line_t;

/* Calls are counted, and the last stop ends the thread. Errors: SYSTEM (the thread). */
CAPSTAN_MUST_CHECK capstan_err_t log_writer_start(void);
/* Waits until all lines are written, but at most a second: a reader that is stuck loses them. */
void log_writer_stop(void);

/* Any thread; never waits. Takes the line over (malloc'ed). A line that is lost is reported to
 * log_line_lost, now or later. */
void log_writer_put(log_line_t *line);

/* In log.c: counts a line, and what it was to tell, as lost. Any thread. */
void log_line_lost(const log_line_t *line);

#endif

/* The two ends of a durable stream, which stand in processes of their own and speak to
 * kit/pipeline.py as those of `capstan bench` do. The publisher prints when it began, in
 * nanoseconds of the monotonic clock. The consumer prints `ready`, then when it had all events and
 * the quantiles of the time from publish to consumption, in microseconds. */
#ifndef TESTS_BENCH_KIT_STREAM_H
#define TESTS_BENCH_KIT_STREAM_H

#include "tests/bench/kit/bench.h"

enum { STREAM_BODY_BYTES = 64 };

typedef struct stream_reader {
    uint64_t count;
    uint64_t events;
    uint64_t *latencies_ns;
} stream_reader_t;

void stream_begin(void);
/* The body of the event with this number: when it was published, and the number. */
void stream_fill(char body[STREAM_BODY_BYTES], uint64_t number);

stream_reader_t stream_reader_new(uint64_t events);
/* Ends the program when the event is not the one that comes next. */
void stream_read(stream_reader_t *self, const void *body, size_t size);
void stream_reader_end(stream_reader_t *self);

/* PROGRAM publisher PORT EVENTS BATCH | consumer PORT EVENTS */
typedef struct stream_sides {
    void (*publish)(uint64_t port, uint64_t events, uint64_t batch);
    void (*consume)(uint64_t port, stream_reader_t *reader, void (*ready)(void));
} stream_sides_t;

int stream_main(int argc, char **argv, const stream_sides_t *sides);

#endif

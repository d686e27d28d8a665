#include "tests/bench/kit/stream.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_ready(void)
{
    printf("ready\n");
    fflush(stdout);
}

void stream_begin(void)
{
    printf("%" PRId64 "\n", bench_now_ns());
    fflush(stdout);
}

void stream_fill(char body[STREAM_BODY_BYTES], uint64_t number)
{
    int64_t now_ns = bench_now_ns();
    memcpy(body, &now_ns, sizeof now_ns);
    memcpy(body + sizeof now_ns, &number, sizeof number);
}

stream_reader_t stream_reader_new(uint64_t events)
{
    stream_reader_t self = {.events = events, .latencies_ns = calloc(events, sizeof(uint64_t))};
    if (!self.latencies_ns) {
        bench_fail("no memory for the latencies");
    }
    return self;
}

void stream_read(stream_reader_t *self, const void *body, size_t size)
{
    int64_t sent_ns;
    uint64_t number;
    bench_expect("bytes of an event", size, STREAM_BODY_BYTES);
    memcpy(&sent_ns, body, sizeof sent_ns);
    memcpy(&number, (const char *)body + sizeof sent_ns, sizeof number);
    bench_expect("number of the event", number, self->count);
    self->latencies_ns[self->count++] = (uint64_t)(bench_now_ns() - sent_ns);
}

void stream_reader_end(stream_reader_t *self)
{
    bench_figures_t figures;
    int64_t end_ns = bench_now_ns();
    bench_quantiles(self->latencies_ns, self->count, &figures);
    printf("%" PRId64 " %f %f %f\n", end_ns, figures.p50_us, figures.p99_us, figures.p999_us);
    free(self->latencies_ns);
}

int stream_main(int argc, char **argv, const stream_sides_t *sides)
{
    uint64_t port = bench_argument(argc, argv, 2, "port");
    uint64_t events = bench_argument(argc, argv, 3, "events");
    if (strcmp(argv[1], "publisher") == 0) {
        sides->publish(port, events, bench_argument(argc, argv, 4, "batch"));
        return 0;
    }
    stream_reader_t reader = stream_reader_new(events);
    sides->consume(port, &reader, print_ready);
    stream_reader_end(&reader);
    return 0;
}

/* capstan tail: prints the events of a topic as they are delivered.
 *
 * Events go into one buffer, which is written when it is large and after each turn of the link.
 * A group's events are acknowledged only after that write: what was not written is delivered again
 * to the next consumer. After a loss of the connection it subscribes again; events that were
 * printed before are recognised by their offsets and left out. */
#include "actors/ordering/completed.h"
#include "cli/cli.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/tail_from.h"
#include "cli/tail_print.h"
#include "brokers/peer/peer.h"
#include "runtime/base/ensure.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum {
    PARTITIONS_MAX = TAIL_PARTITIONS_MAX,
    OUT_BYTES = 1 << 20,  /* written at the latest when the buffer is that large */
    TURN_US = 100 * 1000, /* how long Ctrl-C may wait */
    PAUSE_US = 100 * 1000,
    REQUEST_TIMEOUT_US = 10 * 1000000,
    SUBSCRIBE_US_MAX = 30 * 1000000, /* a node that is starting gets that long */
    EVENTS_MAX = 65536,
    LINGER_US = 1000 * 1000,
    TEXT_SIZE = 1024,
};

typedef struct tail_options {
    const char *topic;
    const char *group;
    option_list_t from_words;
    tail_from_t from;
    const char *endpoint;
    const char *format;
    uint64_t idle_ms;
} tail_options_t;

/* Events in the buffer or written. Those of a group come in the order of their keys, not of their
 * offsets. */
typedef struct place {
    uint64_t last;       /* offset of the last one, or a look begins behind it */
    bool begun;          /* one has come, or it is known where the look began */
    completed_t printed; /* in a group: of all sessions */
    completed_t owed;    /* and those of this session that are not acknowledged */
} place_t;

typedef struct tail {
    const tail_options_t *options;
    peer_t *peer;
    tail_printer_t *printer;
    buffer_t out;
    uint64_t subscription;
    bool subscribe; /* there is no subscription, and none is asked for */
    bool asking;    /* a subscription is asked for */
    bool closed;    /* nobody reads stdout */
    bool failed;
    uint64_t arrived; /* events, printed or left out */
    place_t places[PARTITIONS_MAX];
    buffer_t positions;   /* scratch */
    char text[TEXT_SIZE]; /* why it failed */
} tail_t;

static int64_t read_clock(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static bool is_over(const tail_t *self)
{
    return self->failed || self->closed || interrupted();
}

__attribute__((format(printf, 2, 3))) static void fail(tail_t *self, const char *format, ...)
{
    if (!self->failed) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(self->text, sizeof self->text, format, arguments);
        va_end(arguments);
        self->failed = true;
    }
}

/* ---- Output. ---- */

static void write_out(tail_t *self)
{
    size_t written = 0;
    while (written < self->out.size && !self->closed) {
        ssize_t size = write(STDOUT_FILENO, self->out.data + written, self->out.size - written);
        if (size >= 0) {
            written += (size_t)size;
        } else if (errno == EAGAIN) {
            (void)poll(&(struct pollfd){.fd = STDOUT_FILENO, .events = POLLOUT}, 1, -1);
        } else if (errno != EINTR) {
            self->closed = true;
            if (errno != EPIPE) {
                fail(self, "stdout: %s", strerror(errno));
            }
        }
        if (size < 0 && interrupted()) {
            self->closed = true; /* whoever reads is stuck */
        }
    }
    buffer_clear(&self->out);
}

/* What was written may be acknowledged. */
static void acknowledge(tail_t *self)
{
    if (!self->options->group || self->closed || self->subscribe) {
        return;
    }
    buffer_clear(&self->positions);
    codec_list_writer_t list = codec_list_begin(&self->positions);
    for (uint64_t i = 0; i < PARTITIONS_MAX; i++) {
        completed_t *owed = &self->places[i].owed;
        if (owed->frontier > 0) {
            codec_list_add(&list, position_wire(),
                           &(position_t){.partition = i, .first = 1, .offset = owed->frontier});
        }
        for (size_t k = 0; k < owed->count; k++) {
            const offset_range_t *range = completed_range(owed, k);
            codec_list_add(
                &list, position_wire(),
                &(position_t){.partition = i, .first = range->first, .offset = range->last});
        }
        completed_clear(owed);
    }
    codec_list_end(&list);
    if (list.count > 0) {
        const acknowledge_t message = {.subscription = self->subscription,
                                       .through = buffer_slice(&self->positions)};
        peer_acknowledge(self->peer, &message);
    }
}

/* ---- Input. ---- */

static void take_event(tail_t *self, uint64_t partition, const event_t *event)
{
    place_t *place = &self->places[partition];
    bool grouped = self->options->group != NULL;
    self->arrived++;
    if (grouped && completed_has(&place->printed, event->offset)) {
        completed_add(&place->owed, event->offset, event->offset);
        return; /* it was printed before the connection was lost, and not acknowledged */
    }
    if (!grouped && event->offset <= place->last) {
        return;
    }
    const char *fault = tail_print(self->printer, partition, event, &self->out);
    if (fault) {
        fail(self,
             "topic %s, partition %" PRIu64 ", offset %" PRIu64
             ": csv cannot show this event: %s. Use --format json.",
             self->options->topic, partition, event->offset, fault);
        return;
    }
    place->last = event->offset;
    place->begun = true;
    if (grouped) {
        completed_add(&place->printed, event->offset, event->offset);
        completed_add(&place->owed, event->offset, event->offset);
    }
    if (self->out.size >= OUT_BYTES) {
        write_out(self);
    }
}

static void on_deliver(void *context, const deliver_t *deliver)
{
    tail_t *self = context;
    codec_list_t list;
    event_t event;
    capstan_err_t err = deliver->partition < PARTITIONS_MAX
                            ? codec_list_open(event_wire(), deliver->events, &list)
                            : CAPSTAN_E_MALFORMED;
    while (!err && !is_over(self) && codec_list_next(&list, &event)) {
        take_event(self, deliver->partition, &event);
    }
    if (err || list.fault.err) {
        fail(self, "the node at %s sent events that cannot be read: %s", self->options->endpoint,
             capstan_err_text(err ? err : list.fault.err));
    }
}

static void on_reconnected(void *context)
{
    tail_t *self = context;
    /* A request that is not answered yet is sent again by the link, and answered in this session.
     */
    self->subscribe = !self->asking;
}

static void on_subscription_ended(void *context, uint64_t subscription, capstan_err_t err)
{
    tail_t *self = context;
    if (subscription == self->subscription) {
        self->subscribe = true;
        if (capstan_err_retry(err) == CAPSTAN_RETRY_FIX) {
            fail(self, "the node ended the subscription: %s. %s", capstan_err_text(err),
                 capstan_err_remedy(err));
        }
    }
}

/* ---- Subscribing. ---- */

/* A look goes on where it stands; a group says again where it was to begin. */
static void list_resume(tail_t *self)
{
    const tail_from_t *from = &self->options->from;
    buffer_clear(&self->positions);
    codec_list_writer_t list = codec_list_begin(&self->positions);
    for (uint64_t i = 0; i < PARTITIONS_MAX; i++) {
        bool begun = self->places[i].begun && !self->options->group;
        if (begun || from->named[i]) {
            codec_list_add(&list, position_wire(),
                           &(position_t){.partition = i,
                                         .offset = begun ? self->places[i].last : from->behind[i]});
        }
    }
    codec_list_end(&list);
    if (list.count == 0) {
        buffer_clear(&self->positions); /* an absent field */
    }
}

/* Where a look began: after a loss of the connection the same words may mean another place. */
static void take_places(tail_t *self, slice_t places)
{
    codec_list_t list;
    position_t position;
    if (codec_list_open(position_wire(), places, &list) != CAPSTAN_OK) {
        return;
    }
    while (codec_list_next(&list, &position)) {
        if (position.partition < PARTITIONS_MAX && !self->places[position.partition].begun) {
            self->places[position.partition] = (place_t){.last = position.offset, .begun = true};
        }
    }
}

static capstan_err_t request_subscription(tail_t *self, char *ret_reason, size_t reason_size)
{
    const tail_options_t *options = self->options;
    list_resume(self);
    for (size_t i = 0; i < PARTITIONS_MAX; i++) {
        completed_clear(&self->places[i].owed); /* a new subscription holds none of it */
    }
    const subscribe_t request = {
        .topic = slice_text(options->topic),
        .group = slice_text(options->group),
        .from = options->from.from,
        .from_time_us = options->from.time_us,
        .from_group = slice_text(options->from.group),
        .resume = buffer_slice(&self->positions),
        .events_max = EVENTS_MAX, /* it rejects nothing, so that it may have many of a key */
        .key_events_max = EVENTS_MAX,
    };
    slice_t body;
    subscribed_t reply;
    self->subscribe = false;
    self->asking = true;
    capstan_err_t err = peer_request(self->peer, subscribe_wire(), &request, subscribed_wire(),
                                     REQUEST_TIMEOUT_US, &body, ret_reason, reason_size);
    self->asking = false;
    if (!err) {
        err = codec_decode(subscribed_wire(), body, &reply, NULL);
    }
    if (err) {
        self->subscribe = true;
    } else {
        self->subscription = reply.subscription;
        take_places(self, reply.places);
    }
    return err;
}

static void pause_for(tail_t *self, int64_t pause_us)
{
    for (int64_t now = read_clock(), end = now + pause_us; now < end && !interrupted();) {
        (void)peer_poll(self->peer, end - now);
        now = read_clock();
    }
}

/* Subscribes, for the first time or again. A node that is starting answers LATER for a while. */
static void subscribe(tail_t *self)
{
    const tail_options_t *options = self->options;
    char reason[TEXT_SIZE / 2] = "";
    int64_t end = read_clock() + SUBSCRIBE_US_MAX;
    capstan_err_t err = request_subscription(self, reason, sizeof reason);
    while (err && capstan_err_retry(err) == CAPSTAN_RETRY_LATER && !is_over(self) &&
           read_clock() < end) {
        pause_for(self, PAUSE_US);
        err = request_subscription(self, reason, sizeof reason);
    }
    if (err == CAPSTAN_E_UNKNOWN_TOPIC) {
        fail(self,
             "there is no topic %s at %s. Check the name, or make it with `capstan feed --topic "
             "%s ...`.",
             options->topic, options->endpoint, options->topic);
    } else if (err) {
        fail(self, "topic %s at %s: %s. %s", options->topic, options->endpoint,
             *reason ? reason : capstan_err_text(err), capstan_err_remedy(err));
    }
}

/* ---- The loop. ---- */

/* Idle or cut off? A node that answers a request had nothing more to send before it. */
static bool node_answers(tail_t *self)
{
    const topic_ensure_t request = {.topic = slice_text(self->options->topic)};
    char reason[TEXT_SIZE / 2] = "";
    slice_t body;
    capstan_err_t err = peer_request(self->peer, topic_ensure_wire(), &request, topic_info_wire(),
                                     REQUEST_TIMEOUT_US, &body, reason, sizeof reason);
    if (err && !interrupted()) {
        fail(self, "the node at %s does not answer: %s", self->options->endpoint,
             *reason ? reason : capstan_err_text(err));
    }
    return err == CAPSTAN_OK;
}

static void run(tail_t *self)
{
    int64_t idle_us = (int64_t)self->options->idle_ms * 1000;
    int64_t last_us = read_clock();
    while (!is_over(self)) {
        uint64_t arrived = self->arrived;
        if (self->subscribe) {
            subscribe(self);
            last_us = read_clock();
        }
        int64_t left_us = idle_us > 0 ? last_us + idle_us - read_clock() : TURN_US;
        left_us = left_us > 0 ? left_us : 0;
        (void)peer_poll(self->peer, left_us < TURN_US ? left_us : TURN_US);
        write_out(self);
        acknowledge(self);
        if (self->arrived != arrived) {
            last_us = read_clock();
        } else if (idle_us > 0 && read_clock() - last_us >= idle_us) {
            if (node_answers(self) && self->arrived == arrived && !self->subscribe) {
                break;
            }
            last_us = read_clock();
        }
    }
    write_out(self);
    acknowledge(self);
}

static int tail_topic(const tail_options_t *options)
{
    tail_t *self = calloc(1, sizeof *self);
    ENSURE(self);
    self->options = options;
    self->printer = tail_printer_new(strcmp(options->format, "json") == 0 ? TAIL_JSON : TAIL_CSV,
                                     options->topic);
    buffer_reserve(&self->out, 2 * OUT_BYTES);
    const peer_options_t peer = {.endpoint = options->endpoint};
    const peer_handlers_t handlers = {.context = self,
                                      .deliver = on_deliver,
                                      .reconnected = on_reconnected,
                                      .subscription_ended = on_subscription_ended};
    if (peer_connect(&peer, &handlers, &self->peer, self->text, sizeof self->text) != CAPSTAN_OK) {
        self->failed = true;
    } else {
        subscribe(self);
        run(self);
        peer_close(&self->peer, LINGER_US);
    }
    int status = EXIT_DONE;
    if (self->failed) {
        fprintf(stderr, "capstan tail: %s\n", self->text);
        status = EXIT_FAILED;
    }
    tail_printer_destroy(&self->printer);
    for (size_t i = 0; i < PARTITIONS_MAX; i++) {
        completed_fini(&self->places[i].printed);
        completed_fini(&self->places[i].owed);
    }
    buffer_fini(&self->out);
    buffer_fini(&self->positions);
    free(self);
    return status;
}

/* ---- The command. ---- */

/* What was given on the command line. */
static tail_options_t given;

static const option_t table[] = {
    {.name = "topic",
     .argument = "T",
     .type = OPTION_TEXT,
     .required = true,
     .target.text = &given.topic,
     .meaning = "topic"},
    {.name = "group",
     .argument = "G",
     .type = OPTION_TEXT,
     .target.text = &given.group,
     .meaning = "consume for this group, whose place the node keeps; without it, only look"},
    {.name = "from",
     .argument = "WHERE",
     .type = OPTION_LIST,
     .target.list = &given.from_words,
     .meaning = "where a look, or a new group, begins; without it: earliest"},
    {.name = "idle-ms",
     .argument = "N",
     .type = OPTION_UINT,
     .initial = "0",
     .maximum = 86400000,
     .target.number = &given.idle_ms,
     .meaning = "end when nothing came for so long; 0 runs until Ctrl-C"},
    OPTION_TO(&given.endpoint),
    {.name = "format",
     .argument = "FORMAT",
     .type = OPTION_CHOICE,
     .choices = "csv|json",
     .initial = "csv",
     .target.text = &given.format,
     .meaning = "csv: the fields that were fed; json: all about each event"},
};

static const char summary[] =
    "Prints the events of a topic in the order of delivery: within each key, that of its "
    "sequence.\n"
    "With --group, events are acknowledged once they were written, and the next tail of the group\n"
    "goes on behind them; several tails of a group share its keys. Without, nothing is\n"
    "acknowledged.\n"
    "--from is earliest, latest, an offset of a partition (3:1500, for several if given several\n"
    "times), a time (2012-01-31T12:00:00Z: the first event of each partition that the node took\n"
    "at that time or later), or group:NAME (behind the frontier of that group). A group begins\n"
    "once: for one that has begun elsewhere it is refused; earliest and latest mean nothing then.\n"
    "csv needs events that `capstan feed` or a writer of the same maps published; json shows any.";

static const char examples[] = "  capstan tail --topic orders --from earliest --idle-ms 2000\n"
                               "  capstan tail --topic orders --group billing --format json\n"
                               "  capstan tail --topic orders --group audit --from group:billing\n"
                               "  capstan tail --topic orders --from latest --from 3:1500\n";

int cli_tail(int argc, char **argv)
{
    const command_line_t line = {.usage = "capstan tail --topic T [options]",
                                 .summary = summary,
                                 .examples = examples,
                                 .options = table,
                                 .count = OPTION_COUNT(table)};
    int status = options_parse(&line, argc, argv, NULL);
    if (status != OPTIONS_RUN) {
        return status;
    }
    char text[TEXT_SIZE];
    if (!tail_from_parse(&given.from_words, &given.from, text, sizeof text)) {
        return options_wrong(&line, "%s", text);
    }
    interrupt_catch();
    return tail_topic(&given);
}

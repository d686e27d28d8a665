/* capstan feed: publishes a CSV file.
 *
 *   CSV -> feed_input -> fate (bad, dropped) -> window of feed_faults -> feed_sender -> node
 *
 * Every step is a stream: memory is bounded by the window, by what is unanswered and by the retry
 * queue. What each row came to is in the ledger; the sums are in the summary on stdout. */
#include "cli/cli.h"
#include "cli/feed_sender.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "runtime/base/ensure.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

enum {
    BAD_LISTED_MAX = 20,
    PRODUCER_BYTES_MAX = 128,
    INPUT_WAIT_MS = 20, /* then the link gets a turn */
    PACE_SLACK_US = 1000,
    PROGRESS_AFTER_US = 1000 * 1000,
    PROGRESS_EVERY_US = 200 * 1000,
};

typedef struct feed_options {
    const char *file;
    const char *topic;
    const char *key;
    const char *sequence;
    const char *time;
    const char *not_before;
    const char *endpoint;
    const char *producer;
    const char *ledger;
    uint64_t partitions;
    uint64_t rate;
    uint64_t reorder;
    uint64_t seed;
    uint64_t timeout_s;
    double duplicate;
    double drop;
} feed_options_t;

typedef struct feed {
    const feed_options_t *options;
    feed_input_t *input;
    feed_ledger_t *ledger;
    feed_faults_t *faults;
    feed_sender_t *sender;
    uint64_t rows;
    uint64_t bad;
    uint64_t dropped;
    uint64_t injected; /* copies */
    int64_t began_us;
    double due_us;       /* when the next event may be sent */
    int64_t progress_us; /* when progress was last shown */
    bool progress;       /* stderr is a terminal */
    bool input_failed;
    feed_bad_t bad_row;
} feed_t;

/* ---- What people see. ---- */

static void clear_progress(const feed_t *self)
{
    if (self->progress_us > 0) {
        fputs("\r\033[K", stderr);
    }
}

static void show_progress(feed_t *self)
{
    int64_t now = feed_sender_now(self->sender);
    int64_t elapsed = now - self->began_us;
    if (!self->progress || elapsed < PROGRESS_AFTER_US ||
        now - self->progress_us < PROGRESS_EVERY_US) {
        return;
    }
    const feed_counts_t *counts = feed_sender_counts(self->sender);
    uint64_t answered = counts->acked + counts->duplicates + counts->rejected;
    fprintf(stderr, "\r%" PRIu64 " rows, %" PRIu64 " answered, %.0f/s, %" PRIu64 " bad\033[K",
            self->rows, answered, (double)answered * 1e6 / (double)elapsed, self->bad);
    self->progress_us = now;
}

static void report_bad(feed_t *self)
{
    self->bad++;
    feed_ledger_bad(self->ledger, &self->bad_row);
    if (self->bad <= BAD_LISTED_MAX) {
        clear_progress(self);
        fprintf(stderr, "%s:%" PRIu64 ": %s\n", self->options->file, self->bad_row.line,
                self->bad_row.text);
    }
}

/* Held events are nothing to speak of while the rows before them are on their way. When rows were
 * left out, or nothing but held events came, they are why a tail shows less than was acked. */
static void report_held(const feed_t *self, const feed_counts_t *counts)
{
    bool left_out = self->bad + self->dropped + counts->rejected > 0;
    if (counts->held > 0 && (left_out || counts->held == counts->acked)) {
        fprintf(stderr,
                "capstan feed: %" PRIu64 " of the acked events were held, since an earlier one of "
                "their key had not come; `capstan status --to %s` shows the gaps still open\n",
                counts->held, self->options->endpoint);
    }
}

static void report_end(const feed_t *self, const feed_counts_t *counts)
{
    clear_progress(self);
    if (self->bad > BAD_LISTED_MAX) {
        fprintf(stderr, "and %" PRIu64 " more bad rows%s\n", self->bad - BAD_LISTED_MAX,
                self->options->ledger ? "" : "; --ledger FILE lists all of them");
    }
    if (feed_sender_gave_up(self->sender)) {
        fprintf(stderr,
                "capstan feed: the node at %s has not answered for %" PRIu64 " s. What became of "
                "the unanswered is not known; feed the file again when the node is back%s.\n",
                self->options->endpoint, self->options->timeout_s,
                self->options->sequence ? ": what it has is recognised" : "");
    } else if (counts->rejected > 0) {
        fprintf(stderr,
                "capstan feed: %" PRIu64 " events were rejected, the last one with %s: %s. %s\n",
                counts->rejected, capstan_err_name(counts->rejection),
                capstan_err_text(counts->rejection), capstan_err_remedy(counts->rejection));
    }
    if (counts->reconnects > 0) {
        fprintf(stderr,
                "capstan feed: the connection was lost (%" PRIu64 ") and opened again; %" PRIu64
                " events that were unanswered then were there already when they were sent again, "
                "and count as acked\n",
                counts->reconnects, counts->recovered);
    }
    report_held(self, counts);
    if (counts->diverted > 0) {
        fprintf(stderr,
                "capstan feed: %" PRIu64
                " of the acked events were diverted, since they were late or "
                "their place in their key's order had been given up: see `capstan topic gaps`\n",
                counts->diverted);
    }
    if (counts->late_dropped > 0) {
        fprintf(stderr,
                "capstan feed: %" PRIu64 " of the acked events were late, and the topic drops such "
                "events: only their identity was kept\n",
                counts->late_dropped);
    }
    if (counts->sent > 0 && counts->duplicates == counts->sent) {
        fprintf(stderr,
                "capstan feed: the node had all of it already: every event is a duplicate\n");
    }
    if (interrupted()) {
        fprintf(stderr, "capstan feed: interrupted after %" PRIu64 " rows\n", self->rows);
    }
}

static void print_summary(const feed_t *self, const feed_counts_t *counts)
{
    int64_t elapsed_us = feed_sender_now(self->sender) - self->began_us;
    double seconds = (double)elapsed_us / 1e6;
    ENSURE(counts->sent == self->rows - self->bad - self->dropped + self->injected);
    ENSURE(counts->sent == counts->acked + counts->duplicates + counts->rejected);
    printf("{\"rows\":%" PRIu64 ",\"bad\":%" PRIu64 ",\"dropped\":%" PRIu64 ",\"sent\":%" PRIu64
           ",\"acked\":%" PRIu64 ",\"duplicates\":%" PRIu64 ",\"rejected\":%" PRIu64
           ",\"seconds\":%.3f,\"events_per_s\":%.0f}\n",
           self->rows, self->bad, self->dropped, counts->sent, counts->acked, counts->duplicates,
           counts->rejected, seconds, elapsed_us > 0 ? (double)counts->sent / seconds : 0.0);
}

/* ---- The rows' way. ---- */

static void keep_pace(feed_t *self)
{
    if (self->options->rate == 0) {
        return;
    }
    self->due_us += 1e6 / (double)self->options->rate;
    while (self->due_us > (double)(feed_sender_now(self->sender) + PACE_SLACK_US) &&
           !interrupted() && !feed_sender_gave_up(self->sender)) {
        feed_sender_poll(self->sender, (int64_t)self->due_us - feed_sender_now(self->sender));
        show_progress(self);
    }
    /* Time in which the input had nothing is not made up for. */
    double now = (double)feed_sender_now(self->sender);
    self->due_us = self->due_us > now - PACE_SLACK_US ? self->due_us : now - PACE_SLACK_US;
}

static void send_all(feed_t *self, feed_queue_t *rows)
{
    for (feed_link_t *link; (link = feed_queue_pop(rows));) {
        keep_pace(self);
        feed_sender_send(self->sender, feed_row_of(link));
    }
    show_progress(self);
}

static feed_row_t *copy_row(feed_row_t *row)
{
    size_t size = sizeof *row + row->key_size + row->payload_size;
    feed_row_t *copy = malloc(size);
    feed_pair_t *pair = malloc(sizeof *pair);
    ENSURE(copy && pair);
    *pair = (feed_pair_t){.references = 2};
    row->pair = pair;
    memcpy(copy, row, size);
    copy->copy = true;
    return copy;
}

static void take_row(feed_t *self, feed_row_t *row)
{
    feed_queue_t out = {0};
    feed_fate_t fate = feed_faults_decide(self->faults, self->rows);
    if (fate.drop) {
        self->dropped++;
        feed_ledger_dropped(self->ledger, row);
        free(row);
        return;
    }
    feed_row_t *copy = fate.duplicate ? copy_row(row) : NULL;
    feed_faults_push(self->faults, &row->link, &out);
    if (copy) {
        self->injected++;
        feed_faults_push(self->faults, &copy->link, &out);
    }
    send_all(self, &out);
}

static void run(feed_t *self)
{
    feed_input_result_t result = FEED_INPUT_ROW;
    feed_row_t *row = NULL;
    int wait_ms = 0;
    while (result != FEED_INPUT_END && result != FEED_INPUT_FAILED && !interrupted() &&
           !feed_sender_gave_up(self->sender)) {
        result = feed_input_next(self->input, wait_ms, &row, &self->bad_row);
        wait_ms = 0;
        if (result == FEED_INPUT_ROW) {
            self->rows++;
            take_row(self, row);
        } else if (result == FEED_INPUT_BAD) {
            self->rows++;
            report_bad(self);
        } else if (result == FEED_INPUT_WAIT) {
            feed_sender_poll(self->sender, 0);
            show_progress(self);
            wait_ms = INPUT_WAIT_MS;
        } else if (result == FEED_INPUT_FAILED) {
            clear_progress(self);
            fprintf(stderr, "capstan feed: %s\n", self->bad_row.text);
            self->input_failed = true;
        }
    }
    feed_queue_t rest = {0};
    feed_faults_flush(self->faults, &rest);
    send_all(self, &rest);
    feed_sender_finish(self->sender);
    feed_sender_poll(self->sender, 0);
}

/* ---- The command. ---- */

static int finish(feed_t *self)
{
    const feed_counts_t *counts = feed_sender_counts(self->sender);
    report_end(self, counts);
    bool written = feed_ledger_close(&self->ledger);
    if (!written) {
        fprintf(stderr, "capstan feed: the ledger %s could not be written: %s\n",
                self->options->ledger, strerror(errno));
    }
    print_summary(self, counts);
    bool good = written && fflush(stdout) == 0 && self->bad == 0 && counts->rejected == 0 &&
                !self->input_failed && !interrupted();
    return good ? EXIT_DONE : EXIT_FAILED;
}

static int fail(const char *text)
{
    fprintf(stderr, "capstan feed: %s\n", text);
    return EXIT_FAILED;
}

/* Opens everything in the order in which a wrong file, path or node is cheapest to tell. */
static int open_all(feed_t *self, int fd)
{
    const feed_options_t *options = self->options;
    char text[FEED_TEXT_MAX];
    const feed_input_options_t input = {.fd = fd,
                                        .file = options->file,
                                        .key = options->key,
                                        .sequence = options->sequence,
                                        .time = options->time,
                                        .not_before = options->not_before};
    self->input = feed_input_new(&input);
    feed_input_result_t result = FEED_INPUT_WAIT;
    while (result == FEED_INPUT_WAIT && !interrupted()) {
        result = feed_input_open(self->input, text);
    }
    if (result != FEED_INPUT_ROW) {
        return fail(result == FEED_INPUT_WAIT ? "interrupted" : text);
    }
    if (options->ledger && !(self->ledger = feed_ledger_open(options->ledger))) {
        snprintf(text, sizeof text, "--ledger %s: %s", options->ledger, strerror(errno));
        return fail(text);
    }
    const feed_sender_options_t sender = {.endpoint = options->endpoint,
                                          .topic = options->topic,
                                          .producer = options->producer,
                                          .partitions = options->partitions,
                                          .sequenced = options->sequence != NULL,
                                          .timeout_us = (int64_t)options->timeout_s * 1000000,
                                          .ledger = self->ledger};
    if (feed_sender_open(&sender, &self->sender, text) != CAPSTAN_OK) {
        return fail(text);
    }
    self->faults = feed_faults_new(&(feed_faults_options_t){.seed = options->seed,
                                                            .reorder = options->reorder,
                                                            .duplicate = options->duplicate,
                                                            .drop = options->drop});
    return EXIT_DONE;
}

static int feed_file(const feed_options_t *options)
{
    bool from_stdin = strcmp(options->file, "-") == 0;
    feed_options_t named = *options;
    named.file = from_stdin ? "stdin" : options->file;
    int fd = from_stdin ? STDIN_FILENO : open(options->file, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        fprintf(stderr, "capstan feed: %s: %s\n", options->file, strerror(errno));
        return EXIT_FAILED;
    }
    feed_t *self = calloc(1, sizeof *self);
    ENSURE(self);
    self->options = &named;
    self->progress = isatty(STDERR_FILENO) == 1;
    int status = open_all(self, fd);
    if (status == EXIT_DONE) {
        self->began_us = feed_sender_now(self->sender);
        self->due_us = (double)self->began_us;
        run(self);
        status = finish(self);
    }
    feed_faults_destroy(&self->faults);
    feed_sender_close(&self->sender);
    (void)feed_ledger_close(&self->ledger);
    feed_input_destroy(&self->input);
    free(self);
    if (!from_stdin) {
        close(fd);
    }
    return status;
}

static const char *base_name(const char *file)
{
    const char *slash = strrchr(file, '/');
    return strcmp(file, "-") == 0 ? "stdin" : slash ? slash + 1 : file;
}

static const char summary[] =
    "Publishes the rows of a CSV file (RFC 4180, UTF-8, with a header) as events; - reads stdin.\n"
    "The payload is a msgpack map of all fields as text. With --seq the node puts each key's "
    "events\n"
    "in order and recognises duplicates for ever; without it, order is that of arrival and "
    "nothing\n"
    "is recognised. The last line on stdout is a JSON summary:\n"
    "  sent = rows - bad - dropped + injected duplicates = acked + duplicates + rejected\n"
    "acked: stored, held or diverted by the node; duplicates: recognised by the node. An event "
    "that was "
    "sent\n"
    "again because the connection broke counts as acked when the node had it already.\n"
    "Exit status: 0; 1 when a row was bad or rejected; 2 for wrong usage.";

static const char examples[] =
    "  capstan feed --topic orders --key order --seq seq --time time examples/orders.csv\n"
    "  zcat loans.csv.gz | capstan feed --topic loans --key case --seq seq --time time -\n"
    "  capstan feed --topic t --key id --seq n --reorder 500 --duplicate 0.05 --seed 7 rows.csv\n";

/* What was given on the command line. */
static feed_options_t given;

static const option_t table[] = {
    {.name = "topic",
     .argument = "T",
     .type = OPTION_TEXT,
     .required = true,
     .target.text = &given.topic,
     .meaning = "topic; it is made when it does not exist"},
    {.name = "key",
     .argument = "FIELD",
     .type = OPTION_TEXT,
     .required = true,
     .target.text = &given.key,
     .meaning = "events of one key keep their order"},
    {.name = "seq",
     .argument = "FIELD",
     .type = OPTION_TEXT,
     .target.text = &given.sequence,
     .meaning = "numbers each key's events: 1, 2, 3 ..."},
    {.name = "time",
     .argument = "FIELD",
     .type = OPTION_TEXT,
     .target.text = &given.time,
     .meaning = "event time, ISO 8601 with Z or an offset"},
    {.name = "not-before",
     .argument = "FIELD",
     .type = OPTION_TEXT,
     .target.text = &given.not_before,
     .meaning = "delayed until this time, written as --time; empty: not at all; not with --seq"},
    OPTION_TO(&given.endpoint),
    {.name = "producer",
     .argument = "NAME",
     .type = OPTION_TEXT,
     .target.text = &given.producer,
     .meaning = "who numbers the events; from another one they are new (default: the file's name)"},
    {.name = "partitions",
     .argument = "N",
     .type = OPTION_UINT,
     .maximum = 256,
     .target.number = &given.partitions,
     .meaning = "partitions of the topic when it is made (default: the node's)"},
    {.name = "rate",
     .argument = "N",
     .type = OPTION_UINT,
     .initial = "0",
     .maximum = 1000000000,
     .target.number = &given.rate,
     .meaning = "events per second; 0 is no limit"},
    {.name = "reorder",
     .argument = "N",
     .type = OPTION_UINT,
     .initial = "0",
     .maximum = 1000000,
     .target.number = &given.reorder,
     .meaning = "fault: move each row by up to N places"},
    {.name = "duplicate",
     .argument = "P",
     .type = OPTION_SHARE,
     .initial = "0",
     .target.share = &given.duplicate,
     .meaning = "fault: send this share of rows twice"},
    {.name = "drop",
     .argument = "P",
     .type = OPTION_SHARE,
     .initial = "0",
     .target.share = &given.drop,
     .meaning = "fault: leave this share of rows out"},
    {.name = "seed",
     .argument = "S",
     .type = OPTION_UINT,
     .initial = "1",
     .target.number = &given.seed,
     .meaning = "makes the faults reproducible"},
    {.name = "ledger",
     .argument = "FILE",
     .type = OPTION_TEXT,
     .target.text = &given.ledger,
     .meaning = "write what became of each row: line,key,seq,action,outcome; - is stdout"},
    {.name = "timeout",
     .argument = "S",
     .type = OPTION_UINT,
     .initial = "60",
     .minimum = 1,
     .maximum = 86400,
     .target.number = &given.timeout_s,
     .meaning = "give up after so many seconds without any answer"},
};

int cli_feed(int argc, char **argv)
{
    const command_line_t line = {.usage = "capstan feed --topic T --key FIELD [options] FILE|-",
                                 .summary = summary,
                                 .examples = examples,
                                 .options = table,
                                 .count = OPTION_COUNT(table),
                                 .operands_min = 1,
                                 .operands_max = 1};
    operands_t operands;
    int status = options_parse(&line, argc, argv, &operands);
    if (status != OPTIONS_RUN) {
        return status;
    }
    given.file = operands.items[0];
    given.producer = given.producer ? given.producer : base_name(given.file);
    size_t producer_size = strlen(given.producer);
    if (producer_size == 0 || producer_size > PRODUCER_BYTES_MAX) {
        return options_wrong(&line,
                             "the producer's name has %zu bytes; give one of 1 to %d with "
                             "--producer",
                             producer_size, PRODUCER_BYTES_MAX);
    }
    if (given.not_before && given.sequence) {
        return options_wrong(&line,
                             "--not-before goes without --seq: a delayed event would hold up "
                             "those of its key that follow");
    }
    interrupt_catch();
    return feed_file(&given);
}

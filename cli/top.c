/* `capstan top`: what the actors of a node are doing, once a second.
 *
 * A report is asked for; the difference to the one before gives rates. The node measures what
 * handlers take only while somebody asks it to, so each request asks for a little longer than until
 * the next one. */
#include "cli/cli.h"
#include "cli/failed.h"
#include "cli/interrupt.h"
#include "cli/options.h"
#include "cli/terminal.h"
#include "cli/top_table.h"

#include "brokers/peer/peer.h"
#include "runtime/base/clock.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CONNECT_TIMEOUT_US INT64_C(5000000)
#define ANSWER_TIMEOUT_US  INT64_C(3000000)
/* The longest wait for a key: in between the peer's heartbeats are served. */
#define KEY_WAIT_US INT64_C(250000)

enum { HEADING_LINE = 2, WIDTH_MIN = 40 };

typedef struct top {
    const char *endpoint;
    peer_t *peer;
    int64_t interval_us;
    actor_sort_t sort;
    bool each;
    top_table_t table;
} top_t;

/* "|rate|depth|..." */
#define ACTOR_SORT(number, name, key, meaning) "|" #name
static const char sort_choices[] =
#include "node/actor_sorts.def"
    ;
#undef ACTOR_SORT

static actor_sort_t sort_of(const char *text)
{
#define ACTOR_SORT(number, name, key, meaning)                                                     \
    if (strcmp(text, #name) == 0) {                                                                \
        return ACTOR_SORT_##name;                                                                  \
    }
#include "node/actor_sorts.def"
#undef ACTOR_SORT
    return ACTOR_SORT_rate;
}

/* Asks for a report and takes it. `ret_text` says what is wrong. */
static capstan_err_t sample(top_t *self, char *ret_text, size_t text_size)
{
    slice_t body;
    actors_report_t report;
    const actors_t request = {
        .each = self->each,
        .sort = self->sort,
        .limit = self->each ? CENSUS_ROWS : CENSUS_ROWS_MAX,
        .watch_ms = (uint64_t)(self->interval_us + ANSWER_TIMEOUT_US) / 1000,
    };
    capstan_err_t err = peer_request(self->peer, actors_wire(), &request, actors_report_wire(),
                                     ANSWER_TIMEOUT_US, &body, ret_text, text_size);
    if (err != CAPSTAN_OK) {
        return err;
    }
    err = codec_decode(actors_report_wire(), body, &report, NULL);
    if (err == CAPSTAN_OK) {
        json_t *root = json_loadb(report.json.data, report.json.size, 0, NULL);
        err = top_table_take(&self->table, root);
        json_decref(root);
    }
    if (err != CAPSTAN_OK) {
        snprintf(ret_text, text_size,
                 "the node's answer cannot be read; use the program's version that the node has");
    }
    top_table_sort(&self->table, self->sort);
    return err;
}

static void print_json(const top_t *self)
{
    buffer_t text = {0};
    json_writer_t json = json_writer(&text);
    top_table_emit(&self->table, &json);
    printf("%.*s\n", (int)text.size, (const char *)text.data);
    fflush(stdout);
    buffer_fini(&text);
}

static void print_once(const top_t *self)
{
    buffer_t text = {0};
    top_table_print(&self->table, &(top_view_t){.sort = self->sort}, &text);
    printf("%.*s", (int)text.size, (const char *)text.data);
    buffer_fini(&text);
}

/* Serves the connection until the next report is due. */
static void wait_for_next(top_t *self)
{
    int64_t until_us = clock_us(CLOCK_MONOTONIC) + self->interval_us;
    for (int64_t left_us; !interrupted() && (left_us = until_us - clock_us(CLOCK_MONOTONIC)) > 0;) {
        peer_poll(self->peer, left_us < KEY_WAIT_US ? left_us : KEY_WAIT_US);
    }
}

/* For scripts: the first report says nothing about rates, so what is printed begins with the
 * second. */
static int run_plain(top_t *self, bool once, bool json)
{
    char text[1024] = "";
    capstan_err_t err = sample(self, text, sizeof text);
    while (err == CAPSTAN_OK && !interrupted()) {
        wait_for_next(self);
        if (interrupted() || (err = sample(self, text, sizeof text)) != CAPSTAN_OK) {
            break;
        }
        if (json) {
            print_json(self);
        } else {
            print_once(self);
        }
        if (once || ferror(stdout)) {
            break;
        }
    }
    return err == CAPSTAN_OK ? EXIT_DONE : cli_failed("top", err, text);
}

/* --- the screen ------------------------------------------------------------------------------ */

static void show(const top_t *self, const char *trouble)
{
    size_t columns;
    size_t lines;
    buffer_t text = {0};
    terminal_size(&columns, &lines);
    if (*trouble) {
        buffer_append(&text, trouble, strlen(trouble));
        buffer_append(&text, "\n", 1);
    } else {
        top_table_print(&self->table,
                        &(top_view_t){.sort = self->sort,
                                      .width = columns > WIDTH_MIN ? columns : WIDTH_MIN,
                                      .lines = lines,
                                      .keys = true},
                        &text);
    }
    terminal_show(buffer_slice(&text), *trouble ? SIZE_MAX : HEADING_LINE);
    buffer_fini(&text);
}

/* True when another report is wanted at once. */
static bool take_key(top_t *self, int key)
{
    switch (key) {
#define ACTOR_SORT(number, name, letter, meaning)                                                  \
    case letter:                                                                                   \
        self->sort = ACTOR_SORT_##name;                                                            \
        top_table_sort(&self->table, self->sort);                                                  \
        return self->each; /* the node has picked the rows by the old order */
#include "node/actor_sorts.def"
#undef ACTOR_SORT
    case 'e':
        self->each = !self->each;
        return true;
    default:
        return false;
    }
}

/* Serves keys and the connection until the next report is due; false when it is the end. */
static bool serve_keys(top_t *self, const char *trouble)
{
    int64_t until_us = clock_us(CLOCK_MONOTONIC) + self->interval_us;
    for (int64_t left_us; (left_us = until_us - clock_us(CLOCK_MONOTONIC)) > 0;) {
        int key = terminal_key(left_us < KEY_WAIT_US ? left_us : KEY_WAIT_US);
        if (key == 'q' || key == KEY_CTRL_C || key == KEY_END || interrupted()) {
            return false;
        }
        if (take_key(self, key)) {
            return true;
        }
        peer_poll(self->peer, 0);
        show(self, trouble);
    }
    return true;
}

static int run_screen(top_t *self)
{
    terminal_t terminal;
    if (!terminal_enter(&terminal)) {
        fprintf(stderr, "capstan top: stdin and stdout must be a terminal; `--once` and `--json` "
                        "work without one\n");
        return EXIT_USAGE;
    }
    char text[1024];
    do {
        char trouble[1200] = "";
        text[0] = '\0';
        capstan_err_t err = sample(self, text, sizeof text);
        if (err != CAPSTAN_OK) {
            snprintf(trouble, sizeof trouble, "%s: %s; trying again; q ends", self->endpoint,
                     *text ? text : capstan_err_text(err));
        }
        show(self, trouble);
        if (!serve_keys(self, trouble)) {
            break;
        }
    } while (!interrupted());
    terminal_leave(&terminal);
    return EXIT_DONE;
}

/* --- the command ----------------------------------------------------------------------------- */

static int run(top_t *self, bool once, bool json)
{
    char text[1024] = "";
    interrupt_catch();
    capstan_err_t err = peer_connect(
        &(peer_options_t){.endpoint = self->endpoint, .connect_timeout_us = CONNECT_TIMEOUT_US},
        &(peer_handlers_t){.context = NULL}, &self->peer, text, sizeof text);
    if (err != CAPSTAN_OK) {
        return cli_failed("top", err, text);
    }
    int status = once || json ? run_plain(self, once, json) : run_screen(self);
    peer_close(&self->peer, 0);
    top_table_fini(&self->table);
    return status;
}

int cli_top(int argc, char **argv)
{
    top_t top = {0};
    const char *sort = NULL;
    uint64_t interval_ms = 0;
    bool once = false;
    bool json = false;
    const option_t options[] = {
        OPTION_TO(&top.endpoint),
        {.name = "sort",
         .argument = "COLUMN",
         .type = OPTION_CHOICE,
         .choices = sort_choices + 1,
         .initial = "rate",
         .target.text = &sort,
         .meaning = "what comes first: rate, depth, age, turn, busy, dropped, restarts, name"},
        {.name = "actors",
         .type = OPTION_FLAG,
         .target.flag = &top.each,
         .meaning = "a row for each actor, not for those of a name and cell"},
        {.name = "interval-ms",
         .argument = "N",
         .type = OPTION_UINT,
         .initial = "1000",
         .minimum = 100,
         .maximum = 50000,
         .target.number = &interval_ms,
         .meaning = "time between two reports"},
        {.name = "once",
         .type = OPTION_FLAG,
         .target.flag = &once,
         .meaning = "print the table once, after the first interval"},
        {.name = "json",
         .type = OPTION_FLAG,
         .target.flag = &json,
         .meaning = "print one line of JSON per interval"},
    };
    const command_line_t line = {
        .usage = "capstan top [--to ENDPOINT] [--sort COLUMN] [--actors] [--once] [--json]",
        .summary =
            "Shows what the actors of a node are doing, as a table that is renewed each second:\n"
            "messages per second, messages in flight and the age of the oldest of them, the mean\n"
            "time of a turn, the share of a core, drops and restarts. The letters in the second\n"
            "line choose the order; e shows each actor, or those of a name and cell as one; q\n"
            "or Ctrl-C ends it.",
        .examples = "  capstan top\n"
                    "  capstan top --to tcp://127.0.0.1:7701 --sort age --actors\n"
                    "  capstan top --once --json | jq '.actors[] | select(.depth > 1000)'\n",
        .options = options,
        .count = OPTION_COUNT(options)};
    int status = options_parse(&line, argc, argv, NULL);
    if (status != OPTIONS_RUN) {
        return status;
    }
    top.sort = sort_of(sort);
    top.interval_us = (int64_t)interval_ms * 1000;
    return run(&top, once, json);
}

/* Goal: whoever reads the log cannot hold up an actor: not a pipe that is full, not a terminal that
 * is suspended. What was lost is counted, told by the next line, and a stop does not wait for it.
 */
#include "runtime/runtime_metrics.h"
#include "runtime/telemetry/log.h"
#include "runtime/telemetry/log_writer.h"

#include <capstan/node.h>
#include <criterion/criterion.h>
#include <fcntl.h>
#include <jansson.h>
#include <poll.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

enum {
    MESSAGE_talk = 0x8000,
    ROWS = 256, /* a row may say only so much in a second */
    LINES = ROWS * LOG_ROW_PER_SECOND,
    ASK_US = 60000000,
};

static log_event_t rows[ROWS];
static capstan_node_t *node;
static capstan_ref_t talker;

/* Logs LINES lines, far more than wait for a reader, and answers. */
static capstan_err_t talk(capstan_actor_t *self, const capstan_message_t *message)
{
    for (int i = 0; i < LINES; i++) {
        log_write(&rows[i % ROWS], (const log_field_t[]){log_int("i", i), LOG_END});
    }
    capstan_reply(self, message, MESSAGE_talk, (capstan_slice_t){0});
    return CAPSTAN_OK;
}

static void start_talker(int output)
{
    static const capstan_behaviour_t behaviour = {
        .name = "talker", .receive = talk, .may_block = true}; /* no report of its long turn */
    for (size_t i = 0; i < ROWS; i++) {
        rows[i] = (log_event_t){.concern = "test",
                                .name = "line",
                                .message = "a line that someone should read",
                                .listed = ATOMIC_FLAG_INIT};
    }
    log_redirect(output, LOG_FORMAT_JSON);
    cr_assert_eq(capstan_node_new(NULL, &node), CAPSTAN_OK);
    cr_assert_eq(
        capstan_node_spawn(node, &behaviour, &(capstan_spawn_options_t){.cell = "cell"}, &talker),
        CAPSTAN_OK);
}

static void let_it_talk(void)
{
    void *body;
    size_t size;
    cr_assert_eq(
        capstan_node_ask(node, talker, MESSAGE_talk, (capstan_slice_t){0}, ASK_US, &body, &size),
        CAPSTAN_OK);
    free(body);
}

static int64_t lost(void)
{
    return metric_value(&runtime_metrics, METRIC_runtime_log_lines_lost);
}

static int64_t written(void)
{
    return metric_value(&runtime_metrics, METRIC_runtime_log_lines);
}

static void stop_node(void)
{
    cr_assert_eq(capstan_node_stop(&node, ASK_US, NULL, NULL), CAPSTAN_OK);
}

static FILE *open_pipe(int *ret_output)
{
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    cr_assert(fcntl(ends[1], F_SETPIPE_SZ, 4096) > 0);
    *ret_output = ends[1];
    return fdopen(ends[0], "r");
}

/* A terminal that nobody reads: what a suspended one is to its writer. */
static int open_terminal(int *ret_output)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    cr_assert(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    *ret_output = open(ptsname(master), O_RDWR | O_NOCTTY);
    cr_assert(*ret_output >= 0);
    return master;
}

Test(log_reader, that_does_not_read_a_pipe_holds_up_no_actor_and_no_stop)
{
    int output;
    FILE *reader = open_pipe(&output);
    start_talker(output);
    let_it_talk();
    cr_assert(lost() > 0);
    cr_assert(written() < LOG_LINES_MAX);
    stop_node();
    cr_assert_eq(lost() + written(), LINES, "every line is accounted for");
    fclose(reader);
}

Test(log_reader, that_suspends_its_terminal_holds_up_no_actor_and_no_stop)
{
    int output;
    int master = open_terminal(&output);
    start_talker(output);
    let_it_talk();
    cr_assert(lost() > 0);
    stop_node();
    cr_assert_eq(lost() + written(), LINES, "every line is accounted for");
    close(master);
}

/* Reads one line; adds what it tells to `told`. Returns whether it is the last. */
static bool read_line(FILE *reader, int64_t *told)
{
    char text[LOG_LINE_BYTES_MAX + 2];
    cr_assert_not_null(fgets(text, sizeof text, reader));
    json_t *line = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    cr_assert_not_null(line, "%s", text);
    *told += json_integer_value(json_object_get(line, "lines_lost"));
    bool last = strcmp(json_string_value(json_object_get(line, "event")), "test.last") == 0;
    json_decref(line);
    return last;
}

Test(log_reader, that_reads_again_gets_whole_lines_and_is_told_what_is_lost)
{
    static log_event_t last = {
        .concern = "test", .name = "last", .message = "goes on", .listed = ATOMIC_FLAG_INIT};
    int output;
    FILE *reader = open_pipe(&output);
    start_talker(output);
    let_it_talk();
    int64_t lost_at_first = lost();
    cr_assert(lost_at_first > 0);
    int64_t told = 0;
    int64_t count = 0;
    for (; count < LOG_LINES_MAX / 2; count++) { /* now the ring has room again */
        cr_assert(!read_line(reader, &told));
    }
    log_write(&last, (const log_field_t[]){LOG_END});
    while (!read_line(reader, &told)) {
        count++;
    }
    cr_assert_eq(told, lost_at_first);
    cr_assert_eq(count + told, LINES, "what was not lost came before");
    stop_node();
    cr_assert_eq(lost(), lost_at_first);
    fclose(reader);
}

Test(log_reader, that_goes_away_costs_its_lines_only)
{
    int output;
    FILE *reader = open_pipe(&output);
    start_talker(output);
    fclose(reader);
    let_it_talk();
    stop_node();
    cr_assert_eq(lost(), LINES);
    cr_assert_eq(written(), 0);
}

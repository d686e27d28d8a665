/* Goal: a line is whole, bounded and harmless, whatever its fields hold; a flood and a reader that
 * does not read cost neither memory nor time, and both are told afterwards. */
#include "actors/journal/journal_events.h"
#include "actors/ordering/ordering_events.h"
#include "brokers/gateway/gateway_events.h"
#include "node/node_events.h"
#include "runtime/runtime_metrics.h"
#include "runtime/telemetry/log.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#define READ_MAX (1024 * 1024)

static char received[READ_MAX + 1];

/* The log's output goes into a pipe from now on; returns its reading end. */
static int capture(log_format_t format)
{
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    cr_assert_eq(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
    log_redirect(ends[1], format);
    return ends[0];
}

/* What was logged and not read before. */
static const char *drain(int fd)
{
    size_t size = 0;
    ssize_t got;
    while (size < READ_MAX && (got = read(fd, received + size, READ_MAX - size)) > 0) {
        size += (size_t)got;
    }
    received[size] = '\0';
    return received;
}

static size_t count_lines(const char *text)
{
    size_t count = 0;
    for (; *text; text++) {
        count += *text == '\n';
    }
    return count;
}

static uint64_t lines_lost(void)
{
    return (uint64_t)metric_value(&runtime_metrics, METRIC_runtime_log_lines_lost);
}

static json_t *read_line(const char *line)
{
    json_error_t error;
    json_t *root = json_loadb(line, strcspn(line, "\n"), JSON_REJECT_DUPLICATES, &error);
    cr_assert_not_null(root, "%s in %s", error.text, line);
    return root;
}

static const char *member(const json_t *line, const char *name)
{
    const char *text = json_string_value(json_object_get(line, name));
    return text ? text : "";
}

Test(log, writes_an_event_as_one_json_line)
{
    int fd = capture(LOG_FORMAT_JSON);
    LOG(gateway, session_opened, log_text("peer", slice_text("feeder")), log_uint("sessions", 3),
        log_int("offset", -7), log_hex("node", 0xabc), log_error(CAPSTAN_E_TIMEOUT));
    const char *text = drain(fd);
    cr_assert_eq(count_lines(text), 1);
    json_t *line = read_line(text);
    cr_expect_str_eq(member(line, "level"), "info");
    cr_expect_str_eq(member(line, "event"), "gateway.session_opened");
    cr_expect_str_eq(member(line, "message"), "a peer greeted");
    cr_expect_str_eq(member(line, "peer"), "feeder");
    cr_expect_str_eq(member(line, "node"), "0000000000000abc");
    cr_expect_str_eq(member(line, "error"), "TIMEOUT");
    cr_expect_eq(json_integer_value(json_object_get(line, "sessions")), 3);
    cr_expect_eq(json_integer_value(json_object_get(line, "offset")), -7);
    int year, month, day, hour, minute, second, us;
    char zone;
    cr_expect_eq(sscanf(member(line, "time"), "%4d-%2d-%2dT%2d:%2d:%2d.%6d%c", &year, &month, &day,
                        &hour, &minute, &second, &us, &zone),
                 8);
    cr_expect_eq(zone, 'Z');
    json_decref(line);
}

Test(log, writes_text_for_people_and_events_without_fields)
{
    int fd = capture(LOG_FORMAT_TEXT);
    LOG(node, stop_late);
    LOG(gateway, protocol_error, log_string("peer", "a b"), log_string("where", NULL));
    const char *text = drain(fd);
    cr_assert_eq(count_lines(text), 2);
    cr_expect_not_null(
        strstr(text, "Z error   node.stop_late: an actor or cell did not end in time"));
    cr_expect_not_null(strstr(text, "Z warning gateway.protocol_error: a peer broke the protocol "
                                    "peer=\"a b\" where=\"\"\n"));
}

Test(log, makes_strangers_bytes_harmless_in_both_formats)
{
    static const log_format_t formats[] = {LOG_FORMAT_JSON, LOG_FORMAT_TEXT};
    for (size_t i = 0; i < 2; i++) {
        int fd = capture(formats[i]);
        LOG(gateway, session_opened,
            log_text("peer", slice_of("x\n{\"event\":\"forged\"}\x1b[2J\xff\0", 26)));
        const char *text = drain(fd);
        cr_expect_eq(count_lines(text), 1, "%s", text);
        cr_expect_not_null(
            strstr(text, "\"x\\n{\\\"event\\\":\\\"forged\\\"}\\u001b[2J\xef\xbf\xbd"), "%s", text);
        close(fd);
    }
}

Test(log, cuts_long_texts_at_a_character)
{
    int fd = capture(LOG_FORMAT_JSON);
    char name[3 * LOG_TEXT_BYTES_MAX];
    for (size_t i = 0; i + 3 <= sizeof name; i += 3) {
        memcpy(name + i, "\xe2\x82\xac", 3);
    }
    LOG(gateway, session_opened, log_text("peer", slice_of(name, sizeof name)));
    json_t *line = read_line(drain(fd));
    const char *peer = member(line, "peer");
    size_t whole = LOG_TEXT_BYTES_MAX / 3 * 3;
    cr_assert_eq(strlen(peer), whole + 3);
    cr_assert_eq(memcmp(peer, name, whole), 0);
    cr_assert_str_eq(peer + whole, "...");
    json_decref(line);
}

Test(log, bounds_a_line_and_says_that_it_was_cut)
{
    int fd = capture(LOG_FORMAT_JSON);
    char worst[LOG_TEXT_BYTES_MAX];
    memset(worst, 1, sizeof worst); /* each becomes six bytes */
    slice_t text = slice_of(worst, sizeof worst);
    LOG(gateway, session_opened, log_text("a", text), log_text("b", text), log_text("c", text),
        log_text("d", text), log_uint("last", 1));
    const char *logged = drain(fd);
    cr_assert(strlen(logged) <= LOG_LINE_BYTES_MAX);
    json_t *line = read_line(logged);
    cr_expect_not_null(json_object_get(line, "b"));
    cr_expect_null(json_object_get(line, "c"));
    cr_expect_not_null(json_object_get(line, "last"), "what fits is kept");
    cr_expect_not_null(json_object_get(line, "cut"));
    json_decref(line);
}

/* The value of `name` in the last line that has it, or 0. */
static uint64_t last_number(const char *text, const char *name)
{
    uint64_t value = 0;
    for (const char *line = text; *line; line += strcspn(line, "\n") + 1) {
        json_t *root = read_line(line);
        json_t *number = json_object_get(root, name);
        value = number ? (uint64_t)json_integer_value(number) : value;
        json_decref(root);
    }
    return value;
}

Test(log, suppresses_a_flood_of_one_row_and_says_how_much)
{
    int fd = capture(LOG_FORMAT_JSON);
    enum { FLOOD = 100000 };
    for (int i = 0; i < FLOOD; i++) {
        LOG(gateway, protocol_error, log_int("i", i));
    }
    LOG(node, ready); /* another row is not held back */
    log_flush();
    const char *text = drain(fd);
    cr_assert_not_null(strstr(text, "node.ready"));
    /* The flood may touch a few seconds on a slow machine: each adds its lines and one that tells.
     */
    size_t lines = count_lines(text) - 1;
    cr_assert(lines >= LOG_ROW_PER_SECOND + 1 && lines < 10 * (LOG_ROW_PER_SECOND + 1), "%zu",
              lines);
    uint64_t told = 0;
    uint64_t plain = 0;
    for (const char *line = text; *line; line += strcspn(line, "\n") + 1) {
        json_t *root = read_line(line);
        told += (uint64_t)json_integer_value(json_object_get(root, "suppressed"));
        plain += json_object_get(root, "i") != NULL;
        json_decref(root);
    }
    cr_assert_eq(told + plain, FLOOD, "every occurrence is accounted for");
    log_flush();
    cr_assert_str_empty(drain(fd), "nothing is told twice");
}

static void *log_many(void *argument)
{
    for (int i = 0; i < 2000; i++) {
        LOG(ordering, append_refused, log_string("thread", argument), log_int("i", i));
        LOG(journal, commit_failed, log_string("thread", argument), log_int("i", i));
    }
    return NULL;
}

Test(log, keeps_lines_whole_and_accounts_when_many_threads_log)
{
    int fd = capture(LOG_FORMAT_JSON);
    pthread_t threads[8];
    for (size_t i = 0; i < 8; i++) {
        cr_assert_eq(pthread_create(&threads[i], NULL, log_many, "x"), 0);
    }
    for (size_t i = 0; i < 8; i++) {
        pthread_join(threads[i], NULL);
    }
    log_flush();
    const char *text = drain(fd);
    uint64_t told = 0;
    for (const char *line = text; *line; line += strcspn(line, "\n") + 1) {
        json_t *root = read_line(line);
        told += (uint64_t)json_integer_value(json_object_get(root, "suppressed"));
        told += json_object_get(root, "i") != NULL;
        json_decref(root);
    }
    cr_assert_eq(told + lines_lost(), 8 * 2 * 2000);
}

Test(log, loses_lines_that_nobody_reads_instead_of_waiting)
{
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    cr_assert(fcntl(ends[1], F_SETPIPE_SZ, 4096) > 0);
    log_redirect(ends[1], LOG_FORMAT_JSON);
    log_event_t *rows[] = {&node_events[EVENT_node_ready], &node_events[EVENT_node_stopping],
                           &node_events[EVENT_node_stopped]};
    for (size_t i = 0; i < 3 * LOG_ROW_PER_SECOND; i++) {
        log_write(rows[i % 3], (const log_field_t[]){LOG_END});
    }
    uint64_t lost = lines_lost();
    cr_assert(lost > 0);
    cr_assert_eq(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
    drain(ends[0]);
    LOG(gateway, listening);
    cr_assert_eq(last_number(drain(ends[0]), "lines_lost"), lost);
}

#include "cli/feed_input.h"
#include "cli/feed_time.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- Times. ---- */

Test(feed_time, reads_days_offsets_and_fractions)
{
    const struct {
        const char *text;
        int64_t us;
    } cases[] = {
        {"1970-01-01", 0},
        {"1970-01-02T00:00Z", INT64_C(86400000000)},
        {"2011-10-01T00:38:44.546+02:00", INT64_C(1317422324546000)},
        {"2011-09-30 22:38:44.546z", INT64_C(1317422324546000)},
        {"2011-10-01T00:38:44,546+0200", INT64_C(1317422324546000)},
        {"2011-10-01T00:38:44.546000999+02", INT64_C(1317422324546000)},
        {"1969-12-31T23:59:59.999999Z", -1},
        {"2024-02-29T12:00:00-00:30", INT64_C(1709209800000000)},
        {"2016-12-31T23:59:60Z", INT64_C(1483228800000000)},
        {"0001-01-01", INT64_C(-62135596800000000)},
        {"9999-12-31T23:59:59.999999Z", INT64_C(253402300799999999)},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t us = 42;
        cr_assert_null(feed_time_parse(slice_text(cases[i].text), &us), "%s", cases[i].text);
        cr_assert_eq(us, cases[i].us, "%s: %ld", cases[i].text, (long)us);
    }
}

Test(feed_time, refuses_what_is_no_time)
{
    const char *cases[] = {
        "",
        "yesterday",
        "2011-13-01",
        "2011-02-29",
        "1900-02-29",
        "2011-10-00",
        "0000-01-01",
        "2011-10-01T",
        "2011-10-01T24:00Z",
        "2011-10-01T10:60Z",
        "2011-10-01T10:00:61Z",
        "2011-10-01T10:00:00.Z",
        "2011-10-01T10:00",
        "2011-10-01T10:00:00+2",
        "2011-10-01T10:00:00+02:",
        "2011-10-01Z",
        "2011-10-01T10:00:00Z ",
        "20111001",
        "2011-1-01",
        "-011-10-01",
        "2011-10-01T10:00:00+24:00",
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t us = 42;
        cr_assert_not_null(feed_time_parse(slice_text(cases[i]), &us), "%s", cases[i]);
        cr_assert_eq(us, 42, "%s", cases[i]);
    }
}

/* Goal: the text of any time is read back as the same time. */
Test(feed_time, format_and_parse_are_inverse)
{
    char text[FEED_TIME_TEXT_SIZE];
    for (int64_t us = INT64_C(-62135596800000000); us < INT64_C(253402300800000000);
         us += INT64_C(33177600123457)) {
        int64_t again = 0;
        feed_time_format(us, text);
        cr_assert_null(feed_time_parse(slice_text(text), &again), "%s", text);
        cr_assert_eq(again, us, "%s", text);
    }
    feed_time_format(INT64_MIN, text);
    feed_time_format(INT64_MAX, text);
}

/* ---- Faults. ---- */

enum { ROWS = 20000 };

typedef struct item {
    feed_link_t link;
    uint64_t number;
} item_t;

/* Pushes ROWS items and gives the order in which they come out. */
static void shuffle(const feed_faults_options_t *options, uint64_t *ret_order)
{
    feed_faults_t *faults = feed_faults_new(options);
    item_t *items = calloc(ROWS, sizeof *items);
    cr_assert_not_null(items);
    feed_queue_t out = {0};
    for (uint64_t i = 0; i < ROWS; i++) {
        items[i].number = i;
        feed_faults_push(faults, &items[i].link, &out);
        cr_assert_leq(i + 1 - out.count, options->reorder + 1, "the window is bounded");
    }
    feed_faults_flush(faults, &out);
    cr_assert_eq(out.count, ROWS);
    for (uint64_t i = 0; i < ROWS; i++) {
        ret_order[i] = ((item_t *)feed_queue_pop(&out))->number;
    }
    cr_assert_null(feed_queue_pop(&out));
    free(items);
    feed_faults_destroy(&faults);
}

/* Goal: each row comes out once, at most `reorder` places from where it was, and most do move. */
Test(feed_faults, rows_move_by_at_most_the_window)
{
    const uint64_t windows[] = {0, 1, 2, 7, 500, 5000};
    static uint64_t order[ROWS];
    for (size_t w = 0; w < sizeof windows / sizeof windows[0]; w++) {
        static bool seen[ROWS];
        uint64_t moved = 0;
        memset(seen, 0, sizeof seen);
        shuffle(&(feed_faults_options_t){.seed = 7, .reorder = windows[w]}, order);
        for (uint64_t place = 0; place < ROWS; place++) {
            uint64_t from = order[place];
            uint64_t distance = from > place ? from - place : place - from;
            cr_assert(!seen[from]);
            seen[from] = true;
            cr_assert_leq(distance, windows[w]);
            moved += distance > 0;
        }
        cr_assert(windows[w] == 0 ? moved == 0 : moved > ROWS / 4, "%lu moved by %lu",
                  (unsigned long)moved, (unsigned long)windows[w]);
    }
}

Test(feed_faults, the_seed_decides)
{
    static uint64_t orders[3][ROWS];
    shuffle(&(feed_faults_options_t){.seed = 1, .reorder = 100}, orders[0]);
    shuffle(&(feed_faults_options_t){.seed = 1, .reorder = 100}, orders[1]);
    shuffle(&(feed_faults_options_t){.seed = 2, .reorder = 100}, orders[2]);
    cr_assert_arr_eq(orders[0], orders[1], sizeof orders[0]);
    cr_assert_arr_neq(orders[0], orders[2], sizeof orders[0]);
}

/* Goal: shares are kept, and one fault's decisions do not depend on another's share. */
Test(feed_faults, shares_are_kept_and_independent)
{
    feed_faults_t *both =
        feed_faults_new(&(feed_faults_options_t){.seed = 3, .drop = 0.2, .duplicate = 0.05});
    feed_faults_t *one = feed_faults_new(&(feed_faults_options_t){.seed = 3, .drop = 0.2});
    feed_faults_t *all = feed_faults_new(&(feed_faults_options_t){.seed = 3, .drop = 1});
    uint64_t dropped = 0;
    uint64_t doubled = 0;
    for (uint64_t number = 1; number <= 100000; number++) {
        feed_fate_t fate = feed_faults_decide(both, number);
        dropped += fate.drop;
        doubled += fate.duplicate;
        cr_assert_eq(feed_faults_decide(one, number).drop, fate.drop);
        cr_assert(!feed_faults_decide(one, number).duplicate);
        cr_assert(feed_faults_decide(all, number).drop);
    }
    cr_assert(dropped > 19000 && dropped < 21000, "%lu", (unsigned long)dropped);
    cr_assert(doubled > 4600 && doubled < 5400, "%lu", (unsigned long)doubled);
    feed_faults_destroy(&both);
    feed_faults_destroy(&one);
    feed_faults_destroy(&all);
}

/* ---- Rows. ---- */

static int file_of(const char *bytes, size_t size)
{
    int fd = memfd_create("csv", 0);
    cr_assert_geq(fd, 0);
    cr_assert_eq(write(fd, bytes, size), (ssize_t)size);
    lseek(fd, 0, SEEK_SET);
    return fd;
}

static feed_input_t *open_input(const char *bytes, size_t size, const char *sequence,
                                const char *time)
{
    return feed_input_new(&(feed_input_options_t){.fd = file_of(bytes, size),
                                                  .file = "t.csv",
                                                  .key = "k",
                                                  .sequence = sequence,
                                                  .time = time});
}

/* Goal: the payload has all fields as their original text, in the input's order. */
Test(feed_input, a_row_becomes_a_map_of_texts)
{
    static const char text[] = "n,k,t,v\n007,key,2011-10-01,\" a,b \"\n";
    static const char payload[] = "\x84\xa1n\xa3"
                                  "007\xa1k\xa3"
                                  "key\xa1t\xaa"
                                  "2011-10-01"
                                  "\xa1v\xa5 a,b ";
    feed_input_t *input = open_input(text, sizeof text - 1, "n", "t");
    char error[FEED_TEXT_MAX];
    feed_row_t *row = NULL;
    feed_bad_t bad;
    cr_assert_eq(feed_input_open(input, error), FEED_INPUT_ROW, "%s", error);
    cr_assert_eq(feed_input_next(input, -1, &row, &bad), FEED_INPUT_ROW);
    cr_assert_eq(row->line, 2);
    cr_assert_eq(row->sequence, 7);
    cr_assert_eq(row->time_us, INT64_C(1317427200000000));
    cr_assert(slice_equal(feed_row_key(row), slice_text("key")));
    cr_assert(slice_equal(feed_row_payload(row), slice_of(payload, sizeof payload - 1)));
    free(row);
    cr_assert_eq(feed_input_next(input, -1, &row, &bad), FEED_INPUT_END);
    feed_input_destroy(&input);
}

/* Goal: every kind of bad row says which field is wrong and how, and the next row is read. */
Test(feed_input, bad_rows_are_told_by_field)
{
#define BAD(row, message)                                                                          \
    {                                                                                              \
        row, sizeof row - 1, message                                                               \
    }
    const struct {
        const char *row;
        size_t size;
        const char *text;
    } cases[] = {
        BAD("a,1", "field 't': is missing: the row has 2 fields, the header has 3"),
        BAD("a,1,2011-10-01,x", "field 4: is too much: the row has 4 fields, the header has 3"),
        BAD("a,one,2011-10-01",
            "field 'n': 'one' is no number: sequences are 1, 2, 3 ... for each key"),
        BAD("a,,2011-10-01", "field 'n': '' is no number: sequences are 1, 2, 3 ... for each key"),
        BAD("a,0,2011-10-01", "field 'n': '0' is 0: sequences begin at 1 for each key"),
        BAD("a,18446744073709551616,2011-10-01",
            "field 'n': '18446744073709551616' is too large: sequences have at most 64 bits"),
        BAD("a,1,soon",
            "field 't': 'soon' is no ISO 8601 time such as 2011-10-01T00:38:44.546+02:00"),
        BAD(",1,2011-10-01", "field 'k': is the key and has 0 bytes; 1 to 1024 are allowed"),
        BAD("a\0b,1,2011-10-01", "field 'k': has a NUL byte"),
        BAD("a\xff,1,2011-10-01", "field 'k': is not UTF-8"),
        BAD("a,1,\x1b[2J", "field 't': '\\x1b[2J' is no ISO 8601 time such as "
                           "2011-10-01T00:38:44.546+02:00"),
        BAD("a,\"1\"1,2011-10-01", "field 'n': has text behind its closing quote"),
    };
#undef BAD
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[512] = "k,n,t\n";
        size_t size = strlen(text);
        memcpy(text + size, cases[i].row, cases[i].size);
        memcpy(text + size + cases[i].size, "\ngood,1,2011-10-01\n", 19);
        feed_input_t *input = open_input(text, size + cases[i].size + 19, "n", "t");
        char error[FEED_TEXT_MAX];
        feed_row_t *row = NULL;
        feed_bad_t bad;
        cr_assert_eq(feed_input_open(input, error), FEED_INPUT_ROW, "%s", error);
        cr_assert_eq(feed_input_next(input, -1, &row, &bad), FEED_INPUT_BAD, "case %zu", i);
        cr_assert_str_eq(bad.text, cases[i].text);
        cr_assert_eq(bad.line, 2);
        cr_assert_eq(feed_input_next(input, -1, &row, &bad), FEED_INPUT_ROW, "case %zu", i);
        cr_assert(slice_equal(feed_row_key(row), slice_text("good")));
        free(row);
        feed_input_destroy(&input);
    }
}

/* Goal: a file that cannot be fed says so in one sentence with its name and what to do. */
Test(feed_input, wrong_files_are_explained)
{
    const struct {
        const char *bytes;
        size_t size;
        const char *text;
    } cases[] = {
        {"", 0, "t.csv: is empty: the first line must be a header with the fields' names"},
        {"\n\n", 2, "t.csv: is empty: the first line must be a header with the fields' names"},
        {"\x1f\x8b\x08\0\0\n", 6,
         "t.csv: is compressed with gzip: use `zcat FILE | capstan feed ... -`"},
        {"a,n\n1,2\n", 8,
         "t.csv:1: field 'k' (--key): the header has no such column; it has: a, n"},
        {"k,m\n1,2\n", 8,
         "t.csv:1: field 'n' (--seq): the header has no such column; it has: k, m"},
        {"k;n\n1;2\n", 8,
         "t.csv:1: field 'k' (--key): the header has no such column; it has: k;n (fields are "
         "separated by commas)"},
        {"k,n,k\n", 6, "t.csv:1: field 'k': the header has it twice: rename one"},
        {"\x7f"
         "ELF\x02\x01\0\0\n",
         9, "t.csv:1: is no CSV text in UTF-8: its first line is no header"},
        {"k,\"n\n", 5, "t.csv:1: the header's field 2 has a quote that is never closed"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        feed_input_t *input = open_input(cases[i].bytes, cases[i].size, "n", NULL);
        char error[FEED_TEXT_MAX] = "";
        cr_assert_eq(feed_input_open(input, error), FEED_INPUT_FAILED, "case %zu", i);
        cr_assert_str_eq(error, cases[i].text);
        feed_input_destroy(&input);
    }
}

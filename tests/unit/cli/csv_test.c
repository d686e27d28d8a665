#include "cli/csv_reader.h"
#include "cli/csv_writer.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

/* A reader of the text, and the row last read. */
typedef struct csv {
    int fd;
    csv_reader_t *reader;
    csv_row_t row;
} csv_t;

static csv_t open_bytes(const char *bytes, size_t size)
{
    csv_t csv = {.fd = memfd_create("csv", 0)};
    cr_assert_geq(csv.fd, 0);
    cr_assert_eq(write(csv.fd, bytes, size), (ssize_t)size);
    lseek(csv.fd, 0, SEEK_SET);
    csv.reader = csv_reader_new(csv.fd);
    return csv;
}

static csv_t open_text(const char *text)
{
    return open_bytes(text, strlen(text));
}

static void close_csv(csv_t *csv)
{
    csv_reader_destroy(&csv->reader);
    close(csv->fd);
}

static csv_result_t next(csv_t *csv)
{
    return csv_reader_next(csv->reader, -1, &csv->row);
}

/* The next row is good, begins on `line` and has the fields that `fields` names, parted by '|'. */
static void expect_row(csv_t *csv, uint64_t line, const char *fields)
{
    buffer_t text = {0};
    cr_assert_eq(next(csv), CSV_ROW, "instead of %s", fields);
    cr_assert_null(csv->row.fault, "%s instead of %s", csv->row.fault, fields);
    for (size_t i = 0; i < csv->row.count; i++) {
        buffer_append(&text, "|", i > 0);
        buffer_append(&text, csv->row.fields[i].data, csv->row.fields[i].size);
    }
    cr_assert(slice_equal(buffer_slice(&text), slice_text(fields)), "instead of %s", fields);
    buffer_fini(&text);
    cr_assert_eq(csv->row.line, line, "line of %s: %lu", fields, (unsigned long)csv->row.line);
}

static void expect_fault(csv_t *csv, uint64_t line, size_t field, const char *fault)
{
    cr_assert_eq(next(csv), CSV_ROW);
    cr_assert_not_null(csv->row.fault, "instead of %s", fault);
    cr_assert_str_eq(csv->row.fault, fault);
    cr_assert_eq(csv->row.line, line, "line %lu", (unsigned long)csv->row.line);
    cr_assert_eq(csv->row.fault_field, field);
}

static void expect_end(csv_t *csv)
{
    cr_assert_eq(next(csv), CSV_END);
    cr_assert_eq(next(csv), CSV_END);
    close_csv(csv);
}

/* Goal: fields are what their writer meant, by RFC 4180, with nothing trimmed. */
Test(csv, fields_keep_their_text)
{
    csv_t csv = open_text("a,b,c\n"
                          " x ,\ty,z \n"
                          "\"q,r\",\"say \"\"hi\"\"\",\n"
                          ",,\n"
                          "5\" pipe,b\"\"c,\"\"\n"
                          "\"two\nlines\",x,y\r\n"
                          "\r\n\n"
                          "last,\"one\",here");
    expect_row(&csv, 1, "a|b|c");
    expect_row(&csv, 2, " x |\ty|z ");
    expect_row(&csv, 3, "q,r|say \"hi\"|");
    expect_row(&csv, 4, "||");
    expect_row(&csv, 5, "5\" pipe|b\"\"c|");
    expect_row(&csv, 6, "two\nlines|x|y");
    expect_row(&csv, 10, "last|one|here");
    expect_end(&csv);
}

/* Goal: a byte order mark is no part of the first column's name. */
Test(csv, skips_a_byte_order_mark)
{
    csv_t csv = open_text("\xef\xbb\xbf"
                          "a,b\n1,2\n");
    expect_row(&csv, 1, "a|b");
    expect_row(&csv, 2, "1|2");
    expect_end(&csv);
}

/* Goal: a broken quote costs its own row and not those behind it. */
Test(csv, text_behind_a_closing_quote_spoils_one_row)
{
    csv_t csv = open_text("a,b\n1,\"x\"y,z\n2,3\n\"p\"q\n4,5\n");
    expect_row(&csv, 1, "a|b");
    expect_fault(&csv, 2, 1, "has text behind its closing quote");
    expect_row(&csv, 3, "2|3");
    expect_fault(&csv, 4, 0, "has text behind its closing quote");
    expect_row(&csv, 5, "4|5");
    expect_end(&csv);
}

Test(csv, a_quote_that_is_never_closed_is_a_fault_of_its_row)
{
    csv_t csv = open_text("a,b\n1,2\n3,\"4\n5,6\n");
    expect_row(&csv, 1, "a|b");
    expect_row(&csv, 2, "1|2");
    expect_fault(&csv, 3, 1, "has a quote that is never closed");
    expect_end(&csv);
}

/* A file of `before`, many times `filler`, `after` and a good row. */
static csv_t open_filled(const char *before, char filler, size_t size, const char *after)
{
    static char block[1 << 16];
    csv_t csv = open_text(before);
    lseek(csv.fd, 0, SEEK_END);
    memset(block, filler, sizeof block);
    for (size_t written = 0; written < size; written += sizeof block) {
        cr_assert_eq(write(csv.fd, block, sizeof block), (ssize_t)sizeof block);
    }
    cr_assert_gt(write(csv.fd, after, strlen(after)), 0);
    cr_assert_eq(write(csv.fd, "7,8\n", 4), 4);
    lseek(csv.fd, 0, SEEK_SET);
    return csv;
}

/* Goal: memory stays bounded by what is allowed, not by what comes in; the next row is fine. The
 * shapes are those in which libcsv could be left with less in its buffer than it wants to remove.
 */
Test(csv, long_fields_are_thrown_away_while_they_are_read)
{
    enum { LONG = 16 << 20 };
    const struct {
        const char *before;
        char filler;
        const char *after;
    } shapes[] = {
        {"1,", 'x', "\n"},   {"1,\"", 'x', "\"\n"},   {"1,\"", '\n', "\"\n"}, {"1,\"", '"', "\"\n"},
        {"1,x", '\r', "\n"}, {"1,\"x\"", '\r', "\n"}, {"1,\"", '"', "\",\n"},
    };
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        struct rusage before;
        struct rusage after;
        getrusage(RUSAGE_SELF, &before);
        csv_t csv = open_filled(shapes[i].before, shapes[i].filler, LONG, shapes[i].after);
        cr_assert_eq(next(&csv), CSV_ROW);
        cr_assert_not_null(csv.row.fault, "shape %zu", i);
        cr_assert_eq(next(&csv), CSV_ROW);
        cr_assert_null(csv.row.fault, "shape %zu", i);
        cr_assert_eq(csv.row.count, 2);
        expect_end(&csv);
        getrusage(RUSAGE_SELF, &after);
#ifndef __SANITIZE_ADDRESS__ /* which keeps what was freed, up to 256 MiB of it */
        cr_assert_lt(after.ru_maxrss - before.ru_maxrss, LONG / 1024 * 3 / 4, "shape %zu", i);
#endif
    }
}

Test(csv, a_field_of_exactly_the_limit_is_kept)
{
    for (size_t over = 0; over < 2; over++) {
        size_t size = CSV_FIELD_BYTES_MAX + over;
        char *bytes = malloc(size + 4);
        cr_assert_not_null(bytes);
        memset(bytes, 'x', size);
        memcpy(bytes + size, ",y\n", 3);
        csv_t csv = open_bytes(bytes, size + 3);
        cr_assert_eq(next(&csv), CSV_ROW);
        cr_assert_eq(csv.row.count, 2);
        if (over) {
            cr_assert_str_eq(csv.row.fault, "is longer than 1 MiB");
        } else {
            cr_assert_null(csv.row.fault);
            cr_assert_eq(csv.row.fields[0].size, size);
        }
        expect_end(&csv);
        free(bytes);
    }
}

/* Goal: bytes may come in any pieces; the rows are the same. */
Test(csv, rows_do_not_depend_on_how_the_bytes_arrive)
{
    static const char text[] = "a,\"b\n\"\"c\"\"\",d\r\n1,\"x\"y\n\"2\",3,4\n";
    int ends[2];
    csv_row_t row;
    cr_assert_eq(pipe(ends), 0);
    csv_reader_t *reader = csv_reader_new(ends[0]);
    size_t rows = 0;
    for (size_t i = 0; i < sizeof text - 1; i++) {
        cr_assert_eq(write(ends[1], text + i, 1), 1);
        csv_result_t result = csv_reader_next(reader, 0, &row);
        cr_assert(result == CSV_ROW || result == CSV_WAIT);
        rows += result == CSV_ROW;
        cr_assert(result != CSV_ROW || (row.fault != NULL) == (rows == 2), "row %zu", rows);
    }
    cr_assert_eq(rows, 3);
    cr_assert_eq(row.line, 4);
    close(ends[1]);
    cr_assert_eq(csv_reader_next(reader, -1, &row), CSV_END);
    csv_reader_destroy(&reader);
}

/* Goal: what is written is read back as it was, and is quoted only where it must be. */
Test(csv, written_fields_are_read_back)
{
    const struct {
        const char *field;
        const char *written;
    } cases[] = {
        {"plain text", "plain text"}, {"", ""},
        {" edge ", " edge "},         {"a,b", "\"a,b\""},
        {"q\"q", "\"q\"\"q\""},       {"l\nl", "\"l\nl\""},
        {"c\r", "\"c\r\""},           {"\xc3\xa4", "\xc3\xa4"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        buffer_t out = {0};
        csv_write_field(slice_text(cases[i].field), false, &out);
        cr_assert(slice_equal(buffer_slice(&out), slice_text(cases[i].written)), "case %zu", i);
        buffer_append(&out, ",x\n", 3);
        csv_t csv = open_bytes((const char *)out.data, out.size);
        cr_assert_eq(next(&csv), CSV_ROW);
        cr_assert(slice_equal(csv.row.fields[0], slice_text(cases[i].field)), "case %zu", i);
        expect_end(&csv);
        buffer_fini(&out);
    }
}

/* Goal: a row of one empty field does not become a blank line, which readers skip. */
Test(csv, an_only_field_that_is_empty_is_quoted)
{
    buffer_t out = {0};
    csv_write_field((slice_t){0}, true, &out);
    cr_assert(slice_equal(buffer_slice(&out), slice_text("\"\"")));
    buffer_fini(&out);
}

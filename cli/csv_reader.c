/* The parser is libcsv in strict mode. It is given one line (or the rest of a block) at a time, so
 * that at most one row ends within a call and lines can be counted between the calls.
 *
 * libcsv stops in three places, and each time the loop in `parse` goes on:
 *   - its buffer cannot grow (our realloc hook refuses): the field is too long; what it has of it
 *     is overwritten until the field ends;
 *   - a quote inside an unquoted field: that one character is parsed again in lenient mode;
 *   - text behind a closing quote: nobody can tell where the field ends, so the row is given up
 *     and parsing begins again on the next line. */
#include "cli/csv_reader.h"

#include "runtime/base/buffer.h"
#include "runtime/base/ensure.h"

#include <csv.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    BLOCK_BYTES = 256 * 1024,
    MAGIC_BYTES = 4,
    STRICT_OPTIONS = CSV_STRICT | CSV_STRICT_FINI,
};

struct csv_reader {
    struct csv_parser parser;
    int fd;
    uint64_t line; /* of the next byte, from 1 */
    bool at_end;
    bool row_open; /* a row has begun and not ended */
    bool row_done; /* the row is complete and was not handed out */
    bool skipping; /* the rest of this line belongs to a row that was given up */
    bool oversize; /* the field being parsed is too long */
    size_t block_position;
    size_t block_size;
    size_t magic_size;
    csv_row_t row;
    buffer_t text; /* of the row's fields, one after the other */
    slice_t *fields;
    uint8_t magic[MAGIC_BYTES];
    uint8_t block[BLOCK_BYTES];
};

/* libcsv wants room for one byte more than the field, and keeps a closing quote and CR for a while.
 */
enum { PARSER_BYTES_MAX = CSV_FIELD_BYTES_MAX + 16 };

static void *realloc_bounded(void *data, size_t size)
{
    return size > PARSER_BYTES_MAX ? NULL : realloc(data, size);
}

/* Only LF ends a row: a CR before it is trimmed as if it were a space, real spaces are kept. */
static int is_line_feed(unsigned char c)
{
    return c == '\n';
}

static int is_carriage_return(unsigned char c)
{
    return c == '\r';
}

csv_reader_t *csv_reader_new(int fd)
{
    csv_reader_t *self = calloc(1, sizeof *self);
    ENSURE(self);
    self->fields = calloc(CSV_FIELDS_MAX, sizeof *self->fields);
    ENSURE(self->fields);
    ENSURE(csv_init(&self->parser, STRICT_OPTIONS) == 0);
    csv_set_realloc_func(&self->parser, realloc_bounded);
    csv_set_term_func(&self->parser, is_line_feed);
    csv_set_space_func(&self->parser, is_carriage_return);
    csv_set_blk_size(&self->parser, 64 * 1024);
    self->fd = fd;
    self->line = 1;
    return self;
}

void csv_reader_destroy(csv_reader_t **self_p)
{
    csv_reader_t *self = *self_p;
    if (self) {
        csv_free(&self->parser);
        buffer_fini(&self->text);
        free(self->fields);
        free(self);
        *self_p = NULL;
    }
}

slice_t csv_reader_magic(const csv_reader_t *self)
{
    return slice_of(self->magic, self->magic_size);
}

static void set_fault(csv_reader_t *self, const char *fault)
{
    if (!self->row.fault) {
        self->row.fault = fault;
        self->row.fault_field = self->row.count;
    }
}

static void on_field(void *data, size_t size, void *context)
{
    csv_reader_t *self = context;
    if (self->oversize || size > CSV_FIELD_BYTES_MAX) {
        set_fault(self, "is longer than 1 MiB");
    } else if (self->text.size + size > CSV_ROW_BYTES_MAX) {
        set_fault(self, "makes the row longer than 2 MiB");
    } else if (self->row.count < CSV_FIELDS_MAX && !self->row.fault) {
        /* Only the size for now: the text may still move. */
        self->fields[self->row.count].size = size;
        buffer_append(&self->text, data, size);
    }
    self->oversize = false;
    self->row.count++;
}

static void on_row(int terminator, void *context)
{
    (void)terminator;
    csv_reader_t *self = context;
    self->row_done = true;
}

static void begin_row(csv_reader_t *self)
{
    self->row_open = true;
    self->oversize = false;
    self->row = (csv_row_t){.line = self->line, .fields = self->fields};
    buffer_clear(&self->text);
}

static void give_row_up(csv_reader_t *self, const char *fault)
{
    set_fault(self, fault);
    (void)csv_fini(&self->parser, NULL, NULL, NULL);
    self->row_done = true;
}

/* Parses a piece in which at most one row ends. */
static void parse(csv_reader_t *self, const uint8_t *piece, size_t size)
{
    struct csv_parser *parser = &self->parser;
    size_t position = 0;
    while (position < size) {
        position += csv_parse(parser, piece + position, size - position, on_field, on_row, self);
        if (position == size) {
            break;
        }
        if (csv_error(parser) != CSV_EPARSE) {
            /* One byte is left, for libcsv may take a closing quote off its buffer again. */
            self->oversize = true;
            parser->entry_pos = 1;
            parser->spaces = 0;
        } else if (parser->quoted) {
            self->skipping = piece[size - 1] != '\n';
            give_row_up(self, "has text behind its closing quote");
            break;
        } else {
            csv_set_opts(parser, 0);
            (void)csv_parse(parser, piece + position++, 1, on_field, on_row, self);
            csv_set_opts(parser, STRICT_OPTIONS);
        }
    }
}

static bool is_blank(const uint8_t *piece, size_t size)
{
    return size <= 2 && (piece[0] == '\n' || (piece[0] == '\r' && (size == 1 || piece[1] == '\n')));
}

/* Parses up to the next LF or the end of the block. */
static void take_piece(csv_reader_t *self)
{
    const uint8_t *piece = self->block + self->block_position;
    size_t left = self->block_size - self->block_position;
    const uint8_t *end = memchr(piece, '\n', left);
    size_t size = end ? (size_t)(end - piece) + 1 : left;
    if (self->skipping) {
        self->skipping = !end;
    } else {
        if (!self->row_open && !is_blank(piece, size)) {
            begin_row(self);
        }
        parse(self, piece, size);
    }
    self->line += end != NULL;
    self->block_position += size;
}

/* At the end of the input: the last row may lack its line feed, or a closing quote. */
static void finish(csv_reader_t *self)
{
    self->at_end = true;
    if (self->row_open && csv_fini(&self->parser, on_field, on_row, self) != 0) {
        csv_set_opts(&self->parser, 0);
        give_row_up(self, "has a quote that is never closed");
    }
}

static csv_result_t read_block(csv_reader_t *self, int wait_ms)
{
    struct pollfd descriptor = {.fd = self->fd, .events = POLLIN};
    int ready = poll(&descriptor, 1, wait_ms);
    if (ready == 0 || (ready < 0 && errno == EINTR)) {
        return CSV_WAIT;
    }
    ssize_t size = read(self->fd, self->block, sizeof self->block);
    if (size < 0) {
        return errno == EINTR || errno == EAGAIN ? CSV_WAIT : CSV_BROKEN;
    }
    self->block_position = 0;
    self->block_size = (size_t)size;
    return size == 0 ? CSV_END : CSV_ROW;
}

/* Remembers the first bytes, and skips a byte order mark when it came in one piece. */
static void look_at_beginning(csv_reader_t *self)
{
    self->magic_size = self->block_size < MAGIC_BYTES ? self->block_size : MAGIC_BYTES;
    memcpy(self->magic, self->block, self->magic_size);
    if (self->magic_size >= 3 && memcmp(self->magic, "\xef\xbb\xbf", 3) == 0) {
        self->block_position = 3;
    }
}

static void hand_out(csv_reader_t *self, csv_row_t *ret_row)
{
    const uint8_t *text = self->text.data;
    size_t kept = self->row.count < CSV_FIELDS_MAX ? self->row.count : CSV_FIELDS_MAX;
    for (size_t i = 0; i < kept && !self->row.fault; i++) {
        self->fields[i].data = text;
        text += self->fields[i].size;
    }
    self->row_open = false;
    self->row_done = false;
    *ret_row = self->row;
}

csv_result_t csv_reader_next(csv_reader_t *self, int wait_ms, csv_row_t *ret_row)
{
    while (!self->row_done) {
        if (self->block_position < self->block_size) {
            take_piece(self);
        } else if (self->at_end) {
            return CSV_END;
        } else {
            csv_result_t result = read_block(self, wait_ms);
            if (result == CSV_END) {
                finish(self);
            } else if (result != CSV_ROW) {
                return result;
            } else if (self->magic_size == 0) {
                look_at_beginning(self);
            }
        }
    }
    hand_out(self, ret_row);
    return CSV_ROW;
}

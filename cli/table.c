#include "cli/table.h"

#include "runtime/base/ensure.h"
#include "runtime/base/json_writer.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

/* More columns than anyone reads. */
#define COLUMNS_MAX 32

typedef struct column {
    int width;
    bool numbers;
} column_t;

void table_cell(table_t *self, slice_t text)
{
    emit_escaped(&self->text, text);
    buffer_append(&self->text, "", 1);
    self->cells++;
}

void table_fini(table_t *self)
{
    buffer_fini(&self->text);
}

/* In characters; continuation bytes of UTF-8 take no place. */
static int width_of(const char *cell)
{
    int width = 0;
    for (; *cell; cell++) {
        width += (*cell & 0xc0) != 0x80;
    }
    return width;
}

static bool is_number(const char *cell)
{
    return cell[strspn(cell, "0123456789.-")] == '\0';
}

static void measure(const table_t *self, column_t *columns)
{
    const char *cell = (const char *)self->text.data;
    for (size_t i = 0; i < self->cells; i++, cell += strlen(cell) + 1) {
        column_t *column = &columns[i % self->columns];
        int width = width_of(cell);
        column->width = width > column->width ? width : column->width;
        column->numbers = column->numbers && (i < self->columns || is_number(cell));
    }
}

void table_print(const table_t *self, int indent, FILE *out)
{
    ENSURE(self->columns > 0 && self->columns <= COLUMNS_MAX && self->cells % self->columns == 0);
    column_t columns[COLUMNS_MAX] = {0};
    for (size_t i = 0; i < self->columns; i++) {
        columns[i].numbers = true;
    }
    measure(self, columns);
    const char *cell = (const char *)self->text.data;
    for (size_t i = 0; i < self->cells; i++, cell += strlen(cell) + 1) {
        const column_t *column = &columns[i % self->columns];
        bool last = (i + 1) % self->columns == 0;
        int blanks = column->width - width_of(cell);
        int before = i % self->columns == 0 ? indent : 2;
        fprintf(out, "%*s%s%*s%s", before + (column->numbers ? blanks : 0), "", cell,
                column->numbers || last ? 0 : blanks, "", last ? "\n" : "");
    }
}

void table_number(table_t *self, uint64_t number)
{
    char text[32];
    snprintf(text, sizeof text, "%" PRIu64, number);
    table_cell(self, slice_text(text));
}

void table_date(table_t *self, int64_t us)
{
    char text[32];
    time_t seconds = (time_t)(us / 1000000);
    struct tm utc;
    if (!gmtime_r(&seconds, &utc) || strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &utc) == 0) {
        snprintf(text, sizeof text, "%" PRId64, us);
    }
    table_cell(self, slice_text(text));
}

#include "cli/feed_ledger.h"

#include "cli/csv_writer.h"
#include "runtime/base/ensure.h"

struct feed_ledger {
    FILE *file;
    buffer_t line;
};

feed_ledger_t *feed_ledger_open(const char *path)
{
    FILE *file = strcmp(path, "-") == 0 ? stdout : fopen(path, "we");
    if (!file) {
        return NULL;
    }
    feed_ledger_t *self = calloc(1, sizeof *self);
    ENSURE(self);
    self->file = file;
    fputs("line,key,seq,action,outcome\n", file);
    return self;
}

bool feed_ledger_close(feed_ledger_t **self_p)
{
    feed_ledger_t *self = *self_p;
    if (!self) {
        return true;
    }
    bool good = fflush(self->file) == 0 && !ferror(self->file);
    if (self->file != stdout) {
        good = fclose(self->file) == 0 && good;
    }
    buffer_fini(&self->line);
    free(self);
    *self_p = NULL;
    return good;
}

typedef struct entry {
    uint64_t line;
    slice_t key;
    slice_t sequence;
    const char *action;
    const char *outcome;
} entry_t;

static void write_entry(feed_ledger_t *self, const entry_t *entry)
{
    char number[24];
    buffer_t *line = &self->line;
    buffer_clear(line);
    snprintf(number, sizeof number, "%llu", (unsigned long long)entry->line);
    const slice_t fields[] = {slice_text(number), entry->key, entry->sequence,
                              slice_text(entry->action), slice_text(entry->outcome)};
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        if (i > 0) {
            csv_write_byte(',', line);
        }
        csv_write_field(fields[i], false, line);
    }
    csv_write_byte('\n', line);
    fwrite(line->data, 1, line->size, self->file);
}

static void write_row(feed_ledger_t *self, const feed_row_t *row, const char *action,
                      const char *outcome)
{
    if (self) {
        char sequence[24] = "";
        if (row->sequence > 0) {
            snprintf(sequence, sizeof sequence, "%llu", (unsigned long long)row->sequence);
        }
        write_entry(self, &(entry_t){.line = row->line,
                                     .key = feed_row_key(row),
                                     .sequence = slice_text(sequence),
                                     .action = action,
                                     .outcome = outcome});
    }
}

void feed_ledger_row(feed_ledger_t *self, const feed_row_t *row, const char *outcome)
{
    write_row(self, row, row->copy ? "duplicate" : "sent", outcome);
}

void feed_ledger_rejected(feed_ledger_t *self, const feed_row_t *row, capstan_err_t err)
{
    char outcome[64];
    snprintf(outcome, sizeof outcome, "rejected:%s", capstan_err_name(err));
    feed_ledger_row(self, row, outcome);
}

void feed_ledger_dropped(feed_ledger_t *self, const feed_row_t *row)
{
    write_row(self, row, "dropped", "");
}

void feed_ledger_bad(feed_ledger_t *self, const feed_bad_t *bad)
{
    if (self) {
        write_entry(self, &(entry_t){.line = bad->line,
                                     .key = bad->key,
                                     .sequence = bad->sequence,
                                     .action = "bad",
                                     .outcome = bad->text});
    }
}

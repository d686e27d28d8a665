/* The terms by which a saga's row is found: see saga_rows.h. */
#include "actors/saga/saga_shell.h"

#include <stdio.h>

/* Whether it has to be in memory though nothing has come for it: it is at work, or holds what
 * others wait for. */
static bool is_hot(const saga_t *saga)
{
    const plan_t *plan = saga_plan(saga);
    bool holds = !plan || plan->lock || plan->running_max > 0;
    return !saga_has_ended(saga) &&
           (holds || saga_phase(saga) == SAGA_WAITING || saga_is_calling(saga));
}

typedef struct term_list {
    codec_list_writer_t list;
    buffer_t term;
} term_list_t;

static void add(term_list_t *self)
{
    codec_list_add(&self->list, snapshot_term_wire(),
                   &(snapshot_term_t){.term = buffer_slice(&self->term)});
    buffer_clear(&self->term);
}

static void add_text(term_list_t *self, uint8_t kind, slice_t text, slice_t more)
{
    if (text.size > 0) {
        term_write(&self->term, kind, text, more);
        add(self);
    }
}

static void add_time(term_list_t *self, uint8_t kind, int64_t time_us)
{
    term_write_time(&self->term, kind, time_us);
    add(self);
}

static void add_plain(term_list_t *self, uint8_t kind)
{
    buffer_append(&self->term, &kind, 1);
    add(self);
}

/* When it goes on, or when it is forgotten. */
static void add_times(const saga_t *saga, const saga_row_t *row, term_list_t *terms)
{
    const plan_t *plan = saga_plan(saga);
    int64_t due_us = saga_due_us(saga);
    if (!saga_has_ended(saga)) {
        if (is_hot(saga)) {
            add_plain(terms, TERM_HOT);
        } else if (due_us != INT64_MAX) {
            add_time(terms, TERM_DUE, due_us);
        }
    } else if (plan && plan->retention_us > 0) {
        add_time(terms, TERM_FORGET, row->ended_us + plan->retention_us);
    } else {
        add_time(terms, TERM_ENDED, row->ended_us);
    }
}

static void add_attributes(const saga_t *saga, term_list_t *terms)
{
    const plan_t *plan = saga_plan(saga);
    for (uint32_t i = 0; plan && i < plan->attributes; i++) {
        char text[SAGA_KEY_MAX];
        slice_t value;
        size_t size;
        if (saga_value(saga, plan->attribute_paths[i], &value) &&
            value_text(value, text, sizeof text, &size)) {
            add_text(terms, TERM_ATTRIBUTE, plan->attribute_names[i], slice_of(text, size));
        }
    }
}

void terms_of(const saga_t *saga, buffer_t *out)
{
    term_list_t terms = {.list = codec_list_begin(out)};
    saga_row_t row = saga_row(saga);
    char version[24];
    int size = snprintf(version, sizeof version, "%llu", (unsigned long long)row.version);
    uint8_t state = (uint8_t)row.state;
    add_plain(&terms, TERM_ALL);
    add_text(&terms, TERM_ID, row.id, (slice_t){0});
    add_text(&terms, TERM_STATE, slice_of(&state, 1), (slice_t){0});
    add_text(&terms, TERM_OUTCOME, row.outcome, (slice_t){0});
    add_text(&terms, TERM_DEFINITION, row.definition, (slice_t){0});
    add_text(&terms, TERM_VERSION, row.definition, slice_of(version, (size_t)size));
    add_text(&terms, TERM_KEY, row.key, (slice_t){0});
    if (!saga_has_ended(saga)) {
        add_text(&terms, TERM_WANTS, row.key, (slice_t){0});
    }
    add_text(&terms, TERM_PLACE, saga_begin_of(saga)->place, (slice_t){0});
    add_attributes(saga, &terms);
    add_times(saga, &row, &terms);
    codec_list_end(&terms.list);
    buffer_fini(&terms.term);
}

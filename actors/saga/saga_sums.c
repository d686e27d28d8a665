/* Counting sagas: by the store's terms where these say it all, otherwise row by row. */
#include "actors/saga/saga_shell.h"

#include "runtime/base/ensure.h"

#include <stdlib.h>

enum { BY_ALL = 0, BY_STATE = 1, BY_OUTCOME = 2, BY_DEFINITION = 3 };

static const char *const state_names[] = {
#define SAGA_STATE(name, number, meaning) [number] = #name,
#include "actors/saga/saga_states.def"
};

static slice_t state_name(uint64_t state)
{
    bool known = state < sizeof state_names / sizeof state_names[0] && state_names[state];
    return slice_text(known ? state_names[state] : "");
}

static int order(const query_sum_t *sum, slice_t name)
{
    size_t size = strlen(sum->name);
    int result = memcmp(sum->name, name.data, size < name.size ? size : name.size);
    return result != 0 ? result : (size > name.size) - (size < name.size);
}

static void add(query_t *self, slice_t name, uint64_t count)
{
    size_t at = 0;
    name.size = name.size < sizeof self->sums->name ? name.size : sizeof self->sums->name - 1;
    while (at < self->sum_count && order(&self->sums[at], name) < 0) {
        at++;
    }
    if (at == self->sum_count || order(&self->sums[at], name) != 0) {
        self->sums = realloc(self->sums, (self->sum_count + 1) * sizeof *self->sums);
        ENSURE(self->sums);
        memmove(self->sums + at + 1, self->sums + at, (self->sum_count - at) * sizeof *self->sums);
        self->sums[at] = (query_sum_t){0};
        memcpy(self->sums[at].name, name.data, name.size);
        self->sum_count++;
    }
    self->sums[at].count += count;
}

void sums_add_row(query_t *query, const saga_row_t *row)
{
    slice_t name = query->by == BY_STATE        ? state_name(row->state)
                   : query->by == BY_OUTCOME    ? row->outcome
                   : query->by == BY_DEFINITION ? row->definition
                                                : (slice_t){.data = "", .size = 0};
    add(query, name, 1);
}

/* --- by terms -------------------------------------------------------------------------------- */

static slice_t prefix_of(uint64_t by)
{
    static const char prefixes[] = {
        [BY_STATE] = TERM_STATE, [BY_OUTCOME] = TERM_OUTCOME, [BY_DEFINITION] = TERM_DEFINITION};
    return slice_of(&prefixes[by], by != BY_ALL);
}

uint64_t sums_ask(saga_shell_t *self, const query_t *query)
{
    buffer_t terms = {0};
    filter_terms(&query->filter, &terms);
    uint64_t correlation = shell_ask(self, self->reader, snapshot_count_wire(),
                                     &(snapshot_count_t){.stream = self->stream,
                                                         .terms = buffer_slice(&terms),
                                                         .prefix = prefix_of(query->by),
                                                         .first = buffer_slice(&query->next_term),
                                                         .after = buffer_slice(&query->next_key)});
    buffer_fini(&terms);
    return correlation;
}

static void take_tally(query_t *query, const snapshot_tally_t *tally)
{
    const uint8_t *bytes = tally->term.data;
    slice_t name = {.data = "", .size = 0};
    if (query->by == BY_STATE && tally->term.size == 2) {
        name = state_name(bytes[1]);
    } else if (query->by != BY_ALL && tally->term.size > 1) {
        name = slice_of(bytes + 1, tally->term.size - 1);
    }
    add(query, name, tally->count);
}

static void keep(buffer_t *place, slice_t value)
{
    buffer_clear(place);
    buffer_append(place, value.data, value.size);
}

capstan_err_t sums_take(query_t *query, slice_t body, bool *ret_end)
{
    snapshot_counts_t counts;
    codec_list_t list;
    snapshot_tally_t tally;
    capstan_err_t err = codec_decode(snapshot_counts_wire(), body, &counts, NULL);
    err = err ? err : codec_list_open(snapshot_tally_wire(), counts.counts, &list);
    if (err != CAPSTAN_OK) {
        return CAPSTAN_E_STORE_CORRUPT;
    }
    while (codec_list_next(&list, &tally)) {
        take_tally(query, &tally);
    }
    keep(&query->next_term, counts.next_term);
    keep(&query->next_key, counts.next_key);
    *ret_end = counts.end;
    return list.fault.err;
}

void sums_encode(query_t *query, buffer_t *out)
{
    buffer_t bytes = {0};
    codec_list_writer_t list = codec_list_begin(&bytes);
    if (query->by == BY_ALL && query->sum_count == 0) {
        add(query, slice_of("", 0), 0);
    }
    for (size_t i = 0; i < query->sum_count; i++) {
        codec_list_add(
            &list, saga_sum_wire(),
            &(saga_sum_t){.name = slice_text(query->sums[i].name), .count = query->sums[i].count});
    }
    codec_list_end(&list);
    codec_encode(saga_counts_wire(), &(saga_counts_t){.sums = buffer_slice(&bytes)}, out);
    buffer_fini(&bytes);
}

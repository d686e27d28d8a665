/* A filter as terms: those that a look-up takes, and whether a row has the others. */
#include "actors/saga/saga_query.h"

#include "actors/journal/journal_messages.h"
#include "actors/saga/saga.h"
#include "actors/saga/saga_rows.h"

#include <stdio.h>

enum { FILTER_TERMS_MAX = 8 };

const char *filter_read(slice_t record, saga_filter_t *ret_filter)
{
    *ret_filter = (saga_filter_t){0};
    if (record.size > 0 && codec_decode(saga_filter_wire(), record, ret_filter, NULL)) {
        return "filter: a record saga_filter";
    }
    if (ret_filter->state > SAGA_CANCELLED) {
        return "filter: state: 1 to 7";
    }
    if (ret_filter->value.size > 0 && ret_filter->attribute.size == 0) {
        return "filter: value: of which attribute";
    }
    if (ret_filter->attribute.size > 0 && ret_filter->value.size == 0) {
        return "filter: attribute: with which value";
    }
    if (ret_filter->version > 0 && ret_filter->definition.size == 0) {
        return "filter: version: of which definition";
    }
    bool longer = ret_filter->key.size > SAGA_KEY_MAX || ret_filter->value.size > SAGA_KEY_MAX ||
                  ret_filter->attribute.size > PLAN_NAME_MAX ||
                  ret_filter->definition.size > PLAN_NAME_MAX ||
                  ret_filter->outcome.size > PLAN_NAME_MAX;
    return longer ? "filter: key and value have at most 256 bytes, names 64" : NULL;
}

/* All terms of a filter; what finds few comes first. */
typedef struct term_set {
    buffer_t bytes;
    size_t ends[FILTER_TERMS_MAX];
    size_t count;
} term_set_t;

static void add(term_set_t *self, uint8_t kind, slice_t text, slice_t more)
{
    term_write(&self->bytes, kind, text, more);
    self->ends[self->count++] = self->bytes.size;
}

static void add_if(term_set_t *self, uint8_t kind, slice_t text, slice_t more)
{
    if (text.size > 0) {
        add(self, kind, text, more);
    }
}

static slice_t term_at(const term_set_t *self, size_t index)
{
    size_t from = index > 0 ? self->ends[index - 1] : 0;
    return slice_of(self->bytes.data + from, self->ends[index] - from);
}

static void list_terms(const saga_filter_t *filter, term_set_t *ret_set)
{
    uint8_t state = (uint8_t)filter->state;
    *ret_set = (term_set_t){0};
    add_if(ret_set, TERM_KEY, filter->key, (slice_t){0});
    add_if(ret_set, TERM_ATTRIBUTE, filter->attribute, filter->value);
    add_if(ret_set, TERM_OUTCOME, filter->outcome, (slice_t){0});
    if (filter->version > 0) {
        char version[24];
        int size = snprintf(version, sizeof version, "%llu", (unsigned long long)filter->version);
        add(ret_set, TERM_VERSION, filter->definition, slice_of(version, (size_t)size));
    } else {
        add_if(ret_set, TERM_DEFINITION, filter->definition, (slice_t){0});
    }
    if (filter->state > 0) {
        add(ret_set, TERM_STATE, slice_of(&state, 1), (slice_t){0});
    }
    if (ret_set->count == 0) {
        add(ret_set, TERM_ALL, (slice_t){0}, (slice_t){0});
    }
}

void filter_terms(const saga_filter_t *filter, buffer_t *out)
{
    term_set_t set;
    list_terms(filter, &set);
    codec_list_writer_t list = codec_list_begin(out);
    for (size_t i = 0; i < set.count && i < QUERY_TERMS_MAX; i++) {
        codec_list_add(&list, snapshot_term_wire(), &(snapshot_term_t){.term = term_at(&set, i)});
    }
    codec_list_end(&list);
    buffer_fini(&set.bytes);
}

bool filter_wants_rows(const saga_filter_t *filter)
{
    term_set_t set;
    list_terms(filter, &set);
    buffer_fini(&set.bytes);
    return set.count > QUERY_TERMS_MAX || filter->since_us != 0 || filter->until_us != 0;
}

static bool has_term(slice_t terms, slice_t wanted)
{
    codec_list_t list;
    snapshot_term_t term;
    if (codec_list_open(snapshot_term_wire(), terms, &list) != CAPSTAN_OK) {
        return false;
    }
    while (codec_list_next(&list, &term)) {
        if (slice_equal(term.term, wanted)) {
            return true;
        }
    }
    return false;
}

bool filter_fits(const saga_filter_t *filter, slice_t terms, int64_t started_us)
{
    term_set_t set;
    list_terms(filter, &set);
    bool fits = (filter->since_us == 0 || started_us >= filter->since_us) &&
                (filter->until_us == 0 || started_us < filter->until_us);
    for (size_t i = QUERY_TERMS_MAX; i < set.count && fits; i++) {
        fits = has_term(terms, term_at(&set, i));
    }
    buffer_fini(&set.bytes);
    return fits;
}

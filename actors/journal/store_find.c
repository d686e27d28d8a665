/* Looking for rows of a snapshot by their terms.
 *
 * The table of terms has, for each term of a stream, the keys of its rows in order. Rows that have
 * several terms are found by a walk over all of these lists at once: the candidate is the least key
 * that can be in all; each list in turn is moved to it, and where it is not, the next key there is
 * the new candidate. So no list is walked further than the rarest one demands, wherever in the
 * stream it is rare, and nobody has to know in advance which one that is. A list moves by a few
 * steps where the lists are alike, and by a look-up where they are not.
 *
 *      candidate          v
 *      state=running   .  x  .  x  x  x        moved to the candidate: agrees
 *      customer=7      .  .  .  .  x  .        moves to the x behind it: the new candidate
 *
 * What a request may cost is bounded, since a read holds the write-ahead log back, and its reader
 * keeps others waiting: it then answers what it has and where the next one goes on. */
#include "actors/journal/store_internal.h"
#include "runtime/base/ensure.h"

enum {
    FIND_TERMS_MAX = 4,
    LISTS_MAX = FIND_TERMS_MAX + 1, /* that of the counted term too */
    COUNT_MAX = 1 << 16,
    BYTES_MAX = 1 << 20, /* of terms; rows are bounded by who asks, and by the reader */
    STEPS_MAX = 4,       /* before a look-up, which costs about twice that many */
    LOOKUP_COST = 8,
    /* In steps of some 0.3 us: 20 ms, as long as pages are in memory. When each look-up has to read
     * one it is a multiple. */
    COST_MAX = 1 << 16,
};

typedef struct walk {
    store_t *store;
    uint64_t stream;
    uint64_t cost;
    bool descending;
    slice_t limit; /* the first key that is not wanted any more; empty: to the end */
    slice_t terms[LISTS_MAX];
    size_t count;           /* 0: every row, by one list of keys */
    bool placed[LISTS_MAX]; /* the list's statement stands at a key */
    buffer_t candidate;
    buffer_t settled; /* the last candidate before it: it and all before it are decided */
    bool passed;      /* the candidate is decided too */
    bool ended;
    bool stopped; /* for its cost */
} walk_t;

static size_t list_count(const walk_t *self)
{
    return self->count > 0 ? self->count : 1;
}

static store_sql_t list_sql(const walk_t *self, size_t list)
{
    if (self->count == 0) {
        return SQL_snapshot_keys;
    }
    return (store_sql_t)((self->descending ? SQL_terms_down : SQL_terms_up) + (int)list);
}

static slice_t list_key(const walk_t *self, size_t list)
{
    return column_bytes(self->store->sql[list_sql(self, list)], 0);
}

static int order_keys(const walk_t *self, slice_t a, slice_t b)
{
    int order = order_bytes(a, b);
    return self->descending ? -order : order;
}

static void copy_bytes(buffer_t *to, slice_t bytes)
{
    buffer_clear(to);
    buffer_append(to, bytes.data, bytes.size);
}

static void set_candidate(walk_t *self, slice_t key)
{
    copy_bytes(&self->settled, buffer_slice(&self->candidate));
    copy_bytes(&self->candidate, key);
    self->passed = false;
    if (self->limit.size > 0 && order_keys(self, key, self->limit) >= 0) {
        self->ended = true;
    }
}

static capstan_err_t step_list(walk_t *self, size_t list)
{
    store_sql_t sql = list_sql(self, list);
    int step = sqlite3_step(self->store->sql[sql]);
    self->placed[list] = step == SQLITE_ROW;
    self->cost++;
    if (step == SQLITE_ROW) {
        return CAPSTAN_OK;
    }
    self->ended = true;
    return store_finish(self->store, sql, step);
}

/* Moves a list to the candidate, or behind it where it is not in the list. */
static capstan_err_t move_list(walk_t *self, size_t list)
{
    slice_t candidate = buffer_slice(&self->candidate);
    capstan_err_t err = CAPSTAN_OK;
    for (int i = 0; i < STEPS_MAX && self->placed[list]; i++) {
        if (order_keys(self, list_key(self, list), candidate) >= 0) {
            return CAPSTAN_OK;
        }
        err = step_list(self, list);
    }
    if (err || self->ended) {
        return err;
    }
    sqlite3_stmt *statement = self->store->sql[list_sql(self, list)];
    sqlite3_reset(statement);
    bind_number(statement, 1, self->stream);
    bind_bytes(statement, 2, self->terms[list]);
    /* Copied, since the candidate changes while the list stands here. */
    sqlite3_bind_blob64(statement, 3, candidate.size > 0 ? candidate.data : "", candidate.size,
                        SQLITE_TRANSIENT);
    self->cost += LOOKUP_COST;
    return step_list(self, list);
}

/* The first key behind the candidate in the first list is the next one. */
static capstan_err_t pass_candidate(walk_t *self)
{
    capstan_err_t err = move_list(self, 0);
    if (!err && !self->ended && slice_equal(list_key(self, 0), buffer_slice(&self->candidate))) {
        err = step_list(self, 0);
    }
    if (!err && !self->ended) {
        set_candidate(self, list_key(self, 0));
    }
    return err;
}

/* Goes on to the next key that is in all lists; then the candidate is it. */
static capstan_err_t walk_next(walk_t *self, bool *ret_found)
{
    capstan_err_t err = self->passed && !self->ended ? pass_candidate(self) : CAPSTAN_OK;
    size_t agreed = 0;
    for (size_t list = 0; !err && !self->ended && agreed < list_count(self);
         list = (list + 1) % list_count(self)) {
        if (self->cost >= COST_MAX) {
            self->stopped = true;
            break;
        }
        err = move_list(self, list);
        if (err || self->ended) {
            break;
        }
        slice_t key = list_key(self, list);
        if (slice_equal(key, buffer_slice(&self->candidate))) {
            agreed++;
        } else {
            set_candidate(self, key);
            agreed = 1;
        }
    }
    *ret_found = !err && !self->ended && !self->stopped;
    self->passed = *ret_found;
    return err;
}

/* The last key up to which everything is decided. */
static slice_t walk_place(const walk_t *self)
{
    return buffer_slice(self->passed ? &self->candidate : &self->settled);
}

/* Where a walk begins that has no key to begin behind. */
static capstan_err_t begin_at_end(walk_t *self)
{
    sqlite3_stmt *statement = self->store->sql[SQL_terms_last];
    bind_number(statement, 1, self->stream);
    bind_bytes(statement, 2, self->terms[0]);
    int step = sqlite3_step(statement);
    self->ended = step != SQLITE_ROW;
    if (step == SQLITE_ROW) {
        set_candidate(self, column_bytes(statement, 0));
    }
    return store_finish(self->store, SQL_terms_last, step);
}

static capstan_err_t walk_begin(walk_t *self, slice_t behind)
{
    memset(self->placed, 0, sizeof self->placed);
    self->ended = false;
    copy_bytes(&self->candidate, behind);
    copy_bytes(&self->settled, behind);
    self->passed = behind.size > 0;
    return self->descending && behind.size == 0 ? begin_at_end(self) : CAPSTAN_OK;
}

/* Lets go of the lists; another walk may begin. */
static void walk_end(walk_t *self)
{
    for (size_t i = 0; i < list_count(self); i++) {
        (void)store_finish(self->store, list_sql(self, i), SQLITE_DONE);
    }
}

static void walk_fini(walk_t *self)
{
    buffer_fini(&self->candidate);
    buffer_fini(&self->settled);
}

static capstan_err_t take_terms(walk_t *self, slice_t list)
{
    term_set_t set;
    capstan_err_t err = terms_read(list, &set);
    if (err || set.count > FIND_TERMS_MAX) {
        return err ? err : CAPSTAN_E_INVALID;
    }
    memcpy(self->terms, set.terms, set.count * sizeof set.terms[0]);
    self->count = set.count;
    return CAPSTAN_OK;
}

/* Several statements see one state. */
static capstan_err_t read_begin(store_t *self)
{
    ENSURE(!self->in_transaction);
    return store_run(self, SQL_read_begin);
}

static capstan_err_t read_end(store_t *self, capstan_err_t err)
{
    capstan_err_t ended = store_run(self, SQL_rollback);
    return err ? err : ended;
}

static capstan_err_t find_rows(walk_t *walk, const snapshot_find_t *request,
                               codec_list_writer_t *rows)
{
    size_t begin = rows->out->size;
    capstan_err_t err = walk_begin(walk, request->descending ? request->before : request->after);
    bool found = true;
    while (!err && found && rows->count < request->count_max &&
           (rows->count == 0 || rows->out->size - begin < request->bytes_max)) {
        err = walk_next(walk, &found);
        slice_t key = buffer_slice(&walk->candidate);
        uint32_t count = rows->count;
        if (err || !found) {
            break;
        }
        if (request->keys_only) {
            codec_list_add(rows, snapshot_row_wire(), &(snapshot_row_t){.key = key});
        } else {
            err = snapshot_get_row(walk->store, walk->stream, key, rows);
            err = !err && rows->count == count ? CAPSTAN_E_STORE_CORRUPT : err;
        }
    }
    walk_end(walk);
    return err;
}

capstan_err_t store_snapshot_find(store_t *self, const snapshot_find_t *request, buffer_t *out,
                                  snapshot_rows_t *ret_reply)
{
    walk_t walk = {.store = self,
                   .stream = request->stream,
                   .descending = request->descending,
                   .limit = request->descending ? request->after : request->before};
    capstan_err_t err = take_terms(&walk, request->terms);
    if (!err && (walk.count == 0 || request->count_max == 0)) {
        err = CAPSTAN_E_INVALID;
    }
    err = err ? err : read_begin(self);
    if (err) {
        return err;
    }
    size_t begin = out->size;
    codec_list_writer_t rows = codec_list_begin(out);
    err = read_end(self, find_rows(&walk, request, &rows));
    if (err) {
        out->size = begin;
    } else {
        codec_list_end(&rows);
        size_t end = out->size;
        slice_t next = walk.ended ? (slice_t){0} : walk_place(&walk);
        buffer_append(out, next.data, next.size);
        *ret_reply = (snapshot_rows_t){.stream = request->stream,
                                       .end = walk.ended,
                                       .rows = slice_of(out->data + begin, end - begin),
                                       .next = slice_of(out->data + end, next.size)};
    }
    walk_fini(&walk);
    return err;
}

capstan_err_t store_snapshot_range(store_t *self, const snapshot_range_t *request, buffer_t *out,
                                   snapshot_terms_t *ret_reply)
{
    uint64_t count_max = request->count_max < COUNT_MAX ? request->count_max : COUNT_MAX;
    if (count_max == 0) {
        return CAPSTAN_E_INVALID;
    }
    size_t begin = out->size;
    codec_list_writer_t writer = codec_list_begin(out);
    sqlite3_stmt *statement = self->sql[SQL_terms_range];
    bind_number(statement, 1, request->stream);
    bind_bytes(statement, 2, request->first);
    bind_bytes(statement, 3, request->after);
    bind_bytes(statement, 4, request->last);
    int step = SQLITE_ROW;
    while (writer.count < count_max && out->size - begin < BYTES_MAX &&
           (step = sqlite3_step(statement)) == SQLITE_ROW) {
        codec_list_add(&writer, snapshot_entry_wire(),
                       &(snapshot_entry_t){.term = column_bytes(statement, 0),
                                           .key = column_bytes(statement, 1)});
    }
    capstan_err_t err = store_finish(self, SQL_terms_range, step);
    if (err) {
        out->size = begin;
        return err;
    }
    codec_list_end(&writer);
    *ret_reply = (snapshot_terms_t){.stream = request->stream,
                                    .end = step == SQLITE_DONE,
                                    .entries = slice_of(out->data + begin, out->size - begin)};
    return CAPSTAN_OK;
}

/* A count under way. */
typedef struct counting {
    const snapshot_count_t *request;
    walk_t walk;
    codec_list_writer_t counts;
    buffer_t term;   /* the one that is counted */
    buffer_t behind; /* the key behind which it is to be counted, when the rest is for the next */
    bool more;
} counting_t;

/* Counts the rows of the walk's terms behind a key. */
static capstan_err_t count_rows(counting_t *self, slice_t behind)
{
    walk_t *walk = &self->walk;
    uint64_t count = 0;
    bool found = true;
    capstan_err_t err = walk_begin(walk, behind);
    while (!err && found) {
        err = walk_next(walk, &found);
        count += found;
    }
    walk_end(walk);
    if (!err && (count > 0 || self->request->prefix.size == 0)) {
        codec_list_add(&self->counts, snapshot_tally_wire(),
                       &(snapshot_tally_t){.term = buffer_slice(&self->term), .count = count});
    }
    if (walk->stopped) {
        copy_bytes(&self->behind, walk_place(walk));
        self->more = true;
    }
    return err;
}

/* The first term at or behind `self->term` that begins with the prefix takes its place. */
static capstan_err_t next_term(counting_t *self, bool *ret_found)
{
    slice_t prefix = self->request->prefix;
    store_t *store = self->walk.store;
    sqlite3_stmt *statement = store->sql[SQL_terms_next];
    bind_number(statement, 1, self->walk.stream);
    bind_bytes(statement, 2, buffer_slice(&self->term));
    int step = sqlite3_step(statement);
    slice_t term = column_bytes(statement, 0);
    *ret_found = step == SQLITE_ROW && term.size >= prefix.size &&
                 slice_equal(slice_of(term.data, prefix.size), prefix);
    buffer_t found = {0};
    buffer_append(&found, term.data, *ret_found ? term.size : 0);
    self->walk.cost += LOOKUP_COST;
    capstan_err_t err = store_finish(store, SQL_terms_next, step);
    buffer_fini(&self->term);
    self->term = found;
    return err;
}

/* Each term is one list more for the walk, the rarer ones among them soon done with. */
static capstan_err_t count_by_term(counting_t *self)
{
    const snapshot_count_t *request = self->request;
    walk_t *walk = &self->walk;
    size_t list = walk->count++;
    size_t begin = self->counts.out->size;
    bool found = false;
    copy_bytes(&self->term, request->first.size > 0 ? request->first : request->prefix);
    capstan_err_t err = next_term(self, &found);
    while (!err && found) {
        slice_t term = buffer_slice(&self->term);
        if (walk->cost >= COST_MAX || self->counts.out->size - begin >= BYTES_MAX) {
            self->more = true;
            break;
        }
        walk->terms[list] = term;
        err = count_rows(self, slice_equal(term, request->first) ? request->after : (slice_t){0});
        if (err || self->more) {
            break;
        }
        buffer_append(&self->term, "", 1); /* the least term behind it */
        err = next_term(self, &found);
    }
    return err;
}

static void count_reply(const counting_t *self, size_t begin, snapshot_counts_t *ret_reply)
{
    buffer_t *out = self->counts.out;
    size_t end = out->size;
    slice_t term = self->more ? buffer_slice(&self->term) : (slice_t){0};
    buffer_append(out, term.data, term.size);
    buffer_append(out, self->behind.data, self->behind.size);
    *ret_reply =
        (snapshot_counts_t){.stream = self->walk.stream,
                            .end = !self->more,
                            .counts = slice_of(out->data + begin, end - begin),
                            .next_term = slice_of(out->data + end, term.size),
                            .next_key = slice_of(out->data + end + term.size, self->behind.size)};
}

capstan_err_t store_snapshot_count(store_t *self, const snapshot_count_t *request, buffer_t *out,
                                   snapshot_counts_t *ret_reply)
{
    counting_t counting = {.request = request, .walk = {.store = self, .stream = request->stream}};
    capstan_err_t err = take_terms(&counting.walk, request->terms);
    err = err ? err : read_begin(self);
    if (err) {
        return err;
    }
    size_t begin = out->size;
    counting.counts = codec_list_begin(out);
    err =
        request->prefix.size > 0 ? count_by_term(&counting) : count_rows(&counting, request->after);
    err = read_end(self, err);
    if (err) {
        out->size = begin;
    } else {
        codec_list_end(&counting.counts);
        count_reply(&counting, begin, ret_reply);
    }
    walk_fini(&counting.walk);
    buffer_fini(&counting.term);
    buffer_fini(&counting.behind);
    return err;
}

/* Rows of a snapshot are found by their terms: all of them, no others, in any order and page. */
#include "actors/journal/store_internal.h"
#include "runtime/simulation/random.h"
#include "tests/integration/journal/store_fixture.h"

/* The rows of one chunk that is being made. */
typedef struct chunk {
    buffer_t rows;
    codec_list_writer_t list;
} chunk_t;

static void chunk_begin(chunk_t *self)
{
    buffer_clear(&self->rows);
    self->list = codec_list_begin(&self->rows);
}

/* `terms`: words; NULL as value deletes the row. */
static void chunk_add(chunk_t *self, const char *key, const char *value, const char *terms)
{
    buffer_t encoded = {0};
    codec_list_writer_t list = codec_list_begin(&encoded);
    while (*terms) {
        size_t size = strcspn(terms, " ");
        codec_list_add(&list, snapshot_term_wire(),
                       &(snapshot_term_t){.term = slice_of(terms, size)});
        terms += size;
        terms += *terms == ' ';
    }
    codec_list_end(&list);
    snapshot_row_t row = {.key = slice_text(key), .value = slice_text(value ? value : "")};
    row.terms = list.count > 0 ? buffer_slice(&encoded) : (slice_t){0};
    codec_list_add(&self->list, snapshot_row_wire(), &row);
    buffer_fini(&encoded);
}

static capstan_err_t chunk_commit(chunk_t *self, fixture_t *fixture)
{
    codec_list_end(&self->list);
    snapshot_write_t write = {.stream = fixture->stream.stream,
                              .epoch = fixture->stream.epoch,
                              .lsn = 1,
                              .last = true,
                              .rows = buffer_slice(&self->rows)};
    cr_assert_eq(store_begin(fixture->store), CAPSTAN_OK);
    capstan_err_t err = store_snapshot_write(fixture->store, &write);
    cr_assert_eq(store_commit(fixture->store), CAPSTAN_OK);
    buffer_fini(&self->rows);
    return err;
}

static capstan_err_t write_one(fixture_t *fixture, const char *key, const char *value,
                               const char *terms)
{
    chunk_t chunk = {0};
    chunk_begin(&chunk);
    chunk_add(&chunk, key, value, terms);
    return chunk_commit(&chunk, fixture);
}

static void term_list(buffer_t *out, const char *terms)
{
    codec_list_writer_t list = codec_list_begin(out);
    while (*terms) {
        size_t size = strcspn(terms, " ");
        codec_list_add(&list, snapshot_term_wire(),
                       &(snapshot_term_t){.term = slice_of(terms, size)});
        terms += size;
        terms += *terms == ' ';
    }
    codec_list_end(&list);
}

/* What is looked for; the bounds may be empty. */
typedef struct query {
    const char *terms;
    const char *after;
    const char *before;
    bool descending;
    uint64_t page;
    bool keys_only;
} query_t;

/* The keys that are found, as words; page by page until the end. */
static void find(store_t *store, uint64_t stream, const query_t *query, buffer_t *ret_keys)
{
    buffer_t terms = {0};
    buffer_t out = {0};
    buffer_t place = {0};
    term_list(&terms, query->terms);
    snapshot_find_t request = {.stream = stream,
                               .terms = buffer_slice(&terms),
                               .after = slice_text(query->after),
                               .before = slice_text(query->before),
                               .descending = query->descending,
                               .count_max = query->page,
                               .bytes_max = 1 << 20,
                               .keys_only = query->keys_only};
    buffer_clear(ret_keys);
    for (bool end = false; !end;) {
        buffer_clear(&out);
        snapshot_rows_t reply;
        codec_list_t rows;
        cr_assert_eq(store_snapshot_find(store, &request, &out, &reply), CAPSTAN_OK);
        cr_assert_eq(codec_list_open(snapshot_row_wire(), reply.rows, &rows), CAPSTAN_OK);
        cr_assert_leq(rows.left, query->page);
        for (snapshot_row_t row; codec_list_next(&rows, &row);) {
            cr_assert_eq(row.value.size == 0, query->keys_only);
            cr_assert_eq(row.terms.size == 0, query->keys_only);
            buffer_append(ret_keys, row.key.data, row.key.size);
            buffer_append(ret_keys, " ", 1);
        }
        end = reply.end;
        cr_assert(end || reply.next.size > 0);
        buffer_clear(&place);
        buffer_append(&place, reply.next.data, reply.next.size);
        *(query->descending ? &request.before : &request.after) = buffer_slice(&place);
    }
    buffer_append(ret_keys, "", 1);
    buffer_fini(&terms);
    buffer_fini(&out);
    buffer_fini(&place);
}

static void expect_found(fixture_t *fixture, const char *terms, const char *keys)
{
    buffer_t found = {0};
    query_t query = {.terms = terms, .after = "", .before = "", .page = 10};
    find(fixture->store, fixture->stream.stream, &query, &found);
    cr_assert_str_eq((const char *)found.data, keys, "%s", terms);
    buffer_fini(&found);
}

/* The counts as `term=count` words, in as many requests as it takes, whose number is returned. */
static int count(fixture_t *fixture, const char *terms, const char *prefix, char *text, size_t size)
{
    buffer_t list = {0};
    buffer_t out = {0};
    buffer_t place = {0};
    term_list(&list, terms);
    snapshot_count_t request = {.stream = fixture->stream.stream,
                                .terms = buffer_slice(&list),
                                .prefix = slice_text(prefix)};
    char last[64] = "";
    uint64_t last_count = 0;
    int requests = 0;
    text[0] = '\0';
    for (bool end = false; !end; requests++) {
        buffer_clear(&out);
        snapshot_counts_t reply;
        codec_list_t counts;
        cr_assert_eq(store_snapshot_count(fixture->store, &request, &out, &reply), CAPSTAN_OK);
        cr_assert_eq(codec_list_open(snapshot_tally_wire(), reply.counts, &counts), CAPSTAN_OK);
        for (snapshot_tally_t tally; codec_list_next(&counts, &tally);) {
            size_t length = strlen(text);
            char term[64];
            snprintf(term, sizeof term, "%.*s", (int)tally.term.size,
                     (const char *)tally.term.data);
            if (length > 0 && strcmp(term, last) == 0) { /* takes the place of its first part */
                *(strrchr(text, ' ') ? strrchr(text, ' ') : text) = '\0';
                tally.count += last_count;
                length = strlen(text);
            }
            snprintf(text + length, size - length, "%s%s=%llu", length > 0 ? " " : "", term,
                     (unsigned long long)tally.count);
            memcpy(last, term, sizeof last);
            last_count = tally.count;
        }
        end = reply.end;
        buffer_clear(&place);
        buffer_append(&place, reply.next_term.data, reply.next_term.size);
        buffer_append(&place, reply.next_key.data, reply.next_key.size);
        request.first = slice_of(place.data, reply.next_term.size);
        request.after = slice_of(place.data + reply.next_term.size, reply.next_key.size);
    }
    buffer_fini(&list);
    buffer_fini(&out);
    buffer_fini(&place);
    return requests;
}

Test(terms, of_a_row_are_those_of_its_newest_writing)
{
    fixture_t fixture;
    fixture_folder(&fixture);
    fixture_open(&fixture);
    cr_assert_eq(write_one(&fixture, "a", "1", "s:new c:7 s:new"), CAPSTAN_OK);
    cr_assert_eq(write_one(&fixture, "b", "1", "s:new"), CAPSTAN_OK);
    cr_assert_eq(write_one(&fixture, "c", "1", ""), CAPSTAN_OK);
    expect_found(&fixture, "s:new", "a b ");
    expect_found(&fixture, "c:7", "a ");
    expect_found(&fixture, "c:7 s:new", "a ");
    expect_found(&fixture, "s:ne", "");
    cr_assert_eq(write_one(&fixture, "a", "2", "s:done c:7"), CAPSTAN_OK);
    expect_found(&fixture, "s:new", "b ");
    expect_found(&fixture, "s:done c:7", "a ");
    cr_assert_eq(write_one(&fixture, "c", "2", "s:new"), CAPSTAN_OK);
    expect_found(&fixture, "s:new", "b c ");
    cr_assert_eq(write_one(&fixture, "b", "2", ""), CAPSTAN_OK);
    cr_assert_eq(write_one(&fixture, "a", NULL, ""), CAPSTAN_OK);
    expect_found(&fixture, "s:new", "c ");
    expect_found(&fixture, "c:7", "");
    chunk_t chunk = {0}; /* of a key that comes twice the last counts */
    chunk_begin(&chunk);
    chunk_add(&chunk, "d", "1", "s:one s:both");
    chunk_add(&chunk, "c", NULL, "");
    chunk_add(&chunk, "d", "2", "s:two s:both");
    cr_assert_eq(chunk_commit(&chunk, &fixture), CAPSTAN_OK);
    expect_found(&fixture, "s:one", "");
    expect_found(&fixture, "s:two s:both", "d ");
    store_check_result_t result = check_store(fixture.store);
    cr_assert(result.faults == 0 && result.terms == 2 && result.snapshot_rows == 2);
    fixture_fini(&fixture);
}

/* --- against a model --- */

enum { MODEL_ROWS = 400, MODEL_TERMS = 12 };

static const char *const words[MODEL_TERMS] = {"s:a", "s:b", "s:c",  "s:",  "c:1", "c:11",
                                               "c:2", "t",   "rare", "one", "x:y", "x:z"};

/* A row: which of the words it has; 0: there is no row. */
typedef struct model {
    uint32_t rows[MODEL_ROWS];
    random_source_t random;
} model_t;

static void model_change(model_t *self, fixture_t *fixture)
{
    chunk_t chunk = {0};
    chunk_begin(&chunk);
    for (uint64_t i = 1 + random_below(&self->random, 60); i > 0; i--) {
        size_t row = (size_t)random_below(&self->random, MODEL_ROWS);
        uint32_t has = (uint32_t)random_below(&self->random, 1u << 8);
        has |= random_below(&self->random, 40) == 0 ? 1u << 8 : 0;
        has |= row == 333 ? 1u << 9 : 0;
        has |= row < 200 ? 1u << 10 : 1u << 11; /* common, but not together */
        self->rows[row] = random_below(&self->random, 6) == 0 ? 0 : has;
        char key[8];
        char terms[128] = "";
        snprintf(key, sizeof key, "%zu", row);
        for (int word = 0; word < MODEL_TERMS; word++) {
            if (self->rows[row] & 1u << word) {
                size_t length = strlen(terms);
                snprintf(terms + length, sizeof terms - length, "%s%s", length > 0 ? " " : "",
                         words[word]);
            }
        }
        chunk_add(&chunk, key, self->rows[row] ? "value" : NULL, terms);
    }
    cr_assert_eq(chunk_commit(&chunk, fixture), CAPSTAN_OK);
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void model_find(const model_t *self, uint32_t wanted, const query_t *query,
                       buffer_t *ret_keys)
{
    char keys[MODEL_ROWS][8];
    size_t found = 0;
    for (size_t row = 0; row < MODEL_ROWS; row++) {
        char key[8];
        snprintf(key, sizeof key, "%zu", row);
        if (self->rows[row] != 0 && (self->rows[row] & wanted) == wanted &&
            (!*query->after || strcmp(key, query->after) > 0) &&
            (!*query->before || strcmp(key, query->before) < 0)) {
            memcpy(keys[found++], key, sizeof key);
        }
    }
    qsort(keys, found, sizeof keys[0], compare_texts);
    buffer_clear(ret_keys);
    for (size_t i = 0; i < found; i++) {
        const char *key = keys[query->descending ? found - 1 - i : i];
        buffer_append(ret_keys, key, strlen(key));
        buffer_append(ret_keys, " ", 1);
    }
    buffer_append(ret_keys, "", 1);
}

static void compare_find(model_t *self, fixture_t *fixture)
{
    static const char *const bounds[] = {"", "", "0", "17", "2", "333", "398", "5", "9"};
    uint32_t wanted = 0;
    char terms[64] = "";
    for (uint64_t i = 1 + random_below(&self->random, 4); i > 0; i--) {
        uint64_t word = random_below(&self->random, MODEL_TERMS);
        size_t length = strlen(terms);
        snprintf(terms + length, sizeof terms - length, "%s%s", length > 0 ? " " : "", words[word]);
        wanted |= 1u << word;
    }
    query_t query = {.terms = terms,
                     .after = bounds[random_below(&self->random, 9)],
                     .before = bounds[random_below(&self->random, 9)],
                     .descending = random_below(&self->random, 2) == 0,
                     .page = 1 + random_below(&self->random, 50),
                     .keys_only = random_below(&self->random, 2) == 0};
    buffer_t found = {0};
    buffer_t expected = {0};
    find(fixture->store, fixture->stream.stream, &query, &found);
    model_find(self, wanted, &query, &expected);
    cr_assert_str_eq((const char *)found.data, (const char *)expected.data,
                     "\"%s\" after \"%s\" before \"%s\"%s", terms, query.after, query.before,
                     query.descending ? " descending" : "");
    buffer_fini(&found);
    buffer_fini(&expected);
}

static void compare_count(model_t *self, fixture_t *fixture, uint32_t wanted, const char *prefix)
{
    static const int sorted[] = {4, 5, 6, 9, 8, 3, 0, 1, 2, 7, 10, 11}; /* the words ascending */
    char expected[512] = "";
    char terms[64] = "";
    char found[512];
    for (int word = 0; word < MODEL_TERMS; word++) {
        size_t length = strlen(terms);
        if (wanted & 1u << word) {
            snprintf(terms + length, sizeof terms - length, "%s%s", length > 0 ? " " : "",
                     words[word]);
        }
    }
    for (int i = *prefix ? 0 : MODEL_TERMS; i <= MODEL_TERMS; i++) {
        bool all = i == MODEL_TERMS;
        uint32_t with = all ? wanted : wanted | 1u << sorted[i];
        const char *term = all ? "" : words[sorted[i]];
        uint64_t rows = 0;
        for (size_t row = 0; row < MODEL_ROWS; row++) {
            rows += self->rows[row] != 0 && (self->rows[row] & with) == with;
        }
        size_t length = strlen(expected);
        if (*prefix ? !all && rows > 0 && strncmp(term, prefix, strlen(prefix)) == 0 : all) {
            snprintf(expected + length, sizeof expected - length, "%s%s=%llu",
                     length > 0 ? " " : "", term, (unsigned long long)rows);
        }
    }
    cr_assert_eq(count(fixture, terms, prefix, found, sizeof found), 1);
    cr_assert_str_eq(found, expected, "\"%s\" by \"%s\"", terms, prefix);
}

Test(terms, find_and_count_what_a_model_of_all_rows_does)
{
    static const char *const prefixes[] = {"", "s:", "c:1", "c", "x", "none", "one"};
    model_t model = {.random = {.state = 7}};
    fixture_t fixture;
    fixture_folder(&fixture);
    fixture_open(&fixture);
    for (int round = 0; round < 40; round++) {
        model_change(&model, &fixture);
        for (int i = 0; i < 40; i++) {
            compare_find(&model, &fixture);
            uint32_t wanted = 0;
            for (uint64_t terms = random_below(&model.random, 4); terms > 0; terms--) {
                wanted |= 1u << random_below(&model.random, MODEL_TERMS);
            }
            compare_count(&model, &fixture, wanted, prefixes[random_below(&model.random, 7)]);
        }
        cr_assert_eq(check_store(fixture.store).faults, 0);
    }
    fixture_fini(&fixture);
}

/* --- ranges, bounds, refusals --- */

static void due_term(char *text, size_t size, int due)
{
    snprintf(text, size, "d%08x", (unsigned)due);
}

Test(terms, are_read_in_their_order_within_bounds_and_page_by_page)
{
    enum { ROWS = 300, PAGE = 7, FIRST = 20, LAST = 59 };
    fixture_t fixture;
    fixture_folder(&fixture);
    fixture_open(&fixture);
    chunk_t chunk = {0};
    chunk_begin(&chunk);
    for (int row = 0; row < ROWS; row++) { /* three rows are due at each time */
        char key[16];
        char due[16];
        snprintf(key, sizeof key, "k%03d", row);
        due_term(due, sizeof due, row % 100);
        chunk_add(&chunk, key, "value", due);
    }
    cr_assert_eq(chunk_commit(&chunk, &fixture), CAPSTAN_OK);
    char first[16];
    char last[16];
    char after[16] = "";
    due_term(first, sizeof first, FIRST);
    due_term(last, sizeof last, LAST);
    buffer_t out = {0};
    int seen = 0;
    for (bool end = false; !end;) {
        snapshot_range_t request = {.stream = fixture.stream.stream,
                                    .first = slice_text(first),
                                    .last = slice_text(last),
                                    .count_max = PAGE,
                                    .after = slice_text(after)};
        snapshot_terms_t reply;
        snapshot_entry_t entry;
        codec_list_t list;
        buffer_clear(&out);
        cr_assert_eq(store_snapshot_range(fixture.store, &request, &out, &reply), CAPSTAN_OK);
        cr_assert_eq(codec_list_open(snapshot_entry_wire(), reply.entries, &list), CAPSTAN_OK);
        cr_assert_leq(list.left, PAGE);
        while (codec_list_next(&list, &entry)) {
            due_term(first, sizeof first, FIRST + seen / 3);
            snprintf(after, sizeof after, "k%03d", FIRST + seen / 3 + seen % 3 * 100);
            cr_assert(slice_equal(entry.term, slice_text(first)), "%d", seen);
            cr_assert(slice_equal(entry.key, slice_text(after)), "%d", seen);
            seen++;
        }
        end = reply.end;
    }
    cr_assert_eq(seen, 3 * (LAST - FIRST + 1));
    buffer_fini(&out);
    fixture_fini(&fixture);
}

/* Two terms that few rows have together, and each at every second stretch of a few keys: the worst
 * there is. */
Test(terms, that_meet_nowhere_end_a_request_at_its_bound_and_the_next_goes_on, .timeout = 120)
{
    enum { ROWS = 40000, CHUNK = 4000 };
    fixture_t fixture;
    fixture_folder(&fixture);
    fixture_open(&fixture);
    for (int row = 0; row < ROWS;) {
        chunk_t chunk = {0};
        chunk_begin(&chunk);
        for (int end = row + CHUNK; row < end; row++) {
            char key[16];
            snprintf(key, sizeof key, "k%06d", row);
            bool both = row == 1 || row == ROWS - 1;
            chunk_add(&chunk, key, "value",
                      both               ? "s:even s:odd all"
                      : row / 6 % 2 == 0 ? "s:even all"
                                         : "s:odd all");
        }
        cr_assert_eq(chunk_commit(&chunk, &fixture), CAPSTAN_OK);
    }
    buffer_t found = {0};
    buffer_t terms = {0};
    term_list(&terms, "s:even s:odd");
    snapshot_find_t request = {.stream = fixture.stream.stream,
                               .terms = buffer_slice(&terms),
                               .count_max = 50,
                               .bytes_max = 1 << 20};
    snapshot_rows_t reply;
    cr_assert_eq(store_snapshot_find(fixture.store, &request, &found, &reply), CAPSTAN_OK);
    cr_assert(!reply.end && codec_list_count(reply.rows) == 1, "not bounded");
    expect_found(&fixture, "s:even s:odd", "k000001 k039999 ");
    query_t query = {.terms = "s:even s:odd", .after = "", .before = "", .page = 9};
    query.descending = true;
    find(fixture.store, fixture.stream.stream, &query, &found);
    cr_assert_str_eq((const char *)found.data, "k039999 k000001 ");
    char text[128];
    cr_assert_gt(count(&fixture, "s:odd", "s:", text, sizeof text), 1);
    cr_assert_str_eq(text, "s:even=2 s:odd=20000");
    (void)count(&fixture, "", "s", text, sizeof text);
    cr_assert_str_eq(text, "s:even=20002 s:odd=20000");
    (void)count(&fixture, "", "", text, sizeof text);
    cr_assert_str_eq(text, "=40000");
    buffer_fini(&found);
    buffer_fini(&terms);
    fixture_fini(&fixture);
}

static int64_t table_rows(store_t *store, const char *table)
{
    char sql[64];
    sqlite3_stmt *statement;
    snprintf(sql, sizeof sql, "SELECT count(*) FROM %s", table);
    cr_assert_eq(sqlite3_prepare_v2(store->db, sql, -1, &statement, NULL), SQLITE_OK);
    cr_assert_eq(sqlite3_step(statement), SQLITE_ROW);
    int64_t rows = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return rows;
}

static void random_term(char *text, size_t size, int row)
{
    random_source_t random = {.state = (uint64_t)row};
    snprintf(text, size, "%016llx", (unsigned long long)random_next(&random));
}

/* Random terms wait in a table of their own, which stays small however many there are. */
Test(terms, that_are_scattered_are_moved_when_many_wait_and_found_wherever_they_are, .timeout = 120)
{
    enum { ROWS = 70000, CHUNK = 2000, WAITING = 1 << 15 };
    fixture_t fixture;
    fixture_folder(&fixture);
    fixture_open(&fixture);
    char key[16];
    char term[32];
    for (int row = 0; row < ROWS;) {
        chunk_t chunk = {0};
        chunk_begin(&chunk);
        for (int end = row + CHUNK; row < end; row++) {
            snprintf(key, sizeof key, "k%06d", row);
            random_term(term, sizeof term, row);
            chunk_add(&chunk, key, "value", term);
        }
        cr_assert_eq(chunk_commit(&chunk, &fixture), CAPSTAN_OK);
        if (row == ROWS / 2) { /* what was counted is forgotten */
            store_close(&fixture.store);
            fixture_open(&fixture);
        }
    }
    cr_assert_leq(table_rows(fixture.store, "terms_new"), WAITING);
    cr_assert_gt(table_rows(fixture.store, "terms_new"), WAITING / 2);
    cr_assert_eq(check_store(fixture.store).faults, 0);
    for (int row = 0; row < ROWS; row += 500) {
        snprintf(key, sizeof key, "k%06d ", row);
        random_term(term, sizeof term, row);
        expect_found(&fixture, term, key);
        key[7] = '\0';
        cr_assert_eq(write_one(&fixture, key, "value", "changed"), CAPSTAN_OK);
        expect_found(&fixture, term, "");
    }
    store_check_result_t result = check_store(fixture.store);
    cr_assert(result.faults == 0 && result.terms == ROWS);
    fixture_fini(&fixture);
}

static capstan_err_t try_find(fixture_t *fixture, const char *terms, uint64_t count_max)
{
    buffer_t list = {0};
    buffer_t out = {0};
    term_list(&list, terms);
    snapshot_find_t request = {.stream = fixture->stream.stream,
                               .terms = buffer_slice(&list),
                               .count_max = count_max,
                               .bytes_max = 1};
    snapshot_rows_t reply;
    capstan_err_t err = store_snapshot_find(fixture->store, &request, &out, &reply);
    buffer_fini(&list);
    buffer_fini(&out);
    return err;
}

Test(terms, that_are_too_many_or_too_long_are_refused_with_their_chunk)
{
    fixture_t fixture;
    fixture_folder(&fixture);
    fixture_open(&fixture);
    char longest[520];
    memset(longest, 'x', sizeof longest);
    longest[512] = '\0';
    cr_assert_eq(write_one(&fixture, "a", "1", longest), CAPSTAN_OK);
    expect_found(&fixture, longest, "a ");
    longest[512] = 'x';
    longest[513] = '\0';
    cr_assert_eq(write_one(&fixture, "b", "1", longest), CAPSTAN_E_INVALID);
    cr_assert_eq(write_one(&fixture, "b", "1", "s:new  empty"), CAPSTAN_E_INVALID);
    cr_assert_eq(write_one(&fixture, "a", NULL, "s:new"), CAPSTAN_E_INVALID);
    char many[256] = "";
    for (int i = 0; i < 33; i++) {
        size_t size = strlen(many);
        snprintf(many + size, sizeof many - size, "%st%02d", i > 0 ? " " : "", i);
        if (i == 31) {
            cr_assert_eq(write_one(&fixture, "c", "1", many), CAPSTAN_OK);
        }
    }
    chunk_t chunk = {0};
    chunk_begin(&chunk);
    chunk_add(&chunk, "d", "1", "s:new");
    chunk_add(&chunk, "e", "1", many);
    cr_assert_eq(chunk_commit(&chunk, &fixture), CAPSTAN_E_INVALID);
    expect_found(&fixture, "s:new", "");
    expect_found(&fixture, "t31 t00", "c ");
    cr_assert_eq(try_find(&fixture, "", 1), CAPSTAN_E_INVALID);
    cr_assert_eq(try_find(&fixture, "a b c d e", 1), CAPSTAN_E_INVALID);
    cr_assert_eq(try_find(&fixture, "a b c d", 0), CAPSTAN_E_INVALID);
    cr_assert_eq(try_find(&fixture, "a b c d", 1), CAPSTAN_OK);
    fixture_fini(&fixture);
}

/* --- the store of before, damage, removal --- */

static void run_sql(const char *path, const char *sql)
{
    sqlite3 *db;
    cr_assert_eq(sqlite3_open(path, &db), SQLITE_OK);
    cr_assert_eq(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK, "%s: %s", sql,
                 sqlite3_errmsg(db));
    sqlite3_close(db);
}

/* Format 1 is what the schema makes by itself; the row's checksum is that of the program of then.
 */
Test(terms, can_be_given_to_the_rows_of_a_store_of_format_1)
{
    extern const char sql_store_schema[];
    static const char rows[] =
        "PRAGMA journal_mode = WAL;"
        "INSERT INTO streams SELECT 1, 'ordering', 'orders/0', 28, 1, 1;"
        "INSERT INTO snapshots VALUES (1, CAST('old' AS BLOB), 0, CAST('value' AS BLOB))";
    fixture_t fixture;
    fixture_folder(&fixture);
    run_sql(fixture.path, sql_store_schema);
    run_sql(fixture.path, rows);
    char sql[160];
    uint64_t sum = snapshot_checksum(
        &(snapshot_row_t){.key = slice_text("old"), .value = slice_text("value")});
    snprintf(sql, sizeof sql, "UPDATE snapshots SET checksum = %lld; UPDATE streams SET shard = %u",
             (long long)sum,
             (unsigned)stream_shard(slice_text("ordering"), slice_text("orders/0")));
    run_sql(fixture.path, sql);
    store_options_t options = {.path = fixture.path, .read_only = true};
    cr_assert_eq(store_open(&options, &fixture.store, fixture.text, sizeof fixture.text),
                 CAPSTAN_E_INVALID);
    cr_assert(strstr(fixture.text, "format 1"), "%s", fixture.text);
    fixture_open(&fixture);
    cr_assert_eq(fixture.stream.stream, 1);
    store_check_result_t result = check_store(fixture.store);
    cr_assert(result.faults == 0 && result.snapshot_rows == 1 && result.terms == 0);
    cr_assert_eq(write_one(&fixture, "new", "1", "s:new"), CAPSTAN_OK);
    expect_found(&fixture, "s:new", "new ");
    cr_assert_eq(write_one(&fixture, "old", "2", "s:new"), CAPSTAN_OK);
    expect_found(&fixture, "s:new", "new old ");
    store_close(&fixture.store);
    fixture_open(&fixture);
    cr_assert_eq(check_store(fixture.store).faults, 0);
    fixture_fini(&fixture);
}

Test(terms, that_do_not_agree_with_their_rows_are_found_by_the_check)
{
    static const char *const damages[] = {
        "DELETE FROM terms_new WHERE term = CAST('s:new' AS BLOB) AND key = CAST('b' AS BLOB)",
        "INSERT INTO terms SELECT * FROM terms_new",
        "INSERT INTO terms_new VALUES (9, CAST('s:new' AS BLOB), CAST('b' AS BLOB))",
        "INSERT INTO terms VALUES (1, CAST('s:old' AS BLOB), CAST('b' AS BLOB))",
        "INSERT INTO terms VALUES (1, CAST('s:new' AS BLOB), CAST('x' AS BLOB))",
        "INSERT INTO terms VALUES (9, CAST('s:new' AS BLOB), CAST('b' AS BLOB))",
        "DELETE FROM snapshots WHERE key = CAST('b' AS BLOB)",
        "UPDATE snapshots SET terms = NULL",
        "UPDATE snapshots SET terms = x'92'",
    };
    for (size_t i = 0; i < sizeof damages / sizeof damages[0]; i++) {
        fixture_t fixture;
        fixture_folder(&fixture);
        fixture_open(&fixture);
        cr_assert_eq(write_one(&fixture, "a", "1", "s:new"), CAPSTAN_OK);
        cr_assert_eq(write_one(&fixture, "b", "1", "s:new c:7"), CAPSTAN_OK);
        store_check_result_t result = check_store(fixture.store);
        cr_assert(result.faults == 0 && result.terms == 3);
        run_sql(fixture.path, damages[i]);
        cr_assert_gt(check_store(fixture.store).faults, 0, "%s", damages[i]);
        fixture_fini(&fixture);
    }
}

Test(terms, go_with_the_rows_of_a_stream_that_is_removed_in_pieces)
{
    fixture_t fixture;
    fixture_folder(&fixture);
    fixture_open(&fixture);
    stream_opened_t removed = fixture.stream;
    for (int stream = 0; stream < 2; stream++) {
        chunk_t chunk = {0};
        chunk_begin(&chunk);
        for (int row = 0; row < 2500; row++) {
            char key[16];
            snprintf(key, sizeof key, "k%04d", row);
            chunk_add(&chunk, key, "value", row % 2 == 0 ? "s:even all" : "s:odd all");
        }
        cr_assert_eq(chunk_commit(&chunk, &fixture), CAPSTAN_OK);
        fixture.stream = fixture_stream(fixture.store, "orders/1");
    }
    bool more = true;
    int pieces = 0;
    for (; more; pieces++) {
        stream_remove_t request = {.stream = removed.stream, .epoch = removed.epoch};
        cr_assert_eq(store_begin(fixture.store), CAPSTAN_OK);
        cr_assert_eq(store_stream_remove(fixture.store, &request, &more), CAPSTAN_OK);
        cr_assert_eq(store_commit(fixture.store), CAPSTAN_OK);
        cr_assert_eq(check_store(fixture.store).faults, 0, "piece %d", pieces);
    }
    cr_assert_gt(pieces, 2);
    store_check_result_t result = check_store(fixture.store);
    cr_assert(result.snapshot_rows == 2500 && result.terms == 5000);
    char text[64];
    cr_assert_eq(count(&fixture, "all", "s:", text, sizeof text), 1);
    cr_assert_str_eq(text, "s:even=1250 s:odd=1250");
    fixture_fini(&fixture);
}

/* Requests about many sagas, answered from the rows once those say what has happened so far; and
 * those who wait for the end of one. Internal to saga/. */
#ifndef SAGA_SAGA_QUERY_H
#define SAGA_SAGA_QUERY_H

#include "actors/saga/saga_messages.h"
#include "runtime/base/buffer.h"
#include "runtime/base/map.h"

#include <capstan/actor.h>

enum {
    QUERY_ROWS_MAX = 1000,
    QUERY_ROWS_USUAL = 50,
    QUERY_TERMS_MAX = 4, /* of a snapshot_find */
    QUERIES_MAX = 1000,
};

typedef enum query_kind {
    QUERY_LIST,
    QUERY_COUNT,
    QUERY_OPERATE,
} query_kind_t;

typedef struct query_sum {
    char name[80];
    uint64_t count;
} query_sum_t;

typedef struct query {
    struct query *next;
    query_kind_t kind;
    capstan_message_t request; /* its body is `body` */
    buffer_t body;
    saga_filter_t filter; /* points into `body` */
    uint64_t by;
    uint64_t rows_max;
    uint64_t before; /* row numbers below; 0: all */
    uint64_t pass;   /* that it waits for */
    uint64_t ask;
    bool reads;    /* its rows come to memory */
    buffer_t list; /* of the answer */
    codec_list_writer_t writer;
    uint64_t rows;
    query_sum_t *sums; /* ascending names */
    size_t sum_count;
    buffer_t next_term; /* of a count by terms */
    buffer_t next_key;
} query_t;

typedef struct queries {
    query_t *first;
    size_t count;
} queries_t;

struct saga_shell;

void queries_list(struct saga_shell *self, const capstan_message_t *message);
void queries_count(struct saga_shell *self, const capstan_message_t *message);
void queries_operate(struct saga_shell *self, const capstan_message_t *message);
bool queries_answer(struct saga_shell *self, const capstan_message_t *message);
/* A pass is complete, or reads are let in again. */
void queries_go_on(struct saga_shell *self);
void queries_cancel(struct saga_shell *self, capstan_ref_t sender, uint64_t correlation);
void queries_refuse(struct saga_shell *self, capstan_err_t err);
void queries_fini(queries_t *self);

/* What of a row is shown; it points into `state`. STORE_CORRUPT. */
CAPSTAN_MUST_CHECK capstan_err_t row_of_state(const struct saga_shell *self, slice_t state,
                                              saga_row_t *ret_row);

/* --- saga_filter.c ------------------------------------------------------------------------------
 */

/* NULL, or what is wrong with it. An empty slice is the filter of all. */
const char *filter_read(slice_t record, saga_filter_t *ret_filter);
/* The first terms of a filter, as a LIST, at most QUERY_TERMS_MAX; the others are looked for in the
 * rows. */
void filter_terms(const saga_filter_t *filter, buffer_t *out);
/* Whether these terms do not say it all. */
bool filter_wants_rows(const saga_filter_t *filter);
/* Whether a row with these terms and time of start fits. */
bool filter_fits(const saga_filter_t *filter, slice_t terms, int64_t started_us);

/* --- saga_sums.c: counting -----------------------------------------------------------------------
 */

/* Asks for a part of the count by terms; 0: it could not be sent. */
uint64_t sums_ask(struct saga_shell *self, const query_t *query);
/* STORE_CORRUPT. */
CAPSTAN_MUST_CHECK capstan_err_t sums_take(query_t *query, slice_t body, bool *ret_end);
void sums_add_row(query_t *query, const saga_row_t *row);
void sums_encode(query_t *query, buffer_t *out);

/* --- saga_waiters.c: who waits for the end of a saga --------------------------------------------
 */

typedef struct result_waiter {
    struct result_waiter *next; /* of the same saga */
    uint64_t number;
    capstan_message_t request;
} result_waiter_t;

typedef struct waiters {
    map_t by_number; /* to the first of a saga */
    map_t by_asker;  /* all */
} waiters_t;

void waiters_result(struct saga_shell *self, const capstan_message_t *message);
/* The saga rests, and that is on disk. */
void waiters_rests(struct saga_shell *self, uint64_t number);
void waiters_cancel(struct saga_shell *self, capstan_ref_t sender, uint64_t correlation);
void waiters_refuse(struct saga_shell *self, capstan_err_t err);
void waiters_fini(waiters_t *self);

#endif

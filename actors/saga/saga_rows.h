/* Rows of the snapshot, what may leave memory, and what is forgotten. Internal to saga/.
 *
 * Keys of rows begin with a byte that tells their kind:
 *   'c'                                   saga_mark
 *   'd' name 0 version (8 bytes)          saga_definition
 *   's' number (8 bytes)                  saga_state
 * Terms of a saga's row:
 *   '*'                 every saga                       'h'  at work: it has to be in memory
 *   'i' id              's' state (1 byte)               'o' outcome
 *   'd' definition      'v' definition 0 version         'k' business key
 *   'w' business key    of one that has not ended        'p' saga_place: the event that began it
 *   'a' name 0 value    an attribute
 *   't' time            at which a saga that rests goes on by itself
 *   'e' time            at which it ended, when saga.retention_ms decides when it is forgotten
 *   'f' time            at which it is forgotten, as its definition says
 * Numbers and times have 8 bytes, big endian. */
#ifndef SAGA_SAGA_ROWS_H
#define SAGA_SAGA_ROWS_H

#include "runtime/base/buffer.h"
#include "runtime/wire/codec.h"

#include <capstan/actor.h>

#define ROW_MARK       'c'
#define ROW_DEFINITION 'd'
#define ROW_SAGA       's'

#define TERM_ALL        '*'
#define TERM_HOT        'h'
#define TERM_ID         'i'
#define TERM_STATE      's'
#define TERM_OUTCOME    'o'
#define TERM_DEFINITION 'd'
#define TERM_VERSION    'v'
#define TERM_KEY        'k'
#define TERM_WANTS      'w'
#define TERM_PLACE      'p'
#define TERM_ATTRIBUTE  'a'
#define TERM_DUE        't'
#define TERM_ENDED      'e'
#define TERM_FORGET     'f'

enum {
    ROW_KEY_SIZE = 9,
    ROWS_CHUNK_BYTES = 256 << 10,
    /* What is due within this time is in memory: sagas are read so long before, each DUE_EVERY. */
    ROWS_DUE_AHEAD_US = 60000000,
    ROWS_DUE_EVERY_US = 30000000,
    ROWS_FORGET_EVERY_US = 1000000,
    ROWS_FORGET_MAX = 500, /* at a time */
};

/* One whose row says what it is: it may leave when it has not changed since. */
typedef struct resting {
    uint64_t number;
    uint64_t sequence;
} resting_t;

typedef struct rows {
    bool saving;           /* a pass is under way */
    bool saved_all;        /* and has handed out everything; its last chunk is on its way */
    uint64_t pass;         /* its number, from 1 */
    uint64_t passes;       /* that are complete */
    uint64_t wanted;       /* the pass of this number is wanted now */
    uint64_t lsn;          /* that it will name */
    uint64_t number_limit; /* those from here on began after it did */
    uint64_t first_number; /* of the first saga that it wrote: it ends when that comes again */
    uint64_t ask;          /* chunk under way */
    uint64_t records;      /* since the last pass began */
    uint64_t changed;      /* sagas in the last pass */
    int64_t began_us;      /* monotonic */
    int64_t began_utc_us;
    int64_t stored_utc_us; /* began_utc_us of the last complete one */
    size_t definitions;    /* that have rows */
    uint64_t truncate_ask;
    uint64_t forget_ask;    /* range of those to be forgotten, or the deletion of their rows */
    int64_t forget_next_us; /* monotonic */
    bool forget_own;        /* those whose definitions say when */
    uint64_t *gone;         /* numbers of those whose rows are being removed */
    size_t gone_count;
    bool gone_stored;   /* the rows are: they leave memory when nothing is being read */
    resting_t *written; /* in the chunk under way */
    size_t written_count;
    size_t written_capacity;
    resting_t *resting; /* a queue: who rested first leaves first */
    size_t resting_first;
    size_t resting_end;
    size_t resting_capacity;
    buffer_t key;
    buffer_t value;
    buffer_t terms;
} rows_t;

struct saga_shell;

void row_key(uint8_t kind, uint64_t number, uint8_t ret_key[ROW_KEY_SIZE]);
bool row_number(slice_t key, uint64_t *ret_number);
/* Appends a term; `more` stands behind a zero byte, when it is not empty. */
void term_write(buffer_t *out, uint8_t kind, slice_t text, slice_t more);
void term_write_time(buffer_t *out, uint8_t kind, int64_t time_us);
bool term_time(slice_t term, int64_t *ret_time_us);

/* The number of the pass after which all that has happened so far is in rows. */
uint64_t rows_want(struct saga_shell *self);
bool rows_have(const struct saga_shell *self, uint64_t pass);
/* The saga is as its row says: it was read from there. */
void rows_rests(struct saga_shell *self, uint64_t number);
void rows_turn_end(struct saga_shell *self);
bool rows_answer(struct saga_shell *self, const capstan_message_t *message);
/* The core was thrown away. */
void rows_forget(struct saga_shell *self);
void rows_fini(struct saga_shell *self);

/* --- saga_terms.c -------------------------------------------------------------------------------
 */

struct saga;
/* The terms of a saga's row, as a LIST. */
void terms_of(const struct saga *saga, buffer_t *out);

/* --- saga_eviction.c ----------------------------------------------------------------------------
 */

void eviction_add(struct saga_shell *self, const resting_t *resting);
/* Too many are in memory that need not be: nothing is read until some have left it. */
bool eviction_wants(const struct saga_shell *self);
void eviction_turn_end(struct saga_shell *self);

/* --- saga_forget.c: those that have ended are forgotten ------------------------------------------
 */

void forget_tick(struct saga_shell *self);
bool forget_answer(struct saga_shell *self, const capstan_message_t *message);
void forget_turn_end(struct saga_shell *self);

#endif

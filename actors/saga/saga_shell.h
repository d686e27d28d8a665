/* The shell of the coordinator: an actor that owns one core. Internal to saga/.
 *
 *   requests, events, answers --> [parked: look-up] --> core --records--> gathered --> journal
 *                                                        '--answers, commands--> owed: until that
 *                                                                                is on disk     */
#ifndef SAGA_SAGA_SHELL_H
#define SAGA_SAGA_SHELL_H

#include "actors/journal/journal_messages.h"
#include "actors/saga/coordinator.h"
#include "actors/saga/saga_actor.h"
#include "actors/saga/saga_ids.h"
#include "actors/saga/saga_lookup.h"
#include "actors/saga/saga_owed.h"
#include "actors/saga/saga_participants.h"
#include "actors/saga/saga_query.h"
#include "actors/saga/saga_rows.h"
#include "actors/saga/saga_topics.h"
#include "runtime/simulation/random.h"

enum {
    SAGA_APPENDS_MAX = 2, /* in flight: one is written while the next is gathered */
    SAGA_ASK_US = 60000000,
    SAGA_DAMAGED_US = 10000000,  /* the same when the store is damaged: somebody repairs it */
    SAGA_RETRY_US = 200000,      /* before the state is rebuilt after a refused append */
    SAGA_TICK_US = 1000000,      /* also: a step of the wall clock is seen after so long */
    SAGA_READ_BYTES = 4 << 20,   /* of recovery: large chunks, since it reads everything */
    SAGA_PAGE_BYTES = 512 << 10, /* of a reply */
    SAGA_INPUTS_MAX = 1000,      /* due at a time */
    SAGA_ERROR_TEXT = 320,
};

typedef enum saga_step {
    SAGA_OPENING,     /* waits for stream_opened */
    SAGA_DEFINITIONS, /* reads the rows in front of those of sagas */
    SAGA_ROWS,        /* reads the rows of sagas that are at work */
    SAGA_LOG,         /* reads the log behind the snapshot */
    SAGA_READY,
    SAGA_BROKEN, /* an append was refused, or recovery failed: waits, then opens again */
} saga_step_t;

typedef struct saga_shell {
    capstan_actor_t *self;
    const saga_settings_t *settings;
    capstan_ref_t journal;
    capstan_ref_t reader;
    capstan_ref_t topics;
    uint8_t seed[16];
    random_source_t dice;

    saga_step_t step;
    capstan_err_t broken; /* why the last append was refused */
    bool started;         /* whoever started the actor was told so */
    bool stopping;
    uint64_t ask;            /* of recovery */
    int64_t recovery_us;     /* when it began */
    coordinator_mark_t mark; /* as the rows say */
    buffer_t row_after;      /* key of the last row read */
    buffer_t page;           /* of the log, until the rows that it wants have come */

    coordinator_t *core;
    coordinator_effects_t effects;
    coordinator_figures_t counted; /* of the core's, those that are in the metrics */
    uint64_t stream;
    uint64_t epoch;
    uint64_t lsn_next;      /* of the next record that is gathered */
    uint64_t lsn_sent;      /* everything below it has been sent to the journal */
    uint64_t lsn_committed; /* everything below it is on disk */
    buffer_t gathered;      /* records for the next append, a LIST */
    codec_list_writer_t gather;
    uint64_t append_asks[SAGA_APPENDS_MAX]; /* correlations; 0: free */
    size_t appends;

    owed_t owed;
    lookups_t lookups;
    stored_ids_t stored_ids;
    participants_t participants;
    bool resend; /* a saga was resumed: what is under way is to be sent if it was not */
    rows_t rows;
    members_t members;
    queries_t queries;
    waiters_t waiters;

    uint64_t timer; /* of what is due */
    int64_t timer_us;
} saga_shell_t;

/* --- saga_actor.c ----------------------------------------------------------------------------- */

/* For jitter: no secret, and so not worth a call of the system. */
uint64_t shell_dice(saga_shell_t *self);
/* A request of which the saga is in memory if there is one. */
void shell_handle(saga_shell_t *self, const capstan_message_t *message);
/* Without a text: that of the error. */
void shell_refuse(saga_shell_t *self, const capstan_message_t *request, capstan_err_t err,
                  const char *text);
/* Asks on nobody's behalf; 0: it could not be sent. */
uint64_t shell_ask(saga_shell_t *self, capstan_ref_t target, const wire_record_t *message,
                   const void *value);

/* --- saga_journal.c --------------------------------------------------------------------------- */

/* Takes what the core wants: records are gathered, commands and the rest owed. */
void shell_take_effects(saga_shell_t *self);
/* A reply that leaves when everything before it is on disk. */
void shell_reply(saga_shell_t *self, const capstan_message_t *request, const wire_record_t *message,
                 const void *value);
void shell_append(saga_shell_t *self);
bool shell_append_answer(saga_shell_t *self, const capstan_message_t *message);
/* Lets out what is owed. */
void shell_release(saga_shell_t *self);
/* The core knows what the store does not: it is thrown away, and made again. */
void shell_break(saga_shell_t *self, capstan_err_t err);
bool shell_is_stored(const saga_shell_t *self);

/* --- saga_recovery.c -------------------------------------------------------------------------- */

void shell_recover(saga_shell_t *self);
bool shell_recovery_answer(saga_shell_t *self, const capstan_message_t *message);

/* --- saga_requests.c -------------------------------------------------------------------------- */

void requests_start(saga_shell_t *self, const capstan_message_t *message);
/* The answer of an operation on one saga. */
void requests_reply_operation(saga_shell_t *self, const capstan_message_t *request,
                              const saga_operation_t *operation);
/* A fork is a start whose answer is that of an operation; `body` is its saga_begin. */
void requests_start_fork(saga_shell_t *self, const capstan_message_t *request, slice_t body);
void requests_signal(saga_shell_t *self, const capstan_message_t *message);
void requests_show(saga_shell_t *self, const capstan_message_t *message);

/* --- saga_definitions.c ----------------------------------------------------------------------- */

void definitions_define(saga_shell_t *self, const capstan_message_t *message);
void definitions_list(saga_shell_t *self, const capstan_message_t *message);

/* --- saga_operations.c ------------------------------------------------------------------------ */

/* NULL, or what is wrong with it. */
const char *operation_fault(const saga_operate_t *request);
/* Of one saga. */
void operations_one(saga_shell_t *self, const capstan_message_t *message);
/* On one of those that fit a filter; it is in memory. */
void operations_apply(saga_shell_t *self, const saga_operate_t *request, const saga_t *saga,
                      codec_list_writer_t *list);

#endif

/* A coordinator that does what a test tells it to: an actor `saga`, in a node of the test's. It
 * sends commands as they are given, and checks the answers by the predicates of the inbox; so does
 * the handler of the participants here with its effects, rows of a table `ledger`. */
#ifndef SAGA_PARTICIPANT_KIT_H
#define SAGA_PARTICIPANT_KIT_H

#include "actors/saga/saga_messages.h"
#include "tests/kit/inbox_check.h"

#include <capstan/participant.h>
#include <criterion/criterion.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>

#define KIT_US INT64_C(60000000) /* how long anything may take */

enum { KIT_TASKS = 64, KIT_RESULTS = 1 << 16 };

/* What a command's input makes the handler do: one msgpack integer. */
typedef enum kit_order {
    KIT_DO = 1,         /* a row, and its number as the result */
    KIT_FAIL = 2,       /* a row, then: failed */
    KIT_FAIL_GOOD = 3,  /* a row, then: failed for good */
    KIT_ERROR = 4,      /* a row, then an error is returned */
    KIT_LARGE = 5,      /* a row, and a result that is too large */
    KIT_NO_MSGPACK = 6, /* a row, and a result that is none */
    KIT_COMMIT = 7,     /* a row, and it tries to end the transaction, both ways */
    KIT_FILL = 8,       /* more than the database may hold */
    KIT_WAIT = 9,       /* waits until it is let go */
    KIT_ASK = 10,       /* polls its peer until it is let go */
} kit_order_t;

typedef struct kit_result {
    participant_result_t result; /* without its slices */
    char word[16];
    char text[64];
    uint8_t value[16];
    size_t value_size;
} kit_result_t;

typedef struct participant_kit {
    char folder[64];
    char path[80];
    capstan_node_t *node;
    capstan_ref_t coordinator;
    char text[512];
    capstan_participant_options_t options;
    capstan_participant_t *participant;

    _Atomic uint64_t epoch; /* what the coordinator says to who opens */
    _Atomic uint64_t opened;
    _Atomic uint64_t answered;
    _Atomic uint64_t handled; /* calls of the handler */
    _Atomic uint64_t waiting;
    _Atomic bool go;
    _Atomic int trouble; /* the last one */
    _Atomic uint64_t troubles;
    _Atomic int denied; /* statements of KIT_COMMIT that were */
    pthread_mutex_t mutex;
    kit_result_t results[KIT_RESULTS];
    inbox_seen_t seen[KIT_TASKS + 1]; /* by task */
    uint64_t heard;                   /* greatest epoch sent */
    const char *broken;               /* the first predicate that did not hold */
} participant_kit_t;

void kit_open(participant_kit_t *self);
void kit_close(participant_kit_t *self);
void kit_start_coordinator(participant_kit_t *self);
void kit_start_participant(participant_kit_t *self);
void kit_stop_participant(participant_kit_t *self);

/* Sends one list. */
void kit_send(participant_kit_t *self, uint64_t epoch, const saga_command_t *commands,
              size_t count);
void kit_send_bytes(participant_kit_t *self, slice_t body);
/* One command, of saga 1; it is awaited and returned. `order` is its input. */
kit_result_t kit_command(participant_kit_t *self, uint64_t task, uint64_t phase, uint64_t attempt,
                         kit_order_t order);
saga_command_t kit_make(uint64_t task, uint64_t phase, uint64_t attempt, kit_order_t order);
/* False: it does not come to that. */
bool kit_await(const _Atomic uint64_t *count, uint64_t wanted);
/* Rows of the ledger with this task and phase, as the disk has them. */
int kit_ledger(const participant_kit_t *self, uint64_t task, uint64_t phase);

#endif

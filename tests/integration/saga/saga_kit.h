/* A node with a store, topics and sagas, and an actor that does the work of participants by the
 * protocol. What the action's name says is what it answers:
 *
 *   do_...      done, with its task's number as the result
 *   fail_...    failed for good
 *   later_...   failed, to be tried again
 *   mute_...    nothing, until the kit is told to speak
 *   odd_...     garbage first: another saga's id, an unknown status, a result that is no msgpack */
#ifndef SAGA_SAGA_KIT_H
#define SAGA_SAGA_KIT_H

#include "actors/journal/journal.h"
#include "actors/ordering/ordering_messages.h"
#include "actors/ordering/ordering_settings.h"
#include "actors/saga/saga.h"
#include "actors/saga/saga_settings.h"
#include "tests/integration/journal/store_fixture.h"

#include <capstan/saga.h>
#include <pthread.h>
#include <stdatomic.h>

#define SAGAS_US INT64_C(20000000) /* how long anything may take */

enum { SEEN_MAX = 1 << 16 };

/* A command that the worker got. */
typedef struct seen {
    char saga[64];
    uint64_t number;
    uint64_t task;
    uint64_t phase;
    uint64_t attempt;
    char action[32];
} seen_command_t;

typedef struct sagas {
    fixture_t fixture;
    const char *vfs;
    saga_settings_t settings;
    ordering_settings_t ordering;
    bool strict;
    capstan_node_t *node;
    capstan_ref_t journal;
    capstan_ref_t reader;
    capstan_ref_t topics;
    capstan_ref_t saga;
    char text[512];

    _Atomic bool speaks; /* mute_ actions are done */
    pthread_mutex_t mutex;
    seen_command_t *seen;
    _Atomic uint64_t seen_count;
    _Atomic uint64_t epoch; /* of the last participant_opened */
    _Atomic uint64_t opened;
    void *answer; /* body of the last answer */
} sagas_t;

void sagas_init(sagas_t *self);
void sagas_start(sagas_t *self);
void sagas_stop(sagas_t *self);
void sagas_fini(sagas_t *self);

/* Starts a worker that is the participant `name`. */
capstan_ref_t sagas_worker(sagas_t *self, const char *name, uint64_t window);
void sagas_end_worker(sagas_t *self, capstan_ref_t worker);
/* Defines from YAML; it has to be right. */
void sagas_define(sagas_t *self, const char *yaml);
/* Any request; the reply's slices live until the next call. */
capstan_err_t sagas_ask(sagas_t *self, const wire_record_t *request, const void *value,
                        const wire_record_t *reply, void *ret_reply);
/* Starts one without input or with {"n": n}. */
capstan_err_t sagas_begin(sagas_t *self, const char *definition, const char *id, int n);
/* Waits for its rest, and says its state. */
capstan_saga_state_t sagas_rest(sagas_t *self, const char *id);
capstan_saga_state_t sagas_now(sagas_t *self, const char *id);
/* Waits until the state is that. */
void sagas_await(sagas_t *self, const char *id, capstan_saga_state_t state);
/* How many commands came of this saga ("": of any), and this action. */
size_t sagas_seen(sagas_t *self, const char *saga, const char *action);
void sagas_await_seen(sagas_t *self, const char *saga, const char *action, size_t count);
uint64_t sagas_count(sagas_t *self, const saga_filter_t *filter);
void sagas_topic(sagas_t *self, const char *topic);
void sagas_publish(sagas_t *self, const char *topic, const char *key, uint64_t sequence,
                   const char *payload, const char *content_type);

#endif

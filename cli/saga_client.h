/* A connection to the actor `saga` of a node, and what the actions of `capstan saga` say about it.
 */
#ifndef CLI_SAGA_CLIENT_H
#define CLI_SAGA_CLIENT_H

#include "actors/saga/saga_messages.h"
#include "brokers/peer/peer.h"
#include "cli/options.h"

enum { SAGA_ANSWER_US = 60000000 };

typedef struct saga_client {
    const char *command; /* "saga start" */
    const char *to;      /* the node's endpoint */
    peer_t *peer;
    capstan_ref_t saga;
    char text[1024]; /* what the last error said */
} saga_client_t;

/* What every action takes. */
typedef struct saga_common {
    const char *to;
    bool json;
} saga_common_t;

#define SAGA_COMMON_OPTIONS(common)                                                                \
    {.name = "json",                                                                               \
     .type = OPTION_FLAG,                                                                          \
     .target.flag = &(common).json,                                                                \
     .meaning = "print JSON, one object per line"},                                                \
        OPTION_TO(&(common).to)

/* False: what is wrong was printed. */
bool saga_client_open(saga_client_t *self, const char *command, const saga_common_t *common);
void saga_client_close(saga_client_t *self);

/* Asks, again for a while if the node says that it is still recovering its sagas or was started
 * again, and decodes the answer to `ret_reply`, whose slices live until the next call. Errors: as
 * peer_ask, MALFORMED (another answer than `reply`), and what the node says. */
CAPSTAN_MUST_CHECK capstan_err_t saga_client_ask(saga_client_t *self, const wire_record_t *message,
                                                 const void *request, const wire_record_t *reply,
                                                 int64_t timeout_us, void *ret_reply);

/* The same, giving the reply's bytes. */
CAPSTAN_MUST_CHECK capstan_err_t saga_client_ask_body(saga_client_t *self,
                                                      const wire_record_t *message,
                                                      const void *request,
                                                      const wire_record_t *reply,
                                                      int64_t timeout_us, slice_t *ret_body);

/* Prints "capstan saga start: saga order-17 at tcp://...: what, and what to do" for the last error
 * of saga_client_ask; returns EXIT_FAILED. `kind` is saga or definition; NULL: of nothing in
 * particular. */
int saga_client_failed(saga_client_t *self, const char *kind, slice_t name, capstan_err_t err);

#endif

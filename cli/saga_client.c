#include "cli/saga_client.h"

#include "cli/failed.h"
#include "cli/saga_label.h"
#include "runtime/base/clock.h"
#include "runtime/base/json_writer.h"

#include <stdio.h>

#define CONNECT_TIMEOUT_US INT64_C(5000000)
/* So long a node that is recovering is asked again, and so often. */
#define RECOVERY_US INT64_C(10000000)
#define AGAIN_US    INT64_C(100000)
enum { RESOLVES_MAX = 3 };

static capstan_err_t resolve(saga_client_t *self)
{
    return peer_resolve(self->peer, slice_text("saga"), SAGA_ANSWER_US, &self->saga, self->text,
                        sizeof self->text);
}

bool saga_client_open(saga_client_t *self, const char *command, const saga_common_t *common)
{
    static const char none[] = "it runs no sagas: it is of an earlier version of this program, or "
                               "embedded in one that starts none.";
    *self = (saga_client_t){.command = command, .to = common->to};
    capstan_err_t err = peer_connect(
        &(peer_options_t){.endpoint = common->to, .connect_timeout_us = CONNECT_TIMEOUT_US},
        &(peer_handlers_t){.context = NULL}, &self->peer, self->text, sizeof self->text);
    if (err != CAPSTAN_OK) {
        cli_failed(command, err, self->text);
        return false;
    }
    err = resolve(self);
    if (err != CAPSTAN_OK) {
        if (err == CAPSTAN_E_NOT_FOUND) {
            snprintf(self->text, sizeof self->text, "%s", none);
        }
        saga_client_failed(self, NULL, (slice_t){0}, err);
        saga_client_close(self);
        return false;
    }
    return true;
}

void saga_client_close(saga_client_t *self)
{
    if (self->peer) {
        peer_close(&self->peer, 0);
    }
}

/* Whether it is worth while to ask once more: the node was started again and has another reference
 * for the actor, or is not yet that far. */
static bool ask_again(saga_client_t *self, capstan_err_t err, int64_t until_us, int *resolves)
{
    bool gone = err == CAPSTAN_E_GONE && (*resolves)++ < RESOLVES_MAX;
    if (!(gone || err == CAPSTAN_E_UNAVAILABLE) || clock_us(CLOCK_MONOTONIC) >= until_us) {
        return false;
    }
    int64_t next_us = clock_us(CLOCK_MONOTONIC) + AGAIN_US;
    for (int64_t left_us = AGAIN_US; left_us > 0; left_us = next_us - clock_us(CLOCK_MONOTONIC)) {
        peer_poll(self->peer, left_us);
    }
    return !gone || resolve(self) == CAPSTAN_OK;
}

capstan_err_t saga_client_ask_body(saga_client_t *self, const wire_record_t *message,
                                   const void *request, const wire_record_t *reply,
                                   int64_t timeout_us, slice_t *ret_body)
{
    buffer_t body = {0};
    uint32_t number = 0;
    capstan_err_t err;
    int resolves = 0;
    int64_t until_us = clock_us(CLOCK_MONOTONIC) + RECOVERY_US;
    codec_encode(message, request, &body);
    do {
        self->text[0] = '\0';
        err = peer_ask(self->peer, self->saga, message->id, buffer_slice(&body), timeout_us,
                       &number, ret_body, self->text, sizeof self->text);
    } while (err != CAPSTAN_OK && ask_again(self, err, until_us, &resolves));
    buffer_fini(&body);
    if (err == CAPSTAN_OK && number != reply->id) {
        snprintf(self->text, sizeof self->text, "the node answered with message %u instead of %s",
                 number, reply->name);
        return CAPSTAN_E_MALFORMED;
    }
    return err;
}

capstan_err_t saga_client_ask(saga_client_t *self, const wire_record_t *message,
                              const void *request, const wire_record_t *reply, int64_t timeout_us,
                              void *ret_reply)
{
    slice_t body;
    capstan_err_t err = saga_client_ask_body(self, message, request, reply, timeout_us, &body);
    return err ? err : codec_decode(reply, body, ret_reply, NULL);
}

int saga_client_failed(saga_client_t *self, const char *kind, slice_t name, capstan_err_t err)
{
    buffer_t subject = {0};
    if (kind) {
        saga_label_append_format(&subject, "%s ", kind);
        emit_escaped(&subject, name);
    }
    saga_label_append_format(&subject, "%s at %s", kind ? "" : "the node", self->to);
    buffer_append(&subject, "", 1);
    int status = cli_failed_on(self->command, (const char *)subject.data, err, self->text);
    buffer_fini(&subject);
    return status;
}

/* What a message of kind ERROR says. */
#include "runtime/runtime.h"
#include "runtime/wire/wire_messages.h"

#include <limits.h>

/* What cannot be read, or names no error, is INTERNAL. */
static failure_t read_failure(const capstan_message_t *message)
{
    failure_t failure = {.number = CAPSTAN_E_INTERNAL};
    (void)!codec_decode(failure_wire(), message->body, &failure, NULL);
    if (failure.number == CAPSTAN_OK || failure.number > INT_MAX) {
        failure.number = CAPSTAN_E_INTERNAL;
    }
    return failure;
}

capstan_err_t message_failure(const capstan_message_t *message)
{
    return (capstan_err_t)read_failure(message).number;
}

bool capstan_message_is_error(const capstan_message_t *message, capstan_err_t *ret_err,
                              capstan_slice_t *ret_text)
{
    if (message->kind != CAPSTAN_KIND_ERROR) {
        return false;
    }
    failure_t failure = read_failure(message);
    *ret_err = (capstan_err_t)failure.number;
    if (ret_text) {
        *ret_text = failure.text;
    }
    return true;
}

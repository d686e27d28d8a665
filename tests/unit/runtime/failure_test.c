/* What the end of a request without a reply says, whoever wrote it. */
#include "runtime/runtime.h"
#include "runtime/wire/wire_messages.h"

#include <criterion/criterion.h>

static capstan_message_t error_of(const failure_t *failure, buffer_t *body)
{
    buffer_clear(body);
    codec_encode(failure_wire(), failure, body);
    return (capstan_message_t){
        .message = MESSAGE_failure, .kind = CAPSTAN_KIND_ERROR, .body = buffer_slice(body)};
}

Test(failure, tells_its_number_and_its_text)
{
    buffer_t body = {0};
    capstan_err_t err = CAPSTAN_OK;
    capstan_slice_t text;
    capstan_message_t message = error_of(
        &(failure_t){.number = CAPSTAN_E_NOT_FOUND, .text = slice_text("no such shelf")}, &body);
    cr_assert(capstan_message_is_error(&message, &err, &text));
    cr_assert_eq(err, CAPSTAN_E_NOT_FOUND);
    cr_assert(slice_equal(text, slice_text("no such shelf")));
    cr_assert(capstan_message_is_error(&message, &err, NULL));
    buffer_fini(&body);
}

/* Goal: an error is never mistaken for success, however strange its body. */
Test(failure, that_names_no_error_is_internal)
{
    static const uint64_t numbers[] = {0, (uint64_t)1 << 32, UINT64_MAX};
    buffer_t body = {0};
    capstan_err_t err = CAPSTAN_OK;
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        capstan_message_t message = error_of(&(failure_t){.number = numbers[i]}, &body);
        cr_assert(capstan_message_is_error(&message, &err, NULL));
        cr_assert_eq(err, CAPSTAN_E_INTERNAL);
    }
    capstan_message_t garbage = {.kind = CAPSTAN_KIND_ERROR, .body = slice_text("?")};
    cr_assert(capstan_message_is_error(&garbage, &err, NULL));
    cr_assert_eq(err, CAPSTAN_E_INTERNAL);
    buffer_fini(&body);
}

Test(failure, is_no_other_message)
{
    capstan_err_t err = CAPSTAN_OK;
    capstan_message_t reply = {.message = MESSAGE_failure, .kind = CAPSTAN_KIND_REPLY};
    cr_assert(!capstan_message_is_error(&reply, &err, NULL));
    cr_assert_eq(err, CAPSTAN_OK);
}

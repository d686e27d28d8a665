/* Texts and numbers as JSON writes them. Internal to the reader of payloads. */
#ifndef ORDERING_PAYLOAD_TEXT_H
#define ORDERING_PAYLOAD_TEXT_H

#include "actors/ordering/payload_reader.h"

bool text_is_utf8(slice_t text);
/* Of what stands between the quotes, which is UTF-8. */
bool text_escapes_are_valid(slice_t raw);

/* A number at the beginning of `text`; `ret_behind` is moved behind it. Returns what is wrong. */
const char *text_take_number(slice_t text, const uint8_t **ret_behind,
                             payload_number_t *ret_number);

#endif

/* Which endpoints the gateway may bind. Without authentication that is loopback and nothing else.
 */
#ifndef GATEWAY_ENDPOINT_H
#define GATEWAY_ENDPOINT_H

#include <capstan/error.h>
#include <stdbool.h>
#include <stddef.h>

enum { ENDPOINT_SIZE = 288 };

/* Checks `tcp://HOST:PORT`, HOST being an address of 127.0.0.0/8, `localhost` or `[::1]`, PORT a
 * number or `*`; 0 and `*` pick a free port. `ret_bind` (ENDPOINT_SIZE) gets what libzmq is to
 * bind. Nothing is resolved: a name other than localhost could mean any address tomorrow.
 * Errors, with a sentence in `ret_text`: INVALID, NOT_LOOPBACK. */
CAPSTAN_MUST_CHECK capstan_err_t endpoint_check(const char *endpoint, char *ret_bind,
                                                bool *ret_ipv6, char *ret_text, size_t text_size);

#endif

/* Errors: one number for C, for the wire and for the documentation.
 *
 * Every function that can fail returns a capstan_err_t; 0 (CAPSTAN_OK) is success. Output
 * parameters stay untouched on failure. Bad input never aborts; a programming error does. */
#ifndef CAPSTAN_ERROR_H
#define CAPSTAN_ERROR_H

#include <capstan/export.h>

typedef enum capstan_err {
    CAPSTAN_OK = 0,
#define ERROR(name, number, retry_class, text, remedy) CAPSTAN_E_##name = number,
#include <capstan/errors.def>
#undef ERROR
} capstan_err_t;

/* Whether the same call can succeed when it is made again. */
typedef enum capstan_retry {
    CAPSTAN_RETRY_NEVER,
    CAPSTAN_RETRY_LATER,
    CAPSTAN_RETRY_FIX,
} capstan_retry_t;

/* The four columns of errors.def, as constant text. An unknown number (a newer peer's) yields
 * "UNKNOWN", a neutral text and CAPSTAN_RETRY_NEVER. Any thread; never blocks. */
CAPSTAN_API const char *capstan_err_name(capstan_err_t err);
CAPSTAN_API const char *capstan_err_text(capstan_err_t err);
CAPSTAN_API const char *capstan_err_remedy(capstan_err_t err);
CAPSTAN_API capstan_retry_t capstan_err_retry(capstan_err_t err);

#endif

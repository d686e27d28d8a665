#include <capstan/error.h>

#include <stddef.h>

typedef struct error_row {
    capstan_err_t number;
    capstan_retry_t retry;
    const char *name;
    const char *text;
    const char *remedy;
} error_row_t;

static const error_row_t rows[] = {
    {CAPSTAN_OK, CAPSTAN_RETRY_NEVER, "OK", "success", "Nothing."},
#define ERROR(name, number, retry_class, text, remedy)                                             \
    {CAPSTAN_E_##name, CAPSTAN_RETRY_##retry_class, #name, text, remedy},
#include <capstan/errors.def>
#undef ERROR
};

static const error_row_t *find(capstan_err_t err)
{
    static const error_row_t unknown = {
        CAPSTAN_OK, CAPSTAN_RETRY_NEVER, "UNKNOWN", "an error this version does not know",
        "Look its number up in the documentation of the newer version."};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (rows[i].number == err) {
            return &rows[i];
        }
    }
    return &unknown;
}

const char *capstan_err_name(capstan_err_t err)
{
    return find(err)->name;
}

const char *capstan_err_text(capstan_err_t err)
{
    return find(err)->text;
}

const char *capstan_err_remedy(capstan_err_t err)
{
    return find(err)->remedy;
}

capstan_retry_t capstan_err_retry(capstan_err_t err)
{
    return find(err)->retry;
}

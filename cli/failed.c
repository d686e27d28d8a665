#include "cli/failed.h"

#include "cli/options.h"

#include <stdio.h>
#include <string.h>

/* What a node says of its own accord has the remedy in it; an error that goes by its usual text has
 * not. */
static int print(const char *command, const char *subject, capstan_err_t err, const char *text)
{
    const char *colon = *subject ? ": " : "";
    const char *usual = capstan_err_text(err);
    if (*text && strcmp(text, usual) != 0) {
        fprintf(stderr, "capstan %s: %s%s%s\n", command, subject, colon, text);
    } else {
        fprintf(stderr, "capstan %s: %s%s%s. %s\n", command, subject, colon, usual,
                capstan_err_remedy(err));
    }
    return EXIT_FAILED;
}

int cli_failed(const char *command, capstan_err_t err, const char *text)
{
    return print(command, "", err, text);
}

int cli_failed_on(const char *command, const char *subject, capstan_err_t err, const char *text)
{
    return print(command, subject, err, text);
}

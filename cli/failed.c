#include "cli/failed.h"

#include "cli/options.h"

#include <stdio.h>

int cli_failed(const char *command, capstan_err_t err, const char *text)
{
    if (*text) {
        fprintf(stderr, "capstan %s: %s\n", command, text);
    } else {
        fprintf(stderr, "capstan %s: %s. %s\n", command, capstan_err_text(err),
                capstan_err_remedy(err));
    }
    return EXIT_FAILED;
}

/* How a command ends that could not do its work. */
#ifndef CLI_FAILED_H
#define CLI_FAILED_H

#include <capstan/error.h>

/* Prints "capstan <command>: <text>" to stderr and returns EXIT_FAILED. Where `text` is empty, the
 * error's own text and remedy stand for it. */
int cli_failed(const char *command, capstan_err_t err, const char *text);

#endif

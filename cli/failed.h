/* How a command ends that could not do its work. */
#ifndef CLI_FAILED_H
#define CLI_FAILED_H

#include <capstan/error.h>

/* Prints "capstan <command>: <text>" to stderr and returns EXIT_FAILED. Where `text` is empty or no
 * more than the error's own, that and its remedy stand for it. */
int cli_failed(const char *command, capstan_err_t err, const char *text);
/* The same of something that has a name: "capstan <command>: <subject>: <text>". */
int cli_failed_on(const char *command, const char *subject, capstan_err_t err, const char *text);

#endif

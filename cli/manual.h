/* Manual pages, in roff with the man macros: the same tables and texts as --help prints. They are
 * kept in docs/man/, where a test compares them, and installed from there. */
#ifndef CLI_MANUAL_H
#define CLI_MANUAL_H

#include "cli/options.h"

#include <stdio.h>

/* capstan(1): the program and its commands. */
void manual_print_program(FILE *out);
/* capstan-<name>(1) of the command whose line this is. */
void manual_print_command(const command_line_t *line, FILE *out);

#endif

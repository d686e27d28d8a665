/* The commands of the program. Each takes its own arguments (argv[0] is the command's name) and
 * returns the exit status: 0 success, 1 failure, 2 wrong usage. */
#ifndef CLI_CLI_H
#define CLI_CLI_H

#define COMMAND(name, summary) int cli_##name(int argc, char **argv);
#include "cli/commands.def"
#undef COMMAND

#endif

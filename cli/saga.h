/* The actions of `capstan saga`. Each parses its own arguments (argv[0] is its name) by its line,
 * and returns the exit status. */
#ifndef CLI_SAGA_H
#define CLI_SAGA_H

#include "cli/options.h"
#include "cli/saga_client.h"

#define SAGA_ACTION(name)                                                                          \
    extern const command_line_t saga_##name##_line;                                                \
    int saga_##name(int argc, char **argv);
#include "cli/saga_actions.def"
#undef SAGA_ACTION

/* saga_result.c: waits until the saga rests, for at most `wait_us` (0: not at all), and prints how
 * it is. Returns EXIT_DONE when it is completed. */
int saga_result_print(saga_client_t *client, slice_t id, int64_t wait_us, bool json);

/* The words of --wait alone. */
#define SAGA_WAIT_FOREVER "520w"

#endif

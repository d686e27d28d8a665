/* Ctrl-C and SIGTERM as a request to end in order; a second one ends the process at once. SIGPIPE
 * is ignored, so that writing to a closed pipe is an error like any other. */
#ifndef CLI_INTERRUPT_H
#define CLI_INTERRUPT_H

#include <stdbool.h>

/* For the main thread, before it opens anything. System calls then return EINTR. */
void interrupt_catch(void);
bool interrupted(void);

#endif

/* A terminal that shows one screen and takes single keys, by termios and the sequences that every
 * terminal knows (ECMA-48). */
#ifndef CLI_TERMINAL_H
#define CLI_TERMINAL_H

#include "runtime/base/slice.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <termios.h>

typedef struct terminal {
    struct termios before;
} terminal_t;

/* Takes stdin and stdout, which must be a terminal; false when they are none. Keys are not echoed,
 * and Ctrl-C is a key like any other, so that the terminal is always left in order. */
bool terminal_enter(terminal_t *self);
/* Puts everything back as it was. */
void terminal_leave(terminal_t *self);

void terminal_size(size_t *ret_columns, size_t *ret_lines);

/* Shows the lines of `text` from the top, the one numbered `heading` in reverse; what was there
 * before is gone. */
void terminal_show(slice_t text, size_t heading);

enum { KEY_NONE = 0, KEY_END = -1, KEY_CTRL_C = 3 };
/* The next key, or KEY_NONE when there was none in time, or the size has changed, or a signal came.
 * KEY_END: there is no terminal any more. */
int terminal_key(int64_t timeout_us);

#endif

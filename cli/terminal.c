#include "cli/terminal.h"

#include "runtime/base/buffer.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* The other screen, and no cursor; and back. */
#define ENTER       "\x1b[?1049h\x1b[?25l"
#define LEAVE       "\x1b[?25h\x1b[?1049l"
#define HOME        "\x1b[H"
#define CLEAR_LINE  "\x1b[K"
#define CLEAR_BELOW "\x1b[J"
#define REVERSE     "\x1b[7m"
#define PLAIN       "\x1b[0m"

static void write_all(slice_t bytes)
{
    const char *at = bytes.data;
    for (size_t left = bytes.size; left > 0;) {
        ssize_t written = write(STDOUT_FILENO, at, left);
        if (written < 0 && errno != EINTR) {
            return; /* the terminal has gone: reading a key says so */
        }
        at += written > 0 ? written : 0;
        left -= written > 0 ? (size_t)written : 0;
    }
}

/* Its only purpose is that poll returns. */
static void on_resize(int number)
{
    (void)number;
}

bool terminal_enter(terminal_t *self)
{
    if (!isatty(STDOUT_FILENO) || tcgetattr(STDIN_FILENO, &self->before) != 0) {
        return false;
    }
    struct termios raw = self->before;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO | ISIG);
    raw.c_cc[VMIN] = 0;
    raw.c_cc[VTIME] = 0;
    struct sigaction resize = {.sa_handler = on_resize};
    sigaction(SIGWINCH, &resize, NULL);
    if (tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw) != 0) {
        return false;
    }
    write_all(slice_text(ENTER));
    return true;
}

void terminal_leave(terminal_t *self)
{
    write_all(slice_text(LEAVE));
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &self->before);
}

void terminal_size(size_t *ret_columns, size_t *ret_lines)
{
    struct winsize size;
    bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0;
    *ret_columns = known ? size.ws_col : 80;
    *ret_lines = known ? size.ws_row : 24;
}

static void append(buffer_t *out, const char *text)
{
    buffer_append(out, text, strlen(text));
}

/* The last line has no line break behind it: it would scroll. */
void terminal_show(slice_t text, size_t heading)
{
    buffer_t screen = {0};
    append(&screen, HOME);
    const char *at = text.data;
    const char *end = at + text.size;
    for (size_t line = 0; at < end; line++) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        stop = stop ? stop : end;
        append(&screen, line > 0 ? "\r\n" : "");
        append(&screen, line == heading ? REVERSE : "");
        buffer_append(&screen, at, (size_t)(stop - at));
        append(&screen, CLEAR_LINE PLAIN);
        at = stop + (stop < end);
    }
    append(&screen, CLEAR_BELOW);
    write_all(buffer_slice(&screen));
    buffer_fini(&screen);
}

int terminal_key(int64_t timeout_us)
{
    struct pollfd ready = {.fd = STDIN_FILENO, .events = POLLIN};
    if (poll(&ready, 1, (int)((timeout_us + 999) / 1000)) <= 0) {
        return KEY_NONE;
    }
    unsigned char key;
    ssize_t got = read(STDIN_FILENO, &key, 1);
    return got == 1 ? key : got == 0 || errno != EINTR ? KEY_END : KEY_NONE;
}

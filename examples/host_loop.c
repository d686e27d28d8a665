/* A host with a main loop of its own: actors that run on the loop's thread.
 *
 * Programs that have a loop already (a server's epoll, GLib, libuv, a user interface) name a cell,
 * here "screen", when they make the node. The actors of that cell run on the thread that made the
 * node, inside capstan_node_dispatch, and may use what belongs to it without a lock. The loop calls
 * capstan_node_dispatch whenever capstan_node_fd is readable; it never blocks.
 *
 * Here the loop also reads standard input. Each line is told to an actor on another thread, which
 * counts its letters and tells the result to the printer, an actor of the loop's thread. The
 * program ends when the input has ended and everything is printed.
 *
 * With the input "to be or\nnot to be\n" it prints:
 *   6 letters: to be or
 *   7 letters: not to be
 *   2 lines */
#include <capstan/node.h>
#include <ctype.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MESSAGE_line = 0x8000, MESSAGE_print };

/* What belongs to the loop's thread. */
typedef struct screen {
    capstan_ref_t counter;
    char line[256]; /* what is read of the next line */
    size_t size;
    unsigned told;
    unsigned printed;
} screen_t;

static capstan_err_t keep_argument(capstan_actor_t *self, void *argument)
{
    capstan_actor_set_state(self, argument);
    return CAPSTAN_OK;
}

/* On a thread of the node. */
static capstan_err_t count_letters(capstan_actor_t *self, const capstan_message_t *message)
{
    const capstan_ref_t *printer = capstan_actor_state(self);
    const char *text = message->body.data;
    char result[320];
    int letters = 0;
    for (size_t i = 0; i < message->body.size; i++) {
        letters += isalpha((unsigned char)text[i]) != 0;
    }
    snprintf(result, sizeof result, "%d letters: %.*s", letters, (int)message->body.size, text);
    return capstan_tell(self, *printer, MESSAGE_print, capstan_slice_text(result));
}

/* On the loop's thread, inside capstan_node_dispatch. */
static capstan_err_t print_line(capstan_actor_t *self, const capstan_message_t *message)
{
    screen_t *screen = capstan_actor_state(self);
    printf("%.*s\n", (int)message->body.size, (const char *)message->body.data);
    screen->printed++;
    return CAPSTAN_OK;
}

static void tell_line(capstan_node_t *node, screen_t *screen)
{
    capstan_slice_t line = {screen->line, screen->size};
    capstan_err_t err = capstan_node_tell(node, screen->counter, MESSAGE_line, line);
    if (err == CAPSTAN_OK) {
        screen->told++;
    } else {
        fprintf(stderr, "a line is lost: %s\n", capstan_err_text(err));
    }
    screen->size = 0;
}

/* Reads what there is; false at the end of the input. */
static bool read_input(capstan_node_t *node, screen_t *screen)
{
    char bytes[512];
    ssize_t got = read(STDIN_FILENO, bytes, sizeof bytes);
    for (ssize_t i = 0; i < got; i++) {
        if (bytes[i] == '\n') {
            tell_line(node, screen);
        } else if (screen->size < sizeof screen->line) {
            screen->line[screen->size++] = bytes[i];
        }
    }
    return got > 0;
}

static void loop(capstan_node_t *node, screen_t *screen)
{
    struct pollfd ready[] = {{.fd = capstan_node_fd(node), .events = POLLIN},
                             {.fd = STDIN_FILENO, .events = POLLIN}};
    while (ready[1].fd >= 0 || screen->printed < screen->told) {
        if (poll(ready, 2, -1) < 0) {
            continue; /* a signal */
        }
        if (ready[0].revents) {
            capstan_node_dispatch(node);
        }
        if (ready[1].revents && !read_input(node, screen)) {
            ready[1].fd = -1; /* poll passes over it */
        }
    }
}

int main(void)
{
    static const capstan_behaviour_t printer = {
        .name = "printer", .init = keep_argument, .receive = print_line};
    static const capstan_behaviour_t counter = {
        .name = "counter", .init = keep_argument, .receive = count_letters};
    screen_t screen = {.size = 0};
    capstan_node_t *node;
    capstan_ref_t ref;
    capstan_err_t err = capstan_node_new(&(capstan_node_options_t){.host_cell = "screen"}, &node);
    if (err != CAPSTAN_OK ||
        (err = capstan_node_spawn(node, &printer,
                                  &(capstan_spawn_options_t){.cell = "screen", .argument = &screen},
                                  &ref)) != CAPSTAN_OK ||
        (err = capstan_node_spawn(node, &counter, &(capstan_spawn_options_t){.argument = &ref},
                                  &screen.counter)) != CAPSTAN_OK) {
        fprintf(stderr, "host_loop: %s. %s\n", capstan_err_text(err), capstan_err_remedy(err));
        return 1;
    }
    loop(node, &screen);
    printf("%u lines\n", screen.printed);
    return capstan_node_stop(&node, 10 * 1000000, NULL, NULL) == CAPSTAN_OK ? 0 : 1;
}

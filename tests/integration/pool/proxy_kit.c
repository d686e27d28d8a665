/* See proxy_kit.h. */
#include "proxy_kit.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Does not return. It ends when the other end of its stdin is closed. */
static void become_proxy(int server_port, int in, int out)
{
    char script[512];
    char port[16];
    snprintf(script, sizeof script, "%s/tests/kit/proxy/proxy", getenv("CAPSTAN_SOURCE_DIR"));
    snprintf(port, sizeof port, "%d", server_port);
    if (dup2(in, STDIN_FILENO) >= 0 && dup2(out, STDOUT_FILENO) >= 0) {
        execl(script, script, port, (char *)NULL);
    }
    _exit(127);
}

void proxy_open(proxy_kit_t *self, int server_port)
{
    char port[16] = "";
    int to[2];
    int from[2];
    cr_assert_not_null(getenv("CAPSTAN_SOURCE_DIR"), "CAPSTAN_SOURCE_DIR");
    /* Not for processes that are started later: they would keep it from its end. */
    cr_assert(pipe2(to, O_CLOEXEC) == 0 && pipe2(from, O_CLOEXEC) == 0);
    self->process = fork();
    cr_assert_geq(self->process, 0);
    if (self->process == 0) {
        become_proxy(server_port, to[0], from[1]);
    }
    close(to[0]);
    close(from[1]);
    self->commands = fdopen(to[1], "w");
    self->answers = fdopen(from[0], "r");
    cr_assert(self->commands && self->answers);
    cr_assert_not_null(fgets(port, sizeof port, self->answers), "the proxy does not start");
    self->port = (int)strtol(port, NULL, 10);
}

void proxy_close(proxy_kit_t *self)
{
    fclose(self->commands);
    cr_assert_eq(waitpid(self->process, NULL, 0), self->process);
    fclose(self->answers);
}

void proxy_do(proxy_kit_t *self, const char *command)
{
    char answer[64] = "";
    fprintf(self->commands, "%s\n", command);
    fflush(self->commands);
    cr_assert_not_null(fgets(answer, sizeof answer, self->answers));
    answer[strcspn(answer, "\n")] = '\0';
    cr_assert_str_eq(answer, command);
}

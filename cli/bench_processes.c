#include "cli/bench_processes.h"

#include <jansson.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

capstan_err_t child_start(char *const argv[], child_t *ret_child)
{
    int ends[2];
    posix_spawn_file_actions_t actions;
    if (pipe(ends) != 0) {
        return CAPSTAN_E_SYSTEM;
    }
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_addclose(&actions, ends[0]);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", 1, 0);
    int rc = posix_spawn(&ret_child->pid, "/proc/self/exe", &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    ret_child->out = fdopen(ends[0], "r");
    return rc == 0 && ret_child->out ? CAPSTAN_OK : CAPSTAN_E_SYSTEM;
}

bool child_read_line(child_t *child, char *line, size_t size)
{
    return fgets(line, (int)size, child->out) != NULL;
}

capstan_err_t child_finish(child_t *child, int signal_number)
{
    int status = 0;
    if (signal_number > 0) {
        kill(child->pid, signal_number);
    }
    waitpid(child->pid, &status, 0);
    fclose(child->out);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? CAPSTAN_OK : CAPSTAN_E_INTERNAL;
}

capstan_err_t child_start_node(const char *folder, char *setting, child_t *ret_child,
                               char endpoint[128])
{
    char store[256];
    char line[1024];
    snprintf(store, sizeof store, "store.path=%s/capstan.db", folder);
    char *argv[] = {"capstan", "node", "--set", "gateway.endpoint=tcp://127.0.0.1:0",
                    "--set",   store,  "--set", setting,
                    NULL};
    capstan_err_t err = child_start(argv, ret_child);
    if (err != CAPSTAN_OK || !child_read_line(ret_child, line, sizeof line)) {
        return CAPSTAN_E_SYSTEM;
    }
    json_t *ready = json_loads(line, 0, NULL);
    const char *text = json_string_value(json_object_get(ready, "gateway"));
    snprintf(endpoint, 128, "%s", text ? text : "");
    json_decref(ready);
    return text ? CAPSTAN_OK : CAPSTAN_E_INTERNAL;
}

bool bench_make_folder(char folder[64])
{
    snprintf(folder, 64, "/tmp/capstan-bench-XXXXXX");
    return mkdtemp(folder) != NULL;
}

void bench_remove_folder(const char *folder)
{
    static const char *const files[] = {"capstan.db",      "capstan.db-wal", "capstan.db-shm",
                                        "capstan.db-lock", "inbox.db",       "inbox.db-wal",
                                        "inbox.db-shm"};
    char path[256];
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, files[i]);
        unlink(path);
    }
    rmdir(folder);
}

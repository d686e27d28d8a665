#include "cli/bench_postgres.h"

#include "cli/bench.h"
#include "runtime/base/ensure.h"

#include <fcntl.h>
#include <ftw.h>
#include <glob.h>
#include <libpq-fe.h>
#include <pwd.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PROGRAMS "/usr/lib/postgresql/*/bin/initdb"
#define USER     "postgres" /* the one that the packages make */

enum {
    ARGUMENTS_MAX = 32,
    PATH_BYTES = 256,
    READY_MS = 60000,
    PAUSE_MS = 20,
    OPEN_FILES = 16, /* of the walk through the folder */
};

extern char **environ;

/* --- programs -------------------------------------------------------------------------------- */

/* Where the newest version has its programs. */
static bool find_programs(char ret_folder[PATH_BYTES])
{
    glob_t found;
    const char *newest = NULL;
    if (glob(PROGRAMS, 0, NULL, &found) != 0) {
        return false;
    }
    for (size_t i = 0; i < found.gl_pathc; i++) {
        const char *path = found.gl_pathv[i];
        newest = !newest || strverscmp(path, newest) > 0 ? path : newest;
    }
    snprintf(ret_folder, PATH_BYTES, "%.*s", (int)(strlen(newest) - strlen("/initdb")), newest);
    globfree(&found);
    return true;
}

const char *bench_postgres_missing(void)
{
    char folder[PATH_BYTES];
    return !find_programs(folder)                     ? "there is no " PROGRAMS
           : geteuid() == 0 && getpwnam(USER) == NULL ? "there is no user " USER
                                                      : NULL;
}

/* One of PostgreSQL's programs; the log is in the folder. */
static bool spawn(const bench_postgres_t *self, const char *const *arguments, pid_t *ret_pid)
{
    char folder[PATH_BYTES];
    char program[2 * PATH_BYTES];
    char log[PATH_BYTES];
    const char *all[ARGUMENTS_MAX] = {"setpriv", "--pdeathsig", "KILL"};
    size_t count = 3;
    if (geteuid() == 0) {
        all[count++] = "--reuid=" USER;
        all[count++] = "--regid=" USER;
        all[count++] = "--clear-groups";
    }
    if (!find_programs(folder)) {
        return false;
    }
    snprintf(program, sizeof program, "%s/%s", folder, arguments[0]);
    snprintf(log, sizeof log, "%s/log", self->folder);
    all[count++] = program;
    for (size_t i = 1; arguments[i]; i++) {
        ENSURE(count < ARGUMENTS_MAX - 1);
        all[count++] = arguments[i];
    }
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, log,
                                     O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0600);
    posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
    posix_spawn_file_actions_addchdir_np(&actions, "/");
    int rc = posix_spawnp(ret_pid, all[0], &actions, NULL, (char *const *)all, environ);
    posix_spawn_file_actions_destroy(&actions);
    return rc == 0;
}

static bool run(const bench_postgres_t *self, const char *const *arguments)
{
    pid_t pid;
    int status = 0;
    return spawn(self, arguments, &pid) && waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
           WEXITSTATUS(status) == 0;
}

/* --- a server -------------------------------------------------------------------------------- */

static bool make_folder(bench_postgres_t *self)
{
    snprintf(self->folder, sizeof self->folder, "/tmp/capstan-bench-XXXXXX");
    if (!mkdtemp(self->folder)) {
        self->folder[0] = '\0';
        return false;
    }
    const struct passwd *user = geteuid() == 0 ? getpwnam(USER) : NULL;
    return !user || chown(self->folder, user->pw_uid, user->pw_gid) == 0;
}

/* Whoever comes in through the folder is trusted. */
static bool make_data(const bench_postgres_t *self, const char *data,
                      const bench_postgres_t *primary)
{
    const char *const fresh[] = {"initdb", "-D",    data,         "-U",        "bench",
                                 "-A",     "trust", "--locale=C", "--no-sync", NULL};
    const char *const copied[] = {"pg_basebackup",
                                  "-D",
                                  data,
                                  "-U",
                                  "bench",
                                  "-h",
                                  primary ? primary->folder : "",
                                  "-p",
                                  "5432",
                                  "-R",
                                  "-cfast",
                                  "--no-sync",
                                  NULL};
    return run(self, primary ? copied : fresh);
}

static bool start(bench_postgres_t *self, const char *data)
{
    char conninfo[PATH_BYTES];
    const char *const arguments[] = {
        "postgres", "-D", data, "-k", self->folder, "-p", "5432", "-c", "listen_addresses=", NULL};
    snprintf(conninfo, sizeof conninfo, "host=%s port=5432 user=bench dbname=postgres",
             self->folder);
    if (!spawn(self, arguments, &self->server)) {
        self->server = 0;
    }
    for (int ms = 0; ms < READY_MS && self->server > 0; ms += PAUSE_MS) {
        nanosleep(&(struct timespec){.tv_nsec = PAUSE_MS * 1000000}, NULL);
        if (PQping(conninfo) == PQPING_OK) {
            return true;
        }
        if (waitpid(self->server, NULL, WNOHANG) != 0) { /* it has ended */
            self->server = 0;
        }
    }
    return false;
}

capstan_err_t bench_postgres_open(bench_postgres_t *self, const bench_postgres_t *primary)
{
    char data[PATH_BYTES];
    *self = (bench_postgres_t){.server = 0};
    bool made = make_folder(self);
    snprintf(data, sizeof data, "%s/data", self->folder);
    if (!made || !make_data(self, data, primary) || !start(self, data)) {
        bench_failed("postgres",
                     made ? "no server could be made and started" : "no folder could be made");
        return CAPSTAN_E_SYSTEM;
    }
    return CAPSTAN_OK;
}

void bench_postgres_stop(bench_postgres_t *self)
{
    if (self->server > 0) {
        kill(self->server, SIGQUIT);
        waitpid(self->server, NULL, 0);
        self->server = 0;
    }
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *where)
{
    (void)status, (void)kind, (void)where;
    return remove(path);
}

void bench_postgres_close(bench_postgres_t *self)
{
    bench_postgres_stop(self);
    if (self->folder[0]) {
        (void)nftw(self->folder, remove_one, OPEN_FILES, FTW_DEPTH | FTW_PHYS);
        self->folder[0] = '\0';
    }
}

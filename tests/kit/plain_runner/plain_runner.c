/* Runs the tests behind the shim criterion/criterion.h: two at a time, each in a process of its
 * own, so that a crash, a race that the sanitizer reports at exit, or a hang is that test's failure
 * and no other's. CAPSTAN_TEST_SECONDS bounds each. Usage: X_tests [--filter suite/name] with
 * wildcards;
 * --list. */
#include <criterion/criterion.h>

#include <errno.h>
#include <fnmatch.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { TEST_SECONDS = 240, SKIPPED = 77, JOBS = 2 };
enum { SLOW_PART = 4 }; /* a test that takes this part of its time is named */

typedef struct job {
    const plain_test_t *test; /* NULL: free */
    pid_t child;
    time_t begin;
} job_t;

static plain_test_t *tests;
static plain_test_t **tests_tail = &tests;
static unsigned failures; /* of the test that runs in this process */

void plain_register(plain_test_t *test)
{
    *tests_tail = test;
    tests_tail = &test->next;
}

/* The formats are the tests' own constants, so the compiler checks them in the Criterion build. */
#pragma GCC diagnostic ignored "-Wformat-nonliteral"

void plain_check(bool holds, bool fatal, const char *what, const char *file, int line,
                 const char *format, ...)
{
    if (holds) {
        return;
    }
    failures++;
    fprintf(stderr, "%s:%d: failed: %s", file, line, what);
    if (format) {
        va_list arguments;
        va_start(arguments, format);
        fputs(": ", stderr);
        vfprintf(stderr, format, arguments);
        va_end(arguments);
    }
    fputc('\n', stderr);
    if (fatal) {
        /* The test may have left threads running: no destructors. */
        fflush(NULL);
        _exit(1);
    }
}

_Noreturn void plain_skip(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("skipped: ", stderr);
    vfprintf(stderr, format ? format : "no reason given", arguments);
    fputc('\n', stderr);
    va_end(arguments);
    fflush(NULL);
    _exit(SKIPPED);
}

void plain_log(const char *level, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "%s: ", level);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
}

static const plain_options_t *suite_options(const char *suite)
{
    static const plain_options_t none = {.sentinel_ = 0};
    for (const plain_test_t *row = tests; row; row = row->next) {
        if (!row->name && strcmp(row->suite, suite) == 0) {
            return &row->options;
        }
    }
    return &none;
}

static double seconds_of(const plain_test_t *test, const plain_options_t *suite)
{
    const char *seconds = getenv("CAPSTAN_TEST_SECONDS");
    double all = seconds ? strtod(seconds, NULL) : TEST_SECONDS;
    double own = test->options.timeout > 0 ? test->options.timeout : suite->timeout;
    return own > 0 ? own : all;
}

static void run_here(const plain_test_t *test, const plain_options_t *suite)
{
    alarm((unsigned)seconds_of(test, suite) + 1);
    if (suite->init) {
        suite->init();
    }
    if (test->options.init) {
        test->options.init();
    }
    test->body();
    if (test->options.fini) {
        test->options.fini();
    }
    if (suite->fini) {
        suite->fini();
    }
    exit(failures > 0 ? 1 : 0); /* not _exit: the sanitizer reports at exit */
}

static bool ended_as_wanted(const plain_test_t *test, int status)
{
    if (test->options.signal) {
        return WIFSIGNALED(status) && WTERMSIG(status) == test->options.signal;
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == test->options.exit_code;
}

typedef struct runner {
    job_t jobs[JOBS];
    unsigned passed;
    unsigned failed;
} runner_t;

static void tell_when_slow(const job_t *job)
{
    double took = difftime(time(NULL), job->begin);
    double most = seconds_of(job->test, suite_options(job->test->suite));
    if (took > most / SLOW_PART) {
        fprintf(stderr, "[SLOW] %s::%s: %.0f s of %.0f s\n", job->test->suite, job->test->name,
                took, most);
    }
}

/* Counts a test that ended; one that skipped itself counts neither way. */
static void count(runner_t *self, const plain_test_t *test, int status)
{
    if (WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED) {
        return;
    }
    if (ended_as_wanted(test, status)) {
        self->passed++;
        return;
    }
    self->failed++;
    bool signalled = WIFSIGNALED(status);
    fprintf(stderr, "[FAIL] %s::%s: %s %d\n", test->suite, test->name,
            signalled ? "ended by signal" : "ended with status",
            signalled ? WTERMSIG(status) : WEXITSTATUS(status));
}

/* Waits until a test ends. Returns its place, or NULL when none is running. */
static job_t *await_one(runner_t *self)
{
    int status = 0;
    pid_t child = 0;
    while ((child = waitpid(-1, &status, 0)) < 0 && errno == EINTR) {
    }
    for (int i = 0; child > 0 && i < JOBS; i++) {
        if (self->jobs[i].test && self->jobs[i].child == child) {
            tell_when_slow(&self->jobs[i]);
            count(self, self->jobs[i].test, status);
            self->jobs[i].test = NULL;
            return &self->jobs[i];
        }
    }
    return NULL;
}

static job_t *free_job(runner_t *self)
{
    for (int i = 0; i < JOBS; i++) {
        if (!self->jobs[i].test) {
            return &self->jobs[i];
        }
    }
    return await_one(self);
}

static void run(runner_t *self, const plain_test_t *test)
{
    job_t *job = free_job(self);
    fflush(NULL);
    *job = (job_t){.test = test, .child = fork(), .begin = time(NULL)};
    if (job->child == 0) {
        run_here(test, suite_options(test->suite));
    }
    if (job->child < 0) {
        perror("fork");
        self->failed++;
        job->test = NULL;
    }
}

static const char *filter_of(int argc, char *argv[])
{
    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--filter=", 9) == 0) {
            return argv[i] + 9;
        }
        if (strcmp(argv[i], "--filter") == 0 && i + 1 < argc) {
            return argv[i + 1];
        }
    }
    return "*";
}

int main(int argc, char *argv[])
{
    bool list = argc > 1 && strcmp(argv[1], "--list") == 0;
    const char *filter = filter_of(argc, argv);
    runner_t runner = {.passed = 0};
    for (const plain_test_t *test = tests; test; test = test->next) {
        if (!test->name || test->options.disabled || suite_options(test->suite)->disabled) {
            continue;
        }
        char id[512];
        snprintf(id, sizeof id, "%s/%s", test->suite, test->name);
        if (list) {
            puts(id);
        } else if (fnmatch(filter, id, 0) == 0) {
            run(&runner, test);
        }
    }
    if (list) {
        return 0;
    }
    while (await_one(&runner)) {
    }
    printf("%u passed, %u failed\n", runner.passed, runner.failed);
    if (runner.passed + runner.failed == 0) {
        fprintf(stderr, "no test was executed\n");
    }
    return runner.passed > 0 && runner.failed == 0 ? 0 : 1;
}

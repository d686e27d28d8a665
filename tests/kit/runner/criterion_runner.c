/* Criterion's runner, except that a run which executed no test fails: a wrong filter, a suite whose
 * files were not linked, or an environment in which Criterion cannot start a test. And a test that
 * hangs is named and ended after CAPSTAN_TEST_SECONDS, 240 when that is not set. */
#include <criterion/criterion.h>
#include <criterion/hooks.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static size_t passed;
static size_t failed;

ReportHook(POST_ALL)(struct criterion_global_stats *stats)
{
    passed = stats->tests_passed;
    failed = stats->tests_failed;
}

enum { TEST_SECONDS = 240 };

/* Each test is a process that starts here. Criterion 2.4.1 has a default timeout, but it does not
 * end a test that names none of its own. The runner itself comes by here too; main disarms it. */
__attribute__((constructor)) static void end_when_it_hangs(void)
{
    const char *seconds = getenv("CAPSTAN_TEST_SECONDS");
    alarm(seconds ? (unsigned)strtoul(seconds, NULL, 10) : TEST_SECONDS);
}

int main(int argc, char *argv[])
{
    struct criterion_test_set *tests = criterion_initialize();
    alarm(0);
    if (!criterion_handle_args(argc, argv, true)) { /* --help and the like have answered */
        criterion_finalize(tests);
        return 0;
    }
    int success = criterion_run_all_tests(tests);
    criterion_finalize(tests);
    printf("%zu passed, %zu failed\n", passed, failed);
    if (passed + failed == 0) {
        fprintf(stderr, "no test was executed\n");
        return 1;
    }
    return success && failed == 0 ? 0 : 1;
}

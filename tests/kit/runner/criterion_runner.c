/* Criterion's runner, except that a run which executed no test fails: a wrong filter, a suite whose
 * files were not linked, or an environment in which Criterion cannot start a test. */
#include <criterion/criterion.h>
#include <criterion/hooks.h>
#include <stdio.h>

static size_t passed;
static size_t failed;

ReportHook(POST_ALL)(struct criterion_global_stats *stats)
{
    passed = stats->tests_passed;
    failed = stats->tests_failed;
}

int main(int argc, char *argv[])
{
    struct criterion_test_set *tests = criterion_initialize();
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

/* A suite that fails on purpose: `probe_test` looks whether its runner says so. */
#include <criterion/criterion.h>

#include <signal.h>
#include <unistd.h>

Test(probe, passes_when_all_holds)
{
    cr_expect_eq(1 + 1, 2);
    cr_assert_str_eq("a", "a", "never %d", 1);
}

Test(probe, passes_when_it_ends_by_the_signal_it_announced, .signal = SIGKILL)
{
    raise(SIGKILL);
}

Test(probe, fails_by_an_assertion)
{
    cr_assert_lt(2, 1, "on purpose, %d", 1);
}

Test(probe, fails_by_an_expectation_and_goes_on)
{
    cr_expect_null("x");
    cr_expect(true);
}

Test(probe, fails_when_it_dies)
{
    raise(SIGKILL);
}

Test(probe, fails_when_it_hangs)
{
    for (;;) {
        pause();
    }
}

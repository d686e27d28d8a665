#include "cli/interrupt.h"

#include "runtime/base/ensure.h"

#include <signal.h>

static volatile sig_atomic_t caught;

static void on_signal(int number)
{
    (void)number;
    caught = 1;
}

void interrupt_catch(void)
{
    struct sigaction end = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
    struct sigaction ignore = {.sa_handler = SIG_IGN};
    ENSURE(sigaction(SIGINT, &end, NULL) == 0);
    ENSURE(sigaction(SIGTERM, &end, NULL) == 0);
    ENSURE(sigaction(SIGPIPE, &ignore, NULL) == 0);
}

bool interrupted(void)
{
    return caught != 0;
}

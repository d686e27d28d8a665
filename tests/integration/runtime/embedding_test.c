/* What a program that hosts a node has a say in: where the log goes. */
#include "runtime/base/buffer.h"

#include <capstan/node.h>
#include <criterion/criterion.h>
#include <fcntl.h>
#include <unistd.h>

enum { MESSAGE_fail = 0x8000, STOP_US = 60000000 };

static capstan_err_t fail(capstan_actor_t *self, const capstan_message_t *message)
{
    (void)self;
    (void)message;
    return CAPSTAN_E_INTERNAL;
}

/* Runs a node whose one actor fails, which is logged; returns what came to the pipe. */
static buffer_t run(int log_fd, int reader)
{
    static const capstan_behaviour_t behaviour = {.name = "failing", .receive = fail};
    capstan_node_t *node;
    capstan_ref_t ref;
    buffer_t log = {0};
    cr_assert_eq(capstan_node_new(&(capstan_node_options_t){.log_fd = log_fd}, &node), CAPSTAN_OK);
    cr_assert_eq(capstan_node_spawn(node, &behaviour, NULL, &ref), CAPSTAN_OK);
    cr_assert_eq(capstan_node_ask(node, ref, MESSAGE_fail, (slice_t){0}, STOP_US, NULL, NULL),
                 CAPSTAN_E_GONE);
    cr_assert_eq(capstan_node_stop(&node, STOP_US, NULL, NULL), CAPSTAN_OK);
    /* The stop has written what was logged. */
    ssize_t got = read(reader, buffer_reserve(&log, 4096), 4095);
    log.size = got > 0 ? (size_t)got : 0;
    buffer_append(&log, "", 1);
    return log;
}

Test(embedding, the_log_goes_where_the_host_wants_it)
{
    int ends[2];
    cr_assert_eq(pipe2(ends, O_NONBLOCK), 0);
    buffer_t log = run(ends[1], ends[0]);
    cr_assert(strstr((const char *)log.data, "\"event\":\"runtime.actor_failed\""));
    buffer_fini(&log);
    log = run(-1, ends[0]);
    cr_assert_eq(log.size, 1, "the log is switched off");
    buffer_fini(&log);
    close(ends[0]);
    close(ends[1]);
}

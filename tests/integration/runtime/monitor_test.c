/* Watching an actor that ends before the wish to watch it arrives: the watcher still hears `down`.
 * (A subscription that watches a session which has just ended would otherwise live for ever.) */
#include "runtime/runtime_messages.h"

#include <criterion/criterion.h>
#include <capstan/node.h>
#include <poll.h>
#include <stdatomic.h>

enum {
    MESSAGE_die = 0x8000,
    WAIT_MS = 10000,
};

static _Atomic int downs;
static const char *victim_cell;

static capstan_err_t victim_receive(capstan_actor_t *self, const capstan_message_t *message)
{
    (void)message;
    capstan_actor_exit(self, CAPSTAN_OK);
    return CAPSTAN_OK;
}

static const capstan_behaviour_t victim_behaviour = {.name = "victim", .receive = victim_receive};

/* The wish to watch is sent while the victim lives, and arrives behind what ends it. */
static capstan_err_t watcher_init(capstan_actor_t *self, void *argument)
{
    (void)argument;
    capstan_ref_t victim;
    cr_assert_eq(capstan_spawn(self, &victim_behaviour,
                               &(capstan_spawn_options_t){.cell = victim_cell}, &victim),
                 CAPSTAN_OK);
    cr_assert_eq(capstan_tell(self, victim, MESSAGE_die, (capstan_slice_t){0}), CAPSTAN_OK);
    return capstan_monitor(self, victim);
}

static capstan_err_t watcher_receive(capstan_actor_t *self, const capstan_message_t *message)
{
    (void)self;
    cr_assert_eq(message->message, MESSAGE_down);
    atomic_fetch_add(&downs, 1);
    return CAPSTAN_OK;
}

static const capstan_behaviour_t watcher_behaviour = {
    .name = "watcher", .init = watcher_init, .receive = watcher_receive};

static void watch_the_dying(const char *cell)
{
    victim_cell = cell;
    capstan_node_t *node;
    cr_assert_eq(capstan_node_new(NULL, &node), CAPSTAN_OK);
    capstan_ref_t watcher;
    cr_assert_eq(capstan_node_spawn(node, &watcher_behaviour,
                                    &(capstan_spawn_options_t){.cell = "here"}, &watcher),
                 CAPSTAN_OK);
    for (int i = 0; i < WAIT_MS && atomic_load(&downs) == 0; i++) {
        poll(NULL, 0, 1);
    }
    cr_assert_eq(atomic_load(&downs), 1);
    cr_assert_eq(capstan_node_stop(&node, 5000000, NULL, NULL), CAPSTAN_OK);
    cr_assert_eq(atomic_load(&downs), 1, "told once");
}

Test(monitor, of_an_actor_that_ends_meanwhile_on_this_cell_is_told)
{
    watch_the_dying("here");
}

Test(monitor, of_an_actor_that_ends_meanwhile_on_another_cell_is_told)
{
    watch_the_dying("there");
}

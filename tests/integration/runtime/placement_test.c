/* Where actors live, and what they are called. */
#include "runtime/cell.h"

#include <criterion/criterion.h>
#include <capstan/node.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MESSAGE_where = 0x8000, MESSAGE_end, MESSAGE_child, STOP_US = 60000000 };

/* Answers with the name of the cell it runs on. */
static capstan_err_t receive(capstan_actor_t *self, const capstan_message_t *message)
{
    if (message->message == MESSAGE_where) {
        const char *cell = self->cell->name;
        capstan_reply(self, message, MESSAGE_where, capstan_slice_text(cell));
    } else if (message->message == MESSAGE_child) {
        capstan_ref_t child;
        static const capstan_behaviour_t behaviour = {.name = "child", .receive = receive};
        capstan_err_t err = capstan_spawn(
            self, &behaviour, &(capstan_spawn_options_t){.name = message->body.data}, &child);
        if (err != CAPSTAN_OK) {
            capstan_reply_error(self, message, err, NULL);
        } else {
            capstan_reply(self, message, MESSAGE_child, (capstan_slice_t){&child, sizeof child});
        }
    } else {
        capstan_actor_exit(self, CAPSTAN_OK);
        capstan_reply(self, message, MESSAGE_end, (capstan_slice_t){0});
    }
    return CAPSTAN_OK;
}

static const capstan_behaviour_t behaviour = {.name = "placed", .receive = receive};

static capstan_node_t *start(uint32_t workers)
{
    capstan_node_t *node;
    cr_assert_eq(capstan_node_new(&(capstan_node_options_t){.workers = workers}, &node),
                 CAPSTAN_OK);
    return node;
}

static void stop(capstan_node_t *node)
{
    cr_assert_eq(capstan_node_stop(&node, STOP_US, NULL, NULL), CAPSTAN_OK);
}

static capstan_err_t ask(capstan_node_t *node, capstan_ref_t ref, uint32_t message,
                         const char *text, char ret_answer[CELL_NAME_SIZE])
{
    void *body;
    size_t size;
    capstan_slice_t question = {text, text ? strlen(text) + 1 : 0};
    capstan_err_t err = capstan_node_ask(node, ref, message, question, STOP_US, &body, &size);
    if (err == CAPSTAN_OK) {
        memset(ret_answer, 0, CELL_NAME_SIZE);
        if (size > 0) {
            memcpy(ret_answer, body, size);
        }
        free(body);
    }
    return err;
}

static capstan_ref_t spawn(capstan_node_t *node, const capstan_spawn_options_t *options,
                           const char *cell)
{
    capstan_ref_t ref;
    char answer[CELL_NAME_SIZE];
    cr_assert_eq(capstan_node_spawn(node, &behaviour, options, &ref), CAPSTAN_OK);
    cr_assert_eq(ask(node, ref, MESSAGE_where, NULL, answer), CAPSTAN_OK);
    cr_assert_str_eq(answer, cell);
    return ref;
}

Test(runtime, spreads_actors_over_its_workers_and_puts_others_where_it_is_told)
{
    capstan_node_t *node = start(2);
    spawn(node, NULL, "worker-0");
    spawn(node, NULL, "worker-1");
    spawn(node, &(capstan_spawn_options_t){.placement = CAPSTAN_PLACE_SPREAD}, "worker-0");
    spawn(node, &(capstan_spawn_options_t){.cell = "named"}, "named");
    stop(node);
}

/* An own cell is given to the next one when its actor, and all that this started there, ended. */
Test(runtime, gives_an_own_cell_to_one_actor_after_the_other)
{
    capstan_node_t *node = start(1);
    char answer[CELL_NAME_SIZE];
    const capstan_spawn_options_t own = {.placement = CAPSTAN_PLACE_OWN};
    spawn(node, NULL, "worker-0");
    capstan_ref_t first = spawn(node, &own, "own-1");
    capstan_ref_t child;
    cr_assert_eq(ask(node, first, MESSAGE_child, "heir", answer), CAPSTAN_OK);
    memcpy(&child, answer, sizeof child);
    cr_assert_eq(ask(node, first, MESSAGE_end, NULL, answer), CAPSTAN_OK);
    spawn(node, &own, "own-2");
    cr_assert_eq(ask(node, child, MESSAGE_where, NULL, answer), CAPSTAN_OK);
    cr_assert_str_eq(answer, "own-1");
    for (int i = 0; i < 3 * CELLS_MAX; i++) { /* many more than there can be cells */
        capstan_ref_t ref;
        capstan_err_t err = capstan_node_spawn(node, &behaviour, &own, &ref);
        cr_assert_eq(err, CAPSTAN_OK);
        cr_assert_eq(ask(node, ref, MESSAGE_end, NULL, answer), CAPSTAN_OK);
        /* Its end is over when its reference is stale for a second question. */
        while (ask(node, ref, MESSAGE_where, NULL, answer) != CAPSTAN_E_GONE) {
        }
    }
    stop(node);
}

/* The cells' own actors are beside the limit: who asks for a cell must not bring the node down. */
Test(runtime, refuses_actors_beyond_its_limit_on_every_cell)
{
    enum { CELLS = 5, EACH = 300 }; /* slots are taken 256 at a time */
    capstan_node_t *node;
    capstan_ref_t ref;
    int limited = 0;
    cr_assert_eq(capstan_node_new(&(capstan_node_options_t){.actors_max = 1}, &node), CAPSTAN_OK);
    for (int i = 0; i < CELLS * EACH; i++) {
        char cell[16];
        snprintf(cell, sizeof cell, "cell-%d", i / EACH);
        capstan_err_t err =
            capstan_node_spawn(node, &behaviour, &(capstan_spawn_options_t){.cell = cell}, &ref);
        cr_assert(err == CAPSTAN_OK || err == CAPSTAN_E_LIMIT, "%s", capstan_err_text(err));
        limited += err == CAPSTAN_E_LIMIT;
    }
    cr_assert_eq(limited, CELLS * EACH - 256);
    stop(node);
}

Test(runtime, gives_a_name_to_one_actor_at_a_time)
{
    capstan_node_t *node = start(2);
    capstan_ref_t ref;
    capstan_ref_t found;
    char answer[CELL_NAME_SIZE];
    const capstan_spawn_options_t named = {.name = "the-one"};
    cr_assert_eq(capstan_node_resolve(node, "the-one", &found), CAPSTAN_E_NOT_FOUND);
    cr_assert_eq(capstan_node_spawn(node, &behaviour, &named, &ref), CAPSTAN_OK);
    cr_assert_eq(capstan_node_resolve(node, "the-one", &found), CAPSTAN_OK);
    cr_assert(capstan_ref_equal(ref, found));
    cr_assert_eq(capstan_node_spawn(node, &behaviour, &named, &found), CAPSTAN_E_EXISTS);
    cr_assert_eq(ask(node, ref, MESSAGE_child, "the-one", answer), CAPSTAN_E_EXISTS);
    cr_assert_eq(ask(node, ref, MESSAGE_child, "not/allowed", answer), CAPSTAN_E_INVALID);
    cr_assert_eq(ask(node, ref, MESSAGE_end, NULL, answer), CAPSTAN_OK);
    while (capstan_node_resolve(node, "the-one", &found) == CAPSTAN_OK) {
    }
    cr_assert_eq(capstan_node_spawn(node, &behaviour, &named, &ref), CAPSTAN_OK);
    stop(node);
}

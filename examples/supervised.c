/* A supervised worker: when it fails it is started again, and its users find the new one.
 *
 * A handler that returns an error ends its actor: a failure does not go on with half a state. A
 * supervisor hears of the end and starts the actor again, here after a millisecond or two, at most
 * five times in a minute (`restarts_max`); after more it gives up, since a restart does not seem
 * to help. What asked the worker gets the error GONE.
 *
 * The new worker is another incarnation with another reference, so its users do not keep the
 * reference for ever: after GONE they look the name up again. While there is nobody of that name
 * (NOT_FOUND), they try again a little later.
 *
 * Here a client asks a divider for quotients, one of them by zero.
 *
 * It prints:
 *   12 / 4 = 3
 *   12 / 0: the actor has ended
 *   12 / 6 = 2
 *   the divider of the last answer is another one */
#include <capstan/supervisor.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    MESSAGE_divide = 0x8000, /* request: a pair_t; reply: an int64_t */
    MESSAGE_work,            /* request to the client: do all divisions */
    SECOND_US = 1000000,
};

typedef struct pair {
    int64_t dividend;
    int64_t divisor;
} pair_t;

/* --- the worker ------------------------------------------------------------------------------ */

static capstan_err_t divide(capstan_actor_t *self, const capstan_message_t *message)
{
    pair_t pair;
    memcpy(&pair, message->body.data, sizeof pair);
    if (pair.divisor == 0) {
        return CAPSTAN_E_INVALID;
    }
    int64_t quotient = pair.dividend / pair.divisor;
    capstan_reply(self, message, MESSAGE_divide, (capstan_slice_t){&quotient, sizeof quotient});
    return CAPSTAN_OK;
}

static const capstan_behaviour_t divider_behaviour = {.name = "divider", .receive = divide};

/* --- its user -------------------------------------------------------------------------------- */

static const pair_t pairs[] = {{12, 4}, {12, 0}, {12, 6}};
enum { PAIR_COUNT = sizeof pairs / sizeof pairs[0] };

typedef struct client {
    capstan_message_t work;
    capstan_ref_t first; /* the divider of the first answer */
    capstan_ref_t last;
    size_t next; /* the pair that is asked for */
} client_t;

static capstan_err_t client_init(capstan_actor_t *self, void *argument)
{
    capstan_actor_set_state(self, argument);
    return CAPSTAN_OK;
}

/* Asks for the next quotient, or tries again in a millisecond when there is no divider now. */
static void ask_next(capstan_actor_t *self)
{
    client_t *client = capstan_actor_state(self);
    capstan_ref_t divider;
    uint64_t ask;
    if (client->next == PAIR_COUNT) {
        capstan_reply(self, &client->work, MESSAGE_work, (capstan_slice_t){0});
        return;
    }
    capstan_slice_t pair = {&pairs[client->next], sizeof pairs[0]};
    capstan_err_t err = capstan_resolve(self, "divider", &divider);
    if (err == CAPSTAN_OK) {
        err = capstan_ask_for(self, &client->work, divider, MESSAGE_divide, pair, 10 * SECOND_US,
                              &ask);
    }
    if (err != CAPSTAN_OK) {
        capstan_timer_start(self, SECOND_US / 1000, NULL);
    }
}

static void client_timer(capstan_actor_t *self, uint64_t timer, void *cookie)
{
    (void)timer;
    (void)cookie;
    ask_next(self);
}

static void on_answer(client_t *client, const capstan_message_t *message)
{
    const pair_t *pair = &pairs[client->next++];
    capstan_err_t err;
    printf("%" PRId64 " / %" PRId64, pair->dividend, pair->divisor);
    if (capstan_message_is_error(message, &err, NULL)) {
        printf(": %s\n", capstan_err_text(err));
        return;
    }
    int64_t quotient;
    memcpy(&quotient, message->body.data, sizeof quotient);
    printf(" = %" PRId64 "\n", quotient);
    client->last = message->sender;
    if (capstan_ref_is_null(client->first)) {
        client->first = message->sender;
    }
}

static capstan_err_t client_receive(capstan_actor_t *self, const capstan_message_t *message)
{
    client_t *client = capstan_actor_state(self);
    if (message->message == MESSAGE_work) {
        client->work = *message;
    } else {
        on_answer(client, message);
    }
    ask_next(self);
    return CAPSTAN_OK;
}

int main(void)
{
    static const capstan_behaviour_t client_behaviour = {
        .name = "client", .init = client_init, .receive = client_receive, .timer = client_timer};
    static const capstan_child_t children[] = {{.behaviour = &divider_behaviour,
                                                .spawn = {.name = "divider"},
                                                .restarts_max = 5,
                                                .window_us = 60 * SECOND_US,
                                                .backoff_us_min = SECOND_US / 1000}};
    client_t client = {.next = 0};
    capstan_node_t *node;
    capstan_ref_t ref;
    capstan_err_t err = capstan_node_new(NULL, &node);
    if (err != CAPSTAN_OK ||
        (err = capstan_node_supervisor_spawn(
             node,
             &(capstan_supervisor_options_t){
                 .strategy = CAPSTAN_ONE_FOR_ONE, .children = children, .child_count = 1},
             &(capstan_spawn_options_t){.name = "workers"}, &ref)) != CAPSTAN_OK ||
        (err = capstan_node_spawn(node, &client_behaviour,
                                  &(capstan_spawn_options_t){.argument = &client}, &ref)) !=
            CAPSTAN_OK ||
        (err = capstan_node_ask(node, ref, MESSAGE_work, (capstan_slice_t){0}, 60 * SECOND_US, NULL,
                                NULL)) != CAPSTAN_OK ||
        (err = capstan_node_stop(&node, 10 * SECOND_US, NULL, NULL)) != CAPSTAN_OK) {
        fprintf(stderr, "supervised: %s. %s\n", capstan_err_text(err), capstan_err_remedy(err));
        return 1;
    }
    if (!capstan_ref_equal(client.first, client.last)) {
        printf("the divider of the last answer is another one\n");
    }
    return 0;
}

/* Keyed actors on real threads: one per key, order per key, rest and waking, failures, limits.
 * With and without strict_wire. */
#include <capstan/keyed.h>
#include <criterion/criterion.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum {
    MESSAGE_add = 0x8000, /* body: a uint64_t that must be the last one plus 1 */
    MESSAGE_total,        /* request: answered with the state */
    MESSAGE_fail,
    MESSAGE_leave,
    MESSAGE_watch, /* body: a descriptor, watched until it is ready for the first time */
    MESSAGE_relay, /* to the asker: asks key 0 on its own */
    STOP_US = 60000000,
    WORKERS = 3,
};

typedef struct account {
    uint64_t total;
    uint64_t last;
    uint64_t disorder;
    uint64_t starts;
    uint64_t key;
} account_t;

static capstan_err_t init(capstan_actor_t *self, void *argument)
{
    const capstan_keyed_start_t *start = argument;
    account_t *account = calloc(1, sizeof *account);
    capstan_actor_set_state(self, account);
    if (start->saved.size > 0) {
        memcpy(account, start->saved.data, sizeof *account);
    }
    memcpy(&account->key, start->key.data, start->key.size);
    account->starts++;
    return account->key == 13 ? CAPSTAN_E_INVALID : CAPSTAN_OK; /* unlucky */
}

static capstan_err_t receive(capstan_actor_t *self, const capstan_message_t *message)
{
    account_t *account = capstan_actor_state(self);
    if (message->message == MESSAGE_add) {
        uint64_t number;
        memcpy(&number, message->body.data, sizeof number);
        account->disorder += number != account->last + 1;
        account->last = number;
        account->total++;
    } else if (message->message == MESSAGE_total) {
        capstan_reply(self, message, MESSAGE_total, (capstan_slice_t){account, sizeof *account});
    } else if (message->message == MESSAGE_watch) {
        int fd;
        memcpy(&fd, message->body.data, sizeof fd);
        return capstan_watch_fd(self, fd, account);
    } else if (message->message == MESSAGE_leave) {
        capstan_actor_exit(self, CAPSTAN_OK);
    } else {
        return CAPSTAN_E_INTERNAL;
    }
    return CAPSTAN_OK;
}

static capstan_err_t save(capstan_actor_t *self, void **ret_data, size_t *ret_size)
{
    *ret_data = malloc(sizeof(account_t));
    memcpy(*ret_data, capstan_actor_state(self), sizeof(account_t));
    *ret_size = sizeof(account_t);
    return CAPSTAN_OK;
}

static void ready(capstan_actor_t *self, void *cookie)
{
    capstan_unwatch(self, cookie);
}

static void destroy(capstan_actor_t *self)
{
    free(capstan_actor_state(self));
}

static const capstan_behaviour_t behaviour = {
    .name = "account", .init = init, .receive = receive, .ready = ready, .destroy = destroy};

static capstan_node_t *start(bool strict)
{
    capstan_node_t *node;
    const capstan_node_options_t options = {.strict_wire = strict, .workers = WORKERS};
    cr_assert_eq(capstan_node_new(&options, &node), CAPSTAN_OK);
    return node;
}

static void stop(capstan_node_t *node)
{
    cr_assert_eq(capstan_node_stop(&node, STOP_US, NULL, NULL), CAPSTAN_OK);
}

static capstan_keyed_t *make(capstan_node_t *node, const capstan_keyed_options_t *options)
{
    capstan_keyed_options_t use = *options;
    use.name = "account";
    use.behaviour = &behaviour;
    capstan_keyed_t *keyed;
    cr_assert_eq(capstan_keyed_new(node, &use, &keyed), CAPSTAN_OK);
    return keyed;
}

static capstan_slice_t key_of(uint64_t *key)
{
    return (capstan_slice_t){key, sizeof *key};
}

static void add(capstan_node_t *node, const capstan_keyed_t *keyed, uint64_t key, uint64_t number)
{
    while (capstan_node_keyed_tell(node, keyed, key_of(&key), MESSAGE_add,
                                   (capstan_slice_t){&number, sizeof number}) != CAPSTAN_OK) {
        sched_yield();
    }
}

static capstan_err_t ask(capstan_node_t *node, const capstan_keyed_t *keyed, uint64_t key,
                         account_t *ret_account)
{
    void *body;
    size_t size;
    capstan_err_t err = capstan_node_keyed_ask(node, keyed, key_of(&key), MESSAGE_total,
                                               (capstan_slice_t){0}, STOP_US, &body, &size);
    if (err == CAPSTAN_OK) {
        memcpy(ret_account, body, size);
        free(body);
    }
    return err;
}

static void order(capstan_node_t *node, const capstan_keyed_t *keyed, uint64_t key,
                  uint32_t message)
{
    cr_assert_eq(capstan_node_keyed_tell(node, keyed, key_of(&key), message, (capstan_slice_t){0}),
                 CAPSTAN_OK);
}

Test(keyed, has_one_actor_for_each_key_and_keeps_the_order_of_its_messages)
{
    enum { KEYS = 200, EACH = 50 };
    for (int strict = 0; strict < 2; strict++) {
        capstan_node_t *node = start(strict);
        capstan_keyed_t *keyed = make(node, &(capstan_keyed_options_t){.keys_max = 1000});
        capstan_keyed_t *found;
        cr_assert_eq(capstan_keyed_find(node, "account", &found), CAPSTAN_OK);
        cr_assert_eq(found, keyed);
        for (uint64_t number = 1; number <= EACH; number++) {
            for (uint64_t key = 100; key < 100 + KEYS; key++) {
                add(node, keyed, key, number);
            }
        }
        for (uint64_t key = 100; key < 100 + KEYS; key++) {
            account_t account;
            cr_assert_eq(ask(node, keyed, key, &account), CAPSTAN_OK);
            cr_assert_eq(account.key, key);
            cr_assert_eq(account.total, EACH);
            cr_assert_eq(account.disorder, 0);
            cr_assert_eq(account.starts, 1);
        }
        cr_assert_eq(capstan_keyed_figures(keyed).awake, KEYS);
        stop(node);
    }
}

/* Until all of these keys had what was sent to them, and rest. */
static void wait_for_rest(capstan_node_t *node, const capstan_keyed_t *keyed, uint64_t first,
                          uint64_t count)
{
    account_t account;
    for (uint64_t key = first; key < first + count; key++) {
        cr_assert_eq(ask(node, keyed, key, &account), CAPSTAN_OK);
    }
    while (capstan_keyed_figures(keyed).awake > 0) {
        sched_yield();
    }
}

/* Every actor rests and is woken many times while messages come; nothing is lost on the way. */
Test(keyed, puts_idle_actors_to_rest_and_wakes_them_with_what_they_saved)
{
    enum { KEYS = 20, EACH = 30 };
    for (int strict = 0; strict < 2; strict++) {
        capstan_node_t *node = start(strict);
        capstan_keyed_t *keyed =
            make(node, &(capstan_keyed_options_t){.save = save, .rest_us = 1000});
        for (uint64_t number = 1; number <= EACH; number++) {
            for (uint64_t key = 100; key < 100 + KEYS; key++) {
                add(node, keyed, key, number);
            }
            if (number % 10 == 0) {
                wait_for_rest(node, keyed, 100, KEYS);
            }
        }
        for (uint64_t key = 100; key < 100 + KEYS; key++) {
            account_t account;
            cr_assert_eq(ask(node, keyed, key, &account), CAPSTAN_OK);
            cr_assert_eq(account.total, EACH);
            cr_assert_eq(account.disorder, 0);
            cr_assert_geq(account.starts, 4);
        }
        cr_assert_geq(capstan_keyed_figures(keyed).rests, 3 * KEYS);
        stop(node);
    }
}

/* The others rest from the longest idle on, so that each round looks at the watcher first. */
Test(keyed, leaves_an_actor_awake_that_watches_a_descriptor)
{
    enum { WATCHER = 1, OTHER = 2, ROUNDS = 3 };
    const uint64_t one = 1;
    uint64_t watcher = WATCHER;
    int fd = eventfd(0, EFD_NONBLOCK);
    capstan_node_t *node;
    account_t account;
    cr_assert_eq(capstan_node_new(&(capstan_node_options_t){.workers = 1}, &node), CAPSTAN_OK);
    capstan_keyed_t *keyed = make(node, &(capstan_keyed_options_t){.save = save, .rest_us = 1000});
    cr_assert_eq(capstan_node_keyed_tell(node, keyed, key_of(&watcher), MESSAGE_watch,
                                         (capstan_slice_t){&fd, sizeof fd}),
                 CAPSTAN_OK);
    for (uint64_t round = 1; round <= ROUNDS; round++) {
        cr_assert_eq(ask(node, keyed, OTHER, &account), CAPSTAN_OK);
        while (capstan_keyed_figures(keyed).rests < round) {
            sched_yield();
        }
    }
    cr_assert_eq(capstan_keyed_figures(keyed).awake, 1);
    cr_assert_eq(ask(node, keyed, WATCHER, &account), CAPSTAN_OK);
    cr_assert_eq(account.starts, 1);
    cr_assert_eq(write(fd, &one, sizeof one), (ssize_t)sizeof one);
    wait_for_rest(node, keyed, WATCHER, 1);
    stop(node);
    close(fd);
}

/* A question that lies in the mailbox of an actor that ends is answered GONE. */
static void ask_again(capstan_node_t *node, const capstan_keyed_t *keyed, uint64_t key,
                      account_t *ret_account)
{
    capstan_err_t err;
    while ((err = ask(node, keyed, key, ret_account)) == CAPSTAN_E_GONE) {
    }
    cr_assert_eq(err, CAPSTAN_OK);
}

Test(keyed, starts_a_failed_actor_again_from_what_it_saved_and_forgets_one_that_left)
{
    capstan_node_t *node = start(false);
    capstan_keyed_t *keyed = make(node, &(capstan_keyed_options_t){.save = save, .rest_us = 1000});
    account_t account;
    add(node, keyed, 7, 1);
    wait_for_rest(node, keyed, 7, 1);
    add(node, keyed, 7, 2);
    order(node, keyed, 7, MESSAGE_fail);
    ask_again(node, keyed, 7, &account);
    cr_assert(account.total == 1 || account.total == 2); /* it may have rested before it failed */
    order(node, keyed, 7, MESSAGE_leave);
    ask_again(node, keyed, 7, &account);
    cr_assert_eq(account.total, 0);
    cr_assert_eq(account.starts, 1);
    stop(node);
}

Test(keyed, refuses_what_is_wrong_or_beyond_its_limits)
{
    capstan_node_t *node = start(false);
    capstan_keyed_t *keyed = make(node, &(capstan_keyed_options_t){.keys_max = WORKERS});
    capstan_keyed_t *other;
    account_t account;
    static const char long_key[CAPSTAN_KEY_BYTES_MAX + 1] = "x";
    const capstan_keyed_options_t same = {.name = "account", .behaviour = &behaviour};
    const capstan_keyed_options_t unnamed = {.name = "a/b", .behaviour = &behaviour};
    cr_assert_eq(capstan_keyed_new(node, &same, &other), CAPSTAN_E_EXISTS);
    cr_assert_eq(capstan_keyed_new(node, &unnamed, &other), CAPSTAN_E_INVALID);
    cr_assert_eq(capstan_keyed_find(node, "nobody", &other), CAPSTAN_E_NOT_FOUND);
    cr_assert_eq(capstan_node_keyed_tell(node, keyed, (capstan_slice_t){0}, MESSAGE_add,
                                         (capstan_slice_t){0}),
                 CAPSTAN_E_INVALID);
    cr_assert_eq(capstan_node_keyed_tell(node, keyed, (capstan_slice_t){long_key, sizeof long_key},
                                         MESSAGE_add, (capstan_slice_t){0}),
                 CAPSTAN_E_INVALID);
    cr_assert_eq(ask(node, keyed, 13, &account), CAPSTAN_E_INVALID, "init's own error");
    int limited = 0;
    for (uint64_t key = 100; key < 120; key++) {
        limited += ask(node, keyed, key, &account) == CAPSTAN_E_LIMIT;
    }
    cr_assert_geq(limited, 20 - WORKERS);
    cr_assert_eq(capstan_keyed_figures(keyed).refused, (uint64_t)limited + 1);
    stop(node);
}

/* From actors: tells keep their order, asks are answered by the actor of the key itself. */
typedef struct asker {
    const capstan_keyed_t *keyed;
    capstan_message_t question;
    uint64_t told;
} asker_t;

static capstan_err_t asker_init(capstan_actor_t *self, void *argument)
{
    asker_t *state = calloc(1, sizeof *state);
    state->keyed = argument;
    capstan_actor_set_state(self, state);
    return CAPSTAN_OK;
}

static capstan_err_t asker_receive(capstan_actor_t *self, const capstan_message_t *message)
{
    asker_t *state = capstan_actor_state(self);
    uint64_t key = 42;
    uint64_t correlation;
    if (message->kind != CAPSTAN_KIND_REQUEST) {
        capstan_reply(self, &state->question, MESSAGE_total, message->body);
        return CAPSTAN_OK;
    }
    for (int i = 0; i < 100; i++) {
        state->told++;
        capstan_err_t err = capstan_keyed_tell(self, state->keyed, key_of(&key), MESSAGE_add,
                                               (capstan_slice_t){&state->told, sizeof state->told});
        if (err != CAPSTAN_OK) {
            return err;
        }
    }
    state->question = *message;
    return capstan_keyed_ask(self, state->keyed, key_of(&key), MESSAGE_total, (capstan_slice_t){0},
                             STOP_US, &correlation);
}

Test(keyed, is_told_and_asked_by_actors)
{
    static const capstan_behaviour_t asker = {
        .name = "asker", .init = asker_init, .receive = asker_receive, .destroy = destroy};
    for (int strict = 0; strict < 2; strict++) {
        capstan_node_t *node = start(strict);
        capstan_keyed_t *keyed =
            make(node, &(capstan_keyed_options_t){.save = save, .rest_us = 1000});
        capstan_ref_t ref;
        cr_assert_eq(
            capstan_node_spawn(
                node, &asker, &(capstan_spawn_options_t){.cell = "asker", .argument = keyed}, &ref),
            CAPSTAN_OK);
        for (uint64_t round = 1; round <= 50; round++) {
            void *body;
            size_t size;
            account_t account;
            cr_assert_eq(capstan_node_ask(node, ref, MESSAGE_relay, (capstan_slice_t){0}, STOP_US,
                                          &body, &size),
                         CAPSTAN_OK);
            memcpy(&account, body, sizeof account);
            free(body);
            cr_assert_eq(account.total, round * 100);
            cr_assert_eq(account.disorder, 0);
        }
        stop(node);
    }
}

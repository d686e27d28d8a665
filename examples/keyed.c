/* Keyed actors: one for each key, made by the first message to it. Nobody starts them, and there
 * may be millions: one that has had nothing to do for a while is saved and put to rest, and the
 * next message wakes it from the bytes that it saved.
 *
 * A kind says how: a behaviour, as of any actor, and `save`. The argument of `init` is a
 * capstan_keyed_start_t, with the key, and with what was saved (nothing, the first time). Messages
 * go to a key, not to a reference; the messages to one key are handled one after the other.
 *
 * Here each customer has an account. Paying in answers with the balance.
 *
 * It prints:
 *   ann has 10
 *   ann has 30
 *   bob has 7
 *   2 accounts rest, 0 are awake
 *   ann has 35 */
#include <capstan/keyed.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    MESSAGE_pay_in = 0x8000, /* request: an amount; reply: the balance; both are uint64_t */
    REST_US = 20000,         /* a minute, when the options do not say otherwise */
    SECOND_US = 1000000,
};

static capstan_err_t account_init(capstan_actor_t *self, void *argument)
{
    const capstan_keyed_start_t *start = argument;
    uint64_t *balance = calloc(1, sizeof *balance);
    capstan_actor_set_state(self, balance);
    if (!balance) {
        return CAPSTAN_E_NO_MEMORY;
    }
    if (start->saved.size == sizeof *balance) {
        memcpy(balance, start->saved.data, sizeof *balance);
    }
    return CAPSTAN_OK;
}

static void account_destroy(capstan_actor_t *self)
{
    free(capstan_actor_state(self));
}

static capstan_err_t account_receive(capstan_actor_t *self, const capstan_message_t *message)
{
    uint64_t *balance = capstan_actor_state(self);
    uint64_t amount;
    if (message->message != MESSAGE_pay_in || message->body.size != sizeof amount) {
        capstan_reply_error(self, message, CAPSTAN_E_UNKNOWN_MESSAGE, NULL);
        return CAPSTAN_OK;
    }
    memcpy(&amount, message->body.data, sizeof amount);
    *balance += amount;
    capstan_reply(self, message, MESSAGE_pay_in, (capstan_slice_t){balance, sizeof *balance});
    return CAPSTAN_OK;
}

/* The node frees the bytes. A state that others are to read, or that will outlive this version of
 * the program, is better encoded by a table (message.h). */
static capstan_err_t account_save(capstan_actor_t *self, void **ret_data, size_t *ret_size)
{
    uint64_t *saved = malloc(sizeof *saved);
    if (!saved) {
        return CAPSTAN_E_NO_MEMORY; /* it stays awake */
    }
    *saved = *(const uint64_t *)capstan_actor_state(self);
    *ret_data = saved;
    *ret_size = sizeof *saved;
    return CAPSTAN_OK;
}

static capstan_err_t pay_in(capstan_node_t *node, const capstan_keyed_t *accounts, const char *who,
                            uint64_t amount)
{
    void *body;
    size_t size;
    uint64_t balance;
    capstan_err_t err = capstan_node_keyed_ask(
        node, accounts, capstan_slice_text(who), MESSAGE_pay_in,
        (capstan_slice_t){&amount, sizeof amount}, 60 * SECOND_US, &body, &size);
    if (err == CAPSTAN_OK) {
        memcpy(&balance, body, sizeof balance);
        free(body);
        printf("%s has %" PRIu64 "\n", who, balance);
    }
    return err;
}

static void wait_until_all_rest(const capstan_keyed_t *accounts)
{
    capstan_keyed_figures_t figures;
    while ((figures = capstan_keyed_figures(accounts)).awake > 0) {
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    printf("%" PRIu64 " accounts rest, %" PRIu64 " are awake\n", figures.resting, figures.awake);
}

static capstan_err_t run(capstan_node_t *node)
{
    static const capstan_behaviour_t account = {.name = "account",
                                                .init = account_init,
                                                .receive = account_receive,
                                                .destroy = account_destroy};
    capstan_keyed_t *accounts;
    capstan_err_t err = capstan_keyed_new(
        node,
        &(capstan_keyed_options_t){
            .name = "accounts", .behaviour = &account, .save = account_save, .rest_us = REST_US},
        &accounts);
    if (err != CAPSTAN_OK || (err = pay_in(node, accounts, "ann", 10)) != CAPSTAN_OK ||
        (err = pay_in(node, accounts, "ann", 20)) != CAPSTAN_OK ||
        (err = pay_in(node, accounts, "bob", 7)) != CAPSTAN_OK) {
        return err;
    }
    wait_until_all_rest(accounts);
    return pay_in(node, accounts, "ann", 5);
}

int main(void)
{
    capstan_node_t *node;
    capstan_err_t err = capstan_node_new(NULL, &node);
    if (err == CAPSTAN_OK) {
        err = run(node);
    }
    if (err != CAPSTAN_OK) {
        fprintf(stderr, "keyed: %s. %s\n", capstan_err_text(err), capstan_err_remedy(err));
        return 1;
    }
    return capstan_node_stop(&node, 10 * SECOND_US, NULL, NULL) == CAPSTAN_OK ? 0 : 1;
}

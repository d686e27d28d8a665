/* Asking: requests between actors, with a deadline, and the three ways in which one can end.
 *
 * capstan_ask returns at once; the answer arrives later in `receive`, with the correlation that
 * capstan_ask gave out. Exactly one answer comes for each request:
 *   - the reply, by capstan_reply;
 *   - an error, by capstan_reply_error, or because the receiver has ended;
 *   - the error TIMEOUT, when the deadline passes first.
 * No actor ever blocks while it waits: it can be asked other things meanwhile.
 *
 * Here a shopper asks a tariff for three prices, and tells main when it has all answers. Being
 * asked by main, it asks on main's behalf: its own deadlines are never later than main's.
 *
 * It prints:
 *   apples cost 3
 *   pears: not found (no such article)
 *   grapes: the deadline passed
 *   the shopper has 3 answers */
#include <capstan/node.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    MESSAGE_price = 0x8000, /* request: the article's name; reply: a uint64_t */
    MESSAGE_shop,           /* request: nothing; reply: a uint64_t, the number of answers */
    SECOND_US = 1000000,
};

static bool is(capstan_slice_t slice, const char *text)
{
    return slice.size == strlen(text) && memcmp(slice.data, text, slice.size) == 0;
}

static capstan_err_t tariff_receive(capstan_actor_t *self, const capstan_message_t *message)
{
    static const uint64_t price = 3;
    if (is(message->body, "apples")) {
        capstan_reply(self, message, MESSAGE_price, (capstan_slice_t){&price, sizeof price});
    } else if (is(message->body, "pears")) {
        capstan_reply_error(self, message, CAPSTAN_E_NOT_FOUND, "no such article");
    }
    return CAPSTAN_OK; /* about grapes it thinks for ever */
}

static const struct {
    const char *name;
    int64_t timeout_us;
} articles[] = {{"apples", 10 * SECOND_US}, {"pears", 10 * SECOND_US}, {"grapes", SECOND_US / 20}};
enum { ARTICLE_COUNT = sizeof articles / sizeof articles[0] };

typedef struct shopper {
    capstan_ref_t tariff;
    capstan_message_t shop; /* main's request, to be answered at the end */
    uint64_t asks[ARTICLE_COUNT];
    uint64_t answers;
} shopper_t;

static capstan_err_t shopper_init(capstan_actor_t *self, void *argument)
{
    capstan_actor_set_state(self, argument);
    return CAPSTAN_OK;
}

static capstan_err_t begin(capstan_actor_t *self, const capstan_message_t *request)
{
    shopper_t *shopper = capstan_actor_state(self);
    capstan_err_t err = CAPSTAN_OK;
    shopper->shop = *request;
    for (size_t i = 0; i < ARTICLE_COUNT && err == CAPSTAN_OK; i++) {
        err =
            capstan_ask(self, shopper->tariff, MESSAGE_price, capstan_slice_text(articles[i].name),
                        articles[i].timeout_us, &shopper->asks[i]);
    }
    return err;
}

static void print_answer(const char *article, const capstan_message_t *message)
{
    capstan_err_t err;
    capstan_slice_t text;
    uint64_t price;
    if (capstan_message_is_error(message, &err, &text)) {
        printf("%s: %s", article, capstan_err_text(err));
        if (err != CAPSTAN_E_TIMEOUT) {
            printf(" (%.*s)", (int)text.size, (const char *)text.data);
        }
        printf("\n");
    } else {
        memcpy(&price, message->body.data, sizeof price);
        printf("%s cost %" PRIu64 "\n", article, price);
    }
}

static capstan_err_t shopper_receive(capstan_actor_t *self, const capstan_message_t *message)
{
    shopper_t *shopper = capstan_actor_state(self);
    if (message->kind == CAPSTAN_KIND_REQUEST) {
        return begin(self, message);
    }
    for (size_t i = 0; i < ARTICLE_COUNT; i++) {
        if (shopper->asks[i] == message->correlation) {
            print_answer(articles[i].name, message);
            shopper->answers++;
        }
    }
    if (shopper->answers == ARTICLE_COUNT) {
        capstan_reply(self, &shopper->shop, MESSAGE_shop,
                      (capstan_slice_t){&shopper->answers, sizeof shopper->answers});
    }
    return CAPSTAN_OK;
}

int main(void)
{
    static const capstan_behaviour_t tariff = {.name = "tariff", .receive = tariff_receive};
    static const capstan_behaviour_t behaviour = {
        .name = "shopper", .init = shopper_init, .receive = shopper_receive};
    shopper_t shopper = {.answers = 0};
    capstan_node_t *node;
    capstan_ref_t ref;
    void *answer;
    size_t size;
    capstan_err_t err = capstan_node_new(NULL, &node);
    if (err != CAPSTAN_OK ||
        (err = capstan_node_spawn(node, &tariff, NULL, &shopper.tariff)) != CAPSTAN_OK ||
        (err = capstan_node_spawn(node, &behaviour,
                                  &(capstan_spawn_options_t){.argument = &shopper}, &ref)) !=
            CAPSTAN_OK ||
        (err = capstan_node_ask(node, ref, MESSAGE_shop, (capstan_slice_t){0}, 60 * SECOND_US,
                                &answer, &size)) != CAPSTAN_OK) {
        fprintf(stderr, "ask: %s. %s\n", capstan_err_text(err), capstan_err_remedy(err));
        return 1;
    }
    uint64_t count;
    memcpy(&count, answer, sizeof count);
    free(answer);
    printf("the shopper has %" PRIu64 " answers\n", count);
    return capstan_node_stop(&node, 10 * SECOND_US, NULL, NULL) == CAPSTAN_OK ? 0 : 1;
}

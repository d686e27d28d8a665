/* Messages of one's own: a table, its structs, and what becomes of bytes that do not fit it.
 *
 * shop_messages.def is the table; shop_messages.h expands it to structs, shop_messages.c to what
 * the codec needs. Both need the table's folder among the compiler's include folders.
 *
 * A sender fills a struct and encodes it; a receiver decodes it before it believes anything: what
 * comes from elsewhere may be anything. capstan_decode checks types, required fields, lengths and
 * UTF-8, and names the field that is wrong, which makes a good answer for whoever sent it.
 *
 * capstan_node_register makes the table known to the node, so that it is described along with
 * Capstan's own messages: to people, and to programs in other languages.
 *
 * It prints:
 *   Ada orders 100 screws, 100 nuts
 *   receipt 1 for 200 pieces
 *   refused: field customer: a required field is missing, at 4
 *   the node describes shop_order */
#include "shop_messages.h"

#include <capstan/node.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TIMEOUT_US = 10 * 1000000 };

/* --- the shop -------------------------------------------------------------------------------- */

/* Prints an order and counts its pieces. */
static capstan_err_t read_items(const shop_order_t *order, uint64_t *ret_pieces)
{
    capstan_list_t list;
    shop_item_t item;
    uint64_t pieces = 0;
    capstan_err_t err = capstan_list_open(shop_item_wire(), order->items, &list);
    if (err != CAPSTAN_OK) {
        return err;
    }
    printf("%.*s orders", (int)order->customer.size, (const char *)order->customer.data);
    for (const char *comma = ""; capstan_list_next(&list, &item); comma = ",") {
        printf("%s %" PRIu64 " %.*s", comma, item.pieces, (int)item.article.size,
               (const char *)item.article.data);
        pieces += item.pieces;
    }
    printf("\n");
    *ret_pieces = pieces;
    return list.fault.err;
}

static capstan_err_t on_order(capstan_actor_t *self, const capstan_message_t *message)
{
    uint64_t *number = capstan_actor_state(self);
    shop_order_t order;
    capstan_fault_t fault;
    char text[128];
    uint64_t pieces;
    capstan_err_t err = capstan_decode(shop_order_wire(), message->body, &order, &fault);
    if (err != CAPSTAN_OK) {
        printf("refused: %s\n", capstan_fault_text(&fault, text, sizeof text));
        capstan_reply_error(self, message, err, text);
        return CAPSTAN_OK; /* a bad message is its sender's problem: the shop goes on */
    }
    err = read_items(&order, &pieces);
    if (err != CAPSTAN_OK) {
        capstan_reply_error(self, message, err, "the items cannot be read");
        return CAPSTAN_OK;
    }
    uint8_t memory[64];
    capstan_buffer_t body = capstan_buffer_over(memory, sizeof memory);
    shop_receipt_t receipt = {.number = ++*number, .pieces = pieces};
    err = capstan_encode(shop_receipt_wire(), &receipt, &body, NULL);
    if (err == CAPSTAN_OK) {
        capstan_reply(self, message, MESSAGE_shop_receipt, capstan_buffer_slice(&body));
    }
    return err;
}

static capstan_err_t shop_init(capstan_actor_t *self, void *argument)
{
    capstan_actor_set_state(self, argument);
    return CAPSTAN_OK;
}

static capstan_err_t shop_receive(capstan_actor_t *self, const capstan_message_t *message)
{
    if (message->message == MESSAGE_shop_order) {
        return on_order(self, message);
    }
    capstan_reply_error(self, message, CAPSTAN_E_UNKNOWN_MESSAGE, NULL);
    return CAPSTAN_OK;
}

/* --- the customer ------------------------------------------------------------------------------
 */

static capstan_err_t order(capstan_node_t *node, capstan_ref_t shop)
{
    const shop_item_t items[] = {{.article = capstan_slice_text("screws"), .pieces = 100},
                                 {.article = capstan_slice_text("nuts"), .pieces = 100}};
    capstan_buffer_t list = {0};
    capstan_buffer_t body = {0};
    void *answer = NULL;
    size_t size = 0;
    shop_receipt_t receipt;
    capstan_err_t err = capstan_encode_list(shop_item_wire(), items, 2, &list, NULL);
    if (err == CAPSTAN_OK) {
        shop_order_t order = {.customer = capstan_slice_text("Ada"),
                              .items = capstan_buffer_slice(&list)};
        err = capstan_encode(shop_order_wire(), &order, &body, NULL);
    }
    if (err == CAPSTAN_OK) {
        err = capstan_node_ask(node, shop, MESSAGE_shop_order, capstan_buffer_slice(&body),
                               TIMEOUT_US, &answer, &size);
    }
    if (err == CAPSTAN_OK) {
        err = capstan_decode(shop_receipt_wire(), (capstan_slice_t){answer, size}, &receipt, NULL);
    }
    if (err == CAPSTAN_OK) {
        printf("receipt %" PRIu64 " for %" PRIu64 " pieces\n", receipt.number, receipt.pieces);
    }
    free(answer);
    capstan_buffer_fini(&list);
    capstan_buffer_fini(&body);
    return err;
}

/* A stranger's bytes: a map with a number under a key that the table does not know. */
static capstan_err_t order_nonsense(capstan_node_t *node, capstan_ref_t shop)
{
    capstan_err_t err =
        capstan_node_ask(node, shop, MESSAGE_shop_order, (capstan_slice_t){"\x81\x63\xcc\xff", 4},
                         TIMEOUT_US, NULL, NULL);
    return err == CAPSTAN_E_FIELD_MISSING ? CAPSTAN_OK : CAPSTAN_E_INTERNAL;
}

static capstan_err_t describe(capstan_node_t *node)
{
    static const char heading[] = "### shop_order\n";
    capstan_buffer_t schema = {0};
    capstan_err_t err = capstan_node_schema(node, CAPSTAN_SCHEMA_MARKDOWN, &schema);
    for (size_t i = 0; !err && i + strlen(heading) <= schema.size; i++) {
        if (memcmp(schema.data + i, heading, strlen(heading)) == 0) {
            printf("the node describes shop_order\n");
        }
    }
    capstan_buffer_fini(&schema);
    return err;
}

int main(void)
{
    static const capstan_behaviour_t behaviour = {
        .name = "shop", .init = shop_init, .receive = shop_receive};
    uint64_t number = 0;
    char text[256] = "";
    capstan_node_t *node;
    capstan_ref_t shop;
    capstan_err_t err = capstan_node_new(NULL, &node);
    if (err != CAPSTAN_OK ||
        (err = capstan_node_register(node, &shop_table, text, sizeof text)) != CAPSTAN_OK ||
        (err = capstan_node_spawn(node, &behaviour, &(capstan_spawn_options_t){.argument = &number},
                                  &shop)) != CAPSTAN_OK ||
        (err = order(node, shop)) != CAPSTAN_OK ||
        (err = order_nonsense(node, shop)) != CAPSTAN_OK || (err = describe(node)) != CAPSTAN_OK ||
        (err = capstan_node_stop(&node, TIMEOUT_US, NULL, NULL)) != CAPSTAN_OK) {
        fprintf(stderr, "own_messages: %s. %s %s\n", capstan_err_text(err), capstan_err_remedy(err),
                text);
        return 1;
    }
    return 0;
}

/* A shop that peers reach over tcp: an actor that is open to them, behind a gateway.
 *
 * Peers find an actor by its name if it was spawned with `external`, and may send the messages of
 * its table that have a permission. All others do not exist for them.
 *
 * The other side, a peer, is a process of its own here, and could be a program in any language:
 * `over_tcp tcp://127.0.0.1:7700` keeps the shop open until its input ends, for the peers in
 * ../peer_python and ../peer_node.
 *
 * It prints:
 *   receipt 1 for 300 pieces
 *   refused: a required field is missing
 *   the safe: not found */
#include "shop_messages.h"

#include <capstan/gateway.h>
#include <capstan/peer.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TIMEOUT_US = 10 * 1000000 };

/* --- the node: a shop, and a safe that nobody outside may know of ------------------------------
 */

static capstan_err_t count_pieces(capstan_slice_t items, uint64_t *ret_pieces)
{
    capstan_list_t list;
    shop_item_t item;
    capstan_err_t err = capstan_list_open(shop_item_wire(), items, &list);
    while (err == CAPSTAN_OK && capstan_list_next(&list, &item)) {
        *ret_pieces += item.pieces;
    }
    return err != CAPSTAN_OK ? err : list.fault.err;
}

static capstan_err_t receive(capstan_actor_t *self, const capstan_message_t *message)
{
    static uint64_t orders;
    shop_order_t order;
    shop_receipt_t receipt = {.number = orders + 1};
    uint8_t memory[64];
    capstan_buffer_t body = capstan_buffer_over(memory, sizeof memory);
    if (message->message != MESSAGE_shop_order) {
        capstan_reply_error(self, message, CAPSTAN_E_UNKNOWN_MESSAGE, NULL);
        return CAPSTAN_OK;
    }
    /* What comes from a peer may be anything. */
    capstan_err_t err = capstan_decode(shop_order_wire(), message->body, &order, NULL);
    if (err == CAPSTAN_OK) {
        err = count_pieces(order.items, &receipt.pieces);
    }
    if (err == CAPSTAN_OK) {
        err = capstan_encode(shop_receipt_wire(), &receipt, &body, NULL);
    }
    if (err != CAPSTAN_OK) {
        capstan_reply_error(self, message, err, NULL);
        return CAPSTAN_OK;
    }
    orders++;
    capstan_reply(self, message, MESSAGE_shop_receipt, capstan_buffer_slice(&body));
    return CAPSTAN_OK;
}

/* `ret_text` gets the endpoint, or what is wrong. */
static capstan_node_t *open_shop(const char *endpoint, char *ret_text, size_t text_size)
{
    static const capstan_behaviour_t shop = {.name = "shop", .receive = receive};
    capstan_node_t *node;
    capstan_ref_t ref;
    if (capstan_node_new(&(capstan_node_options_t){.log_fd = -1}, &node) != CAPSTAN_OK ||
        capstan_node_register(node, &shop_table, ret_text, text_size) != CAPSTAN_OK ||
        capstan_node_spawn(node, &shop,
                           &(capstan_spawn_options_t){.name = "shop", .external = true},
                           &ref) != CAPSTAN_OK ||
        capstan_node_spawn(node, &shop, &(capstan_spawn_options_t){.name = "safe"}, &ref) !=
            CAPSTAN_OK ||
        capstan_gateway_open(node, &(capstan_gateway_options_t){.endpoint = endpoint}, ret_text,
                             text_size) != CAPSTAN_OK) {
        fprintf(stderr, "%s\n", ret_text);
        exit(1);
    }
    return node;
}

/* --- the peer ----------------------------------------------------------------------------------
 */

static capstan_err_t order(capstan_peer_t *peer, capstan_ref_t shop)
{
    const shop_item_t items[] = {{.article = capstan_slice_text("screws"), .pieces = 100},
                                 {.article = capstan_slice_text("nuts"), .pieces = 200}};
    capstan_buffer_t list = {0};
    capstan_buffer_t body = {0};
    capstan_buffer_t answer = {0};
    shop_receipt_t receipt;
    capstan_err_t err = capstan_encode_list(shop_item_wire(), items, 2, &list, NULL);
    if (err == CAPSTAN_OK) {
        shop_order_t order = {.customer = capstan_slice_text("Ada"),
                              .items = capstan_buffer_slice(&list)};
        err = capstan_encode(shop_order_wire(), &order, &body, NULL);
    }
    if (err == CAPSTAN_OK) {
        err = capstan_peer_ask(peer, shop, MESSAGE_shop_order, capstan_buffer_slice(&body),
                               TIMEOUT_US, &answer);
    }
    if (err == CAPSTAN_OK) {
        err = capstan_decode(shop_receipt_wire(), capstan_buffer_slice(&answer), &receipt, NULL);
    }
    if (err == CAPSTAN_OK) {
        printf("receipt %" PRIu64 " for %" PRIu64 " pieces\n", receipt.number, receipt.pieces);
    }
    capstan_buffer_fini(&list);
    capstan_buffer_fini(&body);
    capstan_buffer_fini(&answer);
    return err;
}

static int visit(const char *endpoint)
{
    char text[256];
    capstan_peer_t *peer;
    capstan_ref_t shop;
    if (capstan_peer_connect(&(capstan_peer_options_t){.endpoint = endpoint}, &peer, text,
                             sizeof text) != CAPSTAN_OK) {
        fprintf(stderr, "%s\n", text);
        return 1;
    }
    capstan_err_t err = capstan_peer_resolve(peer, "shop", TIMEOUT_US, &shop);
    if (err == CAPSTAN_OK) {
        err = order(peer, shop);
    }
    if (err == CAPSTAN_OK) {
        printf("refused: %s\n",
               capstan_err_text(capstan_peer_ask(peer, shop, MESSAGE_shop_order,
                                                 (capstan_slice_t){"\x80", 1}, TIMEOUT_US, NULL)));
        printf("the safe: %s\n",
               capstan_err_text(capstan_peer_resolve(peer, "safe", TIMEOUT_US, &shop)));
    }
    capstan_peer_close(&peer, TIMEOUT_US);
    fflush(stdout);
    return err == CAPSTAN_OK ? 0 : 1;
}

/* The peer's process comes first: a process that forks does so before it makes a node. */
static pid_t start_visitor(int *ret_pipe)
{
    int ends[2];
    pid_t visitor = -1;
    if (pipe(ends) == 0) {
        visitor = fork();
    }
    if (visitor == 0) {
        char endpoint[256] = "";
        close(ends[1]);
        _exit(read(ends[0], endpoint, sizeof endpoint - 1) > 0 ? visit(endpoint) : 1);
    }
    *ret_pipe = ends[1];
    return visitor;
}

int main(int argc, char **argv)
{
    char endpoint[512] = "";
    int pipe_end = -1;
    int status = 0;
    pid_t visitor = argc > 1 ? 0 : start_visitor(&pipe_end);
    capstan_node_t *node =
        open_shop(argc > 1 ? argv[1] : "tcp://127.0.0.1:0", endpoint, sizeof endpoint);
    if (argc > 1) {
        puts(endpoint);
        fflush(stdout);
        while (getchar() != EOF) {
        }
    } else if (write(pipe_end, endpoint, strlen(endpoint)) < 0 ||
               waitpid(visitor, &status, 0) != visitor) {
        status = 1;
    }
    capstan_err_t err = capstan_node_stop(&node, TIMEOUT_US, NULL, NULL);
    return err == CAPSTAN_OK && status == 0 ? 0 : 1;
}

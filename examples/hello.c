/* The smallest program: an actor that greets whoever it is asked to.
 *
 * A node hosts actors. capstan_node_spawn starts one, on a thread of the node; the handler
 * `receive` gets one message after the other. capstan_node_ask sends it a request and waits for the
 * answer, here for at most a second. Messages have numbers; yours begin at 0x8000.
 *
 * It prints:
 *   Hello, world! */
#include <capstan/node.h>
#include <stdio.h>

static capstan_err_t greet(capstan_actor_t *self, const capstan_message_t *message)
{
    printf("Hello, %.*s!\n", (int)message->body.size, (const char *)message->body.data);
    capstan_reply(self, message, message->message, (capstan_slice_t){0});
    return CAPSTAN_OK;
}

int main(void)
{
    static const capstan_behaviour_t greeter = {.name = "greeter", .receive = greet};
    capstan_node_t *node;
    capstan_ref_t ref;
    return capstan_node_new(NULL, &node) || capstan_node_spawn(node, &greeter, NULL, &ref) ||
           capstan_node_ask(node, ref, 0x8000, capstan_slice_text("world"), 1000000, NULL, NULL) ||
           capstan_node_stop(&node, 1000000, NULL, NULL);
}

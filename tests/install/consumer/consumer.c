/* A stranger's program: every public header, a call into the library, and messages of its own. It
 * prints the name of an error, and of a path that it encoded and decoded. */
#include "consumer_messages.h"

#include <capstan/actor.h>
#include <capstan/buffer.h>
#include <capstan/error.h>
#include <capstan/message.h>
#include <capstan/node.h>
#include <capstan/ref.h>
#include <capstan/slice.h>

#include <stdio.h>

static int say(const char *what, capstan_err_t err)
{
    fprintf(stderr, "%s: %s\n", what, capstan_err_text(err));
    return 1;
}

int main(void)
{
    const consumer_point_t points[] = {{.x = 1}, {.x = -4, .y = 2}};
    capstan_buffer_t list = {0};
    capstan_buffer_t body = {0};
    capstan_node_t *node;
    consumer_path_t path = {.name = capstan_slice_text("towpath")};
    char text[256] = "";
    capstan_err_t err = capstan_node_new(NULL, &node);
    if (err) {
        return say("capstan_node_new", err);
    }
    err = capstan_node_register(node, &consumer_table, text, sizeof text);
    if (err) {
        return say(text, err);
    }
    err = capstan_encode_list(consumer_point_wire(), points, 2, &list, NULL);
    path.points = capstan_buffer_slice(&list);
    if (err || (err = capstan_encode(consumer_path_wire(), &path, &body, NULL))) {
        return say("capstan_encode", err);
    }
    err = capstan_decode(consumer_path_wire(), capstan_buffer_slice(&body), &path, NULL);
    if (err) {
        return say("capstan_decode", err);
    }
    printf("%s %.*s\n", capstan_err_name(CAPSTAN_E_TIMEOUT), (int)path.name.size,
           (const char *)path.name.data);
    capstan_buffer_fini(&list);
    capstan_buffer_fini(&body);
    return capstan_node_stop(&node, 1000000, NULL, NULL) == CAPSTAN_OK ? 0 : 1;
}

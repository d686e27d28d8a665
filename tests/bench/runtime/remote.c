#include "tests/bench/runtime/remote.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { STOP_US = 10000000 };

remote_t remote_start(void (*run)(const remote_t *self, uint64_t count), uint64_t count)
{
    int sockets[2];
    remote_t self;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sockets) != 0 || (self.process = fork()) < 0) {
        bench_fail("start: %s", strerror(errno));
    }
    self.socket = sockets[self.process == 0];
    close(sockets[self.process != 0]);
    if (self.process == 0) {
        run(&self, count);
        exit(0);
    }
    return self;
}

void remote_say(const remote_t *self, const char *word)
{
    if (send(self->socket, word, strlen(word) + 1, MSG_NOSIGNAL) < 0) {
        bench_fail("the other process has gone: %s", strerror(errno));
    }
}

void remote_hear(const remote_t *self, char *ret_word)
{
    ssize_t size = recv(self->socket, ret_word, REMOTE_ENDPOINT_SIZE, 0);
    if (size <= 0) {
        bench_fail("the other process has gone");
    }
    ret_word[size - 1] = 0;
}

void remote_join(const remote_t *self)
{
    int status = 0;
    close(self->socket);
    if (waitpid(self->process, &status, 0) != self->process || status != 0) {
        bench_fail("the other process ended with %#x", (unsigned)status);
    }
}

capstan_node_t *remote_node(const capstan_behaviour_t *behaviour, void *argument, const char *name,
                            capstan_ref_t *ret_ref, char *ret_endpoint)
{
    capstan_node_t *node;
    host_must(
        capstan_node_new(&(capstan_node_options_t){.workers = HOST_WORKERS, .log_fd = -1}, &node),
        "node");
    if (name) {
        host_must(capstan_node_spawn(node, behaviour,
                                     &(capstan_spawn_options_t){
                                         .name = name, .argument = argument, .external = true},
                                     ret_ref),
                  name);
    }
    host_must(capstan_gateway_open(node,
                                   &(capstan_gateway_options_t){.endpoint = "tcp://127.0.0.1:0"},
                                   ret_endpoint, REMOTE_ENDPOINT_SIZE),
              "gateway");
    return node;
}

void remote_serve(const remote_t *self, const capstan_behaviour_t *behaviour, const char *name)
{
    char word[REMOTE_ENDPOINT_SIZE];
    capstan_ref_t ref;
    capstan_node_t *node = remote_node(behaviour, NULL, name, &ref, word);
    remote_say(self, word);
    remote_hear(self, word);
    host_must(capstan_node_stop(&node, STOP_US, NULL, NULL), "stop");
}

capstan_peer_t *remote_connect(const char *endpoint, capstan_peer_options_t options)
{
    char text[256];
    capstan_peer_t *peer;
    options.endpoint = endpoint;
    capstan_err_t err = capstan_peer_connect(&options, &peer, text, sizeof text);
    if (err != CAPSTAN_OK) {
        bench_fail("%s", text);
    }
    return peer;
}

#include "tests/bench/peers/nats/pair.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void connect_to(pair_t *self, const pair_options_t *options)
{
    char url[64];
    natsOptions *nats;
    snprintf(url, sizeof url, "nats://127.0.0.1:%llu", (unsigned long long)options->port);
    pair_must(natsOptions_Create(&nats), "options");
    pair_must(natsOptions_SetURL(nats, url), url);
    pair_must(natsOptions_SetSendAsap(nats, options->send_at_once), "options");
    pair_must(natsConnection_Connect(&self->nats, nats), url);
    natsOptions_Destroy(nats);
}

static void disconnect(pair_t *self)
{
    natsConnection_Destroy(self->nats);
    nats_Close();
    close(self->socket);
}

/* The fork comes first: the library has threads. */
pair_t pair_start(const pair_options_t *options)
{
    int sockets[2];
    pair_t self = {.count = options->count};
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) != 0 || (self.other = fork()) < 0) {
        bench_fail("start: %s", strerror(errno));
    }
    self.socket = sockets[self.other == 0];
    close(sockets[self.other != 0]);
    connect_to(&self, options);
    if (self.other == 0) {
        options->other(&self);
        disconnect(&self);
        exit(0);
    }
    return self;
}

void pair_signal(const pair_t *self)
{
    if (write(self->socket, "", 1) != 1) {
        bench_fail("the other process has gone: %s", strerror(errno));
    }
}

void pair_wait(const pair_t *self)
{
    char byte;
    if (read(self->socket, &byte, 1) < 0) {
        bench_fail("the other process: %s", strerror(errno));
    }
}

void pair_must(natsStatus status, const char *what)
{
    if (status != NATS_OK) {
        bench_fail("%s: %s", what, natsStatus_GetText(status));
    }
}

void pair_stop(pair_t *self)
{
    int status = 0;
    disconnect(self);
    if (waitpid(self->other, &status, 0) != self->other || status != 0) {
        bench_fail("the other process ended with %#x", (unsigned)status);
    }
}

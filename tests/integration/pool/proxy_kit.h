/* A network of a test's own, between a pool and a server: see tests/kit/proxy/proxy. */
#ifndef PROXY_KIT_H
#define PROXY_KIT_H

#include <stdio.h>
#include <sys/types.h>

typedef struct proxy_kit {
    int port; /* where clients connect to */
    pid_t process;
    FILE *commands;
    FILE *answers;
} proxy_kit_t;

void proxy_open(proxy_kit_t *self, int server_port);
void proxy_close(proxy_kit_t *self);
/* One of the proxy's commands; it holds when this returns. */
void proxy_do(proxy_kit_t *self, const char *command);

#endif

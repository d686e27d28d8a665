#include "brokers/gateway/endpoint.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_loopback_v4(const char *host)
{
    struct in_addr address;
    return inet_pton(AF_INET, host, &address) == 1 && ntohl(address.s_addr) >> 24 == 127;
}

static bool parse_port(const char *text, unsigned *ret_port)
{
    if (strcmp(text, "*") == 0) {
        *ret_port = 0;
        return true;
    }
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || digits > 5 || text[digits] != 0) {
        return false;
    }
    unsigned long port = strtoul(text, NULL, 10);
    *ret_port = (unsigned)port;
    return port <= 65535;
}

static capstan_err_t refuse(const char *endpoint, char *ret_text, size_t text_size)
{
    snprintf(ret_text, text_size,
             "cannot bind %.200s: it is of the form tcp://HOST:PORT, for example "
             "tcp://127.0.0.1:7700 (port 0 picks a free one)",
             endpoint);
    return CAPSTAN_E_INVALID;
}

capstan_err_t endpoint_check(const char *endpoint, char *ret_bind, bool *ret_ipv6, char *ret_text,
                             size_t text_size)
{
    static const char scheme[] = "tcp://";
    const char *rest = endpoint + sizeof scheme - 1;
    const char *colon = strrchr(endpoint, ':');
    unsigned port;
    char host[256];
    if (strncmp(endpoint, scheme, sizeof scheme - 1) != 0 || !colon || colon <= rest ||
        (size_t)(colon - rest) >= sizeof host || !parse_port(colon + 1, &port)) {
        return refuse(endpoint, ret_text, text_size);
    }
    memcpy(host, rest, (size_t)(colon - rest));
    host[colon - rest] = 0;
    /* libzmq takes "localhost" for the name of a network interface when it binds. */
    const char *bind_host = strcmp(host, "localhost") == 0 ? "127.0.0.1" : host;
    bool ipv6 = strcmp(host, "[::1]") == 0;
    if (!ipv6 && !is_loopback_v4(bind_host)) {
        snprintf(ret_text, text_size,
                 "refused to bind %.200s: connections are not authenticated yet, so the gateway "
                 "only listens on loopback; use 127.0.0.1, localhost or [::1]",
                 endpoint);
        return CAPSTAN_E_NOT_LOOPBACK;
    }
    if (port == 0) {
        snprintf(ret_bind, ENDPOINT_SIZE, "tcp://%s:*", bind_host);
    } else {
        snprintf(ret_bind, ENDPOINT_SIZE, "tcp://%s:%u", bind_host, port);
    }
    *ret_ipv6 = ipv6;
    return CAPSTAN_OK;
}

#include "brokers/gateway/endpoint.h"

#include <criterion/criterion.h>
#include <string.h>

Test(endpoint, accepts_loopback_only)
{
    static const struct {
        const char *endpoint;
        const char *bind_to; /* NULL: refused */
        capstan_err_t err;
    } rows[] = {
        {"tcp://127.0.0.1:7700", "tcp://127.0.0.1:7700", CAPSTAN_OK},
        {"tcp://127.0.0.1:0", "tcp://127.0.0.1:*", CAPSTAN_OK},
        {"tcp://127.0.0.1:*", "tcp://127.0.0.1:*", CAPSTAN_OK},
        {"tcp://127.255.1.2:1", "tcp://127.255.1.2:1", CAPSTAN_OK},
        {"tcp://localhost:7700", "tcp://127.0.0.1:7700", CAPSTAN_OK},
        {"tcp://[::1]:7700", "tcp://[::1]:7700", CAPSTAN_OK},
        {"tcp://0.0.0.0:7700", NULL, CAPSTAN_E_NOT_LOOPBACK},
        {"tcp://*:7700", NULL, CAPSTAN_E_NOT_LOOPBACK},
        {"tcp://10.0.0.1:7700", NULL, CAPSTAN_E_NOT_LOOPBACK},
        {"tcp://eth0:7700", NULL, CAPSTAN_E_NOT_LOOPBACK},
        {"tcp://[::]:7700", NULL, CAPSTAN_E_NOT_LOOPBACK},
        {"tcp://::1:7700", NULL, CAPSTAN_E_NOT_LOOPBACK},
        {"tcp://127.0.0.1.example.org:7700", NULL, CAPSTAN_E_NOT_LOOPBACK},
        {"tcp://127.1:7700", NULL, CAPSTAN_E_NOT_LOOPBACK},
        {"tcp://localhost.:7700", NULL, CAPSTAN_E_NOT_LOOPBACK},
        {"tcp://127.0.0.1;10.0.0.1:7700", NULL, CAPSTAN_E_NOT_LOOPBACK},
        {"tcp://127.0.0.1", NULL, CAPSTAN_E_INVALID},
        {"tcp://127.0.0.1:", NULL, CAPSTAN_E_INVALID},
        {"tcp://127.0.0.1:65536", NULL, CAPSTAN_E_INVALID},
        {"tcp://127.0.0.1:-1", NULL, CAPSTAN_E_INVALID},
        {"tcp://127.0.0.1:77x", NULL, CAPSTAN_E_INVALID},
        {"tcp://:7700", NULL, CAPSTAN_E_INVALID},
        {"ipc:///tmp/x:1", NULL, CAPSTAN_E_INVALID},
        {"tcp", NULL, CAPSTAN_E_INVALID},
        {"", NULL, CAPSTAN_E_INVALID},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char bind_to[ENDPOINT_SIZE] = "untouched";
        char text[512] = "";
        bool ipv6 = false;
        capstan_err_t err = endpoint_check(rows[i].endpoint, bind_to, &ipv6, text, sizeof text);
        cr_assert_eq(err, rows[i].err, "%s: %s", rows[i].endpoint, capstan_err_name(err));
        cr_assert_str_eq(bind_to, rows[i].bind_to ? rows[i].bind_to : "untouched", "%s",
                         rows[i].endpoint);
        cr_assert_eq(text[0] != 0, err != CAPSTAN_OK, "%s", rows[i].endpoint);
        cr_assert_eq(ipv6, strstr(rows[i].endpoint, "[::1]") != NULL);
    }
}

/* From the names of hosts to addresses. libpq would look them up by itself, but blocks for as long
 * as the name servers take; glibc's getaddrinfo_a does it on a thread of its own. */
#include "cli/doctor.h"

#include "runtime/base/clock.h"
#include "runtime/base/ensure.h"

#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* What libpq would take where the conninfo says nothing: service, environment, built in. */
typedef struct keywords {
    PQconninfoOption *given;
    PQconninfoOption *usual; /* NULL: out of memory; libpq will say so */
} keywords_t;

typedef struct place {
    const char *host;
    const char *address; /* NULL: a socket in a folder, or libpq's own business */
    const char *port;
} place_t;

static const char *find(const PQconninfoOption *option, const char *keyword)
{
    while (option && option->keyword && strcmp(option->keyword, keyword) != 0) {
        option++;
    }
    return option && option->val ? option->val : "";
}

static const char *find_in(const keywords_t *self, const char *keyword)
{
    const char *value = find(self->given, keyword);
    return *value ? value : find(self->usual, keyword);
}

static keywords_t keywords_of(const char *conninfo)
{
    keywords_t self = {.given = PQconninfoParse(conninfo, NULL)};
    ENSURE(self.given);
    /* PQconndefaults knows the service of the environment only. */
    const char *service = find(self.given, "service");
    if (*service) {
        ENSURE(setenv("PGSERVICE", service, 1) == 0);
    }
    self.usual = PQconndefaults();
    return self;
}

static void keywords_fini(keywords_t *self)
{
    PQconninfoFree(self->given);
    PQconninfoFree(self->usual);
}

/* --- conninfos ------------------------------------------------------------------------------- */

static void put(buffer_t *out, const char *keyword, const char *value)
{
    buffer_append(out, keyword, strlen(keyword));
    buffer_append(out, "='", 2);
    for (; *value; value++) {
        if (*value == '\'' || *value == '\\') {
            buffer_append(out, "\\", 1);
        }
        buffer_append(out, value, 1);
    }
    buffer_append(out, "' ", 2);
}

static bool is_place(const char *keyword)
{
    return strcmp(keyword, "host") == 0 || strcmp(keyword, "hostaddr") == 0 ||
           strcmp(keyword, "port") == 0;
}

/* `place` NULL: as it was given. */
static void add(doctor_addresses_t *self, const keywords_t *keywords, const place_t *place)
{
    if (self->count == DOCTOR_ADDRESSES_MAX) {
        return;
    }
    buffer_t text = {0};
    for (const PQconninfoOption *option = keywords->given; option->keyword; option++) {
        if (option->val && !(place && is_place(option->keyword))) {
            put(&text, option->keyword, option->val);
        }
    }
    if (place) {
        put(&text, "host", place->host);
        put(&text, "port", place->port);
    }
    if (place && place->address) {
        put(&text, "hostaddr", place->address);
    }
    buffer_append(&text, "", 1);
    self->conninfos[self->count++] = (char *)buffer_take(&text);
}

/* --- looking up ------------------------------------------------------------------------------ */

typedef struct lookup {
    struct gaicb request; /* first: freed by its address */
    struct addrinfo hints;
    char name[];
} lookup_t;

static lookup_t *lookup_start(const char *name)
{
    lookup_t *self = calloc(1, sizeof *self + strlen(name) + 1);
    ENSURE(self);
    memcpy(self->name, name, strlen(name) + 1);
    self->hints = (struct addrinfo){.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    self->request = (struct gaicb){.ar_name = self->name, .ar_request = &self->hints};
    struct gaicb *requests[] = {&self->request};
    ENSURE(getaddrinfo_a(GAI_NOWAIT, requests, 1, NULL) == 0);
    return self;
}

static bool lookup_wait(lookup_t *self, int64_t timeout_us)
{
    const struct gaicb *requests[] = {&self->request};
    int64_t until_us = clock_add_us(clock_us(CLOCK_MONOTONIC), timeout_us);
    int64_t left_us = timeout_us;
    while (gai_error(&self->request) == EAI_INPROGRESS && left_us > 0) {
        struct timespec left = {.tv_sec = left_us / 1000000, .tv_nsec = left_us % 1000000 * 1000};
        (void)gai_suspend(requests, 1, &left);
        left_us = until_us - clock_us(CLOCK_MONOTONIC);
    }
    return gai_error(&self->request) != EAI_INPROGRESS;
}

static void look_up(doctor_addresses_t *self, const keywords_t *keywords, const place_t *place,
                    int64_t timeout_us)
{
    lookup_t *lookup = lookup_start(place->host);
    char duration[DOCTOR_DURATION_BYTES];
    if (!lookup_wait(lookup, timeout_us)) {
        snprintf(self->wrong, sizeof self->wrong,
                 "the address of host \"%s\" was not found within %s", place->host,
                 doctor_duration(timeout_us, duration));
        return; /* the thread that still looks owns `lookup` until the process ends */
    }
    int number = gai_error(&lookup->request);
    if (number != 0) {
        snprintf(self->wrong, sizeof self->wrong, "the host \"%s\" is unknown (%s)", place->host,
                 gai_strerror(number));
        free(lookup);
        return;
    }
    for (struct addrinfo *at = lookup->request.ar_result; at; at = at->ai_next) {
        char address[NI_MAXHOST];
        if (getnameinfo(at->ai_addr, at->ai_addrlen, address, sizeof address, NULL, 0,
                        NI_NUMERICHOST) == 0) {
            add(self, keywords, &(place_t){place->host, address, place->port});
        }
    }
    freeaddrinfo(lookup->request.ar_result);
    free(lookup);
}

/* Item `index` of a list with commas; of a shorter list its last one. */
static char *item_of(const char *list, size_t index)
{
    for (; index > 0 && list[strcspn(list, ",")] == ','; index--) {
        list += strcspn(list, ",") + 1;
    }
    char *item = strndup(list, strcspn(list, ","));
    ENSURE(item);
    return item;
}

static size_t count_items(const char *list)
{
    size_t count = 1;
    for (; *list; list++) {
        count += *list == ',';
    }
    return count;
}

void doctor_addresses_find(const char *conninfo, int64_t timeout_us, doctor_addresses_t *ret_self)
{
    *ret_self = (doctor_addresses_t){.count = 0};
    keywords_t keywords = keywords_of(conninfo);
    const char *hosts = find_in(&keywords, "host");
    if (!*hosts || *find_in(&keywords, "hostaddr")) {
        add(ret_self, &keywords, NULL);
        keywords_fini(&keywords);
        return;
    }
    for (size_t i = 0; i < count_items(hosts); i++) {
        char *host = item_of(hosts, i);
        char *port = item_of(find_in(&keywords, "port"), i);
        place_t place = {.host = host, .port = port};
        if (*host == '/' || *host == '@' || !*host) {
            add(ret_self, &keywords, &place);
        } else {
            look_up(ret_self, &keywords, &place, timeout_us);
        }
        free(host);
        free(port);
    }
    keywords_fini(&keywords);
}

void doctor_addresses_fini(doctor_addresses_t *self)
{
    for (size_t i = 0; i < self->count; i++) {
        explicit_bzero(self->conninfos[i], strlen(self->conninfos[i])); /* passwords */
        free(self->conninfos[i]);
    }
    self->count = 0;
}

/* Looking up the names of hosts: see postgres_names.h. */
#include "runtime/postgres/postgres_names.h"

#include "runtime/base/buffer.h"
#include "runtime/base/ensure.h"
#include "runtime/base/thread.h"
#include "runtime/postgres/postgres_internal.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    HOSTS_MAX = 32,
    ADDRESSES_MAX = 64, /* of all hosts */
    LOOKUPS_MAX = 16,
    WHY_BYTES = 256,
    STACK_BYTES = 256 * 1024,
};

static _Atomic int lookups; /* under way in this process; relaxed */

/* Of the thread and of who asked; freed with the last. */
struct postgres_lookup {
    _Atomic int owners;
    _Atomic bool over; /* release and acquire: what follows is the asker's */
    int fd;
    char *host; /* as conninfo says, a list */
    char *port; /* NULL: as conninfo says, or one for all */
    size_t address_count;
    buffer_t hosts; /* of libpq's three lists; the thread's until it is over */
    buffer_t hostaddrs;
    buffer_t ports;
    char why[WHY_BYTES];
};

/* --- lists ----------------------------------------------------------------------------------- */

/* The next element of a list with commas; false: there is no more. */
static bool next_element(const char **list, slice_t *ret_element)
{
    if (!*list) {
        return false;
    }
    size_t size = strcspn(*list, ",");
    *ret_element = slice_of(*list, size);
    *list = (*list)[size] == ',' ? *list + size + 1 : NULL;
    return true;
}

static size_t count_elements(const char *list)
{
    size_t count = 0;
    for (slice_t element; next_element(&list, &element);) {
        count++;
    }
    return count;
}

static void add_element(buffer_t *list, bool first, slice_t element)
{
    buffer_append(list, ",", first ? 0 : 1);
    buffer_append(list, element.data, element.size);
}

static bool copy_element(slice_t element, char *out, size_t size)
{
    snprintf(out, size, "%.*s", (int)element.size, (const char *)element.data);
    return element.size < size;
}

static bool is_address(const char *host)
{
    struct in6_addr address;
    return inet_pton(AF_INET, host, &address) == 1 || inet_pton(AF_INET6, host, &address) == 1 ||
           strchr(host, '%');
}

static bool is_socket(const char *host)
{
    return host[0] == '\0' || host[0] == '/' || host[0] == '@';
}

/* --- the thread ------------------------------------------------------------------------------ */

static void give_back(postgres_lookup_t *self)
{
    if (atomic_fetch_sub_explicit(&self->owners, 1, memory_order_acq_rel) > 1) {
        return;
    }
    close(self->fd);
    atomic_fetch_sub_explicit(&lookups, 1, memory_order_relaxed);
    buffer_fini(&self->hosts);
    buffer_fini(&self->hostaddrs);
    buffer_fini(&self->ports);
    free(self->host);
    free(self->port);
    free(self);
}

static void add_address(postgres_lookup_t *self, slice_t host, const char *address, slice_t port)
{
    bool first = self->address_count++ == 0;
    add_element(&self->hosts, first, host);
    add_element(&self->hostaddrs, first, slice_text(address));
    add_element(&self->ports, first, port);
}

static void look_up_host(postgres_lookup_t *self, slice_t element, slice_t port)
{
    char host[NI_MAXHOST];
    char address[NI_MAXHOST];
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    if (!copy_element(element, host, sizeof host)) {
        snprintf(self->why, sizeof self->why, "the name of a host is too long");
        return;
    }
    if (is_socket(host)) {
        add_address(self, element, "", port);
        return;
    }
    int rc = getaddrinfo(host, NULL, &hints, &found);
    if (rc != 0 && self->why[0] == '\0') {
        snprintf(self->why, sizeof self->why, "the host \"%.160s\" is unknown (%s)", host,
                 gai_strerror(rc));
    }
    for (const struct addrinfo *at = rc == 0 ? found : NULL;
         at && self->address_count < ADDRESSES_MAX; at = at->ai_next) {
        if (getnameinfo(at->ai_addr, at->ai_addrlen, address, sizeof address, NULL, 0,
                        NI_NUMERICHOST) == 0) {
            add_address(self, element, address, port);
        }
    }
    if (rc == 0) {
        freeaddrinfo(found);
    }
}

static void *look_up(void *argument)
{
    postgres_lookup_t *self = argument;
    const char *hosts = self->host;
    const char *ports = self->port;
    slice_t host;
    slice_t port = {0};
    while (next_element(&hosts, &host)) {
        (void)next_element(&ports, &port);
        look_up_host(self, host, port);
    }
    buffer_append(&self->hosts, "", 1);
    buffer_append(&self->hostaddrs, "", 1);
    buffer_append(&self->ports, "", 1);
    atomic_store_explicit(&self->over, true, memory_order_release);
    (void)!write(self->fd, &(uint64_t){1}, sizeof(uint64_t));
    give_back(self);
    return NULL;
}

/* --- whoever asks ---------------------------------------------------------------------------- */

static const char *given_or_environment(const postgres_target_t *target, const char *keyword,
                                        const char *variable)
{
    const char *given = postgres_given(target, keyword);
    given = given && given[0] ? given : getenv(variable);
    return given && given[0] ? given : NULL;
}

static bool has_names(const char *hosts)
{
    char host[NI_MAXHOST];
    bool names = false;
    for (slice_t element; next_element(&hosts, &element);) {
        names = names || !copy_element(element, host, sizeof host) ||
                (!is_socket(host) && !is_address(host));
    }
    return names;
}

/* The list of hosts; NULL: libpq needs no help with it, or its lists do not fit together, which it
 * says itself. */
static const char *hosts_of(const postgres_target_t *target, const char **ret_port)
{
    const char *host = given_or_environment(target, "host", "PGHOST");
    const char *port = given_or_environment(target, "port", "PGPORT");
    if (!host || given_or_environment(target, "hostaddr", "PGHOSTADDR") ||
        given_or_environment(target, "service", "PGSERVICE") || !has_names(host)) {
        return NULL;
    }
    size_t hosts = count_elements(host);
    size_t ports = count_elements(port);
    *ret_port = ports > 1 ? port : NULL;
    return hosts > HOSTS_MAX || (ports > 1 && ports != hosts) ? NULL : host;
}

bool postgres_has_names(const postgres_target_t *target)
{
    const char *port;
    return hosts_of(target, &port);
}

/* A name server that says nothing must not cost a thread for each question. */
static int open_lookup(void)
{
    if (atomic_fetch_add_explicit(&lookups, 1, memory_order_relaxed) < LOOKUPS_MAX) {
        int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        if (fd >= 0) {
            return fd;
        }
    }
    atomic_fetch_sub_explicit(&lookups, 1, memory_order_relaxed);
    return -1;
}

postgres_lookup_t *postgres_look_up(const postgres_target_t *target)
{
    const char *port = NULL;
    const char *host = hosts_of(target, &port);
    int fd = host ? open_lookup() : -1;
    if (fd < 0) {
        return NULL;
    }
    postgres_lookup_t *self = calloc(1, sizeof *self);
    ENSURE(self);
    self->fd = fd;
    self->owners = 2;
    self->host = strdup(host);
    self->port = port ? strdup(port) : NULL;
    ENSURE(self->host && (self->port || !port));
    pthread_t thread;
    if (!thread_start(
            &(thread_options_t){
                .name = "names", .stack_bytes = STACK_BYTES, .run = look_up, .argument = self},
            &thread)) {
        self->owners = 1;
        postgres_lookup_drop(&self);
        return NULL;
    }
    pthread_detach(thread);
    return self;
}

int postgres_lookup_fd(const postgres_lookup_t *self)
{
    return self->fd;
}

void postgres_lookup_drop(postgres_lookup_t **self_p)
{
    if (*self_p) {
        give_back(*self_p);
        *self_p = NULL;
    }
}

/* --- what libpq gets ------------------------------------------------------------------------- */

/* A copy whose first elements, so many, stand behind the others. */
static char *rotate(const char *list, size_t skip)
{
    const char *behind = list;
    slice_t element;
    for (size_t i = 0; i < skip; i++) {
        (void)next_element(&behind, &element);
    }
    char *copy;
    if (skip == 0) {
        copy = strdup(list);
        ENSURE(copy);
    } else {
        ENSURE(asprintf(&copy, "%s,%.*s", behind, (int)(behind - list - 1), list) >= 0);
    }
    return copy;
}

static char *rotate_if(const char *list, size_t count, size_t skip)
{
    return list && count_elements(list) == count ? rotate(list, skip % count) : NULL;
}

/* Nothing, unless something is to be skipped: libpq finds what the target says by itself. */
static void rotate_given(const postgres_target_t *target, size_t skip,
                         postgres_addresses_t *ret_self)
{
    const char *host = given_or_environment(target, "host", "PGHOST");
    const char *hostaddr = given_or_environment(target, "hostaddr", "PGHOSTADDR");
    size_t count = count_elements(host ? host : hostaddr);
    if (count > 1 && skip % count > 0) {
        ret_self->host = rotate_if(host, count, skip);
        ret_self->hostaddr = rotate_if(hostaddr, count, skip);
        ret_self->port = rotate_if(given_or_environment(target, "port", "PGPORT"), count, skip);
    }
}

size_t postgres_place_count(const postgres_target_t *target, const postgres_lookup_t *lookup)
{
    const char *host = given_or_environment(target, "host", "PGHOST");
    const char *hostaddr = given_or_environment(target, "hostaddr", "PGHOSTADDR");
    ENSURE(!lookup || atomic_load_explicit(&lookup->over, memory_order_acquire));
    size_t count = lookup ? lookup->address_count : count_elements(host ? host : hostaddr);
    return count > 0 ? count : 1;
}

void postgres_addresses(const postgres_target_t *target, const postgres_lookup_t *lookup,
                        size_t skip, postgres_addresses_t *ret_self)
{
    *ret_self = (postgres_addresses_t){0};
    if (!lookup) {
        rotate_given(target, skip, ret_self);
        return;
    }
    ENSURE(atomic_load_explicit(&lookup->over, memory_order_acquire));
    size_t count = lookup->address_count;
    if (count == 0) {
        ret_self->why = lookup->why[0] ? lookup->why : "the host has no address";
        return;
    }
    ret_self->host = rotate((const char *)lookup->hosts.data, skip % count);
    ret_self->hostaddr = rotate((const char *)lookup->hostaddrs.data, skip % count);
    ret_self->port = lookup->port ? rotate((const char *)lookup->ports.data, skip % count) : NULL;
}

void postgres_addresses_fini(postgres_addresses_t *self)
{
    free(self->host);
    free(self->hostaddr);
    free(self->port);
    *self = (postgres_addresses_t){0};
}

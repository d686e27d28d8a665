/* Looking up the names of a target's hosts: it may take as long as it likes, on a thread of its
 * own, and nobody waits for it who does not want to. What libpq gets afterwards are addresses, so
 * that it blocks nowhere. Internal to the library.
 *
 *   lookup = postgres_look_up(target)
 *   wait for postgres_lookup_fd(lookup) to be readable, and not longer than one wants to
 *   connection = postgres_begin(target, lookup, ...)
 *   postgres_lookup_drop(&lookup)
 *
 * A host with several addresses is tried at all of them, in the order that the system gives. */
#ifndef POSTGRES_POSTGRES_NAMES_H
#define POSTGRES_POSTGRES_NAMES_H

#include "runtime/postgres/postgres_link.h"

/* False: no name is to be looked up (addresses, sockets, a service file, which libpq reads itself,
 * or lists that do not fit together, which it says itself). */
bool postgres_has_names(const postgres_target_t *target);
/* NULL: there is no thread to be had, or 16 look-ups are under way in the process. */
postgres_lookup_t *postgres_look_up(const postgres_target_t *target);
int postgres_lookup_fd(const postgres_lookup_t *self);
/* Also while it is under way. NULL is accepted. */
void postgres_lookup_drop(postgres_lookup_t **self_p);

/* For postgres_begin, when it is over: libpq's host, hostaddr and port; or why there are none. */
typedef struct postgres_addresses {
    char *host; /* lists; NULL: as the target says */
    char *hostaddr;
    char *port;
    const char *why; /* there are none; the look-up's. NULL: there are */
} postgres_addresses_t;

/* How many places libpq would try, one after the other. `lookup` may be NULL. */
size_t postgres_place_count(const postgres_target_t *target, const postgres_lookup_t *lookup);
/* `lookup` may be NULL: then what the target says, all NULL if it names no hosts. The first `skip`
 * stand behind the others. */
void postgres_addresses(const postgres_target_t *target, const postgres_lookup_t *lookup,
                        size_t skip, postgres_addresses_t *ret_self);
void postgres_addresses_fini(postgres_addresses_t *self);

#endif

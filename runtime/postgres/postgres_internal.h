/* What the parts of the link share. Internal to postgres/. */
#ifndef POSTGRES_POSTGRES_INTERNAL_H
#define POSTGRES_POSTGRES_INTERNAL_H

#include "runtime/postgres/postgres_link.h"

struct postgres_target {
    char *password_file;
    char *options; /* conninfo's, or the environment's, and statement_timeout; NULL: neither */
    PQconninfoOption *given;
    char *name;
    postgres_role_t role;
};

/* What conninfo says of a keyword; NULL: nothing. */
const char *postgres_given(const postgres_target_t *target, const char *keyword);

#endif

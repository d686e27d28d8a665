/* The options that say which sagas are meant. */
#ifndef CLI_SAGA_FILTER_H
#define CLI_SAGA_FILTER_H

#include "cli/options.h"
#include "runtime/base/buffer.h"

typedef struct saga_filter_options {
    const char *state;
    const char *outcome;
    const char *definition;
    uint64_t version;
    const char *key;
    const char *attribute; /* NAME=VALUE */
    const char *since;
    const char *until;
} saga_filter_options_t;

#define SAGA_FILTER_TEXT(option, what, field, says)                                                \
    {                                                                                              \
        .name = (option), .argument = (what), .type = OPTION_TEXT, .target.text = &(field),        \
        .meaning = (says)                                                                          \
    }
#define SAGA_FILTER_OPTIONS(chosen)                                                                \
    SAGA_FILTER_TEXT("state", "STATE", (chosen).state,                                             \
                     "only in this state, for example RUNNING or PARKED"),                         \
        SAGA_FILTER_TEXT("outcome", "LABEL", (chosen).outcome, "only with this outcome"),          \
        SAGA_FILTER_TEXT("definition", "NAME", (chosen).definition, "only of this definition"),    \
        {.name = "version",                                                                        \
         .argument = "N",                                                                          \
         .type = OPTION_UINT,                                                                      \
         .minimum = 1,                                                                             \
         .target.number = &(chosen).version,                                                       \
         .meaning = "only of this version of it"},                                                 \
        SAGA_FILTER_TEXT("key", "K", (chosen).key, "only with this business key"),                 \
        SAGA_FILTER_TEXT("attribute", "NAME=VALUE", (chosen).attribute,                            \
                         "only with this value of an attribute"),                                  \
        SAGA_FILTER_TEXT("since", "TIME", (chosen).since,                                          \
                         "only started then or later: a time, or an age such as 2h"),              \
        SAGA_FILTER_TEXT("until", "TIME", (chosen).until, "only started before")

/* Appends the record `saga_filter`, or nothing when none of the options was given. Returns
 * OPTIONS_RUN, or prints what is wrong and returns EXIT_USAGE. */
int saga_filter_encode(const command_line_t *line, const saga_filter_options_t *chosen,
                       int64_t now_us, buffer_t *out);

#endif

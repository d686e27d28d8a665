/* Where `capstan tail` begins: its --from options, and the fields of `subscribe` that they mean. */
#ifndef CLI_TAIL_FROM_H
#define CLI_TAIL_FROM_H

#include "actors/ordering/ordering_messages.h"
#include "cli/options.h"

enum { TAIL_PARTITIONS_MAX = 256 }; /* of a topic */

typedef struct tail_from {
    uint64_t from; /* as in `subscribe` */
    int64_t time_us;
    const char *group;
    bool named[TAIL_PARTITIONS_MAX];      /* a place of its own was given */
    uint64_t behind[TAIL_PARTITIONS_MAX]; /* this offset */
} tail_from_t;

/* WHERE is earliest, latest, a time, group:NAME, or P:N for the offset N of the partition P, which
 * may be given for several partitions beside one of the others. Returns false and writes what is
 * wrong with which. */
bool tail_from_parse(const option_list_t *given, tail_from_t *ret_from, char *ret_text,
                     size_t text_size);

#endif

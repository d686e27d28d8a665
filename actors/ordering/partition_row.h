/* What opens everything of a partition that has a row in the snapshot. Internal to its core. */
#ifndef ORDERING_PARTITION_ROW_H
#define ORDERING_PARTITION_ROW_H

#include <stdbool.h>
#include <stdint.h>

typedef enum row_kind {
    ROW_PARTITION,
    ROW_PRODUCER,
    ROW_KEY,
    ROW_SKIP,
    ROW_ID,
    ROW_SCHEDULED,
} row_kind_t;

/* Opens everything that has a row in the snapshot. Packed with what its owner needs of small
 * things, because there is one per key. */
typedef struct row {
    struct row *changed_next;
    uint32_t name_size; /* of the producer's name or of the key */
    uint8_t kind;       /* row_kind_t */
    uint8_t phase;      /* of a key: key_phase_t; changed by key_step only */
    uint8_t pass;       /* the number, modulo 256, of the one that handed it out last */
    bool changed : 1;   /* it is in the list of changed rows */
    bool skipped : 1;   /* of a key: it has rows in the skip ledger */
    bool used : 1;      /* of a key: it has changed since the hand went over it */
} row_t;

#endif

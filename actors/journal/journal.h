/* The journal: the actor that writes the store's log, and the one that reads it.
 *
 * Each lives on a cell of its own, since SQLite blocks: "journal" and "journal-reader". Each is
 * given its store handle at spawn, opened before, and closes it at its end; the reader's is
 * read-only. The messages are in journal_messages.def. */
#ifndef JOURNAL_JOURNAL_H
#define JOURNAL_JOURNAL_H

#include "actors/journal/store.h"

#include <capstan/actor.h>

typedef struct journal_arguments {
    store_t *store;            /* taken over */
    uint64_t commit_bytes_max; /* bytes of records in one commit at most, about; 0: 4 MiB */
} journal_arguments_t;

typedef struct journal_reader_arguments {
    store_t *store; /* taken over; opened with read_only */
} journal_reader_arguments_t;

extern const capstan_behaviour_t journal_behaviour;
extern const capstan_behaviour_t journal_reader_behaviour;

#endif

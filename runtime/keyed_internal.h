/* A kind of keyed actors, as keyed.c and keyed_keeper.c see it. */
#ifndef RUNTIME_KEYED_INTERNAL_H
#define RUNTIME_KEYED_INTERNAL_H

#include "runtime/cell.h"
#include "runtime/keyed.h"

enum { KEEPERS_MAX = 32 };

struct capstan_keyed {
    capstan_keyed_t *next; /* of the node's kinds */
    char name[NAME_BYTES_MAX + 1];
    capstan_keyed_options_t options;
    capstan_ref_t keepers[KEEPERS_MAX];
    uint32_t keeper_count;
    _Atomic bool ready; /* all keepers run */
    /* Figures, added to by the keepers; relaxed: they guard nothing. */
    _Atomic uint64_t keys;
    _Atomic uint64_t awake;
    _Atomic uint64_t wakes;
    _Atomic uint64_t rests;
    _Atomic uint64_t refused;
};

extern const capstan_behaviour_t keeper_behaviour;

#endif

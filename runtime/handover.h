/* What other threads hand to a cell: commands of the node, and messages. Internal to runtime/. */
#ifndef RUNTIME_HANDOVER_H
#define RUNTIME_HANDOVER_H

#include "runtime/waiter.h"
#include "runtime/local_actor.h"

typedef enum command_kind {
    COMMAND_SPAWN,
    COMMAND_STOP_ACTOR,
    COMMAND_STOP_INTAKE, /* tell every actor */
    COMMAND_FENCE,       /* say when it was seen, and when the cell had nothing left to do */
    COMMAND_READY,       /* nothing but that the cell has begun */
    COMMAND_MOVE,        /* these three: see move.h */
    COMMAND_MOVE_IN,
    COMMAND_MOVE_END,
    COMMAND_STOP_ALL, /* stop every actor that is left, and what is still started */
    COMMAND_END,      /* leave the loop; no actor is left on any cell */
} command_kind_t;

typedef struct command {
    struct command *next;
    command_kind_t kind;
    adoption_t adoption; /* COMMAND_SPAWN */
    waiter_t *waiter;
    slot_t *slot;        /* COMMAND_STOP_ACTOR, COMMAND_MOVE... */
    uint32_t generation; /* of the slot's actor; COMMAND_FENCE: its number */
    int64_t timeout_us;
    cell_t *to;        /* COMMAND_MOVE */
    struct move *move; /* COMMAND_MOVE_IN */
} command_t;

/* A message from a foreign thread, malloc'ed, freed by the cell. */
struct foreign {
    capstan_ref_t target;
    uint32_t message;
    waiter_t *waiter;    /* an ask */
    int64_t deadline_us; /* of an ask */
    size_t size;
    uint8_t body[];
};

#endif

/* What is going to happen in a simulated world, by time: a binary heap. Steps of the same instant
 * happen in the order in which they were planned. A pure core. */
#ifndef SIMULATION_AGENDA_H
#define SIMULATION_AGENDA_H

#include <capstan/simulation.h>

typedef enum step_kind {
    STEP_TURN,   /* of a cell */
    STEP_PARCEL, /* a batch comes to a cell of its node */
    STEP_PACKET, /* a batch comes from another node */
    STEP_START,  /* of a node that was down */
    STEP_CRASH,  /* of a node that could not crash at once */
    STEP_FAULTS, /* it is decided what goes wrong */
    STEP_CALL,   /* of a function of the scenario */
} step_kind_t;

typedef struct step {
    int64_t at_us;
    uint64_t number;
    step_kind_t kind;
    uint32_t machine;
    uint32_t boot; /* the node's, when the step was planned */
    uint32_t cell;
    uint64_t plan; /* STEP_TURN: the cell's plan that it belongs to */
    void *data;    /* parcel, packet, or the context of a call */
    capstan_simulation_call_fn *call;
} step_t;

typedef struct agenda {
    step_t *steps;
    size_t count;
    size_t capacity;
    uint64_t number;
} agenda_t;

/* A zeroed one is empty and ready for use. */
void agenda_fini(agenda_t *self);
void agenda_plan(agenda_t *self, step_t step);
/* The next step; false when there is none. */
bool agenda_take(agenda_t *self, step_t *ret_step);
/* INT64_MAX: never. */
int64_t agenda_next_us(const agenda_t *self);

#endif

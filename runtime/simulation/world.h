/* A simulated world as its own files see it.
 *
 *   world --> agenda of steps, by time
 *     |        turn --> cell_turn() of a real cell, on the platform of simulated_platform.c
 *     |        parcel --> inbox of a cell             from another cell of its node, in order
 *     |        packet --> network.c --> parcels       from another node, as the faults say
 *     |        start, crash, faults, call
 *     +--> machines: what outlives a node's crash: its name, clocks, disk, place in the network
 *             |
 *             node (NULL while it is down) --> cells, each with a seat: its inbox, its next turn
 *
 * One file per concern: world.c (the loop), machine.c (a node's life, its clocks), network.c,
 * faults.c (what goes wrong by itself), disk.c, accounts.c (what is looked at after the steps),
 * check.c (many seeds). */
#ifndef SIMULATION_WORLD_H
#define SIMULATION_WORLD_H

#include "runtime/node_internal.h"
#include "runtime/simulation/agenda.h"
#include "runtime/simulation/decisions.h"

#include <setjmp.h>

enum {
    MACHINES_MAX = CAPSTAN_SIMULATION_NODES_MAX,
    MACHINE_NAME_SIZE = 32,
    FAILURE_SIZE = 512,
    FAULTS_EVERY_US = 10000,
    NETWORK_SEAT = CELLS_MAX, /* what comes from the network counts as from this cell */
};

typedef struct machine machine_t;

/* A batch on its way to a cell, or in its inbox. */
typedef struct parcel {
    struct parcel *next;
    block_t *block;
    slice_t batch; /* in the block */
} parcel_t;

/* A batch on its way to another node. */
typedef struct packet {
    uint32_t from;
    size_t size;
    uint8_t bytes[];
} packet_t;

/* A cell's place in the world. */
typedef struct seat {
    machine_t *machine;
    cell_t *cell;
    parcel_t *inbox_head;
    parcel_t *inbox_tail;
    int64_t turn_us;  /* when its next turn is planned; INT64_MAX: not at all */
    uint64_t plan;    /* of that turn; earlier plans are void */
    bool active;      /* the turn is for work, not for a timer: counted in the world */
    int64_t free_us;  /* its last turn takes so long */
    int64_t delay_us; /* what its running turn has to wait for */
    int64_t last_us[CELLS_MAX + 1]; /* when the last parcel of each cell arrives */
    jmp_buf escape;                 /* out of the handler that hangs */
} seat_t;

typedef struct disk {
    struct disk_file *files;
    size_t file_count;
} disk_t;

struct machine {
    capstan_simulation_t *world;
    uint32_t index;
    char name[MACHINE_NAME_SIZE];
    capstan_simulation_start_fn *start;
    void *context;
    capstan_node_options_t options;
    capstan_node_t *node; /* NULL: it is down */
    uint32_t boot;
    bool settled; /* false while it is being started or stopped: it does not crash then */

    /* Its monotonic clock showed `clock_ns` at `clock_from_us`, and gains `drift_ppm` since. */
    int64_t clock_from_us;
    int64_t clock_ns;
    int64_t drift_ppm;
    int64_t utc_offset_us;
    int64_t paused_until_us;
    int64_t cut_until_us[MACHINES_MAX];

    struct {
        buffer_t buffer; /* what the running turn has for another node */
        batch_writer_t writer;
    } egress[MACHINES_MAX];
    disk_t disk;
};

typedef struct watcher {
    capstan_simulation_when_t when;
    capstan_simulation_call_fn *predicate;
    void *context;
} watcher_t;

struct capstan_simulation {
    decisions_t decisions;
    agenda_t agenda;
    int64_t now_us;
    uint64_t hash;
    capstan_simulation_figures_t figures;
    uint64_t steps_max;
    int64_t spread_us;
    FILE *trace;
    capstan_simulation_faults_t faults;
    bool faults_planned;
    machine_t *machines[MACHINES_MAX];
    uint32_t machine_count;
    seat_t *turning; /* the one whose turn runs */
    bool crashing;   /* what is sent goes nowhere */
    uint64_t active; /* steps that are work: parcels, packets, starts, turns that are no timer's */
    uint64_t looked_at; /* the step after which the mailboxes were looked at last */
    bool rested;        /* the predicates of rest have looked since */
    bool watching;      /* a predicate looks */
    watcher_t *watchers;
    size_t watcher_count;
    char failure[FAILURE_SIZE];
};

/* world.c. The step is taken whatever has failed before; false when there is none. */
bool world_step(capstan_simulation_t *self);
void world_plan(capstan_simulation_t *self, step_t step);
void world_mix_bytes(capstan_simulation_t *self, slice_t bytes);
uint64_t world_decide(capstan_simulation_t *self, decision_kind_t kind, uint32_t a, uint32_t b,
                      odds_t odds);

/* simulated_platform.c */
extern const platform_t simulated_platform;
/* Returns how many messages were handled. */
uint64_t seat_turn(seat_t *self);
void seat_arrive(seat_t *self, parcel_t *parcel);
/* Plans its next turn anew: the clock has changed, or the machine goes on after a pause. */
void seat_replan(seat_t *self);
/* A batch from the cell of that number goes to this one. */
void seat_send(seat_t *self, uint32_t from, slice_t batch);
void parcel_free(parcel_t *self);

/* machine.c */
machine_t *machine_of(const capstan_node_t *node);
int64_t machine_now_ns(const machine_t *self);
int64_t machine_utc_us(const machine_t *self);
/* When its clock will show that. */
int64_t machine_when_us(const machine_t *self, int64_t clock_us);
void machine_start(machine_t *self);
void machine_crash(machine_t *self, int64_t down_us);
void machine_pause(machine_t *self, int64_t time_us);
/* How much faster its monotonic clock is from now on. */
void machine_set_drift(machine_t *self, int64_t drift_ppm);
void machine_end(machine_t *self);
void machine_destroy(machine_t **self_p);

/* network.c */
uint64_t network_id(uint32_t machine);
capstan_err_t network_send(cell_t *from, const capstan_message_t *message);
capstan_err_t network_resolve(capstan_simulation_t *self, const char *name, capstan_ref_t *ret_ref);
/* Sends off what the turn that has just ended gathered. */
void network_flush(machine_t *self);
void network_arrive(machine_t *self, packet_t *packet);
void network_cut(capstan_simulation_t *self, uint64_t nodes, int64_t time_us);

/* faults.c */
void faults_decide(capstan_simulation_t *self);
void faults_set_drift(machine_t *machine);

/* disk.c */
void disk_crash(machine_t *self);
void disk_fini(disk_t *self);

/* accounts.c: what holds between any two steps, and at rest. */
void accounts_look(capstan_simulation_t *self, bool at_rest);

static inline cell_t *machine_cell(const machine_t *self, uint32_t index)
{
    return self->node && index < self->node->cell_count ? node_cell_at(self->node, index) : NULL;
}

#endif

/* A pool in virtual time: borrowers, a server that fails in all its ways, a shell that connects and
 * asks, and an operator. The rules are the real ones (actors/pool/pool.h); all others are models
 * that know nothing of them. */
#ifndef SIMULATION_POOL_WORLD_H
#define SIMULATION_POOL_WORLD_H

#include "actors/pool/pool.h"
#include "runtime/simulation/random.h"

enum {
    SIM_BORROWERS = 40,
    SIM_CONNECTIONS = 4096, /* over a world's time */
    SIM_LEAK_US = 700000,
};

/* What a server does with a packet. */
typedef enum sim_server {
    SIM_UP,
    SIM_DOWN,     /* refuses at once */
    SIM_SILENT,   /* swallows it */
    SIM_NO_ENTRY, /* answers, and lets nobody in */
    SIM_SERVER_COUNT,
} sim_server_t;

/* A connection, or the attempt to make one. */
typedef struct sim_connection {
    pool_place_t *place;
    int64_t due_us; /* what is under way ends; INT64_MAX: never */
    int64_t made_us;
    bool asked;
    bool stands;
    bool dead;  /* the server's end has gone */
    bool dirty; /* a borrower left something */
    bool used;  /* since it was last cleaned */
} sim_connection_t;

typedef struct sim_borrower {
    pool_waiter_t waiter;
    bool waits;
    uint64_t ticket; /* in the order of arrival */
    int64_t deadline_us;
    uint64_t again_round; /* of waking up in which he came back to wait; 0: never */
    pool_place_t *place;  /* he has it */
    uint64_t lease;
    int64_t taken_us;
    int64_t gives_us;
    bool leak_told;
    pool_place_t *former; /* given back, and tried once more */
    uint64_t former_lease;
} sim_borrower_t;

typedef struct pool_sim_figures {
    uint64_t takes;
    uint64_t waits;
    uint64_t refused[4]; /* exhausted, paused, by the server, stopping */
    uint64_t dirty;
    uint64_t doubles;
    uint64_t again;
    uint64_t leaks;
    uint64_t outages;
    uint64_t called_off;
    uint64_t steps[POOL_STATE_COUNT][POOL_INPUT_COUNT];
} pool_sim_figures_t;

typedef struct pool_world {
    pool_t *pool;
    pool_limits_t limits;
    random_source_t random;
    int64_t now_us;
    int64_t tick_us;
    uint32_t size_max;
    int64_t connect_us_max; /* what the server takes to let somebody in */
    sim_server_t server;
    int64_t server_us;   /* since when */
    int64_t fault_us;    /* a connection died, the pool was paused, recycled or resized */
    int64_t enough_us;   /* as many stood as should */
    int64_t idle_us;     /* as many were idle as should, or no more can be */
    capstan_err_t cause; /* of the last attempt that failed; 0: one succeeded since */
    sim_connection_t *connections[POOL_SIZE_MAX]; /* by place */
    sim_borrower_t borrowers[SIM_BORROWERS];
    size_t borrower_count;
    uint64_t tickets;
    uint64_t round;     /* of waking up */
    uint64_t over_size; /* connections that are there because `size` was larger */
    bool trace;
    const char *failed; /* the predicate */
    char failure[256];
    pool_sim_figures_t figures;
} pool_world_t;

pool_world_t *pool_world_new(uint64_t seed, bool trace);
void pool_world_run(pool_world_t *self);
void pool_world_destroy(pool_world_t **self_p);
__attribute__((format(printf, 3, 4))) void pool_fail(pool_world_t *self, const char *predicate,
                                                     const char *format, ...);

/* pool_predicates.c */
void predicate_of_service(pool_world_t *world, const sim_borrower_t *borrower);
void predicate_of_refusal(pool_world_t *world, const sim_borrower_t *borrower);
void predicate_of_state(pool_world_t *world);

#endif

/* What must hold of a pool, by what the models know.
 *
 * P1: as many connections as may be, and waiters are served in the order in which they came.
 * P2: each that gets none is told the right reason.
 * P3: within a second of the server's return the pool has what it should have, and serves.
 * P4: nothing of a borrower's is left in what the next one gets.
 * P5: what is given back twice is refused, and what is not given back is told once. */
#include "runtime/base/ensure.h"
#include "tests/simulation/pool_world.h"

#include <inttypes.h>

enum {
    RETURN_US = 1000000,
    IDLE_US = 5000000, /* until idle_min are idle, though others take */
};

static sim_connection_t *connection_of(const pool_world_t *world, const pool_place_t *place)
{
    return world->connections[pool_number(world->pool, place)];
}

void predicate_of_service(pool_world_t *world, const sim_borrower_t *borrower)
{
    const sim_connection_t *connection = connection_of(world, borrower->place);
    if (!connection || !connection->stands) {
        pool_fail(world, "P4", "a borrower gets a place without a connection");
        return;
    }
    if (connection->dirty || (connection->used && world->limits.clean_always)) {
        pool_fail(world, "P4", "a borrower gets what another one left");
    }
    for (size_t i = 0; i < world->borrower_count; i++) {
        const sim_borrower_t *other = &world->borrowers[i];
        bool back = other->again_round == world->round; /* and was not there when it was decided */
        if (other->waits && !back && other->ticket < borrower->ticket) {
            pool_fail(world, "P1", "number %" PRIu64 " is served before number %" PRIu64,
                      borrower->ticket, other->ticket);
        }
        if (other != borrower && other->place == borrower->place) {
            pool_fail(world, "P1", "two have the same connection");
        }
    }
    if (pool_mode(world->pool) != POOL_MODE_OPEN) {
        pool_fail(world, "P2", "a pool that is not open serves");
    }
}

static uint64_t count_taken(const pool_world_t *world)
{
    uint64_t count = 0;
    for (size_t i = 0; i < world->borrower_count; i++) {
        count += world->borrowers[i].place != NULL;
    }
    return count;
}

static uint64_t count_standing(const pool_world_t *world)
{
    uint64_t count = 0;
    for (size_t i = 0; i < POOL_SIZE_MAX; i++) {
        count += world->connections[i] && world->connections[i]->stands;
    }
    return count;
}

void predicate_of_refusal(pool_world_t *world, const sim_borrower_t *borrower)
{
    capstan_err_t err = borrower->waiter.err;
    capstan_err_t wanted = err;
    if (pool_mode(world->pool) == POOL_MODE_CLOSED) {
        wanted = CAPSTAN_E_STOPPING;
    } else if (pool_mode(world->pool) == POOL_MODE_PAUSED) {
        wanted = CAPSTAN_E_POOL_PAUSED;
    } else if (count_taken(world) >= world->limits.size) {
        wanted = CAPSTAN_E_POOL_EXHAUSTED;
    } else if (count_standing(world) == 0) {
        wanted = world->cause ? world->cause : CAPSTAN_E_CONNECT_TIMEOUT;
    }
    if (err != wanted) {
        pool_fail(world, "P2", "it is told %s in place of %s", capstan_err_name(err),
                  capstan_err_name(wanted));
    }
}

/* Undisturbed for a second, and for as long as the server takes to let them in, so many at a time.
 * A pool that has no place for another attempt beside one that hangs may wait for its end, until it
 * has seen how long an answer takes. */
static bool is_quiet(const pool_world_t *world)
{
    bool small = world->limits.size <= POOL_STUCK_MAX;
    int64_t longer_us = small ? 1000000 : 0; /* each fourth attempt is given longer */
    int64_t rounds = 3 + world->limits.idle_min / POOL_OPENING_MAX; /* some expire meanwhile */
    bool never = pool_figures(world->pool, world->now_us).opened == 0;
    int64_t since_us = world->server_us > world->fault_us ? world->server_us : world->fault_us;
    since_us = since_us > world->enough_us ? since_us : world->enough_us;
    return world->server == SIM_UP && !(small && never) &&
           pool_mode(world->pool) == POOL_MODE_OPEN &&
           world->now_us - since_us > RETURN_US + longer_us + rounds * world->connect_us_max;
}

static void check_return(pool_world_t *world)
{
    uint64_t standing = count_standing(world);
    if (standing > 0 && standing >= world->limits.idle_min) {
        world->enough_us = world->now_us;
    }
    pool_figures_t figures = pool_figures(world->pool, world->now_us);
    bool most = figures.taken + figures.idle + figures.other + figures.opening >= figures.size;
    if (most || figures.idle >= world->limits.idle_min) {
        world->idle_us = world->now_us;
    }
    if (!is_quiet(world)) {
        world->idle_us = world->now_us;
        return;
    }
    if (world->now_us - world->idle_us > IDLE_US) {
        pool_fail(world, "P3", "%" PRIu64 " of %" PRIu32 " are idle for seconds", figures.idle,
                  world->limits.idle_min);
    }
    if (standing < world->limits.idle_min) {
        pool_fail(world, "P3", "%" PRIu64 " of %" PRIu32 " connections a second after the return",
                  standing, world->limits.idle_min);
    }
    if (standing == 0 && pool_figures(world->pool, world->now_us).oldest_wait_us > RETURN_US) {
        pool_fail(world, "P3", "somebody waits, and the pool stays at zero");
    }
}

static void check_leaks(pool_world_t *world)
{
    for (size_t i = 0; i < world->borrower_count; i++) {
        const sim_borrower_t *borrower = &world->borrowers[i];
        int64_t for_us = borrower->place ? world->now_us - borrower->taken_us : 0;
        if (for_us > SIM_LEAK_US + 2 * POOL_TICK_US && !borrower->leak_told) {
            pool_fail(world, "P5", "a connection is away for %" PRId64 " us, and nobody says so",
                      for_us);
        }
    }
}

void predicate_of_state(pool_world_t *world)
{
    const char *fault = pool_check(world->pool);
    if (fault) {
        char name[] = {fault[0], fault[1], '\0'};
        pool_fail(world,
                  name[1] == '1'   ? "P1"
                  : name[1] == '2' ? "P2"
                  : name[1] == '3' ? "P3"
                                   : "P4",
                  "%s", fault);
    }
    uint64_t open = 0;
    for (size_t i = 0; i < POOL_SIZE_MAX; i++) {
        open += world->connections[i] != NULL;
    }
    world->over_size = open < world->over_size ? open : world->over_size;
    uint64_t most = world->over_size > world->limits.size ? world->over_size : world->limits.size;
    if (open > most) {
        pool_fail(world, "P1", "%" PRIu64 " connections of %" PRIu64, open, most);
    }
    check_return(world);
    check_leaks(world);
}

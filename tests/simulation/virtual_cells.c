#include "tests/simulation/virtual_cells.h"

static struct {
    platform_t platform;
    int64_t now_us;
    int64_t clock_us; /* of the cell whose turn it is; 0: no turn */
    virtual_wait_fn *wait;
    void *context;
} here;

int64_t virtual_now(void)
{
    return here.now_us;
}

void virtual_advance(int64_t by_us)
{
    here.now_us += by_us;
}

static bool take_turn(cell_t *cell)
{
    if (!cell->port) {
        cell_begin(cell);
    }
    return cell_turn(cell);
}

bool virtual_turn(cell_t *cell, int64_t clock_us)
{
    here.clock_us = clock_us;
    bool any = take_turn(cell);
    here.clock_us = 0;
    return any;
}

static int64_t utc_us(const capstan_node_t *node)
{
    (void)node;
    return here.clock_us > 0 ? here.clock_us : here.now_us;
}

static int64_t now_ns(const capstan_node_t *node)
{
    return utc_us(node) * 1000;
}

static capstan_err_t start_cell(cell_t *cell)
{
    (void)cell; /* it begins with its first turn: here the node's mutex is held */
    return CAPSTAN_OK;
}

static bool join_cell(cell_t *cell, int64_t deadline_us)
{
    (void)deadline_us;
    while (!cell->ending) {
        take_turn(cell);
    }
    cell_finish(cell);
    return true;
}

static void let_pass(pthread_mutex_t *mutex)
{
    pthread_mutex_unlock(mutex);
    here.wait(here.context);
    pthread_mutex_lock(mutex);
}

static void wait_for(capstan_node_t *node, waiter_t *waiter)
{
    (void)node;
    let_pass(&waiter->mutex);
}

static void wait_a_little(capstan_node_t *node)
{
    let_pass(&node->mutex);
}

/* No time passes here for the end of the ZeroMQ context. */
static bool close_node(capstan_node_t *node, int64_t deadline_us, capstan_late_fn *late,
                       void *context)
{
    (void)deadline_us;
    return platform_threads.close(node, INT64_MAX, late, context);
}

capstan_err_t virtual_node_new(const capstan_node_options_t *options, int64_t now_us,
                               virtual_wait_fn *wait, void *context, capstan_node_t **ret_node)
{
    here.platform = platform_threads;
    here.platform.now_ns = now_ns;
    here.platform.utc_us = utc_us;
    here.platform.cell_start = start_cell;
    here.platform.cell_join = join_cell;
    here.platform.wait = wait_for;
    here.platform.wait_a_little = wait_a_little;
    here.platform.close = close_node;
    here.now_us = now_us;
    here.wait = wait;
    here.context = context;
    return node_new(options, &here.platform, NULL, ret_node);
}

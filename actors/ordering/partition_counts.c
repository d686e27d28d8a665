/* What a partition's core counts of gaps, late events and delayed ones, as metrics of the node. A
 * core knows no metrics, and counts from its making: what it has more than at the last look is
 * added. */
#include "actors/ordering/partition_parts.h"

#include "actors/ordering/ordering_metrics.h"

#include <string.h>

void counts_turn_end(partition_actor_t *self, const partition_figures_t *figures)
{
    METRIC_ADD(ordering, gaps_filled, figures->filled - self->gaps_filled);
    self->gaps_filled = figures->filled;
    METRIC_ADD(ordering, late_delivered, figures->late_delivered - self->late[0]);
    METRIC_ADD(ordering, late_diverted, figures->late_diverted - self->late[1]);
    METRIC_ADD(ordering, late_dropped, figures->late_dropped - self->late[2]);
    self->late[0] = figures->late_delivered;
    self->late[1] = figures->late_diverted;
    self->late[2] = figures->late_dropped;
    METRIC_ADD(ordering, events_scheduled, figures->scheduled - self->scheduled);
    METRIC_ADD(ordering, events_released, figures->released - self->released);
    METRIC_ADD(ordering, events_cancelled, figures->cancelled - self->cancelled);
    METRIC_ADD(ordering, scheduled, (int64_t)(figures->scheduled_items - self->scheduled_items));
    self->scheduled = figures->scheduled;
    self->released = figures->released;
    self->cancelled = figures->cancelled;
    self->scheduled_items = figures->scheduled_items;
}

void counts_forget(partition_actor_t *self)
{
    self->gaps_filled = 0;
    memset(self->late, 0, sizeof self->late);
    METRIC_ADD(ordering, scheduled, -(int64_t)self->scheduled_items);
    self->scheduled = self->released = self->cancelled = self->scheduled_items = 0;
}

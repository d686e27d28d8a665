/* The metrics of this concern; see ordering_metrics.def. */
#ifndef ORDERING_ORDERING_METRICS_H
#define ORDERING_ORDERING_METRICS_H

#define METRICS_TABLE   "actors/ordering/ordering_metrics.def"
#define METRICS_CONCERN ordering
#include "runtime/telemetry/metric_types.h"

#endif

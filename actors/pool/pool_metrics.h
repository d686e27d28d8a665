/* The metrics of this concern, over all pools; see pool_metrics.def. */
#ifndef POOL_POOL_METRICS_H
#define POOL_POOL_METRICS_H

#define METRICS_TABLE   "actors/pool/pool_metrics.def"
#define METRICS_CONCERN pool
#include "runtime/telemetry/metric_types.h"

#endif

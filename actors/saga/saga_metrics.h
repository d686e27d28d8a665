/* The metrics of this concern; see saga_metrics.def. */
#ifndef SAGA_SAGA_METRICS_H
#define SAGA_SAGA_METRICS_H

#define METRICS_TABLE   "actors/saga/saga_metrics.def"
#define METRICS_CONCERN saga
#include "runtime/telemetry/metric_types.h"

#endif

/* The metrics of this concern; see runtime_metrics.def. */
#ifndef RUNTIME_RUNTIME_METRICS_H
#define RUNTIME_RUNTIME_METRICS_H

#define METRICS_TABLE   "runtime/runtime_metrics.def"
#define METRICS_CONCERN runtime
#include "runtime/telemetry/metric_types.h"

#endif

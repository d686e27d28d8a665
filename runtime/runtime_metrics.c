#include "runtime/runtime_metrics.h"

#define METRICS_TABLE   "runtime/runtime_metrics.def"
#define METRICS_CONCERN runtime
#include "runtime/telemetry/metric_rows.h"

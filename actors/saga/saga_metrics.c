#include "actors/saga/saga_metrics.h"

#define METRICS_TABLE   "actors/saga/saga_metrics.def"
#define METRICS_CONCERN saga
#include "runtime/telemetry/metric_rows.h"

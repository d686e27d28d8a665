#include "actors/pool/pool_metrics.h"

#define METRICS_TABLE   "actors/pool/pool_metrics.def"
#define METRICS_CONCERN pool
#include "runtime/telemetry/metric_rows.h"

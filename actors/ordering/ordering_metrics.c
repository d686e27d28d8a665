#include "actors/ordering/ordering_metrics.h"

#define METRICS_TABLE   "actors/ordering/ordering_metrics.def"
#define METRICS_CONCERN ordering
#include "runtime/telemetry/metric_rows.h"

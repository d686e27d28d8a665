#include "actors/journal/journal_metrics.h"

#define METRICS_TABLE   "actors/journal/journal_metrics.def"
#define METRICS_CONCERN journal
#include "runtime/telemetry/metric_rows.h"

/* The metrics of this concern; see journal_metrics.def. */
#ifndef JOURNAL_JOURNAL_METRICS_H
#define JOURNAL_JOURNAL_METRICS_H

#define METRICS_TABLE   "actors/journal/journal_metrics.def"
#define METRICS_CONCERN journal
#include "runtime/telemetry/metric_types.h"

#endif

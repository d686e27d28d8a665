/* The metrics of this concern; see gateway_metrics.def. */
#ifndef GATEWAY_GATEWAY_METRICS_H
#define GATEWAY_GATEWAY_METRICS_H

#define METRICS_TABLE   "brokers/gateway/gateway_metrics.def"
#define METRICS_CONCERN gateway
#include "runtime/telemetry/metric_types.h"

#endif

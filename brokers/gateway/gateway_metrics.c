#include "brokers/gateway/gateway_metrics.h"

#define METRICS_TABLE   "brokers/gateway/gateway_metrics.def"
#define METRICS_CONCERN gateway
#include "runtime/telemetry/metric_rows.h"

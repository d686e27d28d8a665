#include "brokers/gateway/gateway_events.h"

#define EVENTS_TABLE   "brokers/gateway/gateway_events.def"
#define EVENTS_CONCERN gateway
#include "runtime/telemetry/log_rows.h"

/* The log events of this concern; see gateway_events.def. */
#ifndef GATEWAY_GATEWAY_EVENTS_H
#define GATEWAY_GATEWAY_EVENTS_H

#define EVENTS_TABLE   "brokers/gateway/gateway_events.def"
#define EVENTS_CONCERN gateway
#include "runtime/telemetry/log_types.h"

#endif

/* The log events of this concern; see runtime_events.def. */
#ifndef RUNTIME_RUNTIME_EVENTS_H
#define RUNTIME_RUNTIME_EVENTS_H

#define EVENTS_TABLE   "runtime/runtime_events.def"
#define EVENTS_CONCERN runtime
#include "runtime/telemetry/log_types.h"

#endif

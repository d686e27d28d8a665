#include "runtime/runtime_events.h"

#define EVENTS_TABLE   "runtime/runtime_events.def"
#define EVENTS_CONCERN runtime
#include "runtime/telemetry/log_rows.h"

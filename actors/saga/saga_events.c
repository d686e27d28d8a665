#include "actors/saga/saga_events.h"

#define EVENTS_TABLE   "actors/saga/saga_events.def"
#define EVENTS_CONCERN saga
#include "runtime/telemetry/log_rows.h"

#include "actors/pool/pool_events.h"

#define EVENTS_TABLE   "actors/pool/pool_events.def"
#define EVENTS_CONCERN pool
#include "runtime/telemetry/log_rows.h"

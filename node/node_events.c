#include "node/node_events.h"

#define EVENTS_TABLE   "node/node_events.def"
#define EVENTS_CONCERN node
#include "runtime/telemetry/log_rows.h"

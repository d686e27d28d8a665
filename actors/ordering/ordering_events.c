#include "actors/ordering/ordering_events.h"

#define EVENTS_TABLE   "actors/ordering/ordering_events.def"
#define EVENTS_CONCERN ordering
#include "runtime/telemetry/log_rows.h"

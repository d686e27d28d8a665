#include "actors/journal/journal_events.h"

#define EVENTS_TABLE   "actors/journal/journal_events.def"
#define EVENTS_CONCERN journal
#include "runtime/telemetry/log_rows.h"

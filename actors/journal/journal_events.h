/* The log events of this concern; see journal_events.def. */
#ifndef JOURNAL_JOURNAL_EVENTS_H
#define JOURNAL_JOURNAL_EVENTS_H

#define EVENTS_TABLE   "actors/journal/journal_events.def"
#define EVENTS_CONCERN journal
#include "runtime/telemetry/log_types.h"

#endif

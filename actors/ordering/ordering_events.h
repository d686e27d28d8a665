/* The log events of this concern; see ordering_events.def. */
#ifndef ORDERING_ORDERING_EVENTS_H
#define ORDERING_ORDERING_EVENTS_H

#define EVENTS_TABLE   "actors/ordering/ordering_events.def"
#define EVENTS_CONCERN ordering
#include "runtime/telemetry/log_types.h"

#endif

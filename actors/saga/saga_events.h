/* The log events of this concern; see saga_events.def. */
#ifndef SAGA_SAGA_EVENTS_H
#define SAGA_SAGA_EVENTS_H

#define EVENTS_TABLE   "actors/saga/saga_events.def"
#define EVENTS_CONCERN saga
#include "runtime/telemetry/log_types.h"

#endif

/* The log events of this concern; see pool_events.def. */
#ifndef POOL_POOL_EVENTS_H
#define POOL_POOL_EVENTS_H

#define EVENTS_TABLE   "actors/pool/pool_events.def"
#define EVENTS_CONCERN pool
#include "runtime/telemetry/log_types.h"

#endif

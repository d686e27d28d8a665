/* The log events of this concern; see node_events.def. */
#ifndef NODE_NODE_EVENTS_H
#define NODE_NODE_EVENTS_H

#define EVENTS_TABLE   "node/node_events.def"
#define EVENTS_CONCERN node
#include "runtime/telemetry/log_types.h"

#endif

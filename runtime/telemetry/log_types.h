/* Expands the fragment named by EVENTS_TABLE into the numbers EVENT_<concern>_<name> and the
 * declaration of <concern>_events. Included by each X_events.h; it has no include guard because it
 * is expanded once per fragment.
 *
 *   EVENT(name, INFO|WARNING|ERROR, "constant message") */
#include "runtime/telemetry/log.h"

#ifndef EVENTS_JOIN
#define EVENTS_JOIN3(a, b, c) a##b##c
#define EVENTS_JOIN(a, b, c)  EVENTS_JOIN3(a, b, c)
#define EVENTS_NAME(name)     EVENTS_JOIN(EVENT_, EVENTS_CONCERN, name)
#define EVENTS_TEXT_(text)    #text
#define EVENTS_TEXT(text)     EVENTS_TEXT_(text)
#endif

#define EVENT(name, level, message) EVENTS_NAME(_##name),
enum {
#include EVENTS_TABLE
    EVENTS_JOIN(EVENT_, EVENTS_CONCERN, _COUNT)
};
#undef EVENT

extern log_event_t EVENTS_JOIN(EVENTS_CONCERN, _events, )[];

#undef EVENTS_TABLE
#undef EVENTS_CONCERN

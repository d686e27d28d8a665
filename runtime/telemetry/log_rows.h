/* Expands the fragment named by EVENTS_TABLE into the rows <EVENTS_CONCERN>_events. Included once,
 * by X_events.c, behind X_events.h. */
#define EVENT(row, severity, text)                                                                 \
    {.concern = EVENTS_TEXT(EVENTS_CONCERN),                                                       \
     .name = #row,                                                                                 \
     .message = text,                                                                              \
     .level = LOG_LEVEL_##severity,                                                                \
     .listed = ATOMIC_FLAG_INIT},
log_event_t EVENTS_JOIN(EVENTS_CONCERN, _events, )[] = {
#include EVENTS_TABLE
};
#undef EVENT

/* Judges from outside whether a cell makes progress. A pure core: somebody looks at the cell now
 * and then, and says what was seen.
 *
 *   handler 7  |------|                 seen twice at most, in less than stall_us: nothing to tell
 *   handler 8         |--------------------------|
 *   looks         ^    ^    ^    ^    ^    ^    ^    ^
 *                           8    .   stalled      went on
 *
 * A handler's age counts from the look that saw it first, so that it is never said to be older than
 * it is, and is found one interval of looks late at most. Time that did not pass for the thread
 * (the process was suspended, it waited for a core) does not count. */
#ifndef RUNTIME_PROGRESS_H
#define RUNTIME_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

typedef enum cell_state {
#define STATE(name, meaning) CELL_STATE_##name,
#define INPUT(name, meaning)
#define TRANSITION(from, input, to, meaning)
#include "runtime/cell_states.def"
#undef STATE
#undef INPUT
#undef TRANSITION
    CELL_STATE_COUNT
} cell_state_t;

const char *cell_state_name(cell_state_t state);

typedef struct progress_limits {
    int64_t stall_us;  /* a handler that takes this long stalls its cell; a longer turn is long */
    int64_t hung_us;   /* one that takes this long is stuck */
    int64_t report_us; /* stalls are told no more often than this */
} progress_limits_t;

typedef struct progress_look {
    bool ended;        /* the thread has */
    uint64_t handler;  /* number of the one that runs; 0: none, or one that may take its time */
    int64_t turn_us;   /* how long the turn has lasted; 0: asleep */
    int64_t passed_us; /* since the last look, as far as it passed for the thread */
} progress_look_t;

typedef enum progress_event {
    PROGRESS_NOTHING,
    PROGRESS_STALLED, /* the handler has taken stall_us */
    PROGRESS_WENT_ON, /* one of which that was told has returned */
} progress_event_t;

typedef struct progress_news {
    progress_event_t event;
    int64_t age_us;  /* of the handler, at least */
    uint64_t untold; /* stalls that were not told since the last one that was */
} progress_news_t;

/* A zeroed one is of a cell that was never looked at. */
typedef struct progress {
    cell_state_t state;
    uint64_t handler;
    int64_t age_us;
    int64_t silent_us; /* until the next stall may be told */
    bool counted;      /* the handler as a stall */
    bool told;
    uint64_t stalls;
    uint64_t untold;
} progress_t;

progress_news_t progress_look(progress_t *self, const progress_limits_t *limits,
                              const progress_look_t *look);

#endif

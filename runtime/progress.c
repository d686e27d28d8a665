#include "runtime/progress.h"

#include "runtime/base/ensure.h"

typedef enum input {
#define STATE(name, meaning)
#define INPUT(name, meaning) INPUT_##name,
#define TRANSITION(from, input, to, meaning)
#include "runtime/cell_states.def"
#undef STATE
#undef INPUT
#undef TRANSITION
    INPUT_COUNT
} input_t;

static const char *const state_names[CELL_STATE_COUNT] = {
#define STATE(name, meaning) [CELL_STATE_##name] = #name,
#define INPUT(name, meaning)
#define TRANSITION(from, input, to, meaning)
#include "runtime/cell_states.def"
#undef STATE
#undef INPUT
#undef TRANSITION
};

/* One more than the state that follows; 0 where the table has no row. */
static const unsigned char steps[CELL_STATE_COUNT][INPUT_COUNT] = {
#define STATE(name, meaning)
#define INPUT(name, meaning)
#define TRANSITION(from, input, to, meaning)                                                       \
    [CELL_STATE_##from][INPUT_##input] = CELL_STATE_##to + 1,
#include "runtime/cell_states.def"
#undef STATE
#undef INPUT
#undef TRANSITION
};

const char *cell_state_name(cell_state_t state)
{
    ENSURE(state < CELL_STATE_COUNT);
    return state_names[state];
}

static input_t classify(const progress_t *self, const progress_limits_t *limits,
                        const progress_look_t *look)
{
    if (look->ended) {
        return INPUT_ended;
    }
    if (self->handler > 0 && self->age_us >= limits->hung_us) {
        return INPUT_stuck;
    }
    bool is_long = look->turn_us > limits->stall_us || self->age_us >= limits->stall_us;
    return is_long ? INPUT_long_turn : INPUT_short_turn;
}

static progress_news_t follow(progress_t *self, const progress_limits_t *limits)
{
    progress_news_t nothing = {.event = PROGRESS_NOTHING};
    if (self->told || self->age_us < limits->stall_us) {
        return nothing;
    }
    if (!self->counted) {
        self->counted = true;
        self->stalls++;
        self->untold++;
    }
    if (self->silent_us > 0) {
        return nothing;
    }
    progress_news_t news = {PROGRESS_STALLED, self->age_us, self->untold - 1};
    self->told = true;
    self->untold = 0;
    self->silent_us = limits->report_us;
    return news;
}

static progress_news_t begin(progress_t *self, uint64_t handler)
{
    progress_news_t news = {.event = self->told ? PROGRESS_WENT_ON : PROGRESS_NOTHING,
                            .age_us = self->age_us};
    self->handler = handler;
    self->age_us = 0;
    self->counted = false;
    self->told = false;
    return news;
}

progress_news_t progress_look(progress_t *self, const progress_limits_t *limits,
                              const progress_look_t *look)
{
    progress_news_t news = {.event = PROGRESS_NOTHING};
    uint64_t handler = look->ended ? 0 : look->handler;
    self->silent_us = self->silent_us > look->passed_us ? self->silent_us - look->passed_us : 0;
    if (handler != self->handler) {
        news = begin(self, handler);
    } else if (handler > 0) {
        self->age_us += look->passed_us;
        news = follow(self, limits);
    }
    unsigned char to = steps[self->state][classify(self, limits, look)];
    ENSURE(to > 0);
    self->state = (cell_state_t)(to - 1);
    return news;
}

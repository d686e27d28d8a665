#include "runtime/simulation/agenda.h"

#include "runtime/base/ensure.h"

#include <stdlib.h>

enum { CAPACITY_FIRST = 256 };

void agenda_fini(agenda_t *self)
{
    free(self->steps);
    *self = (agenda_t){0};
}

static bool before(const step_t *a, const step_t *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->number < b->number;
}

void agenda_plan(agenda_t *self, step_t step)
{
    if (self->count == self->capacity) {
        size_t capacity = self->capacity > 0 ? self->capacity * 2 : CAPACITY_FIRST;
        step_t *steps = realloc(self->steps, capacity * sizeof *steps);
        ENSURE(steps);
        self->steps = steps;
        self->capacity = capacity;
    }
    step.number = self->number++;
    size_t at = self->count++;
    for (; at > 0 && before(&step, &self->steps[(at - 1) / 2]); at = (at - 1) / 2) {
        self->steps[at] = self->steps[(at - 1) / 2];
    }
    self->steps[at] = step;
}

bool agenda_take(agenda_t *self, step_t *ret_step)
{
    if (self->count == 0) {
        return false;
    }
    *ret_step = self->steps[0];
    step_t last = self->steps[--self->count];
    size_t at = 0;
    for (size_t child; (child = at * 2 + 1) < self->count; at = child) {
        if (child + 1 < self->count && before(&self->steps[child + 1], &self->steps[child])) {
            child++;
        }
        if (!before(&self->steps[child], &last)) {
            break;
        }
        self->steps[at] = self->steps[child];
    }
    self->steps[at] = last;
    return true;
}

int64_t agenda_next_us(const agenda_t *self)
{
    return self->count > 0 ? self->steps[0].at_us : INT64_MAX;
}

#include "runtime/simulation/shrink.h"

#include "runtime/base/ensure.h"

#include <stdlib.h>

/* The list, and room for what is tried instead. */
typedef struct list {
    shrink_t *shrink;
    decision_t *decisions;
    decision_t *trial;
    size_t count;
} list_t;

static bool fails(list_t *self, size_t trial_count)
{
    if (self->shrink->runs_left == 0) {
        return false;
    }
    self->shrink->runs_left--;
    return self->shrink->fails(self->shrink->context, self->trial, trial_count);
}

/* Takes the trial for the list when it still fails. */
static bool adopt(list_t *self, size_t trial_count)
{
    if (!fails(self, trial_count)) {
        return false;
    }
    memcpy(self->decisions, self->trial, trial_count * sizeof *self->trial);
    self->count = trial_count;
    return true;
}

static void leave_out_kind(list_t *self, decision_kind_t kind)
{
    size_t kept = 0;
    for (size_t i = 0; i < self->count; i++) {
        if (decision_kind(self->decisions[i]) != kind) {
            self->trial[kept++] = self->decisions[i];
        }
    }
    if (kept < self->count) {
        (void)adopt(self, kept);
    }
}

static bool leave_out(list_t *self, size_t from, size_t size)
{
    memcpy(self->trial, self->decisions, from * sizeof *self->trial);
    memcpy(self->trial + from, self->decisions + from + size,
           (self->count - from - size) * sizeof *self->trial);
    return adopt(self, self->count - size);
}

/* From the end, because what comes after the failure is never needed. */
static bool leave_out_chunks(list_t *self, size_t size)
{
    bool any = false;
    for (size_t end = self->count; end > 0; end = end > size ? end - size : 0) {
        size_t begin = end > size ? end - size : 0;
        any |= leave_out(self, begin, end - begin);
    }
    return any;
}

static void leave_out_most(list_t *self)
{
    for (size_t kind = 0; kind < DECISION_COUNT; kind++) {
        leave_out_kind(self, (decision_kind_t)kind);
    }
    size_t size = self->count;
    while (size > 0 && self->shrink->runs_left > 0) {
        bool any = leave_out_chunks(self, size);
        size = size > 1 || !any ? size / 2 : 1; /* one by one until nothing more can go */
    }
}

static bool try_value(list_t *self, size_t index, uint64_t value)
{
    memcpy(self->trial, self->decisions, self->count * sizeof *self->trial);
    self->trial[index].value = value;
    return adopt(self, self->count);
}

static void make_small(list_t *self, size_t index)
{
    if (self->decisions[index].value > 1 && try_value(self, index, 1)) {
        return;
    }
    while (self->decisions[index].value > 2 &&
           try_value(self, index, self->decisions[index].value / 2)) {
    }
}

size_t shrink_decisions(shrink_t *self, decision_t *decisions, size_t count)
{
    list_t list = {.shrink = self, .decisions = decisions, .count = count};
    list.trial = calloc(count + 1, sizeof *list.trial);
    ENSURE(list.trial);
    leave_out_most(&list);
    for (size_t i = 0; i < list.count; i++) {
        make_small(&list, i);
    }
    free(list.trial);
    return list.count;
}

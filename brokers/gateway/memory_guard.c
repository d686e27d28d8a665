#include "brokers/gateway/memory_guard.h"

bool memory_guard_is_over(memory_guard_t *self, uint64_t resident)
{
    if (resident < self->lowest) {
        self->lowest = resident;
    }
    return resident > self->bytes_max && resident - self->lowest >= self->bytes_max / 4;
}

void memory_guard_close(memory_guard_t *self, uint64_t resident)
{
    self->previous = resident;
    self->checks = 0;
}

bool memory_guard_has_settled(memory_guard_t *self, uint64_t resident)
{
    /* Other cells go on meanwhile: a change of less than a 64th is theirs. */
    bool falls = resident < self->previous - self->previous / 64;
    self->previous = resident;
    self->lowest = resident;
    self->checks++;
    return self->checks >= MEMORY_GUARD_CLOSED_MIN &&
           (!falls || self->checks >= MEMORY_GUARD_CLOSED_MAX);
}

/* The internal short name of capstan_buffer_t, and the ways in which internal code writes one. It
 * owns its memory (only message.c sees borrowed ones); a zeroed buffer is empty and ready for use.
 *
 * Growth that fails aborts: everything that a stranger can make us buffer is bounded before it
 * gets here, so running out of memory is not an answer that a caller could give anyone. */
#ifndef BASE_BUFFER_H
#define BASE_BUFFER_H

#include "runtime/base/slice.h"

#include <capstan/buffer.h>

typedef capstan_buffer_t buffer_t;

/* Makes room for `size` more bytes and returns where they begin; `self->size` is unchanged. */
uint8_t *buffer_grow(buffer_t *self, size_t size);
/* The same for callers that have an answer: false when there is no memory, or it is borrowed and
 * too small. */
bool buffer_try_reserve(buffer_t *self, size_t size);
/* Gives back what is allocated beyond the size. */
void buffer_trim(buffer_t *self);
void buffer_fini(buffer_t *self);

static inline uint8_t *buffer_reserve(buffer_t *self, size_t size)
{
    if (__builtin_expect(self->capacity - self->size < size, 0)) {
        return buffer_grow(self, size);
    }
    return self->data + self->size;
}

static inline void buffer_append(buffer_t *self, const void *data, size_t size)
{
    if (size > 0) {
        memcpy(buffer_reserve(self, size), data, size);
        self->size += size;
    }
}

static inline void buffer_clear(buffer_t *self)
{
    self->size = 0;
}

static inline slice_t buffer_slice(const buffer_t *self)
{
    return (slice_t){self->data, self->size};
}

/* Hands the bytes to the caller, who frees them with free(); the buffer is empty afterwards. */
static inline uint8_t *buffer_take(buffer_t *self)
{
    uint8_t *data = self->data;
    *self = (buffer_t){0};
    return data;
}

#endif

/* A growing array of bytes: where messages are encoded.
 *
 * A zeroed buffer is empty and ready for use; it takes memory from malloc as it grows, which
 * capstan_buffer_fini gives back. capstan_buffer_over makes one of memory that the caller owns: it
 * never grows beyond it, and needs no capstan_buffer_fini. A buffer belongs to one thread at a
 * time. */
#ifndef CAPSTAN_BUFFER_H
#define CAPSTAN_BUFFER_H

#include <capstan/export.h>
#include <capstan/slice.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct capstan_buffer {
    uint8_t *data;
    size_t size;     /* bytes in use */
    size_t capacity; /* bytes there are */
    bool borrowed;   /* the memory is the caller's: it is neither grown nor freed */
} capstan_buffer_t;

/* An empty buffer over `size` bytes at `memory`, which must outlive it. */
static inline capstan_buffer_t capstan_buffer_over(void *memory, size_t size)
{
    return (capstan_buffer_t){.data = (uint8_t *)memory, .capacity = size, .borrowed = true};
}

/* The bytes in use; good until the buffer is written again. */
static inline capstan_slice_t capstan_buffer_slice(const capstan_buffer_t *self)
{
    return (capstan_slice_t){self->data, self->size};
}

/* Empties the buffer for the next use and keeps its memory. */
static inline void capstan_buffer_clear(capstan_buffer_t *self)
{
    self->size = 0;
}

/* Frees the memory, unless it is the caller's; the buffer is empty and can be used again. */
CAPSTAN_API void capstan_buffer_fini(capstan_buffer_t *self);

#endif

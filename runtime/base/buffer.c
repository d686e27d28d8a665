#include "runtime/base/buffer.h"

#include "runtime/base/ensure.h"

#include <stdlib.h>

uint8_t *buffer_grow(buffer_t *self, size_t size)
{
    size_t capacity = self->capacity > 0 ? self->capacity : 256;
    while (capacity - self->size < size) {
        ENSURE(capacity <= SIZE_MAX / 2);
        capacity *= 2;
    }
    uint8_t *data = realloc(self->data, capacity);
    ENSURE(data);
    self->data = data;
    self->capacity = capacity;
    return data + self->size;
}

void buffer_fini(buffer_t *self)
{
    free(self->data);
    *self = (buffer_t){0};
}

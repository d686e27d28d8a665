#include "runtime/base/buffer.h"

#include "runtime/base/ensure.h"

#include <stdlib.h>

bool buffer_try_reserve(buffer_t *self, size_t size)
{
    size_t capacity = self->capacity > 0 ? self->capacity : 256;
    if (self->capacity - self->size >= size) {
        return true;
    }
    while (capacity - self->size < size) {
        if (capacity > SIZE_MAX / 2) {
            return false;
        }
        capacity *= 2;
    }
    uint8_t *data = self->borrowed ? NULL : realloc(self->data, capacity);
    if (!data) {
        return false;
    }
    self->data = data;
    self->capacity = capacity;
    return true;
}

uint8_t *buffer_grow(buffer_t *self, size_t size)
{
    bool grown = buffer_try_reserve(self, size);
    ENSURE(grown);
    return self->data + self->size;
}

void buffer_trim(buffer_t *self)
{
    uint8_t *data = self->borrowed || self->size == 0 ? NULL : realloc(self->data, self->size);
    if (data) {
        self->data = data;
        self->capacity = self->size;
    }
}

void buffer_fini(buffer_t *self)
{
    if (!self->borrowed) {
        free(self->data);
    }
    *self = (buffer_t){0};
}

void capstan_buffer_fini(capstan_buffer_t *self)
{
    buffer_fini(self);
}

#include "actors/saga/saga_owed.h"

#include "runtime/base/ensure.h"

#include <stdlib.h>

static void make_room(owed_t *self)
{
    if (self->first > self->capacity / 2) {
        memmove(self->list, self->list + self->first,
                (self->end - self->first) * sizeof *self->list);
        self->end -= self->first;
        self->first = 0;
    } else if (self->end == self->capacity) {
        self->capacity = 2 * self->capacity + 64;
        self->list = realloc(self->list, self->capacity * sizeof *self->list);
        ENSURE(self->list);
    }
}

void owed_add(owed_t *self, const owed_item_t *item, slice_t data)
{
    if (self->end == self->capacity) {
        make_room(self);
    }
    owed_item_t *added = &self->list[self->end++];
    *added = *item;
    added->data = NULL;
    added->size = data.size;
    if (data.size > 0) {
        added->data = malloc(data.size);
        ENSURE(added->data);
        memcpy(added->data, data.data, data.size);
    }
}

bool owed_take(owed_t *self, uint64_t lsn_committed, owed_item_t *ret_item)
{
    if (self->first == self->end || self->list[self->first].lsn > lsn_committed) {
        return false;
    }
    *ret_item = self->list[self->first++];
    if (self->first == self->end) {
        self->first = self->end = 0;
    }
    return true;
}

void owed_fini(owed_t *self)
{
    for (size_t i = self->first; i < self->end; i++) {
        free(self->list[i].data);
    }
    free(self->list);
    *self = (owed_t){0};
}

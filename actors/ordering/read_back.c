#include "actors/ordering/read_back.h"

#include "runtime/base/ensure.h"

enum { PASSED_OVER_MAX = 64 };

void read_back_fini(read_back_t *self)
{
    buffer_fini(&self->events);
    buffer_fini(&self->sizes);
    *self = (read_back_t){0};
}

void read_back_keep(read_back_t *self, read_back_t *stretch)
{
    read_back_fini(self);
    *self = *stretch;
    *stretch = (read_back_t){0};
}

/* Offsets have no holes, so that the distance is the number of events. */
static void let_go(read_back_t *self, uint64_t count)
{
    codec_list_t list;
    size_t bytes = 0;
    for (uint64_t i = 0; i < count; i++) {
        uint32_t size;
        memcpy(&size, self->sizes.data + i * sizeof size, sizeof size);
        bytes += size;
    }
    ENSURE(codec_list_open(event_wire(), buffer_slice(&self->events), &list) == CAPSTAN_OK);
    buffer_t rest = {0};
    codec_list_writer_t writer = codec_list_begin(&rest);
    size_t at = list.position + bytes;
    buffer_append(&rest, self->events.data + at, self->events.size - at);
    writer.count = list.left - (uint32_t)count;
    codec_list_end(&writer);
    buffer_fini(&self->events);
    self->events = rest;
    self->sizes.size -= count * sizeof(uint32_t);
    memmove(self->sizes.data, self->sizes.data + count * sizeof(uint32_t), self->sizes.size);
    self->offset_before += count;
}

void read_back_from(read_back_t *self, uint64_t offset, slice_t *ret_events, slice_t *ret_sizes)
{
    ENSURE(read_back_covers(self, offset));
    if (offset > self->offset_before) {
        let_go(self, offset - self->offset_before);
    }
    self->passed_over = 0;
    *ret_events = buffer_slice(&self->events);
    *ret_sizes = buffer_slice(&self->sizes);
}

void read_back_pass_over(read_back_t *self)
{
    if (self->offset_last > 0 && ++self->passed_over == PASSED_OVER_MAX) {
        read_back_fini(self);
    }
}

#include "actors/ordering/event_view.h"

#include "runtime/base/ensure.h"

#include <stdlib.h>

static void add(event_headers_t *self, const header_t *header)
{
    if (self->count == self->capacity) {
        self->capacity = self->capacity > 0 ? self->capacity * 2 : 16;
        self->list = realloc(self->list, self->capacity * sizeof *self->list);
        ENSURE(self->list);
    }
    self->list[self->count++] = (capstan_header_t){.name = header->name, .value = header->value};
}

capstan_err_t event_view(slice_t record, event_headers_t *headers, event_t *ret_record,
                         capstan_event_t *ret_event)
{
    codec_list_t list;
    header_t header;
    size_t before = headers->count;
    capstan_err_t err = event_decode(record, ret_record);
    err = err ? err : codec_list_open(header_wire(), ret_record->headers, &list);
    if (err != CAPSTAN_OK) {
        return err;
    }
    while (codec_list_next(&list, &header)) {
        add(headers, &header);
    }
    *ret_event = (capstan_event_t){.key = ret_record->key,
                                   .producer = ret_record->producer,
                                   .producer_epoch = ret_record->producer_epoch,
                                   .sequence = ret_record->sequence,
                                   .time_us = ret_record->time_us,
                                   .content_type = ret_record->content_type,
                                   .header_count = headers->count - before,
                                   .payload = ret_record->payload,
                                   .not_before_us = ret_record->not_before_us};
    return list.fault.err;
}

size_t event_headers_place(const event_headers_t *headers, size_t first, capstan_event_t *event)
{
    event->headers = event->header_count > 0 ? headers->list + first : NULL;
    return first + event->header_count;
}

void event_headers_fini(event_headers_t *self)
{
    free(self->list);
    *self = (event_headers_t){0};
}

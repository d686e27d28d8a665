#include "actors/ordering/erase.h"

enum {
    FIELD_KEY = 2, /* of record `event` */
    FIELD_ERASED = 13,
};

bool erase_concerns(slice_t event, slice_t key)
{
    slice_t its;
    uint64_t erased;
    return codec_peek_slice(event, FIELD_KEY, &its) && slice_equal(its, key) &&
           !codec_peek_uint(event, FIELD_ERASED, &erased);
}

capstan_err_t erase_event(slice_t data, buffer_t *out)
{
    event_t event;
    if (codec_decode(event_wire(), data, &event, NULL) != CAPSTAN_OK) {
        return CAPSTAN_E_MALFORMED;
    }
    event.payload = event.headers = event.content_type = (slice_t){0};
    event.erased = 1;
    codec_encode(event_wire(), &event, out);
    return CAPSTAN_OK;
}

capstan_err_t erase_parked(slice_t data, buffer_t *out)
{
    parked_t parked;
    buffer_t event = {0};
    capstan_err_t err = codec_decode(parked_wire(), data, &parked, NULL);
    err = err ? err : erase_event(parked.event, &event);
    if (err == CAPSTAN_OK) {
        parked.event = buffer_slice(&event);
        parked.reason = (slice_t){0}; /* a member may have said what the event does */
        codec_encode(parked_wire(), &parked, out);
    }
    buffer_fini(&event);
    return err;
}

static capstan_err_t copy_parked(slice_t list, slice_t key, buffer_t *out, bool *ret_changed)
{
    codec_list_t iterator;
    slice_t element;
    parked_t parked;
    buffer_t one = {0};
    capstan_err_t err = codec_list_open(parked_wire(), list, &iterator);
    codec_list_writer_t writer = codec_list_begin(out);
    while (err == CAPSTAN_OK && codec_list_next_raw(&iterator, &element)) {
        err = codec_decode(parked_wire(), element, &parked, NULL);
        if (err == CAPSTAN_OK && erase_concerns(parked.event, key)) {
            buffer_clear(&one);
            err = erase_parked(element, &one);
            element = buffer_slice(&one);
            *ret_changed = true;
        }
        codec_list_add_raw(&writer, element);
    }
    codec_list_end(&writer);
    buffer_fini(&one);
    return err ? err : iterator.fault.err;
}

static capstan_err_t erase_mark(slice_t data, slice_t key, buffer_t *out)
{
    group_mark_t mark;
    buffer_t parked = {0};
    bool changed = false;
    capstan_err_t err = codec_decode(group_mark_wire(), data, &mark, NULL);
    err = err || mark.parked.size == 0 ? err : copy_parked(mark.parked, key, &parked, &changed);
    if (err == CAPSTAN_OK && changed) {
        mark.parked = buffer_slice(&parked);
        codec_encode(group_mark_wire(), &mark, out);
    }
    buffer_fini(&parked);
    return err;
}

static capstan_err_t erase_scheduled(slice_t data, slice_t key, buffer_t *out, uint64_t *count)
{
    scheduled_mark_t mark;
    buffer_t event = {0};
    capstan_err_t err = codec_decode(scheduled_mark_wire(), data, &mark, NULL);
    if (err == CAPSTAN_OK && erase_concerns(mark.event, key)) {
        err = erase_event(mark.event, &event);
        mark.event = buffer_slice(&event);
        if (err == CAPSTAN_OK) {
            codec_encode(scheduled_mark_wire(), &mark, out);
            ++*count;
        }
    }
    buffer_fini(&event);
    return err;
}

capstan_err_t erase_record(uint64_t kind, slice_t data, slice_t key, buffer_t *out, uint64_t *count)
{
    if (kind == RECORD_group_mark) {
        return erase_mark(data, key, out);
    }
    if (kind == RECORD_scheduled_mark) {
        return erase_scheduled(data, key, out, count);
    }
    if (kind != RECORD_event || !erase_concerns(data, key)) {
        return CAPSTAN_OK;
    }
    ++*count;
    return erase_event(data, out);
}

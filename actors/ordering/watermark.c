#include "actors/ordering/watermark.h"

#include "runtime/base/ensure.h"

#include <stdlib.h>

void watermark_fini(watermark_t *self)
{
    free(self->heap);
    *self = (watermark_t){0};
}

/* --- the heap -------------------------------------------------------------------------------- */

static void put(watermark_t *self, size_t at, watermark_source_t *source)
{
    self->heap[at] = source;
    source->heap_at = at + 1;
}

/* `source` goes to where it belongs, from the place `at`, which is free. */
static void sift(watermark_t *self, size_t at, watermark_source_t *source)
{
    while (at > 0 && source->time_us < self->heap[(at - 1) / 2]->time_us) {
        put(self, at, self->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    for (;;) {
        size_t child = at * 2 + 1;
        if (child + 1 < self->count &&
            self->heap[child + 1]->time_us < self->heap[child]->time_us) {
            child++;
        }
        if (child >= self->count || source->time_us <= self->heap[child]->time_us) {
            break;
        }
        put(self, at, self->heap[child]);
        at = child;
    }
    put(self, at, source);
}

static void heap_add(watermark_t *self, watermark_source_t *source)
{
    if (self->count == self->capacity) {
        self->capacity = self->capacity > 0 ? self->capacity * 2 : 8;
        self->heap = realloc(self->heap, self->capacity * sizeof(watermark_source_t *));
        ENSURE(self->heap);
    }
    self->count++;
    sift(self, self->count - 1, source);
}

static void heap_remove(watermark_t *self, watermark_source_t *source)
{
    size_t at = source->heap_at - 1;
    watermark_source_t *last = self->heap[--self->count];
    source->heap_at = 0;
    if (last != source) {
        sift(self, at, last);
    }
}

/* --- who was seen when ----------------------------------------------------------------------- */

static void list_remove(watermark_t *self, watermark_source_t *source)
{
    *(source->seen_before ? &source->seen_before->seen_behind : &self->oldest) =
        source->seen_behind;
    *(source->seen_behind ? &source->seen_behind->seen_before : &self->newest) =
        source->seen_before;
}

/* Usually behind all others; clocks step back now and then, and rows come in any order. */
static void list_add(watermark_t *self, watermark_source_t *source)
{
    watermark_source_t *before = self->newest;
    while (before && before->seen_us > source->seen_us) {
        before = before->seen_before;
    }
    source->seen_before = before;
    source->seen_behind = before ? before->seen_behind : self->oldest;
    *(before ? &before->seen_behind : &self->oldest) = source;
    *(source->seen_behind ? &source->seen_behind->seen_before : &self->newest) = source;
}

static void forget_idle(watermark_t *self, int64_t now_us, int64_t idle_us)
{
    while (self->oldest && now_us - self->oldest->seen_us > idle_us) {
        watermark_source_t *source = self->oldest;
        list_remove(self, source);
        heap_remove(self, source);
    }
}

void watermark_load(watermark_source_t *source, int64_t time_us, int64_t seen_us)
{
    if (source->seen_us == 0 || time_us > source->time_us) {
        source->time_us = time_us;
    }
    source->seen_us = seen_us > source->seen_us ? seen_us : source->seen_us;
}

void watermark_add(watermark_t *self, watermark_source_t *source)
{
    list_add(self, source);
    heap_add(self, source);
}

int64_t watermark_see(watermark_t *self, watermark_source_t *source, int64_t time_us,
                      int64_t now_us, int64_t idle_us)
{
    if (source->heap_at > 0) {
        list_remove(self, source);
    }
    watermark_load(source, time_us, now_us);
    list_add(self, source);
    if (source->heap_at > 0) {
        sift(self, source->heap_at - 1, source);
    } else {
        heap_add(self, source);
    }
    forget_idle(self, now_us, idle_us);
    return self->count > 0 ? self->heap[0]->time_us : INT64_MIN;
}

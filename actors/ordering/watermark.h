/* How far event time has come: the smallest time of the sources that are not idle. Pure.
 *
 *   source a   newest event 12:00:07   seen now          --+
 *   source b   newest event 12:00:03   seen now          --+--> 12:00:03
 *   source c   newest event 11:58:40   seen long ago: idle
 *
 * A source that was idle and comes back with older times makes it go back; whoever wants a
 * watermark keeps the highest. */
#ifndef ORDERING_WATERMARK_H
#define ORDERING_WATERMARK_H

#include <stddef.h>
#include <stdint.h>

/* Embedded in what it is the source of; a zeroed one has sent nothing yet. */
typedef struct watermark_source {
    struct watermark_source *seen_before; /* among the live ones, by when they were seen */
    struct watermark_source *seen_behind;
    int64_t time_us; /* of its newest event */
    int64_t seen_us; /* when an event of it was last taken; 0: never */
    size_t heap_at;  /* its place among the live ones, plus 1; 0: it is not among them */
} watermark_source_t;

/* A zeroed one knows of no source. */
typedef struct watermark {
    watermark_source_t **heap; /* live sources, the smallest time first */
    size_t count;
    size_t capacity;
    watermark_source_t *oldest; /* live sources, in the order in which they were seen */
    watermark_source_t *newest;
} watermark_t;

/* The sources are their owners'. */
void watermark_fini(watermark_t *self);

/* An event of the source was taken at `now_us`; others that were last seen more than `idle_us`
 * before are idle. Returns how far event time has come. */
int64_t watermark_see(watermark_t *self, watermark_source_t *source, int64_t time_us,
                      int64_t now_us, int64_t idle_us);

/* What the store says of a source. It becomes a live one with watermark_add. */
void watermark_load(watermark_source_t *source, int64_t time_us, int64_t seen_us);
void watermark_add(watermark_t *self, watermark_source_t *source);

#endif

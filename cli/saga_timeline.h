/* A saga for people: what it is, what it waits for, and what it has done. */
#ifndef CLI_SAGA_TIMELINE_H
#define CLI_SAGA_TIMELINE_H

#include "cli/saga_view.h"

#include <stdio.h>

/* Header, what it waits for, and the tree of its tasks; `now_us` is UTC. */
void saga_timeline_print(const saga_view_t *view, int64_t now_us, FILE *out);
/* saga_waits.c: a line for each thing that has to happen before it goes on, at most `lines_max`. */
void saga_waits_print(const saga_view_t *view, size_t lines_max, FILE *out);

#endif

/* What a node of a definition is, in a phrase. Names and values are a stranger's: whoever shows the
 * phrase escapes it. */
#ifndef CLI_SAGA_LABEL_H
#define CLI_SAGA_LABEL_H

#include "actors/saga/plan.h"

/* "reserve: stock/reserve, undone by stock/release", "when input.amount > 100", "sleep 5m". */
void saga_label_append(const plan_t *plan, uint32_t node, buffer_t *out);
/* "step reserve", "parallel"; of a branch as above. */
void saga_label_append_short(const plan_t *plan, uint32_t node, buffer_t *out);
/* "input.amount > 100". */
void saga_label_append_test(const value_test_t *test, buffer_t *out);

void saga_label_append_format(buffer_t *out, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* For %.*s. */
#define SLICE_ARGUMENTS(slice) (int)(slice).size, (slice).size > 0 ? (const char *)(slice).data : ""

#endif

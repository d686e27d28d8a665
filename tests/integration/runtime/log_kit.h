/* What a node logs, read by the test: it blocks until a line has come. */
#ifndef RUNTIME_LOG_KIT_H
#define RUNTIME_LOG_KIT_H

#include <jansson.h>
#include <stdio.h>

/* From here on all lines come here. Before the node is made. */
FILE *log_kit_open(void);
/* The next line of the event ("runtime.cell_stalled"), whose fields are the object's; others are
 * passed over. To be freed with json_decref. */
json_t *log_kit_next(FILE *log, const char *event);
/* The text of a field; "" when there is none. */
const char *log_kit_text(const json_t *line, const char *field);

#endif

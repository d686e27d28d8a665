/* A definition as a picture: a tree for terminals, or a flowchart in Mermaid's language; with the
 * states of a saga's tasks where these are given. */
#ifndef CLI_SAGA_PICTURE_H
#define CLI_SAGA_PICTURE_H

#include "cli/saga_view.h"

typedef struct saga_picture {
    const plan_t *plan;
    const saga_marks_t *marks; /* per node; NULL: of no saga */
    bool ascii;                /* no box-drawing characters */
    bool colours;
} saga_picture_t;

void saga_picture_text(const saga_picture_t *self, buffer_t *out);
void saga_picture_mermaid(const saga_picture_t *self, buffer_t *out);

#endif

/* What the concerns of a node hand down to the loaders. */
#ifndef NODE_DESCRIPTORS_H
#define NODE_DESCRIPTORS_H

#include "config/settings.h"

enum { NODE_SECTION_COUNT = 5 };
/* In the order of the pages that list settings. */
extern const settings_section_t *const node_sections[NODE_SECTION_COUNT];

#endif

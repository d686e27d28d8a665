/* What the concerns of a node hand down to those who load settings and print pages. */
#ifndef NODE_DESCRIPTORS_H
#define NODE_DESCRIPTORS_H

#include "config/settings.h"
#include "runtime/telemetry/metrics.h"

enum { NODE_SECTION_COUNT = 6, NODE_METRICS_COUNT = 6 };
/* In the order of the pages that list them. */
extern const settings_section_t *const node_sections[NODE_SECTION_COUNT];
extern const metrics_section_t *const node_metrics[NODE_METRICS_COUNT];

#endif

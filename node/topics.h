/* The topics of an embedded node, for its gateway. */
#ifndef NODE_TOPICS_H
#define NODE_TOPICS_H

#include "node/durable.h"

/* NULL: they are not open. From inside the node. */
const durable_t *topics_of(capstan_node_t *node);

#endif

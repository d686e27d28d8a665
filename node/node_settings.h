/* The settings of this concern; see node_settings.def. */
#ifndef NODE_NODE_SETTINGS_H
#define NODE_NODE_SETTINGS_H

#define SETTINGS_TABLE   "node/node_settings.def"
#define SETTINGS_CONCERN node
#include "config/settings_types.h"

#endif

#include "node/node_settings.h"

#define SETTINGS_TABLE   "node/node_settings.def"
#define SETTINGS_CONCERN node
#include "config/settings_rows.h"

#include "actors/ordering/ordering_settings.h"

#define SETTINGS_TABLE   "actors/ordering/ordering_settings.def"
#define SETTINGS_CONCERN ordering
#include "config/settings_rows.h"

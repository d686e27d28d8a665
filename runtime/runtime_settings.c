#include "runtime/runtime_settings.h"

#define SETTINGS_TABLE   "runtime/runtime_settings.def"
#define SETTINGS_CONCERN runtime
#include "config/settings_rows.h"

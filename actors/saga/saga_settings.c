#include "actors/saga/saga_settings.h"

#define SETTINGS_TABLE   "actors/saga/saga_settings.def"
#define SETTINGS_CONCERN saga
#include "config/settings_rows.h"

/* The settings of this concern; see runtime_settings.def. */
#ifndef RUNTIME_RUNTIME_SETTINGS_H
#define RUNTIME_RUNTIME_SETTINGS_H

#define SETTINGS_TABLE   "runtime/runtime_settings.def"
#define SETTINGS_CONCERN runtime
#include "config/settings_types.h"

#endif

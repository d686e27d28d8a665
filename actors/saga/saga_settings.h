/* The settings of this concern; see saga_settings.def. */
#ifndef SAGA_SAGA_SETTINGS_H
#define SAGA_SAGA_SETTINGS_H

#define SETTINGS_TABLE   "actors/saga/saga_settings.def"
#define SETTINGS_CONCERN saga
#include "config/settings_types.h"

#endif

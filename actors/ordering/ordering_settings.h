/* The settings of this concern; see ordering_settings.def. */
#ifndef ORDERING_ORDERING_SETTINGS_H
#define ORDERING_ORDERING_SETTINGS_H

#define SETTINGS_TABLE   "actors/ordering/ordering_settings.def"
#define SETTINGS_CONCERN ordering
#include "config/settings_types.h"

#endif

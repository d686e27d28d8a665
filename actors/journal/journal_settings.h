/* The settings of this concern; see journal_settings.def. */
#ifndef JOURNAL_JOURNAL_SETTINGS_H
#define JOURNAL_JOURNAL_SETTINGS_H

#define SETTINGS_TABLE   "actors/journal/journal_settings.def"
#define SETTINGS_CONCERN journal
#include "config/settings_types.h"

#endif

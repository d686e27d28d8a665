#include "actors/journal/journal_settings.h"

#define SETTINGS_TABLE   "actors/journal/journal_settings.def"
#define SETTINGS_CONCERN journal
#include "config/settings_rows.h"

#include "brokers/gateway/gateway_settings.h"

#define SETTINGS_TABLE   "brokers/gateway/gateway_settings.def"
#define SETTINGS_CONCERN gateway
#include "config/settings_rows.h"

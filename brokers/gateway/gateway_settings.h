/* The settings of this concern; see gateway_settings.def. */
#ifndef GATEWAY_GATEWAY_SETTINGS_H
#define GATEWAY_GATEWAY_SETTINGS_H

#define SETTINGS_TABLE   "brokers/gateway/gateway_settings.def"
#define SETTINGS_CONCERN gateway
#include "config/settings_types.h"

#endif

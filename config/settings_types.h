/* Expands the fragment named by SETTINGS_TABLE into the struct <SETTINGS_CONCERN>_settings_t and
 * the declaration of <SETTINGS_CONCERN>_settings_section. Included by each X_settings.h; it has no
 * include guard because it is expanded once per fragment.
 *
 *   SETTING(section, name, TYPE, unit, minimum, maximum, initial, YES|NO, "meaning") */
#include "config/settings.h"

#ifndef SETTINGS_JOIN
#define SETTINGS_JOIN_(a, b) a##b
#define SETTINGS_JOIN(a, b)  SETTINGS_JOIN_(a, b)
#define SETTING_C_STRING     const char *
#define SETTING_C_UINT       uint64_t
#define SETTING_C_BOOL       bool
#endif

#define SETTING(section, name, type, unit, minimum, maximum, initial, reloadable, meaning)         \
    SETTING_C_##type name;
typedef struct SETTINGS_JOIN(SETTINGS_CONCERN, _settings) {
#include SETTINGS_TABLE
} SETTINGS_JOIN(SETTINGS_CONCERN, _settings_t);
#undef SETTING

extern const settings_section_t SETTINGS_JOIN(SETTINGS_CONCERN, _settings_section);

#undef SETTINGS_TABLE
#undef SETTINGS_CONCERN

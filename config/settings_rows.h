/* Expands the fragment named by SETTINGS_TABLE into the rows that the loader walks, and defines
 * <SETTINGS_CONCERN>_settings_section. Included once, by X_settings.c, behind X_settings.h. */
#define SETTING_NO  false
#define SETTING_YES true
#define SETTING(section, name, type, unit, minimum, maximum, initial, reloadable, meaning)         \
    {#section,       #name,                                                                        \
     SETTING_##type, unit,                                                                         \
     minimum,        maximum,                                                                      \
     initial,        SETTING_##reloadable,                                                         \
     meaning,        offsetof(SETTINGS_JOIN(SETTINGS_CONCERN, _settings_t), name)},
static const setting_t rows[] = {
#include SETTINGS_TABLE
};
#undef SETTING

const settings_section_t SETTINGS_JOIN(SETTINGS_CONCERN, _settings_section) = {
    rows, sizeof rows / sizeof rows[0], sizeof(SETTINGS_JOIN(SETTINGS_CONCERN, _settings_t))};

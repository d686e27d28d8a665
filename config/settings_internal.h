/* Shared between the loader's sources. */
#ifndef CONFIG_SETTINGS_INTERNAL_H
#define CONFIG_SETTINGS_INTERNAL_H

#include "config/settings.h"

/* section.name of the longest row, with room. */
#define SETTING_KEY_MAX 128

typedef struct settings_text {
    char *text;
    size_t size;
} settings_text_t;

/* Where a value comes from, as messages name it: "capstan.yaml:12", "environment", "--set". */
typedef struct settings_source {
    const char *name;
    unsigned long line; /* 0: the source has no lines */
} settings_source_t;

/* Writes "<source>: <message>" and returns CONFIG, for `return settings_wrong(...)`. */
capstan_err_t settings_wrong(settings_text_t text, settings_source_t source, const char *format,
                             ...) __attribute__((format(printf, 3, 4)));

/* The row of `section` and `name`; NULL when there is none. `ret_index` counts over all sections
 * and stays below settings_count. */
const setting_t *settings_find(const settings_t *self, const char *section, const char *name,
                               size_t *ret_index);
size_t settings_count(const settings_t *self);

/* True when some row is in this section. */
bool settings_has_section(const settings_t *self, const char *section);

/* The answers to a section and to a key that no row has, with the nearest that exists. */
capstan_err_t settings_unknown_section(const settings_t *self, settings_source_t source,
                                       const char *section, settings_text_t text);
capstan_err_t settings_unknown(const settings_t *self, settings_source_t source,
                               const char *section, const char *name, settings_text_t text);

/* Checks the value against its row and takes it. `key` is how the source writes the setting. */
capstan_err_t settings_take(settings_t *self, size_t index, settings_source_t source,
                            const char *key, const char *value, settings_text_t text);

#endif

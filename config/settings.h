/* Settings: typed rows, grouped in sections, filled from four sources of which the later wins:
 * built-in values, a YAML file, the environment, `--set`.
 *
 *   node_settings.def --expanded--> node_settings_t        what the concern reads
 *                               \-> node_settings_section  what the loader walks
 *
 * This layer knows no section by name: the caller hands it the list. A settings object owns every
 * string that its structs point to; it is filled once, by one thread, and only read afterwards.
 *
 * Every function that can fail writes one sentence to `ret_text`: the source (file and line, the
 * variable, or --set), the key, and the allowed range or the nearest key that exists. */
#ifndef CONFIG_SETTINGS_H
#define CONFIG_SETTINGS_H

#include <capstan/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum setting_type {
    SETTING_STRING, /* const char *; the bounds count bytes */
    SETTING_UINT,   /* uint64_t */
    SETTING_BOOL,   /* bool; `true` or `false` */
} setting_type_t;

typedef struct setting {
    const char *section;
    const char *name;
    setting_type_t type;
    const char *unit;
    uint64_t minimum;
    uint64_t maximum;
    const char *initial;
    bool reloadable;
    const char *meaning;
    size_t offset; /* of the member in the concern's struct */
} setting_t;

/* One concern's fragment; all its rows name the same section. */
typedef struct settings_section {
    const setting_t *rows;
    size_t count;
    size_t struct_size;
} settings_section_t;

typedef struct settings settings_t;

/* Holds the built-in values of all rows. A built-in value that breaks its own row's bounds is a
 * programming error. `sections` must outlive the object. */
settings_t *settings_new(const settings_section_t *const *sections, size_t count);
void settings_destroy(settings_t **self_p);

/* The struct of a section that was given to settings_new; lives as long as `self`. */
const void *settings_get(const settings_t *self, const settings_section_t *section);

/* Reads a YAML file: a mapping of sections, each a mapping of names to plain values. Aliases,
 * anchors, tags, deeper nesting, further documents, a key that is given twice and more than
 * SETTINGS_FILE_BYTES_MAX are refused. After an error some values may have been taken.
 * Errors: SYSTEM (the file cannot be read), CONFIG. */
#define SETTINGS_FILE_BYTES_MAX (1024 * 1024)
CAPSTAN_MUST_CHECK capstan_err_t settings_load_file(settings_t *self, const char *path,
                                                    char *ret_text, size_t text_size);

/* Takes every CAPSTAN_<SECTION>_<NAME> of `environment` (a NULL-terminated list of NAME=VALUE). A
 * variable that begins with CAPSTAN_ and names no setting is refused, because it is most likely
 * misspelt; those that the tests use are passed over. Errors: CONFIG. */
CAPSTAN_MUST_CHECK capstan_err_t settings_load_environment(settings_t *self,
                                                           const char *const *environment,
                                                           char *ret_text, size_t text_size);

/* Takes one `section.name=value`, as given to --set. Errors: CONFIG. */
CAPSTAN_MUST_CHECK capstan_err_t settings_assign(settings_t *self, const char *assignment,
                                                 char *ret_text, size_t text_size);

#endif

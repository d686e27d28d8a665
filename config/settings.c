/* The object, the rows' bounds, and the two sources without a syntax: environment and --set. */
#include "config/settings_internal.h"

#include "config/values.h"
#include "runtime/base/ensure.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#define ENVIRONMENT_PREFIX "CAPSTAN_"
/* Of a value, in a message. */
#define SHOWN_BYTES_MAX 64

/* Variables with our prefix that are no settings: the tests set them, and nodes inherit them. */
static const char *const other_variables[] = {
    "CAPSTAN_LOANS",     "CAPSTAN_FULL",         "CAPSTAN_SEED",         "CAPSTAN_SOURCE_DIR",
    "CAPSTAN_BUILD_DIR", "CAPSTAN_PROGRAM",      "CAPSTAN_FUZZ_SECONDS", "CAPSTAN_REGENERATE",
    "CAPSTAN_INSTANTS",  "CAPSTAN_TEST_SECONDS",
};

/* One row and where its value is. */
typedef struct slot {
    const setting_t *row;
    void *member;
    char *owned; /* the bytes of a STRING that is not built in */
} slot_t;

struct settings {
    const settings_section_t *const *sections;
    void **structs;
    size_t section_count;
    slot_t *slots;
    size_t slot_count;
};

capstan_err_t settings_wrong(settings_text_t text, settings_source_t source, const char *format,
                             ...)
{
    char message[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    if (source.line > 0) {
        snprintf(text.text, text.size, "%s:%lu: %s", source.name, source.line, message);
    } else {
        snprintf(text.text, text.size, "%s: %s", source.name, message);
    }
    return CAPSTAN_E_CONFIG;
}

static void *checked(void *memory)
{
    ENSURE(memory);
    return memory;
}

settings_t *settings_new(const settings_section_t *const *sections, size_t count)
{
    settings_t *self = checked(calloc(1, sizeof *self));
    self->sections = sections;
    self->section_count = count;
    self->structs = checked(calloc(count + 1, sizeof *self->structs));
    for (size_t i = 0; i < count; i++) {
        self->structs[i] = checked(calloc(1, sections[i]->struct_size));
        self->slot_count += sections[i]->count;
    }
    self->slots = checked(calloc(self->slot_count + 1, sizeof *self->slots));
    slot_t *slot = self->slots;
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < sections[i]->count; j++, slot++) {
            slot->row = &sections[i]->rows[j];
            slot->member = (char *)self->structs[i] + slot->row->offset;
        }
    }
    for (size_t i = 0; i < self->slot_count; i++) {
        char text[512];
        capstan_err_t err = settings_take(self, i, (settings_source_t){.name = "built-in"},
                                          self->slots[i].row->name, self->slots[i].row->initial,
                                          (settings_text_t){text, sizeof text});
        ENSURE(err == CAPSTAN_OK);
    }
    return self;
}

void settings_destroy(settings_t **self_p)
{
    settings_t *self = *self_p;
    if (!self) {
        return;
    }
    for (size_t i = 0; i < self->slot_count; i++) {
        free(self->slots[i].owned);
    }
    for (size_t i = 0; i < self->section_count; i++) {
        free(self->structs[i]);
    }
    free(self->structs);
    free(self->slots);
    free(self);
    *self_p = NULL;
}

const void *settings_get(const settings_t *self, const settings_section_t *section)
{
    const void *found = NULL;
    for (size_t i = 0; i < self->section_count; i++) {
        if (self->sections[i] == section) {
            found = self->structs[i];
        }
    }
    ENSURE(found);
    return found;
}

size_t settings_count(const settings_t *self)
{
    return self->slot_count;
}

const setting_t *settings_find(const settings_t *self, const char *section, const char *name,
                               size_t *ret_index)
{
    for (size_t i = 0; i < self->slot_count; i++) {
        const setting_t *row = self->slots[i].row;
        if (strcmp(row->section, section) == 0 && strcmp(row->name, name) == 0) {
            *ret_index = i;
            return row;
        }
    }
    return NULL;
}

bool settings_has_section(const settings_t *self, const char *section)
{
    for (size_t i = 0; i < self->slot_count; i++) {
        if (strcmp(self->slots[i].row->section, section) == 0) {
            return true;
        }
    }
    return false;
}

typedef void print_fn(const setting_t *row, char *ret_name, size_t size);

static void print_key(const setting_t *row, char *ret_name, size_t size)
{
    snprintf(ret_name, size, "%s.%s", row->section, row->name);
}

static void print_section(const setting_t *row, char *ret_name, size_t size)
{
    snprintf(ret_name, size, "%s", row->section);
}

static void print_variable(const setting_t *row, char *ret_name, size_t size)
{
    snprintf(ret_name, size, ENVIRONMENT_PREFIX "%s_%s", row->section, row->name);
    for (char *at = ret_name; *at; at++) {
        *at = (char)toupper((unsigned char)*at);
    }
}

/* The answer to a name that no row has; `print` writes names as the source does. */
static capstan_err_t unknown_name(const settings_t *self, settings_source_t source,
                                  const char *wanted, print_fn *print, settings_text_t text)
{
    const char *noun = print == print_section ? "section" : "setting";
    nearest_t nearest = nearest_to(wanted);
    char best[SETTING_KEY_MAX] = "";
    for (size_t i = 0; i < self->slot_count; i++) {
        char name[SETTING_KEY_MAX];
        print(self->slots[i].row, name, sizeof name);
        nearest_offer(&nearest, name);
        if (nearest.best == name) {
            memcpy(best, name, sizeof best);
            nearest.best = best;
        }
    }
    if (nearest.best) {
        return settings_wrong(text, source, "%s: no such %s; did you mean %s?", wanted, noun, best);
    }
    return settings_wrong(text, source, "%s: no such %s; `capstan help settings` lists them",
                          wanted, noun);
}

capstan_err_t settings_unknown_section(const settings_t *self, settings_source_t source,
                                       const char *section, settings_text_t text)
{
    char wanted[SHOWN_BYTES_MAX + 1];
    snprintf(wanted, sizeof wanted, "%s", section);
    return unknown_name(self, source, wanted, print_section, text);
}

capstan_err_t settings_unknown(const settings_t *self, settings_source_t source,
                               const char *section, const char *name, settings_text_t text)
{
    char wanted[2 * SETTING_KEY_MAX];
    snprintf(wanted, sizeof wanted, "%.*s.%.*s", SHOWN_BYTES_MAX, section, SHOWN_BYTES_MAX, name);
    return unknown_name(self, source, wanted, print_key, text);
}

static capstan_err_t take_uint(const slot_t *slot, settings_source_t source, const char *key,
                               const char *value, settings_text_t text)
{
    const setting_t *row = slot->row;
    uint64_t number;
    const char *blank = *row->unit ? " " : "";
    if (!value_parse_uint(value, &number)) {
        return settings_wrong(
            text, source,
            "%s: \"%.*s\" is no whole number; allowed are %" PRIu64 " to %" PRIu64 "%s%s", key,
            SHOWN_BYTES_MAX, value, row->minimum, row->maximum, blank, row->unit);
    }
    if (number < row->minimum || number > row->maximum) {
        return settings_wrong(text, source,
                              "%s: %" PRIu64 " is out of range; allowed are %" PRIu64 " to %" PRIu64
                              "%s%s",
                              key, number, row->minimum, row->maximum, blank, row->unit);
    }
    *(uint64_t *)slot->member = number;
    return CAPSTAN_OK;
}

static capstan_err_t take_bool(const slot_t *slot, settings_source_t source, const char *key,
                               const char *value, settings_text_t text)
{
    bool on = strcmp(value, "true") == 0;
    if (!on && strcmp(value, "false") != 0) {
        return settings_wrong(text, source, "%s: \"%.*s\" is neither true nor false", key,
                              SHOWN_BYTES_MAX, value);
    }
    *(bool *)slot->member = on;
    return CAPSTAN_OK;
}

static capstan_err_t take_string(slot_t *slot, settings_source_t source, const char *key,
                                 const char *value, settings_text_t text)
{
    const setting_t *row = slot->row;
    size_t size = strlen(value);
    if (size < row->minimum || size > row->maximum) {
        return settings_wrong(text, source,
                              "%s: the text has %zu bytes; allowed are %" PRIu64 " to %" PRIu64,
                              key, size, row->minimum, row->maximum);
    }
    if (!value_is_utf8(value)) {
        return settings_wrong(text, source, "%s: the text is not UTF-8", key);
    }
    char *copy = checked(strdup(value));
    free(slot->owned);
    slot->owned = copy;
    *(const char **)slot->member = copy;
    return CAPSTAN_OK;
}

capstan_err_t settings_take(settings_t *self, size_t index, settings_source_t source,
                            const char *key, const char *value, settings_text_t text)
{
    slot_t *slot = &self->slots[index];
    switch (slot->row->type) {
    case SETTING_UINT:
        return take_uint(slot, source, key, value, text);
    case SETTING_BOOL:
        return take_bool(slot, source, key, value, text);
    case SETTING_STRING:
        break;
    }
    return take_string(slot, source, key, value, text);
}

static capstan_err_t take_variable(settings_t *self, const char *name, const char *value,
                                   settings_text_t text)
{
    const settings_source_t source = {.name = "environment"};
    for (size_t i = 0; i < self->slot_count; i++) {
        char variable[SETTING_KEY_MAX];
        print_variable(self->slots[i].row, variable, sizeof variable);
        if (strcmp(variable, name) == 0) {
            return settings_take(self, i, source, variable, value, text);
        }
    }
    return unknown_name(self, source, name, print_variable, text);
}

static bool is_other_variable(const char *name)
{
    for (size_t i = 0; i < sizeof other_variables / sizeof other_variables[0]; i++) {
        if (strcmp(other_variables[i], name) == 0) {
            return true;
        }
    }
    return false;
}

capstan_err_t settings_load_environment(settings_t *self, const char *const *environment,
                                        char *ret_text, size_t text_size)
{
    settings_text_t text = {ret_text, text_size};
    for (; *environment; environment++) {
        const char *end = strchr(*environment, '=');
        if (!end || strncmp(*environment, ENVIRONMENT_PREFIX, strlen(ENVIRONMENT_PREFIX)) != 0) {
            continue;
        }
        char name[SETTING_KEY_MAX];
        snprintf(name, sizeof name, "%.*s", (int)(end - *environment), *environment);
        if (is_other_variable(name)) {
            continue;
        }
        capstan_err_t err = take_variable(self, name, end + 1, text);
        if (err != CAPSTAN_OK) {
            return err;
        }
    }
    return CAPSTAN_OK;
}

capstan_err_t settings_assign(settings_t *self, const char *assignment, char *ret_text,
                              size_t text_size)
{
    settings_text_t text = {ret_text, text_size};
    const settings_source_t source = {.name = "--set"};
    const char *dot = strchr(assignment, '.');
    const char *equals = strchr(assignment, '=');
    if (!equals || !dot || dot > equals || dot == assignment || dot + 1 == equals) {
        return settings_wrong(text, source, "\"%.*s\" is not of the form section.name=value",
                              SHOWN_BYTES_MAX, assignment);
    }
    char section[SETTING_KEY_MAX];
    char name[SETTING_KEY_MAX];
    char key[2 * SETTING_KEY_MAX];
    snprintf(section, sizeof section, "%.*s", (int)(dot - assignment), assignment);
    snprintf(name, sizeof name, "%.*s", (int)(equals - dot - 1), dot + 1);
    snprintf(key, sizeof key, "%s.%s", section, name);
    size_t index;
    if (!settings_find(self, section, name, &index)) {
        return settings_unknown(self, source, section, name, text);
    }
    return settings_take(self, index, source, key, equals + 1, text);
}

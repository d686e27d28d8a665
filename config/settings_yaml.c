/* The YAML source. Its grammar is small on purpose:
 *
 *   section:
 *     name: value        plain or quoted
 *
 * libyaml's events are walked over it, and the first event that does not belong is refused with its
 * line. Nothing is kept of the document, so depth and aliases cannot cost memory. */
#include "config/settings_internal.h"

#include "runtime/base/buffer.h"
#include "runtime/base/ensure.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

typedef struct reader {
    settings_t *settings;
    settings_text_t text;
    const char *path;
    yaml_parser_t parser;
    /* Where each setting was first given in this file, 0: nowhere. */
    unsigned long *lines;
    /* Sections that were begun, in order; a section may be given once. */
    char sections[64][SETTING_KEY_MAX];
    size_t section_count;
} reader_t;

static settings_source_t source_at(const reader_t *self, size_t line)
{
    return (settings_source_t){.name = self->path, .line = (unsigned long)line + 1};
}

#define REFUSE(self, line, ...) settings_wrong((self)->text, source_at((self), (line)), __VA_ARGS__)

static capstan_err_t read_file(reader_t *self, buffer_t *ret_bytes)
{
    const settings_source_t source = {.name = self->path};
    FILE *file = fopen(self->path, "re");
    if (!file) {
        (void)settings_wrong(self->text, source, "cannot be opened: %s", strerror(errno));
        return CAPSTAN_E_SYSTEM;
    }
    capstan_err_t err = CAPSTAN_OK;
    uint8_t *room = buffer_reserve(ret_bytes, SETTINGS_FILE_BYTES_MAX + 1);
    ret_bytes->size = fread(room, 1, SETTINGS_FILE_BYTES_MAX + 1, file);
    if (ferror(file)) {
        (void)settings_wrong(self->text, source, "cannot be read: %s", strerror(errno));
        err = CAPSTAN_E_SYSTEM;
    } else if (ret_bytes->size > SETTINGS_FILE_BYTES_MAX) {
        err = settings_wrong(self->text, source, "more than %d bytes: this is no settings file",
                             SETTINGS_FILE_BYTES_MAX);
    }
    fclose(file);
    return err;
}

/* The next event, checked for what is refused everywhere. The caller deletes it on success. */
static capstan_err_t next_event(reader_t *self, yaml_event_t *ret_event)
{
    yaml_event_t event;
    if (!yaml_parser_parse(&self->parser, &event)) {
        const yaml_parser_t *parser = &self->parser;
        const char *problem = parser->problem ? parser->problem : "cannot be read";
        /* What libyaml says of a tab names neither the tab nor what to do. */
        bool tab = strstr(problem, "cannot start any token") != NULL;
        return REFUSE(self, parser->problem_mark.line, "not YAML: %s%s%s%s", problem,
                      parser->context ? ", " : "", parser->context ? parser->context : "",
                      tab ? "; indent with blanks, not tabs, and quote texts that begin with @ or `"
                          : "");
    }
    size_t line = event.start_mark.line;
    bool anchored = false;
    bool tagged = false;
    if (event.type == YAML_SCALAR_EVENT) {
        anchored = event.data.scalar.anchor != NULL;
        tagged = event.data.scalar.tag != NULL;
    } else if (event.type == YAML_MAPPING_START_EVENT) {
        anchored = event.data.mapping_start.anchor != NULL;
        tagged = event.data.mapping_start.tag != NULL;
    } else if (event.type == YAML_ALIAS_EVENT) {
        anchored = true;
    }
    if (anchored || tagged) {
        yaml_event_delete(&event);
        return REFUSE(self, line, "%s are not used in settings files: write the value itself",
                      anchored ? "anchors and aliases" : "tags");
    }
    *ret_event = event;
    return CAPSTAN_OK;
}

/* A scalar as a C string; refuses what a C string cannot hold. */
static capstan_err_t scalar_text(reader_t *self, const yaml_event_t *event, const char **ret_text)
{
    const char *value = (const char *)event->data.scalar.value;
    if (strlen(value) != event->data.scalar.length) {
        return REFUSE(self, event->start_mark.line, "a zero byte within a text");
    }
    *ret_text = value;
    return CAPSTAN_OK;
}

static bool is_empty(const yaml_event_t *event)
{
    return event->type == YAML_SCALAR_EVENT && event->data.scalar.length == 0 &&
           event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
}

/* `name: value`, where the name's event has been read. */
static capstan_err_t read_setting(reader_t *self, const char *section, const char *name,
                                  size_t line)
{
    char key[2 * SETTING_KEY_MAX];
    snprintf(key, sizeof key, "%.100s.%.100s", section, name);
    size_t index;
    if (!settings_find(self->settings, section, name, &index)) {
        return settings_unknown(self->settings, source_at(self, line), section, name, self->text);
    }
    if (self->lines[index] > 0) {
        return REFUSE(self, line, "%s: given twice, first in line %lu", key, self->lines[index]);
    }
    self->lines[index] = (unsigned long)line + 1;

    yaml_event_t event;
    capstan_err_t err = next_event(self, &event);
    if (err != CAPSTAN_OK) {
        return err;
    }
    const char *value = NULL;
    if (event.type != YAML_SCALAR_EVENT) {
        err = REFUSE(self, event.start_mark.line,
                     "%s: one value is wanted, not a list or a mapping", key);
    } else if (is_empty(&event)) {
        err = REFUSE(self, line, "%s: the value is missing", key);
    } else if ((err = scalar_text(self, &event, &value)) == CAPSTAN_OK) {
        err = settings_take(self->settings, index, source_at(self, event.start_mark.line), key,
                            value, self->text);
    }
    yaml_event_delete(&event);
    return err;
}

typedef capstan_err_t member_fn(reader_t *self, const char *outer, const char *name, size_t line);

/* The members of a mapping whose start has been read, up to its end. */
static capstan_err_t read_members(reader_t *self, const char *outer, member_fn *read_member)
{
    for (;;) {
        yaml_event_t event;
        capstan_err_t err = next_event(self, &event);
        if (err != CAPSTAN_OK) {
            return err;
        }
        bool end = event.type == YAML_MAPPING_END_EVENT;
        const char *name = NULL;
        if (!end && event.type != YAML_SCALAR_EVENT) {
            err = REFUSE(self, event.start_mark.line, "a key must be a plain word");
        } else if (!end && (err = scalar_text(self, &event, &name)) == CAPSTAN_OK) {
            err = read_member(self, outer, name, event.start_mark.line);
        }
        yaml_event_delete(&event);
        if (end || err != CAPSTAN_OK) {
            return err;
        }
    }
}

/* Refuses an unknown section and one that was given before. */
static capstan_err_t begin_section(reader_t *self, const char *section, size_t line)
{
    if (!settings_has_section(self->settings, section)) {
        return settings_unknown_section(self->settings, source_at(self, line), section, self->text);
    }
    for (size_t i = 0; i < self->section_count; i++) {
        if (strcmp(self->sections[i], section) == 0) {
            return REFUSE(self, line, "%s: the section is given twice", section);
        }
    }
    ENSURE(self->section_count < sizeof self->sections / sizeof self->sections[0]);
    snprintf(self->sections[self->section_count++], SETTING_KEY_MAX, "%s", section);
    return CAPSTAN_OK;
}

/* `section:` and what follows; a section without settings (all commented out) is empty. */
static capstan_err_t read_section(reader_t *self, const char *outer, const char *section,
                                  size_t line)
{
    (void)outer;
    capstan_err_t err = begin_section(self, section, line);
    if (err != CAPSTAN_OK) {
        return err;
    }
    yaml_event_t event;
    err = next_event(self, &event);
    if (err != CAPSTAN_OK) {
        return err;
    }
    if (event.type == YAML_MAPPING_START_EVENT) {
        err = read_members(self, section, read_setting);
    } else if (!is_empty(&event)) {
        err =
            REFUSE(self, event.start_mark.line, "%s: a section holds lines `name: value`", section);
    }
    yaml_event_delete(&event);
    return err;
}

static capstan_err_t read_document(reader_t *self)
{
    bool had_document = false;
    for (;;) {
        yaml_event_t event;
        capstan_err_t err = next_event(self, &event);
        if (err != CAPSTAN_OK) {
            return err;
        }
        bool end = event.type == YAML_STREAM_END_EVENT;
        size_t line = event.start_mark.line;
        if (event.type == YAML_DOCUMENT_START_EVENT && had_document) {
            err = REFUSE(self, line, "a second document: a settings file has one");
        } else if (event.type == YAML_DOCUMENT_START_EVENT) {
            had_document = true;
        } else if (event.type == YAML_MAPPING_START_EVENT) {
            err = read_members(self, NULL, read_section);
        } else if (event.type == YAML_SEQUENCE_START_EVENT ||
                   (event.type == YAML_SCALAR_EVENT && !is_empty(&event))) {
            err = REFUSE(self, line, "sections are wanted: `section:` and below it `name: value`");
        }
        yaml_event_delete(&event);
        if (end || err != CAPSTAN_OK) {
            return err;
        }
    }
}

capstan_err_t settings_load_file(settings_t *self, const char *path, char *ret_text,
                                 size_t text_size)
{
    reader_t reader = {.settings = self, .text = {ret_text, text_size}, .path = path};
    buffer_t bytes = {0};
    capstan_err_t err = read_file(&reader, &bytes);
    if (err == CAPSTAN_OK) {
        reader.lines = calloc(settings_count(self) + 1, sizeof *reader.lines);
        ENSURE(reader.lines && yaml_parser_initialize(&reader.parser));
        yaml_parser_set_input_string(&reader.parser, bytes.data, bytes.size);
        err = read_document(&reader);
        yaml_parser_delete(&reader.parser);
    }
    free(reader.lines);
    buffer_fini(&bytes);
    return err;
}

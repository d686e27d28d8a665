/* Pages made from tables: docs/config.md, config/capstan.yaml and docs/errors.md are these outputs,
 * and a test compares them. */
#ifndef CONFIG_DOCUMENTS_H
#define CONFIG_DOCUMENTS_H

#include "config/settings.h"

#include <stdio.h>

void settings_print_markdown(const settings_section_t *const *sections, size_t count, FILE *out);

/* A settings file: every section, every setting commented out at its built-in value. */
void settings_print_sample(const settings_section_t *const *sections, size_t count, FILE *out);

void errors_print_markdown(FILE *out);

#endif

#include "config/documents.h"

#include <ctype.h>
#include <inttypes.h>

static const char *type_name(setting_type_t type)
{
    static const char *const names[] = {"text", "number", "true or false"};
    return names[type];
}

/* The allowed values, as both pages write them. */
static void print_range(const setting_t *row, FILE *out)
{
    switch (row->type) {
    case SETTING_STRING:
        fprintf(out, "text of %" PRIu64 " to %" PRIu64 " bytes", row->minimum, row->maximum);
        break;
    case SETTING_UINT:
        fprintf(out, "%" PRIu64 " to %" PRIu64 "%s%s", row->minimum, row->maximum,
                *row->unit ? " " : "", row->unit);
        break;
    case SETTING_BOOL:
        fprintf(out, "%s", type_name(row->type));
        break;
    }
}

static void print_upper(const char *text, FILE *out)
{
    for (; *text; text++) {
        fputc(toupper((unsigned char)*text), out);
    }
}

static void print_setting_row(const setting_t *row, FILE *out)
{
    fprintf(out, "| `%s.%s` | `%s` | ", row->section, row->name, row->initial);
    print_range(row, out);
    fprintf(out, " | `CAPSTAN_");
    print_upper(row->section, out);
    fputc('_', out);
    print_upper(row->name, out);
    fprintf(out, "` | %s | %s |\n", row->reloadable ? "yes" : "no", row->meaning);
}

void settings_print_markdown(const settings_section_t *const *sections, size_t count, FILE *out)
{
    fprintf(out,
            "# Settings\n\n"
            "Printed by `capstan help settings`; do not edit.\n\n"
            "A setting comes from four sources, of which the later wins: the built-in value, the\n"
            "file given to `capstan node --config FILE`, the environment, and\n"
            "`--set section.name=value`. `capstan help sample` prints a file to begin with.\n"
            "A key, variable or value that no row below allows is refused when the node starts.\n");
    for (size_t i = 0; i < count; i++) {
        fprintf(out,
                "\n## %s\n\n"
                "| setting | built in | allowed | environment | reloadable | meaning |\n"
                "|---|---|---|---|---|---|\n",
                sections[i]->rows[0].section);
        for (size_t j = 0; j < sections[i]->count; j++) {
            print_setting_row(&sections[i]->rows[j], out);
        }
    }
}

void settings_print_sample(const settings_section_t *const *sections, size_t count, FILE *out)
{
    fprintf(out, "# Settings of a Capstan node at their built-in values; printed by\n"
                 "# `capstan help sample`. Uncomment what you change, and start the node with\n"
                 "# `capstan node --config FILE`.\n");
    for (size_t i = 0; i < count; i++) {
        fprintf(out, "\n%s:\n", sections[i]->rows[0].section);
        for (size_t j = 0; j < sections[i]->count; j++) {
            const setting_t *row = &sections[i]->rows[j];
            fprintf(out, "  # %s\n  # (", row->meaning);
            print_range(row, out);
            fprintf(out, ")");
            fprintf(out, "\n  #%s: %s\n", row->name, row->initial);
        }
    }
}

void errors_print_markdown(FILE *out)
{
    /* What the classes of errors.def mean to the caller. */
    static const char *const NEVER = "no";
    static const char *const LATER = "later";
    static const char *const FIX = "after a correction";
    fprintf(out, "# Errors\n\n"
                 "Printed by `capstan help errors`; do not edit.\n\n"
                 "The numbers are the same in C (`CAPSTAN_E_<NAME>`), on the wire and in logs. 0 "
                 "is success.\nNumbers are never reused.\n\n"
                 "| number | name | meaning | try again? | what you can do |\n"
                 "|---|---|---|---|---|\n");
#define ERROR(name, number, retry_class, text, remedy)                                             \
    fprintf(out, "| %d | `%s` | %s | %s | %s |\n", number, #name, text, retry_class, remedy);
#include <capstan/errors.def>
#undef ERROR
}

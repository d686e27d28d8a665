#include "cli/help.h"

#include "actors/ordering/topic_settings.h"
#include "config/documents.h"
#include "node/descriptors.h"

#include <inttypes.h>
#include <string.h>

static void print_settings(FILE *out)
{
    settings_print_markdown(node_sections, NODE_SECTION_COUNT, out);
}

static void print_sample(FILE *out)
{
    settings_print_sample(node_sections, NODE_SECTION_COUNT, out);
}

static void print_metrics(FILE *out)
{
    metrics_print_markdown(node_metrics, NODE_METRICS_COUNT, out);
}

static void print_topics(FILE *out)
{
    size_t count;
    const topic_setting_row_t *rows = topic_setting_rows(&count);
    fprintf(out, "# Settings of a topic\n\n"
                 "Printed by `capstan help topics`; do not edit.\n\n"
                 "`capstan topic create TOPIC --set name=value` makes a topic with them,\n"
                 "`capstan topic alter` changes those that can be changed, `capstan topic\n"
                 "describe` shows all. They are stored with the topic.\n\n"
                 "| setting | built in | allowed | for topics | changes later | meaning |\n"
                 "|---|---|---|---|---|---|\n");
    for (size_t i = 0; i < count; i++) {
        static const char *const changes[] = {"no", "yes", "yes, alone",
                                              "yes; to lower it wants `--force`",
                                              "yes; to the later word wants `--force`"};
        static const char *const wheres[] = {"all", "sequence=producer", "sequence=arrival"};
        const topic_setting_row_t *row = &rows[i];
        fprintf(out, "| `%s` | ", row->name);
        if (row->type == TOPIC_CHOICE) {
            slice_t word = topic_setting_word(row, row->initial);
            fprintf(out, "`%.*s` | ", (int)word.size, (const char *)word.data);
            for (uint64_t k = row->minimum; k <= row->maximum; k++) {
                word = topic_setting_word(row, k);
                fprintf(out, "%s`%.*s`", k > row->minimum ? " or " : "", (int)word.size,
                        (const char *)word.data);
            }
        } else if (row->type == TOPIC_TEXT) {
            fprintf(out, "empty | %s, at most %" PRIu64 " bytes", row->unit, row->maximum);
        } else {
            fprintf(out, "`%" PRIu64 "` | %" PRIu64 " to %" PRIu64 " %s", row->initial,
                    row->minimum, row->maximum, row->unit);
        }
        fprintf(out, " | %s | %s | %s |\n", wheres[row->where], changes[row->change], row->meaning);
    }
}

static const struct page {
    const char *name;
    const char *summary;
    void (*print)(FILE *out);
} pages[] = {
    {"settings", "all settings of a node", print_settings},
    {"sample", "a settings file with every setting commented out", print_sample},
    {"topics", "all settings of a topic", print_topics},
    {"metrics", "all metrics of a node", print_metrics},
    {"errors", "all errors and what to do about them", errors_print_markdown},
};

size_t help_page_count(void)
{
    return sizeof pages / sizeof pages[0];
}

const char *help_page(size_t index, const char **ret_summary)
{
    *ret_summary = pages[index].summary;
    return pages[index].name;
}

void help_list(FILE *out)
{
    for (size_t i = 0; i < sizeof pages / sizeof pages[0]; i++) {
        fprintf(out, "  help %-10s%s\n", pages[i].name, pages[i].summary);
    }
}

bool help_print(const char *page, FILE *out)
{
    for (size_t i = 0; i < sizeof pages / sizeof pages[0]; i++) {
        if (strcmp(pages[i].name, page) == 0) {
            pages[i].print(out);
            return true;
        }
    }
    return false;
}

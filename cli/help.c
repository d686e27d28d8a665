#include "cli/help.h"

#include "config/documents.h"
#include "node/descriptors.h"

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

static const struct page {
    const char *name;
    const char *summary;
    void (*print)(FILE *out);
} pages[] = {
    {"settings", "all settings of a node", print_settings},
    {"sample", "a settings file with every setting commented out", print_sample},
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

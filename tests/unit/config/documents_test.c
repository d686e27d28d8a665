/* Goal: the pages of docs/ and the sample file are what the program prints, and the sample is a
 * settings file that changes nothing until a line is uncommented. */
#include "config/documents.h"
#include "node/descriptors.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct page {
    char *text;
    size_t size;
} page_t;

/* The whole of a file below the root of the tree. */
static page_t read_page(const char *name)
{
    const char *root = getenv("CAPSTAN_SOURCE_DIR");
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", root ? root : ".", name);
    FILE *file = fopen(path, "r");
    cr_assert_not_null(file, "%s", path);
    page_t page = {.text = calloc(1, 1024 * 1024)};
    page.size = fread(page.text, 1, 1024 * 1024 - 1, file);
    fclose(file);
    return page;
}

static void check_page(const char *name, const char *command, page_t printed)
{
    page_t page = read_page(name);
    cr_assert(page.size > 0);
    cr_assert_str_eq(page.text, printed.text, "%s differs: run `capstan %s > %s`", name, command,
                     name);
    free(page.text);
    free(printed.text);
}

Test(documents, config_md_is_what_the_program_prints)
{
    page_t printed;
    FILE *out = open_memstream(&printed.text, &printed.size);
    settings_print_markdown(node_sections, NODE_SECTION_COUNT, out);
    fclose(out);
    check_page("docs/config.md", "help settings", printed);
}

Test(documents, metrics_md_is_what_the_program_prints)
{
    page_t printed;
    FILE *out = open_memstream(&printed.text, &printed.size);
    metrics_print_markdown(node_metrics, NODE_METRICS_COUNT, out);
    fclose(out);
    check_page("docs/metrics.md", "help metrics", printed);
}

Test(documents, errors_md_is_what_the_program_prints)
{
    page_t printed;
    FILE *out = open_memstream(&printed.text, &printed.size);
    errors_print_markdown(out);
    fclose(out);
    check_page("docs/errors.md", "help errors", printed);
}

Test(documents, capstan_yaml_is_what_the_program_prints)
{
    page_t printed;
    FILE *out = open_memstream(&printed.text, &printed.size);
    settings_print_sample(node_sections, NODE_SECTION_COUNT, out);
    fclose(out);
    check_page("config/capstan.yaml", "help sample", printed);
}

/* Uncomments every setting: "  #name: value" becomes "  name: value". */
static void uncomment(page_t *page)
{
    char *to = page->text;
    for (const char *from = page->text; *from; from++) {
        bool mark = *from == '#' && from > page->text && from[-1] == ' ' && from[1] != ' ';
        if (!mark) {
            *to++ = *from;
        }
    }
    *to = '\0';
    page->size = (size_t)(to - page->text);
}

static void check_loads(const page_t *page)
{
    char path[] = "/tmp/capstan-sample-XXXXXX";
    int fd = mkstemp(path);
    cr_assert(fd >= 0 && write(fd, page->text, page->size) == (ssize_t)page->size);
    close(fd);
    settings_t *settings = settings_new(node_sections, NODE_SECTION_COUNT);
    char text[512] = "";
    cr_assert_eq(settings_load_file(settings, path, text, sizeof text), CAPSTAN_OK, "%s", text);
    settings_destroy(&settings);
    unlink(path);
}

Test(documents, the_sample_file_is_accepted_as_it_is_and_with_every_line_uncommented)
{
    page_t page = read_page("config/capstan.yaml");
    check_loads(&page);
    size_t commented = page.size;
    uncomment(&page);
    size_t rows = 0;
    for (size_t i = 0; i < NODE_SECTION_COUNT; i++) {
        rows += node_sections[i]->count;
    }
    cr_assert_eq(commented - page.size, rows, "one mark was taken out per setting");
    check_loads(&page);
    free(page.text);
}

Test(metrics_tables, have_one_concern_each_no_name_twice_and_say_what_they_mean)
{
    for (size_t i = 0; i < NODE_METRICS_COUNT; i++) {
        const metrics_section_t *section = node_metrics[i];
        cr_assert(section->count > 0);
        for (size_t j = 0; j < section->count; j++) {
            const metric_t *row = &section->rows[j];
            cr_expect_str_eq(row->concern, section->rows[0].concern);
            cr_expect(*row->unit != '\0' && *row->meaning != '\0');
            for (size_t k = 0; k < j; k++) {
                cr_expect_str_neq(row->name, section->rows[k].name);
            }
        }
        for (size_t k = 0; k < i; k++) {
            cr_expect_str_neq(section->rows[0].concern, node_metrics[k]->rows[0].concern);
        }
    }
}

Test(settings_tables, have_one_section_each_no_name_twice_and_a_range_that_holds)
{
    for (size_t i = 0; i < NODE_SECTION_COUNT; i++) {
        const settings_section_t *section = node_sections[i];
        cr_assert(section->count > 0);
        for (size_t j = 0; j < section->count; j++) {
            const setting_t *row = &section->rows[j];
            cr_expect_str_eq(row->section, section->rows[0].section);
            cr_expect(row->minimum <= row->maximum);
            cr_expect(*row->meaning != '\0');
            for (size_t k = 0; k < j; k++) {
                cr_expect_str_neq(row->name, section->rows[k].name);
            }
        }
        for (size_t k = 0; k < i; k++) {
            cr_expect_str_neq(section->rows[0].section, node_sections[k]->rows[0].section);
        }
    }
}

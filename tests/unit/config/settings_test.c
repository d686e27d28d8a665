/* Goal: every source fills the structs, the later wins, and every wrong key, value or form is
 * refused with a text that names the place, the key and what is allowed. */
#include "config/settings.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct sample_settings {
    const char *label;
    uint64_t size;
    bool loud;
} sample_settings_t;

static const setting_t sample_rows[] = {
    {"sample", "label", SETTING_STRING, "", 1, 8, "built in", false, "a label",
     offsetof(sample_settings_t, label)},
    {"sample", "size", SETTING_UINT, "bytes", 16, 1000, "100", false, "a size",
     offsetof(sample_settings_t, size)},
    {"sample", "loud", SETTING_BOOL, "", 0, 1, "false", false, "a switch",
     offsetof(sample_settings_t, loud)},
};
static const settings_section_t sample_section = {sample_rows, 3, sizeof(sample_settings_t)};

typedef struct other_settings {
    uint64_t size;
} other_settings_t;

static const setting_t other_rows[] = {
    {"other", "size", SETTING_UINT, "", 0, UINT64_MAX, "1", false, "another size",
     offsetof(other_settings_t, size)},
};
static const settings_section_t other_section = {other_rows, 1, sizeof(other_settings_t)};

static const settings_section_t *const sections[] = {&sample_section, &other_section};

static settings_t *fresh(void)
{
    return settings_new(sections, 2);
}

static const sample_settings_t *sample_of(const settings_t *settings)
{
    return settings_get(settings, &sample_section);
}

/* Loads `yaml` from a file, whose path in `ret_text` is replaced by "FILE". */
static capstan_err_t load_bytes(settings_t *settings, const void *yaml, size_t size, char *ret_text,
                                size_t text_size)
{
    char path[] = "/tmp/capstan-settings-XXXXXX";
    int fd = mkstemp(path);
    cr_assert(fd >= 0 && write(fd, yaml, size) == (ssize_t)size);
    close(fd);
    char text[512] = "";
    capstan_err_t err = settings_load_file(settings, path, text, sizeof text);
    unlink(path);
    bool names_file = strncmp(text, path, strlen(path)) == 0;
    snprintf(ret_text, text_size, "%s%s", names_file ? "FILE" : "",
             text + (names_file ? strlen(path) : 0));
    return err;
}

static capstan_err_t load(settings_t *settings, const char *yaml, char *ret_text, size_t text_size)
{
    return load_bytes(settings, yaml, strlen(yaml), ret_text, text_size);
}

Test(settings, begin_with_the_built_in_values)
{
    settings_t *settings = fresh();
    cr_assert_str_eq(sample_of(settings)->label, "built in");
    cr_assert_eq(sample_of(settings)->size, 100);
    cr_assert_not(sample_of(settings)->loud);
    const other_settings_t *other = settings_get(settings, &other_section);
    cr_assert_eq(other->size, 1);
    settings_destroy(&settings);
    cr_assert_null(settings);
    settings_destroy(&settings);
}

Test(settings, are_read_from_a_file_then_environment_then_assignments_of_which_the_later_wins)
{
    char text[512] = "";
    settings_t *settings = fresh();
    cr_assert_eq(load(settings,
                      "# comment\n---\nsample:\n  label: 'file'\n  size: 16\n  loud: true\n"
                      "other:\n",
                      text, sizeof text),
                 CAPSTAN_OK, "%s", text);
    cr_assert_str_eq(sample_of(settings)->label, "file");
    cr_assert_eq(sample_of(settings)->size, 16);
    cr_assert(sample_of(settings)->loud);

    const char *const environment[] = {"HOME=/", "CAPSTAN_SAMPLE_SIZE=17", "CAPSTAN_LOANS=x",
                                       "CAPSTAN_SAMPLE_LABEL=environ", NULL};
    cr_assert_eq(settings_load_environment(settings, environment, text, sizeof text), CAPSTAN_OK);
    cr_assert_str_eq(sample_of(settings)->label, "environ");
    cr_assert_eq(sample_of(settings)->size, 17);

    cr_assert_eq(settings_assign(settings, "sample.label=a=b.c", text, sizeof text), CAPSTAN_OK);
    cr_assert_str_eq(sample_of(settings)->label, "a=b.c");
    settings_destroy(&settings);
}

Test(settings, take_the_limits_of_a_range_and_refuse_what_is_beyond)
{
    const struct {
        const char *assignment;
        bool good;
    } cases[] = {
        {"sample.size=16", true},
        {"sample.size=15", false},
        {"sample.size=1000", true},
        {"sample.size=1001", false},
        {"sample.label=12345678", true},
        {"sample.label=123456789", false},
        {"sample.label=", false},
        {"other.size=18446744073709551615", true},
        {"other.size=18446744073709551616", false},
        {"other.size=99999999999999999999999", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        settings_t *settings = fresh();
        char text[512] = "";
        capstan_err_t err = settings_assign(settings, cases[i].assignment, text, sizeof text);
        cr_expect_eq(err, cases[i].good ? CAPSTAN_OK : CAPSTAN_E_CONFIG, "%s: %s",
                     cases[i].assignment, text);
        settings_destroy(&settings);
    }
}

Test(settings, answer_a_wrong_assignment_with_what_is_allowed_or_near)
{
    const struct {
        const char *assignment;
        const char *answer;
    } cases[] = {
        {"sample.size=12", "--set: sample.size: 12 is out of range; allowed are 16 to 1000 bytes"},
        {"sample.size=1k",
         "--set: sample.size: \"1k\" is no whole number; allowed are 16 to 1000 bytes"},
        {"sample.size=-20",
         "--set: sample.size: \"-20\" is no whole number; allowed are 16 to 1000 bytes"},
        {"sample.size= 20",
         "--set: sample.size: \" 20\" is no whole number; allowed are 16 to 1000 bytes"},
        {"sample.loud=yes", "--set: sample.loud: \"yes\" is neither true nor false"},
        {"sample.label=\xff", "--set: sample.label: the text is not UTF-8"},
        {"sample.label=123456789", "--set: sample.label: the text has 9 bytes; allowed are 1 to 8"},
        {"sample.szie=1", "--set: sample.szie: no such setting; did you mean sample.size?"},
        {"smaple.size=1", "--set: smaple.size: no such setting; did you mean sample.size?"},
        {"quite.unlike=1",
         "--set: quite.unlike: no such setting; `capstan help settings` lists them"},
        {"sample.size", "--set: \"sample.size\" is not of the form section.name=value"},
        {"sample=1.5", "--set: \"sample=1.5\" is not of the form section.name=value"},
        {".size=1", "--set: \".size=1\" is not of the form section.name=value"},
        {"sample.=1", "--set: \"sample.=1\" is not of the form section.name=value"},
        {"", "--set: \"\" is not of the form section.name=value"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        settings_t *settings = fresh();
        char text[512] = "";
        cr_expect_eq(settings_assign(settings, cases[i].assignment, text, sizeof text),
                     CAPSTAN_E_CONFIG);
        cr_expect_str_eq(text, cases[i].answer);
        cr_expect_eq(sample_of(settings)->size, 100, "a refused value is not taken");
        settings_destroy(&settings);
    }
}

Test(settings, refuse_a_variable_with_our_prefix_that_names_no_setting)
{
    const struct {
        const char *variable;
        const char *answer;
    } cases[] = {
        {"CAPSTAN_SAMPLE_SZIE=1", "environment: CAPSTAN_SAMPLE_SZIE: no such setting; did you mean "
                                  "CAPSTAN_SAMPLE_SIZE?"},
        {"CAPSTAN_SAMPLE_SIZE=1", "environment: CAPSTAN_SAMPLE_SIZE: 1 is out of range; allowed "
                                  "are 16 to 1000 bytes"},
        {"CAPSTAN_=1",
         "environment: CAPSTAN_: no such setting; `capstan help settings` lists them"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        settings_t *settings = fresh();
        char text[512] = "";
        const char *const environment[] = {"PATH=/bin", cases[i].variable, NULL};
        cr_expect_eq(settings_load_environment(settings, environment, text, sizeof text),
                     CAPSTAN_E_CONFIG);
        cr_expect_str_eq(text, cases[i].answer);
        settings_destroy(&settings);
    }
}

Test(settings, answer_a_wrong_file_with_its_line)
{
    const struct {
        const char *yaml;
        const char *answer; /* NULL: accepted */
    } cases[] = {
        {"", NULL},
        {"# nothing\n", NULL},
        {"sample:\n  # nothing\n", NULL},
        {"{sample: {size: \"20\"}}", NULL},
        {"sample:\n  szie: 1\n", "FILE:2: sample.szie: no such setting; did you mean sample.size?"},
        {"\n\nsmaple:\n  size: 1\n", "FILE:3: smaple: no such section; did you mean sample?"},
        {"sample:\n  size: 1\n",
         "FILE:2: sample.size: 1 is out of range; allowed are 16 to 1000 bytes"},
        {"sample:\n  size:\n", "FILE:2: sample.size: the value is missing"},
        {"sample:\n  label: \"\"\n",
         "FILE:2: sample.label: the text has 0 bytes; allowed are 1 to 8"},
        {"sample:\n  label: \"a\\0b\"\n", "FILE:2: a zero byte within a text"},
        {"sample:\n  size: 20\n  loud: true\n  size: 30\n",
         "FILE:4: sample.size: given twice, first in line 2"},
        {"sample:\n  size: 20\nsample:\n  loud: true\n",
         "FILE:3: sample: the section is given twice"},
        {"sample:\n  size: [1, 2]\n",
         "FILE:2: sample.size: one value is wanted, not a list or a mapping"},
        {"sample:\n  size:\n    deep: 1\n",
         "FILE:3: sample.size: one value is wanted, not a list or a mapping"},
        {"sample:\n  [1]: 1\n", "FILE:2: a key must be a plain word"},
        {"sample: 12\n", "FILE:1: sample: a section holds lines `name: value`"},
        {"- sample\n", "FILE:1: sections are wanted: `section:` and below it `name: value`"},
        {"words\n", "FILE:1: sections are wanted: `section:` and below it `name: value`"},
        {"sample:\n  size: &a 20\n", "FILE:2: anchors and aliases are not used in settings files: "
                                     "write the value itself"},
        {"sample: &a\n  size: 20\n", "FILE:1: anchors and aliases are not used in settings files: "
                                     "write the value itself"},
        {"sample:\n  size: *a\n", "FILE:2: anchors and aliases are not used in settings files: "
                                  "write the value itself"},
        {"sample:\n  size: !!int 20\n",
         "FILE:2: tags are not used in settings files: write the value itself"},
        {"sample:\n\tsize: 20\n",
         "FILE:2: not YAML: found character that cannot start any token, while scanning for the "
         "next token; indent with blanks, not tabs, and quote texts that begin with @ or `"},
        {"sample:\n  size: 20\n---\nother:\n  size: 1\n",
         "FILE:3: a second document: a settings file has one"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        settings_t *settings = fresh();
        char text[512] = "";
        capstan_err_t err = load(settings, cases[i].yaml, text, sizeof text);
        cr_expect_eq(err, cases[i].answer ? CAPSTAN_E_CONFIG : CAPSTAN_OK, "%s -> %s",
                     cases[i].yaml, text);
        cr_expect_str_eq(text, cases[i].answer ? cases[i].answer : "");
        settings_destroy(&settings);
    }
}

Test(settings, refuse_what_is_no_yaml_without_harm)
{
    static const char *const files[] = {
        "sample:\n\tsize: 1\n",   "sample: [",        "a: b: c\n",         "\"abc",
        "%YAML 9.9\n---\na: 1\n", "\xff\xfe\xfd\xfc", "sample: {size: 20", "? ? ? ?\n"};
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        settings_t *settings = fresh();
        char text[512] = "";
        cr_expect_eq(load(settings, files[i], text, sizeof text), CAPSTAN_E_CONFIG, "%s", files[i]);
        cr_expect_eq(strncmp(text, "FILE:", 5), 0, "%s", text);
        settings_destroy(&settings);
    }
}

Test(settings, bound_the_depth_and_the_size_of_a_file)
{
    settings_t *settings = fresh();
    char text[512] = "";
    size_t size = SETTINGS_FILE_BYTES_MAX + 1;
    char *bytes = malloc(size);
    cr_assert_not_null(bytes);
    memset(bytes, '[', size);
    cr_assert_eq(load_bytes(settings, bytes, size, text, sizeof text), CAPSTAN_E_CONFIG);
    cr_assert_str_eq(text, "FILE: more than 1048576 bytes: this is no settings file");
    cr_assert_eq(load_bytes(settings, bytes, size - 1, text, sizeof text), CAPSTAN_E_CONFIG);
    free(bytes);
    settings_destroy(&settings);
}

Test(settings, name_a_file_that_cannot_be_read)
{
    settings_t *settings = fresh();
    char text[512] = "";
    cr_assert_eq(settings_load_file(settings, "/nowhere/x.yaml", text, sizeof text),
                 CAPSTAN_E_SYSTEM);
    cr_assert_str_eq(text, "/nowhere/x.yaml: cannot be opened: No such file or directory");
    cr_assert_eq(settings_load_file(settings, "/tmp", text, sizeof text), CAPSTAN_E_SYSTEM);
    cr_assert_str_eq(text, "/tmp: cannot be read: Is a directory");
    settings_destroy(&settings);
}

Test(settings, keep_a_text_within_the_callers_buffer)
{
    settings_t *settings = fresh();
    char text[8] = "";
    cr_assert_eq(settings_assign(settings, "sample.size=1", text, sizeof text), CAPSTAN_E_CONFIG);
    cr_assert_str_eq(text, "--set: ");
    settings_destroy(&settings);
}

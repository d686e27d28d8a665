#include "cli/options.h"

#include "cli/manual.h"

#include "config/values.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Where the meanings begin in --help. */
#define HELP_COLUMN   26
#define ACTION_COLUMN 13

void option_put_notes(const option_t *option, FILE *out)
{
    if (option->required) {
        fprintf(out, " (required)");
    } else if (option->initial && *option->initial) {
        fprintf(out, " (default: %s)", option->initial);
    }
    if (option->type == OPTION_LIST) {
        fprintf(out, " (may be given several times)");
    }
}

static void print_option(const option_t *option)
{
    int width = printf("  --%s%s%s", option->name, option->argument ? " " : "",
                       option->argument ? option->argument : "");
    /* At least two blanks; a long option stands on a line of its own. */
    if (width > HELP_COLUMN - 2) {
        printf("\n");
        width = 0;
    }
    printf("%*s%s", HELP_COLUMN - width, "", option->meaning);
    option_put_notes(option, stdout);
    printf("\n");
}

/* The words that name the command: "capstan feed" of "capstan feed --topic T ...". */
static int name_width(const command_line_t *line)
{
    size_t words = line->words > 0 ? line->words : 2;
    const char *at = line->usage + strcspn(line->usage, " ");
    for (size_t i = 1; i < words && *at; i++) {
        at += 1 + strcspn(at + 1, " ");
    }
    return (int)(at - line->usage);
}

size_t options_action_name(const command_line_t *line, const char **ret_name)
{
    const char *end = line->usage + name_width(line);
    const char *begin = end;
    while (begin > line->usage && begin[-1] != ' ') {
        begin--;
    }
    *ret_name = begin;
    return (size_t)(end - begin);
}

static void print_actions(const command_line_t *line)
{
    printf("\n\nActions, each with --help of its own:\n");
    for (size_t i = 0; line->actions[i]; i++) {
        const char *name;
        const char *summary = line->actions[i]->summary;
        size_t size = options_action_name(line->actions[i], &name);
        printf("  %-*.*s%.*s\n", ACTION_COLUMN, (int)size, name, (int)strcspn(summary, "\n"),
               summary);
    }
}

static void print_help(const command_line_t *line)
{
    static const option_t help = {.name = "help", .meaning = "print this text"};
    printf("Usage: %s\n\n%s", line->usage, line->summary);
    if (line->actions) {
        print_actions(line);
    }
    printf("%s\nOptions:\n", line->actions ? "" : "\n");
    for (size_t i = 0; i < line->count; i++) {
        print_option(&line->options[i]);
    }
    print_option(&help);
    printf("\nExamples:\n%s", line->examples);
}

int options_wrong(const command_line_t *line, const char *format, ...)
{
    int width = name_width(line);
    fprintf(stderr, "%.*s: ", width, line->usage);
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\nTry `%.*s --help`.\n", width, line->usage);
    return EXIT_USAGE;
}

/* The part of `argument` that names an option: behind the dashes, before an equals sign. */
static bool names_option(const char *argument, const option_t *option)
{
    size_t size = strlen(option->name);
    return strncmp(argument + 2, option->name, size) == 0 &&
           (argument[2 + size] == '\0' || argument[2 + size] == '=');
}

static int unknown_option(const command_line_t *line, const char *argument)
{
    char word[64];
    snprintf(word, sizeof word, "%.*s", (int)strcspn(argument, "="), argument);
    nearest_t nearest = nearest_to(word + strspn(word, "-"));
    for (size_t i = 0; i < line->count; i++) {
        nearest_offer(&nearest, line->options[i].name);
    }
    nearest_offer(&nearest, "help");
    if (nearest.best) {
        return options_wrong(line, "unknown option %s; did you mean --%s?", word, nearest.best);
    }
    return options_wrong(line, "unknown option %s", word);
}

static bool is_choice(const char *choices, const char *value)
{
    size_t size = strlen(value);
    while (*choices) {
        size_t length = strcspn(choices, "|");
        if (length == size && strncmp(choices, value, size) == 0) {
            return true;
        }
        choices += length + (choices[length] == '|');
    }
    return false;
}

static int set_number(const command_line_t *line, const option_t *option, const char *value)
{
    uint64_t maximum = option->maximum > 0 ? option->maximum : UINT64_MAX;
    uint64_t number;
    if (!value_parse_uint(value, &number)) {
        return options_wrong(line, "--%s: \"%s\" is no whole number from %" PRIu64 " to %" PRIu64,
                             option->name, value, option->minimum, maximum);
    }
    if (number < option->minimum || number > maximum) {
        return options_wrong(line, "--%s: %s is out of range; allowed are %" PRIu64 " to %" PRIu64,
                             option->name, value, option->minimum, maximum);
    }
    *option->target.number = number;
    return OPTIONS_RUN;
}

static int set_value(const command_line_t *line, const option_t *option, const char *value)
{
    switch (option->type) {
    case OPTION_FLAG:
        *option->target.flag = true;
        return OPTIONS_RUN;
    case OPTION_UINT:
        return set_number(line, option, value);
    case OPTION_SHARE:
        if (!value_parse_share(value, option->target.share)) {
            return options_wrong(line, "--%s: \"%s\" is no number from 0 to 1", option->name,
                                 value);
        }
        return OPTIONS_RUN;
    case OPTION_TIME:
        if (!value_parse_duration(value, option->target.time_us)) {
            return options_wrong(line,
                                 "--%s: \"%s\" is no duration such as 500ms, 30s, 5m, 2h, 1d or "
                                 "1w, at most ten years",
                                 option->name, value);
        }
        return OPTIONS_RUN;
    case OPTION_LIST:
        if (option->target.list->count == OPTION_LIST_MAX) {
            return options_wrong(line, "--%s: given more than %d times", option->name,
                                 OPTION_LIST_MAX);
        }
        option->target.list->items[option->target.list->count++] = value;
        return OPTIONS_RUN;
    case OPTION_CHOICE:
        if (!is_choice(option->choices, value)) {
            return options_wrong(line, "--%s: \"%s\" is none of %s", option->name, value,
                                 option->choices);
        }
        break;
    case OPTION_TEXT:
        break;
    }
    *option->target.text = value;
    return OPTIONS_RUN;
}

/* Handles argv[*at] and, where it takes one, its value; leaves *at on the last one used. */
static int take_option(const command_line_t *line, int argc, char **argv, int *at, uint64_t *given)
{
    const char *argument = argv[*at];
    for (size_t i = 0; argument[1] == '-' && i < line->count; i++) {
        const option_t *option = &line->options[i];
        if (!names_option(argument, option)) {
            continue;
        }
        const char *equals = strchr(argument, '=');
        const char *value = equals ? equals + 1 : NULL;
        if (option->type == OPTION_FLAG && value) {
            return options_wrong(line, "--%s takes no value", option->name);
        }
        if ((*given >> i & 1) != 0 && option->type != OPTION_LIST) {
            return options_wrong(line, "--%s is given twice", option->name);
        }
        *given |= UINT64_C(1) << i;
        int64_t unused;
        if (option->bare && !value &&
            (*at + 1 == argc || !value_parse_duration(argv[*at + 1], &unused))) {
            value = option->bare;
        }
        if (option->type != OPTION_FLAG && !value) {
            if (*at + 1 == argc) {
                return options_wrong(line, "--%s wants a value: %s", option->name,
                                     option->argument);
            }
            value = argv[++*at];
        }
        return set_value(line, option, value);
    }
    return unknown_option(line, argument);
}

static bool wants(const char *option, const char *letter, int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], option) == 0 || strcmp(argv[i], letter) == 0) {
            return true;
        }
    }
    return false;
}

static int check_result(const command_line_t *line, uint64_t given, const operands_t *operands)
{
    for (size_t i = 0; i < line->count; i++) {
        if (line->options[i].required && (given >> i & 1) == 0) {
            return options_wrong(line, "--%s %s is missing: %s", line->options[i].name,
                                 line->options[i].argument, line->options[i].meaning);
        }
    }
    if (operands->count < line->operands_min) {
        return options_wrong(line, "an argument is missing; usage: %s", line->usage);
    }
    if (operands->count > line->operands_max) {
        return options_wrong(line, "unexpected argument \"%s\"",
                             operands->items[line->operands_max]);
    }
    return OPTIONS_RUN;
}

int options_parse(const command_line_t *line, int argc, char **argv, operands_t *ret_operands)
{
    if (wants("--help", "-h", argc, argv)) {
        print_help(line);
        return EXIT_DONE;
    }
    if (wants("--man", "--man", argc, argv)) {
        manual_print_command(line, stdout);
        return EXIT_DONE;
    }
    for (size_t i = 0; i < line->count; i++) {
        if (line->options[i].initial) {
            int status = set_value(line, &line->options[i], line->options[i].initial);
            if (status != OPTIONS_RUN) {
                return status;
            }
        }
    }
    operands_t operands = {.items = argv + 1};
    uint64_t given = 0;
    bool only_operands = false;
    for (int i = 1; i < argc; i++) {
        char *argument = argv[i];
        if (only_operands || argument[0] != '-' || argument[1] == '\0') {
            operands.items[operands.count++] = argument;
        } else if (strcmp(argument, "--") == 0) {
            only_operands = true;
        } else {
            int status = take_option(line, argc, argv, &i, &given);
            if (status != OPTIONS_RUN) {
                return status;
            }
        }
    }
    int status = check_result(line, given, &operands);
    if (status == OPTIONS_RUN && ret_operands) {
        *ret_operands = operands;
    }
    return status;
}

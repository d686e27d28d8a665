#include "cli/manual.h"

#include "cli/help.h"

#include <string.h>

typedef struct command_text {
    const char *name;
    const char *summary;
} command_text_t;

static const command_text_t commands[] = {
#define COMMAND(name, summary) {#name, summary},
#include "cli/commands.def"
#undef COMMAND
};
enum { COMMAND_COUNT = sizeof commands / sizeof commands[0] };

/* What roff would read as its own: an escape, a minus that is to stay one, quotation marks that it
 * would make round, and a line that looks like a request. */
static void put_text(FILE *out, const char *text)
{
    bool line_begins = true;
    for (; *text; text++) {
        if (line_begins && (*text == '.' || *text == '\'')) {
            fputs("\\&", out);
        }
        line_begins = *text == '\n';
        const char *escaped = *text == '\\'   ? "\\e"
                              : *text == '-'  ? "\\-"
                              : *text == '\'' ? "\\(aq"
                              : *text == '`'  ? "\\(ga"
                              : *text == '^'  ? "\\(ha"
                              : *text == '~'  ? "\\(ti"
                                              : NULL;
        if (escaped) {
            fputs(escaped, out);
        } else {
            fputc(*text, out);
        }
    }
}

static void put_head(FILE *out, const char *name, const char *summary)
{
    fputs(".\\\" Printed by `capstan help --man`; a test compares.\n.TH ", out);
    put_text(out, name);
    fputs(" 1 \"\" \"capstan " CAPSTAN_VERSION "\" \"Capstan\"\n.SH NAME\n", out);
    put_text(out, name);
    fputs(" \\- ", out);
    put_text(out, summary);
    fputs("\n", out);
}

/* Lines that keep their breaks; `indented` by the two blanks that --help needs. */
static void put_literal(FILE *out, const char *lines)
{
    fputs(".EX\n", out);
    while (*lines) {
        char line[256];
        size_t size = strcspn(lines, "\n");
        size_t blanks = strspn(lines, " ") < 2 ? strspn(lines, " ") : 2;
        snprintf(line, sizeof line, "%.*s", (int)(size - blanks), lines + blanks);
        put_text(out, line);
        fputs("\n", out);
        lines += size + (lines[size] == '\n');
    }
    fputs(".EE\n", out);
}

static void put_option(FILE *out, const option_t *option)
{
    fputs(".TP\n.B \\-\\-", out);
    put_text(out, option->name);
    if (option->argument) {
        fputs(" \\fI", out);
        put_text(out, option->argument);
        fputs("\\fR", out);
    }
    fputs("\n", out);
    put_text(out, option->meaning);
    option_put_notes(option, out);
    fputs("\n", out);
}

static void put_exit_status(FILE *out)
{
    fputs(".SH EXIT STATUS\n0 when it is done, 1 when it failed, 2 for wrong usage.\n", out);
}

static const char *summary_of(const char *name, size_t size)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (strlen(commands[i].name) == size && strncmp(commands[i].name, name, size) == 0) {
            return commands[i].summary;
        }
    }
    return "";
}

/* What --help of the action says. */
static void put_action(FILE *out, const command_line_t *line)
{
    const char *name;
    size_t size = options_action_name(line, &name);
    fprintf(out, ".SS %.*s\n", (int)size, name);
    put_literal(out, line->usage);
    fputs(".PP\n", out);
    put_text(out, line->summary);
    fputs("\n", out);
    for (size_t i = 0; i < line->count; i++) {
        put_option(out, &line->options[i]);
    }
    fputs(".PP\n", out);
    put_literal(out, line->examples);
}

void manual_print_command(const command_line_t *line, FILE *out)
{
    static const option_t help = {.name = "help", .meaning = "print a summary of this page"};
    const char *name = line->usage + strlen("capstan ");
    size_t size = strcspn(name, " ");
    char title[64];
    snprintf(title, sizeof title, "capstan-%.*s", (int)size, name);
    put_head(out, title, summary_of(name, size));
    fputs(".SH SYNOPSIS\n", out);
    put_literal(out, line->usage);
    fputs(".SH DESCRIPTION\n", out);
    put_text(out, line->summary);
    fputs("\n.SH OPTIONS\n", out);
    for (size_t i = 0; i < line->count; i++) {
        put_option(out, &line->options[i]);
    }
    put_option(out, &help);
    if (line->actions) {
        fputs(".SH ACTIONS\n", out);
    }
    for (size_t i = 0; line->actions && line->actions[i]; i++) {
        put_action(out, line->actions[i]);
    }
    put_exit_status(out);
    fputs(".SH EXAMPLES\n", out);
    put_literal(out, line->examples);
    fputs(".SH SEE ALSO\n.BR capstan (1)\n", out);
}

static void put_pages(FILE *out)
{
    for (size_t i = 0; i < help_page_count(); i++) {
        const char *summary;
        fprintf(out, ".TP\n.B capstan help %s\n", help_page(i, &summary));
        put_text(out, summary);
        fputs("\n", out);
    }
}

void manual_print_program(FILE *out)
{
    put_head(out, "capstan", "ordered, durable events in one process");
    fputs(".SH SYNOPSIS\n.EX\ncapstan COMMAND [options]\n.EE\n.SH DESCRIPTION\n", out);
    put_text(out,
             "Capstan takes events that arrive from several places, late, twice and out of order, "
             "and hands\nthem on in order per key, each once, through crashes. This program "
             "runs a node, publishes to\nit, consumes from it, and shows what it is doing.\n");
    fputs(".SH COMMANDS\n", out);
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        fprintf(out, ".TP\n.BR capstan\\-%s (1)\n", commands[i].name);
        put_text(out, commands[i].summary);
        fputs("\n", out);
    }
    fputs(".SH PAGES\nThese are printed from the tables that the program is made of.\n", out);
    put_pages(out);
    put_exit_status(out);
    fputs(".SH ENVIRONMENT\nA setting of a node can be given by a variable: CAPSTAN_, its section, "
          "an underscore and its name,\nall in capitals, as in CAPSTAN_STORE_PATH.\n"
          ".SH EXAMPLES\n",
          out);
    put_literal(out, "  capstan node --set store.path=orders.db\n"
                     "  capstan feed --topic orders --key order orders.csv\n"
                     "  capstan tail --topic orders --from earliest\n");
    fputs(".SH SEE ALSO\n.BR capstan (3),\nthe library for programs that host a node\n", out);
}

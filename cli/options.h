/* The command line of every command: one table of options from which parsing, defaults, --help and
 * the messages for wrong usage come.
 *
 *   const char *topic = NULL;
 *   uint64_t rate = 0;
 *   const option_t options[] = {
 *       {.name = "topic", .argument = "T", .target.text = &topic, .type = OPTION_TEXT,
 *        .required = true, .meaning = "the topic"},
 *       {.name = "rate", .argument = "N", .target.number = &rate, .type = OPTION_UINT,
 *        .initial = "0", .maximum = 10000000, .meaning = "events per second; 0 is no limit"},
 *   };
 *   const command_line_t line = {.usage = "capstan feed --topic T [options] FILE|-",
 *                                .summary = "Publishes a CSV file to a topic.",
 *                                .examples = "  capstan feed --topic loans loans.csv\n",
 *                                .options = options, .count = OPTION_COUNT(options),
 *                                .operands_max = 1};
 *   int status = options_parse(&line, argc, argv, &operands);
 *   if (status != OPTIONS_RUN) {
 *       return status;
 *   }
 *
 * Accepted are `--name VALUE`, `--name=VALUE`, flags, `--help`, `-h` and `--man` (added to every
 * command), and `--`, after which all are operands. A lone `-` is an operand. Options and operands
 * may mix.
 */
#ifndef CLI_OPTIONS_H
#define CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum {
    EXIT_DONE = 0,
    EXIT_FAILED = 1,
    EXIT_USAGE = 2,
    OPTIONS_RUN = -1, /* options_parse: go on with the command */
};

typedef enum option_type {
    OPTION_FLAG,   /* bool; no argument */
    OPTION_TEXT,   /* const char *: points into argv or to `initial` */
    OPTION_CHOICE, /* const char *: one of `choices` */
    OPTION_UINT,   /* uint64_t, minimum to maximum; maximum 0 means no upper bound */
    OPTION_SHARE,  /* double, 0 to 1 */
    OPTION_LIST,   /* option_list_t: may be given several times */
    OPTION_TIME,   /* int64_t: microseconds, of a duration such as 500ms, 30s, 5m, 2h, 1d, 1w */
} option_type_t;

#define OPTION_LIST_MAX 64
typedef struct option_list {
    const char *items[OPTION_LIST_MAX];
    size_t count;
} option_list_t;

typedef struct option_row {
    const char *name;     /* without the dashes */
    const char *argument; /* how --help writes it; NULL for a flag */
    const char *meaning;
    option_type_t type;
    bool required;
    const char *initial; /* parsed like a given value; NULL: the target is left as it is */
    const char *choices; /* "csv|json" */
    const char *bare;    /* of a TIME that may stand alone: what it means then */
    uint64_t minimum;
    uint64_t maximum;
    union {
        bool *flag;
        const char **text; /* also CHOICE */
        uint64_t *number;
        double *share;
        option_list_t *list;
        int64_t *time_us;
    } target;
} option_t;

#define OPTION_COUNT(options) (sizeof(options) / sizeof(options)[0])

typedef struct command_line {
    const char *usage;    /* one line, begins with `capstan <name>` */
    const char *summary;  /* sentences, wrapped by hand at 100 columns */
    const char *examples; /* complete lines, each indented by two blanks; required */
    const option_t *options;
    size_t count;
    size_t operands_min;
    size_t operands_max;
    size_t words; /* of `usage` that name the command; 0: the first two */
    /* What the command's first operand may be, each with a line of its own; ends with NULL. The
     * first line of an action's summary says in short what it does. */
    const struct command_line *const *actions;
} command_line_t;

typedef struct operands {
    char **items; /* into argv, which is reordered */
    size_t count;
} operands_t;

/* Parses argv[1] and up. OPTIONS_RUN: all targets are set. EXIT_DONE: --help was printed to
 * stdout. EXIT_USAGE: stderr got what is wrong, the nearest option, and how to get help.
 * `ret_operands` may be NULL when operands_max is 0. */
int options_parse(const command_line_t *line, int argc, char **argv, operands_t *ret_operands);

/* The last word of the name of an action's line: `start` of "capstan saga start ...". */
size_t options_action_name(const command_line_t *line, const char **ret_name);

/* What is said behind an option's meaning: required, default, several times. */
void option_put_notes(const option_t *option, FILE *out);

/* Prints `capstan <name>: text` and how to get help to stderr; returns EXIT_USAGE. For what the
 * table cannot say, such as two options that exclude each other. */
int options_wrong(const command_line_t *line, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The option that every command that talks to a node has. */
#define OPTION_TO_DEFAULT "tcp://127.0.0.1:7700"
#define OPTION_TO(variable)                                                                        \
    {                                                                                              \
        .name = "to", .argument = "ENDPOINT", .type = OPTION_TEXT, .initial = OPTION_TO_DEFAULT,   \
        .target.text = (variable), .meaning = "the node's gateway"                                 \
    }

#endif

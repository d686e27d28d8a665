/* `capstan schema`: prints the protocol from the program's own tables. It needs no node. */
#include "cli/cli.h"
#include "cli/failed.h"
#include "cli/options.h"

#include "node/tables.h"
#include "runtime/wire/schema.h"

#include <errno.h>
#include <stdio.h>

static schema_format_t format_of(const char *name)
{
    return strcmp(name, "json") == 0   ? SCHEMA_JSON
           : strcmp(name, "lock") == 0 ? SCHEMA_LOCK
                                       : SCHEMA_MARKDOWN;
}

int cli_schema(int argc, char **argv)
{
    const char *format = NULL;
    const option_t options[] = {
        {.name = "format",
         .argument = "FORMAT",
         .type = OPTION_CHOICE,
         .choices = "markdown|json|lock",
         .initial = "markdown",
         .target.text = &format,
         .meaning = "markdown, json or lock"},
    };
    const command_line_t line = {
        .usage = "capstan schema [--format markdown|json|lock]",
        .summary =
            "Prints every message and record of the protocol. markdown is for people and is\n"
            "docs/protocol.md; json holds all that a peer in another language needs; lock has\n"
            "one line per row, without prose, and is runtime/wire/schema.lock.",
        .examples = "  capstan schema\n"
                    "  capstan schema --format json > schema.json\n",
        .options = options,
        .count = OPTION_COUNT(options)};
    int status = options_parse(&line, argc, argv, NULL);
    if (status != OPTIONS_RUN) {
        return status;
    }
    size_t count = 0;
    buffer_t out = {0};
    const wire_table_t *const *tables = node_tables(&count);
    schema_print(tables, count, format_of(format), &out);
    bool written = fwrite(out.data, 1, out.size, stdout) == out.size && fflush(stdout) == 0;
    buffer_fini(&out);
    return written ? EXIT_DONE : cli_failed("schema", CAPSTAN_E_SYSTEM, strerror(errno));
}

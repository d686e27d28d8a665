/* `capstan schema`: prints the protocol, from the program's own tables, or as a running node tells
 * it, with the tables that its program registered. */
#include "cli/cli.h"
#include "cli/failed.h"
#include "cli/options.h"

#include "brokers/peer/peer.h"
#include "node/tables.h"
#include "runtime/base/ensure.h"

#include <errno.h>
#include <stdio.h>

#define ANSWER_TIMEOUT_US  INT64_C(10000000)
#define CONNECT_TIMEOUT_US INT64_C(5000000)

static int print_text(slice_t text)
{
    bool written = fwrite(text.data, 1, text.size, stdout) == text.size && fflush(stdout) == 0;
    return written ? EXIT_DONE : cli_failed("schema", CAPSTAN_E_SYSTEM, strerror(errno));
}

static int print_own(const char *format)
{
    size_t count = 0;
    buffer_t out = {0};
    schema_format_t number = SCHEMA_MARKDOWN;
    const wire_table_t *const *tables = node_tables(&count);
    bool known = schema_format_find(slice_text(format), &number);
    ENSURE(known); /* the options' choices are the formats */
    schema_print(tables, count, number, &out);
    int status = print_text(buffer_slice(&out));
    buffer_fini(&out);
    return status;
}

static int print_answer(peer_t *peer, const char *format)
{
    char text[1024] = "";
    slice_t body;
    capstan_err_t err =
        peer_request(peer, describe_wire(), &(describe_t){.format = slice_text(format)},
                     description_wire(), ANSWER_TIMEOUT_US, &body, text, sizeof text);
    description_t description;
    if (err == CAPSTAN_OK) {
        err = codec_decode(description_wire(), body, &description, NULL);
        snprintf(text, sizeof text,
                 "the node's answer cannot be read; use the program's version that the node has");
    }
    return err == CAPSTAN_OK ? print_text(description.text) : cli_failed("schema", err, text);
}

static int print_of_node(const char *to, const char *format)
{
    peer_t *peer;
    char text[1024] = "";
    capstan_err_t err =
        peer_connect(&(peer_options_t){.endpoint = to, .connect_timeout_us = CONNECT_TIMEOUT_US},
                     &(peer_handlers_t){.context = NULL}, &peer, text, sizeof text);
    if (err != CAPSTAN_OK) {
        return cli_failed("schema", err, text);
    }
    int status = print_answer(peer, format);
    peer_close(&peer, 0);
    return status;
}

int cli_schema(int argc, char **argv)
{
    const char *format = NULL;
    const char *to = NULL;
    const option_t options[] = {
        {.name = "format",
         .argument = "FORMAT",
         .type = OPTION_CHOICE,
         .choices = "markdown|json|cddl|lock",
         .initial = "markdown",
         .target.text = &format,
         .meaning = "markdown, json, cddl or lock"},
        {.name = "to",
         .argument = "ENDPOINT",
         .type = OPTION_TEXT,
         .target.text = &to,
         .meaning = "ask the node with this gateway, instead of this program"},
    };
    const command_line_t line = {
        .usage = "capstan schema [--format markdown|json|cddl|lock] [--to ENDPOINT]",
        .summary =
            "Prints every message and record of the protocol. markdown is for people and is\n"
            "docs/protocol.md; json holds all that a peer in another language needs; cddl is\n"
            "the same in the Concise Data Definition Language (RFC 8610) and is "
            "docs/protocol.cddl;\n"
            "lock has one line per row, without prose, and is runtime/wire/schema.lock. With --to "
            "it\n"
            "is the protocol of a running node, with the tables that its program registered.",
        .examples = "  capstan schema\n"
                    "  capstan schema --format json > schema.json\n"
                    "  capstan schema --format json --to " OPTION_TO_DEFAULT "\n",
        .options = options,
        .count = OPTION_COUNT(options)};
    int status = options_parse(&line, argc, argv, NULL);
    if (status != OPTIONS_RUN) {
        return status;
    }
    return to ? print_of_node(to, format) : print_own(format);
}

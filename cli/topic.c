/* capstan topic: makes, lists, describes and alters topics, and looks after what groups have
 * parked.
 */
#include "cli/topic.h"

#include "cli/cli.h"
#include "cli/failed.h"
#include "cli/options.h"
#include "cli/table.h"
#include "runtime/base/json_writer.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONNECT_TIMEOUT_US INT64_C(5000000)

/* What an action needs beside the options that all have. */
typedef struct action {
    const char *name;
    int (*run)(peer_t *peer, const topic_options_t *options);
    bool topic;
    bool group;
    bool which; /* --key or --all */
    bool set;   /* --set */
    bool one;   /* --key and --producer */
    bool key;   /* --key */
} action_t;

static const action_t actions[] = {
    {.name = "create", .run = topic_create, .topic = true},
    {.name = "list", .run = topic_list},
    {.name = "describe", .run = topic_describe, .topic = true},
    {.name = "alter", .run = topic_alter, .topic = true, .set = true},
    {.name = "delete", .run = topic_delete, .topic = true},
    {.name = "erase", .run = topic_erase, .topic = true, .key = true},
    {.name = "cancel", .run = topic_cancel, .topic = true, .key = true},
    {.name = "group", .run = topic_group, .topic = true, .group = true},
    {.name = "parked", .run = topic_parked, .topic = true, .group = true},
    {.name = "replay", .run = topic_replay, .topic = true, .group = true, .which = true},
    {.name = "discard", .run = topic_discard, .topic = true, .group = true, .which = true},
    {.name = "gaps", .run = topic_gaps, .topic = true},
    {.name = "skip", .run = topic_skip, .topic = true, .one = true},
};

/* --- list ------------------------------------------------------------------------------------ */

static const char *const columns[] = {"topic",  "partitions", "sequence",
                                      "events", "held_items", "gaps"};

static void add_text(table_t *table, const char *text)
{
    table_cell(table, slice_text(text));
}

static void print_topics(const json_t *topics)
{
    enum { COLUMNS = sizeof columns / sizeof columns[0] };
    table_t table = {.columns = COLUMNS};
    size_t index;
    const json_t *topic;
    for (size_t i = 0; i < COLUMNS; i++) {
        add_text(&table, columns[i]);
    }
    json_array_foreach((json_t *)topics, index, topic)
    {
        for (size_t i = 0; i < COLUMNS; i++) {
            const json_t *value = json_object_get(topic, columns[i]);
            char number[32];
            snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
            add_text(&table, json_is_string(value) ? json_string_value(value) : number);
        }
    }
    table_print(&table, 0, stdout);
    table_fini(&table);
}

int topic_failed(const topic_options_t *options, capstan_err_t err, const char *text)
{
    char subject[512];
    snprintf(subject, sizeof subject, "%s%s%s%s%s%s", options->topic ? "topic " : "",
             options->topic ? options->topic : "", options->group ? ", group " : "",
             options->group ? options->group : "", options->topic ? " at " : "the node at ",
             options->to);
    return cli_failed_on("topic", subject, err, text);
}

int topic_list(peer_t *peer, const topic_options_t *options)
{
    const status_t request = {.empty_ = 0};
    char text[1024] = "";
    slice_t body;
    slice_t report = {0};
    capstan_err_t err = peer_request(peer, status_wire(), &request, status_report_wire(),
                                     TOPIC_ANSWER_US, &body, text, sizeof text);
    if (err == CAPSTAN_OK && !codec_peek_slice(body, 1, &report)) {
        err = CAPSTAN_E_MALFORMED;
    }
    if (err != CAPSTAN_OK) {
        return topic_failed(options, err, text);
    }
    json_t *root = json_loadb(report.data, report.size, 0, NULL);
    json_t *topics = json_object_get(root, "topics");
    if (!json_is_array(topics)) {
        json_decref(root);
        return topic_failed(options, CAPSTAN_E_MALFORMED, "");
    }
    if (options->json) {
        json_dumpf(topics, stdout, JSON_COMPACT);
        printf("\n");
    } else {
        print_topics(topics);
    }
    json_decref(root);
    return EXIT_DONE;
}

/* --- the command ----------------------------------------------------------------------------- */

static int run(const action_t *action, const topic_options_t *options)
{
    peer_t *peer;
    char text[1024] = "";
    capstan_err_t err = peer_connect(
        &(peer_options_t){.endpoint = options->to, .connect_timeout_us = CONNECT_TIMEOUT_US},
        &(peer_handlers_t){.context = NULL}, &peer, text, sizeof text);
    if (err != CAPSTAN_OK) {
        return cli_failed("topic", err, text);
    }
    int status = action->run(peer, options);
    peer_close(&peer, 0);
    return status;
}

static int choose(const command_line_t *line, const operands_t *operands, topic_options_t *options,
                  const action_t **ret_action)
{
    const action_t *action = NULL;
    for (size_t i = 0; i < sizeof actions / sizeof actions[0]; i++) {
        action = strcmp(operands->items[0], actions[i].name) == 0 ? &actions[i] : action;
    }
    if (!action) {
        return options_wrong(
            line,
            "there is no action '%s'; there are create, list, describe, alter, delete, erase, "
            "cancel, group, parked, replay, discard, gaps, skip",
            operands->items[0]);
    }
    options->topic = operands->count > 1 ? operands->items[1] : NULL;
    if (action->topic != (options->topic != NULL)) {
        return options_wrong(line,
                             action->topic ? "%s needs the name of a topic" : "%s takes no name",
                             action->name);
    }
    if (action->group && !options->group) {
        return options_wrong(line, "%s needs --group", action->name);
    }
    if (action->which && (options->key != NULL) == options->all) {
        return options_wrong(line, "%s needs either --key or --all", action->name);
    }
    if (action->key && !options->key) {
        return options_wrong(line, "%s needs --key", action->name);
    }
    if (action->set && options->set.count == 0) {
        return options_wrong(line, "%s needs --set", action->name);
    }
    for (size_t i = 0; i < options->set.count; i++) {
        if (!strchr(options->set.items[i], '=')) {
            return options_wrong(line, "--set wants NAME=VALUE, not \"%s\"", options->set.items[i]);
        }
    }
    if (action->one && (!options->key || !options->producer)) {
        return options_wrong(line, "%s needs --producer and --key", action->name);
    }
    *ret_action = action;
    return OPTIONS_RUN;
}

/* What was given on the command line. */
static topic_options_t chosen;

static const option_t options[] = {
    {.name = "partitions",
     .argument = "N",
     .type = OPTION_UINT,
     .initial = "0",
     .maximum = 256,
     .target.number = &chosen.partitions,
     .meaning = "create: how many; 0: as the node's setting says"},
    {.name = "sequence",
     .argument = "WHO",
     .type = OPTION_CHOICE,
     .choices = "producer|arrival",
     .target.text = &chosen.sequence,
     .meaning = "create: who numbers the events of a key; without it, nobody: arrival"},
    {.name = "set",
     .argument = "NAME=VALUE",
     .type = OPTION_LIST,
     .target.list = &chosen.set,
     .meaning = "create, alter: a setting; see capstan help topics"},
    {.name = "force",
     .type = OPTION_FLAG,
     .target.flag = &chosen.force,
     .meaning =
         "alter: also when it removes stored events; delete: also while groups have members"},
    {.name = "group",
     .argument = "G",
     .type = OPTION_TEXT,
     .target.text = &chosen.group,
     .meaning = "group, parked, replay, discard: the group"},
    {.name = "mode",
     .argument = "M",
     .type = OPTION_CHOICE,
     .choices = "key|partition|none",
     .target.text = &chosen.mode,
     .meaning = "group: what one member at a time holds alone"},
    {.name = "while-retried",
     .argument = "W",
     .type = OPTION_CHOICE,
     .choices = "wait|go-on",
     .target.text = &chosen.retried,
     .meaning = "group: successors of a rejected event that waits for its next attempt"},
    {.name = "when-exhausted",
     .argument = "W",
     .type = OPTION_CHOICE,
     .choices = "wait|go-on",
     .target.text = &chosen.exhausted,
     .meaning = "group: successors of an event that was parked"},
    {.name = "attempts",
     .argument = "N",
     .type = OPTION_UINT,
     .maximum = 1000000,
     .target.number = &chosen.attempts,
     .meaning = "group: before an event is parked"},
    {.name = "retry-ms-min",
     .argument = "N",
     .type = OPTION_UINT,
     .maximum = 86400000,
     .target.number = &chosen.retry_ms_min,
     .meaning = "group: before the second attempt; it doubles"},
    {.name = "retry-ms-max",
     .argument = "N",
     .type = OPTION_UINT,
     .maximum = 86400000,
     .target.number = &chosen.retry_ms_max,
     .meaning = "group: at most between two attempts"},
    {.name = "events",
     .argument = "E",
     .type = OPTION_CHOICE,
     .choices = "in-order|diverted",
     .target.text = &chosen.events,
     .meaning = "group: which it gets; those that came after their gap was given up are diverted"},
    {.name = "key",
     .argument = "K",
     .type = OPTION_TEXT,
     .target.text = &chosen.key,
     .meaning = "erase, cancel: the key; replay, discard: parked events of this key; skip: the key "
                "with the "
                "gap"},
    {.name = "all",
     .type = OPTION_FLAG,
     .target.flag = &chosen.all,
     .meaning = "replay, discard: all parked events"},
    {.name = "limit",
     .argument = "N",
     .type = OPTION_UINT,
     .initial = "100",
     .minimum = 1,
     .target.number = &chosen.limit,
     .meaning = "parked, gaps: at most so many; gaps: per partition, at most 1000"},
    {.name = "producer",
     .argument = "P",
     .type = OPTION_TEXT,
     .target.text = &chosen.producer,
     .meaning = "skip: who numbers the key's events"},
    {.name = "first",
     .argument = "N",
     .type = OPTION_UINT,
     .target.number = &chosen.first,
     .meaning = "skip: first sequence; without it the first that is missing"},
    {.name = "last",
     .argument = "N",
     .type = OPTION_UINT,
     .target.number = &chosen.last,
     .meaning = "skip: last sequence; without it the last before the next one that has come"},
    {.name = "reason",
     .argument = "TEXT",
     .type = OPTION_TEXT,
     .target.text = &chosen.reason,
     .meaning = "skip: kept in the ledger"},
    {.name = "json",
     .type = OPTION_FLAG,
     .target.flag = &chosen.json,
     .meaning = "print JSON; parked, gaps: one object per line"},
    OPTION_TO(&chosen.to),
};
int cli_topic(int argc, char **argv)
{
    const command_line_t line = {
        .usage = "capstan topic ACTION [TOPIC] [options]",
        .summary =
            "Makes, shows and changes topics, and looks after events that a group has given up "
            "on.\n"
            "  create TOPIC    makes a topic, or confirms one of the same definition\n"
            "  list            shows all topics\n"
            "  describe TOPIC  shows its settings, figures, partitions and groups\n"
            "  alter TOPIC     changes settings while the topic is used\n"
            "  delete TOPIC    deletes it with all its events\n"
            "  erase TOPIC     erases what the events of a key say; their order and numbers stay\n"
            "  cancel TOPIC    discards the delayed events of a key that still wait for their "
            "time\n"
            "  group TOPIC     shows how a group treats keys and rejected events, or says it\n"
            "  parked TOPIC    shows what a group has parked after its last attempt\n"
            "  replay TOPIC    delivers parked events again, a key's in order; they stay on\n"
            "                  record until a member has processed them\n"
            "  discard TOPIC   gives up what failed; what was parked behind it is delivered\n"
            "  gaps TOPIC      shows which events keys wait for, and what was given up\n"
            "  skip TOPIC      gives up what a key waits for; what is held behind it goes on",
        .examples =
            "  capstan topic create orders --partitions 8 --sequence producer\n"
            "  capstan topic alter orders --set retention_ms=604800000 --force\n"
            "  capstan topic alter orders --set payload_schema=@order.schema.json\n"
            "  capstan topic alter orders --set partitions=32\n"
            "  capstan topic group orders --group billing --attempts 3 --when-exhausted go-on\n"
            "  capstan topic parked orders --group billing\n"
            "  capstan topic replay orders --group billing --key order-17\n"
            "  capstan topic skip orders --producer shop --key order-17 --reason 'lost in March'\n",
        .options = options,
        .count = OPTION_COUNT(options),
        .operands_min = 1,
        .operands_max = 2};
    operands_t operands;
    const action_t *action;
    int status = options_parse(&line, argc, argv, &operands);
    if (status == OPTIONS_RUN) {
        status = choose(&line, &operands, &chosen, &action);
    }
    return status == OPTIONS_RUN ? run(action, &chosen) : status;
}

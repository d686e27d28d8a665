/* What a person does to sagas: to one by its id, or to all that fit filters. */
#include "cli/saga.h"

#include "cli/failed.h"
#include "cli/saga_filter.h"
#include "cli/saga_json.h"
#include "cli/saga_label.h"
#include "cli/saga_value.h"
#include "cli/saga_words.h"
#include "runtime/base/clock.h"

#include <stdio.h>

typedef struct operate_options {
    saga_common_t common;
    saga_filter_options_t filter;
    bool all;
    bool dry_run;
    const char *reason;
    uint64_t task;
    const char *value;
    const char *outcome;
} operate_options_t;

/* The numbers are those of `saga_operate`; fork is in saga_fork.c. */
typedef enum operation {
    CANCEL = 1,
    PAUSE = 2,
    RESUME = 3,
    RETRY = 4,
    SKIP = 5,
    COMPLETE = 6,
    ABANDON = 8,
} operation_t;

static operate_options_t chosen;

/* --- options ---------------------------------------------------------------------------------- */

#define WHICH_OPTIONS                                                                              \
    SAGA_FILTER_OPTIONS(chosen.filter),                                                            \
        {.name = "all",                                                                            \
         .type = OPTION_FLAG,                                                                      \
         .target.flag = &chosen.all,                                                               \
         .meaning = "all sagas there are"},                                                        \
        {.name = "dry-run",                                                                        \
         .type = OPTION_FLAG,                                                                      \
         .target.flag = &chosen.dry_run,                                                           \
         .meaning = "says only which it would be"},                                                \
        SAGA_COMMON_OPTIONS(chosen.common)

#define REASON_OPTION(must)                                                                        \
    {                                                                                              \
        .name = "reason", .argument = "TEXT", .type = OPTION_TEXT, .required = (must),             \
        .target.text = &chosen.reason, .meaning = "why; on record"                                 \
    }

#define TASK_OPTION(says)                                                                          \
    {                                                                                              \
        .name = "task", .argument = "N", .type = OPTION_UINT, .minimum = 1,                        \
        .target.number = &chosen.task, .meaning = (says)                                           \
    }

static const option_t plain_options[] = {REASON_OPTION(false), WHICH_OPTIONS};
static const option_t reason_options[] = {REASON_OPTION(true), WHICH_OPTIONS};
static const option_t retry_options[] = {
    TASK_OPTION("only this one; without it all that are stuck"), REASON_OPTION(false),
    WHICH_OPTIONS};
static const option_t skip_options[] = {TASK_OPTION("only this one; without it all that are stuck"),
                                        {.name = "value",
                                         .argument = "JSON|@FILE|-",
                                         .type = OPTION_TEXT,
                                         .target.text = &chosen.value,
                                         .meaning = "the result that is taken instead"},
                                        REASON_OPTION(true),
                                        WHICH_OPTIONS};
static const option_t complete_options[] = {{.name = "outcome",
                                             .argument = "LABEL",
                                             .type = OPTION_TEXT,
                                             .target.text = &chosen.outcome,
                                             .meaning = "what it ends with"},
                                            REASON_OPTION(true),
                                            WHICH_OPTIONS};
#define WHICH " Those are meant that fit all\nfilters which are given, or the one with the ID."
#define LINE(word, rows, what, instances)                                                          \
    const command_line_t saga_##word##_line = {.usage =                                            \
                                                   "capstan saga " #word " ID|FILTERS [options]",  \
                                               .summary = what WHICH,                              \
                                               .examples = instances,                              \
                                               .options = rows,                                    \
                                               .count = OPTION_COUNT(rows),                        \
                                               .operands_max = 1,                                  \
                                               .words = 3}

LINE(cancel, plain_options,
     "Has sagas compensated: what they did is undone.\n"
     "One whose pivot has landed cannot be.",
     "  capstan saga cancel order-17 --reason 'customer called'\n"
     "  capstan saga cancel --definition order --since 2h --state RUNNING --dry-run\n");
LINE(pause, plain_options,
     "Has sagas begin nothing new, until they are resumed.\n"
     "Answers to what is under way are still taken.",
     "  capstan saga pause --definition order --state RUNNING\n");
LINE(resume, plain_options,
     "Has sagas that were paused go on.\n"
     "Times that have passed meanwhile count.",
     "  capstan saga resume --definition order\n");
LINE(retry, retry_options,
     "Has sagas try again what is stuck.\n"
     "Attempts are counted anew.",
     "  capstan saga retry order-17 --task 5\n"
     "  capstan saga retry --state PARKED --since 1d\n");
LINE(skip, skip_options,
     "Says that what is stuck counts as done, or as undone.\n"
     "The participant is not told.",
     "  capstan saga skip order-17 --task 5 --value '{\"parcel\":7}' --reason 'sent by hand'\n");
LINE(complete, complete_options,
     "Ends sagas as completed, whatever is left of them.\n"
     "Nothing is undone.",
     "  capstan saga complete order-17 --outcome shipped --reason 'sent by hand'\n");
LINE(abandon, reason_options,
     "Gives sagas up as they are: nothing is undone.\n"
     "See with capstan saga show what remains.",
     "  capstan saga abandon order-17 --reason 'test data'\n");

/* --- running ---------------------------------------------------------------------------------- */

typedef struct run {
    saga_client_t client;
    const char *name;
    saga_operate_t request;
    uint64_t done;
    uint64_t failed;
    bool more;
} run_t;

static void print_json(slice_t record)
{
    buffer_t out = {0};
    json_writer_t json = json_writer(&out);
    saga_json_record(&json, saga_operation_wire(), record);
    saga_json_print(&out);
    buffer_fini(&out);
}

static void print_text(const run_t *self, const saga_operation_t *operation)
{
    buffer_t out = {0};
    emit_escaped(&out, operation->id);
    if (operation->error > 0) {
        capstan_err_t err = (capstan_err_t)operation->error;
        saga_label_append_format(&out, ": not done: %s. %s", capstan_err_text(err),
                                 capstan_err_remedy(err));
    } else {
        saga_label_append_format(&out, ": %s%s", self->name,
                                 self->request.dry_run ? " would be done" : " done");
    }
    if (operation->state > 0) {
        saga_label_append_format(&out, " (%s)", saga_state_word(operation->state));
    }
    saga_json_print(&out);
    buffer_fini(&out);
}

/* The one that was named and failed is an error as any other. */
static void print_one(run_t *self, slice_t record, const saga_operation_t *operation)
{
    if (chosen.common.json) {
        print_json(record);
    } else if (operation->error > 0 && self->request.id.size > 0) {
        self->client.text[0] = '\0';
        saga_client_failed(&self->client, "saga", operation->id, (capstan_err_t)operation->error);
    } else {
        print_text(self, operation);
    }
}

static capstan_err_t ask(run_t *self)
{
    saga_operated_t reply;
    codec_list_t list;
    slice_t record;
    saga_operation_t operation;
    capstan_err_t err = saga_client_ask(&self->client, saga_operate_wire(), &self->request,
                                        saga_operated_wire(), SAGA_ANSWER_US, &reply);
    err = err ? err : codec_list_open(saga_operation_wire(), reply.sagas, &list);
    while (err == CAPSTAN_OK && codec_list_next_raw(&list, &record)) {
        err = codec_decode(saga_operation_wire(), record, &operation, NULL);
        if (err == CAPSTAN_OK) {
            print_one(self, record, &operation);
            self->done += operation.error == 0;
            self->failed += operation.error > 0;
        }
    }
    self->more = err == CAPSTAN_OK && reply.more;
    return err ? err : list.fault.err;
}

static int report(run_t *self, capstan_err_t err)
{
    bool one = self->request.id.size > 0;
    if (err != CAPSTAN_OK) {
        return saga_client_failed(&self->client, one ? "saga" : NULL, self->request.id, err);
    }
    if (self->more) {
        fprintf(stderr, "capstan %s: more fit than one request may touch%s\n", self->client.command,
                self->request.dry_run ? "" : "; narrow the filters, and give it again");
    }
    if (self->done + self->failed == 0 && !chosen.common.json) {
        printf("there is no such saga\n");
    }
    return self->failed > 0 || (self->more && !self->request.dry_run) ? EXIT_FAILED : EXIT_DONE;
}

/* More than one request may touch is asked for again, as long as something is done by it: what
 * cannot be done fits the filters the next time too. */
static int operate_all(run_t *self)
{
    if (!saga_client_open(&self->client, self->client.command, &chosen.common)) {
        return EXIT_FAILED;
    }
    capstan_err_t err;
    uint64_t before;
    do {
        before = self->done;
        err = ask(self);
    } while (err == CAPSTAN_OK && self->more && !self->request.dry_run && self->done > before);
    int status = report(self, err);
    saga_client_close(&self->client);
    return status;
}

static slice_t text_of(const char *text)
{
    return text ? slice_text(text) : (slice_t){0};
}

/* Whether it is said which are meant: nothing is done to all by accident. */
static int check_which(const command_line_t *line, const operands_t *operands, slice_t filter)
{
    bool fits = filter.size > 0;
    if (operands->count > 0 && (fits || chosen.all)) {
        return options_wrong(line, "give either an ID or filters");
    }
    if (operands->count == 0 && !fits && !chosen.all) {
        return options_wrong(line, "say which are meant: an ID, filters such as --state, or --all");
    }
    if (chosen.task > 0 && operands->count == 0) {
        return options_wrong(line, "--task wants an ID");
    }
    return OPTIONS_RUN;
}

static int run(run_t *self, const operands_t *operands, slice_t filter)
{
    char wrong[512];
    buffer_t value = {0};
    self->request.id = operands->count > 0 ? slice_text(operands->items[0]) : (slice_t){0};
    self->request.filter = filter;
    self->request.dry_run = chosen.dry_run;
    self->request.task = chosen.task;
    self->request.reason = text_of(chosen.reason);
    self->request.outcome = text_of(chosen.outcome);
    int status = EXIT_FAILED;
    if (chosen.value && !saga_value_from_argument(chosen.value, &value, wrong, sizeof wrong)) {
        fprintf(stderr, "capstan %s: --value: %s\n", self->client.command, wrong);
    } else {
        self->request.value = buffer_slice(&value);
        status = operate_all(self);
    }
    buffer_fini(&value);
    return status;
}

static int operate(operation_t operation, const command_line_t *line, const char *name, int argc,
                   char **argv)
{
    char command[32];
    operands_t operands;
    buffer_t filter = {0};
    snprintf(command, sizeof command, "saga %s", name);
    run_t self = {.client.command = command, .name = name, .request.operation = operation};
    int status = options_parse(line, argc, argv, &operands);
    if (status == OPTIONS_RUN) {
        status = saga_filter_encode(line, &chosen.filter, clock_us(CLOCK_REALTIME), &filter);
    }
    if (status == OPTIONS_RUN) {
        status = check_which(line, &operands, buffer_slice(&filter));
    }
    if (status == OPTIONS_RUN) {
        status = run(&self, &operands, buffer_slice(&filter));
    }
    buffer_fini(&filter);
    return status;
}

#define ACTION(word, number)                                                                       \
    int saga_##word(int argc, char **argv)                                                         \
    {                                                                                              \
        return operate(number, &saga_##word##_line, #word, argc, argv);                            \
    }

ACTION(cancel, CANCEL)
ACTION(pause, PAUSE)
ACTION(resume, RESUME)
ACTION(retry, RETRY)
ACTION(skip, SKIP)
ACTION(complete, COMPLETE)
ACTION(abandon, ABANDON)

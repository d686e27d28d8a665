/* Sagas that begin as others did: from the beginning, or from a step. */
#include "cli/saga.h"

#include "cli/failed.h"
#include "cli/saga_filter.h"
#include "cli/saga_json.h"
#include "cli/saga_label.h"
#include "cli/saga_view.h"
#include "cli/saga_words.h"
#include "runtime/base/clock.h"
#include "runtime/base/ensure.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FORK = 7, FORK_ID_MAX = 512, FORK_PAGE = 200 };

typedef struct fork_options {
    saga_common_t common;
    saga_filter_options_t filter;
    bool all;
    bool dry_run;
    const char *id_new;
    const char *suffix;
    const char *step;
    uint64_t task;
    uint64_t version;
    const char *reason;
} fork_options_t;

static fork_options_t chosen;

static const option_t options[] = {
    {.name = "new-id",
     .argument = "ID",
     .type = OPTION_TEXT,
     .target.text = &chosen.id_new,
     .meaning = "id of the new saga"},
    {.name = "suffix",
     .argument = "TEXT",
     .type = OPTION_TEXT,
     .target.text = &chosen.suffix,
     .meaning = "the new id is the other's with this behind it"},
    {.name = "step",
     .argument = "NAME",
     .type = OPTION_TEXT,
     .target.text = &chosen.step,
     .meaning = "begin at this step, where the other came to it last"},
    {.name = "task",
     .argument = "N",
     .type = OPTION_UINT,
     .minimum = 1,
     .target.number = &chosen.task,
     .meaning = "begin at this task of it; see capstan saga show"},
    {.name = "new-version",
     .argument = "N",
     .type = OPTION_UINT,
     .minimum = 1,
     .target.number = &chosen.version,
     .meaning = "with this version of the definition; without it the other's"},
    {.name = "reason",
     .argument = "TEXT",
     .type = OPTION_TEXT,
     .target.text = &chosen.reason,
     .meaning = "why; on record"},
    SAGA_FILTER_OPTIONS(chosen.filter),
    {.name = "all",
     .type = OPTION_FLAG,
     .target.flag = &chosen.all,
     .meaning = "all sagas there are"},
    {.name = "dry-run",
     .type = OPTION_FLAG,
     .target.flag = &chosen.dry_run,
     .meaning = "says only which it would be"},
    SAGA_COMMON_OPTIONS(chosen.common),
};

const command_line_t saga_fork_line = {
    .usage = "capstan saga fork ID|FILTERS --new-id ID|--suffix TEXT [options]",
    .summary =
        "Starts sagas like others, under new ids: with their definition, input and key.\n"
        "From a step of one that has ended, what it did before that and has not undone is\n"
        "taken over: it is not done again, and not undone by the new one. Of those that fit\n"
        "filters, children and those whose id ends in the suffix are left out.",
    .examples = "  capstan saga fork order-17 --new-id order-17b\n"
                "  capstan saga fork order-17 --suffix .2 --step charge --new-version 3\n"
                "  capstan saga fork --definition order --state CANCELLED --suffix .2 --dry-run\n",
    .options = options,
    .count = OPTION_COUNT(options),
    .operands_max = 1,
    .words = 3,
};

/* --- one ------------------------------------------------------------------------------------- */

typedef struct run {
    saga_client_t client;
    uint64_t failed;
    uint64_t count;
} run_t;

static void print_done(slice_t id, slice_t id_new, uint64_t task, uint64_t state)
{
    buffer_t out = {0};
    if (chosen.common.json) {
        json_writer_t json = json_writer(&out);
        emit_object_begin(&json);
        emit_key(&json, "id");
        emit_text(&json, id_new);
        emit_key(&json, "origin");
        emit_text(&json, id);
        if (task > 0) {
            emit_key(&json, "task");
            emit_uint(&json, task);
        }
        emit_key(&json, "state");
        emit_text(&json, slice_text(saga_state_word(state)));
        emit_object_end(&json);
    } else {
        emit_escaped(&out, id);
        saga_label_append_format(&out, ": fork %s", chosen.dry_run ? "would be done" : "done");
        saga_label_append_format(&out, task > 0 ? " from task %" PRIu64 " as " : " as ", task);
        emit_escaped(&out, id_new);
        saga_label_append_format(&out, " (%s)", saga_state_word(state));
    }
    saga_json_print(&out);
    buffer_fini(&out);
}

/* Those of an each stand for its items, which are no step of their own. */
static bool is_item(const saga_view_t *view, const saga_task_t *task)
{
    return task->parent > 0 && task->parent <= view->count &&
           view->tasks[task->parent - 1].task.node == task->node;
}

static uint64_t task_of_step(const saga_view_t *view, slice_t name)
{
    for (uint32_t i = view->count; i-- > 0;) {
        const plan_node_t *node = saga_view_node(view, &view->tasks[i].task);
        if (node && slice_equal(node->name, name) && !is_item(view, &view->tasks[i].task)) {
            return view->tasks[i].task.number;
        }
    }
    return 0;
}

/* Which task the step was last; an error is told. */
static capstan_err_t find_task(run_t *self, slice_t id, uint64_t *ret_task)
{
    saga_view_t view;
    *ret_task = chosen.task;
    if (!chosen.step) {
        return CAPSTAN_OK;
    }
    capstan_err_t err = saga_view_ask(&self->client, id, &view);
    if (err != CAPSTAN_OK) {
        return err;
    }
    *ret_task = task_of_step(&view, slice_text(chosen.step));
    if (*ret_task == 0 && view.plan) {
        snprintf(self->client.text, sizeof self->client.text, "it has not come to a step \"%s\"",
                 chosen.step);
        err = CAPSTAN_E_NOT_FOUND;
    } else if (*ret_task == 0) {
        err = CAPSTAN_E_UNKNOWN_DEFINITION;
    }
    saga_view_fini(&view);
    return err;
}

static capstan_err_t ask(run_t *self, const saga_operate_t *request, saga_operation_t *ret_done)
{
    saga_operated_t reply;
    codec_list_t list;
    capstan_err_t err = saga_client_ask(&self->client, saga_operate_wire(), request,
                                        saga_operated_wire(), SAGA_ANSWER_US, &reply);
    err = err ? err : codec_list_open(saga_operation_wire(), reply.sagas, &list);
    if (err == CAPSTAN_OK && !codec_list_next(&list, ret_done)) {
        err = CAPSTAN_E_MALFORMED;
    }
    return err ? err : (capstan_err_t)ret_done->error;
}

static void fork_one(run_t *self, slice_t id)
{
    char id_new[FORK_ID_MAX + 1];
    saga_operation_t done;
    int size = chosen.suffix ? snprintf(id_new, sizeof id_new, "%.*s%s", (int)id.size,
                                        (const char *)id.data, chosen.suffix)
                             : snprintf(id_new, sizeof id_new, "%s", chosen.id_new);
    saga_operate_t request = {
        .operation = FORK,
        .id = id,
        .id_new = slice_of(id_new, (size_t)size < sizeof id_new ? (size_t)size : FORK_ID_MAX),
        .version = chosen.version,
        .reason = chosen.reason ? slice_text(chosen.reason) : (slice_t){0},
        .dry_run = chosen.dry_run};
    self->client.text[0] = '\0';
    capstan_err_t err = find_task(self, id, &request.task);
    err = err ? err : ask(self, &request, &done);
    self->count++;
    if (err == CAPSTAN_OK) {
        print_done(id, request.id_new, request.task, done.state);
    } else {
        saga_client_failed(&self->client, "saga", id, err);
        self->failed++;
    }
}

/* --- many ------------------------------------------------------------------------------------ */

/* Copies the ids of a page: the next request takes the place of its bytes. */
static capstan_err_t read_page(run_t *self, slice_t filter, uint64_t *before, buffer_t *ret_ids)
{
    saga_page_t page;
    codec_list_t list;
    saga_row_t row;
    const saga_list_t request = {.filter = filter, .before = *before, .count_max = FORK_PAGE};
    capstan_err_t err = saga_client_ask(&self->client, saga_list_wire(), &request, saga_page_wire(),
                                        SAGA_ANSWER_US, &page);
    err = err ? err : codec_list_open(saga_row_wire(), page.sagas, &list);
    while (err == CAPSTAN_OK && codec_list_next(&list, &row)) {
        uint32_t id_size = (uint32_t)row.id.size;
        buffer_append(ret_ids, &id_size, sizeof id_size);
        buffer_append(ret_ids, row.id.data, row.id.size);
    }
    *before = err == CAPSTAN_OK ? page.before : 0;
    return err ? err : list.fault.err;
}

/* A fork that an earlier run has made fits the filters too, and children have no forks. */
static bool is_meant(slice_t id)
{
    size_t size = strlen(chosen.suffix);
    bool forked =
        id.size > size && memcmp((const char *)id.data + id.size - size, chosen.suffix, size) == 0;
    return !forked && !memchr(id.data, '/', id.size);
}

static void fork_page(run_t *self, const buffer_t *ids)
{
    for (size_t at = 0; at < ids->size;) {
        uint32_t size;
        memcpy(&size, ids->data + at, sizeof size);
        slice_t id = slice_of(ids->data + at + sizeof size, size);
        if (is_meant(id)) {
            fork_one(self, id);
        }
        at += sizeof size + size;
    }
}

/* The newest first: what is forked is newer, and not met on the way. */
static void fork_all(run_t *self, slice_t filter)
{
    uint64_t before = 0;
    buffer_t ids = {0};
    do {
        buffer_clear(&ids);
        capstan_err_t err = read_page(self, filter, &before, &ids);
        if (err != CAPSTAN_OK) {
            saga_client_failed(&self->client, NULL, (slice_t){0}, err);
            self->failed++;
        }
        fork_page(self, &ids);
    } while (before > 0);
    buffer_fini(&ids);
    if (self->count + self->failed == 0 && !chosen.common.json) {
        printf("there is no such saga\n");
    }
}

/* --- which ----------------------------------------------------------------------------------- */

static int check(const operands_t *operands, slice_t filter)
{
    bool many = filter.size > 0 || chosen.all;
    const char *wrong = NULL;
    if (operands->count > 0 && many) {
        wrong = "give either an ID or filters";
    } else if (operands->count == 0 && !many) {
        wrong = "say which are meant: an ID, filters such as --state, or --all";
    } else if (!chosen.id_new == !chosen.suffix) {
        wrong = "give --new-id ID or --suffix TEXT";
    } else if (chosen.suffix && !chosen.suffix[0]) {
        wrong = "--suffix is empty: the new id would be the other's";
    } else if (many && chosen.id_new) {
        wrong = "--new-id wants an ID; give --suffix TEXT";
    } else if (many && chosen.task > 0) {
        wrong = "--task wants an ID; give --step NAME";
    } else if (chosen.task > 0 && chosen.step) {
        wrong = "give either --step or --task";
    }
    return wrong ? options_wrong(&saga_fork_line, "%s", wrong) : OPTIONS_RUN;
}

static int fork_them(const operands_t *operands, slice_t filter)
{
    run_t self = {.count = 0};
    if (!saga_client_open(&self.client, "saga fork", &chosen.common)) {
        return EXIT_FAILED;
    }
    if (operands->count > 0) {
        fork_one(&self, slice_text(operands->items[0]));
    } else {
        fork_all(&self, filter);
    }
    saga_client_close(&self.client);
    return self.failed > 0 ? EXIT_FAILED : EXIT_DONE;
}

int saga_fork(int argc, char **argv)
{
    operands_t operands;
    buffer_t filter = {0};
    int status = options_parse(&saga_fork_line, argc, argv, &operands);
    if (status == OPTIONS_RUN) {
        status =
            saga_filter_encode(&saga_fork_line, &chosen.filter, clock_us(CLOCK_REALTIME), &filter);
    }
    status = status == OPTIONS_RUN ? check(&operands, buffer_slice(&filter)) : status;
    if (status == OPTIONS_RUN) {
        status = fork_them(&operands, buffer_slice(&filter));
    }
    buffer_fini(&filter);
    return status;
}

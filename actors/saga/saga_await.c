/* Events and signals: what a saga has heard and not used yet, and the nodes that wait for it. */
#include "actors/saga/saga_internal.h"

#include <stdlib.h>
#include <xxhash.h>

enum {
    TOKENS_MAX = 16,
    TOKEN_BYTES = 8,
};

/* --- which branch ----------------------------------------------------------------------------- */

static bool is_meant(const saga_t *self, const task_t *task, const plan_node_t *branch,
                     const notice_t *notice)
{
    saga_scope_t scope = {.saga = self, .task = task, .event = notice->value};
    return branch->kind == PLAN_BRANCH && branch->source == notice->source &&
           slice_equal(branch->source == PLAN_EVENT ? branch->topic : branch->signal,
                       notice->name) &&
           value_test(&branch->test, &(value_scope_t){saga_document, &scope});
}

/* Whether an await of the plan could mean it; what none ever means is not kept. */
static bool is_ever_meant(const saga_t *self, const notice_t *notice)
{
    for (uint32_t i = 0; i < self->plan->count; i++) {
        if (is_meant(self, NULL, &self->plan->nodes[i], notice)) {
            return true;
        }
    }
    return false;
}

static void forget(saga_t *self, size_t index)
{
    notice_t *notice = &self->notices[index];
    self->notice_bytes -= notice->name.size + notice->value.size;
    saga_drop(self, &notice->name);
    saga_drop(self, &notice->value);
    self->notice_count--;
    memmove(notice, notice + 1, (self->notice_count - index) * sizeof *notice);
}

/* The await takes the oldest that one of its branches means. */
static bool match(saga_t *self, task_t *task)
{
    for (size_t i = 0; i < self->notice_count; i++) {
        const notice_t *notice = &self->notices[i];
        uint32_t branch = task_node(self, task)->first;
        while (branch != PLAN_NONE && !is_meant(self, task, &self->plan->nodes[branch], notice)) {
            branch = self->plan->nodes[branch].next;
        }
        if (branch != PLAN_NONE) {
            saga_keep(self, &task->result, notice->value);
            forget(self, i);
            task->count = 1;
            task->due_us = 0;
            task_open(self, branch, task_number(self, task));
            return true;
        }
    }
    return false;
}

static uint32_t nth_branch(const saga_t *self, const task_t *task, uint64_t number)
{
    uint32_t branch = task_node(self, task)->first;
    for (uint64_t i = 1; branch != PLAN_NONE && i < number; i++) {
        branch = self->plan->nodes[branch].next;
    }
    return branch;
}

/* The branch that a fork takes over: the one of the same place, if that has the same trigger, or
 * else the first one that has. */
static uint32_t taken_branch(saga_t *self, const task_t *task, saga_taken_t *ret_taken)
{
    const plan_node_t *nodes = self->plan->nodes;
    if (!fork_has(self, task, ret_taken) || ret_taken->branch == 0) {
        return PLAN_NONE;
    }
    uint32_t branch = nth_branch(self, task, ret_taken->branch);
    if (branch != PLAN_NONE && slice_equal(fork_trigger(&nodes[branch]), ret_taken->trigger)) {
        return branch;
    }
    branch = task_node(self, task)->first;
    while (branch != PLAN_NONE && !slice_equal(fork_trigger(&nodes[branch]), ret_taken->trigger)) {
        branch = nodes[branch].next;
    }
    return branch;
}

void await_open(saga_t *self, task_t *task)
{
    saga_taken_t taken;
    uint32_t branch = taken_branch(self, task, &taken);
    if (branch != PLAN_NONE) {
        saga_keep(self, &task->result, taken.result);
        task->count = 1;
        task_open(self, branch, task_number(self, task));
        return;
    }
    for (uint32_t i = task_node(self, task)->first; i != PLAN_NONE; i = self->plan->nodes[i].next) {
        if (self->plan->nodes[i].source == PLAN_TIMEOUT) {
            task->due_us = self->now_us + self->plan->nodes[i].sleep_us;
        }
    }
    match(self, task);
}

void await_time(saga_t *self, task_t *task)
{
    uint32_t branch = task_node(self, task)->first;
    while (self->plan->nodes[branch].source != PLAN_TIMEOUT) {
        branch = self->plan->nodes[branch].next;
    }
    task->count = 1;
    task->due_us = 0;
    task_open(self, branch, task_number(self, task));
}

/* --- hearing --------------------------------------------------------------------------------- */

static notice_t notice_of(const saga_input_t *input, const saga_place_t *place)
{
    bool event = input->kind == SAGA_INPUT_event;
    return (notice_t){.source = event ? PLAN_EVENT : PLAN_SIGNAL,
                      .name = event ? place->topic : input->error,
                      .value = input->value};
}

static place_t *find_place(const saga_t *self, slice_t topic, uint64_t partition)
{
    for (size_t i = 0; i < self->place_count; i++) {
        if (self->places[i].partition == partition && slice_equal(self->places[i].topic, topic)) {
            return &self->places[i];
        }
    }
    return NULL;
}

bool saga_has_heard(const saga_t *self, slice_t topic, uint64_t partition, uint64_t offset)
{
    const place_t *place = find_place(self, topic, partition);
    return place && offset <= place->offset;
}

static bool read_place(const saga_input_t *input, saga_place_t *ret_place)
{
    *ret_place = (saga_place_t){0};
    return input->kind != SAGA_INPUT_event ||
           codec_decode(saga_place_wire(), input->place, ret_place, NULL) == CAPSTAN_OK;
}

static bool token_is_known(const saga_t *self, slice_t token)
{
    uint64_t hash = XXH64(token.data, token.size, 0);
    for (size_t i = 0; token.size > 0 && i + TOKEN_BYTES <= self->tokens.size; i += TOKEN_BYTES) {
        if (memcmp((const uint8_t *)self->tokens.data + i, &hash, TOKEN_BYTES) == 0) {
            return true;
        }
    }
    return false;
}

capstan_err_t notice_accepts(const saga_t *self, const saga_input_t *input)
{
    saga_place_t place;
    if (!read_place(input, &place)) {
        return CAPSTAN_E_MALFORMED;
    }
    notice_t notice = notice_of(input, &place);
    if (token_is_known(self, input->text)) {
        return CAPSTAN_E_EXISTS;
    }
    if (saga_has_ended(self)) {
        return CAPSTAN_E_SAGA_ENDED;
    }
    if (self->undo_us != 0 || !is_ever_meant(self, &notice) ||
        saga_has_heard(self, place.topic, place.partition, place.offset)) {
        return CAPSTAN_E_SAGA_STATE;
    }
    bool full = self->notice_count == SAGA_NOTICES_MAX ||
                self->notice_bytes + notice.name.size + notice.value.size > SAGA_NOTICE_BYTES_MAX;
    return full ? CAPSTAN_E_LIMIT : CAPSTAN_OK;
}

static void note_place(saga_t *self, const saga_place_t *place)
{
    place_t *known = find_place(self, place->topic, place->partition);
    if (!known) {
        self->places = realloc(self->places, (self->place_count + 1) * sizeof *self->places);
        ENSURE(self->places);
        known = &self->places[self->place_count++];
        *known = (place_t){.partition = place->partition};
        saga_keep(self, &known->topic, place->topic);
    }
    known->offset = place->offset;
}

static void note_token(saga_t *self, slice_t token)
{
    uint64_t words[TOKENS_MAX + 1];
    size_t size = self->tokens.size;
    if (token.size == 0) {
        return;
    }
    if (size > 0) {
        memcpy(words, self->tokens.data, size);
    }
    words[size / TOKEN_BYTES] = XXH64(token.data, token.size, 0);
    size += TOKEN_BYTES;
    size_t over = size > TOKENS_MAX * TOKEN_BYTES ? TOKEN_BYTES : 0;
    saga_keep(self, &self->tokens, slice_of((uint8_t *)words + over, size - over));
}

static void add(saga_t *self, const notice_t *notice)
{
    self->notices = realloc(self->notices, (self->notice_count + 1) * sizeof *self->notices);
    ENSURE(self->notices);
    notice_t *kept = &self->notices[self->notice_count++];
    *kept = (notice_t){.source = notice->source};
    saga_keep(self, &kept->name, notice->name);
    saga_keep(self, &kept->value, notice->value);
    self->notice_bytes += notice->name.size + notice->value.size;
}

/* The input of an event without a value only notes the place: the event that started the saga. */
void notice_take(saga_t *self, const saga_input_t *input)
{
    saga_place_t place;
    bool good = read_place(input, &place);
    ENSURE(good);
    notice_t notice = notice_of(input, &place);
    if (input->kind == SAGA_INPUT_event) {
        note_place(self, &place);
    } else {
        note_token(self, input->text);
    }
    if (input->kind == SAGA_INPUT_event && input->value.size == 0) {
        return;
    }
    add(self, &notice);
    for (uint32_t i = 0; i < self->count && self->undo_us == 0; i++) {
        task_t *task = &self->tasks[i];
        if (task_node(self, task)->kind == PLAN_AWAIT && task->state == TASK_OPEN &&
            task->count == 0 && match(self, task)) {
            return;
        }
    }
}

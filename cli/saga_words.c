#include "cli/saga_words.h"

#include "actors/saga/saga.h"

#include <stdio.h>
#include <strings.h>

typedef struct word {
    const char *name;
    uint64_t number;
    const char *meaning;
} word_t;

static const word_t saga_states[] = {
#define SAGA_STATE(name, number, meaning) {#name, number, meaning},
#include "actors/saga/saga_states.def"
    {"?", 0, "a state that this program does not know"},
};

static const word_t task_states[] = {
#define TASK_STATE(name, number, meaning) {#name, number, meaning},
#include "actors/saga/saga_states.def"
    {"?", 0, "a state that this program does not know"},
};

static const word_t inputs[] = {
#define SAGA_INPUT(name, number, meaning) {#name, number, meaning},
#include "actors/saga/saga_states.def"
    {"?", 0, "an input that this program does not know"},
};

/* The last row stands for what is not in the others. */
static const word_t *find(const word_t *words, uint64_t number)
{
    while (words->number != 0 && words->number != number) {
        words++;
    }
    return words;
}

const char *saga_state_word(uint64_t state)
{
    return find(saga_states, state)->name;
}

const char *saga_state_meaning(uint64_t state)
{
    return find(saga_states, state)->meaning;
}

uint64_t saga_state_number(const char *word)
{
    const word_t *at = saga_states;
    while (at->number != 0 && strcasecmp(at->name, word) != 0) {
        at++;
    }
    return at->number;
}

bool saga_state_rests(uint64_t state)
{
    return state == SAGA_COMPLETED || state == SAGA_COMPENSATED || state == SAGA_PARKED ||
           state == SAGA_CANCELLED;
}

const char *task_state_word(uint64_t state)
{
    return find(task_states, state)->name;
}

const char *task_state_meaning(uint64_t state)
{
    return find(task_states, state)->meaning;
}

bool task_state_rests(uint64_t state)
{
    return state == TASK_DONE || state == TASK_FAILED || state == TASK_DROPPED ||
           state == TASK_UNDONE;
}

const char *saga_input_word(uint64_t kind)
{
    return find(inputs, kind)->name;
}

static const char *place_in(const char *const *words, uint64_t count, uint64_t number)
{
    return number > 0 && number < count ? words[number] : "?";
}

#define WORD_OF(words, number) place_in(words, sizeof(words) / sizeof(words)[0], number)

const char *node_kind_word(uint64_t kind)
{
    static const char *const words[] = {[PLAN_SEQUENCE] = "sequence",
                                        [PLAN_PARALLEL] = "parallel",
                                        [PLAN_STEP] = "step",
                                        [PLAN_CHOICE] = "choice",
                                        [PLAN_LOOP] = "loop",
                                        [PLAN_SLEEP] = "sleep",
                                        [PLAN_AWAIT] = "await",
                                        [PLAN_EACH] = "each",
                                        [PLAN_CHILD] = "child",
                                        [PLAN_BRANCH] = "branch",
                                        [PLAN_END] = "end"};
    return WORD_OF(words, kind);
}

const char *node_class_word(uint64_t class)
{
    static const char *const words[] = {[PLAN_COMPENSATABLE] = "compensatable",
                                        [PLAN_PIVOT] = "pivot",
                                        [PLAN_RETRIABLE] = "retriable",
                                        [PLAN_READ] = "read"};
    return WORD_OF(words, class);
}

const char *node_source_word(uint64_t source)
{
    static const char *const words[] = {
        [PLAN_EVENT] = "event", [PLAN_SIGNAL] = "signal", [PLAN_TIMEOUT] = "timeout"};
    return WORD_OF(words, source);
}

const char *undo_order_word(uint64_t order)
{
    static const char *const words[] = {
        [PLAN_UNDO_REVERSE] = "reverse", [PLAN_UNDO_PARALLEL] = "parallel"};
    return WORD_OF(words, order);
}

const char *operator_word(uint64_t operator)
{
    static const char *const words[] = {
        [VALUE_EQUAL] = "==",      [VALUE_NOT_EQUAL] = "!=",
        [VALUE_LESS] = "<",        [VALUE_AT_MOST] = "<=",
        [VALUE_GREATER] = ">",     [VALUE_AT_LEAST] = ">=",
        [VALUE_EXISTS] = "exists", [VALUE_EXISTS_NOT] = "exists not"};
    return WORD_OF(words, operator);
}

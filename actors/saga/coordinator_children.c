/* What one saga's step means for others: children begin and are cancelled, parents hear how they
 * ended, and whoever waited gets its turn. */
#include "actors/saga/coordinator_internal.h"

#include <stdlib.h>

enum {
    CHILD_DEPTH_MAX = 8,
    CHILD_ID_MAX = SAGA_ID_MAX + CHILD_DEPTH_MAX * 21,
};

void chore_add(coordinator_t *self, const chore_t *chore)
{
    if (self->chore_count == self->chore_capacity) {
        self->chore_capacity = self->chore_capacity > 0 ? 2 * self->chore_capacity : 8;
        self->chores = realloc(self->chores, self->chore_capacity * sizeof *self->chores);
        ENSURE(self->chores);
    }
    chore_t *added = &self->chores[self->chore_count++];
    *added = *chore;
    if (chore->input.size > 0) {
        void *copy = malloc(chore->input.size);
        ENSURE(copy);
        memcpy(copy, chore->input.data, chore->input.size);
        added->input.data = copy;
    }
}

/* --- children -------------------------------------------------------------------------------- */

static slice_t child_id(const entry_t *parent, uint64_t task, char text[CHILD_ID_MAX])
{
    int size = snprintf(text, CHILD_ID_MAX, "%.*s/%llu", (int)parent->id.size,
                        (const char *)parent->id.data, (unsigned long long)task);
    ENSURE(size > 0 && size < CHILD_ID_MAX);
    return slice_of(text, (size_t)size);
}

static int depth_of(slice_t id)
{
    int depth = 0;
    for (size_t i = 0; i < id.size; i++) {
        depth += ((const char *)id.data)[i] == '/';
    }
    return depth;
}

static void tell(coordinator_t *self, int64_t now_us, uint64_t dice, entry_t *parent,
                 saga_input_t input, coordinator_effects_t *effects)
{
    input.dice = dice;
    input.at_us = now_us;
    input.number = parent->number;
    input.phase = 0; /* of no command: a participant cannot say how a child ended */
    if (saga_accepts(parent->saga, &input) == CAPSTAN_OK) {
        coordinator_apply(self, now_us, parent, input, effects);
    }
}

static void tell_parent(coordinator_t *self, int64_t now_us, uint64_t dice, const entry_t *child,
                        coordinator_effects_t *effects)
{
    const saga_begin_t *begin = saga_begin_of(child->saga);
    entry_t *parent = entry_get(self, begin->parent);
    bool done = saga_phase(child->saga) == SAGA_COMPLETED;
    buffer_t values = {0};
    if (!parent || !saga_has_ended(child->saga)) {
        return;
    }
    if (done) {
        saga_values(child->saga, &values);
    }
    tell(self, now_us, dice, parent,
         (saga_input_t){.kind = done ? SAGA_INPUT_done : SAGA_INPUT_refused,
                        .task = begin->parent_task,
                        .value = buffer_slice(&values),
                        .error = done ? (slice_t){0} : slice_text("CHILD_COMPENSATED"),
                        .text = done ? (slice_t){0} : saga_row(child->saga).reason},
         effects);
    buffer_fini(&values);
}

static void refuse_child(coordinator_t *self, int64_t now_us, const chore_t *chore,
                         const char *error, coordinator_effects_t *effects)
{
    tell(
        self, now_us, 0, entry_get(self, chore->number),
        (saga_input_t){.kind = SAGA_INPUT_refused, .task = chore->task, .error = slice_text(error)},
        effects);
}

static int64_t earlier(int64_t a_us, int64_t b_us)
{
    return a_us == 0 || (b_us != 0 && b_us < a_us) ? b_us : a_us;
}

/* Whether a saga that the child would be in holds the lock that it would wait for. */
static bool is_locked_out(const coordinator_t *self, const plan_t *plan, const entry_t *parent)
{
    bool wants = plan->lock && parent->key.size > 0;
    for (const entry_t *above = parent; wants && above; above = entry_get(self, above->parent)) {
        if (slice_equal(saga_begin_of(above->saga)->definition, plan->name)) {
            return true; /* a child has its parent's key */
        }
    }
    return false;
}

static void start_child(coordinator_t *self, int64_t now_us, const chore_t *chore,
                        coordinator_effects_t *effects)
{
    char text[CHILD_ID_MAX];
    entry_t *parent = entry_get(self, chore->number);
    slice_t id = child_id(parent, chore->task, text);
    const entry_t *known = entry_find(self, id);
    known_plan_t *plan = known_plan(self, chore->definition, chore->version);
    if (known) {
        tell_parent(self, now_us, 0, known, effects);
    } else if (chore->again) {
        coordinator_emit(effects,
                         &(coordinator_effect_t){.kind = COORDINATOR_LOOK_UP,
                                                 .number = chore->number,
                                                 .task = chore->task},
                         id);
    } else if (!plan) {
        refuse_child(self, now_us, chore, "UNKNOWN_DEFINITION", effects);
    } else if (depth_of(id) > CHILD_DEPTH_MAX) {
        refuse_child(self, now_us, chore, "CHILD_TOO_DEEP", effects);
    } else if (is_locked_out(self, plan->plan, parent)) {
        refuse_child(self, now_us, chore, "CHILD_LOCKED", effects);
    } else {
        int64_t own_us = plan->plan->deadline_us;
        coordinator_begin(self,
                          &(begin_options_t){
                              .plan = plan,
                              .now_us = now_us,
                              .id = id,
                              .input = chore->input,
                              .key = parent->key,
                              .deadline_us = earlier(own_us > 0 ? now_us + own_us : 0,
                                                     saga_begin_of(parent->saga)->deadline_us),
                              .parent = parent,
                              .parent_task = chore->task,
                          },
                          effects);
    }
}

static void cancel_child(coordinator_t *self, int64_t now_us, uint64_t dice, const chore_t *chore,
                         coordinator_effects_t *effects)
{
    char text[CHILD_ID_MAX];
    slice_t id = child_id(entry_get(self, chore->number), chore->task, text);
    entry_t *child = entry_find(self, id);
    saga_input_t input = {.kind = SAGA_INPUT_cancel,
                          .at_us = now_us,
                          .dice = dice,
                          .text = slice_text("its parent is compensated")};
    if (!child) {
        coordinator_emit(effects,
                         &(coordinator_effect_t){.kind = COORDINATOR_LOOK_UP,
                                                 .number = chore->number,
                                                 .task = chore->task},
                         id);
    } else if (saga_has_ended(child->saga)) {
        tell_parent(self, now_us, dice, child, effects);
    } else if (saga_accepts(child->saga, &input) == CAPSTAN_OK) {
        coordinator_apply(self, now_us, child, input, effects);
    }
}

/* --- chores ---------------------------------------------------------------------------------- */

static void do_chore(coordinator_t *self, int64_t now_us, uint64_t dice, const chore_t *chore,
                     coordinator_effects_t *effects)
{
    const entry_t *entry = entry_get(self, chore->number);
    if (!entry) {
        return;
    }
    switch (chore->kind) {
    case CHORE_START_CHILD:
        start_child(self, now_us, chore, effects);
        break;
    case CHORE_CANCEL_CHILD:
        cancel_child(self, now_us, dice, chore, effects);
        break;
    case CHORE_TELL_PARENT:
        tell_parent(self, now_us, dice, entry, effects);
        break;
    }
}

static void give_turns(coordinator_t *self, int64_t now_us, coordinator_effects_t *effects)
{
    for (size_t i = 0; i < self->plan_count; i++) {
        if (self->plans[i].first_waiting) {
            turns_give(self, &self->plans[i], now_us, effects);
        }
    }
}

void coordinator_work(coordinator_t *self, int64_t now_us, uint64_t dice,
                      coordinator_effects_t *effects)
{
    do {
        for (size_t i = 0; i < self->chore_count; i++) { /* chores may add chores */
            chore_t chore = self->chores[i];
            do_chore(self, now_us, dice + i, &chore, effects);
            free((void *)(uintptr_t)chore.input.data);
        }
        self->chore_count = 0;
        give_turns(self, now_us, effects);
    } while (self->chore_count > 0);
}

void coordinator_child(coordinator_t *self, int64_t now_us, uint64_t dice, uint64_t parent,
                       uint64_t task, coordinator_effects_t *effects)
{
    char text[CHILD_ID_MAX];
    entry_t *entry = entry_get(self, parent);
    if (!entry) {
        return;
    }
    slice_t id = child_id(entry, task, text);
    const entry_t *child = entry_find(self, id);
    saga_effects_t *wanted = &self->saga_effects;
    saga_resend(entry->saga, wanted);
    for (size_t i = 0; i < wanted->count; i++) {
        const saga_effect_t *effect = &wanted->list[i];
        if (effect->task != task || effect->kind == SAGA_CALL) {
            continue;
        }
        if (effect->kind == SAGA_CANCEL_CHILD && !child) { /* it never began */
            tell(self, now_us, dice, entry, (saga_input_t){.kind = SAGA_INPUT_never, .task = task},
                 effects);
            break;
        }
        chore_add(self, &(chore_t){.kind = effect->kind == SAGA_START_CHILD ? CHORE_START_CHILD
                                                                            : CHORE_CANCEL_CHILD,
                                   .number = parent,
                                   .task = task,
                                   .definition = effect->definition,
                                   .version = effect->version,
                                   .input = effect->input});
        break;
    }
    wanted->count = 0;
    coordinator_work(self, now_us, dice, effects);
}

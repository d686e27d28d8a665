#include "actors/ordering/answers.h"

#include "runtime/base/ensure.h"
#include "runtime/runtime.h"

#include <stdlib.h>

void answers_fini(answers_t *self)
{
    free(self->ring);
    *self = (answers_t){0};
}

static void grow(answers_t *self)
{
    size_t capacity = self->capacity ? self->capacity * 2 : 256;
    answer_t *ring = malloc(capacity * sizeof *ring);
    ENSURE(ring);
    for (size_t i = 0; i < self->count; i++) {
        ring[i] = self->ring[(self->head + i) & (self->capacity - 1)];
    }
    free(self->ring);
    self->ring = ring;
    self->capacity = capacity;
    self->head = 0;
}

void answers_add(answers_t *self, const answer_t *answer)
{
    if (self->count == self->capacity) {
        grow(self);
    }
    self->ring[(self->head + self->count) & (self->capacity - 1)] = *answer;
    self->count++;
    self->publishes += answer->result > 0;
}

bool answers_take(answers_t *self, uint64_t lsn_committed, answer_t *ret_answer)
{
    if (self->count == 0 || self->ring[self->head].lsn > lsn_committed) {
        return false;
    }
    *ret_answer = self->ring[self->head];
    self->head = (self->head + 1) & (self->capacity - 1);
    self->count--;
    self->publishes -= ret_answer->result > 0;
    return true;
}

static outcome_group_t *group_of(outcome_groups_t *self, capstan_ref_t session)
{
    for (size_t i = self->count; i > 0; i--) {
        if (capstan_ref_equal(self->groups[i - 1].session, session)) {
            return &self->groups[i - 1];
        }
    }
    if (self->count == self->capacity) {
        self->capacity = self->capacity ? self->capacity * 2 : 4;
        self->groups = realloc(self->groups, self->capacity * sizeof *self->groups);
        ENSURE(self->groups);
        for (size_t i = self->count; i < self->capacity; i++) {
            self->groups[i] = (outcome_group_t){0};
        }
    }
    outcome_group_t *group = &self->groups[self->count++];
    group->session = session;
    group->range = (outcome_t){0};
    buffer_clear(&group->bytes);
    return group;
}

static void close_range(outcome_group_t *group)
{
    if (group->range.first == 0) {
        return;
    }
    if (group->bytes.size == 0) {
        group->list = codec_list_begin(&group->bytes);
    }
    outcome_add(&group->list, &group->range);
}

void outcome_groups_add(outcome_groups_t *self, const answer_t *answer)
{
    outcome_group_t *group = group_of(self, answer->to);
    outcome_t *range = &group->range;
    if (range->first > 0 && answer->correlation == range->last + 1 &&
        answer->result == range->result && (uint64_t)answer->err == range->error) {
        range->last++;
        return;
    }
    close_range(group);
    *range = (outcome_t){.first = answer->correlation,
                         .last = answer->correlation,
                         .result = answer->result,
                         .error = (uint64_t)answer->err};
}

void outcome_groups_send(outcome_groups_t *self, capstan_actor_t *actor)
{
    buffer_t body = {0};
    for (size_t i = 0; i < self->count; i++) {
        outcome_group_t *group = &self->groups[i];
        close_range(group);
        codec_list_end(&group->list);
        buffer_clear(&body);
        codec_encode(outcomes_wire(), &(outcomes_t){.list = buffer_slice(&group->bytes)}, &body);
        /* A session that has gone resends under a new one and hears `duplicate` then. */
        (void)!actor_send(actor, group->session,
                          &(send_options_t){.message = MESSAGE_outcomes,
                                            .kind = CAPSTAN_KIND_EVENT,
                                            .always = true},
                          buffer_slice(&body));
    }
    self->count = 0;
    buffer_fini(&body);
}

void outcome_groups_fini(outcome_groups_t *self)
{
    for (size_t i = 0; i < self->capacity; i++) {
        buffer_fini(&self->groups[i].bytes);
    }
    free(self->groups);
    *self = (outcome_groups_t){0};
}

#include "inbox_check.h"

#include <xxhash.h>

const char *inbox_check_effect(inbox_seen_t *self, inbox_phase_t phase)
{
    if (phase == INBOX_PHASE_UNDO) {
        self->undos++;
        return self->effects == 0 ? "S6: a compensation without its action's effect"
               : self->undos > 1  ? "S4: a compensation had its effect twice"
                                  : NULL;
    }
    self->effects++;
    return self->effects > 1 ? "S4: an action had its effect twice"
           : self->closed    ? "S6: an action had its effect after it was undone or settled"
           : self->failed    ? "S4: an action had its effect after it failed for good"
                             : NULL;
}

static const char *check_done(inbox_seen_t *self, const participant_result_t *result)
{
    size_t place = result->phase - 1;
    uint64_t hash = XXH64(result->result.data, result->result.size, 0);
    if (self->answered[place] && self->results[place] != hash) {
        return "S4: a duplicate was answered with another result";
    }
    self->answered[place] = true;
    self->results[place] = hash;
    if (result->phase != INBOX_PHASE_UNDO) {
        return self->effects == 1 ? NULL : "S1: done, and the action has no effect";
    }
    self->closed = self->closed || self->effects == 0;
    return self->effects == self->undos ? NULL : "S1: undone, and the effect is there";
}

static const char *check_without_effect(inbox_seen_t *self, const participant_result_t *result)
{
    bool never = result->status == INBOX_ANSWER_NEVER;
    if (result->phase == INBOX_PHASE_UNDO) {
        return never                ? "S6: `never` to a compensation"
               : self->effects != 1 ? "S1: nothing was there to undo"
                                    : NULL;
    }
    if (never ? self->failed : self->closed && !self->failed) {
        return "S4: `never` and `failed for good` of the same action";
    }
    self->closed = true;
    self->failed = !never;
    return self->effects == 0 ? NULL : "S1: said to have no effect, and has one";
}

const char *inbox_check_answer(inbox_seen_t *self, const participant_result_t *result,
                               uint64_t heard, uint64_t epoch)
{
    bool refused = result->status == INBOX_ANSWER_REFUSED;
    if (refused != (epoch < heard)) {
        return refused ? "S8: refused, and no greater epoch was heard"
                       : "S8: a stale epoch was heard";
    }
    switch (result->status) {
    case INBOX_ANSWER_DONE:
        return check_done(self, result);
    case INBOX_ANSWER_FINAL:
    case INBOX_ANSWER_NEVER:
        return check_without_effect(self, result);
    case INBOX_ANSWER_FAILED:
    case INBOX_ANSWER_BUSY:
    case INBOX_ANSWER_REFUSED:
        return NULL;
    default:
        return "no such status";
    }
}

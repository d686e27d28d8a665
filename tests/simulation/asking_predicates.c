/* The predicates, judged by what the actors saw and never by the state of the runtime. */
#include "tests/simulation/asking_world.h"

#include <inttypes.h>
#include <stdio.h>

void world_fail(world_t *self, predicate_t predicate, const char *what, const ask_record_t *ask)
{
    static const char *const names[PREDICATE_COUNT] = {"M2", "A1", "A2", "A3", "A4", "A5"};
    char *failure = self->failures[predicate];
    self->failed++;
    if (failure[0] == 0) {
        snprintf(failure, sizeof self->failures[0],
                 "%s does not hold: %s (ask %zd of %u, turn %" PRIu64 ")", names[predicate], what,
                 ask ? ask - self->asks : -1, ask ? ask->asker.slot : 0, self->turn);
    }
}

void judge_asked(world_t *self, ask_record_t *ask)
{
    for (size_t i = 0; &self->asks[i] < ask; i++) {
        if (self->asks[i].correlation == ask->correlation &&
            self->asks[i].asker_cell == ask->asker_cell) {
            world_fail(self, PREDICATE_M2, "two asks have one number", ask);
        }
    }
}

/* An ask that ended in an earlier turn than this one has sent its cancel in that turn, and whatever
 * was sent to a cell before its turn began is seen in it before an actor runs. */
void judge_read(world_t *self, ask_record_t *ask, const capstan_message_t *message, int64_t now_us)
{
    if (!ask) {
        world_fail(self, PREDICATE_M2, "a request was read that nobody made", NULL);
        return;
    }
    if (ask->read) {
        world_fail(self, PREDICATE_A3, "a request was read twice", ask);
    }
    if (message->deadline_us <= now_us) {
        world_fail(self, PREDICATE_A3, "a request was read whose deadline had passed", ask);
    }
    if (ask->end != ASK_PENDING && ask->ended_turn < self->turn) {
        world_fail(self, PREDICATE_A3, "a request was read that was wanted no more", ask);
    }
    if (message->deadline_us != ask->deadline_us) {
        world_fail(self, PREDICATE_A1, "a request came with another deadline", ask);
    }
}

void judge_told(world_t *self, ask_record_t *ask)
{
    if (!ask || !ask->read || ask->reader_ended) {
        world_fail(self, PREDICATE_A2, "told of a request that was not read", ask);
    } else if (ask->answered) {
        world_fail(self, PREDICATE_A2, "told of a request that was answered", ask);
    } else if (ask->told > 0) {
        world_fail(self, PREDICATE_A2, "told twice", ask);
    } else if (ask->end == ASK_PENDING) {
        world_fail(self, PREDICATE_A2, "told that an ask is wanted no more which is pending", ask);
    }
}

void judge_end(world_t *self, ask_record_t *ask, ask_end_t end, int64_t now_us)
{
    if (!ask || ask->end != ASK_PENDING) {
        world_fail(self, PREDICATE_M2, "an ask ended twice", ask);
        return;
    }
    if (end == ASK_TIMED_OUT && ask->deadline_us > now_us) {
        world_fail(self, PREDICATE_M2, "an ask timed out before its deadline", ask);
    }
    if (end == ASK_CANCELLED && (!ask->parent || ask->parent->told == 0)) {
        world_fail(self, PREDICATE_A4, "an ask was cancelled whose request was not", ask);
    }
}

/* A cell takes what is due in each of its turns, so that nothing of it is late after one. */
void judge_turn(world_t *self, size_t cell)
{
    int64_t now_us = self->clock_us[cell];
    for (size_t i = 0; i < self->ask_count; i++) {
        const ask_record_t *ask = &self->asks[i];
        if (ask->end != ASK_PENDING || ask->asker_cell != cell) {
            continue;
        }
        if (ask->deadline_us <= now_us) {
            world_fail(self, ask->parent ? PREDICATE_A1 : PREDICATE_M2,
                       "an ask outlived its deadline", ask);
        }
        if (ask->parent && ask->parent->told > 0 && ask->parent->told_turn == self->turn) {
            world_fail(self, PREDICATE_A4, "an ask outlived the request it was made for", ask);
        }
    }
}

void judge_rest(world_t *self)
{
    for (size_t i = 0; i < self->ask_count; i++) {
        const ask_record_t *ask = &self->asks[i];
        if (ask->end == ASK_PENDING) {
            world_fail(self, PREDICATE_M2, "an ask has no end", ask);
        }
        if (ask->read && !ask->answered && !ask->reader_ended && ask->told != 1) {
            world_fail(self, PREDICATE_A2, "nobody was told that a request is wanted no more", ask);
        }
    }
}

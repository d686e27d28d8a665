#include "tests/simulation/supervision_world.h"

#include <stdio.h>

/* Only the first failure is kept: those that follow are its consequences. */
static void require(world_t *self, bool holds, const char *predicate, const world_child_t *child,
                    const char *what)
{
    if (!holds && self->failure[0] == 0) {
        snprintf(self->failure, sizeof self->failure, "%s does not hold at %ld us: child %ld %s",
                 predicate, (long)self->now_us, child ? (long)(child - self->children) : -1L, what);
    }
}

static size_t place_of(const world_t *self, const world_child_t *child)
{
    return (size_t)(child - self->children);
}

static bool is_group(const world_t *self)
{
    return self->core.strategy != CAPSTAN_ONE_FOR_ONE;
}

static bool is_ending(const world_t *self)
{
    return self->told_to_stop || self->gave_up;
}

static uint64_t restarts_within(const world_t *self, const world_child_t *child)
{
    uint64_t count = 0;
    for (uint64_t i = 0; i < child->restarts && i < WORLD_RESTARTS; i++) {
        int64_t at_us = child->restarts_us[(child->restarts - 1 - i) % WORLD_RESTARTS];
        count += self->now_us - at_us < child->core.limits.window_us;
    }
    return count;
}

/* The bounds of the delay after so many failures in a row, by doubling step by step. */
static void delay_bounds(const world_child_t *child, int64_t *ret_low, int64_t *ret_high)
{
    int64_t min = child->core.limits.backoff_us_min;
    int64_t max = child->core.limits.backoff_us_max;
    int64_t high = min;
    for (uint32_t i = 0; i < child->failures; i++) {
        high = high * 2 < max ? high * 2 : max;
    }
    *ret_high = high;
    *ret_low = high / 2 > min ? high / 2 : min;
}

/* --- news ------------------------------------------------------------------------------------ */

void judge_started(world_t *self, world_child_t *child)
{
    child->up = true;
    child->up_once = true;
    child->up_us = self->now_us;
}

static void expect_group(world_t *self, const world_child_t *failed)
{
    size_t from = self->core.strategy == CAPSTAN_ONE_FOR_ALL ? 0 : place_of(self, failed);
    self->group_from = from < self->group_from ? from : self->group_from;
    for (size_t i = self->group_from; i < self->child_count; i++) {
        world_child_t *child = &self->children[i];
        if (child->not_before_us < failed->not_before_us) {
            child->not_before_us = failed->not_before_us;
        }
        if (child->not_after_us < failed->not_after_us) {
            child->not_after_us = failed->not_after_us;
        }
        child->may_start |= child->over;
        child->over = false;
    }
}

static void expect_restart(world_t *self, world_child_t *child)
{
    int64_t low;
    int64_t high;
    child->failures++;
    delay_bounds(child, &low, &high);
    child->not_before_us = self->now_us + low;
    child->not_after_us = self->now_us + high;
    child->counts = true;
    child->may_start = true;
    self->owed = child->failures <= 2 ? child : NULL;
    if (is_group(self)) {
        expect_group(self, child);
    }
}

void judge_ended(world_t *self, world_child_t *child, capstan_err_t reason)
{
    capstan_restart_t restart = child->core.limits.restart;
    bool was_told = child->stopping;
    if (child->up && self->now_us - child->up_us >= child->core.limits.window_us) {
        child->failures = 0;
        child->told = 0;
    }
    child->running = child->up = child->stopping = child->may_start = false;
    if (was_told) {
        child->may_start =
            !child->removed && !is_ending(self) && restart != CAPSTAN_RESTART_TEMPORARY;
    } else if (is_ending(self) || (child->asked_for && !child->up_once)) {
        return;
    } else if (!child->up_once && reason != CAPSTAN_OK) {
        self->owed = child;
        self->owes_limit = true;
    } else if (restart == CAPSTAN_RESTART_PERMANENT ||
               (restart == CAPSTAN_RESTART_TRANSIENT && reason != CAPSTAN_OK)) {
        if (restarts_within(self, child) >= child->core.limits.restarts_max) {
            self->owed = child;
            self->owes_limit = true;
        } else {
            expect_restart(self, child);
        }
    } else if (restart == CAPSTAN_RESTART_TRANSIENT && is_group(self)) {
        child->may_start = place_of(self, child) >= self->group_from;
        child->over = !child->may_start;
    } else if (reason != CAPSTAN_OK) {
        self->owed = child;
    }
}

/* --- effects --------------------------------------------------------------------------------- */

static void judge_order_of_start(world_t *self, const world_child_t *child)
{
    bool first_only = !is_group(self);
    if (first_only && (child->up_once || child->asked_for)) {
        return;
    }
    for (const world_child_t *other = self->children; other < child; other++) {
        bool up = first_only ? other->up_once : (other->up && !other->stopping) || other->over;
        require(self, up || !other->present || (first_only && other->asked_for), "T2", child,
                "starts before one that stands before it is up");
    }
}

static void judge_start(world_t *self, world_child_t *child)
{
    require(self, !child->alive && !child->running, "T1", child, "runs already");
    require(self, child->present && child->may_start && !is_ending(self), "T7", child,
            "is started again though it should not be");
    judge_order_of_start(self, child);
    require(self, self->now_us >= child->not_before_us, "T5", child, "is restarted too early");
    if (child->counts) {
        child->counts = false;
        require(self, restarts_within(self, child) < child->core.limits.restarts_max, "T4", child,
                "is restarted beyond its budget");
        child->restarts_us[child->restarts++ % WORLD_RESTARTS] = self->now_us;
    }
    child->running = true;
    child->may_start = false;
    self->group_from = WORLD_NO_GROUP;
}

static void judge_stop(world_t *self, world_child_t *child)
{
    require(self, child->running && !child->stopping, "T3", child, "is stopped and does not run");
    child->stopping = true;
    if (self->removing == child) {
        return;
    }
    require(self, is_ending(self) || place_of(self, child) >= self->group_from, "T3", child,
            "is stopped for no reason");
    for (const world_child_t *other = child + 1; other < self->children + self->child_count;
         other++) {
        require(self, !other->running, "T3", child, "is stopped before one that stands behind it");
    }
}

static void judge_forget(world_t *self, world_child_t *child)
{
    require(self, !child->running && !child->alive, "T1", child, "is forgotten though it runs");
    require(self, child->removed || is_ending(self) || !(child->may_start || child->over), "T6",
            child, "is forgotten though it should run");
    child->present = false;
}

static void judge_told(world_t *self, world_child_t *child, const supervision_effect_t *effect)
{
    int64_t low;
    int64_t high;
    child->told++;
    require(self, child->told == (effect->kind == EFFECT_LOOP ? 2U : 1U), "T8", child,
            "is told of too often");
    self->owed = self->owed == child ? NULL : self->owed;
    if (child->counts) {
        delay_bounds(child, &low, &high);
        require(self, effect->wait_us >= low && effect->wait_us <= high, "T5", child,
                "has a delay out of its bounds");
    }
}

static void judge_give_up(world_t *self, const world_child_t *child,
                          const supervision_effect_t *effect)
{
    if (effect->kind == EFFECT_LIMIT) {
        require(self, restarts_within(self, child) >= child->core.limits.restarts_max, "T4", child,
                "is given up within its budget");
        self->why = CAPSTAN_E_RESTART_LIMIT;
    } else {
        require(self, !child->up_once && !child->asked_for, "T6", child,
                "had started before it was given up");
        self->why = effect->reason;
    }
    self->owed = self->owed == child ? NULL : self->owed;
    self->owes_limit = false;
    self->gave_up = true;
}

static void judge_ready(world_t *self)
{
    require(self, !self->ready, "T2", NULL, "is ready twice");
    self->ready = true;
    for (const world_child_t *child = self->children; child < self->children + self->child_count;
         child++) {
        require(self, !child->present || child->asked_for || child->up_once || child->over, "T2",
                child, "has not been up when the supervisor is ready");
    }
}

static void judge_last(world_t *self, capstan_err_t reason)
{
    for (const world_child_t *child = self->children; child < self->children + self->child_count;
         child++) {
        require(self, !child->running && !child->alive, "T6", child, "outlives its supervisor");
    }
    require(self, is_ending(self), "T6", NULL, "it ends for no reason");
    require(self, reason == self->why, "T6", NULL, "it ends with the wrong reason");
    self->ended = true;
    self->end = self->gave_up ? WORLD_ESCALATED : WORLD_STOPPED;
}

void judge_effect(world_t *self, const supervision_effect_t *effect)
{
    world_child_t *child = (world_child_t *)effect->child;
    switch (effect->kind) {
    case EFFECT_START:
        judge_start(self, child);
        break;
    case EFFECT_STOP:
        judge_stop(self, child);
        break;
    case EFFECT_WAIT:
        require(self, self->now_us + effect->wait_us <= child->not_after_us, "T5", child,
                "waits for too long");
        break;
    case EFFECT_FORGET:
        judge_forget(self, child);
        break;
    case EFFECT_FAILED:
    case EFFECT_LOOP:
        judge_told(self, child, effect);
        break;
    case EFFECT_LIMIT:
    case EFFECT_UNSTARTED:
        judge_give_up(self, child, effect);
        break;
    case EFFECT_READY:
        judge_ready(self);
        break;
    case EFFECT_END:
        judge_last(self, effect->reason);
        break;
    }
}

void judge_step(world_t *self)
{
    require(self, !self->owes_limit, self->owed && !self->owed->up_once ? "T6" : "T4", self->owed,
            "is kept though it cannot be kept running");
    require(self, !self->owed, "T8", self->owed, "failed, and it is not told");
    self->owed = NULL;
}

void judge_end(world_t *self)
{
    if (self->ended || self->failure[0] != 0) {
        return;
    }
    require(self, !is_ending(self), "T6", NULL, "it does not come to its end");
    require(self, self->ready, "T6", NULL, "it never got ready");
    for (const world_child_t *child = self->children; child < self->children + self->child_count;
         child++) {
        bool up = child->up && child->alive && !child->stopping;
        require(self, !child->present || up || child->over, "T6", child, "is not up in the end");
    }
}

#include "tests/simulation/supervision_world.h"

#include "runtime/base/ensure.h"

enum {
    LATENCY_US = 1000, /* at most, of anything that is said */
    ACT_US = 2000000,  /* at most, until the tempers are cured */
    DISTURB_US = 60000,
};

/* --- what is to happen ----------------------------------------------------------------------- */

/* Those of incarnations that have ended. */
static void forget_stale(world_t *self)
{
    size_t kept = 0;
    for (size_t i = 0; i < self->event_count; i++) {
        const world_event_t *event = &self->events[i];
        bool own =
            event->kind == EVENT_INIT || event->kind == EVENT_DIE || event->kind == EVENT_HEAR;
        if (!own || event->incarnation == self->children[event->child].incarnation) {
            self->events[kept++] = *event;
        }
    }
    self->event_count = kept;
}

static void plan(world_t *self, world_event_t event)
{
    if (self->event_count == WORLD_EVENTS_MAX) {
        forget_stale(self);
    }
    ENSURE(self->event_count < WORLD_EVENTS_MAX);
    event.order = ++self->event_last;
    self->events[self->event_count++] = event;
}

static bool take(world_t *self, world_event_t *ret_event)
{
    if (self->event_count == 0) {
        return false;
    }
    size_t first = 0;
    for (size_t i = 1; i < self->event_count; i++) {
        const world_event_t *event = &self->events[i];
        const world_event_t *best = &self->events[first];
        if (event->at_us < best->at_us ||
            (event->at_us == best->at_us && event->order < best->order)) {
            first = i;
        }
    }
    *ret_event = self->events[first];
    self->events[first] = self->events[--self->event_count];
    return true;
}

static int64_t soon(world_t *self)
{
    return self->now_us + random_between(&self->random, 0, LATENCY_US);
}

/* News of one child arrives in the order in which it was sent. */
static void send_news(world_t *self, world_child_t *child, enum world_event_kind kind,
                      capstan_err_t reason)
{
    int64_t at_us = soon(self);
    child->news_us = at_us > child->news_us ? at_us : child->news_us;
    plan(self, (world_event_t){.at_us = child->news_us,
                               .kind = kind,
                               .child = (size_t)(child - self->children),
                               .reason = reason});
}

static void plan_own(world_t *self, const world_child_t *child, world_event_t event)
{
    event.child = (size_t)(child - self->children);
    event.incarnation = child->incarnation;
    plan(self, event);
}

/* Replaces an earlier one. */
static void wait_for(world_t *self, const world_child_t *child, int64_t wait_us)
{
    size_t number = (size_t)(child - self->children);
    size_t i = 0;
    while (i < self->event_count &&
           (self->events[i].kind != EVENT_DUE || self->events[i].child != number)) {
        i++;
    }
    if (i < self->event_count) {
        self->events[i] = self->events[--self->event_count];
    }
    plan_own(self, child, (world_event_t){.at_us = self->now_us + wait_us, .kind = EVENT_DUE});
}

/* --- steps and effects ----------------------------------------------------------------------- */

static void step(world_t *self, supervision_input_t input)
{
    input.now_us = self->now_us;
    input.random = random_next(&self->random);
    supervision_step(&self->core, &input, &self->effects);
}

static void end(world_t *self, world_child_t *child, capstan_err_t reason)
{
    child->alive = false;
    send_news(self, child, EVENT_ENDED, reason);
}

/* Most worlds would be at their end before they have begun. */
static bool may_fail(const world_t *self, const world_child_t *child)
{
    return !self->cured && (self->starts_badly || child->up_once || child->asked_for);
}

static void start(world_t *self, world_child_t *child)
{
    self->starts++;
    child->incarnation++;
    if (may_fail(self, child) && random_chance(&self->random, child->spawn_fails)) {
        judge_ended(self, child, CAPSTAN_E_LIMIT); /* at once, within the step */
        step(self, (supervision_input_t){.kind = SUPERVISION_ENDED,
                                         .child = &child->core,
                                         .reason = CAPSTAN_E_LIMIT});
        return;
    }
    child->alive = true;
    child->init_us = soon(self);
    plan_own(self, child, (world_event_t){.at_us = child->init_us, .kind = EVENT_INIT});
}

static void carry_out(world_t *self, const supervision_effect_t *effect)
{
    world_child_t *child = (world_child_t *)effect->child;
    if (effect->kind == EFFECT_START) {
        start(self, child);
    } else if (effect->kind == EFFECT_STOP) {
        int64_t at_us = soon(self);
        at_us = at_us > child->init_us ? at_us : child->init_us;
        plan_own(self, child, (world_event_t){.at_us = at_us, .kind = EVENT_HEAR});
    } else if (effect->kind == EFFECT_WAIT) {
        wait_for(self, child, effect->wait_us);
    } else if (effect->kind == EFFECT_FORGET) {
        supervision_child_fini(&child->core);
    }
}

static void feed(world_t *self, supervision_input_t input)
{
    if (self->ended) {
        return;
    }
    self->effects.count = 0;
    step(self, input);
    for (size_t i = 0; i < self->effects.count; i++) {
        supervision_effect_t effect = self->effects.list[i];
        uint64_t words = (uint64_t)effect.kind << 32 | (uint64_t)effect.reason;
        self->hash = (self->hash ^ words ^ (uint64_t)effect.wait_us << 8 ^ (uint64_t)self->now_us) *
                     UINT64_C(0x100000001b3);
        judge_effect(self, &effect);
        carry_out(self, &effect);
    }
    judge_step(self);
}

/* --- what happens ---------------------------------------------------------------------------- */

static world_child_t *new_child(world_t *self)
{
    random_source_t *random = &self->random;
    world_child_t *child = &self->children[self->child_count++];
    *child = (world_child_t){
        .present = true,
        .may_start = true,
        .init_fails = random_chance(random, 300) ? (uint32_t)random_below(random, 1000) : 0,
        .spawn_fails = random_chance(random, 200) ? (uint32_t)random_below(random, 500) : 0,
        .ends_normally = (uint32_t)random_below(random, 1000),
        .resists_stop = (uint32_t)random_below(random, 500),
        .life_us = INT64_C(1) << random_between(random, 6, 22),
        .stop_us = random_between(random, 1, 100000),
    };
    child->core.limits = (supervision_limits_t){
        .restart = (capstan_restart_t)random_below(random, 3),
        .restarts_max = (uint32_t)random_below(random, 8),
        .window_us = INT64_C(1) << random_between(random, 4, 21),
        .backoff_us_min = INT64_C(1) << random_between(random, 0, 14),
    };
    child->core.limits.backoff_us_max =
        child->core.limits.backoff_us_min * random_between(random, 1, 20);
    return child;
}

static void disturb(world_t *self)
{
    uint64_t choice = random_below(&self->random, 4);
    if (choice == 0 && self->child_count < WORLD_CHILDREN_MAX) {
        world_child_t *child = new_child(self);
        child->asked_for = true;
        feed(self, (supervision_input_t){.kind = SUPERVISION_ADD, .child = &child->core});
    } else if (choice == 1 && self->child_count > 0) {
        world_child_t *child = &self->children[random_below(&self->random, self->child_count)];
        if (child->present) {
            child->removed = true;
            self->removing = child;
            feed(self, (supervision_input_t){.kind = SUPERVISION_REMOVE, .child = &child->core});
            self->removing = NULL;
        }
    } else if (choice == 2 && self->child_count > 0) {
        plan(self, (world_event_t){.at_us = self->now_us,
                                   .kind = EVENT_DUE, /* one too many */
                                   .child = random_below(&self->random, self->child_count)});
    } else if (random_chance(&self->random, 20)) {
        self->told_to_stop = true;
        feed(self, (supervision_input_t){.kind = SUPERVISION_STOP});
    }
    if (!self->cured) {
        plan(self,
             (world_event_t){.at_us = self->now_us + random_between(&self->random, 1, DISTURB_US),
                             .kind = EVENT_DISTURB});
    }
}

static void on_init(world_t *self, world_child_t *child)
{
    if (may_fail(self, child) && random_chance(&self->random, child->init_fails)) {
        end(self, child, CAPSTAN_E_STORE_IO);
        return;
    }
    send_news(self, child, EVENT_STARTED, CAPSTAN_OK);
    if (!self->cured) {
        bool normally = random_chance(&self->random, child->ends_normally);
        int64_t life_us = random_between(&self->random, 0, child->life_us);
        plan_own(self, child,
                 (world_event_t){.at_us = self->now_us + life_us,
                                 .kind = EVENT_DIE,
                                 .reason = normally ? CAPSTAN_OK : CAPSTAN_E_INTERNAL});
    }
}

static void on_hear(world_t *self, const world_child_t *child)
{
    bool resists = random_chance(&self->random, child->resists_stop);
    bool fails = random_chance(&self->random, 100);
    plan_own(self, child,
             (world_event_t){.at_us = self->now_us +
                                      (resists ? child->stop_us
                                               : random_between(&self->random, 0, child->stop_us)),
                             .kind = EVENT_DIE,
                             .reason = resists ? CAPSTAN_E_KILLED
                                       : fails ? CAPSTAN_E_INTERNAL
                                               : CAPSTAN_OK});
}

static void cure(world_t *self)
{
    self->cured = true;
    if (random_chance(&self->random, 400)) {
        self->told_to_stop = true;
        feed(self, (supervision_input_t){.kind = SUPERVISION_STOP});
    }
}

static void on_news(world_t *self, world_child_t *child, const world_event_t *event)
{
    if (event->kind == EVENT_STARTED) {
        judge_started(self, child);
        feed(self, (supervision_input_t){.kind = SUPERVISION_STARTED, .child = &child->core});
    } else {
        judge_ended(self, child, event->reason);
        feed(self, (supervision_input_t){
                       .kind = SUPERVISION_ENDED, .child = &child->core, .reason = event->reason});
    }
}

static void happen(world_t *self, const world_event_t *event)
{
    world_child_t *child = &self->children[event->child];
    bool same = child->alive && child->incarnation == event->incarnation;
    switch (event->kind) {
    case EVENT_INIT:
        if (same) {
            on_init(self, child);
        }
        break;
    case EVENT_DIE:
        if (same) {
            end(self, child, event->reason);
        }
        break;
    case EVENT_HEAR:
        if (same) {
            on_hear(self, child);
        }
        break;
    case EVENT_STARTED:
    case EVENT_ENDED:
        on_news(self, child, event);
        break;
    case EVENT_DUE:
        if (child->present) {
            feed(self, (supervision_input_t){.kind = SUPERVISION_DUE, .child = &child->core});
        }
        break;
    case EVENT_DISTURB:
        disturb(self);
        break;
    case EVENT_CURE:
        cure(self);
        break;
    }
}

/* --- life ------------------------------------------------------------------------------------ */

world_t *world_new(uint64_t seed)
{
    world_t *self = calloc(1, sizeof *self);
    ENSURE(self);
    self->random.state = seed;
    self->group_from = WORLD_NO_GROUP;
    self->starts_badly = random_chance(&self->random, 100);
    self->core.strategy = (capstan_strategy_t)random_below(&self->random, 3);
    size_t count = random_below(&self->random, 9);
    for (size_t i = 0; i < count; i++) {
        supervision_add(&self->core, &new_child(self)->core);
    }
    return self;
}

void world_run(world_t *self)
{
    plan(self,
         (world_event_t){.at_us = random_between(&self->random, 0, ACT_US), .kind = EVENT_CURE});
    if (random_chance(&self->random, 500)) {
        plan(self, (world_event_t){.kind = EVENT_DISTURB});
    }
    feed(self, (supervision_input_t){.kind = SUPERVISION_BEGIN});
    for (world_event_t event; self->failure[0] == 0 && !self->ended && take(self, &event);) {
        self->now_us = event.at_us;
        happen(self, &event);
    }
    judge_end(self);
}

void world_destroy(world_t **self_p)
{
    world_t *self = *self_p;
    for (size_t i = 0; i < self->child_count; i++) {
        supervision_child_fini(&self->children[i].core);
    }
    free(self->effects.list);
    free(self);
    *self_p = NULL;
}

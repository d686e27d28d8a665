#include "tests/simulation/asking_world.h"

#include "runtime/base/ensure.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    MESSAGE_question = 0x8000,
    MESSAGE_answer,
    MESSAGE_act,
    MESSAGE_noise,
    KEPT_MAX = 32,
    PENDING_MAX = 64,
    START_US = 1000000000,
    BEHIND_US_MAX = 5000,
    NOISE = 2 * CELL_MAIL_BUDGET + 100, /* a turn spends its budget twice at most */
};

/* What an actor knows; its place in the world is its number. */
typedef struct member {
    capstan_actor_t *self;
    world_t *world;
    size_t place;
    ask_record_t *pending[PENDING_MAX];
    size_t pending_count;
    capstan_message_t kept[KEPT_MAX]; /* questions that are not answered yet */
    size_t kept_count;
} member_t;

static const char *const cell_names[WORLD_CELLS] = {"one", "two", "three"};

static void mix(world_t *self, uint64_t word)
{
    self->hash = (self->hash ^ word) * UINT64_C(0x100000001b3);
}

ask_record_t *world_find(world_t *self, capstan_ref_t asker, uint64_t correlation)
{
    for (size_t i = self->ask_count; i > 0; i--) {
        ask_record_t *ask = &self->asks[i - 1];
        if (ask->correlation == correlation && capstan_ref_equal(ask->asker, asker)) {
            return ask;
        }
    }
    return NULL;
}

static uint64_t below(member_t *self, uint64_t limit)
{
    return random_below(&self->world->random, limit);
}

/* --- asking ---------------------------------------------------------------------------------- */

static void end_ask(member_t *self, ask_record_t *ask, ask_end_t end)
{
    world_t *world = self->world;
    judge_end(world, ask, end, capstan_now_us(self->self));
    if (!ask) {
        return;
    }
    ask->end = end;
    ask->ended_turn = world->turn;
    world->ends[end]++;
    mix(world, (uint64_t)(ask - world->asks) << 8 | end);
    for (size_t i = 0; i < self->pending_count; i++) {
        if (self->pending[i] == ask) {
            self->pending[i] = self->pending[--self->pending_count];
            return;
        }
    }
}

typedef enum behalf { BEHALF_HANDLED, BEHALF_KEPT, BEHALF_NOBODY } behalf_t;

/* `request` is the one being handled, or one that was kept, or NULL. */
static void ask(member_t *self, behalf_t behalf, const capstan_message_t *request)
{
    world_t *world = self->world;
    if (self->pending_count == PENDING_MAX || world->ask_count == WORLD_ASKS_MAX) {
        return;
    }
    capstan_ref_t target = world->actors[below(self, WORLD_ACTORS)].ref;
    int64_t now_us = capstan_now_us(self->self);
    int64_t timeout_us = 1 + (int64_t)below(self, WORLD_TIMEOUT_US_MAX);
    uint64_t correlation;
    capstan_err_t err = behalf == BEHALF_HANDLED
                            ? capstan_ask(self->self, target, MESSAGE_question, (slice_t){0},
                                          timeout_us, &correlation)
                            : capstan_ask_for(self->self, request, target, MESSAGE_question,
                                              (slice_t){0}, timeout_us, &correlation);
    ask_record_t *parent =
        request ? world_find(world, request->sender, request->correlation) : NULL;
    if (err != CAPSTAN_OK) {
        bool fits = err == CAPSTAN_E_GONE ||
                    (err == CAPSTAN_E_TIMEOUT && request && request->deadline_us <= now_us) ||
                    (err == CAPSTAN_E_CANCELLED && parent && parent->told > 0);
        if (!fits) {
            world_fail(world, PREDICATE_M2, "an ask was refused for no reason", parent);
        }
        return;
    }
    int64_t deadline_us = now_us + timeout_us;
    if (request && request->deadline_us < deadline_us) {
        deadline_us = request->deadline_us;
    }
    ask_record_t *record = &world->asks[world->ask_count];
    *record = (ask_record_t){.asker = capstan_actor_ref(self->self),
                             .correlation = correlation,
                             .asker_cell = self->place % WORLD_CELLS,
                             .parent = parent,
                             .deadline_us = deadline_us};
    judge_asked(world, record);
    world->ask_count++;
    self->pending[self->pending_count++] = record;
}

static void withdraw(member_t *self)
{
    if (self->pending_count > 0) {
        ask_record_t *one = self->pending[below(self, self->pending_count)];
        capstan_cancel(self->self, one->correlation);
        end_ask(self, one, ASK_WITHDRAWN);
    }
}

/* --- being asked ----------------------------------------------------------------------------- */

static void answer(member_t *self, const capstan_message_t *request)
{
    ask_record_t *asked = world_find(self->world, request->sender, request->correlation);
    asked->answered = true;
    if (below(self, 4) == 0) {
        capstan_reply_error(self->self, request, CAPSTAN_E_UNAVAILABLE, NULL);
    } else {
        capstan_reply(self->self, request, MESSAGE_answer, (slice_t){0});
    }
}

static void answer_kept(member_t *self)
{
    if (self->kept_count > 0) {
        size_t i = (size_t)below(self, self->kept_count);
        answer(self, &self->kept[i]);
        self->kept[i] = self->kept[--self->kept_count];
    }
}

static void on_question(member_t *self, const capstan_message_t *message)
{
    world_t *world = self->world;
    ask_record_t *asked = world_find(world, message->sender, message->correlation);
    judge_read(world, asked, message, capstan_now_us(self->self));
    if (!asked) {
        return;
    }
    asked->read = true;
    asked->reader = self->place;
    if (world->draining) {
        return;
    }
    for (uint64_t n = below(self, 3); n > 0; n--) {
        ask(self, BEHALF_HANDLED, message);
    }
    if (below(self, 3) == 0) {
        answer(self, message);
        ask(self, BEHALF_HANDLED, NULL); /* on nobody's behalf: the request is answered */
    } else if (below(self, 3) > 0 && self->kept_count < KEPT_MAX) {
        self->kept[self->kept_count++] = *message;
    }
    if (below(self, 50) == 0) {
        capstan_actor_exit(self->self, CAPSTAN_OK);
    }
}

static void on_answer(member_t *self, const capstan_message_t *message)
{
    ask_record_t *asked =
        world_find(self->world, capstan_actor_ref(self->self), message->correlation);
    capstan_err_t err = message->kind == CAPSTAN_KIND_ERROR ? message_failure(message) : CAPSTAN_OK;
    end_ask(self, asked,
            err == CAPSTAN_E_TIMEOUT     ? ASK_TIMED_OUT
            : err == CAPSTAN_E_GONE      ? ASK_GONE
            : err == CAPSTAN_E_CANCELLED ? ASK_CANCELLED
                                         : ASK_REPLIED);
}

/* Whatever comes behind it waits for another turn. */
static void make_noise(member_t *self)
{
    capstan_ref_t target = self->world->actors[below(self, WORLD_ACTORS)].ref;
    capstan_err_t err = CAPSTAN_OK;
    for (int i = 0; i < NOISE && err == CAPSTAN_OK; i++) {
        err = capstan_tell(self->self, target, MESSAGE_noise, (slice_t){0});
    }
}

static void act(member_t *self)
{
    if (below(self, 60) == 0) {
        make_noise(self);
    }
    for (uint64_t n = below(self, 5); n > 0; n--) {
        ask(self, BEHALF_NOBODY, NULL);
    }
    if (self->kept_count > 0 && below(self, 2) == 0) {
        ask(self, BEHALF_KEPT, &self->kept[below(self, self->kept_count)]);
    }
    if (below(self, 2) == 0) {
        answer_kept(self);
    }
    if (below(self, 2) == 0) {
        withdraw(self);
    }
    if (below(self, 40) == 0) {
        capstan_actor_exit(self->self, CAPSTAN_OK);
    }
}

/* --- the actor ------------------------------------------------------------------------------- */

static capstan_err_t init(capstan_actor_t *actor, void *argument)
{
    member_t *self = argument;
    self->self = actor;
    capstan_actor_set_state(actor, self);
    return CAPSTAN_OK;
}

static capstan_err_t receive(capstan_actor_t *actor, const capstan_message_t *message)
{
    member_t *self = capstan_actor_state(actor);
    if (message->kind == CAPSTAN_KIND_REQUEST) {
        on_question(self, message);
    } else if (message->kind != CAPSTAN_KIND_EVENT) {
        on_answer(self, message);
    } else if (message->message == MESSAGE_act && !self->world->draining) {
        act(self);
    }
    return CAPSTAN_OK;
}

static void cancelled(capstan_actor_t *actor, capstan_ref_t sender, uint64_t correlation)
{
    member_t *self = capstan_actor_state(actor);
    world_t *world = self->world;
    ask_record_t *asked = world_find(world, sender, correlation);
    judge_told(world, asked);
    if (!asked) {
        return;
    }
    asked->told++;
    asked->told_turn = world->turn;
    world->told++;
    mix(world, (uint64_t)(asked - world->asks) << 8 | 0xff);
    if (below(self, 8) == 0) {
        withdraw(self);
    }
    if (below(self, 50) == 0) {
        capstan_actor_exit(actor, CAPSTAN_OK);
    }
    /* Half of the actors forget the question, the others go on and answer too late. */
    for (size_t i = 0; i < self->kept_count && self->place % 2 == 0; i++) {
        if (self->kept[i].correlation == correlation &&
            capstan_ref_equal(self->kept[i].sender, sender)) {
            self->kept[i] = self->kept[--self->kept_count];
            return;
        }
    }
}

static void destroy(capstan_actor_t *actor)
{
    member_t *self = capstan_actor_state(actor);
    world_t *world = self->world;
    while (self->pending_count > 0) {
        end_ask(self, self->pending[0], ASK_DESERTED);
    }
    for (size_t i = 0; i < world->ask_count; i++) {
        ask_record_t *asked = &world->asks[i];
        asked->reader_ended |= asked->read && asked->reader == self->place;
    }
    mailbox_account_t account = mailbox_account(&actor->slot->mailbox);
    for (size_t i = 0; i < DROP_COUNT; i++) {
        world->dropped[i] += account.dropped[i];
    }
    world->actors[self->place].alive = false;
    free(self);
}

static const capstan_behaviour_t behaviour = {
    .name = "member",
    .init = init,
    .receive = receive,
    .cancelled = cancelled,
    .destroy = destroy,
};

/* --- the world ------------------------------------------------------------------------------- */

static void spawn(world_t *self, size_t place)
{
    member_t *member = calloc(1, sizeof *member);
    ENSURE(member);
    member->world = self;
    member->place = place;
    capstan_err_t err = capstan_node_spawn(
        self->node, &behaviour,
        &(capstan_spawn_options_t){.cell = cell_names[place % WORLD_CELLS], .argument = member},
        &self->actors[place].ref);
    ENSURE(err == CAPSTAN_OK);
    self->actors[place].alive = true;
}

/* A cell reads the clock once per turn, and a turn may be long: by then the time of other cells is
 * another one. */
static void turn(world_t *self, size_t cell)
{
    int64_t clock_us = virtual_now() - random_between(&self->random, 0, BEHIND_US_MAX);
    if (clock_us > self->clock_us[cell]) {
        self->clock_us[cell] = clock_us;
    }
    self->turn++;
    virtual_turn(node_cell_at(self->node, (uint32_t)cell), self->clock_us[cell]);
    judge_turn(self, cell);
}

/* Someone waits for a cell: all of them go on. */
static void pass(void *context)
{
    world_t *self = context;
    for (size_t i = 0; i < WORLD_CELLS && node_cell_at(self->node, (uint32_t)i); i++) {
        turn(self, i);
    }
    virtual_advance(10);
}

world_t *world_new(uint64_t seed)
{
    world_t *self = calloc(1, sizeof *self);
    ENSURE(self);
    self->asks = calloc(WORLD_ASKS_MAX, sizeof *self->asks);
    ENSURE(self->asks);
    self->random.state = seed;
    capstan_node_options_t options = {.id = 1, .strict_wire = seed % 2 == 1};
    capstan_err_t err = virtual_node_new(&options, START_US, pass, self, &self->node);
    ENSURE(err == CAPSTAN_OK);
    for (size_t i = 0; i < WORLD_ACTORS; i++) {
        spawn(self, i);
    }
    return self;
}

static void step(world_t *self)
{
    uint64_t kind = random_below(&self->random, 10);
    if (kind < 6) {
        turn(self, (size_t)random_below(&self->random, WORLD_CELLS));
    } else if (kind < 8) {
        virtual_advance(random_between(&self->random, 0, 3000));
    } else {
        size_t place = (size_t)random_below(&self->random, WORLD_ACTORS);
        if (!self->actors[place].alive) {
            spawn(self, place);
        }
        (void)!capstan_node_tell(self->node, self->actors[place].ref, MESSAGE_act, (slice_t){0});
    }
}

static void check_account(void *context, const actor_figures_t *figures)
{
    if (figures->in_flight != 0) {
        world_fail(context, PREDICATE_A5, "a message is unaccounted for", NULL);
    }
}

void world_run(world_t *self)
{
    for (int i = 0; i < WORLD_STEPS; i++) {
        step(self);
    }
    self->draining = true;
    for (int i = 0; i < 200; i++) {
        pass(self);
        virtual_advance(WORLD_TIMEOUT_US_MAX / 100);
    }
    judge_rest(self);
    node_figures(self->node, check_account, self);
}

void world_stop(world_t *self)
{
    capstan_err_t err = capstan_node_stop(&self->node, 1000000, NULL, NULL);
    if (err != CAPSTAN_OK) {
        world_fail(self, PREDICATE_A5, "the node did not come to rest", NULL);
    }
}

void world_destroy(world_t **self_p)
{
    world_t *self = *self_p;
    free(self->asks);
    free(self);
    *self_p = NULL;
}

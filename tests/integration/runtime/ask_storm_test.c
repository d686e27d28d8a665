/* A storm of asks among actors on several cells: each asks the others with short deadlines,
 * answers, answers late or never, asks on, withdraws, and ends and is started again, all at random.
 * Goal: no ask is without an end, none has two, and no message is unaccounted for. */
#include "runtime/runtime.h"
#include "runtime/runtime_messages.h"
#include "runtime/simulation/random.h"

#include <criterion/criterion.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>

enum {
    MESSAGE_question = 0x8000,
    MESSAGE_answer,
    ACTORS = 12,
    CELLS = 3,
    PENDING_MAX = 64,
    KEPT_MAX = 64,
    TIMEOUT_US_MAX = 3000,
    LIFE_PER_MILLE = 2, /* of the steps end the actor */
    STOP_US = 60000000,
};

static struct {
    _Atomic uint64_t refs[ACTORS]; /* slot << 32 | generation */
    _Atomic uint64_t asked;
    _Atomic uint64_t ended; /* by a message */
    _Atomic uint64_t withdrawn;
    _Atomic uint64_t deserted; /* its asker ended */
    _Atomic uint64_t stray;    /* an end of what had ended */
    _Atomic uint64_t told;
    _Atomic uint64_t told_twice;
    _Atomic uint64_t lives;
    _Atomic int64_t pending;
    uint64_t goal;
    uint64_t seed;
} storm;

typedef struct member {
    capstan_actor_t *self;
    size_t place;
    random_source_t random;
    uint64_t pending[PENDING_MAX];
    size_t pending_count;
    capstan_message_t kept[KEPT_MAX];
    size_t kept_count;
} member_t;

static capstan_ref_t reference(size_t place)
{
    uint64_t packed = atomic_load(&storm.refs[place]);
    return (capstan_ref_t){.slot = (uint32_t)(packed >> 32), .generation = (uint32_t)packed};
}

static bool goes_on(void)
{
    return atomic_load(&storm.asked) < storm.goal;
}

/* --- a member -------------------------------------------------------------------------------- */

static void ask(member_t *self, const capstan_message_t *request, bool handling)
{
    if (self->pending_count == PENDING_MAX) {
        return;
    }
    uint64_t number;
    int64_t timeout_us = random_between(&self->random, 1, TIMEOUT_US_MAX);
    capstan_ref_t target = reference((size_t)random_below(&self->random, ACTORS));
    capstan_err_t err = handling ? capstan_ask(self->self, target, MESSAGE_question, (slice_t){0},
                                               timeout_us, &number)
                                 : capstan_ask_for(self->self, request, target, MESSAGE_question,
                                                   (slice_t){0}, timeout_us, &number);
    if (err == CAPSTAN_OK) {
        self->pending[self->pending_count++] = number;
        atomic_fetch_add(&storm.asked, 1);
        atomic_fetch_add(&storm.pending, 1);
    }
}

static void withdraw(member_t *self)
{
    if (self->pending_count > 0) {
        size_t i = (size_t)random_below(&self->random, self->pending_count);
        capstan_cancel(self->self, self->pending[i]);
        self->pending[i] = self->pending[--self->pending_count];
        atomic_fetch_add(&storm.withdrawn, 1);
        atomic_fetch_sub(&storm.pending, 1);
    }
}

static void answer_kept(member_t *self)
{
    if (self->kept_count > 0) {
        size_t i = (size_t)random_below(&self->random, self->kept_count);
        capstan_reply(self->self, &self->kept[i], MESSAGE_answer, (slice_t){0});
        self->kept[i] = self->kept[--self->kept_count];
    }
}

static void on_question(member_t *self, const capstan_message_t *message)
{
    switch (random_below(&self->random, 4)) {
    case 0:
        capstan_reply(self->self, message, MESSAGE_answer, (slice_t){0});
        if (goes_on()) {
            ask(self, NULL, true); /* it is answered: on nobody's behalf */
        }
        break;
    case 1:
        if (goes_on()) {
            ask(self, message, true);
            ask(self, message, true);
        }
        break;
    case 2:
        break; /* never answered */
    default:
        if (self->kept_count < KEPT_MAX) {
            self->kept[self->kept_count++] = *message;
        }
        break;
    }
}

static void on_end(member_t *self, const capstan_message_t *message)
{
    for (size_t i = 0; i < self->pending_count; i++) {
        if (self->pending[i] == message->correlation) {
            self->pending[i] = self->pending[--self->pending_count];
            atomic_fetch_add(&storm.ended, 1);
            atomic_fetch_sub(&storm.pending, 1);
            return;
        }
    }
    atomic_fetch_add(&storm.stray, 1);
}

static void act(member_t *self)
{
    if (!goes_on()) {
        answer_kept(self);
        return;
    }
    for (int i = 0; i < 4; i++) {
        ask(self, NULL, false);
    }
    if (self->kept_count > 0) {
        ask(self, &self->kept[0], false);
    }
    answer_kept(self);
    if (random_chance(&self->random, 500)) {
        withdraw(self);
    }
    if (random_chance(&self->random, LIFE_PER_MILLE)) {
        capstan_actor_exit(self->self, CAPSTAN_OK);
    }
}

static capstan_err_t receive(capstan_actor_t *actor, const capstan_message_t *message)
{
    member_t *self = capstan_actor_state(actor);
    if (message->kind == CAPSTAN_KIND_REQUEST) {
        on_question(self, message);
    } else {
        on_end(self, message);
    }
    return CAPSTAN_OK;
}

static void cancelled(capstan_actor_t *actor, capstan_ref_t sender, uint64_t correlation)
{
    member_t *self = capstan_actor_state(actor);
    atomic_fetch_add(&storm.told, 1);
    size_t found = 0;
    for (size_t i = 0; i < self->kept_count;) {
        if (self->kept[i].correlation == correlation &&
            capstan_ref_equal(self->kept[i].sender, sender)) {
            self->kept[i] = self->kept[--self->kept_count];
            found++;
        } else {
            i++;
        }
    }
    atomic_fetch_add(&storm.told_twice, found > 1);
    if (random_chance(&self->random, 100)) {
        withdraw(self);
    }
}

static void timer(capstan_actor_t *actor, uint64_t number, void *cookie)
{
    (void)number;
    (void)cookie;
    member_t *self = capstan_actor_state(actor);
    act(self);
    capstan_timer_start(actor, random_between(&self->random, 0, 200), NULL);
}

static capstan_err_t init(capstan_actor_t *actor, void *argument)
{
    member_t *self = calloc(1, sizeof *self);
    self->self = actor;
    self->place = (size_t)(uintptr_t)argument;
    self->random.state = storm.seed + atomic_fetch_add(&storm.lives, 1);
    capstan_actor_set_state(actor, self);
    capstan_timer_start(actor, 0, NULL);
    return CAPSTAN_OK;
}

static void destroy(capstan_actor_t *actor)
{
    member_t *self = capstan_actor_state(actor);
    atomic_fetch_add(&storm.deserted, self->pending_count);
    atomic_fetch_sub(&storm.pending, (int64_t)self->pending_count);
    free(self);
}

static const capstan_behaviour_t member_behaviour = {
    .name = "member",
    .init = init,
    .receive = receive,
    .cancelled = cancelled,
    .timer = timer,
    .destroy = destroy,
};

/* --- who starts the members again ------------------------------------------------------------ */

static void start_member(capstan_actor_t *actor, size_t place)
{
    static const char *const cells[CELLS] = {"one", "two", "three"};
    capstan_ref_t ref;
    cr_assert_eq(capstan_spawn(actor, &member_behaviour,
                               &(capstan_spawn_options_t){.cell = cells[place % CELLS],
                                                          .argument = (void *)(uintptr_t)place},
                               &ref),
                 CAPSTAN_OK);
    atomic_store(&storm.refs[place], (uint64_t)ref.slot << 32 | ref.generation);
    cr_assert_eq(capstan_monitor(actor, ref), CAPSTAN_OK);
}

static capstan_err_t director_init(capstan_actor_t *actor, void *argument)
{
    (void)argument;
    for (size_t i = 0; i < ACTORS; i++) {
        start_member(actor, i);
    }
    return CAPSTAN_OK;
}

static capstan_err_t director_receive(capstan_actor_t *actor, const capstan_message_t *message)
{
    down_t down;
    if (message->message != MESSAGE_down || node_stopping(capstan_actor_node(actor))) {
        return CAPSTAN_OK;
    }
    cr_assert_eq(codec_decode(down_wire(), message->body, &down, NULL), CAPSTAN_OK);
    for (size_t i = 0; i < ACTORS; i++) {
        if (capstan_ref_equal(reference(i), down.actor)) {
            start_member(actor, i);
        }
    }
    return CAPSTAN_OK;
}

static void let_it_rage(bool strict)
{
    static const capstan_behaviour_t director = {
        .name = "director", .init = director_init, .receive = director_receive};
    capstan_node_t *node;
    capstan_ref_t ref;
    memset(&storm, 0, sizeof storm);
    const char *seed = getenv("CAPSTAN_SEED");
    storm.seed = seed ? strtoull(seed, NULL, 10) : 1;
    storm.goal = getenv("CAPSTAN_FULL") ? 3000000 : 100000;
    cr_assert_eq(capstan_node_new(&(capstan_node_options_t){.strict_wire = strict}, &node),
                 CAPSTAN_OK);
    cr_assert_eq(
        capstan_node_spawn(node, &director, &(capstan_spawn_options_t){.cell = "one"}, &ref),
        CAPSTAN_OK);
    /* Every ask has a deadline of a few milliseconds: one that has no end keeps this waiting. */
    while (goes_on() || atomic_load(&storm.pending) > 0) {
        (void)poll(NULL, 0, 1);
    }
    cr_assert_eq(atomic_load(&storm.stray), 0, "an ask ended twice");
    cr_assert_eq(atomic_load(&storm.told_twice), 0);
    cr_assert_gt(atomic_load(&storm.told), 0);
    cr_assert_gt(atomic_load(&storm.lives), (uint64_t)ACTORS, "nobody was started again");
    cr_assert_eq(atomic_load(&storm.asked), atomic_load(&storm.ended) +
                                                atomic_load(&storm.withdrawn) +
                                                atomic_load(&storm.deserted));
    cr_assert_eq(capstan_node_stop(&node, STOP_US, NULL, NULL), CAPSTAN_OK,
                 "M1: a message is unaccounted for");
}

Test(ask, ends_exactly_once_in_a_storm_of_cancels_deadlines_and_ends)
{
    let_it_rage(false);
    let_it_rage(true);
}

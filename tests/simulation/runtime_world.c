#include "tests/simulation/runtime_world.h"

#include "runtime/base/ensure.h"
#include "runtime/runtime.h"

#include <stdlib.h>
#include <string.h>

enum {
    MESSAGE_note = 0x8000,
    MESSAGE_question,
    MESSAGE_answer,
    ROOTS = 4, /* members that are started with their node */
    REFILL_US = 2000,
    NODE_STREAM = 4000,
    BODY_MAX = 6000,
    TIMEOUT_US_MAX = 20000,
    ACT_US_MAX = 4000,
    MAILBOX_MAX = 6,
    STREAM_MAX = 100,
    STREAM_US_MAX = 100,
    REST_US_MAX = 1000000, /* a packet may be on its way for twice 62 ms */
};

/* How a body begins. */
typedef struct stamp {
    uint32_t from;
    uint32_t ordinal;
} stamp_t;

static uint64_t choose(member_t *self, uint64_t limit)
{
    return capstan_simulation_choose(self->world->simulation, self->id, limit);
}

/* --- members find each other ----------------------------------------------------------------- */

static member_t *member_new(world_t *world, uint32_t node)
{
    if (world->member_count == MEMBERS_MAX) {
        return NULL;
    }
    member_t *self = &world->members[world->member_count];
    *self = (member_t){
        .world = world, .id = world->member_count, .node = node, .boot = world->boots[node]};
    world->member_count++;
    return self;
}

static member_t *member_of(world_t *world, capstan_ref_t ref)
{
    for (uint32_t i = 0; i < world->member_count; i++) {
        const capstan_ref_t *other = &world->members[i].ref;
        if (other->slot == ref.slot && other->generation == ref.generation &&
            other->node == ref.node && other->boot == ref.boot) {
            return &world->members[i];
        }
    }
    return NULL;
}

/* As the member itself knows the other one: by a short reference when it is of its node. */
static capstan_ref_t ref_for(const member_t *self, const member_t *other)
{
    capstan_ref_t ref = other->ref;
    if (self->node == other->node && self->boot == other->boot) {
        ref.node = 0;
        ref.boot = 0;
    }
    return ref;
}

/* Mostly of its own node, mostly one of the last; also such that have ended. */
static member_t *pick(member_t *self)
{
    world_t *world = self->world;
    for (int i = 0; i < 4; i++) {
        uint32_t back = (uint32_t)choose(self, 24);
        member_t *other =
            &world->members[back < world->member_count ? world->member_count - 1 - back : self->id];
        bool far = other->node != self->node || other->boot != self->boot;
        if (other != self && !capstan_ref_is_null(other->ref) && (!far || i == 3)) {
            return other;
        }
    }
    return NULL;
}

/* Seldom, and then nothing behind it happens. Whoever spawned it on the same cell, and has not got
 * back yet, ends with it. */
static void maybe_hang(member_t *self)
{
    world_t *world = self->world;
    if (world->quiet || choose(self, 200) != 199) {
        return;
    }
    capstan_actor_t *actor = self->self;
    for (uint32_t i = 0; i < world->member_count; i++) {
        member_t *other = &world->members[i];
        if (other == self || other->spawning) {
            other->alive = false;
            other->spawning = false;
        }
    }
    world->figures.hangs++;
    capstan_simulation_hang(actor);
}

/* --- deeds ----------------------------------------------------------------------------------- */

static capstan_slice_t stamp(member_t *self, const member_t *other, uint8_t *body)
{
    stamp_t mine = {.from = self->id, .ordinal = ++self->sent[other->id]};
    memcpy(body, &mine, sizeof mine);
    size_t size = sizeof mine + (size_t)(choose(self, 8) == 7 ? choose(self, BODY_MAX) : 0);
    return (capstan_slice_t){body, size};
}

static void tell(member_t *self)
{
    static uint8_t body[sizeof(stamp_t) + BODY_MAX];
    member_t *other = pick(self);
    for (uint64_t left = 1 + choose(self, 6); other && left > 0; left--) {
        (void)!capstan_tell(self->self, ref_for(self, other), MESSAGE_note,
                            stamp(self, other, body));
    }
}

/* Many in a row, so that some are always on their way. */
static const char stream_cookie;

static void go_on_streaming(member_t *self)
{
    static uint8_t body[sizeof(stamp_t) + BODY_MAX];
    const member_t *other = &self->world->members[self->stream_to];
    if (self->stream_left > 0 && !self->world->quiet) {
        self->stream_left--;
        (void)!capstan_tell(self->self, ref_for(self, other), MESSAGE_note,
                            stamp(self, other, body));
        capstan_timer_start(self->self, 1 + (int64_t)choose(self, STREAM_US_MAX),
                            (void *)(uintptr_t)&stream_cookie);
    }
}

static void begin_stream(member_t *self)
{
    const member_t *other = pick(self);
    bool together = other && other->node == self->node && other->boot == self->boot;
    if (together && self->stream_left == 0) {
        self->stream_to = self->world->streamed = other->id;
        self->stream_left = STREAM_MAX;
        go_on_streaming(self);
    }
}

static void ask(member_t *self)
{
    static uint8_t body[sizeof(stamp_t) + BODY_MAX];
    member_t *other = pick(self);
    bool room = false;
    for (size_t i = 0; i < ASKS_MAX; i++) {
        room |= self->asks[i].correlation == 0;
    }
    if (!other || !room) {
        return;
    }
    int64_t timeout_us = 1 + (int64_t)choose(self, TIMEOUT_US_MAX);
    uint64_t correlation;
    if (capstan_ask(self->self, ref_for(self, other), MESSAGE_question, stamp(self, other, body),
                    timeout_us, &correlation) == CAPSTAN_OK) {
        self->world->figures.asks++;
        judge_asked(self, correlation, capstan_now_us(self->self) + timeout_us);
    }
}

static void withdraw(member_t *self)
{
    pending_ask_t *mine = &self->asks[choose(self, ASKS_MAX)];
    if (mine->correlation != 0) {
        uint64_t correlation = mine->correlation;
        judge_withdrawn(self, correlation);
        capstan_cancel(self->self, correlation);
    }
}

static void answer_kept(member_t *self)
{
    if (self->kept_count > 0) {
        const capstan_message_t request = self->kept[--self->kept_count];
        if (choose(self, 4) == 3) {
            capstan_reply_error(self->self, &request, CAPSTAN_E_INVALID, "no");
        } else {
            capstan_reply(self->self, &request, MESSAGE_answer, (capstan_slice_t){0});
        }
    }
}

static void watch(member_t *self)
{
    member_t *other = pick(self);
    if (!other) {
        return;
    }
    capstan_ref_t ref = ref_for(self, other);
    switch (choose(self, 4)) {
    case 0:
        self->watches[other->id] = true;
        (void)!capstan_monitor(self->self, ref);
        break;
    case 1:
        self->watches[other->id] = false;
        capstan_demonitor(self->self, ref);
        break;
    case 2:
        (void)!capstan_link(self->self, ref);
        break;
    default:
        capstan_unlink(self->self, ref);
        break;
    }
}

static void stop_other(member_t *self)
{
    const member_t *other = pick(self);
    if (other) {
        (void)!capstan_stop(self->self, ref_for(self, other), (int64_t)choose(self, 3000));
    }
}

static const capstan_behaviour_t plain;
static const capstan_behaviour_t trapping;

static void spawn(member_t *self)
{
    static const char *const cells[] = {NULL, "one", "two"};
    static const capstan_placement_t places[] = {CAPSTAN_PLACE_HERE, CAPSTAN_PLACE_SPREAD,
                                                 CAPSTAN_PLACE_OWN};
    member_t *child = member_new(self->world, self->node);
    if (!child) {
        return;
    }
    child->traps = choose(self, 4) == 3;
    capstan_spawn_options_t options = {
        .cell = cells[choose(self, 3)],
        .placement = places[choose(self, 3)],
        .argument = child,
        .mailbox_messages = (uint32_t)choose(self, MAILBOX_MAX),
        .overflow = (capstan_overflow_t)choose(self, 4),
        .monitor = choose(self, 3) == 2,
        .link = choose(self, 4) == 3,
    };
    capstan_ref_t ref;
    self->watches[child->id] = options.monitor;
    self->spawning = true;
    capstan_err_t err =
        capstan_spawn(self->self, child->traps ? &trapping : &plain, &options, &ref);
    self->spawning = false;
    if (err != CAPSTAN_OK) {
        self->watches[child->id] = false;
        return;
    }
    ref.node = self->ref.node;
    ref.boot = self->ref.boot;
    child->ref = ref;
}

/* The usual choice is to do nothing: then a short schedule says what matters. */
static void act(member_t *self)
{
    switch (choose(self, 23)) {
    case 22:
        begin_stream(self);
        break;
    case 21:
    case 20:
        if (choose(self, 4) == 3) {
            capstan_actor_exit(self->self, choose(self, 2) ? CAPSTAN_OK : CAPSTAN_E_INTERNAL);
        }
        break;
    case 19:
        stop_other(self);
        break;
    case 18:
    case 17:
        spawn(self);
        break;
    case 16:
    case 15:
        watch(self);
        break;
    case 14:
        withdraw(self);
        break;
    case 13:
    case 12:
        answer_kept(self);
        break;
    case 11:
    case 10:
    case 9:
    case 8:
        ask(self);
        break;
    case 7:
    case 6:
    case 5:
    case 4:
        tell(self);
        break;
    default:
        break;
    }
}

/* --- handlers -------------------------------------------------------------------------------- */

static void plan(member_t *self)
{
    capstan_timer_start(self->self, ACT_US_MAX + 100 - (int64_t)choose(self, ACT_US_MAX), NULL);
}

static capstan_err_t member_init(capstan_actor_t *actor, void *argument)
{
    member_t *self = argument;
    uint32_t index;
    capstan_actor_set_state(actor, self);
    (void)capstan_simulation_of(capstan_actor_node(actor), &index);
    ENSURE(index == self->node);
    self->self = actor;
    self->ref = capstan_actor_ref(actor);
    self->ref.node = node_id(capstan_actor_node(actor));
    self->ref.boot = self->boot;
    self->alive = true;
    self->world->figures.members++;
    plan(self);
    maybe_hang(self);
    return choose(self, 16) == 15 ? CAPSTAN_E_LIMIT : CAPSTAN_OK;
}

static void take_question(member_t *self, const capstan_message_t *message)
{
    uint64_t choice = choose(self, 6);
    if (choice < 2) {
        capstan_reply(self->self, message, MESSAGE_answer, (capstan_slice_t){0});
    } else if (choice < 4 && self->kept_count < KEPT_MAX) {
        self->kept[self->kept_count++] = *message;
    } else if (choice == 4) {
        ask(self); /* on its behalf; then it is answered or kept for ever */
    }
}

static capstan_err_t member_receive(capstan_actor_t *actor, const capstan_message_t *message)
{
    member_t *self = capstan_actor_state(actor);
    figures_t *figures = &self->world->figures;
    capstan_ref_t who;
    capstan_err_t reason;
    stamp_t stamp;
    if (capstan_message_is_down(message, &who, &reason)) {
        figures->downs++;
        if (who.node == 0) {
            who.node = self->ref.node;
            who.boot = self->ref.boot;
        }
        const member_t *other = member_of(self->world, who);
        if (other) {
            judge_down(self, other->id);
        }
        return CAPSTAN_OK;
    }
    if (message->kind == CAPSTAN_KIND_REPLY || message->kind == CAPSTAN_KIND_ERROR) {
        capstan_err_t err = CAPSTAN_OK;
        (void)capstan_message_is_error(message, &err, NULL);
        figures->answered += err == CAPSTAN_OK;
        figures->timed_out += err == CAPSTAN_E_TIMEOUT;
        figures->gone += err == CAPSTAN_E_GONE;
        judge_ended(self, message->correlation);
        maybe_hang(self);
        return CAPSTAN_OK;
    }
    memcpy(&stamp, message->body.data, sizeof stamp);
    figures->messages++;
    judge_read(self, stamp.from, stamp.ordinal);
    maybe_hang(self);
    if (message->message == MESSAGE_question) {
        take_question(self, message);
    }
    return choose(self, 100) == 99 ? CAPSTAN_E_INTERNAL : CAPSTAN_OK;
}

static void member_cancelled(capstan_actor_t *actor, capstan_ref_t sender, uint64_t correlation)
{
    member_t *self = capstan_actor_state(actor);
    maybe_hang(self);
    for (size_t i = 0; i < self->kept_count; i++) {
        if (self->kept[i].correlation == correlation &&
            capstan_ref_equal(self->kept[i].sender, sender)) {
            self->kept[i] = self->kept[--self->kept_count];
            return;
        }
    }
}

static void member_timer(capstan_actor_t *actor, uint64_t timer, void *cookie)
{
    member_t *self = capstan_actor_state(actor);
    (void)timer;
    if (cookie == &stream_cookie) {
        go_on_streaming(self);
    } else if (!self->world->quiet) {
        act(self);
        maybe_hang(self);
        plan(self);
    }
}

/* Some take their time. */
static void member_stop(capstan_actor_t *actor)
{
    member_t *self = capstan_actor_state(actor);
    maybe_hang(self);
    if (self->world->quiet || choose(self, 4) != 3) {
        capstan_actor_exit(actor, CAPSTAN_OK);
    }
}

static void member_destroy(capstan_actor_t *actor)
{
    member_t *self = capstan_actor_state(actor);
    self->alive = false;
    maybe_hang(self);
    self->self = NULL;
}

static const capstan_behaviour_t plain = {.name = "plain",
                                          .init = member_init,
                                          .receive = member_receive,
                                          .cancelled = member_cancelled,
                                          .timer = member_timer,
                                          .stop = member_stop,
                                          .destroy = member_destroy};
static const capstan_behaviour_t trapping = {.name = "trapping",
                                             .init = member_init,
                                             .receive = member_receive,
                                             .cancelled = member_cancelled,
                                             .timer = member_timer,
                                             .stop = member_stop,
                                             .destroy = member_destroy,
                                             .traps_exits = true};

/* --- the scenario ---------------------------------------------------------------------------- */

static void spawn_root(world_t *self, uint32_t node)
{
    member_t *root = member_new(self, node);
    capstan_ref_t ref;
    if (root) {
        /* It fails when its init does, or its node meanwhile. */
        (void)!capstan_node_spawn(capstan_simulation_node(self->simulation, node), &plain,
                                  &(capstan_spawn_options_t){.argument = root}, &ref);
    }
}

static capstan_err_t start(capstan_simulation_t *simulation, uint32_t node, void *context)
{
    (void)simulation;
    world_t *world = context;
    world->boots[node]++;
    world->figures.boots++;
    for (int i = 0; i < ROOTS; i++) {
        spawn_root(world, node);
    }
    return CAPSTAN_OK;
}

static uint64_t choose_fault(world_t *self, uint64_t limit)
{
    return capstan_simulation_choose(self->simulation, NODE_STREAM, limit);
}

/* Some member is moved to another cell. Its node may crash meanwhile. */
static void move_one(world_t *self)
{
    static const char *const cells[] = {NULL, "one", "two"};
    uint32_t back = (uint32_t)choose_fault(self, 48);
    if (self->member_count <= back) {
        return;
    }
    const member_t *member =
        &self->members[back < 24 ? self->streamed : self->member_count - 1 - back];
    capstan_node_t *node = capstan_simulation_node(self->simulation, member->node);
    if (node && member->alive && member->boot == self->boots[member->node]) {
        capstan_err_t err = capstan_node_move(node, member->ref, cells[choose_fault(self, 3)]);
        self->figures.moves += err == CAPSTAN_OK;
    }
}

/* There are always some members, until the world becomes quiet. */
static void refill(capstan_simulation_t *simulation, void *context)
{
    world_t *self = context;
    uint32_t alive[NODES] = {0};
    for (uint32_t i = 0; i < self->member_count; i++) {
        alive[self->members[i].node] += self->members[i].alive;
    }
    for (uint32_t i = 0; i < NODES; i++) {
        if (alive[i] < ROOTS && capstan_simulation_node(simulation, i)) {
            spawn_root(self, i);
        }
    }
    for (uint64_t left = choose_fault(self, 4); left > 0 && !self->quiet; left--) {
        move_one(self);
    }
    if (!self->quiet) {
        capstan_simulation_at(simulation, capstan_simulation_now_us(simulation) + REFILL_US, refill,
                              self);
    }
}

static int64_t every(world_t *self)
{
    return choose_fault(self, 2) == 1 ? 50000 + (int64_t)choose_fault(self, 200000) : 0;
}

static void set_faults(world_t *self)
{
    capstan_simulation_faults_t faults = {
        .loss = (uint32_t)choose_fault(self, 100),
        .duplicate = (uint32_t)choose_fault(self, 100),
        .reorder = (uint32_t)choose_fault(self, 100),
        .delay_us_max = (int64_t)choose_fault(self, 3000),
        .cut_every_us = every(self),
        .cut_us_max = 50000,
        .crash_every_us = every(self),
        .down_us_max = 20000,
        .kill_every_us = every(self) / 8,
        .pause_every_us = every(self),
        .pause_us_max = 20000,
        .utc_every_us = every(self),
        .drift_ppm_max = (uint32_t)choose_fault(self, 500),
    };
    self->pauses = faults.pause_every_us > 0;
    capstan_simulation_set_faults(self->simulation, &faults);
}

static void add(figures_t *to, const world_t *world)
{
    const figures_t *from = &world->figures;
    capstan_simulation_figures_t all = capstan_simulation_figures(world->simulation);
    to->kills += all.kills;
    to->steps += all.steps;
    to->boots += from->boots;
    to->members += from->members;
    to->messages += from->messages;
    to->asks += from->asks;
    to->answered += from->answered;
    to->timed_out += from->timed_out;
    to->gone += from->gone;
    to->downs += from->downs;
    to->hangs += from->hangs;
    to->moves += from->moves;
}

static void run(world_t *self)
{
    static const char *const names[NODES] = {"north", "south", "east"};
    capstan_simulation_watch(self->simulation, CAPSTAN_SIMULATION_AT_REST, judge_rest, self);
    for (uint32_t i = 0; i < NODES; i++) {
        capstan_simulation_add_node(
            self->simulation,
            &(capstan_simulation_node_t){.name = names[i],
                                         .start = start,
                                         .context = self,
                                         .options = {.strict_wire = choose_fault(self, 4) == 3}});
    }
    set_faults(self);
    refill(self->simulation, self);
    if (!capstan_simulation_run(self->simulation, RUN_US)) {
        return;
    }
    self->quiet = true;
    capstan_simulation_heal(self->simulation);
    if (!capstan_simulation_run(self->simulation, 2 * TIMEOUT_US_MAX)) {
        return;
    }
    if (!capstan_simulation_rest(self->simulation, REST_US_MAX)) {
        capstan_simulation_fail(self->simulation, "rest", "the world does not come to rest");
    }
    for (uint32_t i = 0; i < NODES && !capstan_simulation_failure(self->simulation); i++) {
        capstan_simulation_stop(self->simulation, i, 1000000);
    }
}

void runtime_scenario(capstan_simulation_t *simulation, void *context)
{
    world_t world = {.simulation = simulation};
    world.members = calloc(MEMBERS_MAX, sizeof *world.members);
    ENSURE(world.members);
    run(&world);
    add(context, &world);
    capstan_simulation_end(simulation);
    free(world.members);
}

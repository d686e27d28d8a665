#include "runtime/simulation/core_world.h"

#include "runtime/base/ensure.h"
#include "runtime/base/map.h"

enum {
    HOSTS_MAX = 32,
    ACTORS_MAX = 64,
    TURN_MESSAGES_MAX = 16,
    TURN_DELAY_US_MAX = 20,
    LOCAL_DELAY_US_MAX = 10,
};

typedef struct letter {
    mail_t mail;             /* first: the mailbox hands it back */
    struct letter *previous; /* all letters that are under way */
    struct letter *next;
    uint64_t ordinal;
    bool reserved; /* counted by the receiver's mailbox already */
    bool ordered;
    uint8_t body[];
} letter_t;

typedef enum step_kind {
    STEP_ARRIVE,
    STEP_TURN,
    STEP_TIMER,
    STEP_CALL,
} step_kind_t;

typedef struct step {
    int64_t at_us;
    uint64_t number; /* equal times run in the order they were planned */
    step_kind_t kind;
    uint32_t slot;
    uint32_t generation;
    uint64_t cookie;
    void *data; /* letter, or the context of a call */
    core_world_call_fn *call;
} step_t;

typedef struct actor {
    const core_actor_t *behaviour;
    void *context;
    uint32_t host;
    uint32_t generation;
    bool turn_planned;
    mailbox_t mailbox;
} actor_t;

struct core_world {
    random_source_t random;
    int64_t now_us;
    uint64_t hash;
    network_faults_t faults;
    core_world_delivered_fn *delivered;
    void *delivered_context;

    step_t *steps; /* binary heap */
    size_t step_count;
    size_t step_capacity;
    uint64_t step_number;

    letter_t *letters;
    uint32_t host_count;
    uint32_t actor_count;
    bool host_up[HOSTS_MAX];
    int64_t cut_until[HOSTS_MAX][HOSTS_MAX];
    actor_t actors[ACTORS_MAX];
    uint64_t ordinals[ACTORS_MAX][ACTORS_MAX];
    int64_t arrival_last[ACTORS_MAX][ACTORS_MAX]; /* keeps an ordered path in order */
};

core_world_t *core_world_new(uint64_t seed)
{
    core_world_t *self = NULL;
    /* The mailboxes keep to a cache line each. */
    ENSURE(posix_memalign((void **)&self, 64, sizeof *self) == 0);
    memset(self, 0, sizeof *self);
    self->random.state = seed;
    self->hash = seed;
    return self;
}

uint32_t core_world_add_host(core_world_t *self)
{
    ENSURE(self->host_count < HOSTS_MAX);
    self->host_up[self->host_count] = true;
    return self->host_count++;
}

uint32_t core_world_add_actor(core_world_t *self, uint32_t host, const core_actor_t *behaviour,
                              void *context, mailbox_limits_t limits)
{
    ENSURE(self->actor_count < ACTORS_MAX && host < self->host_count);
    actor_t *actor = &self->actors[self->actor_count];
    actor->behaviour = behaviour;
    actor->context = context;
    actor->host = host;
    actor->generation = 1;
    mailbox_init(&actor->mailbox, limits);
    return self->actor_count++;
}

void core_world_set_faults(core_world_t *self, const network_faults_t *faults)
{
    self->faults = *faults;
}

void core_world_on_delivered(core_world_t *self, core_world_delivered_fn *delivered, void *context)
{
    self->delivered = delivered;
    self->delivered_context = context;
}

int64_t core_world_now(const core_world_t *self)
{
    return self->now_us;
}

random_source_t *core_world_random(core_world_t *self)
{
    return &self->random;
}

void core_world_mix(core_world_t *self, uint64_t word)
{
    uint64_t mixed = (self->hash ^ word) * UINT64_C(0x9fb21c651e98df25);
    self->hash = mixed ^ (mixed >> 32);
}

uint64_t core_world_hash(const core_world_t *self)
{
    return self->hash;
}

static bool step_before(const step_t *a, const step_t *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->number < b->number;
}

static void plan(core_world_t *self, int64_t at_us, step_t step)
{
    if (self->step_count == self->step_capacity) {
        size_t capacity = self->step_capacity > 0 ? self->step_capacity * 2 : 256;
        step_t *steps = realloc(self->steps, capacity * sizeof *steps);
        ENSURE(steps);
        self->steps = steps;
        self->step_capacity = capacity;
    }
    step.at_us = at_us;
    step.number = self->step_number++;
    size_t at = self->step_count++;
    for (; at > 0 && step_before(&step, &self->steps[(at - 1) / 2]); at = (at - 1) / 2) {
        self->steps[at] = self->steps[(at - 1) / 2];
    }
    self->steps[at] = step;
}

static step_t take_step(core_world_t *self)
{
    step_t first = self->steps[0];
    step_t last = self->steps[--self->step_count];
    size_t at = 0;
    for (size_t child; (child = at * 2 + 1) < self->step_count; at = child) {
        if (child + 1 < self->step_count &&
            step_before(&self->steps[child + 1], &self->steps[child])) {
            child++;
        }
        if (!step_before(&self->steps[child], &last)) {
            break;
        }
        self->steps[at] = self->steps[child];
    }
    self->steps[at] = last;
    return first;
}

static void link_letter(core_world_t *self, letter_t *letter)
{
    letter->previous = NULL;
    letter->next = self->letters;
    if (self->letters) {
        self->letters->previous = letter;
    }
    self->letters = letter;
}

static void unlink_letter(core_world_t *self, letter_t *letter)
{
    if (letter->previous) {
        letter->previous->next = letter->next;
    } else {
        self->letters = letter->next;
    }
    if (letter->next) {
        letter->next->previous = letter->previous;
    }
}

static void post(core_world_t *self, const core_send_t *send, slice_t body, int64_t at_us,
                 bool local, uint64_t ordinal)
{
    letter_t *letter = calloc(1, sizeof *letter + body.size);
    ENSURE(letter);
    if (body.size > 0) {
        memcpy(letter->body, body.data, body.size);
    }
    letter->mail.message = (capstan_message_t){.message = send->message,
                                               .sender = core_world_ref(self, send->from),
                                               .target = send->target,
                                               .correlation = send->correlation,
                                               .body = slice_of(letter->body, body.size)};
    letter->ordinal = ordinal;
    letter->reserved = local;
    letter->ordered = local || send->ordered;
    link_letter(self, letter);
    plan(self, at_us, (step_t){.kind = STEP_ARRIVE, .slot = send->target.slot, .data = letter});
}

static bool is_gone(const core_world_t *self, capstan_ref_t target)
{
    const actor_t *actor = &self->actors[target.slot];
    return !self->host_up[actor->host] ||
           (target.generation != 0 && target.generation != actor->generation);
}

/* A path in order: nothing arrives before what was sent earlier. */
static int64_t in_order(core_world_t *self, const core_send_t *send, int64_t at_us)
{
    int64_t *last = &self->arrival_last[send->from][send->target.slot];
    *last = at_us > *last ? at_us : *last;
    return *last;
}

static void send_remote(core_world_t *self, const core_send_t *send, slice_t body)
{
    const network_faults_t *faults = &self->faults;
    uint64_t ordinal = ++self->ordinals[send->from][send->target.slot];
    int64_t at_us =
        self->now_us + random_between(&self->random, faults->delay_us_min, faults->delay_us_max);
    if (send->ordered) {
        post(self, send, body, in_order(self, send, at_us), false, ordinal);
        return;
    }
    if (random_chance(&self->random, faults->loss)) {
        return;
    }
    uint32_t copies = random_chance(&self->random, faults->duplicate) ? 2 : 1;
    for (uint32_t i = 0; i < copies; i++) {
        int64_t late_us = random_chance(&self->random, faults->reorder)
                              ? random_between(&self->random, 0, faults->reorder_us_max)
                              : 0;
        post(self, send, body, at_us + late_us, false, ordinal);
    }
}

bool core_world_send(core_world_t *self, const core_send_t *send, slice_t body)
{
    ENSURE(send->from < self->actor_count && send->target.slot < self->actor_count);
    if (self->actors[send->from].host != self->actors[send->target.slot].host) {
        send_remote(self, send, body);
        return true;
    }
    if (is_gone(self, send->target)) {
        return true;
    }
    mailbox_t *mailbox = &self->actors[send->target.slot].mailbox;
    if (!mailbox_reserve(mailbox, body.size, send->always)) {
        return false;
    }
    uint64_t ordinal = ++self->ordinals[send->from][send->target.slot];
    int64_t at_us = self->now_us + random_between(&self->random, 0, LOCAL_DELAY_US_MAX);
    post(self, send, body, in_order(self, send, at_us), true, ordinal);
    return true;
}

void core_world_timer(core_world_t *self, uint32_t slot, int64_t after_us, uint64_t cookie)
{
    plan(self, self->now_us + after_us,
         (step_t){.kind = STEP_TIMER,
                  .slot = slot,
                  .generation = self->actors[slot].generation,
                  .cookie = cookie});
}

void core_world_at(core_world_t *self, int64_t at_us, core_world_call_fn *call, void *context,
                   uint64_t argument)
{
    plan(self, at_us > self->now_us ? at_us : self->now_us,
         (step_t){.kind = STEP_CALL, .call = call, .data = context, .cookie = argument});
}

static void drop_queue(actor_t *actor)
{
    for (mail_t *mail; (mail = mailbox_take(&actor->mailbox));) {
        mailbox_drop(&actor->mailbox, mail->message.body.size, DROP_stopped);
        free(mail);
    }
}

void core_world_crash(core_world_t *self, uint32_t host)
{
    ENSURE(self->host_up[host]);
    self->host_up[host] = false;
    for (uint32_t slot = 0; slot < self->actor_count; slot++) {
        actor_t *actor = &self->actors[slot];
        if (actor->host == host) {
            actor->generation++;
            actor->turn_planned = false;
            drop_queue(actor);
        }
    }
}

void core_world_restart(core_world_t *self, uint32_t host)
{
    ENSURE(!self->host_up[host]);
    self->host_up[host] = true;
}

bool core_world_is_up(const core_world_t *self, uint32_t host)
{
    return self->host_up[host];
}

capstan_ref_t core_world_ref(const core_world_t *self, uint32_t slot)
{
    return (capstan_ref_t){.slot = slot, .generation = self->actors[slot].generation};
}

void core_world_cut(core_world_t *self, uint32_t host, uint32_t other, int64_t until_us)
{
    self->cut_until[host][other] = until_us;
    self->cut_until[other][host] = until_us;
}

static void plan_turn(core_world_t *self, uint32_t slot)
{
    actor_t *actor = &self->actors[slot];
    if (!actor->turn_planned) {
        actor->turn_planned = true;
        plan(self, self->now_us + random_between(&self->random, 0, TURN_DELAY_US_MAX),
             (step_t){.kind = STEP_TURN, .slot = slot, .generation = actor->generation});
    }
}

static bool is_cut(const core_world_t *self, const letter_t *letter)
{
    uint32_t from = self->actors[letter->mail.message.sender.slot].host;
    uint32_t to = self->actors[letter->mail.message.target.slot].host;
    return self->cut_until[from][to] > self->now_us;
}

static void arrive(core_world_t *self, letter_t *letter)
{
    capstan_message_t *message = &letter->mail.message;
    mailbox_t *mailbox = &self->actors[message->target.slot].mailbox;
    unlink_letter(self, letter);
    if (letter->reserved) {
        /* An incarnation inside a host is gone only when the host has crashed since. */
        bool stale = is_gone(self, message->target) ||
                     message->sender.generation != self->actors[message->sender.slot].generation;
        if (stale) {
            mailbox_drop(mailbox, message->body.size, DROP_stopped);
            free(letter);
            return;
        }
    } else if (is_cut(self, letter) || is_gone(self, message->target) ||
               !mailbox_reserve(mailbox, message->body.size, false)) {
        free(letter);
        return;
    }
    mailbox_push(mailbox, &letter->mail, LANE_NORMAL);
    plan_turn(self, message->target.slot);
}

static void turn(core_world_t *self, uint32_t slot)
{
    actor_t *actor = &self->actors[slot];
    actor->turn_planned = false;
    uint32_t generation = actor->generation;
    uint64_t budget = 1 + random_below(&self->random, TURN_MESSAGES_MAX);
    while (budget-- > 0) {
        mail_t *mail = mailbox_take(&actor->mailbox);
        if (!mail) {
            break;
        }
        letter_t *letter = (letter_t *)mail;
        const capstan_message_t *message = &mail->message;
        core_world_mix(self, (uint64_t)message->sender.slot << 32 ^ slot ^ letter->ordinal << 40);
        core_world_mix(self, siphash13((const uint8_t[16]){0}, message->message, message->body));
        if (self->delivered) {
            self->delivered(self->delivered_context, message->sender.slot, slot, letter->ordinal,
                            letter->ordered);
        }
        actor->behaviour->receive(actor->context, message);
        mailbox_done(&actor->mailbox, message->body.size);
        free(letter);
        if (actor->generation != generation) {
            return; /* the message made its host crash */
        }
    }
    if (actor->behaviour->turn_end) {
        actor->behaviour->turn_end(actor->context);
    }
    if (actor->generation == generation && actor->mailbox.heads[LANE_NORMAL]) {
        plan_turn(self, slot);
    }
}

bool core_world_step(core_world_t *self)
{
    if (self->step_count == 0) {
        return false;
    }
    step_t step = take_step(self);
    self->now_us = step.at_us;
    core_world_mix(self,
                   (uint64_t)step.at_us << 8 ^ (uint64_t)step.kind ^ (uint64_t)step.slot << 4);
    actor_t *actor = &self->actors[step.slot];
    bool lives = self->host_up[actor->host] && step.generation == actor->generation;
    switch (step.kind) {
    case STEP_ARRIVE:
        arrive(self, step.data);
        break;
    case STEP_TURN:
        if (lives) {
            turn(self, step.slot);
        }
        break;
    case STEP_TIMER:
        if (lives) {
            actor->behaviour->timer(actor->context, step.cookie);
        }
        break;
    case STEP_CALL:
        step.call(step.data, step.cookie);
        break;
    }
    return true;
}

uint32_t core_world_actor_count(const core_world_t *self)
{
    return self->actor_count;
}

mailbox_account_t core_world_account(const core_world_t *self, uint32_t slot)
{
    return mailbox_account(&self->actors[slot].mailbox);
}

uint64_t core_world_in_flight(const core_world_t *self, uint32_t slot)
{
    uint64_t count = mailbox_walk(&self->actors[slot].mailbox);
    for (const letter_t *letter = self->letters; letter; letter = letter->next) {
        count += letter->reserved && letter->mail.message.target.slot == slot;
    }
    return count;
}

void core_world_destroy(core_world_t **self_p)
{
    core_world_t *self = *self_p;
    if (!self) {
        return;
    }
    for (letter_t *letter; (letter = self->letters);) {
        unlink_letter(self, letter);
        free(letter);
    }
    for (uint32_t slot = 0; slot < self->actor_count; slot++) {
        drop_queue(&self->actors[slot]);
    }
    free(self->steps);
    free(self);
    *self_p = NULL;
}

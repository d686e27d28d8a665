/* What must hold for groups: a second, plainer opinion on who may get what. It knows every offset,
 * and goes through the facts in order. */
#include "tests/simulation/ordering_predicates.h"

typedef unsigned long long ull;

typedef enum offset_state {
    OPEN,     /* not done, as far as the group knows */
    DONE,     /* acknowledged */
    PARKED,   /* on record */
    REPLAYED, /* on record, and to be delivered once more */
} offset_state_t;

typedef struct place {
    uint32_t key;
    offset_state_t state;
    uint64_t holder; /* member; 0: nobody */
    bool stored;     /* that it is done or parked is on disk */
    bool was_done;   /* done or parked at some time, whatever a crash made of it */
    bool rejected;   /* and not delivered since */
    bool passed;     /* it is not for this group */
    bool waits;      /* PARKED: its successors wait */
    uint64_t behind; /* the next offset of its key; 0: none */
} place_t;

typedef struct opinion {
    world_t *world;
    uint32_t group;
    bool in_order;    /* nothing of a key may overtake what is retried */
    bool parked_wait; /* nor what is parked */
    place_t *places;  /* by offset, from 1 */
    uint64_t last;
    uint64_t begun; /* behind this offset */
    bool began;     /* elsewhere than with the first event, and that is on record */
    uint64_t first_of_key[WORLD_KEYS_MAX]; /* the first that is not done for good, or before it */
} opinion_t;

static void fail(opinion_t *self, const char *predicate, const char *what, uint64_t offset,
                 uint64_t member)
{
    world_fail(self->world, predicate, "group %u, member %llu, offset %llu: %s", self->group,
               (ull)member, (ull)offset, what);
}

static void opinion_init(opinion_t *self, world_t *world, uint32_t group)
{
    const group_limits_t *limits = &world->groups[group].limits;
    *self = (opinion_t){.world = world, .group = group};
    self->in_order = limits->while_retried == WHILE_RETRIED_WAIT;
    self->parked_wait = limits->when_exhausted == WHEN_EXHAUSTED_WAIT;
    self->places = calloc(world->disk.count + 2, sizeof *self->places);
    ENSURE(self->places);
    uint64_t last_of_key[WORLD_KEYS_MAX] = {0};
    uint64_t sequences[WORLD_PRODUCERS_MAX][WORLD_KEYS_MAX] = {{0}};
    for (size_t i = 0; i < world->disk.count; i++) {
        event_t event;
        if (world->disk.log[i].kind != RECORD_event ||
            codec_decode(event_wire(), slice_of(world->disk.log[i].data, world->disk.log[i].size),
                         &event, NULL) ||
            event.offset == 0) {
            continue;
        }
        if (event.diverted == DIVERTED_DROPPED ||
            (event.diverted > 0) != (limits->events == GROUP_EVENTS_DIVERTED)) {
            self->places[event.offset] = (place_t){.state = DONE, .was_done = true, .passed = true};
            self->last = event.offset;
            continue;
        }
        uint32_t key = limits->mode == GROUP_BY_PARTITION ? 0 : world_index(event.key);
        self->places[event.offset].key = key;
        uint64_t *sequence = &sequences[world_index(event.producer)][world_index(event.key)];
        if (event.sequence <= *sequence && event.diverted == 0) {
            fail(self, "O1", "its key's sequence goes back", event.offset, 0);
        }
        *sequence = event.sequence;
        *(last_of_key[key] > 0 ? &self->places[last_of_key[key]].behind
                               : &self->first_of_key[key]) = event.offset;
        last_of_key[key] = event.offset;
        self->last = event.offset;
    }
}

/* What stands before an event of its key. */
static void judge_before(opinion_t *self, const fact_t *fact)
{
    place_t *place = &self->places[fact->offset];
    if (place->state == REPLAYED && !place->waits) {
        return; /* its successors have gone before it: it comes when it comes */
    }
    uint64_t *first = &self->first_of_key[place->key];
    while (*first > 0 && self->places[*first].stored && self->places[*first].state == DONE) {
        *first = self->places[*first].behind;
    }
    for (uint64_t offset = *first; offset > 0 && offset < fact->offset;
         offset = self->places[offset].behind) {
        const place_t *before = &self->places[offset];
        if (before->state == DONE || (before->state == PARKED && !before->waits) ||
            (before->state != PARKED && before->holder == fact->epoch)) {
            continue;
        }
        if (!self->in_order && before->holder == 0) {
            continue; /* it is retried, or was parked alone and is replayed */
        }
        if (before->state == REPLAYED && before->holder == 0 && !before->waits) {
            continue;
        }
        bool stopped = before->rejected || before->state == PARKED;
        fail(self, stopped ? "O9" : "O1",
             stopped ? "overtakes one that was rejected or parked" : "delivered before another one",
             fact->offset, fact->epoch);
        return;
    }
}

static void judge_others(opinion_t *self, const fact_t *fact)
{
    uint32_t key = self->places[fact->offset].key;
    for (uint64_t offset = self->first_of_key[key]; offset > 0;
         offset = self->places[offset].behind) {
        const place_t *other = &self->places[offset];
        if (other->holder != 0 && other->holder != fact->epoch) {
            fail(self, "O1", "another member holds events of its key", fact->offset, fact->epoch);
            return;
        }
    }
}

static void on_give(opinion_t *self, const fact_t *fact)
{
    place_t *place = &self->places[fact->offset];
    if (place->passed) {
        fail(self, "O1", "it is not for this group", fact->offset, fact->epoch);
    } else if (place->state == DONE || place->state == PARKED) {
        fail(self, "O2", "delivered again though it is done or parked", fact->offset, fact->epoch);
    }
    judge_before(self, fact);
    judge_others(self, fact);
    place->holder = fact->epoch;
    place->rejected = false;
}

static void on_done(opinion_t *self, const fact_t *fact)
{
    place_t *place = &self->places[fact->offset];
    if (place->holder != fact->epoch) {
        fail(self, "O8", "acknowledged by one who does not hold it", fact->offset, fact->epoch);
    }
    place->holder = 0;
    place->state = DONE;
    place->was_done = true;
}

static void let_go_of_key(opinion_t *self, uint32_t key)
{
    for (uint64_t offset = self->first_of_key[key]; offset > 0;
         offset = self->places[offset].behind) {
        self->places[offset].holder = 0;
    }
}

static void on_reject(opinion_t *self, const fact_t *fact)
{
    if (fact->offset == 0) {
        return;
    }
    place_t *place = &self->places[fact->offset];
    if (place->holder != fact->epoch) {
        fail(self, "O8", "rejected by one who does not hold it", fact->offset, fact->epoch);
    }
    place->rejected = true;
    place->holder = 0;
    let_go_of_key(self, place->key);
}

static void on_park(opinion_t *self, const fact_t *fact)
{
    place_t *place = &self->places[fact->offset];
    place->state = PARKED;
    place->was_done = true;
    place->waits = self->parked_wait;
    place->holder = 0;
    let_go_of_key(self, place->key);
}

static void on_leave(opinion_t *self, uint64_t member)
{
    for (uint64_t offset = 1; offset <= self->last; offset++) {
        if (self->places[offset].holder == member) {
            self->places[offset].holder = 0;
        }
    }
}

static void on_store(opinion_t *self, uint64_t first, uint64_t last)
{
    for (uint64_t offset = first; offset <= last; offset++) {
        place_t *place = &self->places[offset];
        if (offset > self->last || (place->state == OPEN && !place->was_done)) {
            fail(self, "O2", "stored as completed, and is not", offset, 0);
            return;
        }
        place->stored = true;
    }
}

/* After a crash: what follows are the offsets that the store says are completed. */
static void on_place(opinion_t *self)
{
    for (uint32_t key = 0; key < WORLD_KEYS_MAX; key++) {
        self->first_of_key[key] = 0;
    }
    for (uint64_t offset = self->last; offset > 0; offset--) {
        place_t *place = &self->places[offset];
        if (place->passed) {
            continue;
        }
        place->holder = 0;
        place->rejected = false;
        self->first_of_key[place->key] = offset;
        if (place->state == REPLAYED) {
            place->state = PARKED; /* unless it was done, and that is on disk */
        }
        if (!place->stored) {
            place->state = place->state == PARKED ? PARKED : OPEN;
        }
    }
}

/* What lies before is done with. It begins once. */
static void on_begin(opinion_t *self, uint64_t begun)
{
    if (self->began && begun != self->begun) {
        fail(self, "O2", "begins a second time, and elsewhere", begun, 0);
    }
    for (uint64_t offset = 1; offset <= begun; offset++) {
        place_t *place = &self->places[offset];
        place->state = DONE;
        place->stored = place->was_done = true;
    }
    self->began = true;
    self->begun = begun;
}

/* `stored` says what must be among them. What is parked and was not on disk may be there or not. */
static void on_placed(opinion_t *self, const bool *placed)
{
    for (uint64_t offset = 1; offset <= self->last; offset++) {
        place_t *place = &self->places[offset];
        if (place->stored && !placed[offset]) {
            fail(self, "O2", "what was on disk as completed is forgotten", offset, 0);
            return;
        }
        if (placed[offset] && !place->was_done) {
            fail(self, "O2", "begins behind what is not completed", offset, 0);
            return;
        }
        if (placed[offset]) {
            place->state = place->state == PARKED ? PARKED : DONE;
            place->stored = true;
        } else if (!place->passed) {
            place->state = OPEN;
            place->waits = false;
        }
    }
}

static size_t take_placed(opinion_t *self, size_t at)
{
    const history_t *history = &self->world->history;
    bool *placed = calloc(self->last + 2, sizeof *placed);
    ENSURE(placed);
    on_place(self);
    for (; at + 1 < history->count && history->facts[at + 1].kind == FACT_PLACED; at++) {
        const fact_t *fact = &history->facts[at + 1];
        for (uint64_t offset = fact->sequence; offset <= fact->offset; offset++) {
            if (offset > self->last) {
                fail(self, "O2", "the frontier is behind the end", offset, 0);
                break;
            }
            placed[offset] = true;
        }
    }
    on_placed(self, placed);
    free(placed);
    return at;
}

static size_t judge_fact(opinion_t *self, size_t at)
{
    const fact_t *fact = &self->world->history.facts[at];
    if (fact->who != self->group || fact->offset > self->last) {
        return at;
    }
    switch (fact->kind) {
    case FACT_BEGIN:
        on_begin(self, fact->offset);
        break;
    case FACT_PLACE:
        return take_placed(self, at);
    case FACT_GIVE:
        on_give(self, fact);
        break;
    case FACT_DONE:
        on_done(self, fact);
        break;
    case FACT_REJECT:
        on_reject(self, fact);
        break;
    case FACT_LEAVE:
        on_leave(self, fact->epoch);
        break;
    case FACT_PARK:
        on_park(self, fact);
        break;
    case FACT_REPLAY:
        self->places[fact->offset].state = REPLAYED;
        break;
    case FACT_DISCARD:
        self->places[fact->offset].state = DONE;
        break;
    case FACT_STORE:
        on_store(self, fact->sequence, fact->offset);
        break;
    default:
        break;
    }
    return at;
}

/* accepted = delivered + parked, for whoever has come to rest. */
static void judge_balance(opinion_t *self)
{
    for (uint64_t offset = 1; offset <= self->last; offset++) {
        const place_t *place = &self->places[offset];
        if (place->state == OPEN || !place->stored) {
            fail(self, "O3", "accepted, and neither processed nor parked on record", offset, 0);
            return;
        }
    }
}

void predicates_of_groups(world_t *world, bool complete)
{
    for (uint32_t group = 0; group < WORLD_GROUPS; group++) {
        opinion_t opinion;
        opinion_init(&opinion, world, group);
        for (size_t i = 0; i < world->history.count; i++) {
            i = judge_fact(&opinion, i);
        }
        if (complete) {
            judge_balance(&opinion);
        }
        free(opinion.places);
    }
}

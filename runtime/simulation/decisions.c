#include "runtime/simulation/decisions.h"

#include "runtime/base/ensure.h"
#include "runtime/simulation/random.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    CAPACITY_FIRST = 64,
    KIND_SHIFT = 56, /* of a site: kind + 1, a, b, ordinal */
    A_SHIFT = 44,
    B_SHIFT = 32,
};

static const struct {
    const char *name;
    const char *of;
    const char *other;
    const char *unit;
    const char *meaning;
} rows[DECISION_COUNT] = {
#define DECISION(name, of, other, unit, meaning) {#name, of, other, unit, meaning},
#include "runtime/simulation/decisions.def"
#undef DECISION
};

/* --- words by key ---------------------------------------------------------------------------- */

static uint64_t mix(uint64_t word)
{
    random_source_t source = {.state = word};
    return random_next(&source);
}

static decision_t *place_of(const words_t *self, uint64_t key)
{
    size_t place = (size_t)mix(key) & (self->capacity - 1);
    while (self->entries[place].site != 0 && self->entries[place].site != key) {
        place = (place + 1) & (self->capacity - 1);
    }
    return &self->entries[place];
}

static uint64_t *find(const words_t *self, uint64_t key)
{
    decision_t *entry = self->capacity > 0 ? place_of(self, key) : NULL;
    return entry && entry->site == key ? &entry->value : NULL;
}

static void grow(words_t *self)
{
    words_t larger = {.capacity = self->capacity > 0 ? self->capacity * 2 : CAPACITY_FIRST,
                      .count = self->count};
    larger.entries = calloc(larger.capacity, sizeof *larger.entries);
    ENSURE(larger.entries);
    for (size_t i = 0; i < self->capacity; i++) {
        if (self->entries[i].site != 0) {
            *place_of(&larger, self->entries[i].site) = self->entries[i];
        }
    }
    free(self->entries);
    *self = larger;
}

/* The word of a key, 0 when it is new. */
static uint64_t *at(words_t *self, uint64_t key)
{
    if (self->count * 4 >= self->capacity * 3) {
        grow(self);
    }
    decision_t *entry = place_of(self, key);
    if (entry->site == 0) {
        entry->site = key;
        self->count++;
    }
    return &entry->value;
}

/* --- sites ----------------------------------------------------------------------------------- */

static uint64_t site_of(decision_kind_t kind, uint32_t a, uint32_t b, uint64_t ordinal)
{
    ENSURE(a <= DECISION_ABOUT_MAX && b <= DECISION_ABOUT_MAX && ordinal <= UINT32_MAX);
    return (uint64_t)(kind + 1) << KIND_SHIFT | (uint64_t)a << A_SHIFT | (uint64_t)b << B_SHIFT |
           ordinal;
}

decision_kind_t decision_kind(decision_t decision)
{
    return (decision_kind_t)((decision.site >> KIND_SHIFT) - 1);
}

static uint32_t a_of(uint64_t site)
{
    return (uint32_t)(site >> A_SHIFT) & DECISION_ABOUT_MAX;
}

static uint32_t b_of(uint64_t site)
{
    return (uint32_t)(site >> B_SHIFT) & DECISION_ABOUT_MAX;
}

/* --- decisions ------------------------------------------------------------------------------- */

void decisions_init(decisions_t *self, uint64_t seed)
{
    *self = (decisions_t){.seed = seed};
}

void decisions_fini(decisions_t *self)
{
    free(self->planned.entries);
    free(self->ordinals.entries);
    free(self->taken);
    decisions_init(self, 0);
}

void decisions_replay(decisions_t *self, const decision_t *plan, size_t count)
{
    self->replays = true;
    for (size_t i = 0; i < count; i++) {
        *at(&self->planned, plan[i].site) = plan[i].value;
    }
}

static void note(decisions_t *self, decision_t decision)
{
    if (self->taken_count == self->taken_capacity) {
        size_t capacity = self->taken_capacity > 0 ? self->taken_capacity * 2 : CAPACITY_FIRST;
        decision_t *taken = realloc(self->taken, capacity * sizeof *taken);
        ENSURE(taken);
        self->taken = taken;
        self->taken_capacity = capacity;
    }
    self->taken[self->taken_count++] = decision;
}

static random_source_t source_of(const decisions_t *self, uint64_t site)
{
    return (random_source_t){.state = mix(self->seed ^ mix(site))};
}

static uint64_t draw(const decisions_t *self, uint64_t site, odds_t odds)
{
    random_source_t source = source_of(self, site);
    if (random_below(&source, 1000000) >= odds.per_million) {
        return 0;
    }
    return 1 + random_next(&source) % odds.max;
}

uint64_t decisions_take(decisions_t *self, decision_kind_t kind, uint32_t a, uint32_t b,
                        odds_t odds)
{
    if (odds.per_million == 0 || odds.max == 0) {
        return 0;
    }
    uint64_t ordinal = ++*at(&self->ordinals, site_of(kind, a, b, 0));
    uint64_t site = site_of(kind, a, b, ordinal);
    uint64_t value;
    if (self->replays) {
        const uint64_t *planned = find(&self->planned, site);
        value = planned ? *planned : 0;
        value = value < odds.max ? value : odds.max;
    } else {
        value = draw(self, site, odds);
    }
    if (value > 0) {
        note(self, (decision_t){site, value});
    }
    return value;
}

uint64_t decisions_word(const decisions_t *self, decision_kind_t kind, uint32_t a, uint32_t b)
{
    const uint64_t *ordinal = find(&self->ordinals, site_of(kind, a, b, 0));
    random_source_t source = source_of(self, ~site_of(kind, a, b, ordinal ? *ordinal : 0));
    return random_next(&source);
}

/* --- text ------------------------------------------------------------------------------------ */

void decisions_print(uint64_t seed, const decision_t *decisions, size_t count, buffer_t *out)
{
    char text[128];
    int size = snprintf(text, sizeof text, "%" PRIu64, seed);
    buffer_append(out, text, (size_t)size);
    for (size_t i = 0; i < count; i++) {
        uint64_t site = decisions[i].site;
        size = snprintf(text, sizeof text, " %s.%u.%u.%u=%" PRIu64,
                        rows[decision_kind(decisions[i])].name, a_of(site), b_of(site),
                        (unsigned)site, decisions[i].value);
        buffer_append(out, text, (size_t)size);
    }
}

void decision_explain(decision_t decision, char *text, size_t size)
{
    decision_kind_t kind = decision_kind(decision);
    char about[64] = "";
    if (rows[kind].of[0]) {
        snprintf(about, sizeof about, " of %s %u", rows[kind].of, a_of(decision.site));
    }
    if (rows[kind].other[0]) {
        size_t used = strlen(about);
        snprintf(about + used, sizeof about - used, " to %u", b_of(decision.site));
    }
    snprintf(text, size, "%s%s, number %u: %" PRIu64 "%s%s (%s)", rows[kind].name, about,
             (unsigned)decision.site, decision.value, rows[kind].unit[0] ? " " : "",
             rows[kind].unit, rows[kind].meaning);
}

static bool read_number(const char **text, uint64_t max, uint64_t *ret_number)
{
    char *end;
    errno = 0;
    bool digit = **text >= '0' && **text <= '9';
    uint64_t number = strtoull(*text, &end, 10);
    if (!digit || errno != 0 || number > max) {
        return false;
    }
    *text = end;
    *ret_number = number;
    return true;
}

static bool read_mark(const char **text, char mark)
{
    bool right = **text == mark;
    *text += right;
    return right;
}

static bool read_kind(const char **text, decision_kind_t *ret_kind)
{
    size_t size = strcspn(*text, ".");
    for (size_t i = 0; i < DECISION_COUNT; i++) {
        if (strlen(rows[i].name) == size && strncmp(rows[i].name, *text, size) == 0) {
            *ret_kind = (decision_kind_t)i;
            *text += size;
            return true;
        }
    }
    return false;
}

static bool read_decision(const char **text, decision_t *ret_decision)
{
    decision_kind_t kind;
    uint64_t a;
    uint64_t b;
    uint64_t ordinal;
    uint64_t value;
    if (!read_kind(text, &kind) || !read_mark(text, '.') ||
        !read_number(text, DECISION_ABOUT_MAX, &a) || !read_mark(text, '.') ||
        !read_number(text, DECISION_ABOUT_MAX, &b) || !read_mark(text, '.') ||
        !read_number(text, UINT32_MAX, &ordinal) || !read_mark(text, '=') ||
        !read_number(text, UINT64_MAX, &value)) {
        return false;
    }
    *ret_decision = (decision_t){site_of(kind, (uint32_t)a, (uint32_t)b, ordinal), value};
    return true;
}

capstan_err_t decisions_parse(decisions_t *self, const char *text)
{
    decisions_t read = {0};
    bool right = read_number(&text, UINT64_MAX, &read.seed);
    decisions_replay(&read, NULL, 0);
    while (right && *text != 0) {
        decision_t decision;
        right = read_mark(&text, ' ');
        text += strspn(text, " ");
        if (right && *text != 0) {
            right = read_decision(&text, &decision);
            if (right) {
                decisions_replay(&read, &decision, 1);
            }
        }
    }
    if (!right) {
        decisions_fini(&read);
        return CAPSTAN_E_INVALID;
    }
    decisions_fini(self);
    *self = read;
    return CAPSTAN_OK;
}

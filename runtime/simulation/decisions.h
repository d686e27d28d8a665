/* The decisions of a simulated run. A pure core.
 *
 * Each is known by its site: its kind, what it is about (two numbers), and the how-manieth one of
 * these it is. Its value is a function of the seed and the site, so that it does not depend on
 * what else was decided, or when. Values above 0 are noted in the order in which they were taken;
 * a run that is given these notes takes the same values, and a run that is given some of them takes
 * 0 everywhere else.
 *
 * As text: the seed, then each decision as kind.a.b.ordinal=value, separated by blanks. */
#ifndef SIMULATION_DECISIONS_H
#define SIMULATION_DECISIONS_H

#include "runtime/base/buffer.h"

#include <capstan/error.h>

typedef enum decision_kind {
#define DECISION(name, of, other, unit, meaning) DECISION_##name,
#include "runtime/simulation/decisions.def"
#undef DECISION
    DECISION_COUNT
} decision_kind_t;

enum { DECISION_ABOUT_MAX = 4095 }; /* the largest number that a decision is about */

typedef struct decision {
    uint64_t site; /* see decision_site */
    uint64_t value;
} decision_t;

/* Numbers by a key above 0. Open addressing; a zeroed one is empty. */
typedef struct words {
    decision_t *entries;
    size_t capacity; /* a power of two, or 0 */
    size_t count;
} words_t;

typedef struct decisions {
    uint64_t seed;
    bool replays;
    words_t planned;  /* when it replays: the value of each site */
    words_t ordinals; /* how many were taken of each kind about each thing */
    decision_t *taken;
    size_t taken_count;
    size_t taken_capacity;
} decisions_t;

/* How often a value is above 0, and how large it is then at most; all of 1 .. max are alike. */
typedef struct odds {
    uint32_t per_million;
    uint64_t max;
} odds_t;

void decisions_init(decisions_t *self, uint64_t seed);
void decisions_fini(decisions_t *self);
/* From now on the values are these, and 0 elsewhere. */
void decisions_replay(decisions_t *self, const decision_t *plan, size_t count);
/* The seed and the plan out of a text. Errors: INVALID; nothing has changed then. */
CAPSTAN_MUST_CHECK capstan_err_t decisions_parse(decisions_t *self, const char *text);
/* Appends the text of some decisions, without a terminator. */
void decisions_print(uint64_t seed, const decision_t *decisions, size_t count, buffer_t *out);
/* "crash of node 1, number 23: a node loses ...": for people. */
void decision_explain(decision_t decision, char *text, size_t size);

/* The next decision of that kind about `a` and `b`. */
uint64_t decisions_take(decisions_t *self, decision_kind_t kind, uint32_t a, uint32_t b,
                        odds_t odds);
/* A word that belongs to the decision that was last taken there: what need not be noted, because it
 * only matters together with that one. */
uint64_t decisions_word(const decisions_t *self, decision_kind_t kind, uint32_t a, uint32_t b);

decision_kind_t decision_kind(decision_t decision);

#endif

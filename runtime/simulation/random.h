/* Seeded random numbers for simulations: splitmix64 (Steele, Lea, Flood, "Fast splittable
 * pseudorandom number generators"). Not for secrets. */
#ifndef SIMULATION_RANDOM_H
#define SIMULATION_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

typedef struct random_source {
    uint64_t state;
} random_source_t;

static inline uint64_t random_next(random_source_t *self)
{
    self->state += UINT64_C(0x9e3779b97f4a7c15);
    uint64_t word = self->state;
    word = (word ^ (word >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    word = (word ^ (word >> 27)) * UINT64_C(0x94d049bb133111eb);
    return word ^ (word >> 31);
}

/* 0 .. limit - 1; the bias of the multiplication is far below what a simulation can see. */
static inline uint64_t random_below(random_source_t *self, uint64_t limit)
{
    return limit == 0 ? 0 : ((random_next(self) >> 32) * limit) >> 32;
}

/* low .. high, both included. */
static inline int64_t random_between(random_source_t *self, int64_t low, int64_t high)
{
    return low + (int64_t)random_below(self, (uint64_t)(high - low) + 1);
}

static inline bool random_chance(random_source_t *self, uint32_t per_mille)
{
    return random_below(self, 1000) < per_mille;
}

#endif

/* Random numbers that a seed makes again: splitmix64 (Steele, Lea and Flood, 2014). */
#ifndef KIT_RANDOM_H
#define KIT_RANDOM_H

#include <stdint.h>

typedef struct random_state {
    uint64_t state;
} random_t;

static inline random_t random_seed(uint64_t seed)
{
    return (random_t){.state = seed};
}

static inline uint64_t random_next(random_t *self)
{
    uint64_t word = self->state += UINT64_C(0x9e3779b97f4a7c15);
    word = (word ^ word >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    word = (word ^ word >> 27) * UINT64_C(0x94d049bb133111eb);
    return word ^ word >> 31;
}

/* 0 to bound - 1. */
static inline uint64_t random_below(random_t *self, uint64_t bound)
{
    return random_next(self) % bound;
}

#endif

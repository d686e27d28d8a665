/* What the thread of a cell says about itself, so that others can see whether it makes progress
 * without asking it: which handler runs, of whom, on what message, and when the turn began.
 *
 *   thread: pulse_enter -- handler -- pulse_leave    a few plain stores into a line of its own
 * cache others: pulse_read                               consistent or not at all, as with a
 * seqlock
 *
 * Handlers are numbered, modulo 2^24. Who reads the same number twice within a tenth of a second
 * knows that no handler has returned in between. What is called from inside a handler (the init of
 * an actor that it spawns) shows its own place under the number of the outer one: that is who
 * waits.
 *
 * Memory order: the thread stores with release, others load with acquire. Whoever sees the actor or
 * the message of a later handler therefore also sees that the earlier one has returned. */
#ifndef RUNTIME_PULSE_H
#define RUNTIME_PULSE_H

#include <capstan/ref.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

typedef enum handler {
#define HANDLER(name, meaning) HANDLER_##name,
#include "runtime/handlers.def"
#undef HANDLER
    HANDLER_COUNT
} handler_t;

const char *handler_name(handler_t handler);

typedef enum pulse_phase {
    PULSE_RUNTIME, /* the library's own code, which does not wait */
    PULSE_HANDLER,
    PULSE_PATIENT, /* a handler that may take as long as it likes */
} pulse_phase_t;

/* Where a thread is.
 *
 *   at     message's row 32 | number of the handler 24 | handler_t 4 | pulse_phase_t 4
 *   actor  generation 32 | slot 32 */
typedef struct pulse_place {
    uint64_t at;
    uint64_t actor;
} pulse_place_t;

enum { PULSE_HANDLER_SHIFT = 4, PULSE_NUMBER_SHIFT = 8, PULSE_MESSAGE_SHIFT = 32 };
#define PULSE_MASK   UINT64_C(15)
#define PULSE_NUMBER UINT64_C(0xffffff00)

typedef struct pulse {
    _Alignas(64) _Atomic uint64_t at;
    _Atomic uint64_t actor;
    _Atomic int64_t turn_us; /* when the turn began, on the monotonic clock; 0: asleep */
} pulse_t;

static inline pulse_phase_t pulse_phase(uint64_t at)
{
    return (pulse_phase_t)(at & PULSE_MASK);
}

static inline handler_t pulse_handler(uint64_t at)
{
    return (handler_t)(at >> PULSE_HANDLER_SHIFT & PULSE_MASK);
}

static inline uint32_t pulse_number(uint64_t at)
{
    return (uint32_t)(at & PULSE_NUMBER) >> PULSE_NUMBER_SHIFT;
}

static inline uint32_t pulse_message(uint64_t at)
{
    return (uint32_t)(at >> PULSE_MESSAGE_SHIFT);
}

/* The thread. `what` is an `at` without number. */
static inline void pulse_enter(pulse_t *self, capstan_ref_t actor, uint64_t what)
{
    uint64_t before = atomic_load_explicit(&self->at, memory_order_relaxed);
    uint64_t next = before + (pulse_phase(before) == PULSE_RUNTIME ? 1U << PULSE_NUMBER_SHIFT : 0);
    atomic_store_explicit(&self->actor, (uint64_t)actor.generation << 32 | actor.slot,
                          memory_order_release);
    atomic_store_explicit(&self->at, (next & PULSE_NUMBER) | what, memory_order_release);
}

static inline void pulse_leave(pulse_t *self)
{
    uint64_t before = atomic_load_explicit(&self->at, memory_order_relaxed);
    atomic_store_explicit(&self->at, before & ~PULSE_MASK, memory_order_release);
}

/* The thread, around what is called from inside a handler. */
static inline pulse_place_t pulse_place(const pulse_t *self)
{
    return (pulse_place_t){.at = atomic_load_explicit(&self->at, memory_order_relaxed),
                           .actor = atomic_load_explicit(&self->actor, memory_order_relaxed)};
}

static inline void pulse_restore(pulse_t *self, pulse_place_t place)
{
    if (pulse_phase(place.at) != PULSE_RUNTIME) {
        atomic_store_explicit(&self->actor, place.actor, memory_order_release);
        atomic_store_explicit(&self->at, place.at, memory_order_release);
    }
}

/* Any thread. False when the thread moved on meanwhile. */
static inline bool pulse_read(const pulse_t *self, pulse_place_t *ret_place)
{
    ret_place->at = atomic_load_explicit(&self->at, memory_order_acquire);
    ret_place->actor = atomic_load_explicit(&self->actor, memory_order_acquire);
    return atomic_load_explicit(&self->at, memory_order_relaxed) == ret_place->at;
}

#endif

/* The phases of a key and what moves it from one to another: see ordering_states.def. */
#ifndef ORDERING_KEY_PHASE_H
#define ORDERING_KEY_PHASE_H

typedef enum key_phase {
#define STATE(name, meaning) KEY_##name,
#define INPUT(name, meaning)
#define TRANSITION(from, input, to, what)
#include "actors/ordering/ordering_states.def"
#undef STATE
#undef INPUT
#undef TRANSITION
    KEY_PHASE_COUNT
} key_phase_t;

typedef enum key_input {
#define STATE(name, meaning)
#define INPUT(name, meaning) KEY_INPUT_##name,
#define TRANSITION(from, input, to, what)
#include "actors/ordering/ordering_states.def"
#undef STATE
#undef INPUT
#undef TRANSITION
    KEY_INPUT_COUNT
} key_input_t;

#endif

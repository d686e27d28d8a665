/* The numbers of saga_states.def and of a definition's records as words, and back. What is unknown
 * here, because the node is newer, is "?". */
#ifndef CLI_SAGA_WORDS_H
#define CLI_SAGA_WORDS_H

#include <stdbool.h>
#include <stdint.h>

const char *saga_state_word(uint64_t state);
const char *saga_state_meaning(uint64_t state);
/* In small or capital letters; 0: there is none of that name. */
uint64_t saga_state_number(const char *word);
/* Whether it rests: it has ended, or waits for a person. */
bool saga_state_rests(uint64_t state);

const char *task_state_word(uint64_t state);
const char *task_state_meaning(uint64_t state);
/* Whether nothing of the task is under way. */
bool task_state_rests(uint64_t state);

const char *node_kind_word(uint64_t kind);
const char *node_class_word(uint64_t class);
const char *node_source_word(uint64_t source);
const char *saga_input_word(uint64_t kind);
const char *undo_order_word(uint64_t order);
const char *operator_word(uint64_t operator); /* "==", "exists" ... */

#endif

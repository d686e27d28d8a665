/* Taking a definition's map apart: keys that are known, and their values. Whatever is wrong is
 * refused with its line, its key, and what is allowed; an absent key leaves its output as it was.
 * For definition_yaml.c alone. */
#ifndef SAGA_DEFINITION_FORM_H
#define SAGA_DEFINITION_FORM_H

#include "actors/saga/definition_tree.h"

/* The node is a map with these keys and no others; `what` is it called. */
bool form_keys(tree_t *self, uint32_t map, const char *what, const char *const *keys);
/* The value of a key, which is refused as missing when it is not there. */
uint32_t form_need(tree_t *self, uint32_t map, const char *key);
/* The first element of a list; TREE_NONE: it is empty, or was refused. */
uint32_t form_list(tree_t *self, uint32_t node, const char *key);

/* A text that is not empty; of a node, or of a key in a map. */
slice_t form_text(tree_t *self, uint32_t node, const char *key);
void form_name(tree_t *self, uint32_t map, const char *key, slice_t *ret_name);
void form_path(tree_t *self, uint32_t map, const char *key, slice_t *ret_path);
void form_bool(tree_t *self, uint32_t map, const char *key, bool *ret_value);
/* One of the words, which end with NULL; its place from 1. */
void form_choice(tree_t *self, uint32_t map, const char *key, const char *const *words,
                 uint64_t *ret_place);

typedef struct form_range {
    uint64_t minimum;
    uint64_t maximum;
} form_range_t;

void form_number(tree_t *self, uint32_t map, const char *key, form_range_t range,
                 uint64_t *ret_number);
void form_percent(tree_t *self, uint32_t map, const char *key, uint64_t *ret_percent);
/* A factor of 1 to 10, in hundredths. */
void form_factor(tree_t *self, uint32_t map, const char *key, uint64_t *ret_percent);
void form_duration(tree_t *self, uint32_t map, const char *key, uint64_t *ret_ms);
uint64_t form_duration_of(tree_t *self, uint32_t node, const char *key);
/* Record `saga_test`. */
void form_test(tree_t *self, uint32_t map, const char *key, buffer_t *out);
/* Any value as msgpack, scalars typed as YAML 1.2 core does. */
void form_value(tree_t *self, uint32_t node, const char *key, buffer_t *out);
/* Record `saga_retry`. */
void form_retry(tree_t *self, uint32_t map, const char *key, buffer_t *out);

#endif

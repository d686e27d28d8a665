/* A definition's YAML as a tree of texts, lists and maps, for definition_yaml.c alone. Anchors,
 * aliases, tags and further documents are refused, and what is large, deep or long; so is a key
 * that is given twice.
 *
 * The first fault stands, and what follows it changes nothing: a reader goes on to its end and asks
 * once whether something failed. */
#ifndef SAGA_DEFINITION_TREE_H
#define SAGA_DEFINITION_TREE_H

#include "actors/saga/plan.h"

enum {
    TREE_DEPTH_MAX = 64,
    TREE_NODES_MAX = 32768,
    TREE_KEYS_MAX = 1000, /* of one map */
};
#define TREE_NONE UINT32_MAX /* no node */

typedef enum tree_kind {
    TREE_TEXT,
    TREE_LIST,
    TREE_MAP,
} tree_kind_t;

typedef struct tree_node {
    tree_kind_t kind;
    bool plain; /* a text without quotes */
    uint64_t line;
    size_t text_at;
    size_t text_size;
    uint32_t first; /* of a map: key, value, key, value ... */
    uint32_t next;
} tree_node_t;

typedef struct tree {
    const char *file;
    plan_fault_t *fault;
    bool failed;
    buffer_t nodes; /* the first is the document */
    buffer_t texts;
} tree_t;

/* Writes "file:line: <message>", unless something was written before. */
void tree_refuse(tree_t *self, uint64_t line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* `file` and `fault` are set. */
void tree_read(tree_t *self, slice_t text);
void tree_fini(tree_t *self);

const tree_node_t *tree_at(const tree_t *self, uint32_t index);
slice_t tree_text(const tree_t *self, uint32_t index);
/* The value of a map's key; TREE_NONE: there is none, or it is no map. */
uint32_t tree_find(const tree_t *self, uint32_t map, const char *key);

#endif

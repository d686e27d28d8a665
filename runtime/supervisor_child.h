/* The children of a supervisor as its shell keeps them. Internal to runtime/.
 *
 *   names: name --> number        refs: reference of the current incarnation --> number + 1
 *                      |                                                        |
 *                      +----------> list: | child | NULL | child | ... <--------+ */
#ifndef RUNTIME_SUPERVISOR_CHILD_H
#define RUNTIME_SUPERVISOR_CHILD_H

#include "runtime/cell.h"
#include "runtime/names.h"
#include "runtime/refs.h"
#include "runtime/supervision.h"

typedef struct child {
    supervision_child_t core; /* first: supervision_child_t * and child_t * are the same address */
    uint32_t number;
    name_entry_t *name;
    char cell[CELL_NAME_SIZE]; /* empty: the placement decides */
    const capstan_behaviour_t *behaviour;
    capstan_spawn_options_t spawn;
    int64_t stop_us;
    capstan_ref_t ref;         /* the current incarnation; null: there is none */
    uint64_t timer;            /* EFFECT_WAIT; 0: it does not run */
    capstan_message_t starter; /* requests that wait, without their bodies; kind 0: there is none */
    capstan_message_t stopper;
} child_t;

typedef struct children {
    names_t names;
    refs_t refs;
    child_t **list;
    uint32_t *free_numbers;
    uint32_t free_count;
    uint32_t capacity; /* of both arrays */
} children_t;

/* `seed` is that of the hash of the names. */
void children_init(children_t *self, const uint8_t seed[16]);
/* Errors: INVALID, EXISTS, NO_MEMORY. */
CAPSTAN_MUST_CHECK capstan_err_t children_add(children_t *self, const capstan_child_t *spec,
                                              child_t **ret_child);
/* Frees the child. */
void children_remove(children_t *self, child_t *child);
child_t *children_find_name(const children_t *self, const char *name);
child_t *children_find_ref(const children_t *self, capstan_ref_t ref);
/* Its incarnation runs, or has ended (the null reference). */
void children_set_ref(children_t *self, child_t *child, capstan_ref_t ref);
/* Frees everything. */
void children_fini(children_t *self);

#endif

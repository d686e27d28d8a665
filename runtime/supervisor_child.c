#include "runtime/supervisor_child.h"

#include "runtime/base/ensure.h"

#include <stdlib.h>

enum {
    RESTARTS_MAX = 5, /* and what else stands for 0 in a specification */
    WINDOW_US = 60000000,
    BACKOFF_US_MIN = 100000,
    BACKOFF_US_MAX = 30000000,
    STOP_US = 5000000,
};

static int64_t or_default(int64_t value, int64_t otherwise)
{
    return value != 0 ? value : otherwise;
}

static supervision_limits_t limits_of(const capstan_child_t *spec)
{
    supervision_limits_t limits = {
        .restart = spec->restart,
        .restarts_max = spec->restarts_max ? spec->restarts_max : RESTARTS_MAX,
        .window_us = or_default(spec->window_us, WINDOW_US),
        .backoff_us_min = or_default(spec->backoff_us_min, BACKOFF_US_MIN),
    };
    if (limits.restarts_max == CAPSTAN_RESTARTS_NONE) {
        limits.restarts_max = 0;
    }
    int64_t longest =
        limits.backoff_us_min > BACKOFF_US_MAX ? limits.backoff_us_min : BACKOFF_US_MAX;
    limits.backoff_us_max = or_default(spec->backoff_us_max, longest);
    return limits;
}

static int64_t stop_us_of(const capstan_child_t *spec)
{
    int64_t otherwise = spec->behaviour == &capstan_supervisor_behaviour ? INT64_MAX : STOP_US;
    return spec->stop_us < 0 ? 0 : or_default(spec->stop_us, otherwise);
}

static bool is_valid(const capstan_child_t *spec, const supervision_limits_t *limits)
{
    return spec->behaviour && spec->behaviour->receive && spec->spawn.name &&
           spec->restart <= CAPSTAN_RESTART_TEMPORARY &&
           limits->restarts_max <= CAPSTAN_RESTARTS_MAX && limits->window_us > 0 &&
           limits->backoff_us_min > 0 && limits->backoff_us_max >= limits->backoff_us_min;
}

void children_init(children_t *self, const uint8_t seed[16])
{
    names_init(&self->names, seed);
}

static void grow(children_t *self)
{
    uint32_t capacity = self->capacity > 0 ? self->capacity * 2 : 8;
    self->list = realloc(self->list, capacity * sizeof(child_t *));
    self->free_numbers = realloc(self->free_numbers, capacity * sizeof *self->free_numbers);
    ENSURE(self->list && self->free_numbers);
    for (uint32_t i = capacity; i > self->capacity; i--) {
        self->list[i - 1] = NULL;
        self->free_numbers[self->free_count++] = i - 1;
    }
    self->capacity = capacity;
}

capstan_err_t children_add(children_t *self, const capstan_child_t *spec, child_t **ret_child)
{
    supervision_limits_t limits = limits_of(spec);
    if (!is_valid(spec, &limits)) {
        return CAPSTAN_E_INVALID;
    }
    if (self->free_count == 0) {
        grow(self);
    }
    uint32_t number = self->free_numbers[self->free_count - 1];
    name_entry_t *name;
    capstan_err_t err = names_add(&self->names, spec->spawn.name, number, &name);
    if (err != CAPSTAN_OK) {
        return err;
    }
    child_t *child = calloc(1, sizeof *child);
    ENSURE(child);
    child->core.limits = limits;
    child->number = number;
    child->name = name;
    child->behaviour = spec->behaviour;
    child->stop_us = stop_us_of(spec);
    child->spawn = spec->spawn;
    child->spawn.name = name->text;
    child->spawn.monitor = child->spawn.link = false;
    if (spec->spawn.cell) {
        snprintf(child->cell, sizeof child->cell, "%s", spec->spawn.cell);
    }
    child->spawn.cell = child->cell[0] ? child->cell : NULL;
    self->free_count--;
    self->list[number] = child;
    *ret_child = child;
    return CAPSTAN_OK;
}

void children_remove(children_t *self, child_t *child)
{
    children_set_ref(self, child, (capstan_ref_t){0});
    names_remove(&self->names, child->name);
    self->list[child->number] = NULL;
    self->free_numbers[self->free_count++] = child->number;
    supervision_child_fini(&child->core);
    free(child);
}

child_t *children_find_name(const children_t *self, const char *name)
{
    const name_entry_t *entry = names_find(&self->names, name);
    return entry ? self->list[entry->slot] : NULL;
}

child_t *children_find_ref(const children_t *self, capstan_ref_t ref)
{
    uint32_t word = refs_find(&self->refs, ref);
    return word > 0 ? self->list[word - 1] : NULL;
}

void children_set_ref(children_t *self, child_t *child, capstan_ref_t ref)
{
    if (!capstan_ref_is_null(child->ref)) {
        refs_remove(&self->refs, child->ref, UINT32_MAX);
    }
    child->ref = ref;
    if (!capstan_ref_is_null(ref)) {
        refs_add(&self->refs, ref, child->number + 1);
    }
}

void children_fini(children_t *self)
{
    for (uint32_t i = 0; i < self->capacity; i++) {
        if (self->list[i]) {
            children_remove(self, self->list[i]);
        }
    }
    free(self->list);
    free(self->free_numbers);
    refs_fini(&self->refs);
    names_fini(&self->names);
}

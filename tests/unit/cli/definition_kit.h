/* A definition with a node of each kind, for tests of what is shown of it. */
#ifndef TESTS_DEFINITION_KIT_H
#define TESTS_DEFINITION_KIT_H

#include "actors/saga/plan.h"

/* Appends the record of `order`, version 2. */
void definition_kit_definition(buffer_t *out);
plan_t *definition_kit_plan(void);

#endif

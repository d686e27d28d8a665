#include "node/descriptors.h"

#include "actors/journal/journal_settings.h"
#include "actors/ordering/ordering_settings.h"
#include "brokers/gateway/gateway_settings.h"
#include "node/node_settings.h"
#include "runtime/runtime_settings.h"

const settings_section_t *const node_sections[NODE_SECTION_COUNT] = {
    &node_settings_section,     &gateway_settings_section, &journal_settings_section,
    &ordering_settings_section, &runtime_settings_section,
};

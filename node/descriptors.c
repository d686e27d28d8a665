#include "node/descriptors.h"

#include "actors/journal/journal_metrics.h"
#include "actors/journal/journal_settings.h"
#include "actors/ordering/ordering_metrics.h"
#include "actors/ordering/ordering_settings.h"
#include "actors/pool/pool_metrics.h"
#include "actors/saga/saga_metrics.h"
#include "actors/saga/saga_settings.h"
#include "brokers/gateway/gateway_metrics.h"
#include "brokers/gateway/gateway_settings.h"
#include "node/node_settings.h"
#include "runtime/runtime_metrics.h"
#include "runtime/runtime_settings.h"

const settings_section_t *const node_sections[NODE_SECTION_COUNT] = {
    &node_settings_section,     &gateway_settings_section, &journal_settings_section,
    &ordering_settings_section, &saga_settings_section,    &runtime_settings_section,
};

const metrics_section_t *const node_metrics[NODE_METRICS_COUNT] = {
    &gateway_metrics, &journal_metrics, &ordering_metrics,
    &pool_metrics,    &saga_metrics,    &runtime_metrics,
};

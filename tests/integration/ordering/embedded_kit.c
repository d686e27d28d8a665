#include "tests/integration/ordering/embedded_kit.h"

enum { STEP_MS = 2, MOMENT_MS = 50, PARTITIONS = 4 };

void embedded_init(embedded_t *self)
{
    *self = (embedded_t){0};
    fixture_folder(&self->fixture);
}

void embedded_start(embedded_t *self)
{
    const char *strict = getenv("CAPSTAN_RUNTIME_STRICT_WIRE");
    self->options.log_fd = -1;
    self->options.strict_wire = strict && strcmp(strict, "true") == 0;
    capstan_topics_options_t topics = {.path = self->fixture.path,
                                       .group_attempts_max = 3,
                                       .group_retry_ms_min = 1,
                                       .group_retry_ms_max = 10};
    capstan_topic_options_t topic = {.partitions = PARTITIONS,
                                     .sequence = CAPSTAN_SEQUENCE_PRODUCER};
    cr_assert_eq(capstan_node_new(&self->options, &self->node), CAPSTAN_OK);
    capstan_err_t err = capstan_topics_open(self->node, &topics, self->text, sizeof self->text);
    cr_assert_eq(err, CAPSTAN_OK, "%s", self->text);
    cr_assert_eq(capstan_topic_ensure(self->node, "orders", &topic, &self->topic), CAPSTAN_OK);
}

static void print_late(void *context, const char *name)
{
    (void)context;
    fprintf(stderr, "late: %s\n", name);
}

void embedded_stop(embedded_t *self)
{
    cr_assert_eq(capstan_node_stop(&self->node, EMBEDDED_US, print_late, NULL), CAPSTAN_OK);
}

void embedded_fini(embedded_t *self)
{
    fixture_fini(&self->fixture);
}

capstan_outcome_t embedded_publish(embedded_t *self, uint32_t key, uint64_t sequence,
                                   const char *payload)
{
    char name[32];
    capstan_outcome_t outcome;
    snprintf(name, sizeof name, "key %u", key);
    capstan_event_t event = {.key = capstan_slice_text(name),
                             .producer = capstan_slice_text("test"),
                             .sequence = sequence,
                             .payload = capstan_slice_text(payload)};
    cr_assert_eq(capstan_node_publish(self->node, self->topic, &event, EMBEDDED_US, &outcome),
                 CAPSTAN_OK);
    return outcome;
}

static void count_stored(void *context, const capstan_outcome_t *outcome)
{
    if (outcome->result == CAPSTAN_RESULT_STORED) {
        atomic_fetch_add((_Atomic uint64_t *)context, 1);
    }
}

void embedded_publish_range(embedded_t *self, uint32_t keys, uint64_t from, uint64_t to)
{
    _Atomic uint64_t stored = 0;
    for (uint64_t sequence = from; sequence <= to; sequence++) {
        for (uint32_t key = 0; key < keys; key++) {
            char name[32];
            snprintf(name, sizeof name, "key %u", key);
            capstan_event_t event = {.key = capstan_slice_text(name),
                                     .producer = capstan_slice_text("test"),
                                     .sequence = sequence};
            cr_assert_eq(
                capstan_node_publish_async(self->node, self->topic, &event, count_stored, &stored),
                CAPSTAN_OK);
        }
    }
    cr_assert(embedded_await(&stored, keys * (to + 1 - from)), "%llu stored",
              (unsigned long long)stored);
}

bool embedded_await(const _Atomic uint64_t *count, uint64_t wanted)
{
    for (int64_t i = 0; i < EMBEDDED_US / 1000 / STEP_MS && atomic_load(count) < wanted; i++) {
        poll(NULL, 0, STEP_MS);
    }
    return atomic_load(count) >= wanted;
}

void embedded_pause(void)
{
    poll(NULL, 0, MOMENT_MS);
}

uint32_t embedded_key_of(const capstan_delivery_t *delivery)
{
    char name[32] = "";
    unsigned key;
    cr_assert_lt(delivery->event.key.size, sizeof name);
    memcpy(name, delivery->event.key.data, delivery->event.key.size);
    cr_assert_eq(sscanf(name, "key %u", &key), 1);
    return key;
}

/* --- handlers --- */

static void enter(seen_t *self, uint32_t key)
{
    uint32_t running = atomic_fetch_add(&self->running, 1) + 1;
    uint32_t max = atomic_load(&self->running_max);
    while (running > max && !atomic_compare_exchange_weak(&self->running_max, &max, running)) {
    }
    if (atomic_fetch_add(&self->busy[key], 1) != 0) {
        atomic_fetch_add(&self->faults, 1);
    }
}

static void leave(seen_t *self, uint32_t key)
{
    atomic_fetch_sub(&self->busy[key], 1);
    atomic_fetch_sub(&self->running, 1);
}

void seen_add(seen_t *self, const capstan_delivery_t *delivery)
{
    uint32_t key = embedded_key_of(delivery);
    if (delivery->event.sequence != self->last[key] + 1) {
        atomic_fetch_add(&self->faults, 1);
    }
    self->last[key] = delivery->event.sequence;
    atomic_fetch_add(&self->count, 1);
}

capstan_err_t seen_work(capstan_actor_t *actor, void *context, const capstan_delivery_t *delivery)
{
    (void)actor;
    seen_t *self = context;
    uint32_t key = embedded_key_of(delivery);
    enter(self, key);
    if (delivery->offset % 7 == 0) {
        poll(NULL, 0, 1);
    }
    seen_add(self, delivery);
    leave(self, key);
    return CAPSTAN_OK;
}

capstan_err_t seen_work_batch(capstan_actor_t *actor, void *context,
                              const capstan_delivery_t *deliveries, size_t count)
{
    (void)actor;
    seen_t *self = context;
    for (size_t i = 0; i < count; i++) {
        seen_add(self, &deliveries[i]);
    }
    return CAPSTAN_OK;
}

capstan_err_t seen_keep(capstan_actor_t *actor, void *context, const capstan_delivery_t *delivery)
{
    (void)actor;
    seen_t *self = context;
    uint64_t at = atomic_fetch_add(&self->number_count, 1);
    atomic_store(&self->numbers[at % HELD_MAX], delivery->number);
    uint64_t attempts = atomic_load(&self->attempts_max);
    while (delivery->attempts > attempts &&
           !atomic_compare_exchange_weak(&self->attempts_max, &attempts, delivery->attempts)) {
    }
    atomic_fetch_add(&self->count, 1);
    return CAPSTAN_OK;
}

void embedded_subscribe(embedded_t *self, capstan_subscribe_options_t options,
                        capstan_subscription_t **ret_subscription)
{
    options.group = options.group ? options.group : "group";
    capstan_err_t err = capstan_subscribe(self->node, self->topic, &options, ret_subscription,
                                          self->text, sizeof self->text);
    cr_assert_eq(err, CAPSTAN_OK, "%s", self->text);
}

void embedded_await_stored(const capstan_subscription_t *subscription, uint64_t wanted)
{
    int tries = 0;
    while (capstan_subscription_figures(subscription).stored < wanted && tries++ < 5000) {
        poll(NULL, 0, 2);
    }
    cr_assert_eq(capstan_subscription_figures(subscription).stored, wanted);
}

void embedded_end(capstan_subscription_t **subscription)
{
    cr_assert_eq(capstan_unsubscribe(subscription, EMBEDDED_US), CAPSTAN_OK);
    cr_assert_null(*subscription);
}

void embedded_expect_nothing_left(embedded_t *self)
{
    seen_t seen = {.count = 0};
    capstan_subscription_t *subscription;
    embedded_subscribe(self, (capstan_subscribe_options_t){.handle = seen_keep, .context = &seen},
                       &subscription);
    embedded_pause();
    cr_assert_eq(seen.count, 0);
    embedded_end(&subscription);
}

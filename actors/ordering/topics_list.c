/* The list of topics, their partitions' actors, and the producers' epochs. */
#include "actors/ordering/topics.h"

#include "runtime/base/ensure.h"

#include <stdlib.h>
#include <string.h>

topic_t *topics_find(const topics_t *self, slice_t name)
{
    for (size_t i = 0; i < self->count; i++) {
        if (slice_equal(slice_text(self->list[i]->name), name)) {
            return self->list[i];
        }
    }
    return NULL;
}

bool topic_name_is_valid(slice_t name)
{
    const char *text = name.data;
    for (size_t i = 0; i < name.size; i++) {
        bool letter = (text[i] >= 'a' && text[i] <= 'z') || (text[i] >= 'A' && text[i] <= 'Z');
        bool digit = text[i] >= '0' && text[i] <= '9';
        if (!letter && !digit && !(text[i] != '\0' && strchr("._-", text[i]))) {
            return false;
        }
    }
    return name.size > 0 && name.size <= TOPIC_NAME_MAX;
}

void topic_grow(topic_t *topic, uint64_t made)
{
    if (made <= topic->made) {
        return;
    }
    topic->refs = realloc(topic->refs, made * sizeof *topic->refs);
    topic->ready = realloc(topic->ready, made * sizeof *topic->ready);
    ENSURE(topic->refs && topic->ready);
    memset(topic->refs + topic->made, 0, (made - topic->made) * sizeof *topic->refs);
    memset(topic->ready + topic->made, 0, (made - topic->made) * sizeof *topic->ready);
    topic->made = made;
}

void topic_add_barrier(topic_t *topic, uint64_t partitions, const uint64_t *offsets)
{
    topic->barriers =
        realloc(topic->barriers, (topic->barrier_count + 1) * sizeof *topic->barriers);
    ENSURE(topic->barriers);
    barrier_t *barrier = &topic->barriers[topic->barrier_count++];
    *barrier = (barrier_t){.partitions = topic->settings.partitions, .count = topic->count};
    memcpy(barrier->offsets, offsets, topic->count * sizeof *offsets);
    topic->settings.partitions = partitions;
    topic->count = partitions > topic->count ? partitions : topic->count;
    topic_grow(topic, partitions);
}

topic_t *topics_add(topics_t *self, slice_t name, const topic_settings_t *settings)
{
    topic_t *topic = calloc(1, sizeof *topic);
    ENSURE(topic && name.size <= TOPIC_NAME_MAX);
    memcpy(topic->name, name.data, name.size);
    topic->settings = topic_settings_copy(settings);
    topic_grow(topic, settings->partitions);
    topic->count = settings->partitions;
    self->list = realloc(self->list, (self->count + 1) * sizeof(topic_t *));
    ENSURE(self->list);
    self->list[self->count++] = topic;
    return topic;
}

static void free_topic(topic_t *topic)
{
    size_t position = 0;
    for (void *producer; (producer = map_next(&topic->producers, &position));) {
        free(producer);
    }
    map_fini(&topic->producers);
    for (size_t i = 0; i < topic->waiter_count; i++) {
        topic_change_fini(&topic->waiters[i].wanted);
    }
    topic_settings_fini(&topic->settings);
    while (topic->deferred) {
        deferred_t *deferred = topic->deferred;
        topic->deferred = deferred->next;
        free(deferred);
    }
    free(topic->move);
    free(topic->barriers);
    free(topic->removal);
    free(topic->refs);
    free(topic->ready);
    free(topic->waiters);
    free(topic);
}

void topics_remove(topics_t *self, topic_t *topic)
{
    size_t place = 0;
    while (self->list[place] != topic) {
        place++;
    }
    self->list[place] = self->list[--self->count];
    free_topic(topic);
}

void topics_fini(topics_t *self)
{
    for (size_t i = 0; i < self->count; i++) {
        free_topic(self->list[i]);
    }
    free(self->list);
}

capstan_err_t topic_spawn(topics_t *self, topic_t *topic, uint64_t partition)
{
    partition_arguments_t arguments = {
        .topic = topic->name,
        .index = partition,
        .topic_settings = &topic->settings,
        .stopped = topic->move && topic->move->step < MOVE_ENDING,
        .settings = self->settings,
        .topics = capstan_actor_ref(self->self),
        .journal = self->journal,
        .reader = self->reader,
    };
    capstan_ref_t *ref = &topic->refs[partition];
    capstan_err_t err = capstan_spawn(self->self, &partition_behaviour,
                                      &(capstan_spawn_options_t){.argument = &arguments}, ref);
    return err ? err : capstan_monitor(self->self, *ref);
}

capstan_err_t topic_start(topics_t *self, topic_t *topic)
{
    topic->phase = TOPIC_STARTING;
    for (uint64_t i = 0; i < topic->count; i++) {
        capstan_err_t err =
            capstan_ref_is_null(topic->refs[i]) ? topic_spawn(self, topic, i) : CAPSTAN_OK;
        if (err != CAPSTAN_OK) {
            return err;
        }
    }
    return CAPSTAN_OK;
}

static bool has_name(const void *value, const void *wanted)
{
    const producer_epoch_t *producer = value;
    return slice_equal(slice_of(producer->name, producer->size), *(const slice_t *)wanted);
}

producer_epoch_t *topic_producer(topics_t *self, topic_t *topic, slice_t name)
{
    uint64_t hash = siphash13(self->seed, 0, name);
    producer_epoch_t *producer = map_find(&topic->producers, hash, has_name, &name);
    if (!producer) {
        producer = calloc(1, sizeof *producer + name.size);
        ENSURE(producer);
        producer->size = name.size;
        memcpy(producer->name, name.data, name.size);
        map_add(&topic->producers, hash, producer);
    }
    return producer;
}

/* How a program consumes: what it hands in is checked where it is; the rest is the consumer's. */
#include "actors/ordering/consumer_shared.h"
#include "actors/ordering/ordering_messages.h"
#include "actors/ordering/publisher.h"
#include "actors/ordering/topic_calls.h"
#include "runtime/runtime.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    GROUP_NAME_BYTES_MAX = 128,
    CONCURRENCY_MAX = 1024,
    THREADS_MAX = 32,
    BATCH_MAX = 4096,
    BATCH_USUAL = 64,
    EVENTS_LATER = 1024,
    EVENTS_PER_TURN = 4, /* so that a handler which is done need not wait for the group */
    REASON_BYTES_MAX = 256,
};

#define DELAY_US_MAX INT64_C(86400000000)

capstan_subscription_t *subscription_share(capstan_subscription_t *self)
{
    atomic_fetch_add_explicit(&self->owners, 1, memory_order_relaxed); /* the caller has a share */
    return self;
}

void subscription_give_back(capstan_subscription_t *self)
{
    /* Release: what an owner did to it precedes its end; acquire: whoever frees it sees all. */
    if (atomic_fetch_sub_explicit(&self->owners, 1, memory_order_acq_rel) == 1) {
        tickets_fini(&self->tickets);
        free(self);
    }
}

/* A later node may have the memory of this one, and an actor in the place of the consumer. */
static bool has_ended(const capstan_subscription_t *self)
{
    return atomic_load_explicit(&self->ended, memory_order_acquire);
}

/* --- groups ---------------------------------------------------------------------------------- */

static capstan_group_policy_t public_policy(const group_policy_t *policy)
{
    return (capstan_group_policy_t){
        .mode = (capstan_group_mode_t)policy->mode,
        .while_retried = (capstan_group_successors_t)policy->while_retried,
        .when_exhausted = (capstan_group_successors_t)policy->when_exhausted,
        .attempts_max = policy->attempts_max,
        .retry_ms_min = policy->retry_ms_min,
        .retry_ms_max = policy->retry_ms_max,
    };
}

static void encode_policy(const capstan_group_policy_t *policy, buffer_t *out)
{
    codec_encode(group_policy_wire(),
                 &(group_policy_t){.mode = (uint64_t)policy->mode,
                                   .while_retried = (uint64_t)policy->while_retried,
                                   .when_exhausted = (uint64_t)policy->when_exhausted,
                                   .attempts_max = policy->attempts_max,
                                   .retry_ms_min = policy->retry_ms_min,
                                   .retry_ms_max = policy->retry_ms_max},
                 out);
}

capstan_err_t capstan_group_define(capstan_node_t *node, const capstan_topic_t *topic,
                                   const char *group, const capstan_group_policy_t *policy,
                                   capstan_group_policy_t *ret_policy)
{
    topic_name_t name;
    buffer_t record = {0};
    void *body;
    group_defined_t defined;
    group_policy_t holds;
    capstan_err_t err = topic_copy_name(node, topic, &name);
    if (err != CAPSTAN_OK) {
        return err;
    }
    encode_policy(policy, &record);
    group_define_t request = {.topic = slice_text(name.text),
                              .group = slice_text(group),
                              .policy = buffer_slice(&record)};
    err = topics_ask_from_outside(node,
                                  &(topics_question_t){.request = group_define_wire(),
                                                       .value = &request,
                                                       .reply = group_defined_wire()},
                                  &defined, &body);
    buffer_fini(&record);
    if (err != CAPSTAN_OK) {
        return err;
    }
    err = codec_decode(group_policy_wire(), defined.policy, &holds, NULL);
    free(body);
    if (err == CAPSTAN_OK && ret_policy) {
        *ret_policy = public_policy(&holds);
    }
    return err;
}

/* --- subscribing ----------------------------------------------------------------------------- */

/* NULL: nothing. */
static const char *what_is_wrong(const capstan_subscribe_options_t *options)
{
    uint32_t concurrency_max = options->may_block ? THREADS_MAX : CONCURRENCY_MAX;
    if (!options->group || options->group[0] == 0 ||
        strlen(options->group) > GROUP_NAME_BYTES_MAX) {
        return "group: 1 to 128 bytes of UTF-8";
    }
    if (!options->handle == !options->handle_batch) {
        return "handle, handle_batch: one of them";
    }
    if (options->may_block && options->cell) {
        return "may_block, cell: one of them";
    }
    if (options->concurrency > concurrency_max) {
        return options->may_block ? "concurrency: 1 to 32 with may_block"
                                  : "concurrency: 1 to 1024";
    }
    if (options->batch_max > BATCH_MAX || (options->handle && options->batch_max > 1)) {
        return "batch_max: 1 to 4096, with handle_batch";
    }
    if (options->key_events_max > TICKETS_MAX || (options->handle && options->key_events_max > 1)) {
        return "key_events_max: 1 to 65536, with handle_batch; 1 with handle";
    }
    if (options->events_max > TICKETS_MAX) {
        return "events_max: 1 to 65536";
    }
    return NULL;
}

static void fill_defaults(capstan_subscribe_options_t *options)
{
    options->concurrency = options->concurrency ? options->concurrency : 1;
    options->batch_max = options->batch_max      ? options->batch_max
                         : options->handle_batch ? BATCH_USUAL
                                                 : 1;
    options->key_events_max = options->key_events_max ? options->key_events_max : 1;
    if (options->events_max == 0) {
        uint32_t turn = options->concurrency * options->batch_max * EVENTS_PER_TURN;
        turn = options->acknowledge_later && turn < EVENTS_LATER ? EVENTS_LATER : turn;
        options->events_max = turn < TICKETS_MAX ? turn : TICKETS_MAX;
    }
    /* More than that no handler is ever given. */
    options->batch_max =
        options->batch_max < options->events_max ? options->batch_max : options->events_max;
}

static capstan_err_t make(capstan_node_t *node, const capstan_subscribe_options_t *options,
                          capstan_subscription_t **ret_self)
{
    capstan_subscription_t *self = calloc(1, sizeof *self);
    if (!self || !tickets_init(&self->tickets, options->events_max)) {
        free(self);
        return CAPSTAN_E_NO_MEMORY;
    }
    atomic_init(&self->owners, 1);
    self->node = node;
    *ret_self = self;
    return CAPSTAN_OK;
}

static capstan_err_t start(capstan_subscription_t *self, capstan_ref_t topics,
                           const topic_name_t *name, const capstan_subscribe_options_t *options,
                           char *text, size_t size)
{
    consumer_arguments_t arguments = {.shared = self,
                                      .topics = topics,
                                      .topic = name->text,
                                      .options = options,
                                      .text = text,
                                      .text_size = size};
    capstan_ref_t consumer; /* it says so itself, before its handlers could ask */
    text[0] = 0;
    capstan_err_t err =
        capstan_node_spawn(self->node, &consumer_behaviour,
                           &(capstan_spawn_options_t){.argument = &arguments}, &consumer);
    if (err != CAPSTAN_OK && text[0] == 0) {
        snprintf(text, size, "%s. %s", capstan_err_text(err), capstan_err_remedy(err));
    }
    return err;
}

capstan_err_t capstan_subscribe(capstan_node_t *node, const capstan_topic_t *topic,
                                const capstan_subscribe_options_t *options,
                                capstan_subscription_t **ret_self, char *ret_text, size_t text_size)
{
    char unwanted[1];
    char *text = ret_text && text_size > 0 ? ret_text : unwanted;
    size_t size = ret_text && text_size > 0 ? text_size : sizeof unwanted;
    capstan_subscribe_options_t filled = *options;
    capstan_subscription_t *self = NULL;
    topic_name_t name;
    capstan_ref_t topics;
    const char *wrong = what_is_wrong(options);
    if (wrong) {
        snprintf(text, size, "%s", wrong);
        return CAPSTAN_E_INVALID;
    }
    fill_defaults(&filled);
    capstan_err_t err = topic_copy_name(node, topic, &name);
    err = err ? err : topics_of_node(node, &topics);
    err = err ? err : make(node, &filled, &self);
    if (err != CAPSTAN_OK) {
        snprintf(text, size, "%s. %s", capstan_err_text(err), capstan_err_remedy(err));
        return err;
    }
    err = start(self, topics, &name, &filled, text, size);
    if (err == CAPSTAN_OK) {
        *ret_self = self;
    } else {
        subscription_give_back(self);
    }
    return err;
}

capstan_err_t capstan_unsubscribe(capstan_subscription_t **self_p, int64_t timeout_us)
{
    capstan_subscription_t *self = *self_p;
    if (!self) {
        return CAPSTAN_OK;
    }
    capstan_err_t err = CAPSTAN_OK;
    if (!has_ended(self)) {
        err = capstan_node_ask(self->node, self->consumer, MESSAGE_consumer_close,
                               slice_of("\x80", 1), timeout_us, NULL, NULL);
    }
    if (err == CAPSTAN_E_TIMEOUT || err == CAPSTAN_E_MAILBOX_FULL) {
        return CAPSTAN_E_TIMEOUT;
    }
    *self_p = NULL;
    subscription_give_back(self);
    return err == CAPSTAN_E_GONE ? CAPSTAN_OK : err; /* it has ended by itself */
}

/* --- acknowledging --------------------------------------------------------------------------- */

static capstan_err_t say(capstan_subscription_t *self, const consumer_say_t *what)
{
    buffer_t body = {0};
    if (has_ended(self)) {
        return CAPSTAN_E_GONE;
    }
    if (!tickets_claim(&self->tickets, what->ticket)) {
        return CAPSTAN_E_NOT_HELD;
    }
    capstan_err_t err = capstan_encode(consumer_say_wire(), what, &body, NULL);
    if (err == CAPSTAN_OK) {
        err = capstan_node_tell(self->node, self->consumer, MESSAGE_consumer_say,
                                buffer_slice(&body));
    }
    buffer_fini(&body);
    if (err != CAPSTAN_OK) {
        tickets_unclaim(&self->tickets, what->ticket);
    }
    return err;
}

capstan_err_t capstan_acknowledge(capstan_subscription_t *self, uint64_t delivery)
{
    return say(self, &(consumer_say_t){.ticket = delivery});
}

capstan_err_t capstan_reject(capstan_subscription_t *self, uint64_t delivery,
                             const capstan_rejection_t *rejection)
{
    static const capstan_rejection_t usual = {0};
    rejection = rejection ? rejection : &usual;
    slice_t reason = slice_text(rejection->reason);
    if (reason.size > REASON_BYTES_MAX || rejection->delay_us < 0 ||
        rejection->delay_us > DELAY_US_MAX) {
        return CAPSTAN_E_INVALID;
    }
    capstan_err_t err =
        say(self, &(consumer_say_t){.ticket = delivery,
                                    .rejected = true,
                                    .final = rejection->final,
                                    .delay_ms = ((uint64_t)rejection->delay_us + 999) / 1000,
                                    .reason = reason});
    return err == CAPSTAN_E_NOT_UTF8 ? CAPSTAN_E_INVALID : err;
}

static uint64_t read_count(const _Atomic uint64_t *count)
{
    return atomic_load_explicit(count, memory_order_relaxed);
}

capstan_subscription_figures_t capstan_subscription_figures(const capstan_subscription_t *self)
{
    const consumer_counts_t *counts = &self->counts;
    return (capstan_subscription_figures_t){
        .delivered = read_count(&counts->delivered),
        .acknowledged = read_count(&counts->acknowledged),
        .stored = read_count(&counts->stored),
        .rejected = read_count(&counts->rejected),
        .taken_back = read_count(&counts->taken_back),
        .held = read_count(&counts->held),
        .error = (capstan_err_t)atomic_load_explicit(&counts->error, memory_order_relaxed),
    };
}

/* How a program makes topics and asks about them: the requests of peers, sent to the topics actor.
 */
#include "actors/ordering/topic_calls.h"

#include "actors/ordering/publisher.h"
#include "runtime/base/ensure.h"
#include "runtime/runtime.h"

#include <stdio.h>
#include <stdlib.h>

enum { KEPT_NAME_SIZE = sizeof "topic/" + 128 };

capstan_err_t topics_of_node(capstan_node_t *node, capstan_ref_t *ret_topics)
{
    if (!node_enter(node)) {
        return CAPSTAN_E_STOPPING;
    }
    const publisher_t *publisher = publisher_of(node);
    if (publisher) {
        *ret_topics = publisher->topics;
    }
    node_leave(node);
    return publisher ? CAPSTAN_OK : CAPSTAN_E_UNSUPPORTED;
}

capstan_err_t topic_copy_name(capstan_node_t *node, const capstan_topic_t *topic,
                              topic_name_t *ret_name)
{
    if (!node_enter(node)) {
        return CAPSTAN_E_STOPPING;
    }
    snprintf(ret_name->text, sizeof ret_name->text, "%s", topic->name);
    node_leave(node);
    return CAPSTAN_OK;
}

capstan_err_t topics_ask_from_outside(capstan_node_t *node, const topics_question_t *question,
                                      void *ret_value, void **ret_body)
{
    buffer_t body = {0};
    capstan_ref_t topics;
    void *answer;
    size_t size;
    capstan_err_t err = topics_of_node(node, &topics);
    err = err ? err : capstan_encode(question->request, question->value, &body, NULL);
    if (err == CAPSTAN_OK) {
        err = capstan_node_ask(node, topics, question->request->id, buffer_slice(&body),
                               TOPICS_QUESTION_US, &answer, &size);
    }
    buffer_fini(&body);
    if (err != CAPSTAN_OK) {
        return err;
    }
    err = codec_decode(question->reply, slice_of(answer, size), ret_value, NULL);
    if (err == CAPSTAN_OK && ret_body) {
        *ret_body = answer;
    } else {
        free(answer);
    }
    return err;
}

static capstan_topic_t *keep_topic(capstan_node_t *node, const char *name)
{
    char kept_name[KEPT_NAME_SIZE];
    size_t size = strlen(name) + 1;
    snprintf(kept_name, sizeof kept_name, "topic/%s", name);
    capstan_topic_t *topic = malloc(sizeof *topic + size);
    ENSURE(topic);
    topic->publisher = publisher_of(node);
    memcpy(topic->name, name, size);
    capstan_topic_t *kept = node_keep(node, kept_name, topic, free);
    if (kept != topic) {
        free(topic);
    }
    return kept;
}

capstan_err_t capstan_topic_ensure(capstan_node_t *node, const char *name,
                                   const capstan_topic_options_t *options,
                                   capstan_topic_t **ret_topic)
{
    static const capstan_topic_options_t defaults = {0};
    const capstan_topic_options_t *wanted = options ? options : &defaults;
    topic_ensure_t request = {.topic = slice_text(name),
                              .partitions = wanted->partitions,
                              .sequence = (uint64_t)wanted->sequence};
    topic_info_t info;
    capstan_err_t err = topics_ask_from_outside(node,
                                                &(topics_question_t){.request = topic_ensure_wire(),
                                                                     .value = &request,
                                                                     .reply = topic_info_wire()},
                                                &info, NULL);
    if (err == CAPSTAN_OK && !node_enter(node)) {
        err = CAPSTAN_E_STOPPING;
    }
    if (err == CAPSTAN_OK) {
        *ret_topic = keep_topic(node, name);
        node_leave(node);
    }
    return err;
}

capstan_err_t capstan_producer_open(capstan_node_t *node, const capstan_topic_t *topic,
                                    const char *producer, bool take_over, uint64_t *ret_epoch)
{
    topic_name_t name;
    capstan_err_t err = topic_copy_name(node, topic, &name);
    if (err != CAPSTAN_OK) {
        return err;
    }
    producer_open_t request = {
        .topic = slice_text(name.text), .producer = slice_text(producer), .take_over = take_over};
    producer_opened_t opened;
    err = topics_ask_from_outside(node,
                                  &(topics_question_t){.request = producer_open_wire(),
                                                       .value = &request,
                                                       .reply = producer_opened_wire()},
                                  &opened, NULL);
    if (err == CAPSTAN_OK) {
        *ret_epoch = opened.producer_epoch;
    }
    return err;
}

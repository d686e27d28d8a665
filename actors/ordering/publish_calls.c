/* How a program publishes: what it hands in is checked and encoded where it is, and goes to the
 * publisher. */
#include "actors/ordering/ordering_messages.h"
#include "actors/ordering/publisher.h"
#include "runtime/base/buffer.h"
#include "runtime/runtime.h"

#include <stdlib.h>

enum { KEY_BYTES_MAX = 1024 };

/* --- events as bytes ------------------------------------------------------------------------- */

static capstan_err_t encode_headers(const capstan_event_t *event, buffer_t *out)
{
    if (event->header_count == 0) {
        return CAPSTAN_OK;
    }
    header_t *headers = calloc(event->header_count, sizeof *headers);
    if (!headers) {
        return CAPSTAN_E_NO_MEMORY;
    }
    for (size_t i = 0; i < event->header_count; i++) {
        headers[i].name = event->headers[i].name;
        headers[i].value = event->headers[i].value;
    }
    capstan_err_t err = capstan_encode_list(header_wire(), headers, event->header_count, out, NULL);
    free(headers);
    return err;
}

/* The body of a `publish`. */
static capstan_err_t encode_event(const capstan_topic_t *topic, const capstan_event_t *event,
                                  buffer_t *out)
{
    buffer_t headers = {0};
    if (event->key.size == 0 || event->key.size > KEY_BYTES_MAX ||
        (event->header_count > 0 && !event->headers)) {
        return CAPSTAN_E_INVALID;
    }
    capstan_err_t err = encode_headers(event, &headers);
    publish_t publish = {.topic = slice_text(topic->name),
                         .key = event->key,
                         .producer = event->producer,
                         .producer_epoch = event->producer_epoch,
                         .sequence = event->sequence,
                         .time_us = event->time_us,
                         .content_type = event->content_type,
                         .headers = buffer_slice(&headers),
                         .payload = event->payload,
                         .not_before_us = event->not_before_us};
    err = err ? err : capstan_encode(publish_wire(), &publish, out, NULL);
    buffer_fini(&headers);
    if (err == CAPSTAN_OK && out->size > topic->publisher->event_bytes_max) {
        err = CAPSTAN_E_TOO_LARGE;
    }
    return err;
}

/* The body of a publish_one. */
static capstan_err_t encode_one(const capstan_topic_t *topic, const capstan_event_t *event,
                                buffer_t *out)
{
    buffer_t publish = {0};
    capstan_err_t err = encode_event(topic, event, &publish);
    if (err == CAPSTAN_OK) {
        codec_encode(publish_one_wire(), &(publish_one_t){.publish = buffer_slice(&publish)}, out);
    }
    buffer_fini(&publish);
    return err;
}

static capstan_outcome_t outcome_of(slice_t body)
{
    published_t published;
    if (codec_decode(published_wire(), body, &published, NULL) != CAPSTAN_OK ||
        published.result > CAPSTAN_RESULT_DROPPED) {
        return (capstan_outcome_t){CAPSTAN_RESULT_UNKNOWN, .reason = CAPSTAN_E_INTERNAL};
    }
    return (capstan_outcome_t){.result = (capstan_result_t)published.result,
                               .reason = (capstan_err_t)published.error};
}

/* --- from actors ----------------------------------------------------------------------------- */

capstan_err_t capstan_publish(capstan_actor_t *self, const capstan_topic_t *topic,
                              const capstan_event_t *event, int64_t timeout_us,
                              uint64_t *ret_correlation)
{
    buffer_t body = {0};
    capstan_err_t err = encode_one(topic, event, &body);
    if (err == CAPSTAN_OK) {
        err = capstan_ask(self, topic->publisher->actor, MESSAGE_publish_one, buffer_slice(&body),
                          timeout_us, ret_correlation);
    }
    buffer_fini(&body);
    return err;
}

bool capstan_message_is_outcome(const capstan_message_t *message, capstan_outcome_t *ret_outcome)
{
    capstan_err_t err;
    if (capstan_message_is_error(message, &err, NULL)) {
        *ret_outcome = (capstan_outcome_t){CAPSTAN_RESULT_UNKNOWN, .reason = err};
        return true;
    }
    if (message->kind != CAPSTAN_KIND_REPLY || message->message != MESSAGE_published) {
        return false;
    }
    *ret_outcome = outcome_of(message->body);
    return true;
}

/* --- from threads ---------------------------------------------------------------------------- */

/* The topic lives while the node can be entered. */
static capstan_err_t encode_inside(capstan_node_t *node, const capstan_topic_t *topic,
                                   const capstan_event_t *event, buffer_t *body,
                                   capstan_ref_t *ret_publisher)
{
    if (!node_enter(node)) {
        return CAPSTAN_E_STOPPING;
    }
    capstan_err_t err = encode_one(topic, event, body);
    *ret_publisher = topic->publisher->actor;
    node_leave(node);
    return err;
}

capstan_err_t capstan_node_publish(capstan_node_t *node, const capstan_topic_t *topic,
                                   const capstan_event_t *event, int64_t timeout_us,
                                   capstan_outcome_t *ret_outcome)
{
    buffer_t body = {0};
    capstan_ref_t publisher;
    void *answer;
    size_t size;
    capstan_err_t err = encode_inside(node, topic, event, &body, &publisher);
    if (err == CAPSTAN_OK) {
        err = capstan_node_ask(node, publisher, MESSAGE_publish_one, buffer_slice(&body),
                               timeout_us, &answer, &size);
    }
    buffer_fini(&body);
    if (err == CAPSTAN_OK) {
        *ret_outcome = outcome_of(slice_of(answer, size));
        free(answer);
    }
    return err;
}

static capstan_err_t tell(capstan_node_t *node, publisher_t *publisher, slice_t publish,
                          uint32_t call)
{
    buffer_t body = {0};
    codec_encode(publish_later_wire(), &(publish_later_t){.publish = publish, .call = call}, &body);
    capstan_err_t err =
        capstan_node_tell(node, publisher->actor, MESSAGE_publish_later, buffer_slice(&body));
    buffer_fini(&body);
    return err;
}

static capstan_err_t publish_inside(capstan_node_t *node, const capstan_topic_t *topic,
                                    const capstan_event_t *event, capstan_published_fn *published,
                                    void *context)
{
    buffer_t publish = {0};
    publisher_t *publisher = topic->publisher;
    uint32_t place;
    capstan_err_t err = encode_event(topic, event, &publish);
    call_t call = {.published = published, .context = context, .bytes = publish.size};
    if (err == CAPSTAN_OK && !publisher_take_call(publisher, &call, &place)) {
        err = CAPSTAN_E_NO_CREDIT;
    } else if (err == CAPSTAN_OK) {
        err = tell(node, publisher, buffer_slice(&publish), place);
        if (err != CAPSTAN_OK) {
            publisher_drop_call(publisher, place);
            /* To whoever publishes too fast both say the same. */
            err = err == CAPSTAN_E_MAILBOX_FULL ? CAPSTAN_E_NO_CREDIT : err;
        }
    }
    buffer_fini(&publish);
    return err;
}

capstan_err_t capstan_node_publish_async(capstan_node_t *node, const capstan_topic_t *topic,
                                         const capstan_event_t *event,
                                         capstan_published_fn *published, void *context)
{
    if (!node_enter(node)) {
        return CAPSTAN_E_STOPPING;
    }
    capstan_err_t err = publish_inside(node, topic, event, published, context);
    node_leave(node);
    return err;
}

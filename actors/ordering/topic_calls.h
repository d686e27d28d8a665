/* Requests of a program to the topics actor. Internal to ordering/. */
#ifndef ORDERING_TOPIC_CALLS_H
#define ORDERING_TOPIC_CALLS_H

#include "actors/ordering/ordering_messages.h"

#include <capstan/topic.h>

#define TOPICS_QUESTION_US INT64_C(60000000)

typedef struct topic_name {
    char text[129];
} topic_name_t;

/* For use outside the node, where the topic may be freed. STOPPING. */
CAPSTAN_MUST_CHECK capstan_err_t topic_copy_name(capstan_node_t *node, const capstan_topic_t *topic,
                                                 topic_name_t *ret_name);
/* UNSUPPORTED: they are not open. STOPPING. */
CAPSTAN_MUST_CHECK capstan_err_t topics_of_node(capstan_node_t *node, capstan_ref_t *ret_topics);

typedef struct topics_question {
    const wire_record_t *request;
    const void *value;
    const wire_record_t *reply;
} topics_question_t;

/* From a thread that is no cell; blocks. `ret_body` (may be NULL) is where the slices of the reply
 * point, to be freed. Errors: those of topics_of_node and capstan_node_ask. */
CAPSTAN_MUST_CHECK capstan_err_t topics_ask_from_outside(capstan_node_t *node,
                                                         const topics_question_t *question,
                                                         void *ret_value, void **ret_body);

#endif

/* How a program looks after what its groups have parked: the requests of peers, sent to the topics
 * actor. */
#include "actors/ordering/event_view.h"
#include "actors/ordering/partition_groups.h"
#include "actors/ordering/topic_calls.h"

#include <capstan/group.h>
#include <stdlib.h>
#include <string.h>

static capstan_err_t call_each(const parked_page_t *page, event_headers_t *headers,
                               capstan_parked_fn *each, void *context)
{
    codec_list_t list;
    parked_t record;
    event_t event;
    capstan_err_t err = codec_list_open(parked_wire(), page->events, &list);
    while (err == CAPSTAN_OK && codec_list_next(&list, &record)) {
        capstan_parked_t parked = {.partition = (uint32_t)page->partition,
                                   .attempts = record.attempts,
                                   .reason = record.reason,
                                   .since_us = record.since_us,
                                   .behind = record.behind};
        headers->count = 0;
        err = event_view(record.event, headers, &event, &parked.event);
        if (err == CAPSTAN_OK) {
            parked.offset = event.offset;
            (void)event_headers_place(headers, 0, &parked.event);
            each(context, &parked);
        }
    }
    return err;
}

capstan_err_t capstan_group_parked(capstan_node_t *node, const capstan_topic_t *topic,
                                   const char *group, capstan_parked_fn *each, void *context)
{
    topic_name_t name;
    event_headers_t headers = {0};
    parked_page_t page = {.more = true};
    if (group[0] == 0 || strlen(group) > GROUP_NAME_MAX) {
        return CAPSTAN_E_INVALID; /* no group can have that name; one that never was has parked
                                     nothing */
    }
    capstan_err_t err = topic_copy_name(node, topic, &name);
    while (err == CAPSTAN_OK && page.more) {
        void *body;
        parked_list_t request = {.topic = slice_text(name.text),
                                 .group = slice_text(group),
                                 .partition = page.next_partition,
                                 .offset = page.next_offset};
        err = topics_ask_from_outside(node,
                                      &(topics_question_t){.request = parked_list_wire(),
                                                           .value = &request,
                                                           .reply = parked_page_wire()},
                                      &page, &body);
        if (err == CAPSTAN_OK) {
            err = call_each(&page, &headers, each, context);
            free(body);
        }
    }
    event_headers_fini(&headers);
    return err;
}

capstan_err_t capstan_group_release(capstan_node_t *node, const capstan_topic_t *topic,
                                    const char *group, capstan_slice_t key, bool discard,
                                    capstan_released_t *ret_released)
{
    topic_name_t name;
    capstan_err_t err = topic_copy_name(node, topic, &name);
    if (err != CAPSTAN_OK) {
        return err;
    }
    parked_release_t request = {
        .topic = slice_text(name.text), .group = slice_text(group), .key = key, .discard = discard};
    parked_released_t released;
    err = topics_ask_from_outside(node,
                                  &(topics_question_t){.request = parked_release_wire(),
                                                       .value = &request,
                                                       .reply = parked_released_wire()},
                                  &released, NULL);
    if (err == CAPSTAN_OK && ret_released) {
        *ret_released =
            (capstan_released_t){.replayed = released.replayed, .discarded = released.discarded};
    }
    return err;
}

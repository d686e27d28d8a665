/* Requests that the topics pass on to a partition or a group, and their answers. Internal to
 * ordering/. */
#ifndef ORDERING_TOPICS_RELAY_H
#define ORDERING_TOPICS_RELAY_H

#include "actors/ordering/topics.h"

void topics_on_parked_list(topics_t *self, const capstan_message_t *message);
void topics_on_parked_release(topics_t *self, const capstan_message_t *message);
void topics_on_cancel(topics_t *self, const capstan_message_t *message);
void topics_on_erase(topics_t *self, const capstan_message_t *message);
void topics_on_group_define(topics_t *self, const capstan_message_t *message);
/* False: it is none of gap_list, gap_declare, gap_force. */
bool topics_on_gaps(topics_t *self, const capstan_message_t *message);
bool topics_relay_answer(topics_t *self, const capstan_message_t *message);
void topics_relays_fini(topics_t *self);

#endif

/* Another number of partitions for a topic: see topics_move.c. Internal to ordering/. */
#ifndef ORDERING_TOPICS_MOVE_H
#define ORDERING_TOPICS_MOVE_H

#include "actors/ordering/topics.h"

/* That it is wanted is on disk. */
void move_begin(topics_t *self, topic_t *topic, const topic_mark_job_t *job);
/* The barrier is on disk, or could not be written. */
void move_marked(topics_t *self, topic_t *topic, capstan_err_t err);
bool move_answer(topics_t *self, const capstan_message_t *message);
/* A partition has recovered, or cannot; it has failed, and is started again. */
void move_on_ready(topics_t *self, topic_t *topic, uint64_t partition, capstan_err_t err);
void move_on_down(topics_t *self, topic_t *topic, uint64_t partition);
/* The timer of all that run. */
void move_look(topics_t *self);
/* A group or a look has ended. */
void move_on_closed(topics_t *self);
/* The request comes again once the number has changed. */
void move_defer(topics_t *self, topic_t *topic, const capstan_message_t *message);
void move_add_router(topics_t *self, capstan_ref_t router);
void move_remove_router(topics_t *self, capstan_ref_t router);

#endif

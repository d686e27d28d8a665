/* A change of the number of partitions, as one of them sees it. From the first step on it takes no
 * publish, until it is told to go on; so what it says meanwhile stays true. What it has is not
 * moved: events stay where they are, and a key's next ones go to another partition, which is told
 * what was accepted of it. */
#include "actors/ordering/partition_parts.h"

#include "actors/ordering/partition_cold.h"

enum {
    STEP_STOP = 1,
    STEP_GIVE = 2,
    STEP_INHERIT = 3,
    STEP_GO_ON = 4,
};

static void reply(partition_actor_t *self, const capstan_message_t *request,
                  const partition_moved_t *moved)
{
    buffer_t body = {0};
    codec_encode(partition_moved_wire(), moved, &body);
    capstan_reply(self->self, request, MESSAGE_partition_moved, buffer_slice(&body));
    buffer_fini(&body);
}

void moves_give_reply(partition_actor_t *self, const capstan_message_t *request,
                      const partition_moved_t *moved)
{
    reply(self, request, moved);
}

void moves_reply(partition_actor_t *self, const capstan_message_t *request)
{
    partition_figures_t figures = partition_figures(self->core);
    bool known = figures.watermark_us != INT64_MIN;
    reply(self, request,
          &(partition_moved_t){.offset = figures.offset_next - 1,
                               .scheduled = figures.scheduled_items,
                               .ids = figures.ids,
                               .watermark_us = known ? figures.watermark_us : 0,
                               .watermark_known = known});
}

static void reply_when_stored(partition_actor_t *self, const capstan_message_t *message)
{
    answers_add(&self->answers, &(answer_t){.to = message->sender,
                                            .correlation = message->correlation,
                                            .lsn = self->lsn_next,
                                            .reply = MESSAGE_partition_moved});
}

static void add_record(void *context, slice_t data)
{
    codec_list_add_raw(context, data);
}

static void give(partition_actor_t *self, const capstan_message_t *message,
                 const partition_move_t *move)
{
    partition_share_t share = {
        .index = self->index, .before = self->topic_settings.partitions, .after = move->partitions};
    buffer_t records = {0};
    partition_moved_t moved = {.position = move->position};
    if (move->position == LOOKUPS_GIVE) {
        lookups_give(self, message, move);
        return;
    }
    if (move->position == 0) {
        lookups_give_begin(self);
    }
    codec_list_writer_t list = codec_list_begin(&records);
    moved.more = !partition_give(self->core, &share, &moved.position, PARTITION_MOVE_BYTES,
                                 add_record, &list);
    codec_list_end(&list);
    moved.records = buffer_slice(&records);
    if (!moved.more && partition_cold(self->core) > 0) {
        moved.more = true;
        moved.position = LOOKUPS_GIVE;
    } else if (!moved.more) {
        lookups_give_end(self);
    }
    reply(self, message, &moved);
    buffer_fini(&records);
}

/* What is held becomes a record of the log as if it had been published here. */
static capstan_err_t inherit(partition_actor_t *self, slice_t records)
{
    enum { FIELD_HELD = 10 }; /* of `inherited` */
    codec_list_t list;
    capstan_err_t err = codec_list_open(inherited_wire(), records, &list);
    for (slice_t record; err == CAPSTAN_OK && codec_list_next_raw(&list, &record);) {
        uint32_t kind =
            codec_peek_slice(record, FIELD_HELD, &record) ? RECORD_event : RECORD_inherited;
        err = partition_load_record(self->core, kind, record);
        if (err == CAPSTAN_OK) {
            partition_gather(self, kind, record);
        }
    }
    return err;
}

/* To go on is said at any time, as settings are: what is being rebuilt goes by it too. */
void moves_on_step(partition_actor_t *self, const capstan_message_t *message)
{
    partition_move_t move;
    capstan_err_t err = codec_decode(partition_move_wire(), message->body, &move, NULL);
    if (err == CAPSTAN_OK && move.step == STEP_GO_ON) {
        self->topic_settings.partitions = move.partitions;
        self->stopped = self->steady = false;
        lookups_give_end(self);
        if (self->phase == PARTITION_READY) {
            partition_leave(self->core, self->index, move.partitions);
        }
        reply(self, message, &(partition_moved_t){0});
        return;
    }
    bool may = self->phase == PARTITION_READY && (move.step != STEP_GIVE || self->steady);
    err = err == CAPSTAN_OK && !may ? CAPSTAN_E_UNAVAILABLE : err;
    if (err == CAPSTAN_OK && move.step == STEP_INHERIT) {
        err = inherit(self, move.records);
    }
    if (err != CAPSTAN_OK) {
        capstan_reply_error(self->self, message, err, NULL);
    } else if (move.step == STEP_GIVE) {
        give(self, message, &move);
    } else {
        if (move.step == STEP_STOP) { /* what waits here goes to where its key will be */
            lookups_refuse(self, CAPSTAN_E_UNAVAILABLE);
        }
        self->steady = self->steady || move.step == STEP_STOP;
        self->stopped = self->stopped || move.step == STEP_STOP;
        reply_when_stored(self, message);
    }
}
